//! Whether new calls are taken: what a peer learns by OPTIONS.

use std::collections::HashSet;

use crate::transport::TrunkId;

/// The trunks that take new calls. Bounded by the range of [`TrunkId`].
#[derive(Debug, Default)]
pub(super) struct Readiness {
    /// What was last said of all trunks.
    all_unready: bool,
    /// The trunks of which the other holds.
    others: HashSet<TrunkId>,
}

impl Readiness {
    /// Of this trunk, or of all.
    pub(super) fn set(&mut self, trunk: Option<TrunkId>, ready: bool) {
        match trunk {
            None => {
                self.all_unready = !ready;
                self.others.clear();
            }
            Some(trunk) if ready == self.all_unready => {
                self.others.insert(trunk);
            }
            Some(trunk) => {
                self.others.remove(&trunk);
            }
        }
    }

    pub(super) fn is_ready(&self, trunk: TrunkId) -> bool {
        self.all_unready == self.others.contains(&trunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_holds() {
        let (one, two) = (TrunkId(1), TrunkId(2));
        let mut readiness = Readiness::default();
        assert!(readiness.is_ready(one));
        readiness.set(Some(one), false);
        assert_eq!((readiness.is_ready(one), readiness.is_ready(two)), (false, true));
        readiness.set(None, false);
        readiness.set(Some(two), true);
        assert_eq!((readiness.is_ready(one), readiness.is_ready(two)), (false, true));
        readiness.set(Some(two), false);
        assert_eq!((readiness.is_ready(one), readiness.is_ready(two)), (false, false));
        readiness.set(None, true);
        assert_eq!((readiness.is_ready(one), readiness.is_ready(two)), (true, true));
    }
}
