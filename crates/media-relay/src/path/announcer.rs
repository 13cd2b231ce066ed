//! A recording as payloads of 20 ms, from its beginning to its end.

use crate::announcement::Announcement;
use crate::codec::opus::{self, Encoder, EncoderConfig, MAX_PAYLOAD};

use super::event::PathError;

/// Samples of 20 ms at the highest rate.
const MAX_FRAME: usize = 960;

/// Plays one recording once, by an encoder of its own and at its own rate.
pub(super) struct Announcer {
    announcement: Announcement,
    /// The number of the next frame.
    next: usize,
    encoder: Encoder,
    payload: [u8; MAX_PAYLOAD],
}

impl Announcer {
    pub(super) fn new(announcement: Announcement, complexity: u8) -> Result<Self, PathError> {
        let encoder = Encoder::new(&EncoderConfig::whatsapp(announcement.rate(), complexity))?;
        Ok(Self { announcement, next: 0, encoder, payload: [0; MAX_PAYLOAD] })
    }

    /// The next 20 ms; the last are filled up with silence. `None` when all is said.
    pub(super) fn opus(&mut self) -> Option<&[u8]> {
        let samples = self.announcement.frame(self.next);
        if samples.is_empty() {
            return None;
        }
        self.next += 1;
        let mut frame = [0; MAX_FRAME];
        frame.get_mut(..samples.len())?.copy_from_slice(samples);
        let frame = frame.get(..self.announcement.frame_size())?;
        Some(self.encoder.encode(frame, &mut self.payload).unwrap_or(&opus::SILENCE))
    }
}
