//! The trunks as they live: where their targets are, whether they answer, how full each is, and our
//! registrations. The rules are those of `trunk`; here they meet the clock, DNS and `sip-core`.
#![expect(clippy::disallowed_methods, reason = "days are told by the wall clock")]

mod registration;
mod reload;
mod service;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sip_core::message::{Response, Uri};
use sip_core::registration::Binding;
use sip_core::{Command, Flow, OwnRequestId, Rejection, Sip, Transport, TrunkId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::warn;

use crate::call::cause::Cause;
use crate::config::{Config, Targets, Trunk};
use crate::random::draw;
use crate::sip::Sources;
use crate::trunk::failover::Refusal;
use crate::trunk::limit::{Full, Gate, admit};
use crate::trunk::locate::Means;
use crate::trunk::spend::Ledger;
use crate::trunk::target::{Destination, Target};
use crate::trunk::watch::Watch;

pub(crate) use service::Service;

/// Outcomes of our requests that wait for this service; it does nothing else, so this is never full
/// for long. What does not fit is dropped: the request counts as unanswered.
const OUTCOMES: usize = 1024;

/// How long the farewell to the registrars may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the service is told.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// What came of a request of ours.
    Reply(OwnRequestId, Result<Box<Response>, Rejection>),
    /// Who has registered.
    Bindings(TrunkId, Vec<Binding>),
    /// A call failed: a target is to be looked at now.
    CallFailed,
    /// The trunks are others.
    Changed,
    /// The program ends: our registrations are taken back; dropped when they are.
    Farewell(oneshot::Sender<()>),
}

/// All trunks.
pub(crate) struct Trunks {
    sip: Sip,
    listeners: Vec<(Transport, SocketAddr)>,
    /// What each listener is known as.
    advertised: Vec<SocketAddr>,
    means: Means,
    all: Mutex<Gate>,
    /// Those that are configured, and those that are gone while calls of theirs may live.
    each: RwLock<Arc<[Arc<State>]>>,
    /// No trunk takes calls any more.
    draining: AtomicBool,
    outcomes: mpsc::Sender<Outcome>,
    sources: Arc<Sources>,
}

struct State {
    config: Arc<Trunk>,
    id: TrunkId,
    /// It is configured no longer: no calls begin, and it is forgotten when the last has ended.
    gone: Option<Gone>,
    live: Arc<Live>,
}

/// What is known of a trunk, whatever becomes of its configuration.
struct Live {
    watch: Mutex<Watch>,
    gate: Mutex<Gate>,
    ledger: Mutex<Ledger>,
    /// What OPTIONS is answered.
    ready: AtomicBool,
}

/// Since when a trunk that is configured no longer has had no call.
#[derive(Debug, Default)]
struct Gone {
    idle: Mutex<Option<Instant>>,
}

impl State {
    fn new(trunk: &Trunk) -> Self {
        let live = Live {
            watch: Mutex::new(Watch::new(trunk.id, trunk.health)),
            gate: Mutex::new(Gate::new(trunk.limits)),
            ledger: Mutex::new(Ledger::new(trunk.budget)),
            ready: AtomicBool::new(true),
        };
        Self { config: Arc::new(trunk.clone()), id: trunk.id, gone: None, live: Arc::new(live) }
    }
}

impl std::ops::Deref for State {
    type Target = Live;

    fn deref(&self) -> &Live {
        &self.live
    }
}

/// A call that counts on its trunk, until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    trunks: Arc<Trunks>,
    trunk: TrunkId,
}

impl Ticket {
    /// The call, to WhatsApp, was answered for so long.
    pub(crate) fn spent(&self, answered_for: Duration) {
        self.trunks.spent(self.trunk, answered_for);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.trunks.released(self.trunk);
    }
}

impl std::fmt::Debug for Trunks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trunks").field("each", &self.each().len()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Days since 1970, UTC.
fn today() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() / 86_400
}

impl Trunks {
    /// The trunks of a configuration, and the service that keeps them up to date.
    pub(crate) fn new(config: &Config, sip: Sip, sources: Arc<Sources>) -> (Arc<Self>, Service) {
        let (outcomes, queue) = mpsc::channel(OUTCOMES);
        let trunks = Arc::new(Self {
            listeners: config.sip.listeners.iter().map(|one| (one.transport, one.bind)).collect(),
            advertised: config.sip.listeners.iter().map(|one| one.advertised).collect(),
            means: config.sip.means(),
            all: Mutex::new(Gate::new(config.sip.limits)),
            each: RwLock::new(config.trunks.iter().map(|trunk| Arc::new(State::new(trunk))).collect()),
            draining: AtomicBool::new(false),
            outcomes,
            sources,
            sip,
        });
        trunks.know_addresses();
        let service = Service::new(Arc::clone(&trunks), queue);
        (trunks, service)
    }

    /// Targets that are addresses are known at once: no call waits for the DNS of others. Where the targets
    /// are those that are known already nothing is to be done.
    fn know_addresses(&self) {
        let mut answering = HashMap::new();
        for state in self.each().iter() {
            let Targets::List(aims) = &state.config.targets else {
                continue;
            };
            if lock(&state.watch).is_for(aims) {
                continue;
            }
            let located: Vec<_> = aims
                .iter()
                .map(|aim| (aim.clone(), self.literal(&aim.target).into_iter().collect()))
                .collect();
            let found = located.iter().flat_map(|(_, destinations): &(_, Vec<Destination>)| destinations);
            answering.extend(found.map(|one| (one.address.ip(), state.id)));
            lock(&state.watch).located(Instant::now(), located, &mut draw);
        }
        self.sources.add_targets(answering);
    }

    /// Where a target is that is an address, if one of our listeners reaches it.
    fn literal(&self, target: &Target) -> Option<Destination> {
        target.literal().filter(|one| self.means.reach(one.transport, one.address.ip()))
    }

    /// The address that the peer of this flow reaches us at.
    pub(crate) fn advertised(&self, flow: Flow) -> SocketAddr {
        let listener = usize::from(flow.listener.0);
        let bound = self.sip.local_addrs().get(listener).copied();
        let mut address = self.advertised.get(listener).copied().or(bound).unwrap_or(self.sip.local_addr());
        if let Some(ip) = self.state(flow.trunk).and_then(|state| state.config.advertised) {
            address.set_ip(ip);
        }
        if let (0, Some(bound)) = (address.port(), bound) {
            address.set_port(bound.port());
        }
        address
    }

    fn each(&self) -> Arc<[Arc<State>]> {
        Arc::clone(&self.each.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn state(&self, trunk: TrunkId) -> Option<Arc<State>> {
        let each = self.each.read().unwrap_or_else(PoisonError::into_inner);
        each.iter().find(|state| state.id == trunk).cloned()
    }

    /// Where calls to a trunk go, the best first.
    pub(crate) fn targets(&self, now: Instant, trunk: TrunkId) -> Vec<Flow> {
        let Some(state) = self.state(trunk) else {
            return Vec::new();
        };
        let watch = lock(&state.watch);
        match &state.config.targets {
            Targets::Registered => watch.registered_targets(),
            Targets::List(_) => {
                let targets = watch.targets(now, &mut draw);
                targets.iter().filter_map(|target| watch.flow(&self.listeners, target)).collect()
            }
        }
    }

    /// The contact that has registered by this path.
    pub(crate) fn contact(&self, flow: Flow) -> Option<Uri> {
        let state = self.state(flow.trunk)?;
        let watch = lock(&state.watch);
        let binding = watch.bindings().iter().find(|binding| binding.flow == flow)?;
        Some(binding.contact.clone())
    }

    /// A target took no call.
    pub(crate) fn call_failed(&self, now: Instant, flow: Flow, refusal: Refusal, rest: Option<Duration>) {
        warn!(%flow, ?refusal, ?rest, "a target of the trunk takes no call");
        if let Some(state) = self.state(flow.trunk) {
            lock(&state.watch).call_failed(now, flow, refusal, rest);
            self.outcome(Outcome::CallFailed);
        }
    }

    /// Lets a call in, or says why not.
    pub(crate) fn admit(self: &Arc<Self>, now: Instant, trunk: TrunkId) -> Result<Ticket, Cause> {
        let state = self.state(trunk).ok_or(Cause::Internal)?;
        if state.gone.is_some() {
            return Err(Cause::NoRoute);
        }
        let admitted = admit(now, &mut [&mut *lock(&self.all), &mut *lock(&state.gate)]);
        self.tell_ready(now);
        admitted.map_err(Cause::from)?;
        Ok(Ticket { trunks: Arc::clone(self), trunk })
    }

    /// Whether every target of a trunk is down.
    pub(crate) fn is_down(&self, trunk: TrunkId) -> bool {
        self.state(trunk).is_some_and(|state| lock(&state.watch).is_down())
    }

    /// Counts a call to WhatsApp on the day's budget.
    pub(crate) fn spend(&self, trunk: TrunkId, callee: &str) -> Result<(), Cause> {
        self.state(trunk).map_or(Ok(()), |state| lock(&state.ledger).begin(today(), callee))
    }

    /// A call to WhatsApp has ended.
    fn spent(&self, trunk: TrunkId, answered_for: Duration) {
        if let Some(state) = self.state(trunk) {
            lock(&state.ledger).end(today(), answered_for);
        }
    }

    /// The longest that a call to WhatsApp may last by the day's budget.
    pub(crate) fn left(&self, trunk: TrunkId) -> Option<Duration> {
        let state = self.state(trunk)?;
        lock(&state.ledger).left(today())
    }

    /// What `sip-core` says that is not of a call.
    pub(crate) fn outcome(&self, outcome: Outcome) {
        if self.outcomes.try_send(outcome).is_err() {
            warn!("the trunks do not keep up: the outcome of a request is dropped");
        }
    }

    /// How many calls each trunk has, by its name, and whether it is up; those that are gone as long as
    /// they have one.
    pub(crate) fn read(&self) -> Vec<(String, u32, bool)> {
        let row = |state: &State| {
            (state.config.name.clone(), lock(&state.gate).calls(), !lock(&state.watch).is_down())
        };
        let rows = self.each();
        let rows = rows.iter().map(|state| (state.gone.is_none(), row(state)));
        rows.filter(|(is_configured, (_, calls, _))| *is_configured || *calls > 0)
            .map(|(_, row)| row)
            .collect()
    }

    fn released(&self, trunk: TrunkId) {
        lock(&self.all).release();
        if let Some(state) = self.state(trunk) {
            lock(&state.gate).release();
            self.tell_ready(Instant::now());
        }
    }

    /// OPTIONS is answered 503 where no call fits.
    fn tell_ready(&self, now: Instant) {
        if self.is_draining() {
            return;
        }
        let is_full = |gate: &Mutex<Gate>| lock(gate).check(now) == Err(Full::Calls);
        let is_all_full = is_full(&self.all);
        for state in self.each().iter() {
            let ready = state.gone.is_none() && !is_all_full && !is_full(&state.gate);
            if state.ready.swap(ready, Ordering::Relaxed) != ready {
                self.sip.tell(Command::Ready { trunk: Some(state.id), ready });
            }
        }
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// No calls are taken from now on: OPTIONS is answered 503.
    pub(crate) async fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.sip.send(Command::Ready { trunk: None, ready: false }).await;
    }

    /// Takes our registrations back.
    pub(crate) async fn farewell(&self) {
        let (done, gone) = oneshot::channel();
        self.outcome(Outcome::Farewell(done));
        let _ = timeout(FAREWELL, gone).await;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const FILE: &str = r#"
        [sip]
        bind = "127.0.0.1:0"
        [media.pbx]
        bind = "127.0.0.1"
        [media.whatsapp]
        bind = "127.0.0.1"
        [webhook]
        app_secret = { env = "S" }
        verify_token = { env = "S" }
        [[trunk]]
        name = "named"
        sources = ["10.0.0.4"]
        targets = ["sip:pbx.invalid"]
        [[trunk]]
        name = "office"
        sources = ["10.0.0.5"]
        target = "127.0.0.1:5060"
        limits = { calls = 1 }
        [[number]]
        phone_number_id = "1"
        display = "+15550000001"
        token = { env = "S" }
        trunk = "office"
    "#;

    async fn trunks() -> Arc<Trunks> {
        let secret = |_: &str| Some("secret".to_owned());
        let config = Config::parse(FILE, Path::new("wa-bridge.toml"), &secret).expect("a configuration");
        let (sip, _notices, _driver, sources) = crate::sip::bind(&config, None).await.expect("a port");
        // The service does not run: nothing was asked of DNS.
        Trunks::new(&config, sip, sources).0
    }

    #[tokio::test]
    async fn a_target_that_is_an_address_waits_for_no_dns() {
        let trunks = trunks().await;
        let now = Instant::now();
        let peers: Vec<_> =
            trunks.targets(now, TrunkId(1)).iter().map(|flow| flow.peer.to_string()).collect();
        assert_eq!(peers, ["127.0.0.1:5060"]);
        assert_eq!(trunks.targets(now, TrunkId(0)), []);
    }

    #[tokio::test]
    async fn a_call_counts_until_its_ticket_is_dropped() {
        let trunks = trunks().await;
        let admit = || trunks.admit(Instant::now(), TrunkId(1));
        let ticket = admit().expect("the first");
        assert_eq!(admit().err(), Some(Cause::TooManyCalls));
        assert_eq!(trunks.read()[1], ("office".to_owned(), 1, true));
        drop(ticket);
        assert!(admit().is_ok());
    }
}
