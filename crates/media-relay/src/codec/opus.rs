//! Opus (RFC 6716) by libopus, mono, at the rate of the samples on the other side: 8 kHz for
//! G.711, 16 kHz for G.722. Its RTP clock is 48 kHz whatever the rate inside (RFC 7587 4.1).

use crate::complexity::Complexity;
use opus::{Application, Bandwidth, Bitrate, Channels, Error, Signal};

/// Samples of the longest Opus packet, 120 ms, at 16 kHz.
pub(crate) const MAX_SAMPLES: usize = 1920;
/// What 20 ms at 20 kbit/s need, with much room; libopus keeps to it whatever is asked.
pub(crate) const MAX_PAYLOAD: usize = 400;
/// 20 ms of digital silence, any decoder, any state (CELT-only, full band, mono).
pub(crate) const SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];

/// Redundancy is worth its bits above this loss, in percent.
const TOLERATED_LOSS: u8 = 1;
/// Bit/s between which speech makes sense (RFC 7587 6.1, `maxaveragebitrate`).
const LEAST_BITRATE: u32 = 6000;
const MOST_BITRATE: u32 = 64_000;

/// What an encoder is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EncoderConfig {
    /// Samples a second of what it is given: 8000, 12,000, 16,000, 24,000 or 48,000.
    pub(crate) rate: u32,
    pub(crate) complexity: Complexity,
    /// Bit/s (`maxaveragebitrate`).
    pub(crate) bitrate: u32,
    /// Samples a second that the far end can play (`maxplaybackrate`).
    pub(crate) max_playback_rate: u32,
    /// Whether the far end uses redundancy (`useinbandfec`).
    pub(crate) in_band_fec: bool,
}

impl EncoderConfig {
    /// What WhatsApp's SDP asks for: 20 kbit/s, 16 kHz, redundancy.
    pub(crate) fn whatsapp(rate: u32, complexity: impl Into<Complexity>) -> Self {
        let complexity = complexity.into();
        Self { rate, complexity, bitrate: 20_000, max_playback_rate: 16_000, in_band_fec: true }
    }

    /// The widest band that the far end can play (RFC 7587 6.1).
    fn bandwidth(&self) -> Bandwidth {
        match self.max_playback_rate {
            0..12_000 => Bandwidth::Narrowband,
            12_000..16_000 => Bandwidth::Mediumband,
            16_000..24_000 => Bandwidth::Wideband,
            24_000..48_000 => Bandwidth::Superwideband,
            48_000.. => Bandwidth::Fullband,
        }
    }
}

/// 20 ms of samples to a payload. It never pauses in silence (no DTX).
pub(crate) struct Encoder {
    encoder: opus::Encoder,
    in_band_fec: bool,
    /// Percent.
    expected_loss: u8,
}

impl Encoder {
    /// # Errors
    /// libopus has no such rate.
    pub(crate) fn new(config: &EncoderConfig) -> Result<Self, Error> {
        let mut encoder = opus::Encoder::new(config.rate, Channels::Mono, Application::Voip)?;
        let bitrate = config.bitrate.clamp(LEAST_BITRATE, MOST_BITRATE).cast_signed();
        encoder.set_bitrate(Bitrate::Bits(bitrate))?;
        encoder.set_max_bandwidth(config.bandwidth())?;
        encoder.set_signal(Signal::Voice)?;
        encoder.set_complexity(config.complexity.at(config.rate).into())?;
        encoder.set_inband_fec(false)?;
        encoder.set_dtx(false)?;
        Ok(Self { encoder, in_band_fec: config.in_band_fec, expected_loss: 0 })
    }

    /// The loss, in percent, that the far end reports. Above 1 % each payload carries the frame
    /// before it once more, coarser, if the far end uses that (RFC 6716 2.1.7).
    pub(crate) fn set_expected_loss(&mut self, percent: u8) {
        let percent = percent.min(100);
        if percent == self.expected_loss {
            return;
        }
        self.expected_loss = percent;
        let redundant = self.in_band_fec && percent > TOLERATED_LOSS;
        // Values in range are never refused.
        let _ = self.encoder.set_inband_fec(redundant);
        let _ = self.encoder.set_packet_loss_perc(if redundant { percent.into() } else { 0 });
    }

    pub(crate) fn encode<'b>(
        &mut self,
        frame: &[i16],
        payload: &'b mut [u8; MAX_PAYLOAD],
    ) -> Result<&'b [u8], Error> {
        let length = self.encoder.encode(frame, payload)?;
        Ok(payload.get(..length).unwrap_or_default())
    }
}

/// Payloads to samples.
pub(crate) struct Decoder(opus::Decoder);

impl Decoder {
    /// One for samples at 8 or 16 kHz, whatever was encoded.
    ///
    /// # Errors
    /// libopus has no such rate.
    pub(crate) fn new(rate: u32) -> Result<Self, Error> {
        Ok(Self(opus::Decoder::new(rate, Channels::Mono)?))
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

    /// A lost packet of `length` samples, from the redundancy in the packet after it if it
    /// carries any (RFC 6716 2.1.7), else from what was heard before: also where `next` is empty.
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

/// Samples at `rate` in a payload; `None` for what is no Opus packet.
pub(crate) fn samples(payload: &[u8], rate: u32) -> Option<u32> {
    let samples = opus::packet::get_nb_samples(payload, rate).ok()?;
    u32::try_from(samples).ok().filter(|samples| *samples > 0)
}

#[cfg(test)]
mod tests;
