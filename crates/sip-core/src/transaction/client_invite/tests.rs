//! State by state beside RFC 6026 figure 5.

use super::*;
use crate::message::Message;
use crate::testing::{ms, request, simple_request, simple_response, start};

const INVITE: &str = "INVITE";

#[derive(Debug, PartialEq)]
enum Out {
    Invite,
    Ack,
    Up(u16),
    Timeout,
    TransportError,
}

struct Bench {
    start: Instant,
    machine: ClientInvite,
}

impl Bench {
    fn calling() -> Self {
        let start = start();
        let mut bench =
            Self { start, machine: ClientInvite::new(start, simple_request(INVITE), Timers::default()) };
        assert_eq!(bench.outputs(), [Out::Invite]);
        bench
    }

    fn after(status: u16) -> Self {
        let mut bench = Self::calling();
        bench.receive(0, status);
        bench
    }

    fn outputs(&mut self) -> Vec<Out> {
        let mut outputs = Vec::new();
        while let Some(output) = self.machine.poll() {
            outputs.push(match output {
                ClientOutput::Send(bytes) if request(&bytes).method == Method::Invite => Out::Invite,
                ClientOutput::Send(bytes) => {
                    assert_eq!(request(&bytes).method, Method::Ack);
                    Out::Ack
                }
                ClientOutput::Response(response) => Out::Up(response.status),
                ClientOutput::Timeout => Out::Timeout,
                ClientOutput::TransportError => Out::TransportError,
            });
        }
        outputs
    }

    fn input(&mut self, at: u64, input: Input) -> Vec<Out> {
        self.machine.handle(self.start + ms(at), input);
        self.outputs()
    }

    fn receive(&mut self, at: u64, status: u16) -> Vec<Out> {
        self.input(at, Input::Response(simple_response(INVITE, status)))
    }

    fn deadline(&self) -> Option<u64> {
        let deadline = self.machine.deadline()?;
        u64::try_from((deadline - self.start).as_millis()).ok()
    }

    /// Everything that the timers alone bring, with its time.
    fn run(&mut self) -> Vec<(u64, Out)> {
        let mut all = Vec::new();
        while let Some(at) = self.deadline() {
            all.extend(self.input(at, Input::Timer).into_iter().map(|out| (at, out)));
        }
        all
    }
}

#[test]
fn calling_timer_a_doubles_and_timer_b_ends_it() {
    let mut bench = Bench::calling();
    let times = [500, 1500, 3500, 7500, 15_500, 31_500];
    let mut expected: Vec<_> = times.into_iter().map(|at| (at, Out::Invite)).collect();
    expected.push((32_000, Out::Timeout));
    assert_eq!(bench.run(), expected);
    assert!(bench.machine.is_terminated());
}

#[test]
fn calling_a_timer_that_is_not_due_does_nothing() {
    let mut bench = Bench::calling();
    assert_eq!(bench.input(499, Input::Timer), []);
    assert_eq!(bench.deadline(), Some(500));
}

#[test]
fn calling_1xx_goes_up_and_stops_the_retransmission() {
    let mut bench = Bench::calling();
    assert!(!bench.machine.is_proceeding());
    assert_eq!(bench.receive(100, 180), [Out::Up(180)]);
    assert!(bench.machine.is_proceeding());
    assert_eq!(bench.deadline(), None);
}

#[test]
fn calling_2xx_is_accepted_until_timer_m() {
    let mut bench = Bench::calling();
    assert_eq!(bench.receive(100, 200), [Out::Up(200)]);
    assert_eq!(bench.deadline(), Some(32_100));
    assert_eq!(bench.run(), []);
    assert!(bench.machine.is_terminated());
}

#[test]
fn calling_3xx_to_6xx_is_acknowledged() {
    for status in [300, 404, 503, 603] {
        let mut bench = Bench::calling();
        assert_eq!(bench.receive(100, status), [Out::Ack, Out::Up(status)]);
        assert_eq!(bench.deadline(), Some(32_100));
    }
}

#[test]
fn calling_transport_error_ends_it() {
    let mut bench = Bench::calling();
    assert_eq!(bench.input(1, Input::TransportError), [Out::TransportError]);
    assert!(bench.machine.is_terminated());
    assert_eq!(bench.receive(2, 200), []);
}

#[test]
fn proceeding() {
    assert_eq!(Bench::after(180).receive(1, 183), [Out::Up(183)]);
    assert_eq!(Bench::after(180).receive(1, 200), [Out::Up(200)]);
    assert_eq!(Bench::after(180).receive(1, 486), [Out::Ack, Out::Up(486)]);
    assert_eq!(Bench::after(180).input(1, Input::TransportError), []);
    assert_eq!(Bench::after(180).input(40_000, Input::Timer), []);
}

#[test]
fn completed_acknowledges_again_and_passes_nothing_up() {
    let mut bench = Bench::after(486);
    assert_eq!(bench.receive(10, 486), [Out::Ack]);
    assert_eq!(bench.receive(10, 180), []);
    assert_eq!(bench.receive(10, 200), []);
    assert_eq!(bench.input(31_999, Input::Timer), []);
    assert!(!bench.machine.is_terminated());
    assert_eq!(bench.input(32_000, Input::Timer), []);
    assert!(bench.machine.is_terminated());
}

#[test]
fn completed_transport_error_ends_it() {
    let mut bench = Bench::after(486);
    assert_eq!(bench.input(10, Input::TransportError), [Out::TransportError]);
    assert!(bench.machine.is_terminated());
}

#[test]
fn accepted_passes_every_2xx_up_and_nothing_else() {
    let mut bench = Bench::after(200);
    assert_eq!(bench.receive(10, 200), [Out::Up(200)]);
    assert_eq!(bench.receive(10, 180), []);
    assert_eq!(bench.receive(10, 486), []);
    assert_eq!(bench.input(10, Input::TransportError), []);
    assert!(!bench.machine.is_terminated());
}

#[test]
fn abandoned_is_silent_for_64_t1() {
    let mut bench = Bench::calling();
    assert_eq!(bench.input(4000, Input::Abandon), []);
    assert!(!bench.machine.is_proceeding());
    assert_eq!(bench.deadline(), Some(36_000));
    assert_eq!(bench.run(), []);
    assert!(bench.machine.is_terminated());
}

#[test]
fn abandoned_hands_one_late_1xx_up_and_waits_64_t1_for_what_the_cancel_brings() {
    let mut bench = Bench::calling();
    bench.input(4000, Input::Abandon);
    assert_eq!(bench.receive(30_000, 100), [Out::Up(100)]);
    assert_eq!(bench.receive(40_000, 180), []);
    assert_eq!(bench.input(40_000, Input::TransportError), []);
    assert_eq!(bench.deadline(), Some(62_000));
    assert_eq!(bench.receive(50_000, 487), [Out::Ack, Out::Up(487)]);
}

#[test]
fn abandoned_takes_a_late_2xx() {
    let mut bench = Bench::calling();
    bench.input(4000, Input::Abandon);
    assert_eq!(bench.receive(5000, 200), [Out::Up(200)]);
    assert_eq!(bench.receive(6000, 200), [Out::Up(200)]);
    assert_eq!(bench.deadline(), Some(37_000));
}

#[test]
fn only_a_call_without_any_response_is_abandoned() {
    assert_eq!(Bench::after(180).input(4000, Input::Abandon), []);
    let mut proceeding = Bench::after(180);
    proceeding.input(4000, Input::Abandon);
    assert!(proceeding.machine.is_proceeding());
}

#[test]
fn the_ack_is_that_of_17_1_1_3() {
    let mut bench = Bench::calling();
    bench.machine.handle(bench.start, Input::Response(simple_response(INVITE, 404)));
    let Some(ClientOutput::Send(ack)) = bench.machine.poll() else {
        panic!();
    };
    let ack = request(&ack);
    let get = |name| ack.headers.get(name).unwrap_or_default();
    assert_eq!(ack.uri.to_string(), "sip:b@192.0.2.2");
    assert_eq!(get("Via"), "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKone;rport");
    assert_eq!(get("Route"), "<sip:192.0.2.9;lr>");
    assert_eq!(get("From"), "<sip:a@192.0.2.1>;tag=a");
    assert_eq!(get("To"), "<sip:b@192.0.2.2>;tag=b");
    assert_eq!(get("CSeq"), "7 ACK");
    assert!(matches!(parse_again(&ack), Message::Request(_)));
}

fn parse_again(ack: &Request) -> Message {
    crate::message::parse::datagram(&ack.to_bytes()).unwrap()
}

#[test]
fn over_a_reliable_transport_timer_a_never_runs_and_timer_d_is_zero() {
    let mut bench = Bench::calling();
    bench.machine.rely_on_transport();
    assert_eq!(bench.run(), [(32_000, Out::Timeout)], "Timer B alone");
    let mut bench = Bench::calling();
    bench.machine.rely_on_transport();
    assert_eq!(bench.receive(7, 180), [Out::Up(180)]);
    assert_eq!(bench.receive(9, 486), [Out::Ack, Out::Up(486)]);
    assert_eq!((bench.deadline(), bench.run()), (Some(9), vec![]));
    assert!(bench.machine.is_terminated());
}

#[test]
fn over_a_reliable_transport_timer_m_runs_all_the_same() {
    let mut bench = Bench::calling();
    bench.machine.rely_on_transport();
    bench.receive(5, 200);
    assert_eq!(bench.deadline(), Some(32_005), "further forks may answer (RFC 6026 8.4)");
}

#[test]
fn another_way_begins_from_the_start() {
    let mut bench = Bench::calling();
    bench.machine.rely_on_transport();
    let via = "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKone;rport".parse().unwrap();
    bench.machine.start_over(bench.start + ms(100), &via);
    assert_eq!(bench.machine.request().headers.via(), Some(via));
    assert_eq!(bench.outputs(), [Out::Invite]);
    let at: Vec<u64> = bench.run().iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [600, 1600, 3600, 7600, 15_600, 31_600, 32_100], "with Timers A and B of its own");
}
