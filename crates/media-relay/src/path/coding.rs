//! How a packet's sound is coded.

use crate::codec::g711::Law;
use crate::codec::opus;
use crate::sdp::pbx::Codec;

/// The clock of Opus (RFC 7587 4.1).
const OPUS_CLOCK: u32 = 48_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Opus,
    G711(Law),
    G722,
}

impl Coding {
    /// Of RTP timestamps.
    pub(super) fn clock(self) -> u32 {
        match self {
            Self::Opus => OPUS_CLOCK,
            Self::G711(_) | Self::G722 => 8000,
        }
    }

    /// The length of a payload in ticks; `None` for what is no such payload.
    pub(super) fn ticks(self, payload: &[u8]) -> Option<u32> {
        match self {
            Self::Opus => opus::samples(payload, OPUS_CLOCK),
            // An octet a tick: one sample, or two of G.722 (RFC 3551 4.5.2).
            Self::G711(_) | Self::G722 => u32::try_from(payload.len()).ok(),
        }
    }

    /// As a number to be kept in a header's payload type.
    pub(super) fn tag(self) -> u8 {
        match self {
            Self::G711(Law::Mu) => 0,
            Self::G711(Law::A) => 8,
            Self::G722 => 9,
            Self::Opus => 96,
        }
    }

    /// The coding of a [`Self::tag`].
    pub(super) fn of_tag(tag: u8) -> Self {
        match tag {
            0 => Self::G711(Law::Mu),
            8 => Self::G711(Law::A),
            9 => Self::G722,
            _ => Self::Opus,
        }
    }
}

impl From<Codec> for Coding {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::Opus => Self::Opus,
            Codec::G722 => Self::G722,
            Codec::Pcmu => Self::G711(Law::Mu),
            Codec::Pcma => Self::G711(Law::A),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_tells_the_coding() {
        for codec in [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma] {
            let coding = Coding::from(codec);
            assert_eq!(Coding::of_tag(coding.tag()), coding);
            assert_eq!(coding.clock(), codec.clock());
        }
    }

    #[test]
    fn lengths_are_told_in_the_clock_of_the_coding() {
        assert_eq!(Coding::G711(Law::A).ticks(&[0; 240]), Some(240));
        assert_eq!(Coding::G722.ticks(&[0; 160]), Some(160), "20 ms, 320 samples");
        assert_eq!(Coding::Opus.ticks(&opus::SILENCE), Some(960));
        assert_eq!(Coding::Opus.ticks(&[]), None);
    }
}
