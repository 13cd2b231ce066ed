//! Pauses that differ from call to call.

use std::time::Duration;

/// Draws factors from a seed; without one, pauses are as long as they are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Jitter(Option<u64>);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self(Some(seed))
    }

    /// The pause, or up to a quarter less: never more, so that what the pauses add up to stays bounded.
    pub(super) fn shorten(&mut self, pause: Duration) -> Duration {
        let Some(state) = &mut self.0 else {
            return pause;
        };
        // SplitMix64: good enough to spread requests.
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = *state;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = (drawn >> 56) as u32;
        pause - pause / 4 * share / 256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(4);

    #[test]
    fn a_pause_gets_up_to_a_quarter_shorter_and_never_longer() {
        let mut jitter = Jitter::new(7);
        let pauses: Vec<Duration> = (0..1000).map(|_| jitter.shorten(PAUSE)).collect();
        assert!(pauses.iter().all(|pause| (PAUSE * 3 / 4..=PAUSE).contains(pause)));
        let shortest = pauses.iter().min().expect("some");
        let longest = pauses.iter().max().expect("some");
        assert!(*longest - *shortest > PAUSE / 5, "{shortest:?} to {longest:?}");
    }

    #[test]
    fn calls_with_other_seeds_pause_otherwise_and_without_a_seed_not_at_all() {
        assert_ne!(Jitter::new(1).shorten(PAUSE), Jitter::new(2).shorten(PAUSE));
        assert_eq!(Jitter::default().shorten(PAUSE), PAUSE);
    }
}
