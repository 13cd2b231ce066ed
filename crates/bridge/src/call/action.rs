//! What a call wants done: the outputs of the call machine.

use std::time::Instant;

use sip_core::LegId;

use super::cause::Cause;

/// One thing to do. The call's task does them in order and reports back by events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    // A SIP leg that the PBX began.
    /// 180 Ringing.
    SipRing(LegId),
    /// 183 with our SDP answer, and a ringing tone of ours.
    SipRingWithTone(LegId),
    /// 200 OK with our SDP answer, or our offer where the INVITE held none.
    SipAnswer(LegId),
    /// The final status of the cause.
    SipRefuse(LegId, Cause),

    // A SIP leg that we begin.
    /// INVITE.
    SipInvite(LegId),
    /// CANCEL with the cause as `Reason`.
    SipCancel(LegId, Cause),

    // Either.
    /// BYE with the cause as `Reason`.
    SipBye(LegId, Cause),

    // A transfer (RFC 3515).
    /// 202 to the REFER that asked for this leg, and its first NOTIFY.
    ReferAccept {
        /// The leg to whom is transferred.
        target: LegId,
    },
    /// The final status of the cause, to the REFER that asked for this leg.
    ReferRefuse {
        /// The leg that will not be.
        target: LegId,
        /// Why.
        cause: Cause,
    },
    /// NOTIFY of how far the transfer is.
    ReferNotify {
        /// The leg of whom asked for it.
        transferor: LegId,
        /// The status that the target gave.
        status: u16,
        /// Whether it is the last.
        last: bool,
    },

    // The Graph API.
    /// Whether the user has permitted calls: from what is remembered, or else by asking.
    GraphPermission,
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
    /// From now on the PBX's sound is that of this leg.
    MediaSwitch(LegId),
    /// Our ringing tone to the WhatsApp user: the PBX plays nothing any more.
    ToneToWhatsApp,
    /// The call's announcement to the WhatsApp user, once.
    MediaAnnounce,
    /// No tone of ours to either side.
    ToneStop,
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
