//! Calls of a former life, and how long an end is tried.

use std::time::{Duration, Instant};

use wa_signaling::ErrorKind;

use super::{Bench, outcome};
use crate::call::action::{Action, End};
use crate::call::cause::Cause;
use crate::call::event::Event;
use crate::call::machine::{Call, Settings};

const SECOND: Duration = Duration::from_secs(1);

fn former(end: Option<End>, seed: u64) -> Bench {
    let now = Instant::now();
    let call = Call::former(Settings::default(), (now - 60 * SECOND, now), end).with_jitter(seed);
    Bench { call, now }
}

#[test]
fn a_former_call_is_ended_at_once_in_the_way_that_its_entry_says() {
    for end in [End::Reject, End::Terminate] {
        let mut bench = former(Some(end), 1);
        assert_eq!(bench.actions(), [Action::MediaClose, Action::GraphEnd(end)]);
        let actions = bench.give(Event::EndReply(Ok(())));
        let outcome = outcome(&actions).expect("finished");
        assert_eq!((outcome.cause, outcome.whatsapp_ended), (Cause::Crash, true));
        assert_eq!(outcome.ended - outcome.began, 60 * SECOND);
        assert_eq!(outcome.answered, None);
    }
}

#[test]
fn a_former_call_that_is_over_already_is_ended_well() {
    let mut bench = former(Some(End::Terminate), 1);
    bench.actions();
    let actions = bench.give(Event::EndReply(Err(ErrorKind::AlreadyEnded)));
    assert!(outcome(&actions).is_some_and(|outcome| outcome.whatsapp_ended), "{actions:?}");
}

#[test]
fn a_former_call_that_cannot_be_rejected_is_terminated() {
    let mut bench = former(Some(End::Reject), 1);
    bench.actions();
    assert_eq!(bench.give(Event::EndReply(Err(ErrorKind::BadParameter))), []);
    assert_eq!(bench.pass(Duration::ZERO), [Action::GraphEnd(End::Terminate)]);
}

#[test]
fn a_former_call_without_an_id_is_terminated_by_its_first_webhook_or_never_was() {
    let mut bench = former(None, 1);
    assert_eq!(bench.actions(), [Action::MediaClose]);
    assert_eq!(bench.pass(60 * SECOND), []);
    assert_eq!(bench.give(Event::Identified), [Action::GraphEnd(End::Terminate)]);
    let mut bench = former(None, 1);
    let actions = bench.pass(120 * SECOND);
    assert!(outcome(&actions).is_some_and(|outcome| outcome.whatsapp_ended), "{actions:?}");
}

/// Lets every end fail at once; the times of the ends since the first.
fn failing(bench: &mut Bench, time: Duration) -> Vec<Duration> {
    let (begun, mut ends) = (bench.now, Vec::new());
    let mut actions = bench.actions();
    while bench.now - begun <= time {
        if actions.contains(&Action::GraphEnd(End::Terminate)) {
            ends.push(bench.now - begun);
            actions = bench.give(Event::EndReply(Err(ErrorKind::Outage)));
            continue;
        }
        let Some(deadline) = bench.call.deadline() else { break };
        bench.now = deadline;
        bench.call.handle_timeout(deadline);
        actions = bench.actions();
    }
    ends
}

#[test]
fn after_five_failures_in_a_row_the_sixth_try_comes_within_eight_seconds() {
    for seed in 0..200 {
        let ends = failing(&mut former(Some(End::Terminate), seed), 10 * SECOND);
        assert!(ends.len() >= 6, "{ends:?}");
        assert!(ends[5] <= 8 * SECOND, "{ends:?}");
        // All that are ended together fail together: none is tried a sixth time before all were a fifth.
        assert!(ends[4] < 4 * SECOND && ends[5] > 5 * SECOND, "{ends:?}");
    }
}

#[test]
fn an_end_is_tried_for_two_hours_at_least_every_half_minute() {
    let mut bench = former(Some(End::Terminate), 7);
    let ends = failing(&mut bench, 3 * 3600 * SECOND);
    let last = *ends.last().expect("some");
    assert!((7100 * SECOND..=7200 * SECOND).contains(&last), "{last:?}");
    let gaps: Vec<_> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap <= 30 * SECOND), "{gaps:?}");
    assert!(gaps.iter().skip(10).all(|gap| *gap >= 22 * SECOND), "{gaps:?}");
}

#[test]
fn calls_that_fail_together_do_not_try_again_together() {
    let tries = |seed| failing(&mut former(Some(End::Terminate), seed), 10 * SECOND);
    assert_ne!(tries(1), tries(2));
}
