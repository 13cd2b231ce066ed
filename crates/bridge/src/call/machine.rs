//! The call: a pure machine that owns both legs and the audio path.
//!
//! It takes (now, event) and gives actions. It reads no clock, opens no socket and awaits nothing;
//! `task` does all that. The two directions are `sip_to_wa` and
//! `wa_to_sip`; every end, whatever its cause, goes through
//! `release`. What holds through any order of events (and is tested so):
//!
//! - the PBX gets at most one final response, and one if it waits for one;
//! - a WhatsApp call whose id is known gets exactly one end;
//! - an audio path that was set up is closed once;
//! - the call always comes to [`Action::Finished`], and nothing follows it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::action::{Action, End, Outcome};
use super::cause::Cause;
use super::event::{Event, SipRefusal};
use super::release::Release;
use super::{sip_to_wa, wa_to_sip};

/// What counts as the WhatsApp user's pickup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerOn {
    /// The `ACCEPTED` status.
    #[default]
    Accepted,
    /// `ACCEPTED` or the first sound from WhatsApp, whichever comes first.
    AcceptedOrMedia,
    /// WhatsApp's SDP answer, once DTLS is up.
    Connect,
}

/// When the PBX is called for a WhatsApp user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InviteAfter {
    /// When DTLS is up, so that an IVR that answers at once loses no word.
    #[default]
    DtlsUp,
    /// At once.
    Webhook,
}

/// Limits and choices of a call.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a WhatsApp user may ring.
    pub ring_limit_out: Duration,
    /// How long the PBX may ring.
    pub ring_limit_in: Duration,
    /// What counts as pickup.
    pub answer_on: AnswerOn,
    /// When the PBX is called.
    pub invite_after: InviteAfter,
    /// What the PBX hears when the user declines: 486, or 603 when true.
    pub rejected_is_603: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ring_limit_out: Duration::from_secs(60),
            ring_limit_in: Duration::from_secs(55),
            answer_on: AnswerOn::default(),
            invite_after: InviteAfter::default(),
            rejected_is_603: false,
        }
    }
}

/// The SIP leg, as far as ending it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SipLeg {
    /// No INVITE was sent to the PBX yet.
    Idle,
    /// The PBX's INVITE waits for our final response.
    Asked,
    /// Our INVITE waits for the PBX's final response.
    Asking,
    /// A dialog: answered with 200.
    Up,
    /// Ended, or its end is in the hands of `sip-core`.
    Over,
}

/// The WhatsApp leg, as far as ending it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaLeg {
    /// `connect` has left; its reply or a webhook will tell the WhatsApp call id.
    Requested,
    /// A call with an id: it must be ended, once, in the way named.
    Live(End),
    /// Ended.
    Over,
}

/// Both legs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Legs {
    pub(super) sip: SipLeg,
    pub(super) wa: WaLeg,
}

/// What the states work on.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) settings: Settings,
    pub(super) legs: Legs,
    pub(super) rang: Option<Instant>,
    pub(super) answered: Option<Instant>,
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
    Releasing(Release),
    Over,
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
    pub fn from_pbx(settings: Settings, now: Instant) -> Self {
        let legs = Legs { sip: SipLeg::Asked, wa: WaLeg::Requested };
        let mut context = Context::new(settings, legs);
        let state = State::SipToWa(sip_to_wa::State::begin(now, &mut context));
        Self { began: now, context, state }
    }

    /// A call that a WhatsApp user began. Its audio path stands and our answer is written.
    #[must_use]
    pub fn from_whatsapp(settings: Settings, now: Instant) -> Self {
        let legs = Legs { sip: SipLeg::Idle, wa: WaLeg::Live(End::Reject) };
        let mut context = Context::new(settings, legs);
        let state = State::WaToSip(wa_to_sip::State::begin(now, &mut context));
        Self { began: now, context, state }
    }

    /// A call that a WhatsApp user began and that can't be put through: it only ends.
    #[must_use]
    pub fn refused(settings: Settings, now: Instant, cause: Cause) -> Self {
        let legs = Legs { sip: SipLeg::Idle, wa: WaLeg::Live(End::Reject) };
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
            live @ (State::SipToWa(_) | State::WaToSip(_)) => match ended_by(&event, &mut self.context) {
                Some(cause) => self.release(now, cause),
                None => self.advance(live, now, event),
            },
        };
    }

    /// Lets time pass; call it when [`deadline`](Self::deadline) is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match state {
            State::Over => State::Over,
            State::SipToWa(state) => match state.handle_timeout(now, &mut self.context) {
                Next::To(state) => State::SipToWa(state),
                Next::Release(cause) => self.release(now, cause),
            },
            State::WaToSip(state) => match state.handle_timeout(now, &mut self.context) {
                Next::To(state) => State::WaToSip(state),
                Next::Release(cause) => self.release(now, cause),
            },
            State::Releasing(release) => {
                let release = release.handle_timeout(now, &mut self.context);
                self.releasing(release)
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
        match &self.state {
            State::SipToWa(state) => state.deadline(),
            State::WaToSip(state) => state.deadline(),
            State::Releasing(release) => Some(release.deadline()),
            State::Over => None,
        }
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
            State::SipToWa(_) | State::WaToSip(_) if self.context.answered.is_some() => Phase::Talking,
            State::SipToWa(_) | State::WaToSip(_) => Phase::SettingUp,
            State::Releasing(_) | State::Over => Phase::Releasing,
        }
    }

    fn advance(&mut self, state: State, now: Instant, event: Event) -> State {
        match state {
            State::SipToWa(state) => match state.handle(now, event, &mut self.context) {
                Next::To(state) => State::SipToWa(state),
                Next::Release(cause) => self.release(now, cause),
            },
            State::WaToSip(state) => match state.handle(now, event, &mut self.context) {
                Next::To(state) => State::WaToSip(state),
                Next::Release(cause) => self.release(now, cause),
            },
            ended @ (State::Releasing(_) | State::Over) => ended,
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
        Self { settings, legs, rang: None, answered: None, actions: VecDeque::new() }
    }
}

/// The events that end a call in any state of either direction.
fn ended_by(event: &Event, context: &mut Context) -> Option<Cause> {
    let legs = &mut context.legs;
    match event {
        Event::SipCancelled if legs.sip == SipLeg::Asked => Some(Cause::PbxCancelled),
        Event::SipBye | Event::SipEnded => {
            legs.sip = SipLeg::Over;
            Some(Cause::PbxHungUp)
        }
        Event::SipAckTimeout => Some(Cause::AckMissing),
        Event::SipRefused(refusal) => {
            legs.sip = SipLeg::Over;
            Some(match refusal {
                SipRefusal::Status(status) => Cause::PbxRefused(*status),
                SipRefusal::Timeout => Cause::PbxTimeout,
                SipRefusal::Unreachable => Cause::PbxUnreachable,
            })
        }
        Event::WaRejected => {
            legs.wa = WaLeg::Over;
            Some(if context.settings.rejected_is_603 { Cause::UserDeclined } else { Cause::UserRejected })
        }
        Event::WaTerminated { error } => {
            legs.wa = WaLeg::Over;
            Some(match (error, context.answered, legs.sip) {
                (Some(code), _, _) => Cause::WhatsAppFailed(*code),
                (None, Some(_), _) => Cause::UserHungUp,
                (None, None, SipLeg::Asked) => Cause::NoAnswer,
                (None, None, _) => Cause::UserCancelled,
            })
        }
        Event::MediaFailed => Some(Cause::MediaFailed),
        Event::Shutdown => Some(Cause::ShuttingDown),
        Event::SipCancelled
        | Event::SipAnswered { .. }
        | Event::ConnectReply(_)
        | Event::PreAcceptReply(_)
        | Event::AcceptReply(_)
        | Event::EndReply(_)
        | Event::Identified
        | Event::WaConnect { .. }
        | Event::WaRinging
        | Event::WaAccepted
        | Event::MediaConnected
        | Event::MediaHeard => None,
    }
}
