//! What an audio path tells its owner.

use std::fmt;
use std::time::Duration;

use crate::path::{Party, PathCounters};
use crate::quality::CallQuality;

/// What happened on an audio path. `Closed` is the last, and comes once.
#[derive(Debug)]
pub enum MediaEvent {
    /// ICE has nominated, DTLS is up and the fingerprint is the announced one; with SDES, WhatsApp's key
    /// is there.
    Connected,
    /// The WhatsApp side cannot be, or is no longer, connected: no sound will
    /// pass again. The owner should drop the session.
    Failed(MediaFailure),
    /// The first audio packet from a side has come.
    FirstAudio(Party),
    /// A key was pressed. `DigitEnded` follows.
    Digit {
        /// Who pressed it.
        from: Party,
        /// `0`-`9`, `*`, `#` or `A`-`D`.
        digit: char,
    },
    /// The key of the last [`Self::Digit`] of that side was let go.
    DigitEnded {
        /// Who pressed it.
        from: Party,
        /// `0`-`9`, `*`, `#` or `A`-`D`.
        digit: char,
        /// How long it was down; the last that was heard of it when its end was lost.
        duration: Duration,
    },
    /// Nothing came from a side for as long as [`MediaTimeouts`](crate::MediaTimeouts) allow. Told once.
    Silent(Party),
    /// A side that was [`Self::Silent`] is heard again.
    Heard(Party),
    /// The announcement has been sent to its last frame. Not told of one that was stopped.
    Announced,
    /// The path is gone.
    Closed(Summary),
}

/// Why the WhatsApp side failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaFailure {
    /// Nothing in the remote description can be used.
    #[error("unusable remote description: {0}")]
    Unusable(&'static str),
    /// No candidate of WhatsApp's answered within the set-up limit.
    #[error("no ICE connectivity check was answered")]
    IceTimeout,
    /// The DTLS handshake failed or took too long.
    #[error("DTLS failed: {0}")]
    DtlsFailed(String),
    /// The certificate is not the one whose fingerprint the SDP announced.
    #[error("the DTLS certificate does not match the announced fingerprint")]
    FingerprintMismatch,
    /// No consent check was answered for 30 s (RFC 7675).
    #[error("ICE consent lost")]
    ConsentLost,
    /// A step of this call panicked: a bug, contained to this call.
    #[error("panic in the media path")]
    Panic,
}

/// What has passed over an audio path until it closed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// Packets per side.
    pub packets: PathCounters,
    /// Datagrams refused before they reached the path: strangers, bad
    /// authentication, replays, media before its time.
    pub refused: u64,
    /// From the start of ICE until DTLS was up.
    pub setup: Option<Duration>,
    /// How well it was heard.
    pub quality: CallQuality,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PathCounters { pbx, whatsapp } = &self.packets;
        write!(
            f,
            "pbx in {} out {}, whatsapp in {} out {}, refused {}",
            pbx.received, pbx.sent, whatsapp.received, whatsapp.sent, self.refused
        )?;
        let CallQuality { pbx, whatsapp } = &self.quality;
        for (side, figure) in [("pbx", pbx.mos), ("whatsapp", whatsapp.mos)] {
            if let Some(mos) = figure.mean() {
                write!(f, ", {side} mos {mos:.2}")?;
            }
        }
        Ok(())
    }
}
