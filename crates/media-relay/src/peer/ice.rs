//! ICE towards an ICE-lite peer (RFC 8445): we are full and controlling, we
//! nominate once and stay there.
//!
//! The agent underneath nominates the first pair that succeeds, and would move to
//! a better one that succeeds later; WhatsApp forbids that. So its nomination is
//! kept back for a moment while the better address family may still answer; then
//! the choice is made, and every other candidate is withdrawn.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use is::stun::{StunMessage, StunPacket, TransId};
use is::{Candidate, CandidateKind, IceAgent, IceAgentEvent, IceCreds, Protocol};

use super::{CONSENT_LIMIT, Discard};

/// Pacing of checks (RFC 8445 B.1 allows 5 ms at the least).
const PACING: Duration = Duration::from_millis(5);
/// First retransmission of a check.
const FIRST_RETRANSMISSION: Duration = Duration::from_millis(50);
/// While connecting: WhatsApp drops our checks until it has processed our SDP,
/// and must not then be kept waiting for the next. 40 of these fill the set-up
/// limit, so that no pair is given up before it.
const CONNECTING_INTERVAL: Duration = Duration::from_millis(500);
const CONNECTING_CHECKS: usize = 64;
/// How long the first pair that succeeds waits for a better one of the other
/// address family (RFC 8445 8.1.1 leaves the rule to us).
const OTHER_FAMILY: Duration = Duration::from_millis(100);
/// Afterwards: consent (RFC 7675 5.1 wants at least one in 5 s). Once one is
/// unanswered they come closer; 14 of them span the 30 s of consent.
const CONSENT_INTERVAL: Duration = Duration::from_secs(3);
const CONSENT_CHECKS: usize = 14;
/// The longest ufrag or password RFC 8839 5.4 knows.
const LONGEST_CREDENTIAL: usize = 256;
/// Pairs checked: WhatsApp sends two candidates; more than this is nonsense.
const MOST_CANDIDATES: usize = 16;
/// Priority of the best remote candidate; each further one has 256 less. Lower than
/// a host candidate's, so that a pair's priority follows theirs (RFC 8445 6.1.2.3).
const BEST_PRIORITY: u32 = 126 << 24;

/// The ice-char alphabet of RFC 8839 5.4 has 64 members: six bits each.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A username fragment and its password. `Debug` hides the password.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
}

impl Credentials {
    /// Draws 48 bits of ufrag and 144 bits of password (RFC 8445 5.3).
    pub(crate) fn draw() -> Result<Self, aws_lc_rs::error::Unspecified> {
        Ok(Self { ufrag: ice_chars::<8>()?, pwd: ice_chars::<24>()? })
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

fn ice_chars<const N: usize>() -> Result<String, aws_lc_rs::error::Unspecified> {
    let mut octets = [0; N];
    rand::fill(&mut octets)?;
    let letter = |octet: &u8| ICE_CHARS.get(usize::from(octet % 64)).copied();
    Ok(octets.iter().filter_map(letter).map(char::from).collect())
}

/// How far the choice of a pair is.
enum Choice {
    Checking,
    /// A pair has succeeded, and a better one of the other family may yet. What
    /// would nominate it is kept back; the newest is enough.
    Waiting {
        address: SocketAddr,
        until: Instant,
        kept: Option<Vec<u8>>,
    },
    /// A pair has succeeded and is being nominated: these of our checks carry
    /// USE-CANDIDATE and wait for an answer.
    Nominating {
        address: SocketAddr,
        heard: Instant,
        checks: Vec<TransId>,
    },
    /// The nomination was answered. `heard`: the last answer from there.
    Nominated {
        address: SocketAddr,
        heard: Instant,
    },
}

/// The ICE agent of one call.
pub(crate) struct Ice {
    agent: IceAgent,
    /// One of each address family that we have.
    locals: Vec<SocketAddr>,
    /// The best first.
    remotes: Vec<SocketAddr>,
    choice: Choice,
    /// The nomination that was kept back.
    released: Option<(SocketAddr, Vec<u8>)>,
    deadline: Option<Instant>,
}

impl Ice {
    /// Starts checking. `locals`: one address of each family that the socket
    /// speaks; `candidates`: theirs, the best first. The remote credentials are
    /// used exactly as sent: WhatsApp's are base64 with padding, which RFC 8839
    /// does not allow.
    pub(crate) fn start(
        now: Instant,
        (locals, credentials): (&[SocketAddr], &Credentials),
        candidates: &[SocketAddr],
        remote: Credentials,
    ) -> Result<Self, &'static str> {
        if remote.ufrag.len() > LONGEST_CREDENTIAL || remote.pwd.len() > LONGEST_CREDENTIAL {
            return Err("ICE credentials longer than 256 characters");
        }
        let mut agent = agent(credentials);
        for local in locals {
            let host = Candidate::host(*local, Protocol::Udp).map_err(|_| "unusable local address")?;
            agent.add_local_candidate(host);
        }
        let mut remotes = Vec::new();
        for address in candidates.iter().filter(|address| is_reachable(**address, locals)) {
            if remotes.len() < MOST_CANDIDATES && !remotes.contains(address) {
                remotes.push(*address);
            }
        }
        if remotes.is_empty() {
            return Err("no candidate of our address family");
        }
        for (priority, address) in (0..=BEST_PRIORITY).rev().step_by(256).zip(&remotes) {
            agent.add_remote_candidate(remote_candidate(*address, priority));
        }
        agent.set_remote_credentials(IceCreds::from(&remote));
        let locals = locals.to_vec();
        let mut ice =
            Self { agent, locals, remotes, choice: Choice::Checking, released: None, deadline: None };
        ice.handle_timeout(now);
        Ok(ice)
    }

    /// The address that ICE has verified, once there is one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match &self.choice {
            Choice::Checking | Choice::Waiting { .. } => None,
            Choice::Nominating { address, .. } | Choice::Nominated { address, .. } => Some(*address),
        }
    }

    /// Whether the peer has answered the nomination.
    pub(crate) fn is_nominated(&self) -> bool {
        matches!(self.choice, Choice::Nominated { .. })
    }

    /// When consent ends unless something is heard before (RFC 7675 5.1).
    pub(crate) fn consent_ends(&self) -> Option<Instant> {
        match &self.choice {
            Choice::Checking | Choice::Waiting { .. } => None,
            Choice::Nominating { heard, .. } | Choice::Nominated { heard, .. } => {
                Some(*heard + CONSENT_LIMIT)
            }
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
        self.follow(now);
    }

    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        source: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Discard> {
        let message = StunMessage::parse(datagram).map_err(|_| Discard::Malformed)?;
        let known = match self.address() {
            Some(address) => source == address,
            None => message.is_binding_request() || self.remotes.contains(&source),
        };
        let local = self.locals.iter().find(|local| local.is_ipv4() == source.is_ipv4());
        let Some(destination) = local.copied().filter(|_| known) else {
            return Err(Discard::Stranger);
        };
        // A 487 would make the agent give up control, and there is no other
        // error that a lite peer could mean.
        if message.is_failed_binding_response() {
            return Err(Discard::Unauthenticated);
        }
        let answered = message.is_successful_binding_response().then(|| message.trans_id());
        let packet = StunPacket { proto: Protocol::Udp, source, destination, message };
        if !self.agent.handle_packet(now, packet) {
            return Err(Discard::Unauthenticated);
        }
        if let Some(transaction) = answered {
            self.note_answer(now, source, transaction);
        }
        self.follow(now);
        Ok(())
    }

    /// The next check or answer to send.
    pub(crate) fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        loop {
            let (to, bytes) = match self.released.take() {
                Some(nomination) => nomination,
                None => {
                    let transmit = self.agent.poll_transmit()?;
                    (transmit.destination, transmit.contents.into())
                }
            };
            match &mut self.choice {
                Choice::Waiting { address, kept, .. } if nomination(&bytes).is_some() => {
                    if *address == to {
                        *kept = Some(bytes);
                    }
                    continue;
                }
                Choice::Nominating { address, checks, .. } if *address == to => {
                    checks.extend(nomination(&bytes).filter(|_| checks.len() < CONNECTING_CHECKS));
                }
                Choice::Nominating { .. } => continue,
                // Queued for a candidate that was withdrawn since.
                Choice::Nominated { address, .. } if *address != to => continue,
                Choice::Checking | Choice::Waiting { .. } | Choice::Nominated { .. } => {}
            }
            return Some((to, bytes));
        }
    }

    fn note_answer(&mut self, now: Instant, source: SocketAddr, transaction: TransId) {
        match &mut self.choice {
            Choice::Nominating { address, checks, .. } if checks.contains(&transaction) => {
                self.choice = Choice::Nominated { address: *address, heard: now };
                self.agent.set_max_stun_rto(CONSENT_INTERVAL);
                self.agent.set_max_stun_retransmits(CONSENT_CHECKS);
            }
            Choice::Nominating { address, heard, .. } | Choice::Nominated { address, heard }
                if *address == source =>
            {
                *heard = now;
            }
            Choice::Checking
            | Choice::Waiting { .. }
            | Choice::Nominating { .. }
            | Choice::Nominated { .. } => {}
        }
    }

    /// Takes note of the agent's choice, and asks when it wants to be called.
    fn follow(&mut self, now: Instant) {
        while let Some(event) = self.agent.poll_event() {
            if let IceAgentEvent::NominatedSend { destination, .. } = event {
                self.choose(now, destination);
            }
        }
        let mut deadline = self.agent.poll_timeout();
        match self.choice {
            Choice::Waiting { address, until, .. } if now >= until => self.freeze(now, address),
            Choice::Waiting { until, .. } => deadline = deadline.into_iter().chain([until]).min(),
            Choice::Checking | Choice::Nominating { .. } | Choice::Nominated { .. } => {}
        }
        self.deadline = deadline.map(|at| at.max(now));
    }

    /// The agent wants this pair, the best of those that have succeeded.
    fn choose(&mut self, now: Instant, address: SocketAddr) {
        let until = match self.choice {
            Choice::Checking => now + OTHER_FAMILY,
            Choice::Waiting { until, .. } => until,
            Choice::Nominating { .. } | Choice::Nominated { .. } => return,
        };
        if self.may_improve(address) {
            self.choice = Choice::Waiting { address, until, kept: None };
        } else {
            self.freeze(now, address);
        }
    }

    /// Whether there is a better candidate of the other address family.
    fn may_improve(&self, address: SocketAddr) -> bool {
        let better = self.remotes.iter().take_while(|remote| **remote != address);
        better.into_iter().any(|remote| remote.is_ipv4() != address.is_ipv4())
    }

    fn freeze(&mut self, now: Instant, address: SocketAddr) {
        let nominating = Choice::Nominating { address, heard: now, checks: Vec::new() };
        if let Choice::Waiting { address: waited, kept: Some(bytes), .. } =
            std::mem::replace(&mut self.choice, nominating)
            && waited == address
        {
            self.released = Some((address, bytes));
        }
        let others: Vec<_> =
            self.agent.remote_candidates().filter(|candidate| candidate.addr() != address).collect();
        for candidate in &others {
            self.agent.invalidate_candidate(candidate);
        }
    }
}

/// Full, controlling, and quick.
fn agent(credentials: &Credentials) -> IceAgent {
    let mut agent = IceAgent::new(IceCreds::from(credentials));
    agent.set_controlling(true);
    // Whoever contests the role loses it: we control, whoever offered.
    agent.set_control_tie_breaker(u64::MAX);
    agent.set_timing_advance(PACING);
    agent.set_initial_stun_rto(FIRST_RETRANSMISSION);
    agent.set_max_stun_rto(CONNECTING_INTERVAL);
    agent.set_max_stun_retransmits(CONNECTING_CHECKS);
    agent
}

impl From<&Credentials> for IceCreds {
    fn from(credentials: &Credentials) -> Self {
        Self { ufrag: credentials.ufrag.clone(), pass: credentials.pwd.clone() }
    }
}

/// Whether the socket speaks its family, and it is an address at all.
fn is_reachable(remote: SocketAddr, locals: &[SocketAddr]) -> bool {
    locals.iter().any(|local| local.is_ipv4() == remote.is_ipv4())
        && remote.port() != 0
        && Candidate::host(remote, Protocol::Udp).is_ok()
}

fn remote_candidate(address: SocketAddr, priority: u32) -> Candidate {
    let (foundation, kind) = (priority.to_string(), CandidateKind::Host);
    Candidate::from_parts(foundation, 1, Protocol::Udp, priority, address, kind, None, None, None)
}

/// The transaction of a check with USE-CANDIDATE.
fn nomination(bytes: &[u8]) -> Option<TransId> {
    let message = StunMessage::parse(bytes).ok()?;
    (message.is_binding_request() && message.use_candidate()).then(|| message.trans_id())
}
