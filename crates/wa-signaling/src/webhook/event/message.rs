//! What comes in the field `messages` and yet is for calling.

use crate::identity::Caller;
use crate::wacid::{PhoneNumberId, Wacid};

/// A user may be called, or no longer: an answer to a request, a choice in the profile, or WhatsApp's own doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PermissionReply {
    /// The business number.
    pub number: PhoneNumberId,
    /// The user: a number, a user id or both, never neither.
    pub user: Caller,
    /// Whether the user may be called.
    pub accepted: bool,
    /// Whether that holds until it is taken back.
    pub is_permanent: bool,
    /// Until when it holds, in UNIX seconds.
    pub expires: Option<u64>,
    /// Whether WhatsApp decided and not the user: a call of the user's grants it, unanswered ones take it away.
    pub is_automatic: bool,
    /// The message or the call that it answers; none for a choice in the profile and for what WhatsApp takes away.
    pub context: Option<String>,
    /// When, in UNIX seconds.
    pub timestamp: Option<u64>,
}

impl PermissionReply {
    /// The call of the user that brought the permission.
    #[must_use]
    pub fn call(&self) -> Option<Wacid> {
        self.context.as_deref().filter(|id| is_call(id))?.parse().ok()
    }
}

/// A user has left a voicemail in place of a call: a message under the id of the call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Voicemail {
    /// The business number.
    pub number: PhoneNumberId,
    /// The call.
    pub wacid: Wacid,
    /// The user.
    pub user: Caller,
    /// The sound, to be fetched from the Graph API.
    pub media: Option<String>,
    /// When, in UNIX seconds.
    pub timestamp: Option<u64>,
}

/// Whether an id is a call's; messages have `wamid.` in front.
pub(crate) fn is_call(id: &str) -> bool {
    id.starts_with("wacid.")
}
