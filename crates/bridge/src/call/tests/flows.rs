//! The flows of both directions, step by step.

use std::time::Duration;

use media_relay::Party;
use wa_signaling::ErrorKind;

use super::{Bench, FIRST, outcome, sip};
use crate::call::action::{Action, End};
use crate::call::cause::Cause;
use crate::call::event::{Event, SipEvent, SipRefusal};
use crate::call::machine::{AnswerOn, InviteAfter, Settings};

const SECOND: Duration = Duration::from_secs(1);

/// A call from the PBX that rings at the user, with DTLS up.
fn ringing() -> Bench {
    let mut bench = Bench::from_pbx(Settings::default());
    assert_eq!(bench.actions(), [Action::GraphConnect]);
    assert_eq!(bench.give(Event::Identified), []);
    assert_eq!(bench.give(Event::ConnectReply(Ok(()))), []);
    assert_eq!(bench.give(Event::WaConnect { usable: true }), [Action::MediaConnect]);
    assert_eq!(bench.give(Event::WaRinging), [Action::SipRing(FIRST)]);
    assert_eq!(bench.give(Event::MediaConnected), []);
    bench
}

/// A call from the PBX in conversation.
fn talking() -> Bench {
    let mut bench = ringing();
    assert_eq!(bench.give(Event::WaAccepted), [Action::SipAnswer(FIRST), Action::MediaOpen]);
    bench
}

/// A call from WhatsApp that rings at the PBX, with DTLS up.
fn inviting() -> Bench {
    let mut bench = Bench::from_whatsapp(Settings::default());
    assert_eq!(bench.actions(), [Action::GraphPreAccept, Action::MediaConnect]);
    assert_eq!(bench.give(Event::PreAcceptReply(Ok(()))), []);
    assert_eq!(bench.give(Event::MediaConnected), [Action::SipInvite(FIRST)]);
    bench
}

fn finishes_with(bench: &mut Bench, event: Event, cause: Cause) {
    let actions = bench.give(event);
    assert_eq!(outcome(&actions).map(|outcome| outcome.cause), Some(cause), "{actions:?}");
}

#[test]
fn answered_and_hung_up_by_the_pbx() {
    let mut bench = talking();
    assert_eq!(bench.give(sip(SipEvent::Bye)), [Action::MediaClose, Action::GraphEnd(End::Terminate)]);
    finishes_with(&mut bench, Event::EndReply(Ok(())), Cause::PbxHungUp);
}

#[test]
fn failure_20_a_side_that_sends_nothing_for_too_long_ends_the_call_on_both() {
    for (party, cause) in [(Party::Pbx, Cause::PbxSilent), (Party::WhatsApp, Cause::UserSilent)] {
        let mut bench = talking();
        assert_eq!(
            bench.give(Event::MediaSilent(party)),
            [Action::SipBye(FIRST, cause), Action::MediaClose, Action::GraphEnd(End::Terminate)]
        );
        finishes_with(&mut bench, Event::EndReply(Ok(())), cause);
    }
    let reason = Cause::PbxSilent.reason_header();
    assert_eq!(
        reason,
        "SIP;cause=408;text=\"No audio from the PBX\", Q.850;cause=102;text=\"No audio from the PBX\""
    );
}

#[test]
fn answered_and_hung_up_by_the_user() {
    let mut bench = talking();
    let actions = bench.give(Event::WaTerminated { error: None });
    assert_eq!(actions[..2], [Action::SipBye(FIRST, Cause::UserHungUp), Action::MediaClose]);
    assert_eq!(outcome(&actions).map(|outcome| outcome.cause), Some(Cause::UserHungUp));
}

#[test]
fn pickup_before_dtls_waits_for_dtls() {
    let mut bench = Bench::from_pbx(Settings::default());
    bench.actions();
    bench.give(Event::Identified);
    bench.give(Event::WaConnect { usable: true });
    assert_eq!(bench.give(Event::WaAccepted), []);
    assert_eq!(bench.give(Event::MediaConnected), [Action::SipAnswer(FIRST), Action::MediaOpen]);
}

#[test]
fn pickup_without_dtls_is_never_a_200() {
    let mut bench = Bench::from_pbx(Settings::default());
    bench.actions();
    bench.give(Event::Identified);
    bench.give(Event::WaAccepted);
    let actions = bench.pass(6 * SECOND);
    assert_eq!(
        actions,
        [Action::SipRefuse(FIRST, Cause::MediaFailed), Action::MediaClose, Action::GraphEnd(End::Terminate)]
    );
}

#[test]
fn rejected_is_486_and_needs_no_terminate() {
    let mut bench = ringing();
    let actions = bench.give(Event::WaRejected);
    assert_eq!(actions[..2], [Action::SipRefuse(FIRST, Cause::UserRejected), Action::MediaClose]);
    assert_eq!(actions.len(), 3);
    assert_eq!(Cause::UserRejected.row().status, 486);
}

#[test]
fn rejected_is_603_by_setting() {
    let mut bench = Bench::from_pbx(Settings { rejected_is_603: true, ..Settings::default() });
    bench.actions();
    bench.give(Event::Identified);
    finishes_with(&mut bench, Event::WaRejected, Cause::UserDeclined);
}

#[test]
fn unanswered_is_480() {
    finishes_with(&mut ringing(), Event::WaTerminated { error: None }, Cause::NoAnswer);
    assert_eq!(Cause::NoAnswer.row().status, 480);
}

#[test]
fn our_ring_limit_ends_both_legs() {
    let mut bench = ringing();
    assert_eq!(
        bench.pass(60 * SECOND),
        [Action::SipRefuse(FIRST, Cause::RingLimit), Action::MediaClose, Action::GraphEnd(End::Terminate)]
    );
}

#[test]
fn cancel_before_the_id_is_known_ends_the_call_when_it_is() {
    let mut bench = Bench::from_pbx(Settings::default());
    bench.actions();
    assert_eq!(
        bench.give(sip(SipEvent::Cancelled)),
        [Action::SipRefuse(FIRST, Cause::PbxCancelled), Action::MediaClose]
    );
    assert_eq!(bench.give(Event::Identified), [Action::GraphEnd(End::Terminate)]);
    assert_eq!(bench.give(Event::ConnectReply(Ok(()))), []);
    finishes_with(&mut bench, Event::EndReply(Ok(())), Cause::PbxCancelled);
}

#[test]
fn cancel_after_the_answer_is_without_effect() {
    let mut bench = talking();
    assert_eq!(bench.give(sip(SipEvent::Cancelled)), []);
    assert!(!bench.call.is_over());
}

#[test]
fn cancel_then_a_refused_connect_leaves_nothing_to_end() {
    let mut bench = Bench::from_pbx(Settings::default());
    bench.actions();
    bench.give(sip(SipEvent::Cancelled));
    let refused = Event::ConnectReply(Err(ErrorKind::NoCallPermission));
    finishes_with(&mut bench, refused, Cause::PbxCancelled);
}

#[test]
fn a_lost_connect_reply_waits_for_the_call_to_show_up() {
    let mut bench = Bench::from_pbx(Settings::default());
    bench.actions();
    assert_eq!(
        bench.give(Event::ConnectReply(Err(ErrorKind::Timeout))),
        [Action::SipRefuse(FIRST, Cause::Graph(ErrorKind::Timeout)), Action::MediaClose]
    );
    assert_eq!(bench.give(Event::Identified), [Action::GraphEnd(End::Terminate)]);
}

#[test]
fn a_failed_terminate_is_sent_again_until_it_works() {
    let mut bench = talking();
    bench.give(sip(SipEvent::Bye));
    for _ in 0..5 {
        assert_eq!(bench.give(Event::EndReply(Err(ErrorKind::Outage))), []);
        assert_eq!(bench.pass(31 * SECOND), [Action::GraphEnd(End::Terminate)]);
    }
    finishes_with(&mut bench, Event::EndReply(Err(ErrorKind::AlreadyEnded)), Cause::PbxHungUp);
}

#[test]
fn sound_counts_as_pickup_by_setting() {
    let settings = Settings { answer_on: AnswerOn::AcceptedOrMedia, ..Settings::default() };
    let mut bench = Bench::from_pbx(settings);
    bench.actions();
    bench.give(Event::Identified);
    bench.give(Event::WaConnect { usable: true });
    bench.give(Event::MediaConnected);
    assert_eq!(bench.give(Event::MediaHeard), [Action::SipAnswer(FIRST), Action::MediaOpen]);
    assert_eq!(bench.give(Event::WaAccepted), []);
}

#[test]
fn dtls_counts_as_pickup_by_setting() {
    let mut bench = Bench::from_pbx(Settings { answer_on: AnswerOn::Connect, ..Settings::default() });
    bench.actions();
    bench.give(Event::Identified);
    bench.give(Event::WaConnect { usable: true });
    assert_eq!(bench.give(Event::MediaConnected), [Action::SipAnswer(FIRST), Action::MediaOpen]);
}

#[test]
fn a_whatsapp_call_answered_by_the_pbx() {
    let mut bench = inviting();
    assert_eq!(
        bench.give(sip(SipEvent::Answered { usable: true })),
        [Action::MediaSwitch(FIRST), Action::GraphAccept]
    );
    assert_eq!(bench.give(Event::AcceptReply(Ok(()))), [Action::MediaOpen]);
    let actions = bench.give(Event::WaTerminated { error: None });
    assert_eq!(actions[..2], [Action::SipBye(FIRST, Cause::UserHungUp), Action::MediaClose]);
}

#[test]
fn the_pbx_is_called_after_two_seconds_without_dtls() {
    let mut bench = Bench::from_whatsapp(Settings::default());
    bench.actions();
    assert_eq!(bench.pass(2 * SECOND), [Action::SipInvite(FIRST)]);
    assert_eq!(bench.give(sip(SipEvent::Answered { usable: true })), [Action::MediaSwitch(FIRST)]);
    assert_eq!(bench.pass(3 * SECOND), [Action::GraphAccept]);
    assert_eq!(bench.give(Event::AcceptReply(Ok(()))), [Action::MediaOpen]);
    assert_eq!(bench.give(Event::MediaConnected), []);
    assert_eq!(bench.pass(10 * SECOND), []);
}

#[test]
fn the_pbx_is_called_at_once_by_setting() {
    let settings = Settings { invite_after: InviteAfter::Webhook, ..Settings::default() };
    let mut bench = Bench::from_whatsapp(settings);
    assert_eq!(bench.actions(), [Action::GraphPreAccept, Action::MediaConnect, Action::SipInvite(FIRST)]);
}

#[test]
fn a_busy_pbx_rejects_the_caller() {
    let mut bench = inviting();
    assert_eq!(
        bench.give(sip(SipEvent::Refused(SipRefusal::Status(486)))),
        [Action::MediaClose, Action::GraphEnd(End::Reject)]
    );
    finishes_with(&mut bench, Event::EndReply(Ok(())), Cause::PbxRefused(486));
}

#[test]
fn a_call_that_cannot_be_put_through_only_ends() {
    let mut bench = Bench::refused(Settings::default(), Cause::NoMediaResource);
    assert_eq!(bench.actions(), [Action::MediaClose, Action::GraphEnd(End::Reject)]);
    assert_eq!(bench.give(Event::EndReply(Err(ErrorKind::Outage))), []);
    assert_eq!(bench.pass(SECOND), [Action::GraphEnd(End::Terminate)]);
    finishes_with(&mut bench, Event::EndReply(Ok(())), Cause::NoMediaResource);
}

#[test]
fn a_refused_reject_is_followed_by_terminate() {
    let mut bench = inviting();
    bench.give(sip(SipEvent::Refused(SipRefusal::Status(486))));
    bench.give(Event::EndReply(Err(ErrorKind::BadParameter)));
    assert_eq!(bench.pass(Duration::ZERO), [Action::GraphEnd(End::Terminate)]);
}

#[test]
fn a_caller_who_gives_up_cancels_the_pbx() {
    let mut bench = inviting();
    let actions = bench.give(Event::WaTerminated { error: None });
    assert_eq!(actions[..2], [Action::SipCancel(FIRST, Cause::UserCancelled), Action::MediaClose]);
    assert_eq!(actions.len(), 3);
}

#[test]
fn the_pbx_may_ring_for_55_seconds() {
    let mut bench = inviting();
    assert_eq!(bench.pass(54 * SECOND), []);
    assert_eq!(
        bench.pass(SECOND),
        [Action::SipCancel(FIRST, Cause::PbxNoAnswer), Action::MediaClose, Action::GraphEnd(End::Reject)]
    );
}

#[test]
fn accept_is_tried_again_and_its_refusal_hangs_up() {
    let mut bench = inviting();
    bench.give(sip(SipEvent::Answered { usable: true }));
    for _ in 0..3 {
        assert_eq!(bench.give(Event::AcceptReply(Err(ErrorKind::Outage))), []);
        assert_eq!(bench.pass(SECOND), [Action::GraphAccept]);
    }
    assert_eq!(
        bench.give(Event::AcceptReply(Err(ErrorKind::SdpRefused))),
        [
            Action::SipBye(FIRST, Cause::Graph(ErrorKind::SdpRefused)),
            Action::MediaClose,
            Action::GraphEnd(End::Terminate)
        ]
    );
}

#[test]
fn an_accept_that_comes_too_late_hangs_up() {
    let mut bench = inviting();
    bench.give(sip(SipEvent::Answered { usable: true }));
    assert_eq!(
        bench.give(Event::AcceptReply(Err(ErrorKind::AlreadyEnded))),
        [Action::SipBye(FIRST, Cause::UserHungUp), Action::MediaClose, Action::GraphEnd(End::Terminate)]
    );
}

#[test]
fn a_pbx_answer_without_audio_ends_both_legs() {
    let mut bench = inviting();
    assert_eq!(
        bench.give(sip(SipEvent::Answered { usable: false })),
        [Action::SipBye(FIRST, Cause::PbxSdp), Action::MediaClose, Action::GraphEnd(End::Reject)]
    );
}
