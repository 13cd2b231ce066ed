//! What all calls of a phone share: the way out, transactions, counters, and the timers of RFC 3261 17.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::call::{Call, PhoneCall};
use super::media::Complaints;
use super::register::Registered;
use super::secure::Crypto;
use super::sip::{MAGIC_COOKIE, Message};
use super::wire::{Transport, Wire};
use super::{Codec, Manner, PhoneConfig, Policy, challenge, check};
use crate::ladder::Lane;

/// RFC 3261 17: estimate of the round trip, longest interval, and the end of patience.
pub(super) const T1: Duration = Duration::from_millis(500);
pub(super) const T2: Duration = Duration::from_secs(4);
pub(super) const PATIENCE: Duration = Duration::from_secs(32);
/// Responses that wait for a transaction; more are dropped as UDP would.
const RESPONSES: usize = 32;
/// Answers kept for repeated requests; the oldest go first.
const ANSWERS: usize = 4096;
/// Messages kept for [`super::Phone::messages`]; the oldest go first.
const MESSAGES: usize = 10_000;
/// Calls kept; beyond, the ones that are over are forgotten.
const CALLS: usize = 1024;

/// What a phone has counted.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// SIP messages sent.
    pub sent: u64,
    /// SIP messages received.
    pub received: u64,
    /// Messages among the sent that were repeats.
    pub retransmitted: u64,
    /// Requests and final responses of the bridge that came again.
    pub repeated: u64,
    /// Final responses to the phone's INVITEs, by status; repeats left out.
    pub finals: BTreeMap<u16, u64>,
}

pub(super) struct Core {
    pub(super) config: PhoneConfig,
    pub(super) wire: Arc<Wire>,
    pub(super) local: SocketAddr,
    pub(super) complaints: Complaints,
    pub(super) incoming: mpsc::Sender<PhoneCall>,
    pub(super) stop: CancellationToken,
    book: Mutex<Book>,
    seed: RandomState,
    drawn: AtomicU64,
}

#[derive(Default)]
pub(super) struct Book {
    pub(super) bridge: Option<SocketAddr>,
    pub(super) policy: Option<Policy>,
    pub(super) tone_hz: Option<f64>,
    pub(super) codecs: Option<Vec<Codec>>,
    pub(super) manner: Option<Manner>,
    pub(super) calls: HashMap<String, Arc<Call>>,
    pub(super) messages: VecDeque<String>,
    pub(super) counters: Counters,
    /// Who has registered here.
    pub(super) registered: Option<Registered>,
    /// Nonces of the phone's challenges, and the branches of the requests that met one.
    pub(super) nonces: HashSet<String>,
    pub(super) challenged: HashSet<String>,
    clients: HashMap<String, mpsc::Sender<Message>>,
    answers: VecDeque<(String, Message)>,
}

impl Core {
    pub(super) fn new(
        config: PhoneConfig,
        wire: Arc<Wire>,
        local: SocketAddr,
        incoming: mpsc::Sender<PhoneCall>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            config,
            wire,
            local,
            complaints: Complaints::default(),
            incoming,
            stop,
            book: Mutex::default(),
            seed: RandomState::new(),
            drawn: AtomicU64::new(0),
        }
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number nobody else draws.
    pub(super) fn draw(&self) -> u64 {
        self.seed.hash_one(self.drawn.fetch_add(1, Ordering::Relaxed))
    }

    /// A tag or a part of a Call-ID.
    pub(super) fn token(&self) -> String {
        format!("{:016x}", self.draw())
    }

    /// Keys for a call, one for each suite.
    pub(super) fn keys(&self, manner: &Manner) -> Vec<Crypto> {
        (1..).zip(&manner.suites).map(|(tag, suite)| Crypto::new(tag, *suite, &mut || self.draw())).collect()
    }

    /// A Via line for a new transaction.
    pub(super) fn via(&self) -> String {
        let transport = self.config.transport.name();
        format!("SIP/2.0/{transport} {};branch={MAGIC_COOKIE}{};rport", self.local, self.token())
    }

    /// Where a user of this phone is reached.
    pub(super) fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}{}", self.local, self.config.transport.parameter())
    }

    /// Nothing is lost on a connection, so nothing is sent again (RFC 3261 17.1.1.2).
    pub(super) fn is_reliable(&self) -> bool {
        !matches!(self.config.transport, Transport::Udp)
    }

    /// When a request without an answer is sent again for the first time.
    pub(super) fn resend_after(&self) -> Duration {
        if self.is_reliable() { PATIENCE } else { T1 }
    }

    pub(super) fn keep(&self, call: &Arc<Call>) {
        let mut book = self.book();
        if book.calls.len() >= CALLS {
            book.calls.retain(|_, call| !call.is_over());
        }
        book.calls.insert(call.id.clone(), Arc::clone(call));
    }

    /// Sends a message; `key` is the call's ladder.
    pub(super) async fn send(&self, to: SocketAddr, message: &Message, key: &str, again: bool) {
        let text = message.to_text();
        {
            let mut book = self.book();
            book.counters.sent += 1;
            book.counters.retransmitted += u64::from(again);
            book.note(&text);
        }
        let label = if again { format!("{} (again)", message.title()) } else { message.title() };
        self.config.ladder.log(key, Lane::Pbx, Lane::Bridge, label);
        if let Err(error) = self.wire.send(to, text.into_bytes()).await {
            tracing::debug!(%error, %to, "phone cannot send");
        }
    }

    /// Answers a request, and its repeats from now on.
    pub(super) async fn reply(&self, to: SocketAddr, request: &Message, response: Message, key: &str) {
        self.book().remember(request, response.clone());
        self.send(to, &response, key, false).await;
    }

    /// What was said to this request before.
    pub(super) fn said(&self, request: &Message) -> Option<Message> {
        let book = self.book();
        let wanted = transaction(request);
        book.answers.iter().rev().find(|(key, _)| *key == wanted).map(|(_, answer)| answer.clone())
    }

    /// Opens a client transaction: responses with the request's branch come out of the receiver.
    pub(super) fn open(&self, request: &Message) -> mpsc::Receiver<Message> {
        let (sender, receiver) = mpsc::channel(RESPONSES);
        self.book().clients.insert(client(request), sender);
        receiver
    }

    pub(super) fn close(&self, request: &Message) {
        self.book().clients.remove(&client(request));
    }

    /// Gives a response to its transaction.
    pub(super) fn deliver(&self, response: Message) {
        let transaction = self.book().clients.get(&client(&response)).cloned();
        match transaction {
            // A full queue loses the response as the network would; it comes again.
            Some(transaction) => drop(transaction.try_send(response)),
            None => {
                self.complaints.add(format!("{}: no request was sent with this branch", response.title()));
            }
        }
    }

    /// A request that is not an INVITE, up to its final response; a challenge on the way is answered.
    pub(super) async fn request(&self, to: SocketAddr, request: Message, key: &str) -> Option<Message> {
        let response = self.exchange(to, &request, key).await?;
        match challenge::answered(self, &request, &response) {
            Some(again) => self.exchange(to, &again, key).await,
            None => Some(response),
        }
    }

    /// RFC 3261 17.1.2: a request and its final response.
    pub(super) async fn exchange(&self, to: SocketAddr, request: &Message, key: &str) -> Option<Message> {
        let mut responses = self.open(request);
        let limit = Instant::now() + PATIENCE;
        let mut interval = self.resend_after();
        let mut resend = Instant::now() + interval;
        self.send(to, request, key, false).await;
        let answer = loop {
            tokio::select! {
                Some(response) = responses.recv() => {
                    check::response(&response, request).into_iter().for_each(|c| self.complaints.add(c));
                    if response.status().is_some_and(|status| status >= 200) {
                        break Some(response);
                    }
                }
                () = sleep_until(resend.min(limit)) => {
                    if Instant::now() >= limit {
                        break None;
                    }
                    interval = (interval * 2).min(T2);
                    resend = Instant::now() + interval;
                    self.send(to, request, key, true).await;
                }
            }
        };
        self.close(request);
        answer
    }
}

impl Book {
    pub(super) fn note(&mut self, text: &str) {
        if self.messages.len() == MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(text.to_owned());
    }

    fn remember(&mut self, request: &Message, response: Message) {
        if self.answers.len() == ANSWERS {
            self.answers.pop_front();
        }
        self.answers.push_back((transaction(request), response));
    }
}

/// RFC 3261 17.1.3: a CANCEL has the branch of its INVITE, so the method counts too.
fn client(message: &Message) -> String {
    let method = message.cseq().map_or("", |(_, method)| method);
    format!("{method} {}", message.branch().unwrap_or_default())
}

/// RFC 3261 17.2.3: branch, sent-by (both are in the Via) and method.
fn transaction(request: &Message) -> String {
    format!("{} {}", request.method().unwrap_or_default(), request.header("Via").unwrap_or_default())
}
