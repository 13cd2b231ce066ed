//! Sound in pieces of any length to frames of one length.

/// 60 ms at 16 kHz.
const MAX_FRAME: usize = 960;

/// Collects samples until a frame is full.
pub(super) struct Reframer {
    frame: [i16; MAX_FRAME],
    /// Samples of a frame, and its length in timestamps.
    length: usize,
    ticks: u32,
    filled: usize,
    /// Of the frame's first sample.
    timestamp: u32,
}

impl Reframer {
    /// For frames of so many samples, up to 960, whose timestamps are so many ticks apart.
    pub(super) fn new(length: usize, ticks: u32) -> Self {
        let length = length.clamp(1, MAX_FRAME);
        Self { frame: [0; MAX_FRAME], length, ticks, filled: 0, timestamp: 0 }
    }

    /// The timestamp of the sample that comes next.
    pub(super) fn next_timestamp(&self) -> u32 {
        // At most a frame is filled.
        self.timestamp.wrapping_add((self.filled as u32).wrapping_mul(self.ticks) / self.length as u32)
    }

    /// Forgets what is not yet a frame; the next sample has this timestamp.
    pub(super) fn restart(&mut self, timestamp: u32) {
        self.filled = 0;
        self.timestamp = timestamp;
    }

    /// Takes samples; gives each frame with the timestamp of its first sample.
    pub(super) fn push(&mut self, mut samples: &[i16], emit: &mut impl FnMut(u32, &[i16])) {
        while !samples.is_empty() {
            let free = self.frame.get_mut(self.filled..self.length).unwrap_or_default();
            let (head, tail) = samples.split_at(free.len().min(samples.len()));
            for (slot, sample) in free.iter_mut().zip(head) {
                *slot = *sample;
            }
            self.filled += head.len();
            samples = tail;
            if self.filled >= self.length {
                emit(self.timestamp, self.frame.get(..self.length).unwrap_or_default());
                self.restart(self.timestamp.wrapping_add(self.ticks));
            }
        }
    }

    /// Ends a frame that was begun with silence.
    pub(super) fn pad(&mut self, emit: &mut impl FnMut(u32, &[i16])) {
        if self.filled > 0 {
            let missing = self.length.saturating_sub(self.filled);
            self.push(&[0; MAX_FRAME][..missing.min(MAX_FRAME)], emit);
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
            let mut reframer = Reframer::new(160, 160);
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
    fn frames_of_any_length_are_counted_in_the_clock_of_their_side() {
        for (milliseconds, rate, clock) in [(10, 8000, 8000), (30, 16_000, 8000), (60, 16_000, 48_000)] {
            let (length, ticks) = (milliseconds * rate / 1000, milliseconds * clock / 1000);
            let mut reframer = Reframer::new(length as usize, ticks);
            let mut stamps = Vec::new();
            for _ in 0..length {
                reframer.push(&[7; 6], &mut |timestamp, frame| {
                    assert_eq!(frame.len(), length as usize);
                    stamps.push(timestamp);
                });
            }
            assert_eq!(stamps, (0..6).map(|index| index * ticks).collect::<Vec<_>>());
            reframer.push(&vec![7; length as usize / 2], &mut |_, _| {});
            assert_eq!(reframer.next_timestamp(), 6 * ticks + ticks / 2);
        }
    }

    #[test]
    fn a_frame_begun_is_ended_with_silence() {
        let mut reframer = Reframer::new(160, 160);
        let mut frames = Vec::new();
        let mut emit = |timestamp, frame: &[i16]| frames.push((timestamp, frame.to_vec()));
        reframer.pad(&mut emit);
        reframer.push(&[5; 80], &mut emit);
        reframer.pad(&mut emit);
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].1[79..81], [5, 0]);
        assert_eq!(reframer.next_timestamp(), 160);
    }
}
