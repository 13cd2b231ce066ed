//! The end of a call, whatever its cause and direction.
//!
//! The PBX hears of it at once; the audio path closes; and WhatsApp's call is ended by `reject` or
//! `terminate` until that has worked or the call is known to be over. A call whose id is not known
//! yet is ended as soon as it is.

use std::time::{Duration, Instant};

use wa_signaling::ErrorKind;

use super::action::{Action, End};
use super::cause::Cause;
use super::event::Event;
use super::legs::{SipLeg, WaLeg};
use super::machine::Context;
use super::sip_to_wa::may_have_started;
use super::{sip_side, transfer};

/// How long the id of a call whose `connect` had no clear reply is waited for. WhatsApp gives up
/// ringing before that, and its webhooks would have come.
const ID_LIMIT: Duration = Duration::from_secs(90);
/// How long the end of a WhatsApp call is tried: a dead token is replaced within hours. After that
/// the journal keeps the call for the next start.
const END_LIMIT: Duration = Duration::from_secs(2 * 3600);
/// The first pause between two tries, doubled each time: five failures in a row cost at most 7.75 s.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is left to do at WhatsApp.
#[derive(Debug)]
enum WaEnd {
    /// The id is not known: there is nothing to end by.
    AwaitingId,
    /// The request has left.
    InFlight { end: End, pause: Duration },
    /// The request failed and leaves again.
    Paused { end: End, pause: Duration, until: Instant },
    /// Over.
    Done,
    /// Tried for long enough.
    GivenUp,
}

/// A call that is being released.
#[derive(Debug)]
pub(super) struct Release {
    cause: Cause,
    ended: Instant,
    give_up_at: Instant,
    wa: WaEnd,
}

impl Release {
    pub(super) fn begin(now: Instant, cause: Cause, context: &mut Context) -> Self {
        end_sip(cause, context);
        context.act(Action::MediaClose);
        let mut release = Self { cause, ended: now, give_up_at: now + ID_LIMIT, wa: WaEnd::AwaitingId };
        match context.legs.wa {
            WaLeg::Requested => {}
            WaLeg::Live(end) => release.end(now, end, context),
            WaLeg::Idle | WaLeg::Over => release.wa = WaEnd::Done,
        }
        release
    }

    pub(super) fn handle(mut self, now: Instant, event: &Event, context: &mut Context) -> Self {
        match event {
            Event::WaTerminated { .. } | Event::WaHungUp | Event::WaRejected => self.wa = WaEnd::Done,
            Event::Identified => {
                if matches!(self.wa, WaEnd::AwaitingId) {
                    self.end(now, End::Terminate, context);
                }
            }
            Event::ConnectReply(Err(kind)) => {
                if matches!(self.wa, WaEnd::AwaitingId) && !may_have_started(*kind) {
                    self.wa = WaEnd::Done;
                }
            }
            Event::EndReply(reply) => self.end_reply(now, *reply, context),
            Event::Sip(_, event) => sip_side::too_late(*event, context),
            Event::ConnectReply(Ok(()))
            | Event::PermissionReply(_)
            | Event::PreAcceptReply(_)
            | Event::AcceptReply(_)
            | Event::WaConnect { .. }
            | Event::WaRinging
            | Event::WaAccepted
            | Event::MediaConnected
            | Event::MediaHeard
            | Event::MediaAnnounced
            | Event::MediaFailed
            | Event::MediaSilent(_)
            | Event::Shutdown => {}
        }
        self
    }

    pub(super) fn handle_timeout(mut self, now: Instant, context: &mut Context) -> Self {
        if now >= self.give_up_at {
            self.wa = match self.wa {
                // Nothing ever came of it: there was no call.
                WaEnd::AwaitingId | WaEnd::Done => WaEnd::Done,
                WaEnd::InFlight { .. } | WaEnd::Paused { .. } | WaEnd::GivenUp => WaEnd::GivenUp,
            };
        } else if let WaEnd::Paused { end, pause, until } = self.wa
            && now >= until
        {
            self.send(end, pause, context);
        }
        self
    }

    pub(super) fn deadline(&self) -> Instant {
        match self.wa {
            WaEnd::Paused { until, .. } => until.min(self.give_up_at),
            WaEnd::AwaitingId | WaEnd::InFlight { .. } | WaEnd::Done | WaEnd::GivenUp => self.give_up_at,
        }
    }

    /// Cause, time of the end, and whether WhatsApp's call is known to be over; when all is done.
    pub(super) fn result(&self) -> Option<(Cause, Instant, bool)> {
        match self.wa {
            WaEnd::Done => Some((self.cause, self.ended, true)),
            WaEnd::GivenUp => Some((self.cause, self.ended, false)),
            WaEnd::AwaitingId | WaEnd::InFlight { .. } | WaEnd::Paused { .. } => None,
        }
    }

    fn end(&mut self, now: Instant, end: End, context: &mut Context) {
        self.give_up_at = now + END_LIMIT;
        self.send(end, FIRST_PAUSE, context);
    }

    fn send(&mut self, end: End, pause: Duration, context: &mut Context) {
        context.act(Action::GraphEnd(end));
        self.wa = WaEnd::InFlight { end, pause };
    }

    fn end_reply(&mut self, now: Instant, reply: Result<(), ErrorKind>, context: &mut Context) {
        let WaEnd::InFlight { end, pause } = self.wa else {
            return;
        };
        self.wa = match (reply, end) {
            (Ok(()) | Err(ErrorKind::AlreadyEnded), _) => WaEnd::Done,
            // Sources differ on whether `reject` works after `pre_accept`.
            (Err(_), End::Reject) => WaEnd::Paused { end: End::Terminate, pause: FIRST_PAUSE, until: now },
            (Err(_), End::Terminate) => WaEnd::Paused {
                end: End::Terminate,
                pause: (pause * 2).min(LONGEST_PAUSE),
                until: now + context.jitter.shorten(pause),
            },
        };
    }
}

/// Nothing of the SIP legs is looked at after this: `sip-core` sees its transactions through.
fn end_sip(cause: Cause, context: &mut Context) {
    transfer::end(cause, context);
    match context.legs.sip {
        SipLeg::Asked(leg) => context.act(Action::SipRefuse(leg, cause)),
        SipLeg::Asking(leg) => context.act(Action::SipCancel(leg, cause)),
        SipLeg::Up(leg) => context.act(Action::SipBye(leg, cause)),
        SipLeg::Idle | SipLeg::Over => {}
    }
}
