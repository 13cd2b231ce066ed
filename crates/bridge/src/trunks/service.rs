//! Keeps the trunks up to date: asks DNS where their targets are, pings them, and lets time pass.
#![expect(clippy::disallowed_methods, reason = "the clock of the trunks")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_core::message::{Method, NameAddr, Uri};
use sip_core::registration::Input as RegistrationInput;
use sip_core::{Command, OutgoingRequest, OwnRequestId, TrunkId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;
use tracing::{info, warn};

use super::registration::Registered;
use super::{Outcome, State, Trunks, lock};
use crate::config::Targets;
use crate::random::{self, draw};
use crate::trunk::health;
use crate::trunk::resolve::Resolver;
use crate::trunk::target::{Destination, Host, Target};
use crate::trunk::watch::Change;

/// How often DNS is asked for the targets; answers that still hold are not asked again.
const LOCATE_EVERY: Duration = Duration::from_secs(15);
/// Keeps the trunks up to date.
pub(crate) struct Service {
    pub(super) trunks: Arc<Trunks>,
    queue: mpsc::Receiver<Outcome>,
    resolver: Option<Resolver>,
    /// The pings that are out.
    pings: HashMap<OwnRequestId, (TrunkId, Destination)>,
    pub(super) registrations: Vec<Registered>,
    next_request: u64,
    /// The trunks are others than they were.
    changed: bool,
    /// The program ends: nothing is registered any more.
    pub(super) ends: bool,
    /// Who waits for the registrations to be taken back.
    leaving: Option<oneshot::Sender<()>>,
}

impl Service {
    pub(super) fn new(trunks: Arc<Trunks>, queue: mpsc::Receiver<Outcome>) -> Self {
        Self {
            trunks,
            queue,
            resolver: None,
            pings: HashMap::new(),
            registrations: Vec::new(),
            next_request: 1,
            changed: false,
            ends: false,
            leaving: None,
        }
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        self.start().await;
        let mut locate_at = Instant::now() + LOCATE_EVERY;
        loop {
            if std::mem::take(&mut self.changed) {
                self.agree_registrations();
                self.locate().await;
            }
            self.work().await;
            let deadline = self.deadline().map_or(locate_at, |deadline| deadline.min(locate_at));
            tokio::select! {
                outcome = self.queue.recv() => match outcome {
                    Some(outcome) => self.take(outcome),
                    None => return,
                },
                () = sleep_until(deadline.into()) => {
                    let now = Instant::now();
                    for state in self.trunks.each().iter() {
                        lock(&state.watch).handle_timeout(now);
                    }
                    for registered in &mut self.registrations {
                        registered.machine.handle(now, RegistrationInput::Timeout);
                    }
                }
            }
            if Instant::now() >= locate_at {
                self.trunks.forget_gone(Instant::now());
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
        self.agree_registrations();
    }

    /// Asks DNS where the targets are.
    async fn locate(&mut self) {
        let trunks = Arc::clone(&self.trunks);
        let mut answering = HashMap::new();
        // Those that are gone first: an address that another trunk has now is that one's.
        let (gone, configured): (Vec<_>, Vec<_>) =
            trunks.each().iter().cloned().partition(|state| state.gone.is_some());
        for state in gone.iter().chain(&configured) {
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
            if state.gone.is_none() && located.iter().all(|(_, destinations)| destinations.is_empty()) {
                warn!(
                    trunk = state.config.name,
                    "no target of this trunk has an address that can be reached"
                );
            }
            lock(&state.watch).located(Instant::now(), located, &mut draw);
        }
        trunks.sources.set_targets(answering);
    }

    pub(super) async fn destinations(&self, target: &Target) -> Vec<Destination> {
        match (&target.host, &self.resolver) {
            (Host::Ip(_), _) => self.trunks.literal(target).into_iter().collect(),
            (Host::Name(_), Some(resolver)) => {
                resolver.destinations(Instant::now(), target, &self.trunks.means, &mut draw).await
            }
            (Host::Name(_), None) => Vec::new(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let each = self.trunks.each();
        let watches = each.iter().filter_map(|state| lock(&state.watch).deadline());
        let registrations = self.registrations.iter().filter_map(|one| one.machine.deadline());
        watches.chain(registrations).min()
    }

    fn take(&mut self, outcome: Outcome) {
        let now = Instant::now();
        match outcome {
            Outcome::CallFailed => {
                for state in self.trunks.each().iter() {
                    lock(&state.watch).handle_timeout(now);
                }
            }
            Outcome::Changed => self.changed = true,
            Outcome::Farewell(done) => {
                self.leaving = Some(done);
                self.ends = true;
                self.agree_registrations();
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
        for state in self.trunks.each().iter() {
            while let Some(change) = { lock(&state.watch).poll() } {
                match change {
                    _ if state.gone.is_some() => {}
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
        if self.registrations.iter().any(|one| one.machine.is_over()) {
            self.registrations.retain(|one| !one.machine.is_over());
            // Another one may have waited for it.
            self.agree_registrations();
        }
        if self.registrations.iter().all(|one| one.out.is_none()) {
            // Whoever waits sees it dropped.
            self.leaving = None;
        }
    }

    pub(super) fn request_id(&mut self) -> OwnRequestId {
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
}

/// The URI of a target.
fn uri_of(target: &Destination, user: Option<&str>) -> Uri {
    let mut uri = Uri::sip(user, target.address);
    if target.transport.is_reliable() {
        uri.params.set("transport", Some(target.transport.name()));
    }
    uri
}
