//! A transfer (RFC 3515, RFC 5589): the PBX moves its end of the call to another of its phones.
//!
//! ```text
//!          < REFER: 202, NOTIFY 100, INVITE >           < 200: switch, NOTIFY 200
//!  talking ─────────────────────────────────── Calling ─────────────────────────── Leaving ── talking
//!     ^                                          │  │     < BYE of the transferor, or BYE > after 1 s
//!     └── refused, no answer: NOTIFY the status ─┘  └── the transferor hangs up: the tone is ours
//! ```
//!
//! WhatsApp hears nothing of it: its user hears the transferor's hold music while the target rings,
//! and our ringing tone when the transferor has left. A target that fails leaves the call where it was;
//! with no transferor left, there is nobody to go back to.

use std::time::{Duration, Instant};

use sip_core::LegId;

use super::action::Action;
use super::cause::Cause;
use super::event::{SipEvent, SipRefusal};
use super::legs::SipLeg;
use super::machine::Context;
use super::sip_side::Sorted;

/// How long the target may ring.
const RING_LIMIT: Duration = Duration::from_secs(60);
/// How long the transferor has to hang up by itself once the target has answered.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);

/// How far a transfer is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Transfer {
    /// The target is called. The transferor is the call's leg, unless it has hung up.
    Calling(Calling),
    /// The target has answered and is the call's leg; the transferor is to hang up.
    Leaving { transferor: LegId, until: Instant },
}

/// A target that is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calling {
    target: LegId,
    until: Instant,
    /// What was last told of it.
    told: u16,
    redirected: bool,
}

impl Transfer {
    pub(super) fn deadline(&self) -> Instant {
        match self {
            Self::Calling(Calling { until, .. }) | Self::Leaving { until, .. } => *until,
        }
    }
}

/// REFER on this leg asks for a call to the target.
pub(super) fn asked(now: Instant, leg: LegId, target: LegId, context: &mut Context) -> Sorted {
    let refusal = match context.legs.transfer {
        _ if context.legs.sip != SipLeg::Up(leg) => Some(Cause::TransferRefused),
        Some(Transfer::Calling(_)) => Some(Cause::TransferPending),
        Some(Transfer::Leaving { .. }) | None => None,
    };
    if let Some(cause) = refusal {
        context.act(Action::ReferRefuse { target, cause });
        return Sorted::Taken;
    }
    see_off(context);
    context.act(Action::ReferAccept { target });
    context.act(Action::SipInvite(target));
    let calling = Calling { target, until: now + RING_LIMIT, told: 100, redirected: false };
    context.legs.transfer = Some(Transfer::Calling(calling));
    Sorted::Taken
}

/// Takes what a transfer is about; nothing for what goes its way in spite of it.
pub(super) fn take(now: Instant, leg: LegId, event: SipEvent, context: &mut Context) -> Option<Sorted> {
    match context.legs.transfer? {
        Transfer::Calling(calling) if calling.target == leg => Some(of_target(now, calling, event, context)),
        Transfer::Calling(_) if context.legs.sip == SipLeg::Up(leg) => of_transferor(leg, event, context),
        Transfer::Leaving { transferor, .. } if transferor == leg => of_leaving(leg, event, context),
        Transfer::Calling(_) | Transfer::Leaving { .. } => None,
    }
}

/// Its deadline is due.
pub(super) fn timed_out(context: &mut Context) -> Sorted {
    match context.legs.transfer {
        Some(Transfer::Calling(calling)) => {
            context.act(Action::SipCancel(calling.target, Cause::PbxNoAnswer));
            failed(408, context)
        }
        Some(Transfer::Leaving { .. }) => {
            see_off(context);
            Sorted::Taken
        }
        None => Sorted::Taken,
    }
}

/// The call ends: so does its transfer.
pub(super) fn end(cause: Cause, context: &mut Context) {
    if let Some(Transfer::Calling(calling)) = context.legs.transfer {
        notify(487, true, context);
        context.act(Action::SipCancel(calling.target, cause));
    }
    see_off(context);
    context.legs.transfer = None;
}

/// The transferor had its time to hang up by itself.
pub(super) fn see_off(context: &mut Context) {
    if let Some(Transfer::Leaving { transferor, .. }) = context.legs.transfer {
        context.act(Action::SipBye(transferor, Cause::Transferred));
        context.legs.transfer = None;
    }
}

fn of_target(now: Instant, calling: Calling, event: SipEvent, context: &mut Context) -> Sorted {
    match event {
        SipEvent::Ringing(status) => {
            if status != calling.told {
                notify(status, false, context);
                context.legs.transfer = Some(Transfer::Calling(Calling { told: status, ..calling }));
            }
            Sorted::Taken
        }
        SipEvent::Answered { usable: true } => answered(now, calling.target, context),
        SipEvent::Answered { usable: false } => {
            context.act(Action::SipBye(calling.target, Cause::PbxSdp));
            failed(488, context)
        }
        SipEvent::Refused(SipRefusal::Redirected(target)) if !calling.redirected => {
            context.act(Action::SipInvite(target));
            let calling = Calling { target, redirected: true, ..calling };
            context.legs.transfer = Some(Transfer::Calling(calling));
            Sorted::Taken
        }
        SipEvent::Refused(refusal) => failed(status(refusal), context),
        // Another phone picks up what rings at the target.
        SipEvent::Replaced { by } => {
            context.act(Action::SipCancel(calling.target, Cause::Replaced));
            context.act(Action::SipAnswer(by));
            answered(now, by, context)
        }
        SipEvent::Bye | SipEvent::Ended | SipEvent::Lost(_) => failed(480, context),
        SipEvent::Refer { target } => {
            context.act(Action::ReferRefuse { target, cause: Cause::TransferRefused });
            Sorted::Taken
        }
        SipEvent::Cancelled | SipEvent::AckTimeout | SipEvent::Acked { .. } => Sorted::Taken,
    }
}

/// Many PBXs hang up the transferor's leg as soon as the REFER is accepted.
fn of_transferor(leg: LegId, event: SipEvent, context: &mut Context) -> Option<Sorted> {
    match event {
        SipEvent::Bye | SipEvent::Ended => {}
        SipEvent::Lost(_) | SipEvent::AckTimeout => context.act(Action::SipBye(leg, Cause::Transferred)),
        SipEvent::Replaced { by } => {
            context.act(Action::SipRefuse(by, Cause::TransferPending));
            return Some(Sorted::Taken);
        }
        SipEvent::Cancelled
        | SipEvent::Acked { .. }
        | SipEvent::Ringing(_)
        | SipEvent::Answered { .. }
        | SipEvent::Refused(_)
        | SipEvent::Refer { .. } => return None,
    }
    context.legs.sip = SipLeg::Over;
    context.act(Action::ToneToWhatsApp);
    Some(Sorted::Taken)
}

fn of_leaving(leg: LegId, event: SipEvent, context: &mut Context) -> Option<Sorted> {
    match event {
        SipEvent::Bye | SipEvent::Ended => context.legs.transfer = None,
        SipEvent::Lost(_) | SipEvent::AckTimeout => see_off(context),
        SipEvent::Refer { target } => {
            context.act(Action::ReferRefuse { target, cause: Cause::TransferRefused });
        }
        SipEvent::Replaced { by } => context.act(Action::SipRefuse(by, Cause::NothingToReplace)),
        SipEvent::Cancelled
        | SipEvent::Acked { .. }
        | SipEvent::Ringing(_)
        | SipEvent::Answered { .. }
        | SipEvent::Refused(_) => {}
    }
    debug_assert!(context.legs.sip != SipLeg::Up(leg), "the target is the call's leg");
    Some(Sorted::Taken)
}

fn answered(now: Instant, target: LegId, context: &mut Context) -> Sorted {
    context.act(Action::MediaSwitch(target));
    notify(200, true, context);
    context.legs.transfer = match context.legs.sip {
        SipLeg::Up(transferor) => Some(Transfer::Leaving { transferor, until: now + LEAVE_LIMIT }),
        SipLeg::Idle | SipLeg::Asked(_) | SipLeg::Asking(_) | SipLeg::Over => {
            context.act(Action::ToneStop);
            None
        }
    };
    context.legs.sip = SipLeg::Up(target);
    Sorted::Taken
}

/// Back to the transferor, if it is still there.
fn failed(status: u16, context: &mut Context) -> Sorted {
    notify(status, true, context);
    context.legs.transfer = None;
    match context.legs.sip {
        SipLeg::Up(_) => Sorted::Taken,
        SipLeg::Idle | SipLeg::Asked(_) | SipLeg::Asking(_) | SipLeg::Over => {
            Sorted::End(Cause::TransferFailed)
        }
    }
}

fn notify(status: u16, last: bool, context: &mut Context) {
    if let SipLeg::Up(transferor) = context.legs.sip {
        context.act(Action::ReferNotify { transferor, status, last });
    }
}

/// What the transferor is told of a target that gave no status of its own.
fn status(refusal: SipRefusal) -> u16 {
    match refusal {
        SipRefusal::Status(status) => status,
        SipRefusal::Redirected(_) => 302,
        SipRefusal::Silence | SipRefusal::Timeout => 408,
        SipRefusal::Unreachable => 503,
    }
}
