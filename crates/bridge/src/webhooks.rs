//! Webhooks of calls that live, waited, or were never here.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};
use tracing::{info, warn};
use wa_signaling::{PhoneNumberId, WebhookEvent};

use crate::call::birth;
use crate::directory::Found;
use crate::notices::Notices;
use crate::shared::Shared;
use crate::skew::{Clocks, Skew};
use crate::unknown::Rules;

/// How often it is looked at what has waited for its call.
const BEAT: Duration = Duration::from_secs(1);

/// What comes from WhatsApp, and what is done between.
pub(crate) struct Webhooks {
    events: mpsc::Receiver<WebhookEvent>,
    clocks: Clocks,
    /// What belongs to no call.
    pub(crate) notices: Notices,
    beat: Interval,
}

impl Webhooks {
    pub(crate) fn new(events: mpsc::Receiver<WebhookEvent>) -> Self {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { events, clocks: Clocks::default(), notices: Notices::default(), beat }
    }

    /// The next event. Until it comes, those that wait for their call are looked after.
    pub(crate) async fn next(&mut self, shared: &Arc<Shared>) -> Option<WebhookEvent> {
        loop {
            tokio::select! {
                event = self.events.recv() => {
                    compare(shared, &mut self.clocks, event.as_ref()?);
                    return event;
                }
                _ = self.beat.tick() => {
                    look_after(shared);
                    self.notices.expire(shared);
                }
            }
        }
    }
}

/// Gives an event to its call; one that has none here may have to be ended.
pub(crate) fn give(shared: &Arc<Shared>, event: WebhookEvent) {
    if let WebhookEvent::Terminate(over) = &event {
        shared.records.terminated(over);
    }
    let found = with_rules(shared, |rules| shared.directory.webhook(shared.now(), event, rules));
    if let Some(found) = found {
        act(shared, &found);
    }
}

/// What has waited long enough is decided on.
fn look_after(shared: &Arc<Shared>) {
    shared.directory.remember_for(shared.config().order.remember);
    for found in with_rules(shared, |rules| shared.directory.overdue(shared.now(), rules)) {
        act(shared, &found);
    }
}

fn with_rules<T>(shared: &Shared, of: impl FnOnce(&Rules<'_>) -> T) -> T {
    let config = shared.config();
    let has = |id: &PhoneNumberId| config.number(id).is_some();
    of(&Rules { instance: &shared.instance, unknown_calls: config.order.unknown_calls, has: &has })
}

fn act(shared: &Arc<Shared>, found: &Found) {
    shared.metrics.webhook(found.label());
    match found {
        Found::Lost(lost) => birth::end_lost(shared, lost),
        Found::Others(number, wacid) => {
            info!(%number, %wacid, "a call that this bridge did not make is left alone");
        }
        Found::Call | Found::Late | Found::Waiting => {}
    }
}

/// Warns of clocks that differ: a fast one of ours makes callers look as if they had given up.
fn compare(shared: &Shared, clocks: &mut Clocks, event: &WebhookEvent) {
    let stamp = match event {
        WebhookEvent::Connect(connect) => connect.timestamp,
        WebhookEvent::Status(status) => status.timestamp,
        WebhookEvent::Terminate(terminate) => terminate.timestamp,
        _ => None,
    };
    let skew = stamp.and_then(|stamp| clocks.hear(shared.now(), shared.wall(), stamp));
    match skew {
        Some(Skew::Ahead(by)) => warn!(seconds = by.as_secs(), "WhatsApp's clock is ahead of ours: set ours"),
        Some(Skew::Behind(by)) => {
            let seconds = by.as_secs();
            warn!(seconds, "every webhook is that old: our clock is ahead of WhatsApp's, or they come late");
        }
        None => {}
    }
}
