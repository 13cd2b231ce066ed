//! The webhook listener: verification by GET, signed events by POST.
//!
//! Nothing is read of a body before its signature is right, and the answer
//! goes out as soon as the events are queued: WhatsApp waits 20 s at most and
//! repeats what is not answered with 200.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use reqwest::Url;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::time::timeout;

use super::event::WebhookEvent;
use super::pass_on::Letter;
use super::pass_on::delivery::PassOn;
use super::payload::{self, Batch, MAX_BODY};
use super::signature;
use crate::secret::Secret;

/// Room a queue of events should have: WhatsApp batches up to 1000, and a batch
/// goes in whole or not at all. When it is full the answer is 503 and WhatsApp
/// sends the batch again.
pub const QUEUE: usize = 4096;
/// Time for a body to arrive.
const BODY_LIMIT: Duration = Duration::from_secs(10);
/// Most bytes of bodies that are being read at once: 64 of the largest. Beyond
/// it the answer is 503.
pub const READING: usize = 64 * MAX_BODY;
/// What is counted of [`READING`] at a time, and at least for a request.
const PIECE: usize = 16 * 1024;

/// Gives a secret as it is now: it may be changed while the program runs.
pub type SecretSource = Arc<dyn Fn() -> Secret + Send + Sync>;
/// Gives several secrets as they are now, each of which counts.
pub type SecretsSource = Arc<dyn Fn() -> Vec<Secret> + Send + Sync>;

/// What the listener needs to know.
#[derive(Clone)]
pub struct WebhookConfig {
    /// Path of the webhook, such as `/webhook`: plain, without `{}` patterns.
    pub path: String,
    /// Sign the bodies: each of them may. There are several while one takes
    /// the place of another, and where several apps send here.
    pub app_secrets: SecretsSource,
    /// Proves to WhatsApp that this URL is ours.
    pub verify_token: SecretSource,
    /// Who gets what is not for calling.
    pub pass_on: Option<PassOn>,
}

impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookConfig").field("path", &self.path).finish_non_exhaustive()
    }
}

/// How many requests ended how.
#[derive(Debug, Default)]
pub struct WebhookCounters {
    verified: AtomicU64,
    verify_refused: AtomicU64,
    accepted: AtomicU64,
    events: AtomicU64,
    bad_signature: AtomicU64,
    bad_body: AtomicU64,
    too_big: AtomicU64,
    bad_json: AtomicU64,
    queue_full: AtomicU64,
    pass_on_full: AtomicU64,
    busy: AtomicU64,
}

impl WebhookCounters {
    /// Each counter with its name, for metrics.
    #[must_use]
    pub fn read(&self) -> [(&'static str, u64); 11] {
        [
            ("verified", &self.verified),
            ("verify_refused", &self.verify_refused),
            ("accepted", &self.accepted),
            ("events", &self.events),
            ("bad_signature", &self.bad_signature),
            ("bad_body", &self.bad_body),
            ("too_big", &self.too_big),
            ("bad_json", &self.bad_json),
            ("queue_full", &self.queue_full),
            ("pass_on_full", &self.pass_on_full),
            ("busy", &self.busy),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }
}

fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}

#[derive(Clone)]
struct Listener {
    config: WebhookConfig,
    events: mpsc::Sender<WebhookEvent>,
    counters: Arc<WebhookCounters>,
    /// The room for bodies that are being read, in [`PIECE`]s.
    reading: Arc<Semaphore>,
}

/// The routes of the webhook. Events go into `events`, whose capacity should be
/// [`QUEUE`].
pub fn router(
    config: WebhookConfig,
    events: mpsc::Sender<WebhookEvent>,
    counters: Arc<WebhookCounters>,
) -> Router {
    let path = config.path.clone();
    Router::new()
        .route(&path, get(verify).post(receive))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Listener { config, events, counters, reading: Arc::new(Semaphore::new(READING / PIECE)) })
}

/// Answers `hub.challenge` to who knows the verify token.
async fn verify(State(listener): State<Listener>, RawQuery(query): RawQuery) -> Response {
    let counters = &listener.counters;
    match challenge(&query.unwrap_or_default(), &(listener.config.verify_token)()) {
        Some(challenge) => {
            count(&counters.verified, 1);
            challenge.into_response()
        }
        None => {
            count(&counters.verify_refused, 1);
            StatusCode::FORBIDDEN.into_response()
        }
    }
}

fn challenge(query: &str, token: &Secret) -> Option<String> {
    let url = Url::parse(&format!("http://webhook/?{query}")).ok()?;
    let parameter = |name| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value);
    let is_ours = parameter("hub.mode")? == "subscribe" && token.matches(&parameter("hub.verify_token")?);
    is_ours.then(|| parameter("hub.challenge").unwrap_or_default().into_owned())
}

async fn receive(State(listener): State<Listener>, request: Request) -> StatusCode {
    match listener.receive(request).await {
        Ok(()) => StatusCode::OK,
        Err(status) => status,
    }
}

/// Reads a body, as long as its sender takes the time for it.
async fn body(request: Request) -> Result<Bytes, StatusCode> {
    match timeout(BODY_LIMIT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) => Err(rejection.status()),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// The length that the body is said to have.
fn said_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Listener {
    async fn receive(&self, request: Request) -> Result<(), StatusCode> {
        let counters = &self.counters;
        let headers = request.headers().clone();
        let signature = headers.get(signature::HEADER).and_then(|value| value.to_str().ok());
        let Some(signature) = signature else {
            count(&counters.bad_signature, 1);
            return Err(StatusCode::UNAUTHORIZED);
        };
        let _room = self.room(&headers)?;
        let body = body(request).await.inspect_err(|status| {
            let is_too_big = *status == StatusCode::PAYLOAD_TOO_LARGE;
            count(if is_too_big { &counters.too_big } else { &counters.bad_body }, 1);
        })?;
        if !signature::verify_any(&(self.config.app_secrets)(), signature, &body) {
            count(&counters.bad_signature, 1);
            return Err(StatusCode::UNAUTHORIZED);
        }
        let batch = payload::read(&body).map_err(|error| {
            count(&counters.bad_json, 1);
            tracing::warn!(%error, "signed webhook not understood");
            StatusCode::BAD_REQUEST
        })?;
        self.queue(batch, Letter::new(&headers, body))
    }

    /// Room to read the body of this request, until it is dropped.
    fn room(&self, headers: &HeaderMap) -> Result<SemaphorePermit<'_>, StatusCode> {
        // One that does not say its length may have the greatest, and one that says more is cut off there.
        let length = said_length(headers).unwrap_or(MAX_BODY).min(MAX_BODY);
        let pieces = u32::try_from(length.div_ceil(PIECE).max(1)).unwrap_or(u32::MAX);
        self.reading.try_acquire_many(pieces).map_err(|_| {
            count(&self.counters.busy, 1);
            StatusCode::SERVICE_UNAVAILABLE
        })
    }

    /// Queues all events and passes the webhook on to all who want it, or does
    /// nothing: half of it would come twice.
    fn queue(&self, batch: Batch, letter: Option<Letter>) -> Result<(), StatusCode> {
        let Batch { events, fields } = batch;
        let Ok(places) = self.events.try_reserve_many(events.len()) else {
            count(&self.counters.queue_full, 1);
            tracing::warn!(events = events.len(), "webhook refused: no room in the queue");
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        };
        if let (Some(pass_on), Some(letter)) = (&self.config.pass_on, letter)
            && !pass_on.put(&fields, &letter)
        {
            count(&self.counters.pass_on_full, 1);
            tracing::warn!("webhook refused: it can't be passed on, too many wait already");
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        count(&self.counters.accepted, 1);
        count(&self.counters.events, events.len());
        for (place, event) in places.zip(events) {
            place.send(event);
        }
        Ok(())
    }
}
