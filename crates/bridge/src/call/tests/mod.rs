//! The call machine in virtual time: the flows one by one, then any order of events.
#![allow(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]
#![allow(clippy::wildcard_enum_match_arm, reason = "tests look for one of many")]

mod announcements;
mod any_order;
mod flows;
mod former;
mod line;
mod orders;
mod permission;
mod random;
mod transfers;
mod world;

use std::time::{Duration, Instant};

use super::action::{Action, Outcome};
use super::announce::Plan;
use super::cause::Cause;
use sip_core::LegId;

use super::attempts::Attempts;
use super::event::{Event, SipEvent};
use super::machine::{Call, Settings};

/// The leg of a call's first INVITE.
pub(super) const FIRST: LegId = LegId(0);
/// The legs of two further targets.
pub(super) const SECOND_TARGET: LegId = LegId(2);
pub(super) const THIRD_TARGET: LegId = LegId(4);

/// An event of the first leg.
pub(super) fn sip(event: SipEvent) -> Event {
    Event::Sip(FIRST, event)
}

/// A call and its clock.
pub(super) struct Bench {
    pub(super) call: Call,
    pub(super) now: Instant,
}

impl Bench {
    pub(super) fn from_pbx(settings: Settings) -> Self {
        Self::from_pbx_at(Instant::now(), settings)
    }

    pub(super) fn from_pbx_at(now: Instant, settings: Settings) -> Self {
        Self { call: Call::from_pbx(settings, now, FIRST), now }
    }

    pub(super) fn from_whatsapp(settings: Settings) -> Self {
        Self::from_whatsapp_at(Instant::now(), settings)
    }

    pub(super) fn from_whatsapp_at(now: Instant, settings: Settings) -> Self {
        let attempts =
            Attempts::new(FIRST, [SECOND_TARGET, THIRD_TARGET], crate::trunk::failover::Policy::default());
        Self { call: Call::from_whatsapp(settings, now, attempts), now }
    }

    pub(super) fn announcing(settings: Settings, plan: Plan) -> Self {
        let now = Instant::now();
        Self { call: Call::announcing(settings, now, plan), now }
    }

    pub(super) fn refused(settings: Settings, cause: Cause) -> Self {
        let now = Instant::now();
        Self { call: Call::refused(settings, now, cause), now }
    }

    /// Gives one event and returns what the call wants done.
    pub(super) fn give(&mut self, event: Event) -> Vec<Action> {
        self.call.handle(self.now, event);
        self.actions()
    }

    /// Lets the time pass, deadline by deadline, and returns what the call wants done.
    pub(super) fn pass(&mut self, time: Duration) -> Vec<Action> {
        let end = self.now + time;
        let mut actions = self.actions();
        while let Some(deadline) = self.call.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(deadline);
            self.call.handle_timeout(self.now);
            actions.extend(self.actions());
        }
        self.now = end;
        actions
    }

    pub(super) fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.call.poll()).collect()
    }
}

pub(super) fn outcome(actions: &[Action]) -> Option<Outcome> {
    actions.iter().find_map(|action| match action {
        Action::Finished(outcome) => Some(*outcome),
        _ => None,
    })
}
