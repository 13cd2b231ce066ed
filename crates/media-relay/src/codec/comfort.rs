//! Comfort noise (RFC 3389): what a side that pauses in silence says of its background, and the
//! noise made of it. Of the payload the level alone is used; the noise is white, as the RFC has it
//! for a payload without coefficients.

/// The RFC's quietest; for levels that nothing was said about.
const QUIETEST: u8 = 127;
/// 0 dBov.
const FULL_SCALE: f32 = 32_767.0;
/// The level goes to a new one by this much of what is missing with each sample: about 5 ms.
const GLIDE: f32 = 1.0 / 64.0;

/// The level in a payload, in -dBov (0 to 127). `None` for an empty one.
pub(crate) fn read(payload: &[u8]) -> Option<u8> {
    // The upper bit is 0, and ignored.
    payload.first().map(|octet| octet & QUIETEST)
}

/// Noise that goes on from call to call, of one level or of another.
#[derive(Debug, Clone)]
pub(crate) struct Noise {
    state: u32,
    /// The largest sample now.
    peak: f32,
}

impl Noise {
    /// Each seed has its own noise; it begins in silence.
    pub(crate) fn new(seed: u32) -> Self {
        // The generator stays at 0 for ever.
        Self { state: seed.max(1), peak: 0.0 }
    }

    /// The next samples, at a level in -dBov, whatever the rate. A new level is reached within
    /// some milliseconds, not at once.
    pub(crate) fn fill(&mut self, level_dbov: u8, samples: &mut [i16]) {
        let wanted = peak(level_dbov);
        for sample in samples {
            self.peak += (wanted - self.peak) * GLIDE;
            // The cast saturates.
            *sample = (self.next() * self.peak) as i16;
        }
    }

    /// Between -1 and 1, evenly, by Marsaglia's xorshift.
    fn next(&mut self) -> f32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        self.state.cast_signed() as f32 / -(i32::MIN as f32)
    }
}

/// The largest sample of noise of a level: its root mean square is that over the root of 3.
fn peak(level_dbov: u8) -> f32 {
    let level = f32::from(level_dbov.min(QUIETEST));
    FULL_SCALE * 3.0_f32.sqrt() * 10.0_f32.powf(-level / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In -dBov.
    fn level(samples: &[i16]) -> f64 {
        let energy: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        -20.0 * ((energy / samples.len() as f64).sqrt() / 32_767.0).log10()
    }

    #[test]
    fn the_noise_has_the_level_that_is_said() {
        for wanted in [10, 30, 50, 60, 70] {
            let mut samples = [0; 8000];
            Noise::new(1).fill(wanted, &mut samples);
            let level = level(&samples[1000..]);
            assert!((level - f64::from(wanted)).abs() < 0.5, "{wanted}: {level}");
        }
        let mut samples = [1; 800];
        Noise::new(1).fill(127, &mut samples);
        assert_eq!(samples, [0; 800]);
    }

    #[test]
    fn it_is_white_and_has_no_offset() {
        let mut samples = [0; 80_000];
        Noise::new(5).fill(30, &mut samples);
        let samples: Vec<f64> = samples[1000..].iter().map(|sample| f64::from(*sample)).collect();
        let energy: f64 = samples.iter().map(|sample| sample * sample).sum();
        assert!(samples.iter().sum::<f64>().powi(2) / samples.len() as f64 / energy < 1e-3);
        for lag in [1, 2, 3, 5, 8, 20, 160] {
            let alike: f64 = samples.iter().zip(&samples[lag..]).map(|(a, b)| a * b).sum();
            assert!((alike / energy).abs() < 0.02, "{lag}: {}", alike / energy);
        }
    }

    #[test]
    fn a_new_level_is_reached_within_20_ms_without_a_step() {
        let mut noise = Noise::new(9);
        let mut samples = [0; 640];
        noise.fill(40, &mut samples);
        assert!(samples[..16].iter().all(|sample| sample.abs() < 200), "it begins in silence");
        noise.fill(70, &mut samples);
        assert!(level(&samples[..16]) < 50.0, "{}", level(&samples[..16]));
        noise.fill(70, &mut samples);
        assert!((level(&samples) - 70.0).abs() < 2.0, "{}", level(&samples));
    }

    #[test]
    fn each_seed_has_its_own_noise_and_none_is_silent() {
        let noise = |seed| {
            let mut samples = [0; 160];
            Noise::new(seed).fill(30, &mut samples);
            samples
        };
        assert_ne!(noise(1), noise(2));
        assert_ne!(noise(0), [0; 160]);
        assert_eq!(noise(7), noise(7));
    }

    #[test]
    fn levels_are_read_and_coefficients_left_out() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[42]), Some(42));
        assert_eq!(read(&[0xff, 1, 2, 3]), Some(127));
    }
}
