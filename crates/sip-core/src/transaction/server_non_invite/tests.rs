//! State by state beside RFC 3261 figure 8.

use super::*;
use crate::testing::{ms, start};

struct Bench {
    start: Instant,
    machine: ServerNonInvite,
}

impl Bench {
    fn trying() -> Self {
        Self { start: start(), machine: ServerNonInvite::new(Timers::default()) }
    }

    fn input(&mut self, at: u64, input: Input) -> Vec<u16> {
        self.machine.handle(self.start + ms(at), input);
        std::iter::from_fn(|| self.machine.poll())
            .map(|ServerOutput::Send(bytes)| std::str::from_utf8(&bytes).unwrap().parse().unwrap())
            .collect()
    }

    fn respond(&mut self, at: u64, status: u16) -> Vec<u16> {
        let bytes = Bytes::from(status.to_string());
        self.input(at, Input::Response { status, bytes })
    }
}

#[test]
fn trying_absorbs_retransmissions() {
    let mut bench = Bench::trying();
    assert_eq!(bench.input(10, Input::Request), [0; 0]);
    assert_eq!(bench.input(10, Input::Timer), [0; 0]);
    assert!(bench.machine.is_proceeding());
    assert_eq!(bench.machine.deadline(), None);
}

#[test]
fn proceeding_sends_the_last_provisional_again() {
    let mut bench = Bench::trying();
    assert_eq!(bench.respond(0, 100), [100]);
    assert_eq!(bench.respond(0, 183), [183]);
    assert_eq!(bench.input(10, Input::Request), [183]);
    assert!(bench.machine.is_proceeding());
    assert_eq!(bench.respond(20, 200), [200]);
    assert!(!bench.machine.is_proceeding());
}

#[test]
fn completed_sends_the_final_again_until_timer_j() {
    let mut bench = Bench::trying();
    assert_eq!(bench.respond(0, 481), [481]);
    assert_eq!(bench.input(10, Input::Request), [481]);
    assert_eq!(bench.respond(10, 200), [0; 0]);
    assert_eq!(bench.machine.deadline(), Some(bench.start + ms(32_000)));
    assert_eq!(bench.input(31_999, Input::Timer), [0; 0]);
    assert!(!bench.machine.is_terminated());
    assert_eq!(bench.input(32_000, Input::Timer), [0; 0]);
    assert!(bench.machine.is_terminated());
    assert_eq!(bench.input(33_000, Input::Request), [0; 0]);
}

#[test]
fn over_a_reliable_transport_timer_j_is_zero() {
    let mut bench = Bench::trying();
    bench.machine.rely_on_transport();
    assert_eq!(bench.respond(40, 200), [200]);
    assert_eq!(bench.input(40, Input::Timer), [0; 0]);
    assert!(bench.machine.is_terminated());
}
