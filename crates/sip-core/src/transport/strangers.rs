//! Who is listened to at all, decided by the source address before anything is parsed.
//!
//! A source on no trunk gets silence, or by setting a 403. A source of a trunk has a generous rate. Where the trunk trusts
//! no address by itself the rate of requests is low until the source has authenticated, and the source is banned for a
//! while when it sends too much rubbish or fails to authenticate.
//! Sources can be forged, so all tables are bounded and so are the answers and the log lines; an IPv6 source is its /64.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::TrunkId;
use super::lru::Lru;

/// The most sources that each table remembers; the one unused for the longest is forgotten.
pub(crate) const MAX_SOURCES: usize = 4096;
/// What one source of a trunk may send: so many messages a second, and so many at once. A PBX with thousands of calls a
/// second stays below.
const TRUNK_RATE: Rate = Rate { a_second: 20_000.0, burst: 40_000.0 };
/// How many seconds' worth of its requests a source may send at once as long as it has not authenticated.
const UNPROVEN_BURST: f64 = 5.0;
/// For so long after it has authenticated a source has the rate of a trusted one.
const PROVEN_FOR: Duration = Duration::from_secs(3600);
/// The 403s that one stranger gets.
const FORBID_RATE: Rate = Rate { a_second: 1.0, burst: 5.0 };
/// The 403s that all strangers get together: we are no amplifier.
const FORBID_RATE_ALL: Rate = Rate { a_second: 50.0, burst: 50.0 };
/// The log lines about all sources together.
const LINE_RATE: Rate = Rate { a_second: 1.0, burst: 60.0 };
/// How often there is a log line about one source.
const LINE_EVERY: Duration = Duration::from_secs(60);
/// Strikes older than this are forgiven.
const STRIKES_WITHIN: Duration = Duration::from_secs(60);
/// Reports that wait to be logged; beyond, the oldest is left out.
const MAX_REPORTS: usize = 64;

/// How strangers are met.
#[derive(Debug, Clone)]
pub struct Strangers {
    /// What a request of a source on no trunk gets.
    pub answer: StrangerAnswer,
    /// So many strikes (malformed messages, failed authentications) within a minute ban a source. 0: no bans.
    pub strikes: u32,
    /// For how long.
    pub ban: Duration,
    /// Requests a second of a source on an untrusted trunk, until it has authenticated.
    pub rate: u32,
    /// The trunks whose addresses prove nothing: their peers must authenticate. Sources of all others are never banned.
    pub untrusted: Vec<TrunkId>,
}

impl Default for Strangers {
    fn default() -> Self {
        Self {
            answer: StrangerAnswer::Silence,
            strikes: 20,
            ban: Duration::from_secs(600),
            rate: 10,
            untrusted: Vec::new(),
        }
    }
}

/// What a request of a source on no trunk gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StrangerAnswer {
    /// Nothing.
    #[default]
    Silence,
    /// 403, without any state, and not too many.
    Forbidden,
}

/// What is to be done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is read, as one of this trunk.
    Read(TrunkId),
    /// It is dropped.
    Drop(Why),
    /// If it is a request it gets a 403.
    Forbid,
}

/// What a source sends, as far as its first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A request, a connection, or anything else that may cost something.
    Request,
    /// What belongs to no request of ours is dropped at once.
    Response,
}

impl What {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        if bytes.starts_with(b"SIP/2.0 ") { Self::Response } else { Self::Request }
    }
}

/// Why a source is not listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    OnNoTrunk,
    Banned,
    TooFast,
}

/// One line for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) source: IpAddr,
    pub(crate) why: Why,
    /// The messages of this source since its last line.
    pub(crate) count: u64,
    /// Messages of other sources that got no line.
    pub(crate) others: u64,
}

#[derive(Debug, Clone, Copy)]
struct Rate {
    a_second: f64,
    burst: f64,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(now: Instant, rate: Rate) -> Self {
        Self { tokens: rate.burst, at: now }
    }

    fn take(&mut self, now: Instant, rate: Rate) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + since * rate.a_second).min(rate.burst);
        let has = self.tokens >= 1.0;
        if has {
            self.tokens -= 1.0;
        }
        has
    }
}

#[derive(Debug, Clone, Copy)]
struct Strikes {
    first: Instant,
    count: u32,
}

#[derive(Debug, Clone, Copy)]
struct Note {
    next_line: Instant,
    count: u64,
}

/// Decides on every message and every connection.
#[derive(Debug)]
pub(crate) struct Gate {
    settings: Strangers,
    /// Of sources on a trunk: strangers cannot push them out.
    rates: Lru<IpAddr, Bucket>,
    /// Of requests, as long as their source has not authenticated.
    unproven: Lru<IpAddr, Bucket>,
    /// Those that have, and until when it counts.
    proven: Lru<IpAddr, Instant>,
    forbidden: Lru<IpAddr, Bucket>,
    all_forbidden: Option<Bucket>,
    strikes: Lru<IpAddr, Strikes>,
    bans: Lru<IpAddr, Instant>,
    notes: Lru<IpAddr, Note>,
    lines: Option<Bucket>,
    unsaid: u64,
    reports: VecDeque<Report>,
}

impl Gate {
    pub(crate) fn new(settings: Strangers) -> Self {
        Self {
            settings,
            rates: Lru::new(MAX_SOURCES),
            unproven: Lru::new(MAX_SOURCES),
            proven: Lru::new(MAX_SOURCES),
            forbidden: Lru::new(MAX_SOURCES),
            all_forbidden: None,
            strikes: Lru::new(MAX_SOURCES),
            bans: Lru::new(MAX_SOURCES),
            notes: Lru::new(MAX_SOURCES),
            lines: None,
            unsaid: 0,
            reports: VecDeque::new(),
        }
    }

    /// Other settings; who was banned stays banned.
    pub(crate) fn set(&mut self, settings: Strangers) {
        self.settings = settings;
    }

    /// A message or a connection from this address, which belongs to this trunk or to none.
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        address: IpAddr,
        trunk: Option<TrunkId>,
        what: What,
    ) -> Verdict {
        let source = source(address);
        let why = match trunk {
            None if self.forbids(now, source) => return Verdict::Forbid,
            None => Why::OnNoTrunk,
            Some(_) if self.is_banned(now, source) => Why::Banned,
            Some(_) if !take(&mut self.rates, now, source, TRUNK_RATE) => Why::TooFast,
            Some(trunk) if what == What::Request && !self.may_ask(now, source, trunk) => Why::TooFast,
            Some(trunk) => return Verdict::Read(trunk),
        };
        self.note(now, source, why);
        Verdict::Drop(why)
    }

    /// This source of a trunk sent rubbish or failed to authenticate.
    pub(crate) fn strike(&mut self, now: Instant, address: IpAddr, trunk: TrunkId) {
        if self.settings.strikes == 0 || !self.settings.untrusted.contains(&trunk) {
            return;
        }
        let source = source(address);
        let mut strikes = match self.strikes.remove(&source) {
            Some(strikes) if now.saturating_duration_since(strikes.first) < STRIKES_WITHIN => strikes,
            Some(_) | None => Strikes { first: now, count: 0 },
        };
        strikes.count += 1;
        if strikes.count < self.settings.strikes {
            self.strikes.insert(source, strikes);
        } else {
            self.bans.insert(source, now + self.settings.ban);
        }
    }

    /// This source has authenticated.
    pub(crate) fn prove(&mut self, now: Instant, address: IpAddr) {
        let source = source(address);
        self.strikes.remove(&source);
        self.proven.insert(source, now + PROVEN_FOR);
    }

    /// What is to be logged.
    pub(crate) fn poll(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// Is the source known, or slow enough?
    fn may_ask(&mut self, now: Instant, source: IpAddr, trunk: TrunkId) -> bool {
        let is_proven = |gate: &mut Self| gate.proven.get_mut(&source).is_some_and(|until| now < *until);
        if !self.settings.untrusted.contains(&trunk) || is_proven(self) {
            return true;
        }
        let a_second = f64::from(self.settings.rate);
        let rate = Rate { a_second, burst: a_second * UNPROVEN_BURST };
        take(&mut self.unproven, now, source, rate)
    }

    fn is_banned(&mut self, now: Instant, source: IpAddr) -> bool {
        let Some(until) = self.bans.get_mut(&source).copied() else {
            return false;
        };
        if until <= now {
            self.bans.remove(&source);
        }
        now < until
    }

    fn forbids(&mut self, now: Instant, source: IpAddr) -> bool {
        if self.settings.answer == StrangerAnswer::Silence {
            return false;
        }
        let all = self.all_forbidden.get_or_insert(Bucket::full(now, FORBID_RATE_ALL));
        let forbids = take(&mut self.forbidden, now, source, FORBID_RATE) && all.take(now, FORBID_RATE_ALL);
        if forbids {
            self.note(now, source, Why::OnNoTrunk);
        }
        forbids
    }

    fn note(&mut self, now: Instant, source: IpAddr, why: Why) {
        let mut note = self.notes.remove(&source).unwrap_or(Note { next_line: now, count: 0 });
        note.count += 1;
        let lines = self.lines.get_or_insert(Bucket::full(now, LINE_RATE));
        if note.next_line <= now && lines.take(now, LINE_RATE) {
            if self.reports.len() >= MAX_REPORTS {
                self.reports.pop_front();
            }
            let others = std::mem::take(&mut self.unsaid);
            self.reports.push_back(Report { source, why, count: note.count, others });
            note = Note { next_line: now + LINE_EVERY, count: 0 };
        }
        if let Some(evicted) = self.notes.insert(source, note) {
            self.unsaid += evicted.count;
        }
    }
}

fn take(buckets: &mut Lru<IpAddr, Bucket>, now: Instant, source: IpAddr, rate: Rate) -> bool {
    if let Some(bucket) = buckets.get_mut(&source) {
        return bucket.take(now, rate);
    }
    let mut bucket = Bucket::full(now, rate);
    let has = bucket.take(now, rate);
    buckets.insert(source, bucket);
    has
}

/// Who an address stands for. Every IPv6 host can have all the addresses of its /64.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests;
