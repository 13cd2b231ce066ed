//! Test tones: a sine to send, and what is left of it in a recording.
//!
//! Energy at one frequency is taken with Goertzel's recurrence; the dominant
//! frequency is searched on a grid and then refined, so any window length will do.

use std::f64::consts::TAU;
use std::time::{Duration, Instant};

/// Peak amplitude of a test tone: -12 dBFS, loud and far from clipping.
const AMPLITUDE: f64 = 8231.0;
/// Ten minutes at 8 kHz. What comes later is not recorded (the beginning is what is judged).
const MAX_SAMPLES: usize = 10 * 60 * 8000;
/// A window whose level is below this is silence.
const SILENCE_DBFS: f64 = -45.0;
/// The part of a call's start in which packets may still be missing.
const SETTLING: Duration = Duration::from_secs(1);
/// Lowest and highest frequency that is searched for.
const BAND: (f64, f64) = (100.0, 3400.0);

/// A sine that goes on where it stopped, whatever the size of the blocks.
#[derive(Debug, Clone)]
pub struct Sine {
    hz: f64,
    rate: f64,
    phase: f64,
}

impl Sine {
    /// A tone of `hz` for audio sampled `rate` times a second.
    pub fn new(hz: f64, rate: u32) -> Self {
        Self { hz, rate: f64::from(rate), phase: 0.0 }
    }

    /// Goes on with another frequency, without a click.
    pub fn set_hz(&mut self, hz: f64) {
        self.hz = hz;
    }

    /// Writes the next samples.
    pub fn fill(&mut self, samples: &mut [i16]) {
        let step = TAU * self.hz / self.rate;
        for sample in samples {
            *sample = (self.phase.sin() * AMPLITUDE) as i16;
            self.phase = (self.phase + step) % TAU;
        }
    }
}

/// What one end of a call heard: samples with the time their packet came.
#[derive(Debug, Clone)]
pub struct Recording {
    rate: u32,
    samples: Vec<i16>,
    packets: Vec<Packet>,
}

/// One packet of a recording; a keypad event has no samples.
#[derive(Debug, Clone, Copy)]
struct Packet {
    at: Instant,
    start: usize,
    len: usize,
}

impl Recording {
    /// An empty recording of mono audio.
    pub fn new(rate: u32) -> Self {
        Self { rate, samples: Vec::new(), packets: Vec::new() }
    }

    /// Appends the sound of one packet.
    pub fn audio(&mut self, at: Instant, samples: &[i16]) {
        if self.samples.len() + samples.len() <= MAX_SAMPLES {
            self.packets.push(Packet { at, start: self.samples.len(), len: samples.len() });
            self.samples.extend_from_slice(samples);
        }
    }

    /// Notes a packet of a keypad event: it fills a gap but makes no sound.
    pub fn event(&mut self, at: Instant) {
        if self.samples.len() < MAX_SAMPLES {
            self.packets.push(Packet { at, start: self.samples.len(), len: 0 });
        }
    }

    /// Number of packets, sound and keypad events.
    pub fn packets(&self) -> usize {
        self.packets.len()
    }

    /// How much sound there is.
    pub fn length(&self) -> Duration {
        Duration::from_secs_f64(self.samples.len() as f64 / f64::from(self.rate))
    }

    /// The part whose packets came in `[from, to)`.
    #[must_use]
    pub fn between(&self, from: Instant, to: Instant) -> Self {
        let mut part = Self::new(self.rate);
        for packet in self.packets.iter().filter(|p| from <= p.at && p.at < to) {
            match packet.len {
                0 => part.event(packet.at),
                len => part.audio(packet.at, &self.samples[packet.start..packet.start + len]),
            }
        }
        part
    }

    /// What was heard; None when there was no sound at all.
    pub fn analyse(&self, gap_limit: Duration) -> Option<Heard> {
        let first = self.first_sound()?;
        let settled = self.steady();
        let body = if settled.is_empty() { &self.samples[..] } else { settled };
        let hz = dominant(body, self.rate);
        Some(Heard {
            hz,
            share: steady_share(body, self.rate, hz),
            level_dbfs: level(body),
            first,
            gaps: self.gaps(first + SETTLING, gap_limit),
            packets: self.packets.len(),
        })
    }

    /// When the first 10 ms that are not silence came.
    pub fn first_sound(&self) -> Option<Instant> {
        self.windows().find(|(_, w)| level(w) > SILENCE_DBFS).map(|(at, _)| at)
    }

    /// When a tone of `hz` first carries most of 10 ms of sound that came after `since`.
    pub fn onset(&self, hz: f64, since: Instant) -> Option<Instant> {
        self.windows()
            .filter(|(at, w)| *at >= since && level(w) > SILENCE_DBFS)
            .find(|(_, w)| share(w, self.rate, hz) > 0.6)
            .map(|(at, _)| at)
    }

    /// How long a tone of `hz` sounds: so many pieces of 10 ms are hardly anything else.
    pub fn lasting(&self, hz: f64) -> Duration {
        let sounding =
            self.windows().filter(|(_, w)| level(w) > SILENCE_DBFS && share(w, self.rate, hz) > 0.6);
        Duration::from_millis(10 * sounding.count() as u64)
    }

    /// Pieces of 10 ms, each with the time its first sample came.
    fn windows(&self) -> impl Iterator<Item = (Instant, &[i16])> {
        let size = (self.rate / 100) as usize;
        self.packets.iter().flat_map(move |packet| {
            let sound = &self.samples[packet.start..packet.start + packet.len];
            sound
                .chunks_exact(size)
                .enumerate()
                .map(move |(i, window)| (packet.at + Duration::from_millis(10 * i as u64), window))
        })
    }

    /// The samples after the first second.
    fn steady(&self) -> &[i16] {
        self.samples.get(self.rate as usize..).unwrap_or_default()
    }

    /// Times without a packet, and runs of silence inside the packets, after `from`.
    fn gaps(&self, from: Instant, limit: Duration) -> Vec<Gap> {
        let arrivals: Vec<Instant> = self.packets.iter().map(|p| p.at).filter(|at| *at >= from).collect();
        let mut gaps: Vec<Gap> = arrivals
            .windows(2)
            .map(|pair| Gap { at: pair[0], length: pair[1] - pair[0] })
            .filter(|gap| gap.length > limit)
            .collect();
        let mut silence: Option<Gap> = None;
        for (at, window) in self.windows().filter(|(at, _)| *at >= from) {
            let silent = level(window) <= SILENCE_DBFS;
            match &mut silence {
                Some(gap) if silent => gap.length += Duration::from_millis(10),
                None if silent => silence = Some(Gap { at, length: Duration::from_millis(10) }),
                _ => gaps.extend(silence.take().filter(|gap| gap.length > limit)),
            }
        }
        gaps.extend(silence.filter(|gap| gap.length > limit));
        gaps
    }
}

/// What a recording holds.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The loudest frequency.
    pub hz: f64,
    /// Part of the energy that lies at that frequency, 0 to 1.
    pub share: f64,
    /// Level of the sound; a full-scale sine is -3.
    pub level_dbfs: f64,
    /// When the first sound came.
    pub first: Instant,
    /// Gaps longer than the limit, after the first second of sound.
    pub gaps: Vec<Gap>,
    /// Packets in the recording.
    pub packets: usize,
}

impl Heard {
    /// Is this the tone that was sent: within 10 Hz, and nearly nothing beside it?
    pub fn is_tone(&self, hz: f64) -> bool {
        (self.hz - hz).abs() <= 10.0 && self.share >= 0.8
    }
}

/// A time in which nothing was heard.
#[derive(Debug, Clone, Copy)]
pub struct Gap {
    /// Its beginning.
    pub at: Instant,
    /// Its length.
    pub length: Duration,
}

/// Root mean square of the samples against full scale, in dB.
pub fn level(samples: &[i16]) -> f64 {
    let mean = energy(samples) / samples.len().max(1) as f64;
    10.0 * (mean / f64::from(i16::MAX).powi(2)).max(1e-12).log10()
}

/// Part of the energy that lies at `hz`, 0 to 1.
pub fn share(samples: &[i16], rate: u32, hz: f64) -> f64 {
    let total = energy(samples);
    if total <= 0.0 {
        return 0.0;
    }
    (2.0 * power(samples, rate, hz) / (samples.len() as f64 * total)).min(1.0)
}

/// [`share`] of a long sound, piece by piece: a tone that stopped and went on is still one tone.
fn steady_share(samples: &[i16], rate: u32, hz: f64) -> f64 {
    let piece = (rate / 10) as usize;
    let pieces = || samples.chunks(piece).filter(|piece| energy(piece) > 0.0);
    let total: f64 = pieces().map(energy).sum();
    let at_hz: f64 = pieces().map(|piece| share(piece, rate, hz) * energy(piece)).sum();
    if total > 0.0 { at_hz / total } else { 0.0 }
}

/// The frequency with the most energy, to 0.1 Hz for half a second of sound.
pub fn dominant(samples: &[i16], rate: u32) -> f64 {
    // A tenth of a second has peaks 20 Hz wide: a coarse grid finds them, the longer piece is for the rest.
    let coarse = loudest(middle(samples, rate / 10), rate, BAND, 5.0);
    let piece = middle(samples, rate / 2);
    let fine = loudest(piece, rate, (coarse - 10.0, coarse + 10.0), 1.0);
    loudest(piece, rate, (fine - 1.0, fine + 1.0), 0.1)
}

fn middle(samples: &[i16], length: u32) -> &[i16] {
    let length = samples.len().min(length as usize);
    let start = (samples.len() - length) / 2;
    &samples[start..start + length]
}

fn loudest(samples: &[i16], rate: u32, (low, high): (f64, f64), step: f64) -> f64 {
    let steps = ((high - low) / step).round() as u32;
    let grid = (0..=steps).map(|i| low + f64::from(i) * step);
    let powers = grid.map(|hz| (hz, power(samples, rate, hz)));
    powers.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0.0, |(hz, _)| hz)
}

/// Goertzel: squared magnitude of the Fourier sum at `hz`.
fn power(samples: &[i16], rate: u32, hz: f64) -> f64 {
    let coefficient = 2.0 * (TAU * hz / f64::from(rate)).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for &sample in samples {
        let next = f64::from(sample) + coefficient * last - before;
        before = last;
        last = next;
    }
    last * last + before * before - coefficient * last * before
}

fn energy(samples: &[i16]) -> f64 {
    samples.iter().map(|&s| f64::from(s).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 8000;
    const LIMIT: Duration = Duration::from_millis(60);

    fn tone(hz: f64, samples: usize) -> Vec<i16> {
        let mut out = vec![0; samples];
        Sine::new(hz, RATE).fill(&mut out);
        out
    }

    /// Packets of 20 ms, one every 20 ms.
    fn record(samples: &[i16], start: Instant) -> Recording {
        let mut recording = Recording::new(RATE);
        for (i, packet) in samples.chunks(160).enumerate() {
            recording.audio(start + Duration::from_millis(20 * i as u64), packet);
        }
        recording
    }

    #[test]
    fn a_clean_tone_is_recognised() {
        let heard = record(&tone(440.0, 24000), Instant::now()).analyse(LIMIT).unwrap();
        assert!((heard.hz - 440.0).abs() < 1.0, "{heard:?}");
        assert!(heard.share > 0.99 && heard.gaps.is_empty(), "{heard:?}");
        assert!((heard.level_dbfs + 15.0).abs() < 0.2, "{heard:?}");
        assert!(heard.is_tone(440.0) && !heard.is_tone(523.0));
    }

    #[test]
    fn noise_and_two_tones_are_not_a_tone() {
        let mut state = 1_u32;
        let noise: Vec<i16> = (0..16000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 18) as i16
            })
            .collect();
        let heard = record(&noise, Instant::now()).analyse(LIMIT).unwrap();
        assert!(heard.share < 0.2, "{heard:?}");

        let (a, b) = (tone(440.0, 16000), tone(1000.0, 16000));
        let both: Vec<i16> = a.iter().zip(&b).map(|(a, b)| a / 2 + b / 2).collect();
        let heard = record(&both, Instant::now()).analyse(LIMIT).unwrap();
        assert!(!heard.is_tone(440.0) && !heard.is_tone(1000.0), "{heard:?}");
    }

    #[test]
    fn silence_is_not_heard() {
        assert!(record(&[0; 16000], Instant::now()).analyse(LIMIT).is_none());
        assert!(Recording::new(RATE).analyse(LIMIT).is_none());
    }

    #[test]
    fn a_late_packet_after_the_first_second_is_a_gap() {
        let start = Instant::now();
        let sound = tone(440.0, 160);
        let mut recording = Recording::new(RATE);
        let late = |i: u64| if i >= 100 { 80 } else { 0 };
        for i in 0..150 {
            recording.audio(start + Duration::from_millis(20 * i + late(i)), &sound);
        }
        let gaps = recording.analyse(LIMIT).unwrap().gaps;
        assert_eq!(gaps.len(), 1);
        assert_eq!(gaps[0].length, Duration::from_millis(100));
    }

    #[test]
    fn a_keypad_event_is_not_a_gap_but_silent_packets_are() {
        let start = Instant::now();
        let sound = tone(440.0, 160);
        let mut recording = Recording::new(RATE);
        for i in 0..150_u64 {
            let at = start + Duration::from_millis(20 * i);
            match i {
                80..90 => recording.event(at),
                110..116 => recording.audio(at, &[0; 160]),
                _ => recording.audio(at, &sound),
            }
        }
        let gaps = recording.analyse(LIMIT).unwrap().gaps;
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!(gaps[0].length, Duration::from_millis(120));
    }

    #[test]
    fn gaps_in_the_first_second_are_forgiven() {
        let start = Instant::now();
        let sound = tone(440.0, 160);
        let mut recording = Recording::new(RATE);
        let late = |i: u64| if i >= 10 { 300 } else { 0 };
        for i in 0..150 {
            recording.audio(start + Duration::from_millis(20 * i + late(i)), &sound);
        }
        assert!(recording.analyse(LIMIT).unwrap().gaps.is_empty());
    }

    #[test]
    fn the_onset_of_a_second_tone_is_found_within_a_window() {
        let start = Instant::now();
        let mut sound = tone(440.0, 8000);
        sound.extend(tone(1000.0, 8000));
        let onset = record(&sound, start).onset(1000.0, start).unwrap();
        assert_eq!(onset - start, Duration::from_secs(1));
    }

    #[test]
    fn a_part_of_a_recording_holds_only_its_own_packets() {
        let start = Instant::now();
        let mut sound = tone(440.0, 16000);
        sound.extend(tone(1000.0, 16000));
        let whole = record(&sound, start);
        let part = whole.between(start + Duration::from_secs(2), start + Duration::from_secs(9));
        assert_eq!(part.packets(), 100);
        assert!(part.analyse(LIMIT).unwrap().is_tone(1000.0));
    }
}
