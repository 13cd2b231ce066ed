//! The call: a pure machine that owns both legs and the audio path.
//!
//! It takes (now, event) and gives actions. It reads no clock, opens no socket and awaits nothing;
//! `task` does all that. The two directions are `sip_to_wa` and
//! `wa_to_sip`; what comes of the SIP legs goes through `sip_side` first, which knows of transfers and
//! of legs that take each other's place; every end, whatever its cause, goes through
//! `release`. What holds through any order of events (and is tested so):
//!
//! - each INVITE of the PBX gets at most one final response, and one if it waits for one;
//! - no SIP leg is left: each that was begun or answered is ended, by the PBX or by us, once;
//! - a WhatsApp call whose id is known gets exactly one end;
//! - an audio path that was set up is closed once;
//! - the call always comes to [`Action::Finished`], and nothing follows it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_relay::Party;
use sip_core::LegId;

use super::action::{Action, End, Outcome};
use super::attempts::Attempts;
use super::cause::Cause;
use super::event::Event;
use super::jitter::Jitter;
use super::legs::{Legs, SipLeg, WaLeg};
use super::release::Release;
pub use super::settings::{AnswerOn, InviteAfter, Ringback, Settings};
use super::sip_side::{self, Sorted};
use super::{announce, sip_to_wa, transfer, wa_to_sip};

/// What the states work on.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) settings: Settings,
    pub(super) legs: Legs,
    pub(super) rang: Option<Instant>,
    pub(super) answered: Option<Instant>,
    pub(super) jitter: Jitter,
    /// WhatsApp said that its user had picked up, whether or not there was an audio path by then.
    pub(super) is_picked_up: bool,
    actions: VecDeque<Action>,
}

impl Context {
    pub(super) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }
}

/// Where an event leads.
#[derive(Debug)]
pub(super) enum Next<S> {
    /// To this state of the same direction.
    To(S),
    /// To the end of the call.
    Release(Cause),
}

#[derive(Debug)]
enum State {
    SipToWa(sip_to_wa::State),
    WaToSip(wa_to_sip::State),
    Announcing(announce::State),
    Releasing(Release),
    Over,
}

impl State {
    /// What an end that holds in any state means in this one.
    fn cause(&self, cause: Cause) -> Cause {
        match self {
            Self::Announcing(state) => state.cause(cause),
            Self::SipToWa(_) | Self::WaToSip(_) | Self::Releasing(_) | Self::Over => cause,
        }
    }
}

/// One call between a PBX and a WhatsApp user.
#[derive(Debug)]
pub struct Call {
    began: Instant,
    context: Context,
    state: State,
}

impl Call {
    /// A call that the PBX began. Its audio path stands and our offer is written.
    #[must_use]
    pub fn from_pbx(settings: Settings, now: Instant, leg: LegId) -> Self {
        let legs = Legs { sip: SipLeg::Asked(leg), wa: WaLeg::Idle, transfer: None };
        let mut context = Context::new(settings, legs);
        let state = State::SipToWa(sip_to_wa::State::begin(now, &mut context));
        Self { began: now, context, state }
    }

    /// A call that a WhatsApp user began, for the targets of a trunk. Its audio path stands and our
    /// answer is written.
    #[must_use]
    pub fn from_whatsapp(settings: Settings, now: Instant, attempts: Attempts) -> Self {
        let mut context = Context::new(settings, Legs::from_whatsapp());
        let state = State::WaToSip(wa_to_sip::State::begin(now, attempts, &mut context));
        Self { began: now, context, state }
    }

    /// A call that a WhatsApp user began, who is put through to nobody and hears an announcement. Its
    /// audio path stands and our answer is written.
    #[must_use]
    pub fn announcing(settings: Settings, now: Instant, plan: announce::Plan) -> Self {
        let mut context = Context::new(settings, Legs::from_whatsapp());
        let state = State::Announcing(announce::State::begin(now, plan, &mut context));
        Self { began: now, context, state }
    }

    /// A call that a WhatsApp user began and that can't be put through: it only ends.
    #[must_use]
    pub fn refused(settings: Settings, now: Instant, cause: Cause) -> Self {
        let mut context = Context::new(settings, Legs::from_whatsapp());
        let state = State::Releasing(Release::begin(now, cause, &mut context));
        Self { began: now, context, state }
    }

    /// A call of a former life of the bridge, of which only WhatsApp's end is left: by this request, or
    /// by `terminate` as soon as a webhook tells its id.
    #[must_use]
    pub fn former(settings: Settings, (began, now): (Instant, Instant), end: Option<End>) -> Self {
        let wa = end.map_or(WaLeg::Requested, WaLeg::Live);
        let mut context = Context::new(settings, Legs { sip: SipLeg::Idle, wa, transfer: None });
        let state = State::Releasing(Release::begin(now, Cause::Crash, &mut context));
        Self { began, context, state }
    }

    /// The same with pauses of its own, so that calls that end together do not try again together.
    #[must_use]
    pub fn with_jitter(mut self, seed: u64) -> Self {
        self.context.jitter = Jitter::new(seed);
        self
    }

    /// A WhatsApp call with a known id that nobody here leads: it only ends.
    #[must_use]
    pub fn lost(settings: Settings, now: Instant, cause: Cause) -> Self {
        let legs = Legs { sip: SipLeg::Idle, wa: WaLeg::Live(End::Terminate), transfer: None };
        let mut context = Context::new(settings, legs);
        let state = State::Releasing(Release::begin(now, cause, &mut context));
        Self { began: now, context, state }
    }

    /// Takes in one event; then [`poll`](Self::poll) until it gives nothing.
    pub fn handle(&mut self, now: Instant, event: Event) {
        if event == Event::Identified && self.context.legs.wa == WaLeg::Requested {
            self.context.legs.wa = WaLeg::Live(End::Terminate);
        }
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match state {
            State::Over => State::Over,
            State::Releasing(release) => {
                let release = release.handle(now, &event, &mut self.context);
                self.releasing(release)
            }
            live @ (State::SipToWa(_) | State::WaToSip(_) | State::Announcing(_)) => {
                self.sort(live, now, event)
            }
        };
    }

    /// Lets time pass; call it when [`deadline`](Self::deadline) is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match state {
            State::Over => State::Over,
            State::Releasing(release) => {
                let release = release.handle_timeout(now, &mut self.context);
                self.releasing(release)
            }
            live @ (State::SipToWa(_) | State::WaToSip(_) | State::Announcing(_)) => {
                match self.context.timed_out(now) {
                    Some(cause) => self.release(now, cause),
                    None => self.elapse(live, now),
                }
            }
        };
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Action> {
        self.context.actions.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let of_state = match &self.state {
            State::SipToWa(state) => state.deadline(),
            State::WaToSip(state) => state.deadline(),
            State::Announcing(state) => state.deadline(),
            State::Releasing(release) => return Some(release.deadline()),
            State::Over => return None,
        };
        let of_transfer = self.context.legs.transfer.map(|transfer| transfer.deadline());
        [of_state, of_transfer, self.context.longest()].into_iter().flatten().min()
    }

    /// How long its users have talked, from the answer on.
    #[must_use]
    pub fn talked(&self, now: Instant) -> Option<Duration> {
        self.context.answered.map(|at| now.saturating_duration_since(at))
    }

    /// True from the last action on.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// The state in one word, for logs and metrics.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::SipToWa(_) | State::WaToSip(_) | State::Announcing(_)
                if self.context.answered.is_some() =>
            {
                Phase::Talking
            }
            State::SipToWa(_) | State::WaToSip(_) | State::Announcing(_) => Phase::SettingUp,
            State::Releasing(_) | State::Over => Phase::Releasing,
        }
    }

    /// Where an event goes: what the SIP legs settle among themselves, and what ends the call in any
    /// state, does not come to the direction.
    fn sort(&mut self, live: State, now: Instant, event: Event) -> State {
        let event = if let Event::Sip(leg, event) = event {
            match sip_side::sort(now, leg, event, &mut self.context) {
                Sorted::On(leg, event) => Event::Sip(leg, event),
                Sorted::Taken => return live,
                Sorted::End(cause) => return self.release(now, cause),
            }
        } else {
            event
        };
        match ended_by(&event, &mut self.context) {
            Some(cause) => self.release(now, live.cause(cause)),
            None => self.advance(live, now, event),
        }
    }

    fn advance(&mut self, state: State, now: Instant, event: Event) -> State {
        match state {
            State::SipToWa(state) => {
                let next = state.handle(now, event, &mut self.context);
                self.led(now, next, State::SipToWa)
            }
            State::WaToSip(state) => {
                let next = state.handle(now, event, &mut self.context);
                self.led(now, next, State::WaToSip)
            }
            State::Announcing(state) => {
                let next = state.handle(now, event, &mut self.context);
                self.led(now, next, State::Announcing)
            }
            ended @ (State::Releasing(_) | State::Over) => ended,
        }
    }

    fn elapse(&mut self, state: State, now: Instant) -> State {
        match state {
            State::SipToWa(state) => {
                let next = state.handle_timeout(now, &mut self.context);
                self.led(now, next, State::SipToWa)
            }
            State::WaToSip(state) => {
                let next = state.handle_timeout(now, &mut self.context);
                self.led(now, next, State::WaToSip)
            }
            State::Announcing(state) => {
                let next = state.handle_timeout(now, &mut self.context);
                self.led(now, next, State::Announcing)
            }
            ended @ (State::Releasing(_) | State::Over) => ended,
        }
    }

    fn led<S>(&mut self, now: Instant, next: Next<S>, state: fn(S) -> State) -> State {
        match next {
            Next::To(next) => state(next),
            Next::Release(cause) => self.release(now, cause),
        }
    }

    fn release(&mut self, now: Instant, cause: Cause) -> State {
        let release = Release::begin(now, cause, &mut self.context);
        self.releasing(release)
    }

    /// Goes on releasing, or finishes when nothing is left to end.
    fn releasing(&mut self, release: Release) -> State {
        let Some((cause, ended, whatsapp_ended)) = release.result() else {
            return State::Releasing(release);
        };
        let outcome = Outcome {
            cause,
            began: self.began,
            rang: self.context.rang,
            answered: self.context.answered,
            ended,
            whatsapp_ended,
        };
        self.context.act(Action::Finished(outcome));
        State::Over
    }
}

/// The phases that metrics tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not answered yet.
    SettingUp,
    /// Answered.
    Talking,
    /// Being ended.
    Releasing,
}

impl Context {
    fn new(settings: Settings, legs: Legs) -> Self {
        Self {
            settings,
            legs,
            rang: None,
            answered: None,
            is_picked_up: false,
            jitter: Jitter::default(),
            actions: VecDeque::new(),
        }
    }

    /// When the call has lasted as long as it may.
    fn longest(&self) -> Option<Instant> {
        Some(self.answered? + self.settings.longest?)
    }

    /// What is due beside the direction's own deadline; the cause when that ends the call.
    fn timed_out(&mut self, now: Instant) -> Option<Cause> {
        if self.longest().is_some_and(|at| now >= at) {
            return Some(Cause::LongestCall);
        }
        let is_due = self.legs.transfer.is_some_and(|transfer| now >= transfer.deadline());
        match is_due.then(|| transfer::timed_out(self)) {
            Some(Sorted::End(cause)) => Some(cause),
            Some(Sorted::On(..) | Sorted::Taken) | None => None,
        }
    }
}

/// The events that end a call in any state of either direction.
fn ended_by(event: &Event, context: &mut Context) -> Option<Cause> {
    let legs = &mut context.legs;
    match event {
        Event::WaRejected => {
            legs.wa = WaLeg::Over;
            Some(if context.settings.rejected_is_603 { Cause::UserDeclined } else { Cause::UserRejected })
        }
        Event::WaTerminated { error } => {
            legs.wa = WaLeg::Over;
            let is_picked_up = context.answered.is_some() || context.is_picked_up;
            Some(match (error, legs.sip) {
                (Some(code), _) => Cause::WhatsAppFailed(*code),
                (None, _) if is_picked_up => Cause::UserHungUp,
                (None, SipLeg::Asked(_)) => Cause::NoAnswer,
                (None, _) => Cause::UserCancelled,
            })
        }
        Event::WaHungUp => {
            legs.wa = WaLeg::Over;
            Some(Cause::UserHungUp)
        }
        Event::MediaFailed => Some(Cause::MediaFailed),
        Event::MediaSilent(Party::Pbx) => Some(Cause::PbxSilent),
        Event::MediaSilent(Party::WhatsApp) => Some(Cause::UserSilent),
        Event::Shutdown => Some(Cause::ShuttingDown),
        Event::Sip(..)
        | Event::ConnectReply(_)
        | Event::PermissionReply(_)
        | Event::PreAcceptReply(_)
        | Event::AcceptReply(_)
        | Event::EndReply(_)
        | Event::Identified
        | Event::WaConnect { .. }
        | Event::WaRinging
        | Event::WaAccepted
        | Event::MediaConnected
        | Event::MediaHeard
        | Event::MediaAnnounced => None,
    }
}
