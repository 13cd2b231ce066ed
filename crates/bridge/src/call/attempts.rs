//! The targets of a trunk, one after the other.
//!
//! The next one is tried when a target can't take any call now: it can't be reached, says nothing, or
//! refuses with a status that speaks of itself and not of whom it was to ring. Once a phone may have
//! rung, by any 18x, none is: a caller must not ring twice.

use std::collections::VecDeque;

use sip_core::LegId;

use super::event::SipRefusal;
use crate::trunk::failover::Policy;

/// The targets that one call tries: a leg for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempts {
    current: LegId,
    left: VecDeque<LegId>,
    failover: Policy,
    rang: bool,
    redirected: bool,
}

impl Attempts {
    /// The legs of the targets, the best first.
    #[must_use]
    pub fn new(first: LegId, others: impl IntoIterator<Item = LegId>, failover: Policy) -> Self {
        let left = others.into_iter().collect();
        Self { current: first, left, failover, rang: false, redirected: false }
    }

    /// The leg that is tried now.
    #[must_use]
    pub fn current(&self) -> LegId {
        self.current
    }

    /// A phone rings, or may.
    pub(super) fn rang(&mut self) {
        self.rang = true;
    }

    /// The current leg was refused: the leg to try now, if any. A redirection is followed once, even
    /// after ringing: it is the PBX's own, and says where the phone is that is to ring.
    pub(super) fn after(&mut self, refusal: SipRefusal) -> Option<LegId> {
        let next = match refusal {
            SipRefusal::Redirected(leg) if !self.redirected => {
                self.redirected = true;
                Some(leg)
            }
            other if self.failover.verdict(other.into(), self.rang).next => self.left.pop_front(),
            SipRefusal::Status(_)
            | SipRefusal::Redirected(_)
            | SipRefusal::Silence
            | SipRefusal::Timeout
            | SipRefusal::Unreachable => None,
        };
        self.current = next?;
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Attempts {
        Attempts::new(LegId(0), [LegId(2), LegId(4)], Policy::default())
    }

    #[test]
    fn a_target_that_can_take_no_call_gives_way_to_the_next() {
        let refusals = [SipRefusal::Silence, SipRefusal::Timeout, SipRefusal::Unreachable];
        let statuses = [500, 502, 503, 504].map(SipRefusal::Status);
        for refusal in refusals.into_iter().chain(statuses) {
            let mut attempts = three();
            assert_eq!(attempts.after(refusal), Some(LegId(2)), "{refusal:?}");
            assert_eq!(attempts.after(refusal), Some(LegId(4)), "{refusal:?}");
            assert_eq!(attempts.after(refusal), None, "{refusal:?}");
        }
    }

    #[test]
    fn busy_and_decline_are_final() {
        for status in [404, 486, 487, 488, 600, 603, 604] {
            assert_eq!(three().after(SipRefusal::Status(status)), None, "{status}");
        }
    }

    #[test]
    fn unavailable_leads_on_by_setting() {
        for status in [408, 480] {
            assert_eq!(three().after(SipRefusal::Status(status)), None);
            let failover = Policy { on: vec![503, 408, 480], ..Policy::default() };
            let mut attempts = Attempts { failover: failover.clone(), ..three() };
            assert_eq!(attempts.after(SipRefusal::Status(status)), Some(LegId(2)));
        }
    }

    #[test]
    fn after_ringing_no_other_target_is_tried() {
        let mut attempts = three();
        attempts.rang();
        for refusal in [SipRefusal::Silence, SipRefusal::Timeout, SipRefusal::Status(503)] {
            assert_eq!(attempts.after(refusal), None);
        }
    }

    #[test]
    fn a_redirection_is_followed_once() {
        let mut attempts = three();
        attempts.rang();
        assert_eq!(attempts.after(SipRefusal::Redirected(LegId(6))), Some(LegId(6)));
        assert_eq!(attempts.current(), LegId(6));
        assert_eq!(attempts.after(SipRefusal::Redirected(LegId(8))), None);
    }
}
