//! How the program ends and how it takes another configuration.

use std::time::Duration;

use super::raw;
use super::valid::{Checker, seconds};

/// How the program ends and how it takes another configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// How long running calls may live on when the program is told to stop; zero ends them at once.
    pub drain_limit: Duration,
    /// What becomes of calls from WhatsApp meanwhile.
    pub new_calls: NewCalls,
    /// Whether the configuration file is looked at for changes.
    pub watch: bool,
}

/// What becomes of calls from WhatsApp that come while the program drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewCalls {
    /// They are rejected.
    Reject,
    /// They are left alone: another instance gets their webhooks too.
    Leave,
}

impl Checker<'_> {
    pub(super) fn life(&mut self, raw: raw::Life) -> Option<Life> {
        let drain_limit = raw.drain_limit_s.check(self.report, seconds(0..=86_400));
        let new_calls =
            self.choice(raw.new_calls, &[("reject", NewCalls::Reject), ("leave", NewCalls::Leave)]);
        let (drain_limit, new_calls) =
            (drain_limit.or(Duration::from_secs(120)), new_calls.or(NewCalls::Reject));
        Some(Life { drain_limit: drain_limit?, new_calls: new_calls?, watch: raw.watch.or(true)? })
    }
}
