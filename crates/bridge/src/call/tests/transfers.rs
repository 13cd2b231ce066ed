//! Transfers, legs that replace one another, failover, and the limits on a call that goes on.

use std::time::Duration;

use sip_core::{LegId, Lost};

use super::{Bench, FIRST, SECOND_TARGET, THIRD_TARGET, outcome, sip};
use crate::call::action::{Action, End};
use crate::call::cause::Cause;
use crate::call::event::{Event, SipEvent, SipRefusal};
use crate::call::machine::{Ringback, Settings};

const SECOND: Duration = Duration::from_secs(1);
/// To whom is transferred.
const TARGET: LegId = LegId(10);
/// The leg of an INVITE with Replaces.
const OTHER: LegId = LegId(11);

fn target(event: SipEvent) -> Event {
    Event::Sip(TARGET, event)
}

fn refused(status: u16) -> SipEvent {
    SipEvent::Refused(SipRefusal::Status(status))
}

/// A call from the PBX in conversation.
fn outward(settings: Settings) -> Bench {
    let mut bench = Bench::from_pbx(settings);
    for event in [Event::Identified, Event::WaConnect { usable: true }, Event::MediaConnected] {
        bench.give(event);
    }
    bench.give(Event::WaRinging);
    bench.give(Event::WaAccepted);
    bench
}

/// A call from WhatsApp that rings at the first target of the PBX.
fn inviting() -> Bench {
    let mut bench = Bench::from_whatsapp(Settings::default());
    bench.give(Event::PreAcceptReply(Ok(())));
    assert_eq!(bench.give(Event::MediaConnected).last(), Some(&Action::SipInvite(FIRST)));
    bench
}

/// A call from WhatsApp in conversation.
fn inward() -> Bench {
    let mut bench = inviting();
    bench.give(sip(SipEvent::Answered { usable: true }));
    bench.give(Event::AcceptReply(Ok(())));
    bench
}

/// The same, being transferred.
fn transferring(mut bench: Bench) -> Bench {
    assert_eq!(
        bench.give(sip(SipEvent::Refer { target: TARGET })),
        [Action::ReferAccept { target: TARGET }, Action::SipInvite(TARGET)]
    );
    bench
}

fn notify(status: u16, last: bool) -> Action {
    Action::ReferNotify { transferor: FIRST, status, last }
}

#[test]
fn a_transfer_moves_the_call_in_either_direction() {
    for bench in [outward(Settings::default()), inward()] {
        let mut bench = transferring(bench);
        assert_eq!(bench.give(target(SipEvent::Ringing(180))), [notify(180, false)]);
        assert_eq!(bench.give(target(SipEvent::Ringing(180))), [], "told once");
        assert_eq!(
            bench.give(target(SipEvent::Answered { usable: true })),
            [Action::MediaSwitch(TARGET), notify(200, true)]
        );
        assert_eq!(bench.give(sip(SipEvent::Bye)), [], "the transferor leaves");
        assert_eq!(bench.pass(10 * SECOND), []);
        assert_eq!(bench.give(target(SipEvent::Bye)), [Action::MediaClose, Action::GraphEnd(End::Terminate)]);
    }
}

#[test]
fn a_transferor_that_stays_gets_bye_after_a_second() {
    let mut bench = transferring(inward());
    bench.give(target(SipEvent::Answered { usable: true }));
    assert_eq!(bench.pass(SECOND), [Action::SipBye(FIRST, Cause::Transferred)]);
    assert_eq!(bench.give(sip(SipEvent::Ended)), []);
    assert_eq!(bench.pass(10 * SECOND), []);
}

#[test]
fn a_target_that_fails_leaves_the_call_with_the_transferor() {
    for (event, status) in [
        (refused(486), 486),
        (SipEvent::Refused(SipRefusal::Silence), 408),
        (SipEvent::Refused(SipRefusal::Unreachable), 503),
        (SipEvent::Refused(SipRefusal::Status(302)), 302),
    ] {
        let mut bench = transferring(outward(Settings::default()));
        assert_eq!(bench.give(target(event)), [notify(status, true)], "{event:?}");
        assert_eq!(bench.give(target(SipEvent::Ended)), []);
        assert_eq!(bench.pass(100 * SECOND), []);
        assert_eq!(bench.give(sip(SipEvent::Bye)).len(), 2, "its BYE ends the call again");
    }
}

#[test]
fn a_target_without_usable_sound_is_hung_up() {
    let mut bench = transferring(inward());
    assert_eq!(
        bench.give(target(SipEvent::Answered { usable: false })),
        [Action::SipBye(TARGET, Cause::PbxSdp), notify(488, true)]
    );
}

#[test]
fn a_target_may_ring_for_a_minute() {
    let mut bench = transferring(inward());
    assert_eq!(bench.pass(59 * SECOND), []);
    assert_eq!(bench.pass(SECOND), [Action::SipCancel(TARGET, Cause::PbxNoAnswer), notify(408, true)]);
}

#[test]
fn the_transferors_bye_does_not_end_the_call_while_the_target_rings() {
    let mut bench = transferring(inward());
    assert_eq!(bench.give(sip(SipEvent::Bye)), [Action::ToneToWhatsApp]);
    assert_eq!(bench.give(target(SipEvent::Ringing(180))), [], "nobody is told");
    assert_eq!(
        bench.give(target(SipEvent::Answered { usable: true })),
        [Action::MediaSwitch(TARGET), Action::ToneStop]
    );
    assert_eq!(bench.pass(10 * SECOND), []);
}

#[test]
fn with_the_transferor_gone_a_target_that_fails_ends_the_call() {
    let mut bench = transferring(inward());
    bench.give(sip(SipEvent::Bye));
    assert_eq!(bench.give(target(refused(486))), [Action::MediaClose, Action::GraphEnd(End::Terminate)]);
    let actions = bench.give(Event::EndReply(Ok(())));
    assert_eq!(outcome(&actions).map(|outcome| outcome.cause), Some(Cause::TransferFailed));
}

#[test]
fn a_user_who_hangs_up_ends_both_legs_of_a_transfer() {
    let mut bench = transferring(inward());
    let actions = bench.give(Event::WaTerminated { error: None });
    assert_eq!(
        actions[..4],
        [
            notify(487, true),
            Action::SipCancel(TARGET, Cause::UserHungUp),
            Action::SipBye(FIRST, Cause::UserHungUp),
            Action::MediaClose
        ]
    );
}

#[test]
fn a_second_refer_waits_for_the_first() {
    let mut bench = transferring(inward());
    let second = LegId(12);
    assert_eq!(
        bench.give(sip(SipEvent::Refer { target: second })),
        [Action::ReferRefuse { target: second, cause: Cause::TransferPending }]
    );
    assert_eq!(Cause::TransferPending.row().status, 491);
    bench.give(target(refused(486)));
    let actions = bench.give(sip(SipEvent::Refer { target: second }));
    assert_eq!(actions, [Action::ReferAccept { target: second }, Action::SipInvite(second)]);
}

#[test]
fn a_call_that_was_transferred_is_transferred_again() {
    let mut bench = transferring(inward());
    bench.give(target(SipEvent::Answered { usable: true }));
    let next = LegId(12);
    assert_eq!(
        bench.give(target(SipEvent::Refer { target: next })),
        [
            Action::SipBye(FIRST, Cause::Transferred),
            Action::ReferAccept { target: next },
            Action::SipInvite(next)
        ]
    );
}

#[test]
fn a_call_that_is_not_answered_is_not_transferred() {
    for mut bench in [Bench::from_pbx(Settings::default()), inviting()] {
        let actions = bench.give(sip(SipEvent::Refer { target: TARGET }));
        let refusal = Action::ReferRefuse { target: TARGET, cause: Cause::TransferRefused };
        assert_eq!(actions.last(), Some(&refusal));
    }
}

#[test]
fn an_ivr_that_answers_and_transfers_at_once_is_served() {
    let mut bench = inviting();
    bench.give(sip(SipEvent::Answered { usable: true }));
    let mut bench = transferring(bench);
    bench.give(sip(SipEvent::Bye));
    assert_eq!(bench.give(Event::AcceptReply(Ok(()))), [Action::MediaOpen]);
    assert!(bench.give(target(SipEvent::Answered { usable: true })).contains(&Action::MediaSwitch(TARGET)));
}

#[test]
fn a_target_redirects_once() {
    let mut bench = transferring(inward());
    let next = LegId(12);
    let redirected = |to| SipEvent::Refused(SipRefusal::Redirected(to));
    assert_eq!(bench.give(target(redirected(next))), [Action::SipInvite(next)]);
    assert_eq!(bench.give(Event::Sip(next, redirected(LegId(14)))), [notify(302, true)]);
}

#[test]
fn an_invite_with_replaces_takes_the_call_over() {
    for mut bench in [outward(Settings::default()), inward()] {
        assert_eq!(
            bench.give(sip(SipEvent::Replaced { by: OTHER })),
            [Action::SipAnswer(OTHER), Action::MediaSwitch(OTHER), Action::SipBye(FIRST, Cause::Replaced)]
        );
        assert_eq!(bench.give(sip(SipEvent::Ended)), [], "the replaced leg says nothing any more");
        assert_eq!(bench.give(Event::Sip(OTHER, SipEvent::Bye)).len(), 2, "the new one is the call's");
    }
}

#[test]
fn a_leg_that_rings_is_picked_up_by_another() {
    let mut bench = inviting();
    assert_eq!(
        bench.give(sip(SipEvent::Replaced { by: OTHER })),
        [
            Action::SipCancel(FIRST, Cause::Replaced),
            Action::SipAnswer(OTHER),
            Action::MediaSwitch(OTHER),
            Action::GraphAccept
        ]
    );
    assert_eq!(bench.give(sip(refused(487))), [], "the 487 to our CANCEL tries no other target");
    assert_eq!(bench.give(Event::AcceptReply(Ok(()))), [Action::MediaOpen]);
}

#[test]
fn the_target_of_a_transfer_is_picked_up_by_another() {
    let mut bench = transferring(inward());
    assert_eq!(
        bench.give(target(SipEvent::Replaced { by: OTHER })),
        [
            Action::SipCancel(TARGET, Cause::Replaced),
            Action::SipAnswer(OTHER),
            Action::MediaSwitch(OTHER),
            notify(200, true)
        ]
    );
    assert_eq!(bench.pass(SECOND), [Action::SipBye(FIRST, Cause::Transferred)]);
}

#[test]
fn what_is_not_answered_by_us_or_over_is_not_replaced() {
    let refusal = [Action::SipRefuse(OTHER, Cause::NothingToReplace)];
    let mut ringing = Bench::from_pbx(Settings::default());
    ringing.actions();
    assert_eq!(ringing.give(sip(SipEvent::Replaced { by: OTHER })), refusal, "RFC 3891 3");
    let mut over = inward();
    over.give(sip(SipEvent::Bye));
    assert_eq!(over.give(sip(SipEvent::Replaced { by: OTHER })), refusal);
    assert_eq!(Cause::NothingToReplace.row().status, 481);
}

#[test]
fn a_target_that_takes_no_call_gives_way_to_the_next() {
    let mut bench = inviting();
    let silence = SipEvent::Refused(SipRefusal::Silence);
    assert_eq!(bench.give(sip(silence)), [Action::SipInvite(SECOND_TARGET)]);
    assert_eq!(bench.give(sip(SipEvent::Ended)), [], "the first leg is over");
    let next = Event::Sip(SECOND_TARGET, refused(503));
    assert_eq!(bench.give(next), [Action::SipInvite(THIRD_TARGET)]);
    let last = Event::Sip(THIRD_TARGET, refused(503));
    assert_eq!(bench.give(last), [Action::MediaClose, Action::GraphEnd(End::Reject)]);
}

#[test]
fn the_ring_limit_spans_all_targets() {
    let mut bench = inviting();
    bench.pass(30 * SECOND);
    bench.give(sip(refused(503)));
    assert_eq!(bench.pass(24 * SECOND), []);
    assert_eq!(bench.pass(SECOND)[0], Action::SipCancel(SECOND_TARGET, Cause::PbxNoAnswer));
}

#[test]
fn after_ringing_a_failure_is_final() {
    let mut bench = inviting();
    assert_eq!(bench.give(sip(SipEvent::Ringing(180))), []);
    assert_eq!(bench.give(sip(refused(503))), [Action::MediaClose, Action::GraphEnd(End::Reject)]);
}

#[test]
fn ringback_by_tone_is_183_and_ends_with_the_answer() {
    let mut bench = Bench::from_pbx(Settings { ringback: Ringback::Tone, ..Settings::default() });
    for event in [Event::Identified, Event::WaConnect { usable: true }, Event::MediaConnected] {
        bench.give(event);
    }
    assert_eq!(bench.give(Event::WaRinging), [Action::SipRingWithTone(FIRST)]);
    assert_eq!(
        bench.give(Event::WaAccepted),
        [Action::ToneStop, Action::SipAnswer(FIRST), Action::MediaOpen]
    );
}

#[test]
fn an_ack_without_the_answer_ends_the_call() {
    let mut bench = outward(Settings::default());
    assert_eq!(bench.give(sip(SipEvent::Acked { usable: true })), []);
    let actions = bench.give(sip(SipEvent::Acked { usable: false }));
    assert_eq!(actions[0], Action::SipBye(FIRST, Cause::PbxSdp));
}

#[test]
fn a_lost_session_gets_bye() {
    for (lost, cause) in [(Lost::Expired, Cause::SessionExpired), (Lost::Gone, Cause::PbxGone)] {
        let actions = outward(Settings::default()).give(sip(SipEvent::Lost(lost)));
        assert_eq!(actions[..2], [Action::SipBye(FIRST, cause), Action::MediaClose]);
    }
}

#[test]
fn a_call_lasts_as_long_as_its_trunk_allows() {
    let mut bench = outward(Settings { longest: Some(600 * SECOND), ..Settings::default() });
    assert_eq!(bench.pass(599 * SECOND), []);
    assert_eq!(bench.pass(SECOND)[0], Action::SipBye(FIRST, Cause::LongestCall));
}
