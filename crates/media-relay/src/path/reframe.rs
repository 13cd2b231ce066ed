//! Sound in pieces of any length to frames of 20 ms.

use crate::codec::{FRAME_SAMPLES, Frame};

/// Collects samples at 8 kHz until a frame is full.
pub(super) struct Reframer {
    frame: Frame,
    filled: usize,
    /// Of the frame's first sample.
    timestamp: u32,
}

impl Reframer {
    pub(super) fn new() -> Self {
        Self { frame: [0; FRAME_SAMPLES], filled: 0, timestamp: 0 }
    }

    /// The timestamp of the sample that comes next.
    pub(super) fn next_timestamp(&self) -> u32 {
        // At most a frame is filled.
        self.timestamp.wrapping_add(self.filled as u32)
    }

    /// Forgets what is not yet a frame; the next sample has this timestamp.
    pub(super) fn restart(&mut self, timestamp: u32) {
        self.filled = 0;
        self.timestamp = timestamp;
    }

    /// Takes samples; gives each frame with the timestamp of its first sample.
    pub(super) fn push(&mut self, mut samples: &[i16], emit: &mut impl FnMut(u32, &Frame)) {
        while !samples.is_empty() {
            let free = self.frame.get_mut(self.filled..).unwrap_or_default();
            let taken = free.len().min(samples.len());
            let (head, tail) = samples.split_at(taken);
            for (slot, sample) in free.iter_mut().zip(head) {
                *slot = *sample;
            }
            self.filled += taken;
            samples = tail;
            if self.filled == FRAME_SAMPLES {
                emit(self.timestamp, &self.frame);
                self.restart(self.timestamp.wrapping_add(FRAME_SAMPLES as u32));
            }
        }
    }

    /// Ends a frame that was begun with silence.
    pub(super) fn pad(&mut self, emit: &mut impl FnMut(u32, &Frame)) {
        if self.filled > 0 {
            let missing = FRAME_SAMPLES - self.filled;
            self.push(&[0; FRAME_SAMPLES][..missing], emit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_length_become_frames() {
        for piece in [80, 160, 240, 320, 480, 1] {
            let sound: Vec<i16> = (0..960).collect();
            let mut reframer = Reframer::new();
            reframer.restart(u32::MAX - 159);
            let mut heard = Vec::new();
            let mut stamps = Vec::new();
            for samples in sound.chunks(piece) {
                reframer.push(samples, &mut |timestamp, frame| {
                    stamps.push(timestamp);
                    heard.extend_from_slice(frame);
                });
            }
            assert_eq!(heard, sound, "pieces of {piece}");
            assert_eq!(stamps, [u32::MAX - 159, 0, 160, 320, 480, 640]);
            assert_eq!(reframer.next_timestamp(), 800);
        }
    }

    #[test]
    fn a_frame_begun_is_ended_with_silence() {
        let mut reframer = Reframer::new();
        let mut frames = Vec::new();
        let mut emit = |timestamp, frame: &Frame| frames.push((timestamp, *frame));
        reframer.pad(&mut emit);
        reframer.push(&[5; 80], &mut emit);
        reframer.pad(&mut emit);
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].1[79..81], [5, 0]);
        assert_eq!(reframer.next_timestamp(), 160);
    }
}
