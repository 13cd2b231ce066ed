//! One end of a call: what it sends, and what it gets.

use std::net::SocketAddr;

use crate::sound::{SAMPLES, Track};

pub(crate) const RTP_HEADER: usize = 12;
/// Sends are remembered for so many packets of a direction: five seconds.
const REMEMBERED: usize = 256;

/// A side of the relay.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Plain,
    WebRtc,
}

/// What one end of a call sends, and what it gets.
pub(crate) struct End {
    pub(crate) to: SocketAddr,
    pub(crate) payload_type: u8,
    ssrc: u32,
    /// When it sent its last packets, by their number.
    sent: Vec<(u32, u64)>,
    /// Highest and lowest sequence number since measuring began, unfolded.
    pub(crate) came: Option<(u64, u64)>,
    pub(crate) track: Option<Track>,
}

impl End {
    pub(crate) fn new(to: SocketAddr, payload_type: u8, ssrc: u32) -> Self {
        Self { to, payload_type, ssrc, sent: vec![(u32::MAX, 0); REMEMBERED], came: None, track: None }
    }

    /// A packet of its line came.
    pub(crate) fn count(&mut self, sequence: u16) {
        let Some((low, high)) = &mut self.came else {
            let first = 1 << 32 | u64::from(sequence);
            self.came = Some((first, first));
            return;
        };
        let ahead = sequence.wrapping_sub(*high as u16);
        if ahead < 0x8000 {
            *high += u64::from(ahead);
        } else {
            *low = (*low).min(*high - u64::from(ahead.wrapping_neg()));
        }
    }

    /// The header of a frame's packet.
    pub(crate) fn header(&self, frame: u32) -> [u8; RTP_HEADER] {
        let ticks = if self.payload_type == 0 { SAMPLES as u32 } else { 6 * SAMPLES as u32 };
        let mut header = [0x80, self.payload_type, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header[2..4].copy_from_slice(&(frame as u16).to_be_bytes());
        header[4..8].copy_from_slice(&(frame * ticks).to_be_bytes());
        header[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        header
    }

    /// A frame is sent at this time; 0 where it is not measured.
    pub(crate) fn remember(&mut self, frame: u32, at: u64) {
        self.sent[frame as usize % REMEMBERED] = (frame, at);
    }

    /// When a frame was sent, if it was measured.
    pub(crate) fn sent_at(&self, frame: u32) -> Option<u64> {
        let (sent, at) = self.sent[frame as usize % REMEMBERED];
        (sent == frame && at > 0).then_some(at)
    }
}
