//! A recording as payloads of 20 ms, from its beginning to its end, or over and over.

use crate::announcement::Announcement;
use crate::codec::opus::{self, Encoder, EncoderConfig, MAX_PAYLOAD};
use crate::complexity::Complexity;

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
}

impl Announcer {
    /// Once.
    pub(super) fn new(announcement: Announcement, complexity: Complexity) -> Result<Self, PathError> {
        let encoder = Encoder::new(&EncoderConfig::whatsapp(announcement.rate(), complexity))?;
        Ok(Self { announcement, next: 0, is_looped: false, encoder, payload: [0; MAX_PAYLOAD] })
    }

    /// Over and over, without a pause between its end and its beginning.
    pub(super) fn looped(announcement: Announcement, complexity: Complexity) -> Result<Self, PathError> {
        Ok(Self { is_looped: true, ..Self::new(announcement, complexity)? })
    }

    /// The next 20 ms; the last are filled up with silence. `None` when all is said.
    pub(super) fn opus(&mut self) -> Option<&[u8]> {
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
