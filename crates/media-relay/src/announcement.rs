//! Recorded sound, as samples.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Frames of 20 ms in a second.
const FRAMES_A_SECOND: usize = 50;

/// Recorded speech or music, mono. A clone shares the samples.
#[derive(Clone, PartialEq, Eq)]
pub struct Announcement {
    rate: u32,
    samples: Arc<[i16]>,
}

impl Announcement {
    /// Samples a second that can be played: those at which Opus encodes by itself.
    pub const RATES: [u32; 3] = [8000, 16_000, 48_000];

    /// `rate` is in samples a second; `None` for one that is not of [`Self::RATES`].
    #[must_use]
    pub fn new(rate: u32, samples: Vec<i16>) -> Option<Self> {
        Self::RATES.contains(&rate).then(|| Self { rate, samples: samples.into() })
    }

    /// How long it sounds.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_secs_f64(self.samples.len() as f64 / f64::from(self.rate))
    }

    /// Samples a second.
    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    /// The samples from this one on.
    pub(crate) fn samples(&self, from: usize) -> &[i16] {
        self.samples.get(from..).unwrap_or_default()
    }

    /// Samples of a whole frame.
    pub(crate) fn frame_size(&self) -> usize {
        self.rate as usize / FRAMES_A_SECOND
    }
}

impl fmt::Debug for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcement").field("rate", &self.rate).field("length", &self.length()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_has_a_length_and_an_end() {
        let recording = Announcement::new(16_000, vec![1; 700]).expect("a rate");
        assert_eq!((recording.frame_size(), recording.samples(600).len()), (320, 100));
        assert_eq!(recording.length(), Duration::from_micros(43_750));
        assert!(recording.samples(700).is_empty());
        assert!(recording.samples(usize::MAX).is_empty());
    }

    #[test]
    fn only_the_rates_of_opus_are_taken() {
        assert!(Announcement::RATES.iter().all(|rate| Announcement::new(*rate, Vec::new()).is_some()));
        assert!(Announcement::new(44_100, vec![0; 100]).is_none());
    }
}
