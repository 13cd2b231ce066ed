//! Limits and choices of a call.

use std::time::Duration;

/// What counts as the WhatsApp user's pickup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerOn {
    /// The `ACCEPTED` status.
    #[default]
    Accepted,
    /// `ACCEPTED` or the first sound from WhatsApp, whichever comes first.
    AcceptedOrMedia,
    /// WhatsApp's SDP answer, once DTLS is up.
    Connect,
}

/// When the PBX is called for a WhatsApp user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InviteAfter {
    /// When DTLS is up, so that an IVR that answers at once loses no word.
    #[default]
    DtlsUp,
    /// At once.
    Webhook,
}

/// How the PBX is told that the WhatsApp user is being rung.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ringback {
    /// By 180: the PBX plays a ringing tone of its own.
    #[default]
    Ringing,
    /// By 183 with our SDP answer and a ringing tone that we play.
    Tone,
}

/// Limits and choices of a call.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a WhatsApp user may ring.
    pub ring_limit_out: Duration,
    /// How long the PBX may ring, all of its targets together.
    pub ring_limit_in: Duration,
    /// What counts as pickup.
    pub answer_on: AnswerOn,
    /// When the PBX is called.
    pub invite_after: InviteAfter,
    /// What the PBX hears when the user declines: 486, or 603 when true.
    pub rejected_is_603: bool,
    /// How the PBX is told of ringing.
    pub ringback: Ringback,
    /// The longest that a call may last, from its answer on.
    pub longest: Option<Duration>,
    /// Whether the user's permission is looked at before WhatsApp is told to call.
    pub check_permission: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ring_limit_out: Duration::from_secs(60),
            ring_limit_in: Duration::from_secs(55),
            answer_on: AnswerOn::default(),
            invite_after: InviteAfter::default(),
            rejected_is_603: false,
            ringback: Ringback::default(),
            longest: None,
            check_permission: false,
        }
    }
}
