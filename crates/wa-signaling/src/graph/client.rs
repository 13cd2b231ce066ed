//! The HTTP client of the Graph API: one connection pool, a time limit per
//! operation, bounded answers.

use std::error::Error as _;
use std::time::Duration;

use reqwest::{Client, Response, Url, header, redirect};

use super::error::GraphError;
use super::request::{Action, CallRequest};
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

/// Where the Graph API is and how it is spoken to.
#[derive(Clone, Debug)]
pub struct GraphConfig {
    /// Such as `https://graph.facebook.com`.
    pub base_url: String,
    /// Such as `v25.0`.
    pub version: String,
    /// The User-Agent header.
    pub user_agent: String,
    /// How long each operation may take.
    pub limits: TimeLimits,
}

impl GraphConfig {
    /// A configuration with the default time limits.
    pub fn new(base_url: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            version: version.into(),
            user_agent: concat!("wa-bridge/", env!("CARGO_PKG_VERSION")).into(),
            limits: TimeLimits::default(),
        }
    }
}

/// The whole time an operation may take, connection and answer included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeLimits {
    /// A user's phone may be woken in it: the longest.
    pub connect: Duration,
    /// Of `pre_accept`.
    pub pre_accept: Duration,
    /// Of `accept`: somebody has answered and hears nothing until it is done.
    pub accept: Duration,
    /// Of `reject`.
    pub reject: Duration,
    /// Of `terminate`.
    pub terminate: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            pre_accept: Duration::from_secs(6),
            accept: Duration::from_secs(6),
            reject: Duration::from_secs(6),
            terminate: Duration::from_secs(6),
        }
    }
}

impl TimeLimits {
    fn of(&self, action: Action) -> Duration {
        match action {
            Action::Connect => self.connect,
            Action::PreAccept => self.pre_accept,
            Action::Accept => self.accept,
            Action::Reject => self.reject,
            Action::Terminate => self.terminate,
        }
    }
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The base URL is not one of http or https.
    #[error("{0:?} is not an http or https URL")]
    BaseUrl(String),
    /// TLS or the HTTP client could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Setup(String),
}

/// A client of the Graph API; clones share its connections.
#[derive(Clone, Debug)]
pub struct GraphClient {
    http: Client,
    base: Url,
    version: String,
    limits: TimeLimits,
}

impl GraphClient {
    /// A client that has not connected yet. The process needs a rustls crypto
    /// provider installed before.
    pub fn new(config: GraphConfig) -> Result<Self, ClientError> {
        let base = Url::parse(&config.base_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| ClientError::BaseUrl(config.base_url.clone()))?;
        let http = Client::builder()
            .user_agent(&config.user_agent)
            .redirect(redirect::Policy::none())
            .connect_timeout(DIAL_LIMIT)
            .pool_max_idle_per_host(MAX_IDLE)
            .pool_idle_timeout(IDLE_LIMIT)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_LIMIT)
            .http2_keep_alive_while_idle(true)
            .build()
            .map_err(|error| ClientError::Setup(chain(&error)))?;
        Ok(Self { http, base, version: config.version, limits: config.limits })
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
        self.post(number, token, &request, response::call_id).await
    }

    /// Sets up the media of a user's call, without answering it.
    pub async fn pre_accept(
        &self,
        number: &PhoneNumberId,
        token: &Secret,
        call: &Wacid,
        answer: &str,
    ) -> Result<(), GraphError> {
        self.post(number, token, &CallRequest::pre_accept(call, answer), response::success).await
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
        self.post(number, token, &request, response::success).await
    }

    /// Refuses a user's call.
    pub async fn reject(
        &self,
        number: &PhoneNumberId,
        token: &Secret,
        call: &Wacid,
    ) -> Result<(), GraphError> {
        self.post(number, token, &CallRequest::reject(call), response::success).await
    }

    /// Ends a call.
    pub async fn terminate(
        &self,
        number: &PhoneNumberId,
        token: &Secret,
        call: &Wacid,
    ) -> Result<(), GraphError> {
        self.post(number, token, &CallRequest::terminate(call), response::success).await
    }

    async fn post<T>(
        &self,
        number: &PhoneNumberId,
        token: &Secret,
        request: &CallRequest<'_>,
        understand: fn(Answer<'_>) -> Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        let action = request.action();
        let sent = self
            .http
            .post(self.url(number))
            .bearer_auth(token.expose())
            .timeout(self.limits.of(action))
            .json(request)
            .send()
            .await;
        let result = match sent {
            Ok(answer) => read(answer, understand).await,
            Err(error) => Err(failure(error)),
        };
        let outcome = result.as_ref().err().map_or_else(|| "done".into(), ToString::to_string);
        tracing::debug!(action = action.name(), %outcome, "Graph request");
        result
    }

    fn url(&self, number: &PhoneNumberId) -> Url {
        let mut url = self.base.clone();
        // Fails for URLs that cannot be a base only; http and https always can.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend([&self.version, number.as_str(), "calls"]);
        }
        url
    }
}

async fn read<T>(
    mut answer: Response,
    understand: fn(Answer<'_>) -> Result<T, GraphError>,
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
