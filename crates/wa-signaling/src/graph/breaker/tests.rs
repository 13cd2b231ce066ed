use super::*;

fn number() -> PhoneNumberId {
    "106540352242922".parse().expect("an id")
}

fn request(purpose: Purpose, token: &str) -> Request {
    Request { purpose, number: Some(number()), token: Digest::of(&Secret::new(token)) }
}

fn api(code: u32, retry_after: Option<u64>) -> GraphError {
    GraphError::Api(ApiError {
        http_status: 400,
        code,
        subcode: None,
        message: "A title".into(),
        details: None,
        fbtrace_id: None,
        retry_after: retry_after.map(Duration::from_secs),
    })
}

fn lost() -> GraphError {
    GraphError::Transport("reset".into())
}

/// A breaker whose time is the test's.
struct Bench {
    breaker: Breaker,
    now: Instant,
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]
    fn new() -> Self {
        Self { breaker: Breaker::default(), now: Instant::now() }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn ask(&mut self, purpose: Purpose) -> Result<Permit, GraphError> {
        self.breaker.ask(self.now, request(purpose, "token"))
    }

    fn held(&mut self, purpose: Purpose) -> Option<ErrorKind> {
        self.ask(purpose).err().map(|error| error.kind())
    }

    /// A request that is sent and ends like this.
    fn run(&mut self, purpose: Purpose, token: &str, result: Result<(), GraphError>) -> Vec<GraphEvent> {
        let permit = self.breaker.ask(self.now, request(purpose, token)).expect("not held");
        self.breaker.done(self.now, permit, result.as_ref().err().map_or(Ok(()), Err))
    }

    fn go_down(&mut self) {
        for _ in 0..FAILURES {
            self.run(Purpose::Connect, "token", Err(lost()));
        }
    }
}

fn troubles(events: &[GraphEvent]) -> Vec<(bool, Trouble)> {
    let trouble = |event: &GraphEvent| match event {
        GraphEvent::Begun { trouble, .. } => (true, *trouble),
        GraphEvent::Over { trouble, .. } => (false, *trouble),
    };
    events.iter().map(trouble).collect()
}

#[test]
fn a_dead_token_holds_all_but_ends() {
    for code in [0, 190] {
        let mut bench = Bench::new();
        let events = bench.run(Purpose::Connect, "token", Err(api(code, None)));
        assert_eq!(troubles(&events), [(true, Trouble::Token)]);
        bench.pass(TOKEN_PAUSE.as_secs() - 1);
        for purpose in [Purpose::Connect, Purpose::Answer, Purpose::Other] {
            assert_eq!(bench.held(purpose), Some(ErrorKind::TokenInvalid), "{purpose:?}");
        }
        assert_eq!(bench.held(Purpose::End), None);
    }
}

#[test]
fn another_token_is_tried_at_once_and_ends_the_alarm_when_it_is_taken() {
    let mut bench = Bench::new();
    bench.run(Purpose::Connect, "token", Err(api(190, None)));
    let events = bench.run(Purpose::Connect, "new token", Err(api(138_006, None)));
    assert_eq!(troubles(&events), [(false, Trouble::Token)]);
    assert_eq!(bench.held(Purpose::Connect), None, "even the old one is not held any more");
}

#[test]
fn another_token_that_is_dead_as_well_is_held_in_its_turn() {
    let mut bench = Bench::new();
    bench.run(Purpose::Connect, "token", Err(api(190, None)));
    bench.run(Purpose::Connect, "new token", Err(api(190, None)));
    let held = bench.breaker.ask(bench.now, request(Purpose::Connect, "new token"));
    assert_eq!(held.expect_err("held").kind(), ErrorKind::TokenInvalid);
}

#[test]
fn one_request_a_minute_tries_the_same_token_again() {
    let mut bench = Bench::new();
    bench.run(Purpose::Connect, "token", Err(api(0, None)));
    bench.pass(TOKEN_PAUSE.as_secs());
    let probe = bench.ask(Purpose::Connect).expect("the probe");
    assert_eq!(bench.held(Purpose::Connect), Some(ErrorKind::TokenInvalid), "one only");
    let events = bench.breaker.done(bench.now, probe, Ok(()));
    assert_eq!(troubles(&events), [(false, Trouble::Token)]);
    assert_eq!(bench.held(Purpose::Connect), None);
}

#[test]
fn an_end_that_works_shows_that_the_token_is_good() {
    let mut bench = Bench::new();
    bench.run(Purpose::Connect, "token", Err(api(190, None)));
    assert_eq!(troubles(&bench.run(Purpose::End, "token", Ok(()))), [(false, Trouble::Token)]);
}

#[test]
fn a_lost_answer_says_nothing_of_the_token() {
    let mut bench = Bench::new();
    bench.run(Purpose::Connect, "token", Err(api(190, None)));
    assert_eq!(bench.run(Purpose::End, "token", Err(lost())), []);
    assert_eq!(bench.held(Purpose::Connect), Some(ErrorKind::TokenInvalid));
}

#[test]
fn the_token_of_one_number_says_nothing_of_another() {
    let mut bench = Bench::new();
    bench.run(Purpose::Connect, "token", Err(api(190, None)));
    let number = "2".parse().ok();
    assert!(bench.breaker.ask(bench.now, Request { number, ..request(Purpose::Connect, "token") }).is_ok());
    let number = None;
    assert!(bench.breaker.ask(bench.now, Request { number, ..request(Purpose::Other, "token") }).is_ok());
}

#[test]
fn missing_rights_hold_nothing_and_are_told_until_the_same_works() {
    for (code, trouble) in [
        (3, Trouble::NumberRefused),
        (10, Trouble::NumberRefused),
        (250, Trouble::NumberRefused),
        (131_005, Trouble::NumberRefused),
        (131_042, Trouble::NumberRefused),
        (131_055, Trouble::Settings),
        (138_000, Trouble::Settings),
        (138_014, Trouble::Restricted),
    ] {
        let mut bench = Bench::new();
        let events = bench.run(Purpose::Connect, "token", Err(api(code, None)));
        assert_eq!(troubles(&events), [(true, trouble)], "{code}");
        assert_eq!(bench.held(Purpose::Connect), None, "{code}");
        assert_eq!(bench.run(Purpose::Other, "token", Ok(())), [], "{code}: reading settings proves nothing");
        assert_eq!(troubles(&bench.run(Purpose::Connect, "token", Ok(()))), [(false, trouble)], "{code}");
        assert!(bench.breaker.numbers.is_empty());
    }
}

#[test]
fn five_failures_in_a_row_hold_connects_only() {
    let mut bench = Bench::new();
    for _ in 1..FAILURES {
        assert_eq!(bench.run(Purpose::Connect, "token", Err(GraphError::Timeout)), []);
    }
    let events = bench.run(Purpose::Connect, "token", Err(api(2, None)));
    assert_eq!(troubles(&events), [(true, Trouble::Outage)]);
    assert_eq!(bench.held(Purpose::Connect), Some(ErrorKind::Unavailable));
    for purpose in [Purpose::Answer, Purpose::End, Purpose::Other] {
        assert_eq!(bench.held(purpose), None, "{purpose:?}");
    }
}

#[test]
fn any_answer_between_failures_begins_the_count_anew() {
    let mut bench = Bench::new();
    for _ in 0..10 {
        for _ in 1..FAILURES {
            bench.run(Purpose::Connect, "token", Err(lost()));
        }
        bench.run(Purpose::Connect, "token", Err(api(138_006, None)));
    }
    assert_eq!(bench.held(Purpose::Connect), None);
}

#[test]
fn after_an_outage_one_probe_at_a_time_goes_out() {
    let mut bench = Bench::new();
    bench.go_down();
    bench.pass(PROBE_PAUSE.as_secs() - 1);
    assert_eq!(bench.held(Purpose::Connect), Some(ErrorKind::Unavailable));
    bench.pass(1);
    let probe = bench.ask(Purpose::Connect).expect("the probe");
    for _ in 0..100 {
        assert_eq!(bench.held(Purpose::Connect), Some(ErrorKind::Unavailable));
    }
    bench.breaker.done(bench.now, probe, Err(&lost()));
    assert_eq!(bench.held(Purpose::Connect), Some(ErrorKind::Unavailable), "the pause begins anew");
    bench.pass(PROBE_PAUSE.as_secs());
    let events = bench.run(Purpose::Connect, "token", Ok(()));
    assert_eq!(troubles(&events), [(false, Trouble::Outage)]);
    assert_eq!(bench.held(Purpose::Connect), None);
}

/// Failure mode 43: five minutes without the API, ten calls a second offered.
#[test]
fn an_outage_of_five_minutes_sees_few_requests_and_no_storm_at_its_end() {
    let mut bench = Bench::new();
    let (mut sent, mut after) = (0, 0);
    for tick in 0..3100 {
        bench.now += Duration::from_millis(100);
        let is_down = tick < 3000;
        let Ok(permit) = bench.ask(Purpose::Connect) else {
            continue;
        };
        let result = if is_down { Err(GraphError::Timeout) } else { Ok(()) };
        bench.breaker.done(bench.now, permit, result.as_ref().err().map_or(Ok(()), Err));
        *if is_down { &mut sent } else { &mut after } += 1;
    }
    assert!((90..=110).contains(&sent), "{sent} requests in five minutes");
    assert!((70..=100).contains(&after), "{after} of 100 calls after it");
}

#[test]
fn a_probe_that_never_comes_back_does_not_close_the_way_for_good() {
    let mut bench = Bench::new();
    bench.go_down();
    bench.pass(PROBE_PAUSE.as_secs());
    drop(bench.ask(Purpose::Connect).expect("the probe"));
    bench.pass(PROBE_LOST.as_secs() - 1);
    assert_eq!(bench.held(Purpose::Connect), Some(ErrorKind::Unavailable));
    bench.pass(1);
    assert_eq!(bench.held(Purpose::Connect), None);
}

#[test]
fn late_failures_do_not_put_the_next_probe_off() {
    let mut bench = Bench::new();
    let late = bench.ask(Purpose::Connect).expect("not held");
    bench.go_down();
    bench.pass(PROBE_PAUSE.as_secs());
    bench.breaker.done(bench.now, late, Err(&lost()));
    assert_eq!(bench.held(Purpose::Connect), None);
}

#[test]
fn an_end_that_is_answered_ends_the_outage() {
    let mut bench = Bench::new();
    bench.go_down();
    assert_eq!(troubles(&bench.run(Purpose::End, "token", Ok(()))), [(false, Trouble::Outage)]);
    assert_eq!(bench.held(Purpose::Connect), None);
}

#[test]
fn one_call_that_cannot_be_ended_holds_no_other() {
    let mut bench = Bench::new();
    for _ in 0..20 {
        bench.run(Purpose::End, "token", Err(GraphError::Timeout));
    }
    assert_eq!(bench.held(Purpose::Connect), None);
}

#[test]
fn an_odd_answer_to_a_question_is_no_outage() {
    let mut bench = Bench::new();
    for _ in 0..20 {
        bench.run(Purpose::Other, "token", Err(GraphError::BadResponse("no known status".into())));
    }
    assert_eq!(bench.held(Purpose::Connect), None);
}

#[test]
fn a_rate_limit_holds_connects_as_long_as_it_says() {
    for (code, retry_after, rest) in [
        (4, Some(30), 30),
        (80_007, None, REST.as_secs()),
        (130_429, Some(86_400), LONGEST_REST.as_secs()),
        (138_005, Some(7), 7),
    ] {
        let mut bench = Bench::new();
        let events = bench.run(Purpose::Connect, "token", Err(api(code, retry_after)));
        assert_eq!(troubles(&events), [(true, Trouble::RateLimit)], "{code}");
        bench.pass(rest - 1);
        assert_eq!(bench.held(Purpose::Connect), Some(ErrorKind::RateLimited), "{code}");
        for purpose in [Purpose::Answer, Purpose::End, Purpose::Other] {
            assert_eq!(bench.held(purpose), None, "{code} {purpose:?}");
        }
        bench.pass(1);
        assert_eq!(troubles(&bench.run(Purpose::Connect, "token", Ok(()))), [(false, Trouble::RateLimit)]);
    }
}

#[test]
fn too_many_questions_for_permissions_hold_no_call() {
    let mut bench = Bench::new();
    bench.run(Purpose::Other, "token", Err(api(613, Some(30))));
    assert_eq!(bench.held(Purpose::Connect), None);
}

#[test]
fn a_breaker_shows_no_token() {
    let mut bench = Bench::new();
    bench.run(Purpose::Connect, "EAAG-secret", Err(api(190, None)));
    assert!(!format!("{:?}", bench.breaker).contains("EAAG"));
}

#[test]
fn questions_that_fail_in_a_row_hold_no_call() {
    let mut bench = Bench::new();
    for _ in 0..2 * FAILURES {
        assert_eq!(bench.run(Purpose::Other, "token", Err(GraphError::Timeout)), []);
    }
    assert_eq!(bench.held(Purpose::Connect), None);
}
