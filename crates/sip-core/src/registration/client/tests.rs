//! A registration in virtual time.

use super::*;
use crate::testing::{ms, response, start, wire};

struct Bench {
    registration: Registration,
    start: Instant,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let contact = "sip:us@192.0.2.2:5060".parse().unwrap();
        let start = start();
        let mut bench = Self { registration: Registration::new(contact, 600), start, now: start };
        bench.input(Input::Start);
        bench
    }

    fn registered() -> Self {
        let mut bench = Self::new();
        assert_eq!(bench.take(), ["register 600 1"]);
        bench.reply(200, "Contact: <sip:us@192.0.2.2>;expires=100");
        assert_eq!(bench.take(), ["registered"]);
        bench
    }

    fn input(&mut self, input: Input<'_>) {
        self.registration.handle(self.now, input);
    }

    fn reply(&mut self, status: u16, more: &str) {
        let cseq = self.registration.cseq;
        self.reply_to(cseq, status, more);
    }

    fn reply_to(&mut self, cseq: u32, status: u16, more: &str) {
        let response = response(&wire(&format!(
            "SIP/2.0 {status} X
             Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK1
             From: <sip:us@192.0.2.1>;tag=1
             To: <sip:us@192.0.2.1>;tag=2
             Call-ID: reg
             CSeq: {cseq} REGISTER
             {more}"
        )));
        self.input(Input::Response { response: &response, jitter: 0 });
    }

    /// Waits for the deadline; gives the seconds since the start and what is wanted then.
    fn next(&mut self) -> (u64, Vec<String>) {
        self.now = self.registration.deadline().expect("nothing to wait for");
        self.input(Input::Timeout);
        ((self.now - self.start).as_secs(), self.take())
    }

    fn take(&mut self) -> Vec<String> {
        let name = |output| match output {
            Output::SendRegister { expires, cseq } => format!("register {expires} {cseq}"),
            Output::Changed(Status::Registered) => "registered".to_owned(),
            Output::Changed(Status::Lost(loss)) => format!("lost {loss:?}"),
        };
        std::iter::from_fn(|| self.registration.poll()).map(name).collect()
    }
}

#[test]
fn it_is_refreshed_at_half_of_what_was_granted() {
    let mut bench = Bench::registered();
    assert_eq!(bench.next(), (50, vec!["register 600 2".into()]));
    bench.reply(200, "Expires: 60");
    assert_eq!(bench.take(), [""; 0], "still registered is nothing new");
    assert_eq!(bench.next(), (80, vec!["register 600 3".into()]));
}

#[test]
fn the_jitter_moves_the_refresh_up_to_nine_tenths() {
    let granted = Duration::from_secs(100);
    let shares: Vec<_> = [0, 128, 255].map(|jitter| refresh_after(granted, jitter).as_secs()).into();
    assert_eq!(shares, [50, 70, 90]);
}

#[test]
fn the_grant_is_that_of_our_contact() {
    for (more, refresh) in [
        ("Contact: <sip:phone@10.0.0.1>;expires=40, <sip:us@192.0.2.2>;expires=200\nExpires: 80", 100),
        ("Contact: <sip:us@198.51.100.1:1024>;expires=60", 30),
        ("Contact: <sip:a@h>;expires=40, <sip:b@h>;expires=40\nExpires: 80", 40),
        ("", 300),
        ("Expires: 1", 10),
        ("Expires: 0", 300),
        ("Expires: 4294967295", 43_200),
    ] {
        let mut bench = Bench::new();
        bench.reply(200, more);
        bench.take();
        assert_eq!(bench.next().0, refresh, "{more}");
    }
}

#[test]
fn the_grant_is_that_of_the_contact_that_went_out_last() {
    let mut bench = Bench::new();
    bench.registration.set_contact("sip:us@192.0.2.2;transport=tcp".parse().unwrap());
    let granted = "Contact: <sip:us@192.0.2.2>;expires=200, <sip:us@192.0.2.2;transport=tcp>;expires=60";
    bench.reply(200, granted);
    bench.take();
    assert_eq!(bench.next().0, 30);
}

#[test]
fn after_a_failure_it_waits_longer_each_time() {
    let mut bench = Bench::new();
    bench.take();
    let mut waits = Vec::new();
    for n in 0..6 {
        let before = (bench.now - bench.start).as_secs();
        bench.reply(403, "");
        assert_eq!(bench.take(), if n == 0 { vec!["lost Rejected(403)"] } else { vec![] });
        waits.push(bench.next().0 - before);
    }
    assert_eq!(waits, [30, 60, 120, 240, 300, 300]);
    bench.reply(200, "");
    assert_eq!(bench.take(), ["registered"]);
    bench.next();
    bench.reply(403, "");
    let before = (bench.now - bench.start).as_secs();
    assert_eq!(bench.next().0 - before, 30, "a success begins anew");
}

#[test]
fn retry_after_is_heeded() {
    for (value, wait) in [("90", 90), ("100 (busy);duration=5", 100), ("5", 30), ("99999", 3600), ("x", 30)] {
        let mut bench = Bench::new();
        bench.reply(503, &format!("Retry-After: {value}"));
        bench.take();
        assert_eq!(bench.next().0, wait, "{value}");
    }
}

#[test]
fn silence_costs_the_registration_only_when_it_expires() {
    let mut bench = Bench::registered();
    bench.next();
    bench.now += ms(32_000);
    bench.input(Input::NoAnswer);
    assert_eq!(bench.take(), [""; 0]);
    assert_eq!(bench.next(), (100, vec!["lost NoAnswer".into()]));
    assert_eq!(bench.next(), (112, vec!["register 600 3".into()]));
    bench.reply(200, "");
    assert_eq!(bench.take(), ["registered"]);
}

#[test]
fn it_is_lost_while_a_refresh_is_under_way() {
    let mut bench = Bench::registered();
    bench.next();
    assert_eq!(bench.next(), (100, vec!["lost NoAnswer".into()]));
    assert_eq!(bench.registration.deadline(), None, "the REGISTER has its own end");
    bench.reply(500, "");
    assert_eq!(bench.take(), ["lost Rejected(500)"]);
}

#[test]
fn a_refusal_of_the_refresh_is_a_loss_and_a_failure_of_the_peer_is_none() {
    let mut bench = Bench::registered();
    bench.next();
    bench.reply(503, "");
    assert_eq!(bench.take(), [""; 0]);
    assert_eq!(bench.next(), (80, vec!["register 600 3".into()]));
    bench.reply(404, "");
    assert_eq!(bench.take(), ["lost Rejected(404)"]);
}

#[test]
fn a_423_raises_the_expiry() {
    let mut bench = Bench::new();
    bench.take();
    bench.reply(423, "Min-Expires: 1800");
    assert_eq!(bench.take(), ["register 1800 2"]);
    for (more, told) in [
        ("Min-Expires: 1800", vec!["lost Rejected(423)"]),
        ("Min-Expires: 60", vec![]),
        ("Min-Expires: 4000000", vec![]),
    ] {
        bench.reply(423, more);
        assert_eq!(bench.take(), told, "{more}");
        assert!(bench.next().1[0].starts_with("register 1800 "), "after the backoff");
    }
}

#[test]
fn the_count_goes_on_where_a_challenge_was_answered() {
    let mut bench = Bench::new();
    bench.take();
    bench.reply_to(2, 200, "Expires: 100");
    bench.take();
    assert_eq!(bench.next().1, ["register 600 3"]);
}

#[test]
fn it_is_taken_back_at_the_end() {
    let mut bench = Bench::registered();
    bench.input(Input::Stop);
    assert_eq!(bench.take(), ["register 0 2"]);
    bench.input(Input::Stop);
    assert_eq!(bench.registration.deadline(), None);
    bench.reply(200, "");
    assert_eq!(bench.take(), ["lost Unregistered"]);
    bench.input(Input::Start);
    assert_eq!(bench.take(), ["register 600 3"]);
}

#[test]
fn a_register_under_way_is_awaited_before_it_is_taken_back() {
    let mut bench = Bench::new();
    bench.take();
    bench.input(Input::Stop);
    assert_eq!(bench.take(), [""; 0]);
    bench.reply(200, "");
    assert_eq!(bench.take(), ["register 0 2"]);
    bench.input(Input::Start);
    bench.input(Input::NoAnswer);
    assert_eq!(bench.take(), ["register 600 3"], "and it was wanted again meanwhile");
    bench.input(Input::Stop);
    bench.reply(403, "");
    assert_eq!(bench.take(), ["lost Unregistered"]);
    assert_eq!(bench.registration.deadline(), None);
}

#[test]
fn stray_answers_change_nothing() {
    let mut bench = Bench::registered();
    bench.reply(403, "");
    bench.input(Input::NoAnswer);
    bench.input(Input::Start);
    bench.input(Input::Timeout);
    assert_eq!(bench.take(), [""; 0]);
    assert_eq!(bench.next().0, 50);
}
