//! Payloads to samples, and what stands in for those that were lost.

use crate::codec::conceal::Concealer;
use crate::codec::g711::Law;
use crate::codec::opus::{self, MAX_SAMPLES};
use crate::codec::{g722, halfband};
use crate::path::coding::Coding;

/// 20 ms at 8 kHz: octets of G.711 or G.722 that are decoded at a time.
const PIECE: usize = 160;

/// A decoder that gives samples at one rate, whatever the coding.
pub(super) struct Decoding {
    /// 8000 or 16,000 Hz.
    rate: u32,
    coding: Coding,
    state: State,
    samples: [i16; MAX_SAMPLES],
}

enum State {
    Opus(opus::Decoder),
    G711(Box<Concealer>, Option<Box<halfband::Up>>),
    G722(Box<(g722::Decoder, Concealer)>, Option<Box<halfband::Down>>),
}

impl State {
    fn new(coding: Coding, rate: u32) -> Result<Self, ::opus::Error> {
        Ok(match coding {
            Coding::Opus => Self::Opus(opus::Decoder::new(rate)?),
            Coding::G711(_) => {
                let up = (rate == 16_000).then(|| Box::new(halfband::Up::new()));
                Self::G711(Box::new(Concealer::new(8000)), up)
            }
            Coding::G722 => {
                let down = (rate == 8000).then(|| Box::new(halfband::Down::new()));
                Self::G722(Box::new((g722::Decoder::new(), Concealer::new(16_000))), down)
            }
        })
    }
}

impl Decoding {
    pub(super) fn new(coding: Coding, rate: u32) -> Result<Self, ::opus::Error> {
        let state = State::new(coding, rate)?;
        Ok(Self { rate, coding, state, samples: [0; MAX_SAMPLES] })
    }

    pub(super) fn coding(&self) -> Coding {
        self.coding
    }

    /// What follows is coded in another way. Where no decoder can be made it stays as it was.
    pub(super) fn change(&mut self, coding: Coding) {
        let (Coding::G711(_), Coding::G711(_)) = (self.coding, coding) else {
            if let Ok(state) = State::new(coding, self.rate) {
                (self.state, self.coding) = (state, coding);
            }
            return;
        };
        self.coding = coding;
    }

    /// Another stream begins.
    pub(super) fn reset(&mut self) {
        match &mut self.state {
            // A decoder that cannot be reset goes on from what it heard: a click at most.
            State::Opus(decoder) => drop(decoder.reset()),
            State::G711(..) => {}
            State::G722(codec, _) => codec.0 = g722::Decoder::new(),
        }
    }

    /// Gives the samples of a payload; false when it does not decode.
    pub(super) fn decode(&mut self, payload: &[u8], give: &mut impl FnMut(&[i16])) -> bool {
        match &mut self.state {
            State::Opus(decoder) => match decoder.decode(payload, &mut self.samples) {
                Ok(samples) => give(samples),
                Err(_) => return false,
            },
            State::G711(concealer, up) => {
                let law = if let Coding::G711(law) = self.coding { law } else { Law::Mu };
                for coded in payload.chunks(PIECE) {
                    let samples = self.samples.get_mut(..coded.len()).unwrap_or_default();
                    law.decode(coded, samples);
                    concealer.hear(samples);
                    widen(up, samples, give);
                }
            }
            State::G722(codec, down) => {
                for coded in payload.chunks(PIECE) {
                    let length = codec.0.decode(coded, &mut self.samples);
                    let samples = self.samples.get_mut(..length).unwrap_or_default();
                    codec.1.hear(samples);
                    narrow(down, samples, give);
                }
            }
        }
        true
    }

    /// Gives samples in place of a lost payload of so many ticks; `next` is the one right after it.
    pub(super) fn conceal(&mut self, ticks: u32, next: &[u8], give: &mut impl FnMut(&[i16])) {
        let length =
            |rate: u32| (u64::from(ticks) * u64::from(rate) / u64::from(self.coding.clock())) as usize;
        match &mut self.state {
            State::Opus(decoder) => {
                let length = length(self.rate).min(MAX_SAMPLES);
                if let Ok(samples) = decoder.recover(next, length, &mut self.samples) {
                    give(samples);
                }
            }
            State::G711(concealer, up) => {
                each_piece(length(8000), PIECE, &mut self.samples, |samples| {
                    concealer.conceal(samples);
                    widen(up, samples, give);
                });
            }
            State::G722(codec, down) => {
                each_piece(length(16_000), 2 * PIECE, &mut self.samples, |samples| {
                    codec.1.conceal(samples);
                    narrow(down, samples, give);
                });
            }
        }
    }
}

/// So many samples, in pieces; no more than a packet may hold.
fn each_piece(length: usize, piece: usize, samples: &mut [i16], mut fill: impl FnMut(&mut [i16])) {
    let mut left = length.min(MAX_SAMPLES);
    while left > 0 {
        let taken = left.min(piece);
        fill(samples.get_mut(..taken).unwrap_or_default());
        left -= taken;
    }
}

/// To 16 kHz where that is wanted.
fn widen(up: &mut Option<Box<halfband::Up>>, samples: &[i16], give: &mut impl FnMut(&[i16])) {
    let Some(up) = up else {
        return give(samples);
    };
    let mut wide = [0; 2 * PIECE];
    let wide = wide.get_mut(..2 * samples.len()).unwrap_or_default();
    up.run(samples, wide);
    give(wide);
}

/// To 8 kHz where that is wanted.
fn narrow(down: &mut Option<Box<halfband::Down>>, samples: &[i16], give: &mut impl FnMut(&[i16])) {
    let Some(down) = down else {
        return give(samples);
    };
    let mut narrow = [0; PIECE];
    let narrow = narrow.get_mut(..samples.len() / 2).unwrap_or_default();
    down.run(samples, narrow);
    give(narrow);
}
