//! The codecs of the PBX's side, and their payload types in our own offers.

use std::fmt;
use std::str::FromStr;

use super::super::Format;

/// The longest packet that is made here, and the longest that we ask for.
pub(super) const LONGEST_PACKET_MS: u32 = 60;

/// RFC 3551 6: numbers from here have no meaning of their own.
const FIRST_DYNAMIC: u8 = 96;

/// A codec towards the PBX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// opus/48000/2, passed through untouched.
    Opus,
    /// G.722 at 64 kbit/s: 16 kHz sound under an RTP clock of 8000 (RFC 3551 4.5.2).
    G722,
    /// G.711 mu-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

impl Codec {
    /// The clock of its RTP timestamps.
    pub fn clock(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::G722 | Self::Pcmu | Self::Pcma => 8000,
        }
    }

    /// What a packet to the PBX holds, in milliseconds, where it likes to receive so much: what comes
    /// from WhatsApp untouched comes in packets of 20.
    pub(super) fn packet_time(self, liked: u32) -> u32 {
        match self {
            Self::Opus => 20,
            Self::G722 | Self::Pcmu | Self::Pcma => liked.clamp(10, LONGEST_PACKET_MS) / 10 * 10,
        }
    }

    pub(in crate::sdp) fn rtpmap(self) -> &'static str {
        match self {
            Self::Opus => "opus/48000/2",
            Self::G722 => "G722/8000",
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
        }
    }

    /// The codec of a payload type, if it is one of ours.
    pub(super) fn of(format: &Format) -> Option<Self> {
        match (format.encoding.as_str(), format.clock) {
            ("opus", 48_000) => Some(Self::Opus),
            ("g722", 8000) => Some(Self::G722),
            ("pcmu", 8000) => Some(Self::Pcmu),
            ("pcma", 8000) => Some(Self::Pcma),
            _ => None,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opus => "opus",
            Self::G722 => "g722",
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
        })
    }
}

/// Not the name of a codec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown codec {0:?}: expected opus, g722, pcmu or pcma")]
pub struct UnknownCodec(pub String);

impl FromStr for Codec {
    type Err = UnknownCodec;

    fn from_str(name: &str) -> Result<Self, UnknownCodec> {
        match name.to_ascii_lowercase().as_str() {
            "opus" => Ok(Self::Opus),
            "g722" => Ok(Self::G722),
            "pcmu" => Ok(Self::Pcmu),
            "pcma" => Ok(Self::Pcma),
            _ => Err(UnknownCodec(name.to_owned())),
        }
    }
}

/// Our dynamic payload types in one session. A number keeps its meaning as long as the session
/// lives (RFC 3264 8.3.2), so what the PBX has mapped is taken over, and what it uses for
/// something else is left to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbers {
    opus: u8,
    /// telephone-event/8000: 101 is the one every PBX is used to.
    events_8000: u8,
    /// telephone-event/48000, offered beside Opus (RFC 4733 2.1: one clock a stream).
    events_48000: u8,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { opus: 107, events_8000: 101, events_48000: 102 }
    }
}

impl Numbers {
    pub(super) fn of(self, codec: Codec) -> u8 {
        match codec {
            Codec::Opus => self.opus,
            Codec::G722 => 9,
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
        }
    }

    /// Of telephone-event in this clock.
    pub(super) fn events(self, clock: u32) -> u8 {
        if clock == 48_000 { self.events_48000 } else { self.events_8000 }
    }

    /// What the PBX's formats say about the numbers of later offers of ours.
    pub(super) fn learn(&mut self, formats: &[Format]) {
        let mapped = |encoding: &str, clock: u32| {
            let mut found = formats.iter().filter(|f| f.encoding == encoding && f.clock == clock);
            found.find(|f| f.payload_type >= FIRST_DYNAMIC).map(|f| f.payload_type)
        };
        let used = |number: u8| formats.iter().any(|format| format.payload_type == number);
        let ours = [self.opus, self.events_8000, self.events_48000];
        let mut free = (FIRST_DYNAMIC..128).rev().filter(|number| !used(*number) && !ours.contains(number));
        for (own, theirs) in [
            (&mut self.opus, mapped("opus", 48_000)),
            (&mut self.events_8000, mapped("telephone-event", 8000)),
            (&mut self.events_48000, mapped("telephone-event", 48_000)),
        ] {
            if let Some(number) = theirs {
                *own = number;
            } else if used(*own) {
                *own = free.next().unwrap_or(*own);
            }
        }
    }
}
