//! What a path tells about itself.

use std::time::Duration;

use crate::rtp::jitter::Heard;

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    /// The PBX.
    Pbx,
    /// The WhatsApp user.
    WhatsApp,
}

/// How a side is told of keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DigitMode {
    /// By telephone events in RTP (RFC 4733), where it takes them.
    #[default]
    Events,
    /// Not in RTP: the owner does it, say by SIP INFO.
    Off,
}

/// Something happened on the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathEvent {
    /// A key was pressed; told once, when its event begins.
    Digit {
        /// By whom.
        from: Party,
        /// 0-9, *, #, A-D.
        digit: char,
    },
    /// The key was let go, or nothing more was heard of it.
    DigitEnded {
        /// By whom.
        from: Party,
        /// 0-9, *, #, A-D.
        digit: char,
        /// How long it was down.
        duration: Duration,
    },
    /// The first packet of sound, whether or not the gate is open.
    FirstAudio(Party),
    /// Nothing came from a side for as long as it may.
    Silent(Party),
    /// A side that was silent is heard again.
    Heard(Party),
    /// The announcement was played to its end.
    Announced,
}

/// The path cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PathError {
    /// libopus refused to make an encoder or a decoder.
    #[error("opus: {0}")]
    Opus(#[from] opus::Error),
}

/// Packets of both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathCounters {
    /// The PBX's.
    pub pbx: SideCounters,
    /// WhatsApp's.
    pub whatsapp: SideCounters,
}

impl SideCounters {
    /// What a packet was when it came.
    pub(super) fn hear(&mut self, heard: Heard) {
        self.late += u64::from(heard.late);
        self.reordered += u64::from(heard.reordered);
        self.duplicated += u64::from(heard.duplicated);
    }
}

/// Packets of one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SideCounters {
    /// Received from this side.
    pub received: u64,
    /// Sent to this side.
    pub sent: u64,
    /// Of those received: no RTP, or a payload that does not decode.
    pub malformed: u64,
    /// Of those received: a payload type that was not agreed on, comfort noise, no payload.
    pub ignored: u64,
    /// Of those received: too late to be used.
    pub late: u64,
    /// Missing in what was received, where it is decoded.
    pub lost: u64,
    /// Of those lost: concealed.
    pub concealed: u64,
    /// Of those sent: frames of silence that we filled in.
    pub silence: u64,
    /// Of those sent: frames of a tone or an announcement that we played.
    pub tone: u64,
    /// Of those received: after one that was sent later, where they are decoded.
    pub reordered: u64,
    /// Of those received: as one before, where they are decoded.
    pub duplicated: u64,
}
