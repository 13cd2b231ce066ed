//! The codecs that are transcoded. Opus towards Opus passes through and needs none of them.
//!
//! Everything inside is 8 kHz mono, 20 ms: Opus encodes and decodes at that rate itself, so
//! there is no resampler.

pub(crate) mod g711;
pub(crate) mod opus;

/// Samples of 20 ms at 8 kHz.
pub(crate) const FRAME_SAMPLES: usize = 160;
/// 20 ms of sound.
pub(crate) type Frame = [i16; FRAME_SAMPLES];
