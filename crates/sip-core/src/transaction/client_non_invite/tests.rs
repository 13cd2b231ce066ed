//! State by state beside RFC 3261 figure 6.

use super::*;
use crate::testing::{ms, simple_request, simple_response, start};

#[derive(Debug, PartialEq)]
enum Out {
    Send,
    Up(u16),
    Timeout,
    TransportError,
}

struct Bench {
    start: Instant,
    machine: ClientNonInvite,
}

impl Bench {
    fn trying() -> Self {
        let start = start();
        let mut bench =
            Self { start, machine: ClientNonInvite::new(start, &simple_request("BYE"), Timers::default()) };
        assert_eq!(bench.outputs(), [Out::Send]);
        bench
    }

    fn after(status: u16) -> Self {
        let mut bench = Self::trying();
        bench.receive(0, status);
        bench
    }

    fn outputs(&mut self) -> Vec<Out> {
        std::iter::from_fn(|| self.machine.poll())
            .map(|output| match output {
                ClientOutput::Send(_) => Out::Send,
                ClientOutput::Response(response) => Out::Up(response.status),
                ClientOutput::Timeout => Out::Timeout,
                ClientOutput::TransportError => Out::TransportError,
            })
            .collect()
    }

    fn input(&mut self, at: u64, input: Input) -> Vec<Out> {
        self.machine.handle(self.start + ms(at), input);
        self.outputs()
    }

    fn receive(&mut self, at: u64, status: u16) -> Vec<Out> {
        self.input(at, Input::Response(simple_response("BYE", status)))
    }

    fn run(&mut self) -> Vec<(u64, Out)> {
        let mut all = Vec::new();
        while let Some(deadline) = self.machine.deadline() {
            let at = u64::try_from((deadline - self.start).as_millis()).unwrap();
            all.extend(self.input(at, Input::Timer).into_iter().map(|out| (at, out)));
        }
        all
    }
}

fn sends(times: &[u64]) -> Vec<(u64, Out)> {
    let mut all: Vec<_> = times.iter().map(|&at| (at, Out::Send)).collect();
    all.push((32_000, Out::Timeout));
    all
}

#[test]
fn trying_timer_e_doubles_to_t2_and_timer_f_ends_it() {
    let mut bench = Bench::trying();
    let times = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(bench.run(), sends(&times));
    assert!(bench.machine.is_terminated());
}

#[test]
fn trying_final_response_completes_it_until_timer_k() {
    for status in [200, 302, 481, 503, 603] {
        let mut bench = Bench::trying();
        assert_eq!(bench.receive(100, status), [Out::Up(status)]);
        assert_eq!(bench.machine.deadline(), Some(bench.start + ms(5100)));
        assert_eq!(bench.run(), []);
        assert!(bench.machine.is_terminated());
    }
}

#[test]
fn trying_transport_error_ends_it() {
    let mut bench = Bench::trying();
    assert_eq!(bench.input(1, Input::TransportError), [Out::TransportError]);
    assert!(bench.machine.is_terminated());
}

#[test]
fn proceeding_retransmits_every_t2_until_timer_f() {
    let mut bench = Bench::trying();
    assert_eq!(bench.receive(100, 100), [Out::Up(100)]);
    let times = [4100, 8100, 12_100, 16_100, 20_100, 24_100, 28_100];
    assert_eq!(bench.run(), sends(&times));
}

#[test]
fn proceeding_responses_and_errors() {
    assert_eq!(Bench::after(100).receive(1, 182), [Out::Up(182)]);
    assert_eq!(Bench::after(100).receive(1, 200), [Out::Up(200)]);
    assert_eq!(Bench::after(100).input(1, Input::TransportError), [Out::TransportError]);
}

#[test]
fn completed_absorbs_everything() {
    let mut bench = Bench::after(200);
    assert_eq!(bench.receive(10, 200), []);
    assert_eq!(bench.receive(10, 100), []);
    assert_eq!(bench.input(10, Input::TransportError), []);
    assert!(!bench.machine.is_terminated());
}

#[test]
fn over_a_reliable_transport_timer_e_never_runs_and_timer_k_is_zero() {
    for provisional in [false, true] {
        let mut bench = Bench::trying();
        bench.machine.rely_on_transport();
        if provisional {
            assert_eq!(bench.receive(10, 100), [Out::Up(100)]);
        }
        let f = bench.start + ms(32_000);
        assert_eq!(bench.machine.deadline(), Some(f), "Timer F alone");
        assert_eq!(bench.receive(20, 200), [Out::Up(200)]);
        bench.machine.handle(bench.start + ms(20), Input::Timer);
        assert!(bench.machine.is_terminated());
    }
}
