//! The HTTP client of the Graph API: two connection pools, a time limit per
//! operation, bounded answers.
#![expect(clippy::disallowed_methods, reason = "the one clock of the breaker")]

mod account;

use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, Response, Url, header, redirect};

use super::breaker::{Breaker, Digest, Permit, Purpose, Request};
use super::config::{ClientError, GraphConfig, OnChange, TimeLimits};
use super::error::GraphError;
use super::request::CallRequest;
use super::response::{self, Answer};
use crate::identity::Callee;
use crate::secret::Secret;
use crate::wacid::{PhoneNumberId, Wacid};

/// Longest answer read; real ones have some hundred bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Time to a connection, TLS included; over it, the request was never sent.
const DIAL_LIMIT: Duration = Duration::from_secs(4);
/// Idle connections kept for the next call; more are closed.
const MAX_IDLE: usize = 32;
/// How long an idle connection is kept.
const IDLE_LIMIT: Duration = Duration::from_secs(90);
/// Pings that find a dead HTTP/2 connection before a call does.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_LIMIT: Duration = Duration::from_secs(5);

/// A client of the Graph API; clones share its connections.
#[derive(Clone, Debug)]
pub struct GraphClient {
    http: Client,
    /// `reject` and `terminate` have connections of their own: they never wait behind others.
    ends: Client,
    base: Url,
    version: String,
    limits: TimeLimits,
    guard: Arc<Guard>,
}

/// What all clones know of the API, and who hears of it.
struct Guard {
    breaker: Mutex<Breaker>,
    on_change: Option<OnChange>,
}

/// One request.
#[derive(Clone, Copy)]
struct Ask<'a> {
    name: &'static str,
    token: &'a Secret,
    purpose: Purpose,
    number: Option<&'a PhoneNumberId>,
    method: Verb,
    path: &'a [&'a str],
    query: Option<(&'static str, &'a str)>,
    limit: Duration,
}

#[derive(Clone, Copy)]
enum Verb {
    Get,
    Post,
}

impl GraphClient {
    /// A client that has not connected yet. The process needs a rustls crypto
    /// provider installed before.
    pub fn new(config: GraphConfig) -> Result<Self, ClientError> {
        let base = Url::parse(&config.base_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| ClientError::BaseUrl(config.base_url.clone()))?;
        let http = pool(&config.user_agent)?;
        let ends = pool(&config.user_agent)?;
        let guard = Guard { breaker: Mutex::default(), on_change: config.on_change };
        let (version, limits) = (config.version, config.limits);
        Ok(Self { http, ends, base, version, limits, guard: Arc::new(guard) })
    }

    /// Calls a user. Never repeated here: after a [`GraphError::Timeout`] the
    /// phone may be ringing, and a webhook with `callback_data` will tell.
    pub async fn connect(
        &self,
        number: &PhoneNumberId,
        token: &Secret,
        to: &Callee,
        offer: &str,
        callback_data: &str,
    ) -> Result<Wacid, GraphError> {
        let request = CallRequest::connect(to, offer, callback_data);
        self.call(number, token, &request, response::call_id).await
    }

    /// Sets up the media of a user's call, without answering it.
    pub async fn pre_accept(
        &self,
        number: &PhoneNumberId,
        token: &Secret,
        call: &Wacid,
        answer: &str,
    ) -> Result<(), GraphError> {
        self.call(number, token, &CallRequest::pre_accept(call, answer), response::success).await
    }

    /// Answers a user's call, with the bytes given to `pre_accept`.
    pub async fn accept(
        &self,
        number: &PhoneNumberId,
        token: &Secret,
        call: &Wacid,
        answer: &str,
        callback_data: &str,
    ) -> Result<(), GraphError> {
        let request = CallRequest::accept(call, answer, callback_data);
        self.call(number, token, &request, response::success).await
    }

    /// Refuses a user's call.
    pub async fn reject(
        &self,
        number: &PhoneNumberId,
        token: &Secret,
        call: &Wacid,
    ) -> Result<(), GraphError> {
        self.call(number, token, &CallRequest::reject(call), response::success).await
    }

    /// Ends a call.
    pub async fn terminate(
        &self,
        number: &PhoneNumberId,
        token: &Secret,
        call: &Wacid,
    ) -> Result<(), GraphError> {
        self.call(number, token, &CallRequest::terminate(call), response::success).await
    }

    async fn call<T>(
        &self,
        number: &PhoneNumberId,
        token: &Secret,
        request: &CallRequest<'_>,
        understand: fn(Answer<'_>) -> Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        let action = request.action();
        let ask = Ask {
            name: action.name(),
            token,
            purpose: action.purpose(),
            number: Some(number),
            method: Verb::Post,
            path: &[number.as_str(), "calls"],
            query: None,
            limit: self.limits.of(action),
        };
        self.ask(ask, |builder| builder.json(request), understand).await
    }

    /// Sends a request, unless it is known to fail.
    async fn ask<T>(
        &self,
        ask: Ask<'_>,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
        understand: impl FnOnce(Answer<'_>) -> Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        let permit = self.guard.ask(&ask)?;
        let result = self.send(ask, fill, understand).await;
        self.guard.done(permit, result.as_ref().map(|_| ()));
        result
    }

    async fn send<T>(
        &self,
        ask: Ask<'_>,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
        understand: impl FnOnce(Answer<'_>) -> Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        let pool = if ask.purpose == Purpose::End { &self.ends } else { &self.http };
        let url = self.url(ask.path, ask.query);
        let builder = match ask.method {
            Verb::Get => pool.get(url),
            Verb::Post => pool.post(url),
        };
        let sent = fill(builder.bearer_auth(ask.token.expose()).timeout(ask.limit)).send().await;
        let result = match sent {
            Ok(answer) => read(answer, understand).await,
            Err(error) => Err(failure(error)),
        };
        let outcome = result.as_ref().err().map_or_else(|| "done".into(), ToString::to_string);
        tracing::debug!(operation = ask.name, %outcome, "Graph request");
        result
    }

    fn url(&self, path: &[&str], query: Option<(&str, &str)>) -> Url {
        let mut url = self.base.clone();
        // Fails for URLs that cannot be a base only; http and https always can.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(&self.version).extend(path);
        }
        if let Some((key, value)) = query {
            url.query_pairs_mut().append_pair(key, value);
        }
        url
    }
}

impl Guard {
    fn ask(&self, ask: &Ask<'_>) -> Result<Permit, GraphError> {
        let request =
            Request { purpose: ask.purpose, number: ask.number.cloned(), token: Digest::of(ask.token) };
        self.lock().ask(Instant::now(), request)
    }

    fn done(&self, permit: Permit, result: Result<(), &GraphError>) {
        let events = self.lock().done(Instant::now(), permit, result);
        if let Some(on_change) = &self.on_change {
            events.into_iter().for_each(|event| on_change(event));
        }
    }

    /// Nothing in it is left half done by a panic.
    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

fn pool(user_agent: &str) -> Result<Client, ClientError> {
    Client::builder()
        .user_agent(user_agent)
        .redirect(redirect::Policy::none())
        .connect_timeout(DIAL_LIMIT)
        .pool_max_idle_per_host(MAX_IDLE)
        .pool_idle_timeout(IDLE_LIMIT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_LIMIT)
        .http2_keep_alive_while_idle(true)
        .build()
        .map_err(|error| ClientError::Setup(chain(&error)))
}

async fn read<T>(
    mut answer: Response,
    understand: impl FnOnce(Answer<'_>) -> Result<T, GraphError>,
) -> Result<T, GraphError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failure)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(GraphError::BadResponse(format!("longer than {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    understand(Answer { status: answer.status().as_u16(), retry_after, body: &body })
}

/// A time-out while dialling is a transport error: nothing was asked yet.
fn failure(error: reqwest::Error) -> GraphError {
    if error.is_timeout() && !error.is_connect() {
        GraphError::Timeout
    } else {
        GraphError::Transport(chain(&error.without_url()))
    }
}

/// An error with its causes, on one line.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
