//! What can happen to a call: the inputs of the call machine.

use wa_signaling::ErrorKind;

/// One thing that happened. Events may come in any order and more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    // The SIP leg.
    /// The PBX sent CANCEL for its INVITE.
    SipCancelled,
    /// The PBX sent BYE.
    SipBye,
    /// Our 200 was never acknowledged.
    SipAckTimeout,
    /// The PBX answered our INVITE; whether its SDP can be used.
    SipAnswered {
        /// False when there is no SDP or no common codec in it.
        usable: bool,
    },
    /// The PBX refused our INVITE.
    SipRefused(SipRefusal),
    /// The SIP leg is gone and nothing more will come of it.
    SipEnded,

    // Replies of the Graph API.
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

    // The audio path.
    /// ICE and DTLS are up.
    MediaConnected,
    /// Sound came from WhatsApp before we opened the path.
    MediaHeard,
    /// ICE or DTLS failed, consent was lost, or the path broke.
    MediaFailed,

    /// The program ends.
    Shutdown,
}

/// How the PBX refused our INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SipRefusal {
    /// With this final status.
    Status(u16),
    /// By silence (Timer B, RFC 3261 17.1.1).
    Timeout,
    /// Its address could not be reached.
    Unreachable,
}
