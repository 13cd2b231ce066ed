//! One of the two bands of G.722: adaptive differential coding with a predictor of two poles and
//! six zeros. Sixteen bit arithmetic throughout, with the recommendation's saturation: the far
//! end's predictor has to come to the same bits.

use super::tables::ANTILOG;

/// What tells the bands apart in the adaptation of the step size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// The largest logarithmic factor.
    most: i32,
    /// Bits by which the factor of 1 is shifted.
    shift: i32,
    /// The step size at first.
    first: i32,
}

pub(super) const LOW: Scale = Scale { most: 18_432, shift: 8, first: 32 };
pub(super) const HIGH: Scale = Scale { most: 22_528, shift: 10, first: 8 };

/// The state after each sample of a band.
#[derive(Debug, Clone)]
pub(super) struct Band {
    scale: Scale,
    /// What the next sample is expected to be.
    predicted: i32,
    /// Of that, what the zeros say.
    by_zeros: i32,
    /// The last two reconstructed samples, the newest first.
    reconstructed: [i32; 2],
    /// The signs of the last two partly reconstructed samples.
    signs: [bool; 2],
    poles: [i32; 2],
    /// The last six quantised differences.
    differences: [i32; 6],
    zeros: [i32; 6],
    /// The logarithm of the step size.
    factor: i32,
    step: i32,
}

impl Band {
    pub(super) fn new(scale: Scale) -> Self {
        Self {
            scale,
            predicted: 0,
            by_zeros: 0,
            reconstructed: [0; 2],
            // A sum of zero counts as positive.
            signs: [false; 2],
            poles: [0; 2],
            differences: [0; 6],
            zeros: [0; 6],
            factor: 0,
            step: scale.first,
        }
    }

    pub(super) fn predicted(&self) -> i32 {
        self.predicted
    }

    /// A normalised level at the present step size.
    pub(super) fn scaled(&self, level: i16) -> i32 {
        (self.step * i32::from(level)) >> 15
    }

    /// A decision level at the present step size.
    pub(super) fn decision(&self, level: i32) -> i32 {
        (level * self.step) >> 12
    }

    /// Goes on by one sample: `level` is the quantised difference, `factor` what it does to the
    /// step size.
    pub(super) fn adapt(&mut self, level: i16, factor: i16) {
        let difference = self.scaled(level);
        self.rescale(factor);
        self.move_poles(difference);
        self.move_zeros(difference);
        self.predict();
    }

    fn rescale(&mut self, factor: i16) {
        let factor = ((self.factor * 127) >> 7) + i32::from(factor);
        self.factor = factor.clamp(0, self.scale.most);
        let power = i32::from(ANTILOG[((self.factor >> 6) & 31) as usize]);
        let shift = self.scale.shift - (self.factor >> 11);
        self.step = if shift < 0 { power << -shift } else { power >> shift } << 2;
    }

    fn move_poles(&mut self, difference: i32) {
        let negative = saturate(self.by_zeros + difference) < 0;
        let [before, earlier] = self.signs;
        let [first, second] = self.poles;

        let lean = saturate(first << 2);
        let lean = if negative == before { (-lean).min(32_767) } else { lean };
        let push = if negative == earlier { 128 } else { -128 };
        let second = (push + (lean >> 7) + ((second * 32_512) >> 15)).clamp(-12_288, 12_288);

        let push = if negative == before { 192 } else { -192 };
        let first = saturate(push + ((first * 32_640) >> 15));
        // Keeps the filter stable.
        let most = saturate(15_360 - second);
        self.poles = [first.clamp(-most, most), second];
        self.signs = [negative, before];
        let now = saturate(self.predicted + difference);
        self.reconstructed = [now, self.reconstructed[0]];
    }

    fn move_zeros(&mut self, difference: i32) {
        let push = if difference == 0 { 0 } else { 128 };
        for (zero, before) in self.zeros.iter_mut().zip(self.differences) {
            let push = if (before < 0) == (difference < 0) { push } else { -push };
            *zero = saturate(push + ((*zero * 32_640) >> 15));
        }
        let [a, b, c, d, e, _] = self.differences;
        self.differences = [difference, a, b, c, d, e];
    }

    fn predict(&mut self) {
        let product = |weight: i32, value: i32| (weight * saturate(value + value)) >> 15;
        let by_poles: i32 = self.poles.iter().zip(self.reconstructed).map(|(a, r)| product(*a, r)).sum();
        let by_zeros: i32 = self.zeros.iter().zip(self.differences).map(|(b, d)| product(*b, d)).sum();
        self.by_zeros = saturate(by_zeros);
        self.predicted = saturate(saturate(by_poles) + self.by_zeros);
    }
}

/// Held inside 16 bits.
pub(super) fn saturate(value: i32) -> i32 {
    value.clamp(i16::MIN.into(), i16::MAX.into())
}
