//! What a webhook can say: about a call, about a number, about a user's permission.

mod account;
mod message;

pub use account::{AccountUpdate, CallingUpdate, NumberErrors, Restriction, SettingsUpdate, Violation};
pub(crate) use message::is_call;
pub use message::{PermissionReply, Voicemail};

use crate::identity::Caller;
use crate::wacid::{PhoneNumberId, Wacid};

/// One event. They may come twice, late and in any order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WebhookEvent {
    /// A user calls (with an offer), or our own call has its answer.
    Connect(Connect),
    /// How far our own call got.
    Status(Status),
    /// A call is over.
    Terminate(Terminate),
    /// The recording of a call can be fetched.
    Recording(CallMedia),
    /// The transcription of a call can be fetched.
    Transcription(CallMedia),
    /// A user has left a voicemail in place of a call.
    Voicemail(Voicemail),
    /// A user may be called, or no longer.
    PermissionReply(PermissionReply),
    /// The calling settings of a number have changed.
    SettingsUpdate(SettingsUpdate),
    /// WhatsApp warns or restricts the business.
    AccountUpdate(AccountUpdate),
    /// WhatsApp could not do something for a number, and no call is named.
    NumberErrors(NumberErrors),
    /// Something this version does not know, or cannot use.
    Other {
        /// The webhook field it came in, such as `messages`.
        field: String,
        /// The event's own name, if it has one.
        event: Option<String>,
    },
}

/// Who placed a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// The WhatsApp user called the business.
    UserInitiated,
    /// The business called the WhatsApp user.
    BusinessInitiated,
}

/// A call can be connected: here is the other side's SDP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connect {
    /// The business number it belongs to.
    pub number: PhoneNumberId,
    /// The number itself, as received.
    pub display_number: String,
    /// The call.
    pub wacid: Wacid,
    /// Who placed it.
    pub direction: Direction,
    /// When it happened, in UNIX seconds.
    pub timestamp: Option<u64>,
    /// The WhatsApp user, whoever placed the call.
    pub caller: Caller,
    /// The called number: the business for a user's call, the user for ours.
    pub to: Option<String>,
    /// Offer or answer.
    pub session: Option<Session>,
    /// What we gave to `connect`.
    pub callback_data: Option<String>,
    /// Payload of the call button the user pressed.
    pub cta_payload: Option<String>,
    /// Payload of the link the user followed.
    pub deeplink_payload: Option<String>,
}

/// A session description.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// `offer` or `answer`.
    pub sdp_type: String,
    /// The SDP, as received.
    pub sdp: String,
}

/// How far a call of the business got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// The business number it belongs to.
    pub number: PhoneNumberId,
    /// The call.
    pub wacid: Wacid,
    /// How far it got.
    pub status: CallStatus,
    /// When, in UNIX seconds.
    pub timestamp: Option<u64>,
    /// What we gave to `connect`.
    pub callback_data: Option<String>,
    /// The WhatsApp user, as far as this event tells.
    pub user: Caller,
}

/// The steps WhatsApp tells of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallStatus {
    /// The user's phone rings.
    Ringing,
    /// The user picked up.
    Accepted,
    /// The user declined.
    Rejected,
    /// A word this version does not know.
    Other(String),
}

/// A call is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terminate {
    /// The business number it belongs to.
    pub number: PhoneNumberId,
    /// The call.
    pub wacid: Wacid,
    /// Who placed it.
    pub direction: Option<Direction>,
    /// Completed, as against failed. A call nobody answered is completed too:
    /// `duration` tells whether there was one.
    pub completed: bool,
    /// When it was picked up, in UNIX seconds; absent if never.
    pub start_time: Option<u64>,
    /// When it ended, in UNIX seconds; absent if never picked up.
    pub end_time: Option<u64>,
    /// Seconds it lasted; absent if never picked up.
    pub duration: Option<u32>,
    /// Why it failed.
    pub errors: Vec<WebhookError>,
    /// What we gave to `connect` or `accept`.
    pub callback_data: Option<String>,
    /// When this was said, in UNIX seconds.
    pub timestamp: Option<u64>,
    /// The WhatsApp user, as far as this event tells.
    pub user: Caller,
}

/// Something that was made of a call lies ready.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallMedia {
    /// The business number it belongs to.
    pub number: PhoneNumberId,
    /// The call.
    pub wacid: Wacid,
    /// When, in UNIX seconds.
    pub timestamp: Option<u64>,
}

/// One reason of a failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookError {
    /// The code that counts, such as 138021.
    pub code: u32,
    /// A title, for people.
    pub title: Option<String>,
    /// What exactly went wrong.
    pub details: Option<String>,
}
