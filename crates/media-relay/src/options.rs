//! What may differ from call to call.

use std::time::Duration;

use crate::hold::HoldSound;

/// What the owner of a call chooses for its audio path.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// What WhatsApp hears while the PBX holds the call and plays nothing.
    pub hold_sound: HoldSound,
    /// When a side that says nothing is told of.
    pub timeouts: MediaTimeouts,
}

/// How long each side of an open call may send nothing, neither RTP nor RTCP, before
/// [`MediaEvent::Silent`](crate::MediaEvent::Silent) is told. Zero: for ever. Hold does not count, nor
/// does a transfer that rings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MediaTimeouts {
    /// The PBX.
    pub pbx: Duration,
    /// The WhatsApp user, whose phone sends nothing while it is muted.
    pub whatsapp: Duration,
}
