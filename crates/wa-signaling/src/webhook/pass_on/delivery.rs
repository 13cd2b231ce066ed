//! Delivers what waits in the outboxes. This is IO.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{StatusCode, header};
use reqwest::{Client, Response, redirect};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::outbox::{LetterId, Outbox, Verdict};
use super::{Destination, Fields, Letter};

/// Time to a connection, TLS included.
const DIAL_LIMIT: Duration = Duration::from_secs(5);
/// Time for a whole post, answer included.
const POST_LIMIT: Duration = Duration::from_secs(20);
/// Most bytes of an answer that are read, so that its connection can be used again; of a longer one the
/// connection is closed.
const MOST_ANSWER: usize = 64 * 1024;

/// Told when a destination fails, with what it is about, and when it works again.
pub type OnChange = Arc<dyn Fn(&str, Result<(), String>) + Send + Sync>;

/// All destinations. Clones share their outboxes.
#[derive(Clone)]
pub struct PassOn {
    offices: Arc<[Office]>,
    counters: Arc<PassOnCounters>,
    client: Client,
    on_change: OnChange,
    jitter: fn() -> u8,
}

impl std::fmt::Debug for PassOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PassOn").field("offices", &self.offices).finish_non_exhaustive()
    }
}

/// A destination and what waits for it.
#[derive(Debug)]
struct Office {
    destination: Destination,
    outbox: Mutex<Outbox>,
    /// Something was put in.
    wake: Notify,
    /// Something has left.
    left: Notify,
}

/// What became of the letters of all destinations.
#[derive(Debug, Default)]
pub struct PassOnCounters {
    passed_on: AtomicU64,
    retried: AtomicU64,
    given_up: AtomicU64,
}

impl PassOnCounters {
    /// Each counter with its name, for metrics.
    #[must_use]
    pub fn read(&self) -> [(&'static str, u64); 3] {
        [
            ("passed_on", &self.passed_on),
            ("pass_on_retried", &self.retried),
            ("pass_on_given_up", &self.given_up),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }
}

impl PassOn {
    /// Nothing is sent before [`Self::run`]. `jitter` draws a random byte.
    ///
    /// # Errors
    /// When the HTTP client can't be built.
    pub fn new(
        destinations: Vec<Destination>,
        on_change: OnChange,
        jitter: fn() -> u8,
    ) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("wa-bridge/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(DIAL_LIMIT)
            .timeout(POST_LIMIT)
            .build()?;
        let office = |destination| Office {
            destination,
            outbox: Mutex::default(),
            wake: Notify::new(),
            left: Notify::new(),
        };
        let offices = destinations.into_iter().map(office).collect();
        Ok(Self { offices, counters: Arc::default(), client, on_change, jitter })
    }

    /// Puts a webhook into the outbox of each destination that wants it. False, and nothing is put in, when
    /// one of them has no room.
    pub(crate) fn put(&self, fields: &BTreeSet<String>, letter: &Letter) -> bool {
        let wants = |office: &&Office| office.destination.fields.want(fields);
        let offices: Vec<&Office> = self.offices.iter().filter(wants).collect();
        // All at once, always in the same order.
        let mut outboxes: Vec<_> = offices.iter().map(|office| office.outbox()).collect();
        if !outboxes.iter().all(|outbox| outbox.has_room(letter)) {
            return false;
        }
        let now = Instant::now().into_std();
        outboxes.iter_mut().for_each(|outbox| outbox.put(now, letter.clone()));
        drop(outboxes);
        offices.iter().for_each(|office| office.wake.notify_one());
        true
    }

    /// Delivers until it is dropped.
    pub async fn run(self) {
        let mut serving = JoinSet::new();
        for at in 0..self.offices.len() {
            let all = self.clone();
            serving.spawn(async move {
                if let Some(office) = all.offices.get(at) {
                    all.serve(office).await;
                }
            });
        }
        if serving.join_next().await.is_none() {
            // No destination: there is nothing to do, for ever.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until every outbox is empty.
    pub async fn emptied(&self) {
        for office in self.offices.iter() {
            loop {
                let left = office.left.notified();
                if office.outbox().is_empty() {
                    break;
                }
                left.await;
            }
        }
    }

    /// How many letters wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.offices.iter().map(|office| office.outbox().len()).sum()
    }

    /// What became of those that were taken.
    #[must_use]
    pub fn counters(&self) -> &PassOnCounters {
        &self.counters
    }

    async fn serve(&self, office: &Office) {
        let mut posts = JoinSet::new();
        let mut ids = HashMap::new();
        loop {
            let (next, again) = self.next(office);
            if let Some((id, letter)) = next {
                let post = post(self.client.clone(), office.destination.clone(), letter);
                ids.insert(posts.spawn(post).id(), id);
                continue;
            }
            let due = async {
                match again {
                    Some(again) => sleep_until(again.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = office.wake.notified() => {}
                () = due => {}
                Some(ended) = posts.join_next_with_id() => {
                    let (task, result) = match ended {
                        Ok(ended) => ended,
                        Err(broken) => (broken.id(), Err(Failure::new("broken".to_owned()))),
                    };
                    if let Some(id) = ids.remove(&task) {
                        self.done(office, id, result);
                    }
                }
            }
        }
    }

    fn next(&self, office: &Office) -> (Option<(LetterId, Letter)>, Option<std::time::Instant>) {
        let now = Instant::now().into_std();
        let mut outbox = office.outbox();
        let given_up = outbox.expire(now);
        if given_up > 0 {
            self.counters.given_up.fetch_add(given_up as u64, Ordering::Relaxed);
            tracing::warn!(
                destination = office.destination.label,
                given_up,
                "webhooks could not be passed on within an hour: they are lost"
            );
            office.left.notify_waiters();
        }
        (outbox.take(now), outbox.deadline())
    }

    fn done(&self, office: &Office, id: LetterId, result: Result<(), Failure>) {
        let label = &office.destination.label;
        let (verdict, counter) = match &result {
            Ok(()) => (Verdict::Delivered, &self.counters.passed_on),
            Err(failure) if failure.is_final => {
                tracing::warn!(
                    destination = label,
                    problem = failure.text,
                    "a webhook was refused: it is lost"
                );
                (Verdict::Refused, &self.counters.given_up)
            }
            Err(failure) => {
                tracing::debug!(destination = label, problem = failure.text, "a webhook will be tried again");
                (Verdict::Failed(failure.asked), &self.counters.retried)
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
        office.outbox().done(Instant::now().into_std(), id, verdict, (self.jitter)());
        office.left.notify_waiters();
        (self.on_change)(label, result.map_err(|failure| failure.text));
    }
}

impl Office {
    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a post was no success. The text shows nothing of the URL.
#[derive(Debug)]
struct Failure {
    text: String,
    is_final: bool,
    asked: Option<Duration>,
}

impl Failure {
    fn new(text: String) -> Self {
        Self { text, is_final: false, asked: None }
    }
}

async fn post(client: Client, destination: Destination, letter: Letter) -> Result<(), Failure> {
    let request = client.post(destination.url).headers(letter.headers).body(letter.body);
    let answer = request.send().await.map_err(|error| Failure::new(told(error)))?;
    let (status, asked) = (answer.status(), retry_after(&answer));
    drain(answer).await;
    if status.is_success() {
        return Ok(());
    }
    let may_pass = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    Err(Failure {
        text: format!("it answered {}", status.as_u16()),
        is_final: status.is_client_error() && !may_pass,
        asked,
    })
}

/// What happened, without the URL.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let text = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

async fn drain(mut answer: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > MOST_ANSWER {
            return;
        }
    }
}

impl Default for Fields {
    /// What is not for calling.
    fn default() -> Self {
        Self::AllButCalls
    }
}
