//! What a crash left open is ended at the next start.
//!
//! Each WhatsApp call of the journal gets a task of its own that only ends it, as every other call is
//! ended: until that has worked. One whose id was not known yet is waited for: its first webhook finds it by
//! our mark. New calls are taken when the first end of each has been answered, or after a short time.
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use sip_core::{Command, LegRecord};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{Instrument, error, info, warn};

use crate::alarm::Alarm;
use crate::call::cause::Cause;
use crate::call::machine::Call;
use crate::call::pbx::Pbx;
use crate::call::task::{CallTask, Side};
use crate::call::{birth, headers};
use crate::directory::Mailbox;
use crate::journal::{Entry, Former, Later};
use crate::record::Facts;
use crate::shared::Shared;

/// How long new calls wait for the ends of former ones.
const FIRST_ROUND: Duration = Duration::from_secs(3);
/// A WhatsApp call is over after so long, whatever we know; a number that is no longer configured can't
/// keep its entries for ever.
const OLDEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Begins to end what was open. What is returned comes when new calls may be taken.
pub(crate) async fn begin(shared: &Arc<Shared>, former: Former) -> impl Future<Output = ()> + Send + use<> {
    let (hold, mut held) = mpsc::channel(1);
    end(shared, former, &hold).await;
    drop(hold);
    async move {
        // Nothing is ever sent: it ends when the last call has let go.
        let _ = timeout(FIRST_ROUND, held.recv()).await;
    }
}

/// Ends what is found in a journal that could not be read at the start.
pub(crate) async fn late(shared: Weak<Shared>, mut later: Later) {
    while let Some(former) = later.found().await {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        end(&shared, former, &mpsc::channel(1).0).await;
    }
}

async fn end(shared: &Arc<Shared>, former: Former, hold: &mpsc::Sender<()>) {
    if former.is_empty() {
        return;
    }
    info!(calls = former.calls.len(), legs = former.legs.len(), "ending what a crash left open");
    for entry in former.calls {
        end_call(shared, entry, hold);
    }
    for (row, record) in former.legs {
        end_leg(shared, row, &record).await;
    }
}

/// `sip-core` sees it through, and tells when the row can go.
async fn end_leg(shared: &Shared, row: u64, record: &[u8]) {
    match LegRecord::from_bytes(record) {
        Ok(record) => {
            let leg = shared.sip.new_leg();
            shared.journal.take_over(row, leg);
            let headers = headers::reason(Cause::Crash);
            shared.sip.send(Command::Recover { leg, record, headers }).await;
        }
        Err(error) => {
            error!(%error, "a SIP leg that a crash left open can't be ended");
            shared.journal.forget_leg(row);
        }
    }
}

fn end_call(shared: &Arc<Shared>, entry: Entry, hold: &mpsc::Sender<()>) {
    let config = shared.config();
    let number = config.number(&entry.number);
    let trunk = number.and_then(|number| config.trunk_of(number));
    let age = shared.wall().saturating_sub(Duration::from_millis(entry.began_ms));
    let (Some(number), Some(trunk)) = (number, trunk) else {
        return unconfigured(shared, &entry, age);
    };
    let (mailbox, events) = Mailbox::new();
    let id = entry.mark.call.clone();
    let span = birth::span(&id, entry.direction);
    let end = entry.wacid.as_ref().map(|_| entry.end);
    if let Some(wacid) = &entry.wacid {
        span.record("wacid", wacid.as_str());
        shared.directory.claim(shared.now(), wacid, &mailbox);
    }
    let now = shared.now();
    let began = now.checked_sub(age).unwrap_or(now);
    let call = Call::former(config.calls, (began, now), end);
    let pbx = Pbx::new(trunk, Vec::new());
    let number = Arc::new(number.clone());
    let facts = facts(&entry, began).of(&number);
    let knows_id = entry.wacid.is_some();
    let side = Side::Former(Box::new(entry));
    let mut task = CallTask::new(shared, facts, number, side, pbx, (mailbox, events), None, call);
    if knows_id {
        task = task.holding(hold.clone());
    }
    shared.spawn(task.live().instrument(span));
}

/// What the journal knows of the call, for its record.
fn facts(entry: &Entry, began: Instant) -> Facts {
    let wall = Duration::from_millis(entry.began_ms);
    let mut facts = Facts::new(entry.mark.clone(), entry.direction, wall, began);
    facts.trunk = Some(entry.trunk.clone());
    if let Some(callee) = entry.user.as_deref().and_then(|user| user.parse().ok()) {
        facts.set_callee(&callee);
    }
    facts
}

/// Without a token there is no way to end it.
fn unconfigured(shared: &Shared, entry: &Entry, age: Duration) {
    let (call, number) = (&entry.mark.call, entry.number.as_str());
    if age > OLDEST {
        warn!(%call, number, "the journal forgets an old call of a number that is not configured");
        return shared.journal.remove(call);
    }
    let text = format!(
        "a crash left calls of the number {number} open, and it is not configured any more: put it back and restart, or they stay open until their users hang up"
    );
    shared.alarms.raise(Alarm::Journal, number, text);
}
