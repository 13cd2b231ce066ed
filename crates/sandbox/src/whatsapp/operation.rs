//! What a request to the Graph API asks for: its method and path, and the action in its body.

use axum::http::{Method, Uri};
use serde_json::Value;

/// An action of `POST /{number}/calls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Call a user.
    Connect,
    /// Take the media of a user's call before it is answered.
    PreAccept,
    /// Answer it.
    Accept,
    /// Reject it.
    Reject,
    /// Hang up.
    Terminate,
}

impl Action {
    fn read(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "connect" => Some(Self::Connect),
            "pre_accept" => Some(Self::PreAccept),
            "accept" => Some(Self::Accept),
            "reject" => Some(Self::Reject),
            "terminate" => Some(Self::Terminate),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::PreAccept => "pre_accept",
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Terminate => "terminate",
        }
    }
}

/// An operation of the Graph API that the sandbox plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `POST /{number}/calls`.
    Call(Action),
    /// `GET /{number}/settings`.
    Settings,
    /// `POST /{number}/settings`.
    SetSettings,
    /// `GET /{number}/call_permissions`.
    CallPermissions,
    /// `POST /{number}/messages`.
    Messages,
    /// `GET /{WABA}/subscribed_apps`.
    SubscribedApps,
    /// `POST` or `DELETE /{WABA}/subscribed_apps`.
    SetSubscribedApps,
    /// `GET /{app}/subscriptions`.
    Subscriptions,
    /// `POST` or `DELETE /{app}/subscriptions`.
    SetSubscriptions,
    /// `GET /debug_token`.
    DebugToken,
    /// `GET /{number}`.
    Number,
}

impl From<Action> for Operation {
    fn from(action: Action) -> Self {
        Self::Call(action)
    }
}

impl Operation {
    /// Every one, for tables and tests.
    pub const ALL: [Self; 15] = [
        Self::Call(Action::Connect),
        Self::Call(Action::PreAccept),
        Self::Call(Action::Accept),
        Self::Call(Action::Reject),
        Self::Call(Action::Terminate),
        Self::Settings,
        Self::SetSettings,
        Self::CallPermissions,
        Self::Messages,
        Self::SubscribedApps,
        Self::SetSubscribedApps,
        Self::Subscriptions,
        Self::SetSubscriptions,
        Self::DebugToken,
        Self::Number,
    ];

    /// Its name in the control API and in ladders.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Call(action) => action.name(),
            Self::Settings => "settings",
            Self::SetSettings => "set_settings",
            Self::CallPermissions => "call_permissions",
            Self::Messages => "messages",
            Self::SubscribedApps => "subscribed_apps",
            Self::SetSubscribedApps => "set_subscribed_apps",
            Self::Subscriptions => "subscriptions",
            Self::SetSubscriptions => "set_subscriptions",
            Self::DebugToken => "debug_token",
            Self::Number => "number",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}

/// A request, read as far as its path goes.
pub(crate) struct Target {
    pub(crate) method: Method,
    pub(crate) path: String,
    version: String,
    /// The id in the path: a number's, the WABA's or the app's.
    pub(crate) object: String,
    /// The edge behind it: `calls`, `settings`, ...; empty for the object itself.
    edge: String,
    /// From the query, and from a body that is a form.
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) json: Value,
}

impl Target {
    /// `None` where the path is none that the sandbox knows.
    pub(crate) fn read(method: &Method, uri: &Uri, form: bool, body: &[u8]) -> Option<Self> {
        let mut segments = uri.path().trim_matches('/').split('/').map(str::to_owned);
        let (version, object) = (segments.next()?, segments.next()?);
        let edge = segments.next().unwrap_or_default();
        let mut parameters = pairs(uri.query().unwrap_or_default());
        if form {
            parameters.extend(pairs(&String::from_utf8_lossy(body)));
        }
        let json = serde_json::from_slice(body).unwrap_or(Value::Null);
        let target = Self {
            method: method.clone(),
            path: uri.path().to_owned(),
            version,
            object,
            edge,
            parameters,
            json,
        };
        (segments.next().is_none() && target.known()).then_some(target)
    }

    fn known(&self) -> bool {
        let versioned = self
            .version
            .strip_prefix('v')
            .and_then(|rest| rest.split_once('.'))
            .is_some_and(|(major, minor)| major.parse::<u8>().is_ok() && minor.parse::<u8>().is_ok());
        versioned && (self.is_calls() || self.operation().is_some())
    }

    fn is_calls(&self) -> bool {
        self.edge == "calls" && self.method == Method::POST
    }

    /// `None` where the action of a call is missing or unknown.
    pub(crate) fn operation(&self) -> Option<Operation> {
        let (get, post) = (self.method == Method::GET, self.method == Method::POST);
        let delete = self.method == Method::DELETE;
        match self.edge.as_str() {
            "calls" if post => Some(Action::read(self.json["action"].as_str()?)?.into()),
            "settings" if get => Some(Operation::Settings),
            "settings" if post => Some(Operation::SetSettings),
            "call_permissions" if get => Some(Operation::CallPermissions),
            "messages" if post => Some(Operation::Messages),
            "subscribed_apps" if get => Some(Operation::SubscribedApps),
            "subscribed_apps" if post || delete => Some(Operation::SetSubscribedApps),
            "subscriptions" if get => Some(Operation::Subscriptions),
            "subscriptions" if post || delete => Some(Operation::SetSubscriptions),
            "" if get && self.object == "debug_token" => Some(Operation::DebugToken),
            "" if get => Some(Operation::Number),
            _ => None,
        }
    }

    /// A parameter of the query, the form or the JSON body.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let written = self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        written.or_else(|| match &self.json[name] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        })
    }
}

/// `application/x-www-form-urlencoded`.
fn pairs(text: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://sandbox/?{text}"));
    url.map_or_else(
        |_| Vec::new(),
        |url| url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect(),
    )
}
