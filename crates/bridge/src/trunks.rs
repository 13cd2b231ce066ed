//! The trunks as they live: where their targets are, whether they answer, how full each is, and our
//! registrations. The rules are those of `trunk`; here they meet the clock, DNS and `sip-core`.
#![expect(clippy::disallowed_methods, reason = "days are told by the wall clock")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sip_core::message::{Method, NameAddr, Response, Uri};
use sip_core::registration::{
    Binding, Input as RegistrationInput, Output as RegistrationOutput, Registration,
    Status as RegistrationStatus,
};
use sip_core::{Command, Flow, OutgoingRequest, OwnRequestId, Rejection, Sip, Transport, TrunkId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep_until, timeout};
use tracing::{info, warn};

use crate::call::cause::Cause;
use crate::config::{Config, Targets, Trunk};
use crate::random::{self, draw};
use crate::sip::Sources;
use crate::trunk::failover::Refusal;
use crate::trunk::health;
use crate::trunk::limit::{Full, Gate, admit};
use crate::trunk::locate::Means;
use crate::trunk::resolve::Resolver;
use crate::trunk::spend::Ledger;
use crate::trunk::target::{Destination, Host};
use crate::trunk::watch::{Change, Watch};

/// How often DNS is asked for the targets; answers that still hold are not asked again.
const LOCATE_EVERY: Duration = Duration::from_secs(15);
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
    each: Vec<State>,
    outcomes: mpsc::Sender<Outcome>,
    sources: Arc<Sources>,
}

struct State {
    config: Trunk,
    id: TrunkId,
    watch: Mutex<Watch>,
    gate: Mutex<Gate>,
    ledger: Mutex<Ledger>,
    /// What OPTIONS is answered.
    ready: AtomicBool,
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
        f.debug_struct("Trunks").field("each", &self.each.len()).finish_non_exhaustive()
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
        let each = (0..).map(TrunkId).zip(&config.trunks).map(|(id, trunk)| State {
            config: trunk.clone(),
            id,
            watch: Mutex::new(Watch::new(id, trunk.health)),
            gate: Mutex::new(Gate::new(trunk.limits)),
            ledger: Mutex::new(Ledger::new(trunk.budget)),
            ready: AtomicBool::new(true),
        });
        let trunks = Arc::new(Self {
            listeners: config.sip.listeners.iter().map(|one| (one.transport, one.bind)).collect(),
            advertised: config.sip.listeners.iter().map(|one| one.advertised).collect(),
            means: config.sip.means(),
            all: Mutex::new(Gate::new(config.sip.limits)),
            each: each.collect(),
            outcomes,
            sources,
            sip,
        });
        let service = Service {
            trunks: Arc::clone(&trunks),
            queue,
            resolver: None,
            pings: HashMap::new(),
            leaving: None,
            registrations: Vec::new(),
            next_request: 1,
        };
        (trunks, service)
    }

    /// The id of a trunk, which is its place in the configuration.
    pub(crate) fn id(&self, trunk: &Trunk) -> TrunkId {
        let state = self.each.iter().find(|state| state.config.name == trunk.name);
        state.map_or(TrunkId(u16::MAX), |state| state.id)
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

    fn state(&self, trunk: TrunkId) -> Option<&State> {
        self.each.get(usize::from(trunk.0))
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
        let watch = lock(&self.state(flow.trunk)?.watch);
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
        let admitted = admit(now, &mut [&mut *lock(&self.all), &mut *lock(&state.gate)]);
        self.tell_ready(now);
        admitted.map_err(Cause::from)?;
        Ok(Ticket { trunks: Arc::clone(self), trunk })
    }

    /// Whether a trunk may call whom it dialled.
    pub(crate) fn may_dial(&self, trunk: TrunkId, dialled: &str) -> Result<(), Cause> {
        self.state(trunk).map_or(Ok(()), |state| state.config.dial.check(dialled))
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
        lock(&self.state(trunk)?.ledger).left(today())
    }

    /// What `sip-core` says that is not of a call.
    pub(crate) fn outcome(&self, outcome: Outcome) {
        if self.outcomes.try_send(outcome).is_err() {
            warn!("the trunks do not keep up: the outcome of a request is dropped");
        }
    }

    /// How many calls each trunk has, by its name, and whether it is up.
    pub(crate) fn read(&self) -> Vec<(String, u32, bool)> {
        let row = |state: &State| {
            (state.config.name.clone(), lock(&state.gate).calls(), !lock(&state.watch).is_down())
        };
        self.each.iter().map(row).collect()
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
        let is_full = |gate: &Mutex<Gate>| lock(gate).check(now) == Err(Full::Calls);
        let is_all_full = is_full(&self.all);
        for state in &self.each {
            let ready = !is_all_full && !is_full(&state.gate);
            if state.ready.swap(ready, Ordering::Relaxed) != ready {
                self.sip.tell(Command::Ready { trunk: Some(state.id), ready });
            }
        }
    }

    /// Takes our registrations back.
    pub(crate) async fn farewell(&self) {
        let (done, gone) = oneshot::channel();
        self.outcome(Outcome::Farewell(done));
        let _ = timeout(FAREWELL, gone).await;
    }
}

/// Keeps the trunks up to date.
pub(crate) struct Service {
    trunks: Arc<Trunks>,
    queue: mpsc::Receiver<Outcome>,
    resolver: Option<Resolver>,
    /// The pings that are out.
    pings: HashMap<OwnRequestId, (TrunkId, Destination)>,
    registrations: Vec<Registered>,
    next_request: u64,
    /// Who waits for the registrations to be taken back.
    leaving: Option<oneshot::Sender<()>>,
}

/// A registration of ours.
struct Registered {
    trunk: TrunkId,
    machine: Registration,
    /// The REGISTER that is out.
    out: Option<OwnRequestId>,
    /// The same for all its REGISTERs (RFC 3261 10.2.4).
    call_id: String,
}

impl Service {
    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        self.start().await;
        let mut locate_at = Instant::now() + LOCATE_EVERY;
        loop {
            self.work().await;
            let deadline = self.deadline().map_or(locate_at, |deadline| deadline.min(locate_at));
            tokio::select! {
                outcome = self.queue.recv() => match outcome {
                    Some(outcome) => self.take(outcome),
                    None => return,
                },
                () = sleep_until(deadline.into()) => {
                    let now = Instant::now();
                    for state in &self.trunks.each {
                        lock(&state.watch).handle_timeout(now);
                    }
                    for registered in &mut self.registrations {
                        registered.machine.handle(now, RegistrationInput::Timeout);
                    }
                }
            }
            if Instant::now() >= locate_at {
                self.locate().await;
                locate_at = Instant::now() + LOCATE_EVERY;
            }
        }
    }

    async fn start(&mut self) {
        match Resolver::from_system() {
            Ok(resolver) => self.resolver = Some(resolver),
            Err(error) => warn!(%error, "names of targets can't be looked up; addresses work"),
        }
        self.locate().await;
        let trunks = Arc::clone(&self.trunks);
        for state in &trunks.each {
            let Some(register) = &state.config.register else {
                continue;
            };
            let expires = u32::try_from(register.expires.as_secs()).unwrap_or(u32::MAX);
            let contact = Uri::sip(Some(&register.user), trunks.sip.local_addr());
            let mut machine = Registration::new(contact, expires);
            machine.handle(Instant::now(), RegistrationInput::Start);
            let call_id = hex::encode(random::bytes::<16>());
            self.registrations.push(Registered { trunk: state.id, machine, out: None, call_id });
        }
    }

    /// Asks DNS where the targets are.
    async fn locate(&mut self) {
        let trunks = Arc::clone(&self.trunks);
        let mut answering = HashMap::new();
        for state in &trunks.each {
            if let Some(register) = &state.config.register {
                let registrar = self.destinations(&register.to).await;
                answering.extend(registrar.iter().map(|one| (one.address.ip(), state.id)));
            }
            let Targets::List(aims) = &state.config.targets else {
                continue;
            };
            let mut located = Vec::new();
            for aim in aims {
                located.push((aim.clone(), self.destinations(&aim.target).await));
            }
            let found = || located.iter().flat_map(|(_, destinations)| destinations);
            answering.extend(found().map(|one| (one.address.ip(), state.id)));
            let names = found();
            for (address, host) in names.filter_map(|one| Some((one.address, one.host.as_deref()?))) {
                trunks.sip.name_peer(address, host);
            }
            if located.iter().all(|(_, destinations)| destinations.is_empty()) {
                warn!(
                    trunk = state.config.name,
                    "no target of this trunk has an address that can be reached"
                );
            }
            lock(&state.watch).located(Instant::now(), located, &mut draw);
        }
        trunks.sources.set_targets(answering);
    }

    async fn destinations(&self, target: &crate::trunk::target::Target) -> Vec<Destination> {
        let means = &self.trunks.means;
        match (&target.host, &self.resolver) {
            (Host::Ip(_), _) => {
                let reachable = |one: &Destination| means.reach(one.transport, one.address.ip());
                target.literal().filter(reachable).into_iter().collect()
            }
            (Host::Name(_), Some(resolver)) => {
                resolver.destinations(Instant::now(), target, means, &mut draw).await
            }
            (Host::Name(_), None) => Vec::new(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let watches = self.trunks.each.iter().filter_map(|state| lock(&state.watch).deadline());
        let registrations = self.registrations.iter().filter_map(|one| one.machine.deadline());
        watches.chain(registrations).min()
    }

    fn take(&mut self, outcome: Outcome) {
        let now = Instant::now();
        match outcome {
            Outcome::CallFailed => {
                for state in &self.trunks.each {
                    lock(&state.watch).handle_timeout(now);
                }
            }
            Outcome::Farewell(done) => {
                self.leaving = Some(done);
                for one in &mut self.registrations {
                    one.machine.handle(now, RegistrationInput::Stop);
                }
            }
            Outcome::Bindings(trunk, bindings) => {
                if let Some(state) = self.trunks.state(trunk) {
                    info!(trunk = state.config.name, contacts = bindings.len(), "registered contacts");
                    lock(&state.watch).registered(bindings);
                }
            }
            Outcome::Reply(id, result) => {
                if let Some((trunk, target)) = self.pings.remove(&id)
                    && let Some(state) = self.trunks.state(trunk)
                {
                    let input = match &result {
                        Ok(response) => health::Input::Response(response.status),
                        Err(_) => health::Input::Failed,
                    };
                    lock(&state.watch).pinged(now, &target, input);
                } else if let Some(one) = self.registrations.iter_mut().find(|one| one.out == Some(id)) {
                    one.out = None;
                    let [jitter] = random::bytes();
                    match &result {
                        Ok(response) => {
                            one.machine.handle(now, RegistrationInput::Response { response, jitter });
                        }
                        Err(_) => one.machine.handle(now, RegistrationInput::NoAnswer),
                    }
                }
            }
        }
    }

    /// Does what the machines want.
    async fn work(&mut self) {
        let trunks = Arc::clone(&self.trunks);
        for state in &trunks.each {
            while let Some(change) = { lock(&state.watch).poll() } {
                match change {
                    Change::Ping(target) => self.ping(state, target).await,
                    Change::Down(target) => {
                        warn!(trunk = state.config.name, %target, "a target is down: calls go elsewhere");
                    }
                    Change::Up(target) => info!(trunk = state.config.name, %target, "a target is up again"),
                }
            }
        }
        for index in 0..self.registrations.len() {
            while let Some(output) = self.registrations.get_mut(index).and_then(|one| one.machine.poll()) {
                self.registration(index, output).await;
            }
        }
        if self.registrations.iter().all(|one| one.out.is_none()) {
            // Whoever waits sees it dropped.
            self.leaving = None;
        }
    }

    fn request_id(&mut self) -> OwnRequestId {
        self.next_request += 1;
        OwnRequestId(self.next_request)
    }

    async fn ping(&mut self, state: &State, target: Destination) {
        let Some(flow) = lock(&state.watch).flow(&self.trunks.listeners, &target) else {
            return;
        };
        let id = self.request_id();
        let uri = uri_of(&target, None);
        self.pings.retain(|_, (trunk, other)| *trunk != state.id || *other != target);
        self.pings.insert(id, (state.id, target));
        let request = OutgoingRequest {
            id,
            flow,
            method: Method::Options,
            request_uri: uri.clone(),
            from: NameAddr::new(Uri::sip(Some("wa-bridge"), self.trunks.advertised(flow))),
            to: NameAddr::new(uri),
            call_id: hex::encode(random::bytes::<16>()),
            cseq: 1,
            headers: Vec::new(),
        };
        self.trunks.sip.send(Command::Send(Box::new(request))).await;
    }

    async fn registration(&mut self, index: usize, output: RegistrationOutput) {
        let Some(trunk) = self.registrations.get(index).map(|one| one.trunk) else {
            return;
        };
        let trunks = Arc::clone(&self.trunks);
        let Some((state, register)) =
            trunks.state(trunk).and_then(|state| Some((state, state.config.register.as_ref()?)))
        else {
            return;
        };
        match output {
            RegistrationOutput::Changed(RegistrationStatus::Registered) => {
                info!(trunk = state.config.name, registrar = %register.to, "registered");
            }
            RegistrationOutput::Changed(RegistrationStatus::Lost(loss)) => {
                warn!(trunk = state.config.name, registrar = %register.to, ?loss, "not registered");
            }
            RegistrationOutput::SendRegister { expires, cseq } => {
                let id = self.request_id();
                let found = self.destinations(&register.to).await;
                let flow = found.first().and_then(|to| lock(&state.watch).flow(&trunks.listeners, to));
                let Some(one) = self.registrations.get_mut(index) else {
                    return;
                };
                let Some(flow) = flow else {
                    warn!(trunk = state.config.name, registrar = %register.to, "the registrar has no address");
                    return one.machine.handle(Instant::now(), RegistrationInput::NoAnswer);
                };
                one.out = Some(id);
                let contact = contact_for(flow, &register.user, trunks.advertised(flow));
                // By it the grant is told from those of others that have registered there.
                one.machine.set_contact(contact.clone());
                let request = register_request(id, flow, register, &one.call_id, (expires, cseq), &contact);
                trunks.sip.send(Command::Send(Box::new(request))).await;
            }
        }
    }
}

fn register_request(
    id: OwnRequestId,
    flow: Flow,
    register: &crate::config::Register,
    call_id: &str,
    (expires, cseq): (u32, u32),
    contact: &Uri,
) -> OutgoingRequest {
    let mut registrar = Uri::sip(None, flow.peer);
    if let Host::Name(name) = &register.to.host {
        registrar.host = name.clone();
        registrar.port = register.to.port;
    }
    let mut account = registrar.clone();
    account.user = Some(register.user.clone());
    if flow.transport.is_reliable() {
        registrar.params.set("transport", Some(flow.transport.name()));
    }
    OutgoingRequest {
        id,
        flow,
        method: Method::Register,
        request_uri: registrar,
        from: NameAddr::new(account.clone()),
        to: NameAddr::new(account),
        call_id: call_id.to_owned(),
        cseq,
        headers: vec![
            ("Contact".to_owned(), format!("<{contact}>")),
            ("Expires".to_owned(), expires.to_string()),
        ],
    }
}

/// Where calls by this way reach us.
fn contact_for(flow: Flow, user: &str, local: SocketAddr) -> Uri {
    let mut contact = Uri::sip(Some(user), local);
    if flow.transport.is_reliable() {
        contact.params.set("transport", Some(flow.transport.name()));
    }
    contact
}

/// The URI of a target.
fn uri_of(target: &Destination, user: Option<&str>) -> Uri {
    let mut uri = Uri::sip(user, target.address);
    if target.transport.is_reliable() {
        uri.params.set("transport", Some(target.transport.name()));
    }
    uri
}
