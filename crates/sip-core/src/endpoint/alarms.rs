//! Who wants to be woken when: one alarm an owner, set anew whenever its deadline moves.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use super::LegId;
use crate::transaction::TransactionId;
use crate::transport::TrunkId;

/// Whose alarm it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Owner {
    Client(TransactionId),
    Server(TransactionId),
    Leg(LegId),
    Registrar(TrunkId),
}

#[derive(Debug, Default)]
pub(super) struct Alarms {
    in_order: BTreeSet<(Instant, Owner)>,
    of: HashMap<Owner, Instant>,
}

impl Alarms {
    /// Moves the owner's alarm, or clears it.
    pub(super) fn set(&mut self, owner: Owner, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.of.insert(owner, at),
            None => self.of.remove(&owner),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.in_order.remove(&(before, owner));
        }
        if let Some(at) = at {
            self.in_order.insert((at, owner));
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.in_order.first().map(|(at, _)| *at)
    }

    /// Takes the first alarm that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Owner> {
        let (at, owner) = *self.in_order.first()?;
        if at > now {
            return None;
        }
        self.set(owner, None);
        Some(owner)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.in_order.is_empty() && self.of.is_empty()
    }
}
