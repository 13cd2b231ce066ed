//! Virtual time, packets and tones for the tests.

use std::time::{Duration, Instant};

use super::header::{Header, Packet};

/// The start of virtual time; tests only ever add to it.
#[expect(clippy::disallowed_methods, reason = "std has no other way to make an Instant; nothing measures it")]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) fn header(payload_type: u8, ssrc: u32, sequence: u16, timestamp: u32) -> Header {
    Header { marker: false, payload_type, sequence, timestamp, ssrc }
}

pub(crate) fn packet(header: Header, payload: &[u8]) -> Vec<u8> {
    [&header.to_bytes()[..], payload].concat()
}

/// A packet that was sent, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
}

impl Sent {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let packet = Packet::parse(bytes).expect("what we send is RTP");
        Self { header: packet.header, payload: packet.payload.to_vec() }
    }
}

/// The level of one frequency in the samples (Goertzel), as the amplitude of a sine.
pub(crate) fn amplitude(samples: &[i16], frequency: f64) -> f64 {
    let coefficient = 2.0 * (std::f64::consts::TAU * frequency / 8000.0).cos();
    let (mut before, mut last) = (0.0, 0.0);
    for sample in samples {
        (before, last) = (last, f64::from(*sample) + coefficient * last - before);
    }
    let power = before * before + last * last - coefficient * before * last;
    2.0 * power.sqrt() / samples.len() as f64
}

pub(crate) fn tone(frequency: f64, from: usize, samples: usize) -> Vec<i16> {
    (from..from + samples)
        .map(|index| {
            let phase = std::f64::consts::TAU * frequency * index as f64 / 8000.0;
            (8000.0 * phase.sin()) as i16
        })
        .collect()
}
