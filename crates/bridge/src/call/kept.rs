//! What the journal is told of a call.

use super::action::End;
use super::task::{CallTask, Side};
use crate::journal::Entry;

impl CallTask {
    /// Writes down that this call may be open at WhatsApp, and how it is ended.
    pub(super) fn keep(&self, end: End) {
        let former = match &self.side {
            Side::Former(entry) => Some(entry),
            Side::FromPbx { .. } | Side::FromWhatsApp { .. } | Side::Refused { .. } | Side::Lost { .. } => {
                None
            }
        };
        self.shared.journal.put(&Entry {
            mark: self.mark.clone(),
            direction: self.direction,
            number: self.remains.number.phone_number_id.clone(),
            wacid: self.remains.wacid.get().cloned(),
            end,
            began_ms: self.began_ms,
            trunk: former.map_or_else(|| self.remains.number.trunk.clone(), |entry| entry.trunk.clone()),
            user: self.user(),
        });
    }

    fn user(&self) -> Option<String> {
        match &self.side {
            Side::FromPbx { callee } => Some(callee.to_string()),
            Side::FromWhatsApp { connect, .. } => connect.caller.user().map(|user| user.to_string()),
            Side::Refused { .. } | Side::Lost { .. } => None,
            Side::Former(entry) => entry.user.clone(),
        }
    }
}
