//! A call from a WhatsApp user who is put through to nobody and hears why, until it is released.
//!
//! ```text
//!            pre_accept >         DTLS up, or 3 s: accept >        < 200      DTLS up
//!  connect ───────────── Preparing ──────────────── Accepting ───────── Opening ───────── Lead
//!                                                                                     play > │
//!                                                     Release <──── Tail <──── played ── Playing
//! ```
//!
//! Silence goes before and behind the sound: the user's phone needs a moment to hear the first word, and
//! `terminate` is not to overtake the last.

use std::time::{Duration, Instant};

use wa_signaling::ErrorKind;

use super::action::{Action, End};
use super::cause::Cause;
use super::event::Event;
use super::legs::WaLeg;
use super::machine::{Context, Next};
use super::wa_to_sip::{ACCEPT_ATTEMPTS, ACCEPT_LIMIT, ACCEPT_PAUSE, MEDIA_LIMIT, may_pass};

/// The silence before the sound.
const LEAD: Duration = Duration::from_millis(400);
/// The silence behind it.
const TAIL: Duration = Duration::from_millis(500);
/// So much longer than it lasts an announcement may take.
const PLAY_MARGIN: Duration = Duration::from_secs(5);

/// What is announced, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Why the call is not put through: the call ends with it.
    pub cause: Cause,
    /// How long the announcement lasts.
    pub length: Duration,
}

/// A call that plays an announcement.
#[derive(Debug)]
pub(super) struct State {
    plan: Plan,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// `pre_accept` has left; ICE and DTLS are on their way.
    Preparing { accept_at: Instant },
    /// `accept` has left, or waits to leave again.
    Accepting { attempt: u8, again_at: Option<Instant>, connected: bool },
    /// Accepted; DTLS is up by the limit at the latest.
    Opening { media_limit: Instant },
    /// Accepted, with silence.
    Lead { until: Instant },
    /// The announcement is heard.
    Playing { limit: Instant },
    /// All is said.
    Tail { until: Instant },
}

impl State {
    pub(super) fn begin(now: Instant, plan: Plan, context: &mut Context) -> Self {
        context.act(Action::GraphPreAccept);
        context.act(Action::MediaConnect);
        Self { plan, stage: Stage::Preparing { accept_at: now + ACCEPT_LIMIT } }
    }

    /// The cause of a call that ended for `cause`: a user who hung up was not put through either.
    pub(super) fn cause(&self, cause: Cause) -> Cause {
        let is_by_user = matches!(cause, Cause::UserHungUp | Cause::UserCancelled);
        if is_by_user { self.plan.cause } else { cause }
    }

    pub(super) fn handle(self, now: Instant, event: Event, context: &mut Context) -> Next<Self> {
        match event {
            Event::PreAcceptReply(Err(kind)) if !may_pass(kind) => self.failed(kind),
            Event::AcceptReply(reply) => self.accept_reply(now, reply, context),
            Event::MediaConnected => Next::To(self.media_connected(now, context)),
            Event::MediaAnnounced => Next::To(self.announced(now)),
            // There is no SIP leg; the rest says nothing new here.
            Event::Sip(..)
            | Event::PreAcceptReply(_)
            | Event::ConnectReply(_)
            | Event::PermissionReply(_)
            | Event::EndReply(_)
            | Event::Identified
            | Event::WaConnect { .. }
            | Event::WaRinging
            | Event::WaAccepted
            | Event::WaRejected
            | Event::WaTerminated { .. }
            | Event::WaHungUp
            | Event::MediaHeard
            | Event::MediaFailed
            | Event::MediaSilent(_)
            | Event::Shutdown => Next::To(self),
        }
    }

    pub(super) fn handle_timeout(self, now: Instant, context: &mut Context) -> Next<Self> {
        if self.deadline().is_none_or(|at| now < at) {
            return Next::To(self);
        }
        match self.stage {
            Stage::Preparing { .. } => Next::To(self.accept(1, false, context)),
            Stage::Accepting { attempt, connected, .. } => {
                Next::To(self.accept(attempt + 1, connected, context))
            }
            Stage::Opening { .. } => Next::Release(Cause::MediaFailed),
            Stage::Lead { .. } => {
                context.act(Action::MediaAnnounce);
                let limit = now + self.plan.length + PLAY_MARGIN;
                Next::To(self.at(Stage::Playing { limit }))
            }
            Stage::Playing { .. } | Stage::Tail { .. } => Next::Release(self.plan.cause),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Preparing { accept_at: at }
            | Stage::Opening { media_limit: at }
            | Stage::Lead { until: at }
            | Stage::Playing { limit: at }
            | Stage::Tail { until: at } => Some(at),
            Stage::Accepting { again_at, .. } => again_at,
        }
    }

    fn at(self, stage: Stage) -> Self {
        Self { stage, ..self }
    }

    fn accept(self, attempt: u8, connected: bool, context: &mut Context) -> Self {
        // From here on WhatsApp may hold the call for accepted: `reject` would be refused.
        context.legs.wa = WaLeg::Live(End::Terminate);
        context.act(Action::GraphAccept);
        self.at(Stage::Accepting { attempt, again_at: None, connected })
    }

    fn media_connected(self, now: Instant, context: &mut Context) -> Self {
        match self.stage {
            Stage::Preparing { .. } => self.accept(1, true, context),
            Stage::Accepting { attempt, again_at, .. } => {
                self.at(Stage::Accepting { attempt, again_at, connected: true })
            }
            Stage::Opening { .. } => self.at(Stage::Lead { until: now + LEAD }),
            Stage::Lead { .. } | Stage::Playing { .. } | Stage::Tail { .. } => self,
        }
    }

    fn announced(self, now: Instant) -> Self {
        match self.stage {
            Stage::Playing { .. } => self.at(Stage::Tail { until: now + TAIL }),
            Stage::Preparing { .. }
            | Stage::Accepting { .. }
            | Stage::Opening { .. }
            | Stage::Lead { .. }
            | Stage::Tail { .. } => self,
        }
    }

    fn accept_reply(self, now: Instant, reply: Result<(), ErrorKind>, context: &mut Context) -> Next<Self> {
        let Stage::Accepting { attempt, again_at: None, connected } = self.stage else {
            return Next::To(self);
        };
        match reply {
            Ok(()) => {
                context.answered = Some(now);
                context.act(Action::MediaOpen);
                Next::To(self.at(if connected {
                    Stage::Lead { until: now + LEAD }
                } else {
                    Stage::Opening { media_limit: now + MEDIA_LIMIT }
                }))
            }
            Err(kind) if may_pass(kind) && attempt < ACCEPT_ATTEMPTS => {
                let again_at = Some(now + ACCEPT_PAUSE);
                Next::To(self.at(Stage::Accepting { attempt, again_at, connected }))
            }
            Err(kind) => self.failed(kind),
        }
    }

    fn failed(self, kind: ErrorKind) -> Next<Self> {
        Next::Release(if kind == ErrorKind::AlreadyEnded { self.plan.cause } else { Cause::Graph(kind) })
    }
}
