//! How much of the last 20 ms lies at each of the eight frequencies, every 5 ms.

use std::f32::consts::{PI, TAU};

use super::FREQUENCIES;

/// Samples of 20 ms at 16 kHz.
const MAX_WINDOW: usize = 320;
/// Looks in a window.
const STEPS: usize = 4;

/// A sine of 0 dBm0 has this peak: 3.14 dB below full scale (ITU-T G.711).
const PEAK_0_DBM0: f32 = 22_827.0;
/// The least of each tone, with room below the -25 dBm0 of Q.24 and the twist.
const LEAST_DBM0: f32 = -36.0;
/// Of both: the louder one is a tone of Q.24's at least.
const LEAST_LOUDER_DBM0: f32 = -28.0;
/// How much louder the upper tone may be, and how much softer, as ratios of power: Q.24's 4 and 8
/// dB, with room.
const MOST_TWIST: f32 = 3.98;
const LEAST_TWIST: f32 = 0.1;
/// The part of all power that lies in the pair.
const LEAST_PART: f32 = 0.9;
/// How far a frequency may be off: between the 1.5 % that are a key and the 3.5 % that are none.
const MOST_OFF: f32 = 0.024;

/// One pair of frequencies, as indices of rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) row: usize,
    pub(super) column: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Spectrum {
    rate: f32,
    /// Samples in the window and in a step.
    window: usize,
    step: usize,
    /// The last samples, the newest last; `fresh` of them are of the step that is not full yet.
    samples: [i16; MAX_WINDOW],
    fresh: usize,
    weights: [f32; MAX_WINDOW],
    /// Twice the cosine of each frequency's step.
    coefficients: [f32; 8],
    /// What was found at each frequency at the last look.
    last: [Phasor; 8],
}

/// A complex amplitude.
#[derive(Debug, Clone, Copy, Default)]
struct Phasor {
    real: f32,
    imaginary: f32,
}

impl Phasor {
    fn power(self) -> f32 {
        self.real * self.real + self.imaginary * self.imaginary
    }

    /// By how much its angle is ahead of another's.
    fn ahead_of(self, other: Self) -> f32 {
        let real = self.real * other.real + self.imaginary * other.imaginary;
        let imaginary = self.imaginary * other.real - self.real * other.imaginary;
        imaginary.atan2(real)
    }
}

/// A frequency of one group.
#[derive(Debug, Clone, Copy)]
struct Tone {
    index: usize,
    /// Of the frequency that it has, as the square of its peak.
    power: f32,
    /// How far off it is, as a part of the frequency.
    off: f32,
}

impl Spectrum {
    pub(super) fn new(rate: u32) -> Self {
        let window = if rate > 8000 { MAX_WINDOW } else { MAX_WINDOW / 2 };
        let mut weights = [0.0; MAX_WINDOW];
        for (index, weight) in weights.iter_mut().take(window).enumerate() {
            // Hann's.
            *weight = 0.5 - 0.5 * (TAU * (index as f32 + 0.5) / window as f32).cos();
        }
        let rate = rate as f32;
        Self {
            rate,
            window,
            step: window / STEPS,
            samples: [0; MAX_WINDOW],
            fresh: 0,
            weights,
            coefficients: FREQUENCIES.map(|hertz| 2.0 * (TAU * f32::from(hertz) / rate).cos()),
            last: [Phasor::default(); 8],
        }
    }

    pub(super) fn clear(&mut self) {
        self.samples = [0; MAX_WINDOW];
        self.fresh = 0;
        self.last = [Phasor::default(); 8];
    }

    /// Takes samples; `seen` is told at each step.
    pub(super) fn look(&mut self, mut samples: &[i16], seen: &mut impl FnMut(Option<Seen>)) {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(self.step - self.fresh));
            let window = &mut self.samples[..self.window];
            window.copy_within(now.len().., 0);
            window[self.window - now.len()..].copy_from_slice(now);
            self.fresh += now.len();
            samples = later;
            if self.fresh == self.step {
                self.fresh = 0;
                seen(self.pair());
            }
        }
    }

    fn pair(&mut self) -> Option<Seen> {
        let mut weighted = [0.0; MAX_WINDOW];
        let mut energy = 0.0;
        let samples = self.samples.iter().zip(self.weights);
        for (weighted, (sample, weight)) in weighted.iter_mut().zip(samples).take(self.window) {
            *weighted = f32::from(*sample) * weight;
            energy += *weighted * *weighted;
        }
        // The mean square of a sine that fills the window, weighted: 3/8 of half its square.
        let mean_square = energy / (self.window as f32 * 3.0 / 8.0);
        if 2.0 * mean_square < square_of(LEAST_LOUDER_DBM0) {
            self.last = [Phasor::default(); 8];
            return None;
        }
        let found = self.filter(weighted.get(..self.window)?);
        let last = std::mem::replace(&mut self.last, found);
        let row = self.strongest(&found, &last, 0)?;
        let column = self.strongest(&found, &last, 4)?;
        is_key(row, column, mean_square).then_some(Seen { row: row.index, column: column.index - 4 })
    }

    /// Goertzel's, for the eight side by side.
    fn filter(&self, weighted: &[f32]) -> [Phasor; 8] {
        let (mut one, mut two) = ([0.0_f32; 8], [0.0_f32; 8]);
        for sample in weighted {
            for index in 0..8 {
                let next = sample + self.coefficients[index] * one[index] - two[index];
                two[index] = one[index];
                one[index] = next;
            }
        }
        let mut found = [Phasor::default(); 8];
        for (index, found) in found.iter_mut().enumerate() {
            let (sine, cosine) = self.angle(index).sin_cos();
            *found = Phasor { real: one[index] - cosine * two[index], imaginary: sine * two[index] };
        }
        found
    }

    /// The strongest of the four frequencies from `first` on.
    fn strongest(&self, found: &[Phasor; 8], last: &[Phasor; 8], first: usize) -> Option<Tone> {
        let power = |index: &usize| found[*index].power();
        let index = (first..first + 4).max_by(|a, b| power(a).total_cmp(&power(b)))?;
        // How much further the phase is than this frequency would bring it.
        let expected = self.angle(index) * self.step as f32;
        let further = found[index].ahead_of(last[index]) - expected;
        let further = further - TAU * (further / TAU).round();
        let off_hertz = further * self.rate / (TAU * self.step as f32);
        let peak = power(&index).sqrt() * 4.0 / self.window as f32;
        let bins = off_hertz * self.window as f32 / self.rate;
        let power = (peak / hann(bins)).powi(2);
        Some(Tone { index, power, off: off_hertz / f32::from(FREQUENCIES[index]) })
    }

    /// By how much a frequency turns with each sample.
    fn angle(&self, index: usize) -> f32 {
        TAU * f32::from(FREQUENCIES[index]) / self.rate
    }
}

fn is_key(row: Tone, column: Tone, mean_square: f32) -> bool {
    let twist = column.power / row.power;
    let part = (row.power + column.power) / (2.0 * mean_square);
    row.power.min(column.power) >= square_of(LEAST_DBM0)
        && row.power.max(column.power) >= square_of(LEAST_LOUDER_DBM0)
        && (LEAST_TWIST..=MOST_TWIST).contains(&twist)
        && part >= LEAST_PART
        && row.off.abs() <= MOST_OFF
        && column.off.abs() <= MOST_OFF
}

/// The square of the peak of a sine of this level.
fn square_of(dbm0: f32) -> f32 {
    PEAK_0_DBM0 * PEAK_0_DBM0 * 10.0_f32.powf(dbm0 / 10.0)
}

/// How much of a tone Hann's window finds so many bins beside it, of what it finds at it.
fn hann(bins: f32) -> f32 {
    let bins = bins.abs().min(0.9);
    if bins < 0.01 {
        return 1.0;
    }
    (PI * bins).sin() / (PI * bins) / (1.0 - bins * bins)
}
