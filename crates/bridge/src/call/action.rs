//! What a call wants done: the outputs of the call machine.

use std::time::Instant;

use super::cause::Cause;

/// One thing to do. The call's task does them in order and reports back by events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    // The SIP leg, where the PBX called us.
    /// 180 Ringing.
    SipRing,
    /// 200 OK with our SDP answer.
    SipAnswer,
    /// The final status of the cause.
    SipRefuse(Cause),
    // The SIP leg, where we call the PBX.
    /// INVITE with our SDP offer.
    SipInvite,
    /// CANCEL with the cause as `Reason`.
    SipCancel(Cause),
    // Either.
    /// BYE with the cause as `Reason`.
    SipBye(Cause),

    // The Graph API.
    /// `connect` with our SDP offer.
    GraphConnect,
    /// `pre_accept` with our SDP answer.
    GraphPreAccept,
    /// `accept` with the same bytes.
    GraphAccept,
    /// `reject` or `terminate`.
    GraphEnd(End),

    // The audio path.
    /// Start ICE and DTLS towards the SDP that WhatsApp sent.
    MediaConnect,
    /// Let sound through, both ways.
    MediaOpen,
    /// Close the path and give its ports back.
    MediaClose,

    /// The call is over. Nothing follows.
    Finished(Outcome),
}

/// The two ways to end a WhatsApp call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Only for a user-initiated call that was not accepted yet.
    Reject,
    /// For every other call.
    Terminate,
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why it ended.
    pub cause: Cause,
    /// When it began.
    pub began: Instant,
    /// When the far end rang, if it did.
    pub rang: Option<Instant>,
    /// When it was answered, if it was.
    pub answered: Option<Instant>,
    /// When it ended for its users.
    pub ended: Instant,
    /// False when WhatsApp never confirmed the end of its call, for as long as we tried.
    pub whatsapp_ended: bool,
}
