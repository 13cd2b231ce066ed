//! What the user heard: decoded sound with the arrival time of each packet.

use std::time::{Duration, Instant};

/// Sample rate of recordings: the `maxplaybackrate` of WhatsApp's `fmtp`.
pub const RATE: u32 = 16_000;
/// Longest recording; what comes later is heard but not kept.
const MAX_SAMPLES: usize = RATE as usize * 180;
/// RTP time holes longer than this are a new time line, not lost sound.
const MAX_HOLE: u32 = 48_000 * 2;

/// One packet that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp (48 kHz).
    pub timestamp: u32,
    /// RTP payload type.
    pub payload_type: u8,
    /// Where its sound starts in [`Recording::pcm`].
    pub offset: usize,
    /// How much sound it brought; 0 for a digit.
    pub samples: usize,
}

/// The recording of one call.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Sound in order of arrival, 16 kHz; holes in RTP time are filled with zeros.
    pub pcm: Vec<i16>,
    /// Every RTP packet, digits too.
    pub packets: Vec<Heard>,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came after a later one.
    pub late: u64,
    /// Packets that are no Opus.
    pub undecodable: u64,
    next_timestamp: Option<u32>,
}

impl Recording {
    /// Sample rate of [`Self::pcm`].
    #[must_use]
    pub fn rate(&self) -> u32 {
        RATE
    }

    /// When the first packet came.
    #[must_use]
    pub fn first_at(&self) -> Option<Instant> {
        self.packets.first().map(|packet| packet.at)
    }

    /// The longest time without any packet, after the first `after` of the recording.
    #[must_use]
    pub fn longest_gap(&self, after: Duration) -> Duration {
        self.gaps(after, Duration::ZERO).into_iter().map(|(_, length)| length).max().unwrap_or_default()
    }

    /// Times without any packet (start since the first packet, length) that end later than `after` and last
    /// longer than `longer_than`.
    #[must_use]
    pub fn gaps(&self, after: Duration, longer_than: Duration) -> Vec<(Duration, Duration)> {
        let Some(first) = self.first_at() else { return Vec::new() };
        self.packets
            .windows(2)
            .filter_map(|pair| {
                let [before, behind] = pair else { return None };
                let (start, length) = (before.at - first, behind.at - before.at);
                (start + length > after && length > longer_than).then_some((start, length))
            })
            .collect()
    }

    /// The last seconds of sound.
    #[must_use]
    pub fn tail(&self, seconds: f64) -> &[i16] {
        let wanted = (seconds * f64::from(RATE)) as usize;
        &self.pcm[self.pcm.len().saturating_sub(wanted)..]
    }

    /// The sound that arrived from `at` on.
    #[must_use]
    pub fn since(&self, at: Instant) -> &[i16] {
        let offset =
            self.packets.iter().find(|packet| packet.at >= at).map_or(self.pcm.len(), |packet| packet.offset);
        &self.pcm[offset..]
    }

    /// Notes a packet's arrival and keeps its sound.
    pub(crate) fn add(&mut self, at: Instant, header: &rtp::header::Header, sound: &[i16]) {
        let mut ordered = true;
        if let Some(last) = self.packets.last() {
            match header.sequence_number.wrapping_sub(last.sequence) {
                0 | 0x8000.. => {
                    self.late += 1;
                    self.lost = self.lost.saturating_sub(1);
                    ordered = false;
                }
                step => self.lost += u64::from(step) - 1,
            }
        }
        if !ordered || self.pcm.len() > MAX_SAMPLES {
            return;
        }
        if !sound.is_empty() {
            self.fill_hole(header.timestamp);
            self.next_timestamp = Some(header.timestamp.wrapping_add(sound.len() as u32 * (48_000 / RATE)));
        }
        self.packets.push(Heard {
            at,
            sequence: header.sequence_number,
            timestamp: header.timestamp,
            payload_type: header.payload_type,
            offset: self.pcm.len(),
            samples: sound.len(),
        });
        self.pcm.extend_from_slice(sound);
    }

    fn fill_hole(&mut self, timestamp: u32) {
        let hole = self.next_timestamp.map_or(0, |next| timestamp.wrapping_sub(next));
        if hole <= MAX_HOLE {
            let samples = (hole / (48_000 / RATE)) as usize;
            self.pcm.extend(std::iter::repeat_n(0, samples));
        }
    }

    /// The timestamp of the last audio packet.
    pub(crate) fn audio_timestamp(&self) -> Option<u32> {
        self.packets.iter().rev().find(|packet| packet.samples > 0).map(|packet| packet.timestamp)
    }
}

#[cfg(test)]
mod tests {
    use rtp::header::Header;

    use super::*;

    #[test]
    fn counts_losses_fills_holes_and_finds_gaps() {
        let start = Instant::now();
        let mut recording = Recording::default();
        let mut add = |sequence: u16, ms: u64| {
            let header = Header {
                sequence_number: sequence,
                timestamp: u32::from(sequence) * 960,
                ..Default::default()
            };
            recording.add(start + Duration::from_millis(ms), &header, &[7; 320]);
        };
        for (sequence, ms) in [(65534_u16, 0), (65535, 20)] {
            add(sequence, ms);
        }
        assert_eq!(recording.pcm.len(), 640);
        let header =
            |sequence: u16, timestamp| Header { sequence_number: sequence, timestamp, ..Default::default() };
        // One lost, then one late, across the sequence wrap.
        recording.add(start + Duration::from_millis(140), &header(1, 65535 * 960 + 2 * 960), &[7; 320]);
        assert_eq!((recording.lost, recording.late), (1, 0));
        recording.add(start + Duration::from_millis(141), &header(0, 65535 * 960 + 960), &[7; 320]);
        assert_eq!((recording.lost, recording.late), (0, 1));
        assert_eq!(recording.pcm.len(), 640 + 320 + 320);
        assert_eq!(recording.pcm[700], 0);
        assert_eq!(recording.longest_gap(Duration::ZERO), Duration::from_millis(120));
        let gaps = recording.gaps(Duration::from_millis(10), Duration::from_millis(60));
        assert_eq!(gaps, [(Duration::from_millis(20), Duration::from_millis(120))]);
        assert_eq!(recording.gaps(Duration::from_millis(140), Duration::ZERO), []);
        assert_eq!(recording.since(start + Duration::from_millis(100)).len(), 320);
        assert_eq!(recording.tail(0.01).len(), 160);
    }
}
