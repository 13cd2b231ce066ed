//! Brings what comes in to its calls, and calls into life.
#![expect(clippy::disallowed_methods, reason = "a call begins in a task, so that its panic ends no other")]

use std::sync::Arc;

use sip_core::{Command, LegEvent, LegRecord, Notice};
use tokio::sync::mpsc;
use tracing::error;
use wa_signaling::WebhookEvent;
use wa_signaling::webhook::event::Direction;

use crate::call::cause::Cause;
use crate::call::{birth, headers};
use crate::shared::Shared;
use crate::trunks::Outcome;
use crate::webhooks::{self, Webhooks};

/// A call that breaks while it begins breaks no other.
async fn contained(birth: impl Future<Output = ()> + Send + 'static) {
    if let Err(broken) = tokio::spawn(birth).await {
        error!(%broken, "a call broke while it began");
    }
}

/// Brings SIP events to their calls, and calls into life.
pub(crate) async fn sip(shared: Arc<Shared>, mut events: mpsc::Receiver<Notice>) {
    while let Some(notice) = events.recv().await {
        let LegEvent { leg, event } = match notice {
            Notice::Leg(event) => event,
            Notice::Reply { id, result } => {
                shared.trunks.outcome(Outcome::Reply(id, result));
                continue;
            }
            Notice::Bindings { trunk, bindings } => {
                shared.trunks.outcome(Outcome::Bindings(trunk, bindings));
                continue;
            }
            Notice::Record { leg, record } => {
                shared.journal.leg(leg, record.as_ref().map(LegRecord::as_bytes));
                continue;
            }
        };
        match event {
            sip_core::Event::Invite { request, flow, replaces: None } => {
                let app = Arc::clone(&shared);
                contained(async move { birth::from_pbx(&app, leg, &request, flow).await }).await;
            }
            sip_core::Event::Invite { request, flow, replaces: Some(replaced) } => {
                if !shared.directory.replace(replaced, leg, request, flow) {
                    let reply = headers::refusal(Cause::NothingToReplace);
                    shared.sip.send(Command::Respond { leg, reply }).await;
                }
            }
            event => shared.directory.sip(leg, event),
        }
    }
}

/// Brings webhooks to their calls, and calls into life.
pub(crate) async fn webhooks(shared: Arc<Shared>, events: mpsc::Receiver<WebhookEvent>) {
    let mut webhooks = Webhooks::new(events);
    while let Some(event) = webhooks.next(&shared).await {
        match event {
            WebhookEvent::Connect(connect) if connect.direction == Direction::UserInitiated => {
                shared.metrics.webhook("connect");
                webhooks.notices.delivered(&shared, &connect.number);
                let app = Arc::clone(&shared);
                contained(async move { birth::from_whatsapp(&app, connect) }).await;
            }
            WebhookEvent::Other { field, event } => {
                shared.metrics.webhook("other");
                tracing::debug!(field, event, "webhook not for calling");
            }
            event => {
                if let Some(event) = webhooks.notices.take(&shared, event) {
                    webhooks::give(&shared, event);
                }
            }
        }
    }
}
