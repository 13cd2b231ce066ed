//! The part of `valid` about webhooks that come late, twice, or of calls of others.

use std::time::Duration;

use super::table::Field;
use super::valid::{Checker, seconds};
use super::value::within;
use crate::unknown::UnknownCalls;

/// What webhooks that come late, or of no call of ours, lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// A user who called longer ago than this has given up.
    pub stale_after: Duration,
    /// How long ended calls are remembered.
    pub remember: Duration,
    /// What is done with calls that somebody else made with one of our numbers.
    pub unknown_calls: UnknownCalls,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            stale_after: Duration::from_secs(45),
            remember: Duration::from_secs(24 * 3600),
            unknown_calls: UnknownCalls::default(),
        }
    }
}

impl Checker<'_> {
    /// Of three keys in `[calls]`.
    pub(super) fn order(
        &mut self,
        stale_after: Field<i64>,
        remember: Field<i64>,
        unknown_calls: Field<String>,
    ) -> Option<Order> {
        let default = Order::default();
        let stale_after = stale_after.check(self.report, seconds(5..=300));
        let hours = remember.check(self.report, within(1..=168));
        let remember = hours.check(self.report, |hours: u32| Ok(Duration::from_secs(3600) * hours));
        let choices = [("leave", UnknownCalls::Leave), ("end", UnknownCalls::End)];
        let unknown_calls = self.choice(unknown_calls, &choices);
        Some(Order {
            stale_after: stale_after.or(default.stale_after)?,
            remember: remember.or(default.remember)?,
            unknown_calls: unknown_calls.or(default.unknown_calls)?,
        })
    }
}
