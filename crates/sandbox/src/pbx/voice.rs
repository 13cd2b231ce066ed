//! The phone's codecs behind one door: a packet's sound in and out.

use audio_codec::g722::{G722Decoder, G722Encoder};
use audio_codec::{Decoder as _, Encoder as _};

use super::{Codec, g711};
use crate::opus::{Decoder, Encoder, OpusError};

/// The sample rate of narrow sound.
pub(super) const RATE: u32 = 8000;
/// That of G.722.
const WIDE: u32 = 16_000;

/// An encoder and a decoder of one codec.
pub(super) enum Voice {
    Mu,
    A,
    Wide(Box<(G722Encoder, G722Decoder)>),
    Opus(Box<(Encoder, Decoder)>),
}

impl Voice {
    pub(super) fn new(codec: Codec) -> Result<Self, OpusError> {
        Ok(match codec {
            Codec::Pcmu => Self::Mu,
            Codec::Pcma => Self::A,
            Codec::G722 => Self::Wide(Box::new((G722Encoder::new(), G722Decoder::new()))),
            Codec::Opus => Self::Opus(Box::new((Encoder::new(RATE)?, Decoder::new(RATE)?))),
        })
    }

    /// Samples a second of what goes in and comes out.
    pub(super) fn rate(&self) -> u32 {
        if matches!(self, Self::Wide(_)) { WIDE } else { RATE }
    }

    /// Samples of so many milliseconds.
    pub(super) fn samples(&self, ms: u8) -> usize {
        self.rate() as usize / 1000 * usize::from(ms)
    }

    pub(super) fn encode(&mut self, samples: &[i16]) -> Vec<u8> {
        match self {
            Self::Mu => samples.iter().map(|s| g711::encode_mu(*s)).collect(),
            Self::A => samples.iter().map(|s| g711::encode_a(*s)).collect(),
            Self::Wide(codec) => {
                let mut payload = vec![0; codec.0.max_encode_bytes(samples.len())];
                let length = codec.0.encode_into(samples, &mut payload).unwrap_or_default();
                payload.truncate(length);
                payload
            }
            // A frame of the right length is always taken; an empty payload would be noticed.
            Self::Opus(codec) => codec.0.encode(samples).unwrap_or_default(),
        }
    }

    pub(super) fn decode(&mut self, payload: &[u8]) -> Result<Vec<i16>, String> {
        match self {
            Self::Mu => Ok(payload.iter().map(|b| g711::decode_mu(*b)).collect()),
            Self::A => Ok(payload.iter().map(|b| g711::decode_a(*b)).collect()),
            Self::Wide(codec) => {
                let mut samples = vec![0; codec.1.max_decode_samples(payload.len())];
                let length = codec.1.decode_into(payload, &mut samples).map_err(|e| e.to_string())?;
                samples.truncate(length);
                Ok(samples)
            }
            Self::Opus(codec) => codec.1.decode(payload).map(<[i16]>::to_vec).map_err(|e| e.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::{Sine, level, share};

    #[test]
    fn every_codec_carries_a_tone_in_packets_of_every_length() {
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus] {
            for ms in [10, 20, 30, 40, 60] {
                // Opus has no frame of 30 ms.
                if (codec, ms) == (Codec::Opus, 30) {
                    continue;
                }
                let mut voice = Voice::new(codec).unwrap();
                let (rate, frame) = (voice.rate(), voice.samples(ms));
                let (mut sine, mut heard) = (Sine::new(1000.0, rate), Vec::new());
                while heard.len() < rate as usize {
                    let mut samples = vec![0; frame];
                    sine.fill(&mut samples);
                    let payload = voice.encode(&samples);
                    let decoded = voice.decode(&payload).unwrap();
                    assert_eq!(decoded.len(), frame, "{codec} {ms}");
                    heard.extend(decoded);
                }
                let steady = &heard[heard.len() / 2..];
                assert!(share(steady, rate, 1000.0) > 0.9, "{codec} {ms}");
                assert!((level(steady) + 15.0).abs() < 1.0, "{codec} {ms}: {}", level(steady));
            }
        }
    }
}
