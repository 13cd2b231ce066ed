//! The codecs that are transcoded, and what goes with them. Opus towards Opus passes through and
//! needs none of them.
//!
//! Everything inside is mono, 20 ms, at the rate of the PBX's codec: Opus encodes and decodes at
//! that rate itself, so there is no resampler on the usual ways.

#[cfg_attr(not(test), expect(dead_code, reason = "the path uses it later"))]
pub(crate) mod comfort;
pub(crate) mod conceal;
pub(crate) mod g711;
pub(crate) mod g722;
pub(crate) mod halfband;
#[cfg_attr(not(test), expect(dead_code, reason = "the path uses it later"))]
pub(crate) mod inband;
pub(crate) mod opus;
#[cfg_attr(not(test), expect(dead_code, reason = "the path uses it later"))]
pub(crate) mod repacketise;

/// Samples of 20 ms at 8 kHz.
pub(crate) const FRAME_SAMPLES: usize = 160;
/// 20 ms of sound.
pub(crate) type Frame = [i16; FRAME_SAMPLES];
