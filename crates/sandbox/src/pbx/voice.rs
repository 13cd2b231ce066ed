//! The phone's codecs behind one door: 20 ms of 8 kHz sound in and out.

use super::{Codec, g711};
use crate::opus::{Decoder, Encoder, OpusError};

/// The phone's sample rate.
pub(super) const RATE: u32 = 8000;
/// Samples in 20 ms.
pub(super) const FRAME: usize = 160;

/// An encoder and a decoder of one codec.
pub(super) enum Voice {
    Mu,
    A,
    Opus(Box<(Encoder, Decoder)>),
}

impl Voice {
    pub(super) fn new(codec: Codec) -> Result<Self, OpusError> {
        Ok(match codec {
            Codec::Pcmu => Self::Mu,
            Codec::Pcma => Self::A,
            Codec::Opus => Self::Opus(Box::new((Encoder::new(RATE)?, Decoder::new(RATE)?))),
        })
    }

    pub(super) fn encode(&mut self, samples: &[i16; FRAME]) -> Vec<u8> {
        match self {
            Self::Mu => samples.iter().map(|s| g711::encode_mu(*s)).collect(),
            Self::A => samples.iter().map(|s| g711::encode_a(*s)).collect(),
            // A frame of the right length is always taken; an empty payload would be noticed.
            Self::Opus(codec) => codec.0.encode(samples).unwrap_or_default(),
        }
    }

    pub(super) fn decode(&mut self, payload: &[u8]) -> Result<Vec<i16>, String> {
        match self {
            Self::Mu => Ok(payload.iter().map(|b| g711::decode_mu(*b)).collect()),
            Self::A => Ok(payload.iter().map(|b| g711::decode_a(*b)).collect()),
            Self::Opus(codec) => codec.1.decode(payload).map(<[i16]>::to_vec).map_err(|e| e.to_string()),
        }
    }
}
