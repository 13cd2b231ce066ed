//! What comes of the SIP legs, before either direction hears of it: transfers, legs that replace one
//! another, legs that are the call's no longer, and what ends a call wherever it stands.

use std::time::Instant;

use sip_core::{LegId, Lost};

use super::action::Action;
use super::cause::Cause;
use super::event::{SipEvent, SipRefusal};
use super::legs::SipLeg;
use super::machine::Context;
use super::transfer::{self, Transfer};

/// What became of an event.
#[derive(Debug)]
pub(super) enum Sorted {
    /// It is the direction's, and of this leg.
    On(LegId, SipEvent),
    /// It is dealt with, or says nothing any more.
    Taken,
    /// The call ends.
    End(Cause),
}

pub(super) fn sort(now: Instant, leg: LegId, event: SipEvent, context: &mut Context) -> Sorted {
    if let Some(sorted) = transfer::take(now, leg, event, context) {
        return sorted;
    }
    match event {
        SipEvent::Refer { target } => return transfer::asked(now, leg, target, context),
        SipEvent::Replaced { by } => return replaced(leg, by, context),
        SipEvent::Cancelled
        | SipEvent::Bye
        | SipEvent::AckTimeout
        | SipEvent::Acked { .. }
        | SipEvent::Ringing(_)
        | SipEvent::Answered { .. }
        | SipEvent::Refused(_)
        | SipEvent::Lost(_)
        | SipEvent::Ended => {}
    }
    if context.legs.sip.id() == Some(leg) { of_the_call(leg, event, context) } else { Sorted::Taken }
}

/// An event of the leg that is the call's.
fn of_the_call(leg: LegId, event: SipEvent, context: &mut Context) -> Sorted {
    let is_asking = context.legs.sip == SipLeg::Asking(leg);
    match event {
        SipEvent::Cancelled if context.legs.sip == SipLeg::Asked(leg) => Sorted::End(Cause::PbxCancelled),
        SipEvent::Ringing(_) | SipEvent::Answered { .. } | SipEvent::Refused(_) if is_asking => {
            Sorted::On(leg, event)
        }
        SipEvent::Bye | SipEvent::Ended => {
            context.legs.sip = SipLeg::Over;
            Sorted::End(Cause::PbxHungUp)
        }
        SipEvent::Refused(refusal) => {
            context.legs.sip = SipLeg::Over;
            Sorted::End(cause_of(refusal))
        }
        SipEvent::AckTimeout => Sorted::End(Cause::AckMissing),
        SipEvent::Acked { usable: false } => Sorted::End(Cause::PbxSdp),
        SipEvent::Lost(Lost::Expired) => Sorted::End(Cause::SessionExpired),
        SipEvent::Lost(Lost::Gone) => Sorted::End(Cause::PbxGone),
        SipEvent::Cancelled
        | SipEvent::Acked { usable: true }
        | SipEvent::Ringing(_)
        | SipEvent::Answered { .. }
        | SipEvent::Refer { .. }
        | SipEvent::Replaced { .. } => Sorted::Taken,
    }
}

/// An INVITE with Replaces (RFC 3891 3): its leg takes the place of the call's, answered at once; one
/// that we are calling is picked up by it. WhatsApp hears nothing of it but the answer.
fn replaced(leg: LegId, by: LegId, context: &mut Context) -> Sorted {
    if let Some(Transfer::Leaving { .. }) = context.legs.transfer {
        transfer::see_off(context);
    }
    match context.legs.sip {
        SipLeg::Up(current) if current == leg => {
            context.act(Action::SipAnswer(by));
            context.act(Action::MediaSwitch(by));
            context.act(Action::SipBye(leg, Cause::Replaced));
            context.legs.sip = SipLeg::Up(by);
            Sorted::Taken
        }
        SipLeg::Asking(current) if current == leg => {
            context.act(Action::SipCancel(leg, Cause::Replaced));
            context.act(Action::SipAnswer(by));
            Sorted::On(by, SipEvent::Answered { usable: true })
        }
        SipLeg::Idle | SipLeg::Asked(_) | SipLeg::Asking(_) | SipLeg::Up(_) | SipLeg::Over => {
            context.act(Action::SipRefuse(by, Cause::NothingToReplace));
            Sorted::Taken
        }
    }
}

/// What comes of a SIP leg while the call is being released: only what waits for an answer counts.
pub(super) fn too_late(event: SipEvent, context: &mut Context) {
    match event {
        SipEvent::Refer { target } => {
            context.act(Action::ReferRefuse { target, cause: Cause::TransferRefused });
        }
        SipEvent::Replaced { by } => context.act(Action::SipRefuse(by, Cause::NothingToReplace)),
        SipEvent::Cancelled
        | SipEvent::Bye
        | SipEvent::AckTimeout
        | SipEvent::Acked { .. }
        | SipEvent::Ringing(_)
        | SipEvent::Answered { .. }
        | SipEvent::Refused(_)
        | SipEvent::Lost(_)
        | SipEvent::Ended => {}
    }
}

/// Why a call ended that the PBX refused.
pub(super) fn cause_of(refusal: SipRefusal) -> Cause {
    match refusal {
        SipRefusal::Status(300..=399) | SipRefusal::Redirected(_) => Cause::Redirected,
        SipRefusal::Status(status) => Cause::PbxRefused(status),
        SipRefusal::Silence | SipRefusal::Timeout => Cause::PbxTimeout,
        SipRefusal::Unreachable => Cause::PbxUnreachable,
    }
}
