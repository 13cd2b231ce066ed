//! The pair of tones of a key.

use std::f32::consts::TAU;

use super::{FREQUENCIES, KEYS};

/// The peaks of the lower tone, about -10 dBm0, and of the upper one, 2 dB louder, for lines take
/// more of it away.
const LOWER: f32 = 7200.0;
const UPPER: f32 = 9060.0;
/// The tones swell and fade for so long: without it they would click.
const SWELL_MS: u32 = 2;

/// One key, pressed from the first sample on.
#[derive(Debug, Clone)]
pub(crate) struct Dial {
    tones: [Oscillator; 2],
    /// Between 0 and 1, and how much it grows with each sample.
    level: f32,
    swell: f32,
}

#[derive(Debug, Clone, Copy)]
struct Oscillator {
    peak: f32,
    /// Parts of a turn.
    at: f32,
    step: f32,
}

impl Dial {
    /// `None` for what is no key: 0-9, *, #, A-D are.
    pub(crate) fn new(digit: char, rate: u32) -> Option<Self> {
        let digit = digit.to_ascii_uppercase();
        let (row, column) = KEYS.iter().enumerate().find_map(|(row, keys)| {
            let column = keys.iter().position(|key| *key == digit)?;
            Some((row, column))
        })?;
        let oscillator = |index: usize, peak| {
            let step = f32::from(FREQUENCIES[index]) / rate as f32;
            Oscillator { peak, at: 0.0, step }
        };
        let swell = 1000.0 / (rate * SWELL_MS) as f32;
        Some(Self { tones: [oscillator(row, LOWER), oscillator(column + 4, UPPER)], level: 0.0, swell })
    }

    /// The next samples, in place of what was there.
    pub(crate) fn fill(&mut self, samples: &mut [i16]) {
        self.run(samples, self.swell);
    }

    /// The last samples: the tones fade at once, silence follows.
    pub(crate) fn finish(&mut self, samples: &mut [i16]) {
        self.run(samples, -self.swell);
    }

    fn run(&mut self, samples: &mut [i16], swell: f32) {
        for sample in samples {
            self.level = (self.level + swell).clamp(0.0, 1.0);
            let [lower, upper] = &mut self.tones;
            // Half of full scale.
            *sample = (self.level * (lower.next() + upper.next())) as i16;
        }
    }
}

impl Oscillator {
    fn next(&mut self) -> f32 {
        let value = self.peak * (TAU * self.at).sin();
        self.at += self.step;
        self.at -= self.at.floor();
        value
    }
}
