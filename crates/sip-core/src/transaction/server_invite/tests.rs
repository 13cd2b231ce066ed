//! State by state beside RFC 6026 figure 7.

use super::*;
use crate::testing::{ms, start};

struct Bench {
    start: Instant,
    machine: ServerInvite,
}

impl Bench {
    fn proceeding() -> Self {
        let mut bench = Self { start: start(), machine: ServerInvite::new(bytes(100), Timers::default()) };
        assert_eq!(bench.outputs(), [100]);
        bench
    }

    fn after(status: u16) -> Self {
        let mut bench = Self::proceeding();
        assert_eq!(bench.respond(0, status), [status]);
        bench
    }

    fn confirmed() -> Self {
        let mut bench = Self::after(486);
        assert_eq!(bench.input(0, Input::Ack), [0; 0]);
        bench
    }

    /// The status codes that are sent.
    fn outputs(&mut self) -> Vec<u16> {
        std::iter::from_fn(|| self.machine.poll())
            .map(|ServerOutput::Send(bytes)| std::str::from_utf8(&bytes).unwrap().parse().unwrap())
            .collect()
    }

    fn input(&mut self, at: u64, input: Input) -> Vec<u16> {
        self.machine.handle(self.start + ms(at), input);
        self.outputs()
    }

    fn respond(&mut self, at: u64, status: u16) -> Vec<u16> {
        let bytes = bytes(status);
        self.input(at, Input::Response { status, bytes })
    }

    fn run(&mut self) -> (Vec<u64>, u64) {
        let mut sent = Vec::new();
        let mut last = 0;
        while let Some(deadline) = self.machine.deadline() {
            last = u64::try_from((deadline - self.start).as_millis()).unwrap();
            sent.extend(self.input(last, Input::Timer).iter().map(|_| last));
        }
        assert!(self.machine.is_terminated());
        (sent, last)
    }
}

fn bytes(status: u16) -> Bytes {
    Bytes::from(status.to_string())
}

#[test]
fn proceeding_sends_the_last_provisional_again() {
    let mut bench = Bench::proceeding();
    assert_eq!(bench.input(10, Input::Invite), [100]);
    assert_eq!(bench.respond(20, 180), [180]);
    assert_eq!(bench.input(30, Input::Invite), [180]);
    assert!(bench.machine.is_proceeding());
    assert_eq!(bench.machine.deadline(), None);
    assert_eq!(bench.input(40, Input::Ack), [0; 0]);
    assert!(bench.machine.is_proceeding());
}

#[test]
fn completed_timer_g_doubles_to_t2_and_timer_h_ends_it() {
    let (sent, end) = Bench::after(404).run();
    assert_eq!(sent, [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    assert_eq!(end, 32_000);
}

#[test]
fn completed_sends_the_final_again_and_takes_no_other() {
    let mut bench = Bench::after(404);
    assert_eq!(bench.input(10, Input::Invite), [404]);
    assert_eq!(bench.respond(10, 200), [0; 0]);
    assert_eq!(bench.respond(10, 180), [0; 0]);
    assert!(bench.machine.absorbs_ack());
}

#[test]
fn confirmed_absorbs_until_timer_i() {
    let mut bench = Bench::confirmed();
    assert!(bench.machine.absorbs_ack());
    assert_eq!(bench.input(10, Input::Ack), [0; 0]);
    assert_eq!(bench.input(10, Input::Invite), [0; 0]);
    assert_eq!(bench.respond(10, 486), [0; 0]);
    assert_eq!(bench.run(), (vec![], 5000));
}

#[test]
fn accepted_absorbs_invites_and_sends_what_the_user_retransmits() {
    let mut bench = Bench::after(200);
    assert!(!bench.machine.absorbs_ack());
    assert_eq!(bench.input(10, Input::Invite), [0; 0]);
    assert_eq!(bench.input(10, Input::Ack), [0; 0]);
    assert_eq!(bench.respond(500, 200), [200]);
    assert_eq!(bench.respond(500, 486), [0; 0]);
    assert_eq!(bench.respond(500, 180), [0; 0]);
    assert_eq!(bench.run(), (vec![], 32_000));
}

#[test]
fn over_a_reliable_transport_timer_g_never_runs_and_timer_i_is_zero() {
    let mut bench = Bench::proceeding();
    bench.machine.rely_on_transport();
    assert_eq!(bench.respond(0, 486), [486]);
    assert_eq!(bench.run(), (vec![], 32_000), "Timer H alone");
    let mut bench = Bench::proceeding();
    bench.machine.rely_on_transport();
    bench.respond(0, 486);
    assert_eq!(bench.input(30, Input::Ack), [0; 0]);
    assert_eq!(bench.input(30, Input::Timer), [0; 0]);
    assert!(bench.machine.is_terminated());
}
