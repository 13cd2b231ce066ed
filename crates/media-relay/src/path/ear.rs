//! Listens for keys in a PBX's sound, and takes them out of it.

use crate::codec::inband::{Change, Detector};

/// Samples that are looked at together: 5 ms at 16 kHz.
const PIECE: usize = 80;
/// Changes wait here until they are asked for, which is after every packet; beyond it they are dropped.
const MAX_CHANGES: usize = 8;

/// Between a decoder and what is made of its samples.
pub(super) struct Ear {
    detector: Detector,
    changes: [Option<Change>; MAX_CHANGES],
}

impl Ear {
    /// For samples at 8000 or 16,000 Hz.
    pub(super) fn new(rate: u32) -> Self {
        Self { detector: Detector::new(rate), changes: [None; MAX_CHANGES] }
    }

    /// Hears samples; `give` gets them, or silence in place of a key.
    pub(super) fn listen(&mut self, samples: &[i16], give: &mut impl FnMut(&[i16])) {
        let Self { detector, changes } = self;
        for piece in samples.chunks(PIECE) {
            detector.listen(piece, &mut |change| note(changes, change));
            if detector.suspects() {
                give([0; PIECE].get(..piece.len()).unwrap_or_default());
            } else {
                give(piece);
            }
        }
    }

    /// The next change of a key.
    pub(super) fn change(&mut self) -> Option<Change> {
        let change = self.changes.first_mut()?.take();
        self.changes.rotate_left(1);
        change
    }

    /// Other sound follows: a key that is down comes up.
    pub(super) fn interrupt(&mut self) {
        let Self { detector, changes } = self;
        detector.interrupt(&mut |change| note(changes, change));
    }

    /// What follows has nothing to do with what was heard, of which nobody is told any more.
    pub(super) fn forget(&mut self) {
        self.detector.interrupt(&mut |_| {});
        self.changes = [None; MAX_CHANGES];
    }
}

fn note(changes: &mut [Option<Change>; MAX_CHANGES], change: Change) {
    if let Some(place) = changes.iter_mut().find(|place| place.is_none()) {
        *place = Some(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::inband::Dial;

    #[test]
    fn a_key_is_taken_out_but_for_its_first_25_ms_and_the_rest_is_left() {
        for rate in [8000, 16_000] {
            let tenth = rate as usize / 10;
            let mut sound = vec![1000; 4 * tenth];
            Dial::new('3', rate).expect("a key").fill(&mut sound[tenth..2 * tenth]);
            let (mut ear, mut heard) = (Ear::new(rate), Vec::new());
            for frame in sound.chunks(tenth / 5) {
                ear.listen(frame, &mut |samples| heard.extend_from_slice(samples));
            }
            assert_eq!(heard.len(), sound.len());
            assert_eq!(heard[..tenth], sound[..tenth]);
            let leaked = heard[tenth..2 * tenth].iter().rposition(|sample| *sample != 0);
            assert!(leaked.is_some_and(|at| at <= tenth * 3 / 10), "{leaked:?}");
            assert_eq!(heard[tenth * 5 / 2..], sound[tenth * 5 / 2..]);
            assert!(matches!(ear.change(), Some(Change::Down('3'))));
            assert!(matches!(ear.change(), Some(Change::Up('3', _))));
            assert_eq!(ear.change(), None);
        }
    }

    #[test]
    fn changes_nobody_asks_for_are_bounded_and_forgotten() {
        let mut ear = Ear::new(8000);
        for _ in 0..10 {
            let mut sound = [0; 1600];
            Dial::new('3', 8000).expect("a key").fill(&mut sound[..800]);
            ear.listen(&sound, &mut |_| {});
        }
        assert_eq!(std::iter::from_fn(|| ear.change()).count(), MAX_CHANGES);
        let mut sound = [0; 800];
        Dial::new('3', 8000).expect("a key").fill(&mut sound);
        ear.listen(&sound, &mut |_| {});
        ear.forget();
        assert_eq!(ear.change(), None);
        ear.listen(&[0; 1600], &mut |_| {});
        assert_eq!(ear.change(), None, "no key comes up that nobody knows of");
    }
}
