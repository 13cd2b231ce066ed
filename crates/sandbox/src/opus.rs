//! Opus for both ends of the sandbox, on `ropus`: nothing of the bridge's codec is used.
//!
//! RFC 7587: the RTP clock is 48 kHz whatever the sample rate, 20 ms are 960 ticks.

use ropus::{Application, Bitrate, Channels, DecodeMode, InbandFec};

/// Largest Opus packet we make: 20 ms at 20 kbit/s is about 50 bytes.
const MAX_PACKET: usize = 1275;
/// The bit rate WhatsApp asks for in its `fmtp` line.
const BIT_RATE: u32 = 20_000;
/// Low, since the sandbox encodes for 50 calls on a small machine.
const COMPLEXITY: u8 = 2;

/// What the codec refused.
#[derive(Debug, thiserror::Error)]
#[error("opus: {0}")]
pub struct OpusError(String);

fn refused(error: impl std::fmt::Display) -> OpusError {
    OpusError(error.to_string())
}

/// Encodes 20 ms frames of mono sound.
pub struct Encoder(ropus::Encoder);

impl Encoder {
    /// An encoder for 8, 12, 16, 24 or 48 kHz.
    ///
    /// # Errors
    /// A sample rate that Opus does not know.
    pub fn new(rate: u32) -> Result<Self, OpusError> {
        let mut encoder = ropus::Encoder::builder(rate, Channels::Mono, Application::Voip)
            .bitrate(Bitrate::Bits(BIT_RATE))
            .complexity(COMPLEXITY)
            .build()
            .map_err(refused)?;
        encoder.set_inband_fec(InbandFec::Enabled).map_err(refused)?;
        encoder.set_packet_loss_perc(5).map_err(refused)?;
        Ok(Self(encoder))
    }

    /// One packet of one frame.
    ///
    /// # Errors
    /// A frame whose length is none of Opus's.
    pub fn encode(&mut self, pcm: &[i16]) -> Result<Vec<u8>, OpusError> {
        let mut packet = vec![0; MAX_PACKET];
        let length = self.0.encode(pcm, &mut packet).map_err(refused)?;
        packet.truncate(length);
        Ok(packet)
    }
}

/// Decodes packets to mono sound.
pub struct Decoder {
    decoder: ropus::Decoder,
    buffer: Vec<i16>,
}

impl Decoder {
    /// A decoder to 8, 12, 16, 24 or 48 kHz.
    ///
    /// # Errors
    /// A sample rate that Opus does not know.
    pub fn new(rate: u32) -> Result<Self, OpusError> {
        let decoder = ropus::Decoder::new(rate, Channels::Mono).map_err(refused)?;
        // 120 ms is the longest that one packet can hold (RFC 6716, 3.4).
        let longest = rate as usize * 120 / 1000;
        Ok(Self { decoder, buffer: vec![0; longest] })
    }

    /// The sound of one packet.
    ///
    /// # Errors
    /// Bytes that are no Opus packet.
    pub fn decode(&mut self, packet: &[u8]) -> Result<&[i16], OpusError> {
        if packet.is_empty() {
            return Err(OpusError("empty packet".to_owned()));
        }
        let samples = self.decoder.decode(packet, &mut self.buffer, DecodeMode::Normal).map_err(refused)?;
        Ok(self.buffer.get(..samples).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_opus() {
        assert!(Encoder::new(44_100).is_err());
        assert!(Encoder::new(16_000).unwrap().encode(&[0; 123]).is_err());
        let mut decoder = Decoder::new(16_000).unwrap();
        assert!(decoder.decode(&[]).is_err());
        assert!(decoder.decode(&[0xff; 3]).is_err());
    }

    #[test]
    fn twenty_ms_come_back_as_twenty_ms_at_every_rate() {
        for rate in [8_000_u32, 16_000, 48_000] {
            let frame = vec![0; rate as usize / 50];
            let packet = Encoder::new(48_000).unwrap().encode(&[0; 960]).unwrap();
            assert_eq!(Decoder::new(rate).unwrap().decode(&packet).unwrap().len(), frame.len());
            Encoder::new(rate).unwrap().encode(&frame).unwrap();
        }
    }
}
