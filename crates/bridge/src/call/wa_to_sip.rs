//! A call from a WhatsApp user to the PBX (user-initiated), until it is released.
//!
//! ```text
//!            pre_accept >      DTLS up, or 2 s: INVITE >    < 200       DTLS up, or 3 s: accept >
//!  connect ───────────── Preparing ──────────────── Inviting ── AwaitingMedia ─────────── Accepting
//!                                                      │                                     │ < 200
//!                                                      └──── 200 with DTLS up: accept > ──────┤
//!                                                                              open: Talking <┘
//! ```
//!
//! Nothing of the PBX's ringing is told to WhatsApp: the caller hears it already, and any media
//! before the 200 to `accept` would look like an answer.

use std::time::{Duration, Instant};

use sip_core::LegId;
use wa_signaling::ErrorKind;

use super::action::{Action, End};
use super::attempts::Attempts;
use super::cause::Cause;
use super::event::{Event, SipEvent, SipRefusal};
use super::legs::{SipLeg, WaLeg};
use super::machine::{Context, InviteAfter, Next};
use super::sip_side;

/// The PBX is called at the latest this long after the webhook, DTLS or not.
const INVITE_LIMIT: Duration = Duration::from_secs(2);
/// An answered call is accepted at the latest this long after the answer, DTLS or not: only
/// `accept` makes WhatsApp work on our SDP if `pre_accept` was lost.
pub(super) const ACCEPT_LIMIT: Duration = Duration::from_secs(3);
/// How long DTLS may take after `accept`.
pub(super) const MEDIA_LIMIT: Duration = Duration::from_secs(5);
/// `accept` is sent this often at most, with the same bytes.
pub(super) const ACCEPT_ATTEMPTS: u8 = 4;
/// The pause before `accept` is sent again.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// The states of this direction.
#[derive(Debug)]
pub(super) enum State {
    /// `pre_accept` has left; ICE and DTLS are on their way.
    Preparing { invite_at: Instant, ring_limit: Instant, attempts: Attempts },
    /// The PBX rings: one of its targets, and the next where that can take no call.
    Inviting { ring_limit: Instant, connected: bool, attempts: Attempts },
    /// The PBX has answered; DTLS is not up yet.
    AwaitingMedia { accept_at: Instant },
    /// `accept` has left, or waits to leave again.
    Accepting { attempt: u8, again_at: Option<Instant>, connected: bool },
    /// Accepted, sound flows once DTLS is up: by the limit at the latest.
    Opening { media_limit: Instant },
    /// Answered, with sound.
    Talking,
}

impl State {
    pub(super) fn begin(now: Instant, attempts: Attempts, context: &mut Context) -> Self {
        context.act(Action::GraphPreAccept);
        context.act(Action::MediaConnect);
        let ring_limit = now + context.settings.ring_limit_in;
        match context.settings.invite_after {
            InviteAfter::DtlsUp => Self::Preparing { invite_at: now + INVITE_LIMIT, ring_limit, attempts },
            InviteAfter::Webhook => Self::invite(ring_limit, false, attempts, context),
        }
    }

    pub(super) fn handle(self, now: Instant, event: Event, context: &mut Context) -> Next<Self> {
        match event {
            Event::PreAcceptReply(Err(kind)) => self.pre_accept_failed(kind),
            Event::AcceptReply(reply) => self.accept_reply(now, reply, context),
            Event::Sip(leg, event) => self.of_pbx(now, leg, event, context),
            Event::MediaConnected => Next::To(self.media_connected(now, context)),
            // The rest says nothing new here; what ends a call was taken before.
            Event::PreAcceptReply(Ok(()))
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
            | Event::MediaAnnounced
            | Event::MediaFailed
            | Event::MediaSilent(_)
            | Event::Shutdown => Next::To(self),
        }
    }

    pub(super) fn handle_timeout(self, now: Instant, context: &mut Context) -> Next<Self> {
        match self {
            Self::Preparing { invite_at, ring_limit, attempts } if now >= invite_at => {
                Next::To(Self::invite(ring_limit, false, attempts, context))
            }
            Self::Inviting { ring_limit, .. } if now >= ring_limit => Next::Release(Cause::PbxNoAnswer),
            Self::AwaitingMedia { accept_at } if now >= accept_at => {
                Next::To(Self::accept(1, false, context))
            }
            Self::Accepting { attempt, again_at: Some(at), connected } if now >= at => {
                Next::To(Self::accept(attempt + 1, connected, context))
            }
            Self::Opening { media_limit } if now >= media_limit => Next::Release(Cause::MediaFailed),
            state @ (Self::Preparing { .. }
            | Self::Inviting { .. }
            | Self::AwaitingMedia { .. }
            | Self::Accepting { .. }
            | Self::Opening { .. }
            | Self::Talking) => Next::To(state),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Preparing { invite_at, .. } => Some(*invite_at),
            Self::Inviting { ring_limit, .. } => Some(*ring_limit),
            Self::AwaitingMedia { accept_at } => Some(*accept_at),
            Self::Accepting { again_at, .. } => *again_at,
            Self::Opening { media_limit } => Some(*media_limit),
            Self::Talking => None,
        }
    }

    fn invite(ring_limit: Instant, connected: bool, attempts: Attempts, context: &mut Context) -> Self {
        let leg = attempts.current();
        context.legs.sip = SipLeg::Asking(leg);
        context.act(Action::SipInvite(leg));
        Self::Inviting { ring_limit, connected, attempts }
    }

    fn accept(attempt: u8, connected: bool, context: &mut Context) -> Self {
        // From here on WhatsApp may hold the call for accepted: `reject` would be refused.
        context.legs.wa = WaLeg::Live(End::Terminate);
        context.act(Action::GraphAccept);
        Self::Accepting { attempt, again_at: None, connected }
    }

    fn media_connected(self, now: Instant, context: &mut Context) -> Self {
        match self {
            Self::Preparing { ring_limit, attempts, .. } => Self::invite(ring_limit, true, attempts, context),
            Self::Inviting { ring_limit, attempts, .. } => {
                Self::Inviting { ring_limit, connected: true, attempts }
            }
            Self::AwaitingMedia { .. } => Self::accept(1, true, context),
            Self::Accepting { attempt, again_at, .. } => {
                Self::Accepting { attempt, again_at, connected: true }
            }
            Self::Opening { .. } => {
                context.answered.get_or_insert(now);
                Self::Talking
            }
            Self::Talking => Self::Talking,
        }
    }

    /// What the PBX says to our INVITE. After that nothing of the SIP leg concerns this direction.
    fn of_pbx(self, now: Instant, leg: LegId, event: SipEvent, context: &mut Context) -> Next<Self> {
        let Self::Inviting { ring_limit, connected, mut attempts } = self else {
            return Next::To(self);
        };
        match event {
            SipEvent::Answered { usable } => Self::pbx_answered(now, leg, usable, connected, context),
            SipEvent::Refused(refusal) => Self::refused(refusal, ring_limit, connected, attempts, context),
            SipEvent::Ringing(_) => {
                attempts.rang();
                context.rang.get_or_insert(now);
                Next::To(Self::Inviting { ring_limit, connected, attempts })
            }
            SipEvent::Cancelled
            | SipEvent::Bye
            | SipEvent::AckTimeout
            | SipEvent::Acked { .. }
            | SipEvent::Refer { .. }
            | SipEvent::Replaced { .. }
            | SipEvent::Lost(_)
            | SipEvent::Ended => Next::To(Self::Inviting { ring_limit, connected, attempts }),
        }
    }

    /// The next target, if there is one to try; the limit on ringing stays.
    fn refused(
        refusal: SipRefusal,
        ring_limit: Instant,
        connected: bool,
        mut attempts: Attempts,
        context: &mut Context,
    ) -> Next<Self> {
        if attempts.after(refusal).is_some() {
            return Next::To(Self::invite(ring_limit, connected, attempts, context));
        }
        context.legs.sip = SipLeg::Over;
        Next::Release(sip_side::cause_of(refusal))
    }

    fn pbx_answered(
        now: Instant,
        leg: LegId,
        usable: bool,
        connected: bool,
        context: &mut Context,
    ) -> Next<Self> {
        context.legs.sip = SipLeg::Up(leg);
        if !usable {
            return Next::Release(Cause::PbxSdp);
        }
        context.act(Action::MediaSwitch(leg));
        Next::To(if connected {
            Self::accept(1, true, context)
        } else {
            Self::AwaitingMedia { accept_at: now + ACCEPT_LIMIT }
        })
    }

    /// `pre_accept` only warms the media up: a fault that may pass leaves the rest to `accept`.
    fn pre_accept_failed(self, kind: ErrorKind) -> Next<Self> {
        if kind == ErrorKind::AlreadyEnded {
            Next::Release(Cause::UserCancelled)
        } else if may_pass(kind) {
            Next::To(self)
        } else {
            Next::Release(Cause::Graph(kind))
        }
    }

    fn accept_reply(self, now: Instant, reply: Result<(), ErrorKind>, context: &mut Context) -> Next<Self> {
        let Self::Accepting { attempt, again_at: None, connected } = self else {
            return Next::To(self);
        };
        match reply {
            Ok(()) => {
                context.answered = Some(now);
                context.act(Action::MediaOpen);
                Next::To(if connected {
                    Self::Talking
                } else {
                    Self::Opening { media_limit: now + MEDIA_LIMIT }
                })
            }
            // The words are the same for an `accept` that worked and whose reply was lost: the call
            // is terminated all the same.
            Err(ErrorKind::AlreadyEnded) => Next::Release(Cause::UserHungUp),
            Err(kind) if may_pass(kind) && attempt < ACCEPT_ATTEMPTS => {
                Next::To(Self::Accepting { attempt, again_at: Some(now + ACCEPT_PAUSE), connected })
            }
            Err(kind) => Next::Release(Cause::Graph(kind)),
        }
    }
}

/// Whether the same request may succeed a moment later.
pub(super) fn may_pass(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Timeout
            | ErrorKind::Transport
            | ErrorKind::BadResponse
            | ErrorKind::Outage
            | ErrorKind::RateLimited
            | ErrorKind::Unknown
    )
}
