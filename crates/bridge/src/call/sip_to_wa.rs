//! A call from the PBX to a WhatsApp user (business-initiated), until it is released.
//!
//! ```text
//!            connect >        < RINGING: 180         < ACCEPTED            DTLS up: 200, open
//!  INVITE ──────────── Calling ─────────── Calling ───────────── PickedUp ─────────────────── Talking
//!     │                ^  │        (DTLS comes up meanwhile)        ^
//!     │ permission?    │  └── ACCEPTED with DTLS up: 200, open ─────┴────────────────────────────^
//!     └── Asking ──────┘
//!           permitted, or no answer: connect >
//! ```
//!
//! `Asking` is there by setting only. There is no call at WhatsApp by then, and none follows a refusal; the
//! question never costs a call: without a clear answer in time, `connect` finds out.

use std::time::{Duration, Instant};

use wa_signaling::ErrorKind;

use super::action::Action;
use super::cause::Cause;
use super::event::Event;
use super::legs::{SipLeg, WaLeg};
use super::machine::{AnswerOn, Context, Next, Ringback};

/// How long DTLS may take after the user has picked up: a 200 without sound is worse than a 5xx.
const MEDIA_LIMIT: Duration = Duration::from_secs(5);

/// How long the user's permission is asked for. The caller hears nothing meanwhile.
const ASK_LIMIT: Duration = Duration::from_secs(2);

/// How far the audio path towards WhatsApp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// WhatsApp's SDP answer has not come.
    AwaitingSdp,
    /// ICE and DTLS are on their way.
    Connecting,
    /// DTLS is up.
    Connected,
}

/// The states of this direction.
#[derive(Debug)]
pub(super) enum State {
    /// Whether the user may be called is being asked.
    Asking { until: Instant },
    /// WhatsApp calls its user.
    Calling { ring_limit: Instant, media: Media },
    /// The user has picked up, but DTLS is not up yet.
    PickedUp { media_limit: Instant, media: Media },
    /// Answered.
    Talking,
}

impl State {
    pub(super) fn begin(now: Instant, context: &mut Context) -> Self {
        if context.settings.check_permission {
            context.act(Action::GraphPermission);
            return Self::Asking { until: now + ASK_LIMIT };
        }
        Self::call(now, context)
    }

    fn call(now: Instant, context: &mut Context) -> Self {
        context.legs.wa = WaLeg::Requested;
        context.act(Action::GraphConnect);
        Self::Calling { ring_limit: now + context.settings.ring_limit_out, media: Media::AwaitingSdp }
    }

    pub(super) fn handle(self, now: Instant, event: Event, context: &mut Context) -> Next<Self> {
        if let Self::Asking { .. } = self {
            return self.asked(now, &event, context);
        }
        match event {
            Event::ConnectReply(Err(kind)) => self.refused(kind, context),
            Event::WaConnect { usable } => self.sdp(usable, context),
            Event::WaRinging => self.ringing(now, context),
            Event::WaAccepted => self.picked_up(now, context),
            Event::MediaConnected => self.media_connected(now, context),
            Event::MediaHeard => match context.settings.answer_on {
                AnswerOn::AcceptedOrMedia => self.picked_up(now, context),
                AnswerOn::Accepted | AnswerOn::Connect => Next::To(self),
            },
            // The rest says nothing new here; what ends a call was taken before.
            Event::ConnectReply(Ok(()))
            | Event::PermissionReply(_)
            | Event::PreAcceptReply(_)
            | Event::AcceptReply(_)
            | Event::EndReply(_)
            | Event::Identified
            | Event::Sip(..)
            | Event::WaRejected
            | Event::WaTerminated { .. }
            | Event::WaHungUp
            | Event::MediaFailed
            | Event::MediaSilent(_)
            | Event::MediaAnnounced
            | Event::Shutdown => Next::To(self),
        }
    }

    pub(super) fn handle_timeout(self, now: Instant, context: &mut Context) -> Next<Self> {
        match self {
            Self::Asking { until } if now >= until => Next::To(Self::call(now, context)),
            Self::Calling { ring_limit, .. } if now >= ring_limit => Next::Release(Cause::RingLimit),
            Self::PickedUp { media_limit, .. } if now >= media_limit => Next::Release(Cause::MediaFailed),
            state @ (Self::Asking { .. } | Self::Calling { .. } | Self::PickedUp { .. } | Self::Talking) => {
                Next::To(state)
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Asking { until } => Some(*until),
            Self::Calling { ring_limit, .. } => Some(*ring_limit),
            Self::PickedUp { media_limit, .. } => Some(*media_limit),
            Self::Talking => None,
        }
    }

    /// Only the answer counts: there is no call at WhatsApp that anything else could come from.
    fn asked(self, now: Instant, event: &Event, context: &mut Context) -> Next<Self> {
        let Event::PermissionReply(reply) = event else {
            return Next::To(self);
        };
        match reply {
            Err(kind @ (ErrorKind::NoCallPermission | ErrorKind::DailyLimit)) => {
                Next::Release(Cause::Graph(*kind))
            }
            Ok(()) | Err(_) => Next::To(Self::call(now, context)),
        }
    }

    /// `connect` failed. A webhook that came before proves that the call lives all the same; and
    /// after a time-out it may live without our knowing, so its id is still waited for.
    fn refused(self, kind: ErrorKind, context: &mut Context) -> Next<Self> {
        if context.legs.wa != WaLeg::Requested {
            return Next::To(self);
        }
        if !may_have_started(kind) {
            context.legs.wa = WaLeg::Over;
        }
        Next::Release(Cause::Graph(kind))
    }

    fn sdp(self, usable: bool, context: &mut Context) -> Next<Self> {
        let (Self::Calling { media, .. } | Self::PickedUp { media, .. }) = &self else {
            return Next::To(self);
        };
        if *media != Media::AwaitingSdp {
            return Next::To(self);
        }
        if !usable {
            return Next::Release(Cause::WhatsAppSdp);
        }
        context.act(Action::MediaConnect);
        Next::To(self.with_media(Media::Connecting))
    }

    fn ringing(self, now: Instant, context: &mut Context) -> Next<Self> {
        if let SipLeg::Asked(leg) = context.legs.sip
            && matches!(self, Self::Calling { .. })
            && context.rang.is_none()
        {
            context.rang = Some(now);
            context.act(match context.settings.ringback {
                Ringback::Ringing => Action::SipRing(leg),
                Ringback::Tone => Action::SipRingWithTone(leg),
            });
        }
        Next::To(self)
    }

    fn picked_up(self, now: Instant, context: &mut Context) -> Next<Self> {
        context.is_picked_up = true;
        Next::To(match self {
            Self::Calling { media: Media::Connected, .. } => Self::answer(now, context),
            Self::Calling { media, .. } => Self::PickedUp { media_limit: now + MEDIA_LIMIT, media },
            state @ (Self::Asking { .. } | Self::PickedUp { .. } | Self::Talking) => state,
        })
    }

    fn media_connected(self, now: Instant, context: &mut Context) -> Next<Self> {
        Next::To(match self {
            Self::PickedUp { .. } => Self::answer(now, context),
            Self::Calling { .. } if context.settings.answer_on == AnswerOn::Connect => {
                Self::answer(now, context)
            }
            state @ (Self::Asking { .. } | Self::Calling { .. } | Self::Talking) => {
                state.with_media(Media::Connected)
            }
        })
    }

    fn answer(now: Instant, context: &mut Context) -> Self {
        context.answered = Some(now);
        if context.rang.is_some() && context.settings.ringback == Ringback::Tone {
            context.act(Action::ToneStop);
        }
        if let SipLeg::Asked(leg) = context.legs.sip {
            context.legs.sip = SipLeg::Up(leg);
            context.act(Action::SipAnswer(leg));
        }
        context.act(Action::MediaOpen);
        Self::Talking
    }

    fn with_media(self, media: Media) -> Self {
        match self {
            Self::Calling { ring_limit, .. } => Self::Calling { ring_limit, media },
            Self::PickedUp { media_limit, .. } => Self::PickedUp { media_limit, media },
            state @ (Self::Asking { .. } | Self::Talking) => state,
        }
    }
}

/// Whether WhatsApp may be calling its user although `connect` failed this way.
pub(super) fn may_have_started(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Timeout
            | ErrorKind::Transport
            | ErrorKind::BadResponse
            | ErrorKind::Outage
            | ErrorKind::ConnectionError
            | ErrorKind::ConnectTimeout
            | ErrorKind::Unknown
    )
}
