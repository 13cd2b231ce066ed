//! The user's permission, looked at before WhatsApp is told to call.

use std::time::Duration;

use proptest::prelude::*;
use wa_signaling::ErrorKind;

use super::any_order::{run, script, settings};
use super::line::{How, Line};
use super::orders::{ALL, how, orders};
use super::world::World;
use super::{Bench, FIRST, outcome, sip};
use crate::call::action::{Action, End};
use crate::call::cause::Cause;
use crate::call::event::{Event, SipEvent};
use crate::call::machine::{AnswerOn, Settings};

const SECOND: Duration = Duration::from_secs(1);

fn checked() -> Settings {
    Settings { check_permission: true, ..Settings::default() }
}

/// A call from the PBX whose user's permission is being asked for.
fn asking() -> Bench {
    let mut bench = Bench::from_pbx(checked());
    assert_eq!(bench.actions(), [Action::GraphPermission]);
    bench
}

/// The call is over, and this is all that was done.
fn ends(actions: &[Action], before: &[Action], cause: Cause) {
    let (last, rest) = actions.split_last().expect("it ends");
    assert!(matches!(last, Action::Finished(outcome) if outcome.cause == cause), "{last:?}");
    assert_eq!(rest, before);
}

#[test]
fn a_user_who_permits_calls_is_called() {
    let mut bench = asking();
    assert_eq!(bench.give(Event::PermissionReply(Ok(()))), [Action::GraphConnect]);
    bench.give(Event::Identified);
    assert_eq!(bench.give(Event::WaConnect { usable: true }), [Action::MediaConnect]);
    assert_eq!(bench.give(Event::WaRinging), [Action::SipRing(FIRST)]);
    bench.give(Event::MediaConnected);
    assert_eq!(bench.give(Event::WaAccepted), [Action::SipAnswer(FIRST), Action::MediaOpen]);
}

#[test]
fn a_user_who_does_not_is_not_called_and_the_pbx_hears_403() {
    for kind in [ErrorKind::NoCallPermission, ErrorKind::DailyLimit] {
        let cause = Cause::Graph(kind);
        let actions = asking().give(Event::PermissionReply(Err(kind)));
        ends(&actions, &[Action::SipRefuse(FIRST, cause), Action::MediaClose], cause);
        assert_eq!(cause.row().status, 403);
    }
}

#[test]
fn a_question_that_fails_costs_no_call() {
    for kind in [
        ErrorKind::Timeout,
        ErrorKind::LookupLimit,
        ErrorKind::Outage,
        ErrorKind::Unavailable,
        ErrorKind::TokenInvalid,
        ErrorKind::BadResponse,
        ErrorKind::Unknown,
    ] {
        assert_eq!(asking().give(Event::PermissionReply(Err(kind))), [Action::GraphConnect], "{kind:?}");
    }
}

#[test]
fn a_slow_answer_is_not_waited_for_and_changes_nothing_any_more() {
    let mut bench = asking();
    assert_eq!(bench.pass(2 * SECOND - Duration::from_millis(1)), []);
    assert_eq!(bench.pass(Duration::from_millis(1)), [Action::GraphConnect]);
    assert_eq!(bench.give(Event::PermissionReply(Err(ErrorKind::NoCallPermission))), []);
    bench.give(Event::Identified);
    assert_eq!(bench.give(Event::WaRinging), [Action::SipRing(FIRST)]);
    // The user may ring for as long as without the question.
    assert_eq!(bench.pass(59 * SECOND), []);
    let actions = bench.pass(SECOND);
    assert_eq!(actions.first(), Some(&Action::SipRefuse(FIRST, Cause::RingLimit)));
    assert_eq!(actions.last(), Some(&Action::GraphEnd(End::Terminate)));
}

#[test]
fn a_cancel_meanwhile_ends_all_at_once() {
    let mut bench = asking();
    let actions = bench.give(sip(SipEvent::Cancelled));
    let cause = Cause::PbxCancelled;
    ends(&actions, &[Action::SipRefuse(FIRST, cause), Action::MediaClose], cause);
    assert_eq!(bench.give(Event::PermissionReply(Ok(()))), [], "nobody is called any more");
}

#[test]
fn the_end_of_the_program_meanwhile_leaves_nothing_to_wait_for() {
    let actions = asking().give(Event::Shutdown);
    assert_eq!(outcome(&actions).map(|outcome| outcome.cause), Some(Cause::ShuttingDown));
}

#[test]
fn without_the_setting_nobody_is_asked() {
    assert_eq!(Bench::from_pbx(Settings::default()).actions(), [Action::GraphConnect]);
}

/// All 720 orders, for each meaning of an answer.
#[test]
fn the_question_changes_nothing_of_what_comes_after_it() {
    for answer_on in [AnswerOn::Accepted, AnswerOn::AcceptedOrMedia, AnswerOn::Connect] {
        let without = how(answer_on);
        let with = How { settings: Settings { check_permission: true, ..without.settings }, ..without };
        for order in orders(&ALL) {
            assert_eq!(Line::play(with, &order), Line::play(without, &order), "{order:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn what_must_hold_holds_with_the_question(settings in settings(), script in script()) {
        let settings = Settings { check_permission: true, ..settings };
        let actions = run(Bench::from_pbx(settings), World::from_pbx(FIRST), &script, 0);
        let is_about_whatsapp = |action: &Action| {
            matches!(
                action,
                Action::SipRing(_) | Action::SipAnswer(_) | Action::MediaConnect | Action::GraphEnd(_)
            )
        };
        let called = actions.contains(&Action::GraphConnect);
        prop_assert!(called || !actions.iter().any(is_about_whatsapp), "without a call: {:?}", actions);
    }
}
