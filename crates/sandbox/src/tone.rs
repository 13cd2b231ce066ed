//! Test tones: a sine to send, and what is left of it in a recording.
//!
//! Energy at one frequency is taken with Goertzel's recurrence; the dominant
//! frequency is searched on a grid and then refined, so any window length will do.

use std::f64::consts::TAU;
use std::time::{Duration, Instant};

use crate::chirp::{Chirp, Timing};

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

/// What an end of a call speaks with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sound {
    /// A steady tone of so many Hz.
    Tone(f64),
    /// One that climbs.
    Chirp(Chirp),
    /// Two steady ones at once, as a key sounds (ITU-T Q.23): the lower one and the upper one.
    Pair(f64, f64),
}

/// A sine that goes on where it stopped, whatever the size of the blocks.
#[derive(Debug, Clone)]
pub struct Sine {
    sound: Sound,
    rate: f64,
    phase: f64,
    /// Samples since the sound began.
    since: f64,
}

impl Sine {
    /// A tone of `hz` for audio sampled `rate` times a second.
    pub fn new(hz: f64, rate: u32) -> Self {
        Self { sound: Sound::Tone(hz), rate: f64::from(rate), phase: 0.0, since: 0.0 }
    }

    /// Goes on with another sound, without a click. A chirp begins.
    pub fn say(&mut self, sound: Sound) {
        self.sound = sound;
        self.since = 0.0;
    }

    /// Writes the next samples.
    pub fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            let time = self.since / self.rate;
            let (hz, upper) = match &self.sound {
                Sound::Tone(hz) => (*hz, None),
                Sound::Chirp(chirp) => (chirp.hz_at(time), None),
                Sound::Pair(lower, upper) => (*lower, Some(*upper)),
            };
            let lower = self.phase.sin();
            let wave = upper.map_or(lower, |hz| lower.midpoint((TAU * hz * time).sin()));
            *sample = (wave * AMPLITUDE) as i16;
            self.phase = (self.phase + TAU * hz / self.rate) % TAU;
            self.since += 1.0;
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

    /// The same beside the runtime's threads: it takes longer than a packet lasts, and the ends of calls live on those.
    pub async fn judged(self, gap_limit: Duration) -> Option<Heard> {
        let judged = tokio::task::spawn_blocking(move || self.analyse(gap_limit));
        judged.await.unwrap_or_else(|fault| std::panic::resume_unwind(fault.into_panic()))
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

    /// How the time of a chirp went by in what came in `[from, to)`; None where there was none.
    pub fn timing(&self, chirp: &Chirp, from: Instant, to: Instant) -> Option<Timing> {
        chirp.timing(&self.between(from, to).samples, self.rate)
    }

    /// How long a tone of `hz` sounds: so many pieces of 10 ms are hardly anything else.
    pub fn lasting(&self, hz: f64) -> Duration {
        let sounding =
            self.windows().filter(|(_, w)| level(w) > SILENCE_DBFS && share(w, self.rate, hz) > 0.6);
        Duration::from_millis(10 * sounding.count() as u64)
    }

    /// How long two tones sound at once, as those of a key: in so many pieces of 10 ms both have their part, and
    /// hardly anything else is there.
    pub fn lasting_pair(&self, lower: f64, upper: f64) -> Duration {
        let is_pair = |window: &[i16]| {
            let parts = [lower, upper].map(|hz| share(window, self.rate, hz));
            parts.iter().all(|part| *part > 0.2) && parts.iter().sum::<f64>() > 0.6
        };
        let sounding = self.windows().filter(|(_, w)| level(w) > SILENCE_DBFS && is_pair(w));
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

/// The frequency of a band with the most energy in a short piece, to 2 Hz.
pub(crate) fn dominant_in(samples: &[i16], rate: u32, (low, high): (f64, f64)) -> f64 {
    let coarse = loudest(samples, rate, (low, high), 15.0);
    loudest(samples, rate, (coarse - 16.0, coarse + 16.0), 2.0)
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
mod tests;
