//! A caller who is put through to nobody and hears why.

use std::time::Duration;

use wa_signaling::ErrorKind;

use super::{Bench, outcome};
use crate::call::action::{Action, End};
use crate::call::announce::Plan;
use crate::call::cause::Cause;
use crate::call::event::Event;
use crate::call::machine::{Phase, Settings};

const SECOND: Duration = Duration::from_secs(1);
const PLAN: Plan = Plan { cause: Cause::ClosedHours, length: Duration::from_secs(10) };

fn begun() -> Bench {
    let mut bench = Bench::announcing(Settings::default(), PLAN);
    assert_eq!(bench.actions(), [Action::GraphPreAccept, Action::MediaConnect]);
    bench
}

/// A call whose announcement plays.
fn playing() -> Bench {
    let mut bench = begun();
    assert_eq!(bench.give(Event::PreAcceptReply(Ok(()))), []);
    assert_eq!(bench.give(Event::MediaConnected), [Action::GraphAccept]);
    assert_eq!(bench.give(Event::AcceptReply(Ok(()))), [Action::MediaOpen]);
    assert_eq!(bench.pass(SECOND), [Action::MediaAnnounce]);
    bench
}

fn cause(actions: &[Action]) -> Option<Cause> {
    outcome(actions).map(|outcome| outcome.cause)
}

#[test]
fn the_caller_hears_it_once_and_then_the_call_is_terminated() {
    let mut bench = playing();
    assert_eq!(bench.call.phase(), Phase::Talking);
    assert_eq!(bench.pass(9 * SECOND), [], "it lasts");
    assert_eq!(bench.give(Event::MediaAnnounced), []);
    assert_eq!(bench.give(Event::MediaAnnounced), [], "told twice");
    assert_eq!(bench.pass(SECOND), [Action::MediaClose, Action::GraphEnd(End::Terminate)]);
    assert_eq!(cause(&bench.give(Event::EndReply(Ok(())))), Some(Cause::ClosedHours));
}

#[test]
fn sound_that_comes_up_late_is_waited_for_after_accept() {
    let mut bench = begun();
    assert_eq!(bench.pass(3 * SECOND), [Action::GraphAccept], "only accept makes a lost pre_accept good");
    assert_eq!(bench.give(Event::AcceptReply(Ok(()))), [Action::MediaOpen]);
    assert_eq!(bench.pass(2 * SECOND), [], "nothing is played to nobody");
    assert_eq!(bench.give(Event::MediaConnected), []);
    assert_eq!(bench.pass(SECOND), [Action::MediaAnnounce]);
}

#[test]
fn without_sound_there_is_no_announcement() {
    let mut bench = begun();
    bench.pass(3 * SECOND);
    bench.give(Event::AcceptReply(Ok(())));
    assert_eq!(bench.pass(10 * SECOND), [Action::MediaClose, Action::GraphEnd(End::Terminate)]);
    assert_eq!(cause(&bench.give(Event::EndReply(Ok(())))), Some(Cause::MediaFailed));
}

#[test]
fn an_announcement_whose_end_is_not_told_ends_by_its_length() {
    let mut bench = playing();
    assert_eq!(bench.pass(14 * SECOND), []);
    assert_eq!(bench.pass(2 * SECOND), [Action::MediaClose, Action::GraphEnd(End::Terminate)]);
}

#[test]
fn a_caller_who_hangs_up_meanwhile_was_not_put_through_either() {
    for mut bench in [begun(), playing()] {
        let actions = bench.give(Event::WaTerminated { error: None });
        assert_eq!(cause(&actions), Some(Cause::ClosedHours), "{actions:?}");
        assert!(!actions.contains(&Action::GraphEnd(End::Terminate)));
    }
    let actions = playing().give(Event::WaTerminated { error: Some(138_021) });
    assert_eq!(cause(&actions), Some(Cause::WhatsAppFailed(138_021)));
}

#[test]
fn accept_is_tried_again_and_a_refusal_ends_the_call() {
    let mut bench = begun();
    assert_eq!(bench.give(Event::MediaConnected), [Action::GraphAccept]);
    for _ in 0..3 {
        assert_eq!(bench.give(Event::AcceptReply(Err(ErrorKind::Timeout))), []);
        assert_eq!(bench.pass(SECOND), [Action::GraphAccept]);
    }
    let actions = bench.give(Event::AcceptReply(Err(ErrorKind::Timeout)));
    assert_eq!(actions, [Action::MediaClose, Action::GraphEnd(End::Terminate)]);

    let mut bench = begun();
    let actions = bench.give(Event::PreAcceptReply(Err(ErrorKind::Payment)));
    assert_eq!(actions, [Action::MediaClose, Action::GraphEnd(End::Reject)]);
    assert_eq!(cause(&bench.give(Event::EndReply(Ok(())))), Some(Cause::Graph(ErrorKind::Payment)));
}

#[test]
fn the_end_of_the_program_ends_it() {
    let actions = playing().give(Event::Shutdown);
    assert_eq!(actions, [Action::MediaClose, Action::GraphEnd(End::Terminate)]);
}
