//! Two endpoints over a network that loses, repeats, delays and reorders, in virtual time: whatever becomes of a call,
//! it ends at both, and nothing of it is remembered. One of them may crash at any moment: the next life of it ends what
//! its records say, and the other one is left with nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_core::auth::{Account, Credentials, Realm, Secret};
use sip_core::{
    Body, Command, Endpoint, EndpointConfig, Event, Flow, Input, LegEvent, LegId, LegRecord, Listener, Load,
    Lost, Method, Notice, OutgoingInvite, Output, OwnRequestId, Reliable, Reply, SessionTimer, Timers,
    Transport, TrunkProfile, Uri,
};

/// Of all calls together.
const CALLS: usize = 10_000;
/// How often an end crashes in its world.
const CRASHES: usize = 10;
/// One seed, one world; more worlds than one, so that no rule rests on its numbers.
const WORLDS: usize = 20;
/// Longer than any call and all that follows it: talk, 64*T1 of retransmissions on either side, and once more.
const LONGEST: Duration = Duration::from_secs(400);

/// A small generator: the same seed, the same world.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    fn ms(&mut self, limit: u64) -> Duration {
        Duration::from_millis(self.below(limit))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    A,
    B,
}

/// What is due at a moment.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Arrives(End, Bytes),
    NewCall,
    Does(End, LegId, Act),
    Crashes(End),
}

/// What a user does in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Respond(u16),
    Cancel,
    HangUp,
    ReInvite,
    Info,
    Acknowledge,
}

struct World {
    dice: Dice,
    start: Instant,
    now: Instant,
    a: Endpoint,
    b: Endpoint,
    queue: BinaryHeap<Reverse<(Instant, u64, Due)>>,
    order: u64,
    next_leg: u64,
    /// Every leg that lives, and since when.
    legs: BTreeMap<(End, LegId), Instant>,
    /// What each end has stored for its next life.
    records: BTreeMap<(End, LegId), LegRecord>,
    /// How each end was built, apart from its seed.
    profiles: [TrunkProfile; 2],
    recovered: usize,
    /// The end that crashes. Then the other one never ends a call by itself: it is for the crashed end to do.
    mortal: Option<End>,
    answered: usize,
    longest: Duration,
}

fn address(end: End) -> std::net::SocketAddr {
    match end {
        End::A => "192.0.2.1:5060",
        End::B => "192.0.2.2:5060",
    }
    .parse()
    .unwrap()
}

fn body() -> Option<Body> {
    Some(Body { content_type: "application/sdp".into(), bytes: "v=0\r\n".into() })
}

fn credentials() -> Credentials {
    Credentials { user: "peer".into(), password: Secret::new("password") }
}

fn profile(dice: &mut Dice) -> TrunkProfile {
    let reliable = [Reliable::Off, Reliable::Supported, Reliable::Required][dice.below(3) as usize];
    let timer = SessionTimer { expires: Duration::from_secs(90), min_se: Duration::from_secs(90) };
    TrunkProfile {
        reliable,
        session_timer: dice.percent(50).then_some(timer),
        inbound: dice.percent(50).then(|| Realm::new("trunk", vec![credentials()])),
        outbound: Some(Account { credentials: credentials(), realm: Some("trunk".into()) }),
        ..TrunkProfile::default()
    }
}

fn endpoint(end: End, profile: TrunkProfile, dice: &mut Dice) -> Endpoint {
    Endpoint::new(EndpointConfig {
        listeners: vec![Listener::new(Transport::Udp, address(end))],
        trunks: vec![profile],
        user_agent: String::new(),
        seed: [dice.roll() as u8; 32],
        timers: Timers::default(),
        record: true,
    })
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "virtual time must begin somewhere")]
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let start = Instant::now();
        let profiles = [profile(&mut dice), profile(&mut dice)];
        let a = endpoint(End::A, profiles[0].clone(), &mut dice);
        let b = endpoint(End::B, profiles[1].clone(), &mut dice);
        Self {
            dice,
            start,
            now: start,
            a,
            b,
            queue: BinaryHeap::new(),
            order: 0,
            next_leg: 2,
            legs: BTreeMap::new(),
            records: BTreeMap::new(),
            profiles,
            recovered: 0,
            mortal: None,
            answered: 0,
            longest: Duration::ZERO,
        }
    }

    fn run(&mut self, calls: usize) {
        for _ in 0..calls {
            let at = self.dice.ms(60_000);
            self.at(at, Due::NewCall);
        }
        loop {
            let due = self.queue.peek().map(|Reverse((at, ..))| *at);
            let deadlines = [due, self.a.deadline(), self.b.deadline()];
            let Some(next) = deadlines.into_iter().flatten().min() else {
                break;
            };
            self.now = self.now.max(next);
            if self.a.deadline().is_some_and(|at| at <= self.now) {
                self.input(End::A, Input::Timeout);
            } else if self.b.deadline().is_some_and(|at| at <= self.now) {
                self.input(End::B, Input::Timeout);
            } else if let Some(Reverse((_, _, due))) = self.queue.pop() {
                self.happens(due);
            }
            if let Some((leg, since)) = self.legs.iter().find(|(_, since)| self.now - **since > LONGEST) {
                panic!("{leg:?} hangs since {:?}", *since - self.start);
            }
        }
    }

    fn at(&mut self, after: Duration, due: Due) {
        self.order += 1;
        self.queue.push(Reverse((self.now + after, self.order, due)));
    }

    fn happens(&mut self, due: Due) {
        match due {
            Due::NewCall => self.call(),
            Due::Does(end, leg, act) => self.act(end, leg, act),
            Due::Crashes(end) => self.crash(end),
            Due::Arrives(end, bytes) => {
                let other = if end == End::A { End::B } else { End::A };
                let flow = Flow::udp(address(other));
                self.input(end, Input::Datagram { flow, bytes: &bytes });
            }
        }
    }

    fn input(&mut self, end: End, input: Input<'_>) {
        let now = self.now;
        self.endpoint(end).handle(now, input);
        while let Some(output) = self.endpoint(end).poll() {
            match output {
                Output::Send { flow, bytes, .. } => self.send(flow, &bytes),
                Output::Notice(Notice::Leg(LegEvent { leg, event })) => self.told(end, leg, event),
                Output::Notice(Notice::Record { leg, record: Some(record) }) => {
                    self.records.insert((end, leg), record);
                }
                Output::Notice(Notice::Record { leg, record: None }) => {
                    assert!(self.records.remove(&(end, leg)).is_some(), "{leg} was not recorded");
                }
                Output::Notice(other) => panic!("{other:?}"),
            }
        }
    }

    /// This end crashes again and again, for the last time when all calls are old. No session timer finds out for the
    /// other one that it is alone.
    fn die(&mut self, end: End) {
        self.mortal = Some(end);
        self.profiles.iter_mut().for_each(|profile| profile.session_timer = None);
        self.a = endpoint(End::A, self.profiles[0].clone(), &mut self.dice);
        self.b = endpoint(End::B, self.profiles[1].clone(), &mut self.dice);
        for _ in 1..CRASHES {
            let at = self.dice.ms(150_000);
            self.at(at, Due::Crashes(end));
        }
        self.at(Duration::from_secs(200), Due::Crashes(end));
    }

    /// The end forgets everything but its records. What is on its way to it comes to its next life, which ends what the
    /// records say.
    fn crash(&mut self, end: End) {
        let next = endpoint(end, self.profiles[end as usize].clone(), &mut self.dice);
        *self.endpoint(end) = next;
        self.legs.retain(|(of, _), _| *of != end);
        let (kept, others) =
            std::mem::take(&mut self.records).into_iter().partition(|((of, _), _)| *of == end);
        self.records = others;
        let kept: BTreeMap<_, _> = kept;
        for (_, record) in kept {
            let leg = LegId(self.next_leg);
            self.next_leg += 2;
            self.recovered += 1;
            let record = LegRecord::from_bytes(record.as_bytes()).unwrap();
            let headers = vec![("Reason".to_owned(), "SIP;cause=503".to_owned())];
            self.input(end, Input::Command(Command::Recover { leg, record, headers }));
        }
    }

    fn endpoint(&mut self, end: End) -> &mut Endpoint {
        match end {
            End::A => &mut self.a,
            End::B => &mut self.b,
        }
    }

    /// One in eight is lost, one in twenty comes twice, and each takes its time.
    fn send(&mut self, flow: Flow, bytes: &Bytes) {
        let to = if flow.peer == address(End::A) { End::A } else { End::B };
        assert_eq!(flow.peer, address(to));
        let copies = if self.dice.percent(12) { 0 } else { 1 + usize::from(self.dice.percent(5)) };
        for _ in 0..copies {
            let delay = if self.dice.percent(5) { 3000 } else { 120 };
            let delay = self.dice.ms(delay);
            self.at(delay, Due::Arrives(to, bytes.clone()));
        }
    }

    /// Either end may call.
    fn call(&mut self) {
        let (from, to) = if self.dice.percent(50) { (End::A, End::B) } else { (End::B, End::A) };
        let ends_calls = self.ends_calls(from);
        let leg = LegId(self.next_leg);
        self.next_leg += 2;
        self.legs.insert((from, leg), self.now);
        let uri = Uri::sip(Some("200"), address(to));
        let invite = OutgoingInvite {
            flow: Flow::udp(address(to)),
            answer_within: (self.dice.percent(30) && ends_calls).then_some(Duration::from_secs(4)),
            request_uri: uri.clone(),
            from: "<sip:100@example.com>".parse().unwrap(),
            to: format!("<{uri}>").parse().unwrap(),
            call_id: format!("call{leg}"),
            max_forwards: 70,
            headers: vec![],
            body: if self.dice.percent(75) { body() } else { None },
        };
        self.input(from, Input::Command(Command::Invite { leg, invite: Box::new(invite) }));
        // Those that ring for too long are cancelled, some of them in the very moment of the answer.
        let patience = if self.dice.percent(20) { self.dice.ms(4000) } else { Duration::from_secs(60) };
        if ends_calls {
            self.at(patience, Due::Does(from, leg, Act::Cancel));
        }
    }

    fn ends_calls(&self, end: End) -> bool {
        self.mortal.is_none_or(|mortal| mortal == end)
    }

    fn act(&mut self, end: End, leg: LegId, act: Act) {
        if !self.legs.contains_key(&(end, leg)) {
            return;
        }
        let (headers, id) = (Vec::new(), OwnRequestId(1));
        let command = match act {
            Act::Respond(status) => {
                Command::Respond { leg, reply: Reply { body: body(), ..Reply::new(status) } }
            }
            Act::Cancel => Command::Cancel { leg, headers },
            Act::HangUp => Command::Bye { leg, headers },
            Act::ReInvite => Command::Request { leg, id, method: Method::Invite, headers, body: body() },
            Act::Info => Command::Request { leg, id, method: Method::Info, headers, body: None },
            Act::Acknowledge => Command::Acknowledge { leg, body: body() },
        };
        self.input(end, Input::Command(command));
    }

    fn told(&mut self, end: End, leg: LegId, event: Event) {
        let (does, now) = (|act| Due::Does(end, leg, act), Duration::ZERO);
        match event {
            Event::Invite { .. } => {
                assert!(self.legs.insert((end, leg), self.now).is_none());
                self.is_called(end, leg);
            }
            Event::Cancelled { .. } => self.at(now, does(Act::Respond(487))),
            Event::Answered(_) => {
                self.at(now, does(Act::Acknowledge));
                self.answered += 1;
                self.talks(end, leg);
            }
            Event::Provisional(response) if !response.body.is_empty() => self.at(now, does(Act::Acknowledge)),
            Event::AckTimeout | Event::Lost(Lost::Expired | Lost::Gone) => self.at(now, does(Act::HangUp)),
            Event::Request { id, .. } => {
                let reply = Reply { body: body(), ..Reply::new(200) };
                self.input(end, Input::Command(Command::Answer { leg, request: id, reply }));
            }
            Event::Ended => {
                let since = self.legs.remove(&(end, leg)).expect("a leg ends once");
                self.longest = self.longest.max(self.now - since);
            }
            Event::Acked { .. }
            | Event::Provisional(_)
            | Event::Rejected(_)
            | Event::Bye { .. }
            | Event::Response { .. } => {}
        }
    }

    fn is_called(&mut self, end: End, leg: LegId) {
        let mut after = Duration::ZERO;
        for _ in 0..self.dice.below(3) {
            after += self.dice.ms(1500);
            let status = if self.dice.percent(50) { 180 } else { 183 };
            self.at(after, Due::Does(end, leg, Act::Respond(status)));
        }
        after += self.dice.ms(3000);
        let status = match self.dice.below(10) {
            0 => 486,
            1 => 503,
            2 => return,
            _ => 200,
        };
        self.at(after, Due::Does(end, leg, Act::Respond(status)));
        if status == 200 {
            self.talks(end, leg);
        }
    }

    fn talks(&mut self, end: End, leg: LegId) {
        if !self.ends_calls(end) {
            return;
        }
        for act in [Act::ReInvite, Act::ReInvite, Act::Info] {
            if self.dice.percent(30) {
                let after = self.dice.ms(20_000);
                self.at(after, Due::Does(end, leg, act));
            }
        }
        let until = Duration::from_secs(5) + self.dice.ms(115_000);
        self.at(until, Due::Does(end, leg, Act::HangUp));
    }
}

#[test]
fn ten_thousand_calls_over_a_lossy_network_leave_nothing_behind() {
    for seed in 1..=WORLDS as u64 {
        let mut world = World::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        world.run(CALLS / WORLDS);
        assert!(world.legs.is_empty(), "world {seed}: never ended: {:?}", world.legs);
        assert!(world.records.is_empty(), "world {seed}: recorded for ever: {:?}", world.records);
        assert_eq!(world.a.load(), Load::default(), "world {seed}");
        assert_eq!(world.b.load(), Load::default(), "world {seed}");
        assert!(world.answered > CALLS / WORLDS / 3, "world {seed}: only {} were answered", world.answered);
        println!("world {seed}: {} answered, the longest leg {:?}", world.answered, world.longest);
    }
}

#[test]
fn whatever_dies_with_an_end_is_ended_by_its_next_life() {
    for seed in 1..=WORLDS as u64 {
        let mut world = World::new(seed.wrapping_mul(0xD1B5_4A32_D192_ED03));
        let end = if world.dice.percent(50) { End::A } else { End::B };
        world.die(end);
        world.run(CALLS / WORLDS);
        assert!(world.legs.is_empty(), "world {seed}: never ended: {:?}", world.legs);
        assert!(world.records.is_empty(), "world {seed}: recorded for ever: {:?}", world.records);
        assert_eq!(world.a.load(), Load::default(), "world {seed}");
        assert_eq!(world.b.load(), Load::default(), "world {seed}");
        assert!(world.recovered > CRASHES * 10, "world {seed}: only {} legs to recover", world.recovered);
        println!("world {seed}: {} recovered, the longest leg {:?}", world.recovered, world.longest);
    }
}
