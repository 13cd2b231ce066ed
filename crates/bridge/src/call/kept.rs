//! What the journal is told of a call.

use super::action::End;
use super::task::CallTask;
use crate::journal::Entry;

impl CallTask {
    /// Writes down that this call may be open at WhatsApp, and how it is ended.
    pub(super) fn keep(&self, end: End) {
        let facts = &self.remains.facts;
        self.shared.journal.put(&Entry {
            mark: facts.mark.clone(),
            direction: facts.direction,
            number: self.remains.number.phone_number_id.clone(),
            wacid: self.remains.wacid.get().cloned(),
            end,
            began_ms: u64::try_from(facts.wall.as_millis()).unwrap_or(u64::MAX),
            trunk: facts.trunk.clone().unwrap_or_default(),
            user: facts.user.user().map(ToOwned::to_owned),
        });
    }
}
