//! What all parts of the simulated WhatsApp share.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::call::{Call, CallState, Direction, End, Party};
use super::config::WhatsAppConfig;
use super::faults::GraphFault;
use super::graph::GraphRequest;
use super::messages::Rate;
use super::operation::Operation;
use super::permission::{Book, PermissionAnswer, PermissionShape, Permissions};
use super::post::Post;
use super::relay::Relay;
use super::scenario::Behaviour;
use super::settings::Settings;
use super::subscriptions::Subscriptions;
use super::token::Token;
use super::webhook::Delivery;
use crate::ladder::Lane;

/// Calls kept; the oldest that are over go first.
const KEPT_CALLS: usize = 500;
/// Records of requests and of deliveries kept; the oldest go first.
const KEPT_RECORDS: usize = 20_000;
/// Business-initiated calls that nobody has asked for yet; the oldest go first.
const ARRIVALS: usize = 1024;

/// Requests of `call_permissions` in a second.
const PERMISSION_RATE: usize = 100;
/// Faults waiting for their requests; more are not taken.
const FAULTS: usize = 100_000;

pub(crate) struct Hub {
    pub(crate) config: WhatsAppConfig,
    pub(crate) started: Instant,
    pub(crate) webhook_url: Mutex<String>,
    pub(crate) http: reqwest::Client,
    pub(crate) relay: Relay,
    pub(crate) stop: CancellationToken,
    pub(crate) token: Mutex<Token>,
    pub(crate) settings: Mutex<HashMap<String, Settings>>,
    pub(crate) subscriptions: Mutex<Subscriptions>,
    pub(crate) book: Mutex<Book>,
    pub(crate) permissions: Mutex<Permissions>,
    pub(crate) permission_shape: Mutex<PermissionShape>,
    /// Requests of `call_permissions` in a second.
    pub(crate) permission_rate: Mutex<usize>,
    /// Whether a free-form permission request needs an open conversation (138011).
    pub(crate) needs_conversation: Mutex<bool>,
    /// What users say to permission requests, where it is not their number that says it.
    pub(crate) answers: Mutex<HashMap<String, PermissionAnswer>>,
    /// What numbers do that were changed by hand.
    pub(crate) numbers: Mutex<HashMap<String, Behaviour>>,
    pub(crate) asked: Rate,
    pub(crate) post: Mutex<Post>,
    /// How far the sandbox's clock is ahead.
    ahead: Mutex<Duration>,
    pub(crate) faults: Mutex<VecDeque<(Operation, GraphFault)>>,
    pub(crate) requests: Records<GraphRequest>,
    pub(crate) deliveries: Records<Delivery>,
    pub(crate) arrived: Notify,
    arrivals: Mutex<VecDeque<Arc<Call>>>,
    calls: Mutex<Vec<Arc<Call>>>,
    tasks: Mutex<JoinSet<()>>,
}

/// A bounded list of what happened.
pub(crate) struct Records<T>(Mutex<VecDeque<T>>);

impl<T: Clone> Records<T> {
    pub(crate) fn add(&self, record: T) {
        let mut records = lock(&self.0);
        if records.len() == KEPT_RECORDS {
            records.pop_front();
        }
        records.push_back(record);
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }

    pub(crate) fn all(&self) -> Vec<T> {
        lock(&self.0).iter().cloned().collect()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(crate) fn new(config: WhatsAppConfig, http: reqwest::Client, relay: Relay) -> Self {
        Self {
            started: Instant::now(),
            webhook_url: Mutex::new(config.webhook_url.clone()),
            token: Mutex::new(Token::new(config.token.clone())),
            settings: Mutex::default(),
            subscriptions: Mutex::new(Subscriptions::new(&config.app_id)),
            book: Mutex::default(),
            permissions: Mutex::new(config.permissions),
            permission_shape: Mutex::default(),
            permission_rate: Mutex::new(PERMISSION_RATE),
            needs_conversation: Mutex::default(),
            answers: Mutex::default(),
            numbers: Mutex::default(),
            asked: Rate::default(),
            post: Mutex::default(),
            ahead: Mutex::default(),
            config,
            http,
            relay,
            stop: CancellationToken::new(),
            faults: Mutex::default(),
            requests: Records(Mutex::default()),
            deliveries: Records(Mutex::default()),
            arrived: Notify::new(),
            arrivals: Mutex::default(),
            calls: Mutex::default(),
            tasks: Mutex::default(),
        }
    }

    /// Time since the start, for records.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// What a dialled number does.
    pub(crate) fn behaviour(&self, number: &str) -> Behaviour {
        let by_hand = lock(&self.numbers).get(number).cloned();
        by_hand.unwrap_or_else(|| (self.config.directory)(number))
    }

    /// The sandbox's own clock, which tests may move on.
    pub(crate) fn clock(&self) -> SystemTime {
        SystemTime::now() + *lock(&self.ahead)
    }

    /// Moves it on.
    pub(crate) fn advance(&self, time: Duration) {
        *lock(&self.ahead) += time;
    }

    /// How far it is ahead of the system's.
    pub(crate) fn ahead(&self) -> Duration {
        *lock(&self.ahead)
    }

    /// A time of that clock in UNIX seconds of the clock of everybody else.
    pub(crate) fn shown(&self, time: SystemTime) -> u64 {
        let time = time.checked_sub(self.ahead()).unwrap_or(SystemTime::UNIX_EPOCH);
        time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    /// Runs a task that ends with the sandbox.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        let mut tasks = lock(&self.tasks);
        while let Some(done) = tasks.try_join_next() {
            if let Err(error) = done {
                tracing::error!(%error, "a task of the sandbox failed");
            }
        }
        if !stop.is_cancelled() {
            tasks.spawn(async move {
                let _ = stop.run_until_cancelled(task).await;
            });
        }
    }

    /// Stops all tasks and waits for them.
    pub(crate) async fn shut_down(&self) {
        self.stop.cancel();
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while tasks.join_next().await.is_some() {}
    }

    /// An arrow in the ladder of a call.
    pub(crate) fn log(&self, call: &Call, from: Lane, to: Lane, label: impl Into<String>) {
        self.config.ladder.log(&call.user, from, to, label);
    }

    pub(crate) fn note(&self, call: &Call, label: impl Into<String>) {
        self.config.ladder.note(&call.user, Lane::WhatsApp, label);
    }

    pub(crate) fn violation(&self, call: &Call, text: impl Into<String>) {
        let text = text.into();
        tracing::warn!(wacid = call.wacid, "{text}");
        if call.violation(text.clone()) {
            self.note(call, format!("VIOLATION: {text}"));
        }
    }

    pub(crate) fn add(&self, call: Call) -> Arc<Call> {
        let call = Arc::new(call);
        let mut calls = lock(&self.calls);
        let over = calls.iter().position(|old| old.state() == CallState::Ended);
        if let (true, Some(index)) = (calls.len() >= KEPT_CALLS, over) {
            calls.remove(index);
        }
        calls.push(Arc::clone(&call));
        drop(calls);
        if call.direction == Direction::BusinessInitiated {
            let mut arrivals = lock(&self.arrivals);
            if arrivals.len() == ARRIVALS {
                arrivals.pop_front();
            }
            arrivals.push_back(Arc::clone(&call));
            drop(arrivals);
            self.arrived.notify_waiters();
        }
        call
    }

    pub(crate) fn calls(&self) -> Vec<Arc<Call>> {
        lock(&self.calls).clone()
    }

    pub(crate) fn find(&self, wacid: &str) -> Option<Arc<Call>> {
        lock(&self.calls).iter().find(|call| call.wacid == wacid).cloned()
    }

    /// The oldest arrival to that number, not yet taken.
    pub(crate) fn take_arrival(&self, number: &str) -> Option<Arc<Call>> {
        let mut arrivals = lock(&self.arrivals);
        let index = arrivals.iter().position(|call| call.user == number)?;
        arrivals.remove(index)
    }

    /// The next `times` requests of this operation have this fault.
    pub(crate) fn fault(&self, operation: Operation, fault: &GraphFault, times: usize) {
        let wanted = std::iter::repeat_n((operation, fault.clone()), times.min(FAULTS));
        let mut faults = lock(&self.faults);
        faults.extend(wanted);
        faults.truncate(FAULTS);
    }

    /// The oldest fault of that operation, once.
    pub(crate) fn take_fault(&self, operation: Operation) -> Option<GraphFault> {
        let mut faults = lock(&self.faults);
        let index = faults.iter().position(|(of, _)| *of == operation)?;
        faults.remove(index).map(|(_, fault)| fault)
    }

    /// Ends a call, once; its script sends the terminate webhook.
    pub(crate) fn end(&self, call: &Call, by: Party, failed: Option<u32>, why: &str) -> bool {
        let mut facts = call.facts();
        if facts.end.is_some() {
            return false;
        }
        let duration = facts.accepted_at.map(|(at, _)| at.elapsed().as_secs_f64().round() as u32);
        let at = Instant::now();
        facts.end = Some(End { by, why: why.to_owned(), failed, duration, at });
        facts.ended_at = Some(SystemTime::now());
        drop(facts);
        match by {
            Party::User => self.log(call, Lane::User, Lane::WhatsApp, why),
            Party::WhatsApp => self.note(call, why),
            Party::Business => self.log(call, Lane::WhatsApp, Lane::User, "call over"),
        }
        call.advance(CallState::Ended);
        call.over.cancel();
        self.relay.forget(call);
        true
    }
}
