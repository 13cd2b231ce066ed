//! Frames of samples to payloads.

use crate::codec::opus::{self, EncoderConfig, MAX_PAYLOAD};
use crate::codec::{FRAME_SAMPLES, Frame, g722, halfband};
use crate::complexity::Complexity;
use crate::path::OpusFmtp;
use crate::path::coding::Coding;

/// 60 ms of G.711 or G.722.
const MAX_PCM: usize = 480;
/// What a PBX that is not told otherwise gets in a packet, and WhatsApp always.
const FRAME_MS: u32 = 20;

/// What is to be made of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::path) struct Target {
    pub(in crate::path) coding: Coding,
    /// Of the samples: 8000 or 16,000 Hz.
    pub(in crate::path) rate: u32,
    pub(in crate::path) frame_ms: u32,
    /// Opus's effort.
    pub(in crate::path) complexity: Complexity,
    /// What the far end asks of Opus.
    pub(in crate::path) fmtp: OpusFmtp,
}

impl Target {
    /// Samples of a frame.
    pub(super) fn samples(&self) -> usize {
        (self.frame_ms * self.rate / 1000) as usize
    }

    /// The length of a frame in timestamps.
    pub(in crate::path) fn ticks(&self) -> u32 {
        self.frame_ms * (self.coding.clock() / 1000)
    }
}

/// An encoder.
pub(super) struct Encoding {
    rate: u32,
    state: State,
    /// For frames of our own, which are made at 8 kHz.
    up: Option<Box<halfband::Up>>,
}

enum State {
    Opus(opus::Encoder, [u8; MAX_PAYLOAD]),
    G711(crate::codec::g711::Law, [u8; MAX_PCM]),
    G722(Box<g722::Encoder>, [u8; MAX_PCM]),
}

impl Encoding {
    pub(super) fn new(target: &Target) -> Result<Self, ::opus::Error> {
        let state = match target.coding {
            Coding::Opus => {
                let encoder = opus::Encoder::new(&EncoderConfig {
                    rate: target.rate,
                    complexity: target.complexity,
                    bitrate: target.fmtp.max_average_bitrate,
                    max_playback_rate: target.fmtp.max_playback_rate,
                    in_band_fec: target.fmtp.in_band_fec,
                })?;
                State::Opus(encoder, [0; MAX_PAYLOAD])
            }
            Coding::G711(law) => State::G711(law, [0; MAX_PCM]),
            Coding::G722 => State::G722(Box::new(g722::Encoder::new()), [0; MAX_PCM]),
        };
        Ok(Self { rate: target.rate, state, up: None })
    }

    /// The payload of a frame; `None` when it cannot be encoded, which makes it a frame lost.
    pub(super) fn encode(&mut self, frame: &[i16]) -> Option<&[u8]> {
        match &mut self.state {
            State::Opus(encoder, payload) => encoder.encode(frame, payload).ok(),
            State::G711(law, payload) => {
                let payload = payload.get_mut(..frame.len())?;
                law.encode(frame, payload);
                Some(payload)
            }
            State::G722(encoder, payload) => {
                let length = encoder.encode(frame, payload);
                payload.get(..length)
            }
        }
    }

    /// The payload of 20 ms of our own, by the encoder that the far end's decoder has followed so far.
    pub(super) fn encode_own(&mut self, frame: &Frame) -> Option<&[u8]> {
        if self.rate == 8000 {
            return self.encode(frame);
        }
        let mut wide = [0; 2 * FRAME_SAMPLES];
        self.up.get_or_insert_with(|| Box::new(halfband::Up::new())).run(frame, &mut wide);
        self.encode(&wide)
    }

    /// The loss, in percent, that the far end reports.
    pub(super) fn set_loss(&mut self, percent: u8) {
        if let State::Opus(encoder, _) = &mut self.state {
            encoder.set_expected_loss(percent);
        }
    }
}

/// The length of the packets that a PBX gets of G.711 or G.722, by what it likes to receive.
pub(in crate::path) fn frame_ms(ptime_ms: u32) -> u32 {
    match ptime_ms {
        10..=60 => ptime_ms,
        _ => FRAME_MS,
    }
}
