//! What was asked and what came back; nothing is judged here.

use wa_signaling::graph::account::{NumberInfo, SubscribedApp, Subscription, TokenInfo};
use wa_signaling::graph::error::GraphError;
use wa_signaling::graph::settings::CallingSettings;

use crate::config::NumberAudio;

/// Everything that the findings are made of.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Our clock, in seconds since 1970.
    pub now: i64,
    /// The Graph API, at this URL.
    pub graph_url: String,
    /// Whether it answers.
    pub graph: Result<Reached, Unreached>,
    /// The Meta app.
    pub app: App,
    /// Where webhooks come in.
    pub webhook: Webhook,
    /// The WhatsApp Business Accounts of the numbers.
    pub wabas: Vec<Waba>,
    /// The business numbers.
    pub numbers: Vec<Number>,
    /// How long the PBX may ring for a caller, in seconds.
    pub ring_limit_s: u64,
}

/// A server that answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reached {
    /// Seconds that our clock is ahead of its Date header, if it has one.
    pub ahead: Option<i64>,
}

/// How far a request came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The name has no address.
    Dns,
    /// No connection.
    Tcp,
    /// No trust.
    Tls,
    /// No answer.
    Http,
}

/// A server that does not answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreached {
    /// What failed.
    pub step: Step,
    /// Why.
    pub why: String,
}

/// The Meta app.
#[derive(Clone, Default, Debug)]
pub struct App {
    /// Its id, if it is configured.
    pub id: Option<String>,
    /// How many app secrets are configured.
    pub secrets: usize,
    /// Its subscriptions, asked for with the first secret that is its own; nothing: not asked.
    pub subscriptions: Option<Result<Vec<Subscription>, GraphError>>,
}

/// Where webhooks come in.
#[derive(Clone, Default, Debug)]
pub struct Webhook {
    /// The URL that WhatsApp calls, if it is configured.
    pub url: Option<String>,
    /// The path on which the bridge listens.
    pub path: String,
    /// Where the bridge listens.
    pub listen: String,
    /// Whether it does TLS itself.
    pub own_tls: bool,
    /// What the verification request was answered; nothing: not asked.
    pub verification: Option<Result<Reply, Unreached>>,
    /// What a signed probe was answered, by secret.
    pub probes: Vec<Result<Reply, Unreached>>,
}

/// An HTTP answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Whether it is the text that was asked for.
    pub is_right: bool,
}

/// A WhatsApp Business Account.
#[derive(Clone, Debug)]
pub struct Waba {
    /// Its id; nothing: the numbers below name none.
    pub id: Option<String>,
    /// The apps that hear of its events; nothing: not asked.
    pub apps: Option<Result<Vec<SubscribedApp>, GraphError>>,
}

/// A business number.
#[derive(Clone, Debug)]
pub struct Number {
    /// Its id.
    pub id: String,
    /// As it is configured, in digits.
    pub display: String,
    /// Its WABA, if one is configured.
    pub waba: Option<String>,
    /// How its audio is configured to be keyed and coded at WhatsApp.
    pub audio: NumberAudio,
    /// What its token is worth; nothing: not asked, for want of an app token.
    pub token: Option<Result<TokenInfo, GraphError>>,
    /// The number at Graph; nothing: not asked.
    pub info: Option<Result<NumberInfo, GraphError>>,
    /// Its calling settings; nothing: not asked.
    pub settings: Option<Result<CallingSettings, GraphError>>,
}
