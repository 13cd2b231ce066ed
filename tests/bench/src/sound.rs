//! The voice that the calls carry, and where in a recording it is heard again.

use std::f32::consts::TAU;

use anyhow::Result;
use opus::{Application, Bitrate, Channels, Decoder, Encoder};

/// Packets of 20 ms after which the voice begins anew: 10 s.
pub(crate) const PACKETS: usize = 500;
/// Samples of a packet at 8 kHz.
pub(crate) const SAMPLES: usize = 160;
/// What is compared: 2 s.
const PROBE: usize = 16_000;
/// How far from the packets' own times the sound is looked for: 300 ms.
const REACH: usize = 2400;

/// The voice, ready for each side.
pub(crate) struct Voice {
    pub(crate) pcmu: Vec<[u8; SAMPLES]>,
    pub(crate) opus: Vec<Vec<u8>>,
    /// What a listener on the plain side would hear of each, at 8 kHz.
    pub(crate) heard_pcmu: Vec<i16>,
    pub(crate) heard_opus: Vec<i16>,
}

impl Voice {
    pub(crate) fn new() -> Result<Self> {
        let narrow = speech(8000);
        let pcmu: Vec<[u8; SAMPLES]> =
            narrow.as_chunks::<SAMPLES>().0.iter().map(|frame| frame.map(encode_mu)).collect();
        let heard_pcmu = pcmu.iter().flatten().map(|octet| decode_mu(*octet)).collect();
        let mut encoder = Encoder::new(16_000, Channels::Mono, Application::Voip)?;
        encoder.set_bitrate(Bitrate::Bits(20_000))?;
        let opus = speech(16_000)
            .chunks_exact(2 * SAMPLES)
            .map(|frame| encoder.encode_vec(frame, 400))
            .collect::<Result<Vec<_>, _>>()?;
        // Twice: the second round is as those after it, whose decoder has a past.
        let mut decoder = Decoder::new(8000, Channels::Mono)?;
        let mut heard_opus = Vec::new();
        for payload in opus.iter().chain(&opus) {
            heard_opus.extend(decode(&mut decoder, payload)?);
        }
        heard_opus.drain(..PACKETS * SAMPLES);
        Ok(Self { pcmu, opus, heard_pcmu, heard_opus })
    }
}

/// One direction of a probe call: what was sent and what came.
#[derive(Default)]
pub(crate) struct Track {
    /// Number of the packet since the start, and when it was sent (ns).
    pub(crate) sent: Vec<(usize, u64)>,
    /// RTP timestamp, when the kernel had it (ns), payload.
    pub(crate) came: Vec<(u32, u64, Vec<u8>)>,
}

impl Track {
    /// How long the sound of each packet took, in nanoseconds: the samples of the recording are aligned with those
    /// sent, and each packet's first sample is looked up in the packet it came back in. `opus`: what came is Opus.
    pub(crate) fn delays(&self, voice: &[i16], opus: bool) -> Result<Vec<u64>> {
        let recording = Recording::new(&self.came, opus)?;
        let Some((lag, first)) = recording.align(&self.sent, voice) else { return Ok(Vec::new()) };
        let delay = |(number, at): &(usize, u64)| {
            let heard = recording.heard_at((number * SAMPLES) as i64 + lag)?;
            Some(heard.saturating_sub(*at))
        };
        Ok(self.sent.iter().skip(first).filter_map(delay).collect())
    }
}

/// Samples at 8 kHz by their place, and when each packet of them came.
struct Recording {
    samples: Vec<i16>,
    /// Place of the first sample, number of samples, time.
    packets: Vec<(i64, i64, u64)>,
}

impl Recording {
    fn new(came: &[(u32, u64, Vec<u8>)], opus: bool) -> Result<Self> {
        let ticks = if opus { 6 } else { 1 };
        let mut decoder = Decoder::new(8000, Channels::Mono)?;
        let Some((first, _, _)) = came.first() else {
            return Ok(Self { samples: Vec::new(), packets: Vec::new() });
        };
        let (mut samples, mut packets) = (Vec::new(), Vec::new());
        for (timestamp, at, payload) in came {
            let place = timestamp.wrapping_sub(*first) as usize / ticks;
            // What is older than the first, or in another time altogether.
            if place < samples.len() || place > samples.len() + 80_000 {
                continue;
            }
            let heard: Vec<i16> = if opus {
                decode(&mut decoder, payload)?
            } else {
                payload.iter().map(|octet| decode_mu(*octet)).collect()
            };
            samples.resize(place, 0);
            samples.extend(&heard);
            packets.push((place as i64, heard.len() as i64, *at));
        }
        Ok(Self { samples, packets })
    }

    /// By how many samples the recording's places are ahead of the numbers sent, and the first packet sent that it
    /// was found with.
    fn align(&self, sent: &[(usize, u64)], voice: &[i16]) -> Option<(i64, usize)> {
        let first = sent.len() / 4;
        let (number, at) = *sent.get(first)?;
        let near = self.packets.iter().find(|(_, _, came)| *came >= at)?.0;
        let start = usize::try_from(near).ok()?.checked_sub(REACH)?;
        let window = self.samples.get(start..start + PROBE + 2 * REACH)?;
        let from = number * SAMPLES;
        let probe: Vec<f32> =
            (from..from + PROBE).map(|place| f32::from(voice[place % voice.len()])).collect();
        let window: Vec<f32> = window.iter().map(|sample| f32::from(*sample)).collect();
        let likeness = |shift: usize| {
            let heard = &window[shift..shift + PROBE];
            let product: f32 = heard.iter().zip(&probe).map(|(a, b)| a * b).sum();
            let energy: f32 = heard.iter().map(|a| a * a).sum();
            product / energy.max(1.0).sqrt()
        };
        let best = (0..2 * REACH).map(|shift| (shift, likeness(shift))).max_by(|a, b| a.1.total_cmp(&b.1))?;
        let energy: f32 = probe.iter().map(|a| a * a).sum();
        // Two codecs leave that much of it, noise does not.
        (best.1 > 0.5 * energy.sqrt()).then_some(((start + best.0) as i64 - from as i64, first))
    }

    /// When the sample at `place` is there: as its packet comes, and later in it by its distance.
    fn heard_at(&self, place: i64) -> Option<u64> {
        let index = self.packets.partition_point(|(first, _, _)| *first <= place).checked_sub(1)?;
        let (first, len, at) = *self.packets.get(index)?;
        let offset = place - first;
        (offset < len).then(|| at + offset as u64 * 125_000)
    }
}

fn decode(decoder: &mut Decoder, payload: &[u8]) -> Result<Vec<i16>> {
    let mut samples = vec![0; 960];
    let len = decoder.decode(payload, &mut samples, false)?;
    samples.truncate(len);
    Ok(samples)
}

/// Something like speech: syllables of a glottal pulse whose pitch wanders, through three formants; between some a
/// hiss, between others a pause.
pub(crate) fn speech(rate: usize) -> Vec<i16> {
    let total = rate / 50 * PACKETS;
    let mut chance = Chance(7);
    let mut samples = Vec::with_capacity(total);
    let mut pulse = 0.0;
    while samples.len() < total {
        let (pitch, glide) = (95.0 + 60.0 * chance.draw(), 40.0 * chance.draw() - 20.0);
        let formants = [
            (300.0 + 500.0 * chance.draw(), 80.0),
            (900.0 + 1300.0 * chance.draw(), 120.0),
            (2400.0 + 700.0 * chance.draw(), 200.0),
        ];
        let mut resonators = formants.map(|(centre, width)| Resonator::new(centre, width, rate as f32));
        let len = ((0.12 + 0.16 * chance.draw()) * rate as f32) as usize;
        for place in 0..len {
            let part = place as f32 / len as f32;
            pulse += (pitch + glide * part) / rate as f32;
            let glottis = if pulse >= 1.0 { 1.0 } else { 0.0 };
            pulse %= 1.0;
            let source = glottis + 0.01 * (chance.draw() - 0.5);
            let voiced: f32 = resonators.iter_mut().map(|resonator| resonator.run(source)).sum();
            let shape = (part * TAU / 2.0).sin().sqrt();
            samples.push((voiced * shape * 9000.0).clamp(-20_000.0, 20_000.0) as i16);
        }
        let (kind, gap) = (chance.draw(), (0.03 + 0.12 * chance.draw()) * rate as f32);
        let hiss = if kind < 0.4 { 1500.0 } else { 20.0 };
        samples.extend((0..gap as usize).map(|_| (hiss * (chance.draw() - 0.5)) as i16));
    }
    samples.truncate(total);
    samples
}

/// A second-order resonance.
struct Resonator {
    a: f32,
    b: f32,
    gain: f32,
    past: [f32; 2],
}

impl Resonator {
    fn new(centre: f32, width: f32, rate: f32) -> Self {
        let radius = (-TAU / 2.0 * width / rate).exp();
        let a = 2.0 * radius * (TAU * centre / rate).cos();
        Self { a, b: -radius * radius, gain: 1.0 - radius, past: [0.0; 2] }
    }

    fn run(&mut self, input: f32) -> f32 {
        let out = self.gain * input * 8.0 + self.a * self.past[0] + self.b * self.past[1];
        self.past = [out, self.past[0]];
        out
    }
}

/// The same numbers every time, between 0 and 1 (xorshift).
struct Chance(u32);

impl Chance {
    fn draw(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }
}

/// G.711, mu law.
fn encode_mu(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(32_635) + 132;
    let exponent = 31 - magnitude.leading_zeros() as i32 - 7;
    let mantissa = magnitude >> (exponent + 3) & 0x0F;
    !(sign | (exponent << 4 | mantissa) as u8)
}

fn decode_mu(octet: u8) -> i16 {
    let octet = !octet;
    let (exponent, mantissa) = (i32::from(octet >> 4 & 7), i32::from(octet & 0x0F));
    let magnitude = (((mantissa << 3) + 132) << exponent) - 132;
    if octet & 0x80 == 0 { magnitude as i16 } else { -magnitude as i16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_found_by_the_sound_alone() {
        let voice = Voice::new().expect("a voice");
        let mut track = Track::default();
        for number in 0..PACKETS {
            let at = number as u64 * 20_000_000;
            track.sent.push((number + 100, at));
            let payload = voice.pcmu[(number + 100) % PACKETS].to_vec();
            track.came.push((7_000 + (number * SAMPLES) as u32, at + 3_000_000, payload));
        }
        let delays = track.delays(&voice.heard_pcmu, false).expect("no Opus is decoded");
        assert!(delays.len() > 300);
        assert!(delays.iter().all(|delay| *delay == 3_000_000));
    }

    #[test]
    fn mu_law_is_near_and_keeps_its_code() {
        for sample in (-32_000..32_000).step_by(37) {
            let heard = decode_mu(encode_mu(sample));
            assert!((i32::from(sample) - i32::from(heard)).abs() <= i32::from(sample).abs() / 16 + 8);
            assert_eq!(encode_mu(heard), encode_mu(sample));
        }
    }
}
