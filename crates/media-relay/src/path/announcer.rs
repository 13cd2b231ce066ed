//! A recording as payloads of 20 ms, from its beginning to its end, or over and over.

use crate::announcement::Announcement;
use crate::codec::FRAME_SAMPLES;
use crate::codec::g711::Law;
use crate::codec::opus::{self, Decoder, Encoder, EncoderConfig, MAX_PAYLOAD, MAX_SAMPLES};
use crate::complexity::Complexity;

use super::coding::Coding;
use super::event::PathError;

/// Samples of 20 ms at the highest rate.
const MAX_FRAME: usize = 960;

/// Plays one recording, by an encoder of its own and at its own rate.
pub(super) struct Announcer {
    announcement: Announcement,
    /// The first sample of the next frame.
    next: usize,
    is_looped: bool,
    encoder: Encoder,
    payload: [u8; MAX_PAYLOAD],
    /// For G.711: libopus brings every rate down to 8 kHz.
    narrow: Option<Decoder>,
}

impl Announcer {
    /// Once.
    pub(super) fn new(announcement: Announcement, complexity: Complexity) -> Result<Self, PathError> {
        let encoder = Encoder::new(&EncoderConfig::whatsapp(announcement.rate(), complexity))?;
        Ok(Self { announcement, next: 0, is_looped: false, encoder, payload: [0; MAX_PAYLOAD], narrow: None })
    }

    /// Over and over, without a pause between its end and its beginning.
    pub(super) fn looped(announcement: Announcement, complexity: Complexity) -> Result<Self, PathError> {
        Ok(Self { is_looped: true, ..Self::new(announcement, complexity)? })
    }

    /// The next 20 ms in WhatsApp's coding; the last are filled up with silence. `None` when all is said.
    pub(super) fn frame(&mut self, coding: Coding) -> Option<&[u8]> {
        match coding {
            Coding::G711(law) => self.g711(law),
            Coding::Opus | Coding::G722 => self.opus(),
        }
    }

    fn g711(&mut self, law: Law) -> Option<&[u8]> {
        let mut opus = [0; MAX_PAYLOAD];
        let payload = self.opus()?;
        let opus = opus.get_mut(..payload.len())?;
        opus.copy_from_slice(payload);
        let mut samples = [0; MAX_SAMPLES];
        let decoder = match &mut self.narrow {
            Some(decoder) => decoder,
            none => none.insert(Decoder::new(Coding::G711(law).clock()).ok()?),
        };
        let samples = decoder.decode(opus, &mut samples).unwrap_or(&[0; FRAME_SAMPLES]);
        law.encode(samples, &mut self.payload);
        self.payload.get(..FRAME_SAMPLES)
    }

    fn opus(&mut self) -> Option<&[u8]> {
        let (rest, all) = (self.announcement.samples(self.next), self.announcement.samples(0));
        if rest.is_empty() {
            return None;
        }
        let size = self.announcement.frame_size();
        let mut buffer = [0; MAX_FRAME];
        let frame = buffer.get_mut(..size)?;
        // One that is shorter than a frame begins several times in it.
        let again = if self.is_looped { all } else { &[] };
        for (place, sample) in frame.iter_mut().zip(rest.iter().chain(again.iter().cycle())) {
            *place = *sample;
        }
        self.next += size;
        if self.is_looped {
            self.next %= all.len();
        }
        Some(self.encoder.encode(frame, &mut self.payload).unwrap_or(&opus::SILENCE))
    }
}
