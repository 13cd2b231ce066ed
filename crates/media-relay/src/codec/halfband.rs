//! From 8 to 16 kHz and back, for sound that goes between G.711 and G.722 without Opus.
//!
//! One half-band filter of 39 taps: flat within 0.1 dB to 3.4 kHz, 45 dB down from 4.6 kHz on.
//! Each way delays by 19 samples at 16 kHz, 1.2 ms.

/// Every second tap from the middle on, in 1/16384, doubled; the middle is 1, the others are 0.
/// Any finer, and the sum of the loudest sound would not fit 32 bits.
const TAPS: [i32; 10] = [10_382, -3311, 1816, -1130, 726, -462, 282, -160, 80, -31];
/// Samples at 8 kHz that the filter sees.
const SEEN: usize = 2 * TAPS.len();
/// The one in the middle, counted from the newest.
const MIDDLE: usize = TAPS.len() - 1;

/// Samples at 8 kHz to twice as many at 16 kHz.
#[derive(Debug, Clone)]
pub(crate) struct Up {
    past: Past,
}

impl Up {
    pub(crate) fn new() -> Self {
        Self { past: Past::new() }
    }

    /// As many as there is room for.
    pub(crate) fn run(&mut self, at_8k: &[i16], at_16k: &mut [i16]) {
        let (pairs, _) = at_16k.as_chunks_mut();
        for (pair, sample) in pairs.iter_mut().zip(at_8k) {
            self.past.push(*sample);
            *pair = [saturate(self.past.filtered()), self.past.middle()];
        }
    }
}

/// Samples at 16 kHz to half as many at 8 kHz.
#[derive(Debug, Clone)]
pub(crate) struct Down {
    first: Past,
    second: Past,
}

impl Down {
    pub(crate) fn new() -> Self {
        Self { first: Past::new(), second: Past::new() }
    }

    /// As many as there is room for.
    pub(crate) fn run(&mut self, at_16k: &[i16], at_8k: &mut [i16]) {
        let (pairs, _) = at_16k.as_chunks();
        for (sample, [first, second]) in at_8k.iter_mut().zip(pairs) {
            self.first.push(*first);
            self.second.push(*second);
            *sample = saturate((self.second.filtered() + i32::from(self.first.middle())) >> 1);
        }
    }
}

/// The samples that the filter sees, the newest last.
#[derive(Debug, Clone)]
struct Past([i16; SEEN]);

impl Past {
    fn new() -> Self {
        Self([0; SEEN])
    }

    fn push(&mut self, sample: i16) {
        self.0.copy_within(1.., 0);
        self.0[SEEN - 1] = sample;
    }

    fn middle(&self) -> i16 {
        self.0[SEEN - 1 - MIDDLE]
    }

    /// The taps beside the middle.
    fn filtered(&self) -> i32 {
        let (older, newer) = self.0.split_at(TAPS.len());
        let pairs = older.iter().rev().zip(newer);
        let sum: i32 = pairs.zip(TAPS).map(|((a, b), tap)| tap * (i32::from(*a) + i32::from(*b))).sum();
        (sum + (1 << 13)) >> 14
    }
}

fn saturate(value: i32) -> i16 {
    i16::try_from(value).unwrap_or(if value < 0 { i16::MIN } else { i16::MAX })
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn tone(rate: f64, frequency: f64, delay: f64) -> Vec<i16> {
        let sample = |index| 16_000.0 * (TAU * frequency * (f64::from(index) - delay) / rate).sin();
        (0..rate as i32 / 4).map(|index| sample(index).round() as i16).collect()
    }

    /// Decibels between the energies of a difference and of what was wanted, once settled.
    fn error(heard: &[i16], wanted: &[i16]) -> f64 {
        let energy = |samples: &mut dyn Iterator<Item = f64>| samples.map(|x| x * x).sum::<f64>();
        let pairs = || heard.iter().zip(wanted).skip(100);
        let missed = energy(&mut pairs().map(|(a, b)| f64::from(*a) - f64::from(*b)));
        10.0 * (missed / energy(&mut pairs().map(|(_, b)| f64::from(*b)))).log10()
    }

    fn up(sound: &[i16]) -> Vec<i16> {
        let (mut up, mut wide) = (Up::new(), vec![0; sound.len() * 2]);
        sound.chunks(160).zip(wide.chunks_mut(320)).for_each(|(from, to)| up.run(from, to));
        wide
    }

    fn down(sound: &[i16]) -> Vec<i16> {
        let (mut down, mut narrow) = (Down::new(), vec![0; sound.len() / 2]);
        sound.chunks(320).zip(narrow.chunks_mut(160)).for_each(|(from, to)| down.run(from, to));
        narrow
    }

    #[test]
    fn speech_frequencies_come_through_19_samples_later() {
        for frequency in [100.0, 440.0, 1000.0, 2000.0, 3000.0, 3400.0] {
            let heard = up(&tone(8000.0, frequency, 0.0));
            let up_error = error(&heard, &tone(16_000.0, frequency, 19.0));
            assert!(up_error < -38.0, "{frequency} Hz up: {up_error} dB");
            let heard = down(&tone(16_000.0, frequency, 0.0));
            // The newer of each pair is filtered: 18 of its 19 samples are 9 at 8 kHz.
            let down_error = error(&heard, &tone(8000.0, frequency, 9.0));
            assert!(down_error < -38.0, "{frequency} Hz down: {down_error} dB");
        }
    }

    #[test]
    fn what_8_khz_cannot_hold_is_taken_out_and_nothing_of_it_is_made_up() {
        let energy = |samples: &[i16]| samples.iter().skip(100).map(|s| f64::from(*s).powi(2)).sum::<f64>();
        for frequency in [4600.0, 5000.0, 6000.0, 7000.0] {
            let sound = tone(16_000.0, frequency, 0.0);
            let left = 10.0 * (2.0 * energy(&down(&sound)) / energy(&sound)).log10();
            assert!(left < -42.0, "{frequency} Hz: {left} dB");
            // Its image below, in what comes from 8 kHz.
            let wide = up(&tone(8000.0, 8000.0 - frequency, 0.0));
            let image = error(&wide, &tone(16_000.0, 8000.0 - frequency, 19.0));
            assert!(image < -38.0, "{frequency} Hz: {image} dB");
        }
    }

    /// Each sample as loud as can be, and of the sign with which its tap adds most.
    #[test]
    fn the_loudest_sound_saturates() {
        let signs = TAPS.map(i32::signum);
        for (loud, soft, most) in [(i16::MAX, i16::MIN, i16::MAX), (i16::MIN, i16::MAX, i16::MIN)] {
            let around = signs.iter().rev().chain(&signs);
            let seen: Vec<i16> = around.map(|sign| if *sign > 0 { loud } else { soft }).collect();
            assert_eq!(up(&seen)[2 * SEEN - 2], most);
            let wide: Vec<i16> = seen.iter().flat_map(|sample| [seen[MIDDLE + 1], *sample]).collect();
            assert_eq!(down(&wide)[SEEN - 1], most);
        }
    }

    #[test]
    fn full_scale_saturates_and_the_shorter_side_ends_it() {
        let square: Vec<i16> = (0..800).map(|index| [i16::MIN, i16::MAX][index / 20 % 2]).collect();
        let wide = up(&square);
        assert!(wide.contains(&i16::MAX) && wide.contains(&i16::MIN));
        for (index, sample) in wide.iter().enumerate().skip(100) {
            let around = (index - 19) % 40;
            assert!(!(8..32).contains(&around) || (*sample > 0) == (square[(index - 19) / 2] > 0), "{index}");
        }
        down(&wide);
        Up::new().run(&[1; 10], &mut [0; 3]);
        Down::new().run(&[1; 3], &mut [0; 10]);
    }
}
