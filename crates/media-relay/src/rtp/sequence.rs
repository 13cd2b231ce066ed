//! The order of a source's packets (RFC 3550 A.1, without probation: the PBX's source is
//! latched and WhatsApp's is authenticated).

/// A jump forward beyond this many packets is a source that started anew.
const MAX_DROPOUT: i16 = 3000;
/// A packet further back than this is a source that started anew.
const OLDEST: i16 = -100;

/// How a packet stands to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The first of a source, or of one that started anew.
    Restart,
    /// Newer than all before it.
    Next {
        /// How many are missing in between.
        lost: u16,
    },
    /// As old as one before it: reordered or doubled.
    Late,
}

/// Follows one source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tracker {
    newest: Option<(u32, u16)>,
}

impl Tracker {
    pub(crate) fn observe(&mut self, ssrc: u32, sequence: u16) -> Arrival {
        let arrival = self.judge(ssrc, sequence);
        if arrival != Arrival::Late {
            self.newest = Some((ssrc, sequence));
        }
        arrival
    }

    /// Whether the packets so far came from this SSRC.
    pub(crate) fn follows(&self, ssrc: u32) -> bool {
        self.newest.is_some_and(|(known, _)| known == ssrc)
    }

    /// A packet of the source that is left out is not a lost one.
    pub(crate) fn skip(&mut self, ssrc: u32, sequence: u16) {
        if self.follows(ssrc) {
            self.observe(ssrc, sequence);
        }
    }

    fn judge(&self, ssrc: u32, sequence: u16) -> Arrival {
        let Some((known, newest)) = self.newest else {
            return Arrival::Restart;
        };
        let ahead = sequence.wrapping_sub(newest);
        match ahead.cast_signed() {
            _ if known != ssrc => Arrival::Restart,
            1..=MAX_DROPOUT => Arrival::Next { lost: ahead - 1 },
            OLDEST..=0 => Arrival::Late,
            _ => Arrival::Restart,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_a_source_over_the_wrap() {
        let mut tracker = Tracker::default();
        assert_eq!(tracker.observe(1, 65_534), Arrival::Restart);
        assert_eq!(tracker.observe(1, 65_535), Arrival::Next { lost: 0 });
        assert_eq!(tracker.observe(1, 2), Arrival::Next { lost: 2 });
        assert_eq!(tracker.observe(1, 0), Arrival::Late);
        assert_eq!(tracker.observe(1, 2), Arrival::Late);
        assert_eq!(tracker.observe(1, 3), Arrival::Next { lost: 0 });
    }

    #[test]
    fn another_ssrc_or_a_far_jump_is_a_restart() {
        let mut tracker = Tracker::default();
        tracker.observe(1, 1000);
        assert_eq!(tracker.observe(2, 1001), Arrival::Restart);
        assert_eq!(tracker.observe(2, 4001), Arrival::Next { lost: 2999 });
        assert_eq!(tracker.observe(2, 7002), Arrival::Restart);
        assert_eq!(tracker.observe(2, 6902), Arrival::Late);
        assert_eq!(tracker.observe(2, 6901), Arrival::Restart);
    }
}
