//! What can happen to a call: the inputs of the call machine.

use media_relay::Party;
use sip_core::{LegId, Lost};
use wa_signaling::ErrorKind;
use wa_signaling::webhook::event::{CallStatus, Terminate};

use crate::trunk::failover::Refusal;

/// One thing that happened. Events may come in any order and more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something happened on a SIP leg.
    Sip(LegId, SipEvent),

    // Replies of the Graph API.
    /// To the question whether the user has permitted calls; an error that is no refusal leaves it open.
    PermissionReply(Result<(), ErrorKind>),
    /// To `connect`.
    ConnectReply(Result<(), ErrorKind>),
    /// To `pre_accept`.
    PreAcceptReply(Result<(), ErrorKind>),
    /// To `accept`.
    AcceptReply(Result<(), ErrorKind>),
    /// To `reject` or `terminate`.
    EndReply(Result<(), ErrorKind>),

    // Webhooks.
    /// The WhatsApp call id became known, by reply or webhook.
    Identified,
    /// `connect` with WhatsApp's SDP answer; whether the SDP can be used.
    WaConnect {
        /// False when WhatsApp's SDP can't be used.
        usable: bool,
    },
    /// Status `RINGING`.
    WaRinging,
    /// Status `ACCEPTED`.
    WaAccepted,
    /// Status `REJECTED`.
    WaRejected,
    /// `terminate`, with the first error code when the call failed.
    WaTerminated {
        /// The code of the webhook's first error.
        error: Option<u32>,
    },
    /// `terminate` without an error, of a call that the user had picked up.
    WaHungUp,

    // The audio path.
    /// ICE and DTLS are up.
    MediaConnected,
    /// Sound came from WhatsApp before we opened the path.
    MediaHeard,
    /// The announcement was played to its end.
    MediaAnnounced,
    /// ICE or DTLS failed, consent was lost, or the path broke.
    MediaFailed,
    /// Nothing came from a side for as long as its trunk allows.
    MediaSilent(Party),

    /// The program ends.
    Shutdown,
}

/// What can happen on a SIP leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SipEvent {
    /// The PBX sent CANCEL for its INVITE.
    Cancelled,
    /// The PBX sent BYE.
    Bye,
    /// Our 200 was never acknowledged.
    AckTimeout,
    /// The ACK for our 200 that held the offer; whether the answer in it can be used.
    Acked {
        /// False when there is no SDP or no common codec in it.
        usable: bool,
    },
    /// A provisional response to our INVITE, but not 100.
    Ringing(u16),
    /// The PBX answered our INVITE; whether its SDP can be used.
    Answered {
        /// False when there is no SDP or no common codec in it.
        usable: bool,
    },
    /// The PBX refused our INVITE.
    Refused(SipRefusal),
    /// REFER: the PBX wants the call to go on with whom it names.
    Refer {
        /// The leg that the new INVITE will be.
        target: LegId,
    },
    /// An INVITE with Replaces that names this leg; its SDP can be used.
    Replaced {
        /// The leg of that INVITE.
        by: LegId,
    },
    /// The session is dead, although nobody hung up.
    Lost(Lost),
    /// The leg is gone and nothing more will come of it.
    Ended,
}

impl Event {
    /// What a status says, if this version knows the word.
    pub(super) fn of_status(status: &CallStatus) -> Option<Self> {
        match status {
            CallStatus::Ringing => Some(Self::WaRinging),
            CallStatus::Accepted => Some(Self::WaAccepted),
            CallStatus::Rejected => Some(Self::WaRejected),
            CallStatus::Other(_) => None,
        }
    }

    /// What a `terminate` says.
    pub(super) fn of_terminate(terminate: &Terminate) -> Self {
        match terminate.errors.first() {
            Some(error) => Self::WaTerminated { error: Some(error.code) },
            None if terminate.start_time.is_some()
                || terminate.duration.is_some_and(|seconds| seconds > 0) =>
            {
                Self::WaHungUp
            }
            None => Self::WaTerminated { error: None },
        }
    }
}

impl From<SipRefusal> for Refusal {
    fn from(refusal: SipRefusal) -> Self {
        match refusal {
            SipRefusal::Status(status) => Self::Status { status, retry_after: None },
            SipRefusal::Redirected(_) => Self::Status { status: 302, retry_after: None },
            SipRefusal::Silence => Self::Silence,
            SipRefusal::Timeout => Self::Timeout,
            SipRefusal::Unreachable => Self::Transport,
        }
    }
}

/// How the PBX refused our INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SipRefusal {
    /// With this final status.
    Status(u16),
    /// By a 3xx to a place inside the trunk, for which this leg stands ready.
    Redirected(LegId),
    /// No response at all in the time that a target has.
    Silence,
    /// No final response (Timer B, RFC 3261 17.1.1).
    Timeout,
    /// Its address could not be reached.
    Unreachable,
}
