//! A tone as samples, and as payloads of 20 ms.

use std::f32::consts::TAU;

use crate::codec::g711::Law;
use crate::codec::opus::{self, Encoder, EncoderConfig, MAX_PAYLOAD};
use crate::codec::{FRAME_SAMPLES, Frame};
use crate::complexity::Complexity;
use crate::tone::{Sound, Tone};

use super::event::PathError;

const RATE: u32 = 8000;
/// Peak of a tone of one frequency: about -13 dBm0, inside E.180's -10 +- 5.
const LEVEL: f32 = 5000.0;
/// How deep a modulated tone is modulated.
const DEPTH: f32 = 0.9;

/// Plays one tone from its beginning.
pub(super) struct Player {
    generator: Generator,
    encoder: Encoder,
    frame: Frame,
    payload: [u8; MAX_PAYLOAD],
}

impl Player {
    pub(super) fn new(tone: Tone, complexity: Complexity) -> Result<Self, PathError> {
        Ok(Self {
            generator: Generator::new(tone),
            encoder: Encoder::new(&EncoderConfig::whatsapp(RATE, complexity))?,
            frame: [0; FRAME_SAMPLES],
            payload: [0; MAX_PAYLOAD],
        })
    }

    /// The next 20 ms as samples.
    pub(super) fn samples(&mut self) -> &Frame {
        self.generator.fill(&mut self.frame);
        &self.frame
    }

    /// The next 20 ms as G.711.
    pub(super) fn g711(&mut self, law: Law) -> &[u8] {
        self.generator.fill(&mut self.frame);
        law.encode(&self.frame, &mut self.payload);
        self.payload.get(..FRAME_SAMPLES).unwrap_or_default()
    }

    /// The next 20 ms as Opus, by an encoder of the tone's own.
    pub(super) fn opus(&mut self) -> &[u8] {
        self.generator.fill(&mut self.frame);
        self.encoder.encode(&self.frame, &mut self.payload).unwrap_or(&opus::SILENCE)
    }
}

struct Generator {
    tone: Tone,
    /// Samples since the cadence began.
    at: u32,
    /// Samples of the whole cadence; 0 when the tone has none.
    period: u32,
    oscillators: [Oscillator; 2],
}

impl Generator {
    fn new(tone: Tone) -> Self {
        let period = tone.cadence.iter().map(|(on, off)| samples(*on) + samples(*off)).sum();
        let (first, second) = match tone.sound {
            Sound::One(hertz) => (hertz, 0),
            Sound::Two(first, second) | Sound::Modulated(first, second) => (first, second),
        };
        Self { tone, at: 0, period, oscillators: [first, second].map(Oscillator::new) }
    }

    fn fill(&mut self, frame: &mut Frame) {
        for sample in frame {
            let level = self.level();
            // Far inside the range of a sample.
            *sample = if self.sounds() { level as i16 } else { 0 };
            self.at += 1;
            if self.at >= self.period {
                self.at = 0;
            }
        }
    }

    fn level(&mut self) -> f32 {
        let [first, second] = &mut self.oscillators;
        let (first, second) = (first.next(), second.next());
        match self.tone.sound {
            Sound::One(_) => LEVEL * first,
            // The same power in two.
            Sound::Two(..) => LEVEL * std::f32::consts::FRAC_1_SQRT_2 * (first + second),
            Sound::Modulated(..) => LEVEL * first * (1.0 + DEPTH * second),
        }
    }

    fn sounds(&self) -> bool {
        let mut end = 0;
        for (on, off) in self.tone.cadence {
            end += samples(*on);
            if self.at < end {
                return true;
            }
            end += samples(*off);
            if self.at < end {
                return false;
            }
        }
        true
    }
}

fn samples(milliseconds: u16) -> u32 {
    u32::from(milliseconds) * (RATE / 1000)
}

/// A sine; its phase is a whole turn at 2^32.
struct Oscillator {
    phase: u32,
    step: u32,
}

impl Oscillator {
    fn new(hertz: u16) -> Self {
        // A frequency is far below 8 kHz.
        let step = (u64::from(hertz) << 32) / u64::from(RATE);
        Self { phase: 0, step: u32::try_from(step).unwrap_or(0) }
    }

    fn next(&mut self) -> f32 {
        let turn = self.phase as f32 / u32::MAX as f32;
        self.phase = self.phase.wrapping_add(self.step);
        (turn * TAU).sin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::ringback;

    fn seconds(tone: Tone, seconds: usize) -> Vec<i16> {
        let mut player = Player::new(tone, 5.into()).expect("libopus");
        (0..seconds * 50).flat_map(|_| *player.samples()).collect()
    }

    /// Milliseconds of sound and of silence in turns, to the next 5.
    fn cadence(heard: &[i16]) -> Vec<usize> {
        let loud: Vec<bool> = heard.chunks(40).map(|part| part.iter().any(|s| s.abs() > 500)).collect();
        loud.chunk_by(|a, b| a == b).map(|run| run.len() * 5).collect()
    }

    #[test]
    fn a_cadence_is_kept_to_the_millisecond_and_repeated() {
        let heard = cadence(&seconds(ringback("gb").expect("listed"), 6));
        assert_eq!(heard, [400, 200, 400, 2000, 400, 200, 400, 2000]);
        let heard = cadence(&seconds(ringback("hu").expect("listed"), 10));
        assert_eq!(heard, [1250, 3750, 1250, 3750]);
        let endless = Tone { sound: Sound::One(425), cadence: &[] };
        assert_eq!(cadence(&seconds(endless, 3)), [3000]);
        let empty = Tone { sound: Sound::One(425), cadence: &[(0, 0)] };
        assert_eq!(cadence(&seconds(empty, 1)), [1000]);
    }

    #[test]
    fn no_sound_is_clipped() {
        for sound in [Sound::One(400), Sound::Two(440, 480), Sound::Modulated(400, 25)] {
            let peak = seconds(Tone { sound, cadence: &[] }, 2).into_iter().map(i16::abs).max();
            assert!(peak.is_some_and(|peak| (4900..10_000).contains(&peak)), "{sound:?} {peak:?}");
        }
        assert!(seconds(Tone { sound: Sound::One(u16::MAX), cadence: &[] }, 1).len() == 8000);
    }
}
