//! Whether a target lives, found out with OPTIONS.
//!
//! One machine a destination. It begins up: nothing is known against it. So many pings without an
//! answer and it is down, so many answers and it is up again; a 503 says itself that it is down.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a ping may stay without an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// How soon after a missed ping the next one follows while the target counts as up.
const DOUBT: Duration = Duration::from_secs(2);

/// How a target is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// From ping to ping; zero sends none.
    pub interval: Duration,
    /// So many misses in a row and it is down; at least 1.
    pub down_after: u32,
    /// So many answers in a row and it is up; at least 1.
    pub up_after: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self { interval: Duration::from_secs(30), down_after: 2, up_after: 1 }
    }
}

/// What the machine is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A final response to the ping.
    Response(u16),
    /// The ping could not be sent, or the transaction timed out.
    Failed,
    /// A call to this target met silence or a transport error: it is looked at now.
    CallFailed,
}

/// What is to be done, and what has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send an OPTIONS request.
    Ping,
    /// Calls go elsewhere from now on.
    Down,
    /// Calls may come again.
    Up,
}

/// Watches one target.
#[derive(Debug)]
pub struct Health {
    policy: Policy,
    state: State,
    ping: Ping,
    output: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Up { misses: u32 },
    Down { answers: u32 },
}

#[derive(Debug)]
enum Ping {
    /// Nobody is pinged.
    Off,
    /// The next one leaves then.
    Due(Instant),
    /// One is out; without an answer by then it is missed.
    Out(Instant),
}

impl Health {
    /// The first ping leaves after `jitter`, so that not all targets are pinged at once: from zero to
    /// the interval.
    #[must_use]
    pub fn new(policy: Policy, now: Instant, jitter: Duration) -> Self {
        let ping = if policy.interval.is_zero() { Ping::Off } else { Ping::Due(now + jitter) };
        Self { policy, state: State::Up { misses: 0 }, ping, output: VecDeque::new() }
    }

    /// Whether calls may go there.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match (input, &self.ping) {
            (_, Ping::Off) => {}
            (Input::CallFailed, Ping::Due(due)) => self.ping = Ping::Due(now.min(*due)),
            (Input::CallFailed, Ping::Out(_)) => {}
            // An answer that comes after its ping was given up is still one.
            (Input::Response(503), _) => self.unavailable(now),
            (Input::Response(408) | Input::Failed, Ping::Out(_)) => self.missed(now),
            (Input::Response(408) | Input::Failed, Ping::Due(_)) => {}
            (Input::Response(_), _) => self.answered(now),
        }
    }

    /// Takes that time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.ping {
            Ping::Due(due) if due <= now => {
                self.output.push_back(Output::Ping);
                self.ping = Ping::Out(now + ANSWER_WITHIN);
            }
            Ping::Out(until) if until <= now => self.missed(now),
            Ping::Off | Ping::Due(_) | Ping::Out(_) => {}
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// When [`Self::handle_timeout`] is wanted.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.ping {
            Ping::Off => None,
            Ping::Due(at) | Ping::Out(at) => Some(at),
        }
    }

    fn answered(&mut self, now: Instant) {
        match &mut self.state {
            State::Up { misses } => *misses = 0,
            State::Down { answers } => {
                *answers += 1;
                if *answers >= self.policy.up_after {
                    self.state = State::Up { misses: 0 };
                    self.output.push_back(Output::Up);
                }
            }
        }
        self.ping = Ping::Due(now + self.policy.interval);
    }

    fn missed(&mut self, now: Instant) {
        let mut next = self.policy.interval;
        match &mut self.state {
            State::Up { misses } => {
                *misses += 1;
                if *misses >= self.policy.down_after {
                    self.down();
                } else {
                    next = next.min(DOUBT);
                }
            }
            State::Down { answers } => *answers = 0,
        }
        self.ping = Ping::Due(now + next);
    }

    fn unavailable(&mut self, now: Instant) {
        match &mut self.state {
            State::Up { .. } => self.down(),
            State::Down { answers } => *answers = 0,
        }
        self.ping = Ping::Due(now + self.policy.interval);
    }

    fn down(&mut self) {
        self.state = State::Down { answers: 0 };
        self.output.push_back(Output::Down);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A target whose answers are given, in virtual time.
    struct Bench {
        health: Health,
        now: Instant,
        pings: u32,
        changes: Vec<Output>,
    }

    const INTERVAL: Duration = Duration::from_secs(30);

    impl Bench {
        #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
        fn new(down_after: u32, up_after: u32) -> Self {
            let now = Instant::now();
            let policy = Policy { interval: INTERVAL, down_after, up_after };
            let health = Health::new(policy, now, Duration::from_secs(7));
            Self { health, now, pings: 0, changes: Vec::new() }
        }

        fn drain(&mut self) {
            while let Some(output) = self.health.poll() {
                match output {
                    Output::Ping => self.pings += 1,
                    change => self.changes.push(change),
                }
            }
        }

        fn says(&mut self, input: Input) {
            self.health.handle(self.now, input);
            self.drain();
        }

        /// Lets time pass until the next ping has left; gives how long that took.
        fn until_ping(&mut self) -> u64 {
            let (before, pings) = (self.now, self.pings);
            while self.pings == pings {
                self.now = self.health.deadline().expect("it pings");
                self.health.handle_timeout(self.now);
                self.drain();
            }
            (self.now - before).as_secs()
        }

        fn changes(&mut self) -> Vec<Output> {
            std::mem::take(&mut self.changes)
        }
    }

    #[test]
    fn the_first_ping_waits_its_jitter_and_the_next_the_interval() {
        let mut bench = Bench::new(2, 1);
        assert!(bench.health.is_up());
        assert_eq!(bench.until_ping(), 7);
        bench.says(Input::Response(200));
        assert_eq!(bench.until_ping(), 30);
    }

    #[test]
    fn any_response_but_503_and_408_is_a_sign_of_life() {
        for status in [200, 302, 401, 403, 404, 405, 407, 481, 486, 500, 501, 502, 504, 603] {
            let mut bench = Bench::new(1, 1);
            bench.until_ping();
            bench.says(Input::Response(status));
            assert_eq!((bench.changes(), bench.health.is_up()), (vec![], true), "{status}");
        }
        for input in [Input::Response(408), Input::Response(503), Input::Failed] {
            let mut bench = Bench::new(1, 1);
            bench.until_ping();
            bench.says(input);
            assert_eq!(bench.changes(), [Output::Down], "{input:?}");
        }
    }

    #[test]
    fn it_is_down_after_so_many_misses_in_a_row_and_doubt_is_settled_soon() {
        let mut bench = Bench::new(3, 1);
        bench.until_ping();
        // 4 s without an answer, and 2 s of doubt.
        assert_eq!([bench.until_ping(), bench.until_ping()], [6, 6]);
        assert!(bench.health.is_up());
        assert_eq!(bench.until_ping(), 34);
        assert_eq!((bench.changes(), bench.health.is_up()), (vec![Output::Down], false));
    }

    #[test]
    fn an_answer_between_two_misses_clears_the_slate() {
        let mut bench = Bench::new(2, 1);
        for _ in 0..5 {
            bench.until_ping();
            bench.until_ping();
            bench.says(Input::Response(200));
        }
        assert_eq!(bench.changes(), []);
    }

    #[test]
    fn it_is_up_after_so_many_answers_in_a_row() {
        let mut bench = Bench::new(1, 2);
        bench.until_ping();
        bench.says(Input::Failed);
        for answer in [200, 503, 200, 408, 200, 200] {
            assert!(!bench.health.is_up());
            bench.until_ping();
            bench.says(Input::Response(answer));
        }
        assert_eq!(bench.changes(), [Output::Down, Output::Up]);
    }

    #[test]
    fn a_503_needs_no_second_one() {
        let mut bench = Bench::new(5, 1);
        bench.until_ping();
        bench.says(Input::Response(503));
        assert_eq!(bench.changes(), [Output::Down]);
        assert_eq!(bench.until_ping(), 30);
    }

    #[test]
    fn a_failed_call_has_its_target_looked_at_now() {
        let mut bench = Bench::new(1, 1);
        bench.until_ping();
        bench.says(Input::Response(200));
        bench.says(Input::CallFailed);
        assert!(bench.health.is_up(), "one call proves nothing");
        assert_eq!(bench.until_ping(), 0);
        // While one is out, more failed calls send no more pings.
        bench.says(Input::CallFailed);
        assert_eq!(bench.until_ping(), 34);
    }

    #[test]
    fn a_late_answer_is_still_an_answer() {
        let mut bench = Bench::new(1, 1);
        bench.until_ping();
        bench.now += ANSWER_WITHIN;
        bench.health.handle_timeout(bench.now);
        bench.drain();
        bench.says(Input::Response(200));
        assert_eq!(bench.changes(), [Output::Down, Output::Up]);
    }

    #[test]
    fn without_an_interval_nothing_is_sent_and_all_is_up() {
        let mut bench = Bench::new(1, 1);
        let policy = Policy { interval: Duration::ZERO, ..Policy::default() };
        bench.health = Health::new(policy, bench.now, Duration::ZERO);
        for input in [Input::CallFailed, Input::Failed, Input::Response(503)] {
            bench.says(input);
        }
        assert_eq!((bench.health.deadline(), bench.pings, bench.health.is_up()), (None, 0, true));
    }

    proptest! {
        #[test]
        fn it_pings_for_ever_and_changes_alternate(
            inputs in proptest::collection::vec((0_u8..5, 0_u64..40), 0..200),
            down_after in 1_u32..4,
            up_after in 1_u32..4,
        ) {
            let mut bench = Bench::new(down_after, up_after);
            for (what, seconds) in inputs {
                bench.now += Duration::from_secs(seconds);
                bench.health.handle_timeout(bench.now);
                bench.drain();
                match what {
                    0 => bench.says(Input::Response(200)),
                    1 => bench.says(Input::Response(503)),
                    2 => bench.says(Input::Failed),
                    3 => bench.says(Input::CallFailed),
                    _ => {}
                }
                let deadline = bench.health.deadline().expect("there is always a next ping");
                prop_assert!(deadline <= bench.now + INTERVAL);
            }
            let expected = [Output::Down, Output::Up].into_iter().cycle().take(bench.changes.len());
            prop_assert!(bench.changes.iter().copied().eq(expected), "{:?}", bench.changes);
        }
    }
}
