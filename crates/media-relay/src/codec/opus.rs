//! Opus (RFC 6716) by libopus, at 8 kHz mono: the payload of RFC 7587 on one side, the samples
//! of G.711 on the other. Its RTP clock is 48 kHz whatever the rate inside.

use opus::{Application, Bitrate, Channels, Error, Signal};

/// RTP ticks per sample at 8 kHz.
pub(crate) const TICKS_PER_SAMPLE: u32 = 6;
/// Samples of the longest Opus packet, 120 ms.
pub(crate) const MAX_SAMPLES: usize = 960;
/// What 20 ms at 20 kbit/s need, with much room.
pub(crate) const MAX_PAYLOAD: usize = 400;
/// 20 ms of digital silence, any decoder, any state (CELT-only, full band, mono).
pub(crate) const SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];

const RATE: u32 = 8000;
/// What WhatsApp asks for: `maxaveragebitrate=20000`.
const BITRATE: i32 = 20_000;

/// 20 ms of samples to a payload.
pub(crate) struct Encoder(opus::Encoder);

impl Encoder {
    pub(crate) fn new(complexity: u8) -> Result<Self, Error> {
        Self::at(RATE, complexity)
    }

    /// One for samples of another rate: 8, 16 or 48 kHz.
    pub(crate) fn at(rate: u32, complexity: u8) -> Result<Self, Error> {
        let mut encoder = opus::Encoder::new(rate, Channels::Mono, Application::Voip)?;
        encoder.set_bitrate(Bitrate::Bits(BITRATE))?;
        encoder.set_signal(Signal::Voice)?;
        encoder.set_complexity(complexity.min(10).into())?;
        encoder.set_inband_fec(false)?;
        encoder.set_dtx(false)?;
        Ok(Self(encoder))
    }

    pub(crate) fn encode<'b>(
        &mut self,
        frame: &[i16],
        payload: &'b mut [u8; MAX_PAYLOAD],
    ) -> Result<&'b [u8], Error> {
        let length = self.0.encode(frame, payload)?;
        Ok(payload.get(..length).unwrap_or_default())
    }
}

/// Payloads to samples.
pub(crate) struct Decoder(opus::Decoder);

impl Decoder {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self(opus::Decoder::new(RATE, Channels::Mono)?))
    }

    /// Another stream begins.
    pub(crate) fn reset(&mut self) -> Result<(), Error> {
        self.0.reset_state()
    }

    pub(crate) fn decode<'b>(
        &mut self,
        payload: &[u8],
        samples: &'b mut [i16; MAX_SAMPLES],
    ) -> Result<&'b [i16], Error> {
        let length = self.0.decode(payload, samples, false)?;
        Ok(samples.get(..length).unwrap_or_default())
    }

    /// A lost packet of `length` samples, from what was heard before it.
    pub(crate) fn conceal<'b>(
        &mut self,
        length: usize,
        samples: &'b mut [i16; MAX_SAMPLES],
    ) -> Result<&'b [i16], Error> {
        self.recover(&[], length, samples)
    }

    /// A lost packet of `length` samples, from the redundancy in the packet after it if it
    /// carries any (RFC 6716 2.1.7), else as [`Self::conceal`].
    pub(crate) fn recover<'b>(
        &mut self,
        next: &[u8],
        length: usize,
        samples: &'b mut [i16; MAX_SAMPLES],
    ) -> Result<&'b [i16], Error> {
        let samples = samples.get_mut(..length).unwrap_or_default();
        let length = self.0.decode(next, samples, !next.is_empty())?;
        Ok(samples.get(..length).unwrap_or_default())
    }
}

/// Samples at 8 kHz in a payload; `None` for what is no Opus packet.
pub(crate) fn samples(payload: &[u8]) -> Option<u32> {
    let samples = opus::packet::get_nb_samples(payload, RATE).ok()?;
    u32::try_from(samples).ok().filter(|samples| *samples > 0)
}

#[cfg(test)]
mod tests;
