//! Chirps: a tone that climbs evenly and begins anew. Where a steady tone tells only its frequency, each moment of a
//! chirp tells when it was spoken: sound that is stretched, doubled or left out has its time wrong.

use std::f64::consts::TAU;
use std::time::Duration;

use crate::tone::{dominant_in, share};

/// What is looked at at once, and how far it is to the next look.
const WINDOW: Duration = Duration::from_millis(32);
const HOP: Duration = Duration::from_millis(20);
/// Around the leap back to its beginning a chirp has two frequencies.
const MARGIN: f64 = 0.06;
/// A window in which the chirp is less than this part of the sound is not judged.
const CLEAR: f64 = 0.5;

/// A tone that climbs from one frequency to another, again and again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chirp {
    /// Hz at its beginning.
    pub from: f64,
    /// Hz at its end.
    pub to: f64,
    /// How long it takes.
    pub over: Duration,
}

/// Within what every codec carries, and steep enough that 10 ms are 12 Hz.
pub const SPEECH: Chirp = Chirp { from: 400.0, to: 2800.0, over: Duration::from_secs(2) };

/// How the time of a chirp that was heard stands to the time of the one that was spoken.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Part of the windows in which the chirp was clear.
    pub clear: f64,
    /// How much faster it was heard than spoken: 0 is right, 0.01 are 10 ms in each second.
    pub skew: f64,
    /// The most that any clear window stood off from the others.
    pub worst: Duration,
}

impl Timing {
    /// Nothing stretched, doubled or left out: the time stands within this everywhere.
    #[must_use]
    pub fn is_straight(&self, within: Duration) -> bool {
        self.clear > 0.8 && self.skew.abs() < 0.002 && self.worst <= within
    }
}

impl Chirp {
    fn over(&self) -> f64 {
        self.over.as_secs_f64()
    }

    /// Hz at a time since its first beginning.
    #[must_use]
    pub fn hz_at(&self, seconds: f64) -> f64 {
        let part = (seconds / self.over()).rem_euclid(1.0);
        self.from + (self.to - self.from) * part
    }

    /// The time at which it has this frequency, since a beginning.
    fn time_of(&self, hz: f64) -> f64 {
        (hz - self.from) / (self.to - self.from) * self.over()
    }

    /// How it was heard; None where it was not.
    #[must_use]
    pub fn timing(&self, samples: &[i16], rate: u32) -> Option<Timing> {
        let size = |time: Duration| (f64::from(rate) * time.as_secs_f64()) as usize;
        let (window, hop) = (size(WINDOW), size(HOP));
        let count = samples.len().checked_sub(window)? / hop;
        let offsets: Vec<(f64, f64)> = (0..count)
            .filter_map(|index| {
                let start = index * hop;
                let offset = self.offset(samples.get(start..start + window)?, rate)?;
                Some((start as f64 / f64::from(rate), offset))
            })
            .map(|(at, offset)| (at, offset - at))
            .collect();
        let middle = self.circular_mean(offsets.iter().map(|(_, offset)| *offset))?;
        let off = |offset: f64| {
            let over = self.over();
            (offset - middle + over / 2.0).rem_euclid(over) - over / 2.0
        };
        let points: Vec<(f64, f64)> = offsets.iter().map(|(at, offset)| (*at, off(*offset))).collect();
        let worst = points.iter().map(|(_, off)| off.abs()).fold(0.0, f64::max);
        Some(Timing {
            clear: points.len() as f64 / (count as f64 * (1.0 - 2.0 * MARGIN)),
            skew: slope(&points),
            worst: Duration::from_secs_f64(worst),
        })
    }

    /// The time in the chirp at the beginning of a window.
    fn offset(&self, window: &[i16], rate: u32) -> Option<f64> {
        let hz = dominant_in(window, rate, (self.from, self.to));
        let margin = MARGIN * (self.to - self.from);
        let inside = (self.from + margin..=self.to - margin).contains(&hz);
        (inside && share(window, rate, hz) > CLEAR).then(|| self.time_of(hz) - WINDOW.as_secs_f64() / 2.0)
    }

    fn circular_mean(&self, offsets: impl Iterator<Item = f64>) -> Option<f64> {
        let turn = TAU / self.over();
        let (mut x, mut y) = (0.0, 0.0);
        for offset in offsets {
            x += (offset * turn).cos();
            y += (offset * turn).sin();
        }
        (x != 0.0 || y != 0.0).then(|| y.atan2(x) / turn)
    }
}

/// Of the straight line through them.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let (above, below) = points
        .iter()
        .fold((0.0, 0.0), |(above, below), p| (above + (p.0 - x) * (p.1 - y), below + (p.0 - x).powi(2)));
    if below > 0.0 { above / below } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::{Sine, Sound};

    const RATE: u32 = 8000;
    const CLOSE: Duration = Duration::from_millis(8);

    fn spoken(seconds: f64) -> Vec<i16> {
        let mut sine = Sine::new(0.0, RATE);
        sine.say(Sound::Chirp(SPEECH));
        let mut samples = vec![0; (seconds * f64::from(RATE)) as usize];
        sine.fill(&mut samples);
        samples
    }

    fn timing(samples: &[i16]) -> Timing {
        SPEECH.timing(samples, RATE).unwrap()
    }

    #[test]
    fn a_chirp_as_it_was_spoken_is_straight_from_wherever_it_is_heard() {
        let samples = spoken(7.0);
        for start in [0, 3000, 11_111] {
            let timing = timing(&samples[start..]);
            assert!(timing.is_straight(CLOSE), "{timing:?}");
        }
    }

    #[test]
    fn thirty_ms_that_are_missing_or_twice_there_are_seen() {
        let samples = spoken(6.0);
        let missing = [&samples[..20_000], &samples[20_240..]].concat();
        let doubled = [&samples[..20_000], &samples[19_760..]].concat();
        for wrong in [missing, doubled] {
            let timing = timing(&wrong);
            assert!(!timing.is_straight(Duration::from_millis(12)), "{timing:?}");
        }
    }

    #[test]
    fn sound_that_is_stretched_by_one_in_a_hundred_is_seen() {
        let samples = spoken(6.0);
        let stretched: Vec<i16> = (0..47_000).map(|at| samples[(f64::from(at) * 1.01) as usize]).collect();
        let timing = timing(&stretched);
        assert!((0.008..0.012).contains(&timing.skew) && !timing.is_straight(CLOSE), "{timing:?}");
    }

    #[test]
    fn silence_noise_and_a_steady_tone_are_no_chirp() {
        assert!(SPEECH.timing(&[0; 100], RATE).is_none());
        assert!(SPEECH.timing(&[0; 16_000], RATE).is_none());
        let mut tone = vec![0; 24_000];
        Sine::new(900.0, RATE).fill(&mut tone);
        assert!(!timing(&tone).is_straight(Duration::from_millis(50)));
    }
}
