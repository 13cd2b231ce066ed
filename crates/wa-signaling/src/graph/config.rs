//! How the Graph API is reached: its address, its version, how long it may take.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::event::GraphEvent;
use super::request::Action;

/// Takes what the client has noticed; called beside a request, so it must not block.
pub type OnChange = Arc<dyn Fn(GraphEvent) + Send + Sync>;

/// Where the Graph API is and how it is spoken to.
#[derive(Clone)]
pub struct GraphConfig {
    /// Such as `https://graph.facebook.com`.
    pub base_url: String,
    /// Such as `v25.0`.
    pub version: String,
    /// The User-Agent header.
    pub user_agent: String,
    /// How long each operation may take.
    pub limits: TimeLimits,
    /// Hears of what somebody has to see to, and of its end.
    pub on_change: Option<OnChange>,
}

impl GraphConfig {
    /// A configuration with the default time limits, telling nobody of changes.
    pub fn new(base_url: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            version: version.into(),
            user_agent: concat!("wa-bridge/", env!("CARGO_PKG_VERSION")).into(),
            limits: TimeLimits::default(),
            on_change: None,
        }
    }
}

impl fmt::Debug for GraphConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphConfig")
            .field("base_url", &self.base_url)
            .field("version", &self.version)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
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
    /// Of everything that is not of one call: settings, permissions, messages.
    pub other: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            pre_accept: Duration::from_secs(6),
            accept: Duration::from_secs(6),
            reject: Duration::from_secs(6),
            terminate: Duration::from_secs(6),
            other: Duration::from_secs(10),
        }
    }
}

impl TimeLimits {
    /// The same limit for everything.
    #[must_use]
    pub const fn all(limit: Duration) -> Self {
        Self {
            connect: limit,
            pre_accept: limit,
            accept: limit,
            reject: limit,
            terminate: limit,
            other: limit,
        }
    }

    pub(super) const fn of(&self, action: Action) -> Duration {
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
