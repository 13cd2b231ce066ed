//! What is known of one trunk's targets: where they are, whether they live, which of them rest, and who
//! has registered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip_core::registration::Binding;
use sip_core::{Flow, ListenerId, Transport, TrunkId};

use super::failover::{Refusal, Rests};
use super::health::{self, Health};
use super::select::{Aim, MAX_CANDIDATES, candidates};
use super::target::Destination;

/// Our listeners, as far as choosing one needs: transport and address.
pub type Listeners = [(Transport, SocketAddr)];

/// What became of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Send it an OPTIONS.
    Ping(Destination),
    /// No calls go there from now on.
    Down(Destination),
    /// Calls go there again.
    Up(Destination),
}

/// The targets of one trunk.
#[derive(Debug)]
pub struct Watch {
    trunk: TrunkId,
    policy: health::Policy,
    located: Vec<(Aim, Vec<Destination>)>,
    health: BTreeMap<Destination, Health>,
    rests: Rests,
    bindings: Vec<Binding>,
}

impl Watch {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(trunk: TrunkId, policy: health::Policy) -> Self {
        Self {
            trunk,
            policy,
            located: Vec::new(),
            health: BTreeMap::new(),
            rests: Rests::default(),
            bindings: Vec::new(),
        }
    }

    /// Another way to watch. Where it differs nothing is known of the targets any more.
    pub fn set_policy(&mut self, policy: health::Policy) {
        if self.policy != policy {
            self.policy = policy;
            self.health.clear();
            self.located.clear();
        }
    }

    /// Where the targets are now. What is known of those that stay is kept; new ones are pinged after at
    /// most the interval, as `draw` says, which gives a number from 0 up to and with its argument.
    pub fn located(
        &mut self,
        now: Instant,
        located: Vec<(Aim, Vec<Destination>)>,
        draw: &mut dyn FnMut(u32) -> u32,
    ) {
        let mut before = std::mem::take(&mut self.health);
        for destination in located.iter().flat_map(|(_, destinations)| destinations) {
            let health = before.remove(destination).unwrap_or_else(|| {
                let interval = u32::try_from(self.policy.interval.as_millis()).unwrap_or(u32::MAX);
                let jitter = Duration::from_millis(draw(interval.min(FIRST_PING_MS)).into());
                Health::new(self.policy, now, jitter)
            });
            self.health.insert(destination.clone(), health);
        }
        self.located = located;
    }

    /// Whether these are the targets it knows of.
    #[must_use]
    pub fn is_for(&self, aims: &[Aim]) -> bool {
        self.located.iter().map(|(aim, _)| aim).eq(aims)
    }

    /// Who is registered now, the most wanted first.
    pub fn registered(&mut self, bindings: Vec<Binding>) {
        self.bindings = bindings;
    }

    /// Whether anybody is registered.
    #[must_use]
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Where a call goes, the first try first. When every target is down the call is tried all the same
    /// at those that do not rest: a PBX that ignores OPTIONS may take calls.
    #[must_use]
    pub fn targets(&self, now: Instant, draw: &mut dyn FnMut(u32) -> u32) -> Vec<Destination> {
        let is_resting = |one: &Destination| self.rests.is_resting(now, one);
        let is_up = |one: &Destination| self.health.get(one).is_none_or(Health::is_up);
        let up = candidates(self.located.clone(), |one| is_up(one) && !is_resting(one), draw);
        if up.is_empty() { candidates(self.located.clone(), |one| !is_resting(one), draw) } else { up }
    }

    /// The paths to those that have registered, the most wanted first.
    #[must_use]
    pub fn registered_targets(&self) -> Vec<Flow> {
        self.bindings.iter().take(MAX_CANDIDATES).map(|binding| binding.flow).collect()
    }

    /// Whether every target is down.
    #[must_use]
    pub fn is_down(&self) -> bool {
        !self.health.is_empty() && self.health.values().all(|health| !health.is_up())
    }

    /// A call to a target failed.
    pub fn call_failed(&mut self, now: Instant, peer: Flow, refusal: Refusal, rest: Option<Duration>) {
        let Some(target) = self.of_flow(peer) else {
            return;
        };
        if let Some(rest) = rest {
            self.rests.rest(now, target.clone(), rest);
        }
        let is_mute = matches!(refusal, Refusal::Silence | Refusal::Timeout | Refusal::Transport);
        if let Some(health) = self.health.get_mut(&target).filter(|_| is_mute) {
            health.handle(now, health::Input::CallFailed);
        }
    }

    /// The outcome of a ping.
    pub fn pinged(&mut self, now: Instant, target: &Destination, input: health::Input) {
        if let Some(health) = self.health.get_mut(target) {
            health.handle(now, input);
        }
    }

    /// Takes that time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        for health in self.health.values_mut() {
            health.handle_timeout(now);
        }
    }

    /// What is to be done and what has changed; ask until it gives nothing.
    pub fn poll(&mut self) -> Option<Change> {
        self.health.iter_mut().find_map(|(target, health)| {
            let target = || target.clone();
            Some(match health.poll()? {
                health::Output::Ping => Change::Ping(target()),
                health::Output::Down => Change::Down(target()),
                health::Output::Up => Change::Up(target()),
            })
        })
    }

    /// When [`Self::handle_timeout`] is wanted.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.health.values().filter_map(Health::deadline).min()
    }

    /// The path to a target: from the first listener of its transport and IP version.
    #[must_use]
    pub fn flow(&self, listeners: &Listeners, target: &Destination) -> Option<Flow> {
        let reaches = |(transport, local): &(Transport, SocketAddr)| {
            let is_dual_stack = local.is_ipv6() && local.ip().is_unspecified();
            *transport == target.transport && (local.is_ipv4() == target.address.is_ipv4() || is_dual_stack)
        };
        let listener = listeners.iter().position(reaches)?;
        let listener = ListenerId(u16::try_from(listener).ok()?);
        Some(Flow { transport: target.transport, listener, trunk: self.trunk, peer: target.address })
    }

    fn of_flow(&self, flow: Flow) -> Option<Destination> {
        let is_it = |one: &&Destination| one.transport == flow.transport && one.address == flow.peer;
        self.health.keys().find(is_it).cloned()
    }
}

/// A new target is pinged within this: whether it lives is worth knowing soon.
const FIRST_PING_MS: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]
    fn start() -> Instant {
        Instant::now()
    }

    fn destination(last: u8) -> Destination {
        let address = SocketAddr::from(([10, 0, 0, last], 5060));
        Destination { transport: Transport::Udp, address, host: None }
    }

    fn aim(last: u8, priority: u16) -> (Aim, Vec<Destination>) {
        let target = crate::trunk::target::Target::address(destination(last).address);
        (Aim { target, priority, weight: 1 }, vec![destination(last)])
    }

    fn draw(_: u32) -> u32 {
        0
    }

    fn two() -> (Watch, Instant) {
        let now = start();
        let mut watch = Watch::new(TrunkId(3), health::Policy { down_after: 1, ..health::Policy::default() });
        watch.located(now, vec![aim(1, 1), aim(2, 2)], &mut draw);
        (watch, now)
    }

    fn takes_down(watch: &mut Watch, now: Instant, last: u8) {
        watch.handle_timeout(now);
        while watch.poll().is_some() {}
        watch.pinged(now, &destination(last), health::Input::Failed);
        assert_eq!(watch.poll(), Some(Change::Down(destination(last))));
    }

    #[test]
    fn what_is_down_is_passed_over() {
        let (mut watch, now) = two();
        assert_eq!(watch.targets(now, &mut draw), [destination(1), destination(2)]);
        takes_down(&mut watch, now, 1);
        assert_eq!(watch.targets(now, &mut draw), [destination(2)]);
        assert!(!watch.is_down());
    }

    #[test]
    fn when_all_are_down_calls_are_tried_all_the_same() {
        let (mut watch, now) = two();
        takes_down(&mut watch, now, 1);
        watch.pinged(now, &destination(2), health::Input::Failed);
        assert!(watch.is_down());
        assert_eq!(watch.targets(now, &mut draw).len(), 2);
    }

    #[test]
    fn a_target_that_asks_to_rest_rests_even_when_it_is_the_last() {
        let (mut watch, now) = two();
        let flow = watch.flow(&[(Transport::Udp, SocketAddr::from(([10, 0, 0, 9], 5060)))], &destination(1));
        let refusal = Refusal::Status { status: 503, retry_after: None };
        let rest = Duration::from_secs(5);
        watch.call_failed(now, flow.expect("a path"), refusal, Some(rest));
        assert_eq!(watch.targets(now, &mut draw), [destination(2)]);
        assert_eq!(watch.targets(now + rest, &mut draw).len(), 2);
    }

    #[test]
    fn silence_to_a_call_has_the_target_pinged_at_once() {
        let (mut watch, now) = two();
        watch.handle_timeout(now);
        while watch.poll().is_some() {}
        watch.pinged(now, &destination(1), health::Input::Response(200));
        watch.pinged(now, &destination(2), health::Input::Response(200));
        let flow = watch.flow(&[(Transport::Udp, SocketAddr::from(([10, 0, 0, 9], 5060)))], &destination(2));
        watch.call_failed(now, flow.expect("a path"), Refusal::Silence, None);
        watch.handle_timeout(now);
        assert_eq!(watch.poll(), Some(Change::Ping(destination(2))));
    }

    #[test]
    fn what_is_known_of_a_target_stays_when_dns_is_asked_again() {
        let (mut watch, now) = two();
        takes_down(&mut watch, now, 1);
        watch.located(now, vec![aim(1, 1), aim(3, 1)], &mut draw);
        assert_eq!(watch.targets(now, &mut draw), [destination(3)]);
    }

    #[test]
    fn the_path_is_from_a_listener_that_reaches_the_target() {
        let (watch, _) = two();
        let listeners = [
            (Transport::Tcp, SocketAddr::from(([10, 0, 0, 9], 5060))),
            (Transport::Udp, "[2001:db8::9]:5060".parse().expect("an address")),
            (Transport::Udp, SocketAddr::from(([10, 0, 0, 9], 5060))),
        ];
        let flow = watch.flow(&listeners, &destination(1)).expect("a path");
        assert_eq!((flow.listener, flow.trunk), (ListenerId(2), TrunkId(3)));
        assert_eq!(watch.flow(&listeners[..2], &destination(1)), None);
    }
}
