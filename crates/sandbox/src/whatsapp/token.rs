//! Access tokens: which are good, until when, and for what.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::config::WhatsAppConfig;
use super::faults::ApiError;
use super::graph::Done;
use super::hub::{Hub, lock};
use super::operation::{Operation, Target};

/// The right to call and to send messages.
pub const MESSAGING: &str = "whatsapp_business_messaging";
/// The right to read and change settings and subscriptions.
pub const MANAGEMENT: &str = "whatsapp_business_management";

/// The system user's token.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// By the sandbox's clock; `None` for never.
    pub(crate) expires: Option<SystemTime>,
    pub(crate) scopes: Vec<String>,
    issued: SystemTime,
}

impl Token {
    pub(crate) fn new(text: String) -> Self {
        let scopes = [MESSAGING, MANAGEMENT].map(str::to_owned).to_vec();
        Self { text, expires: None, scopes, issued: SystemTime::now() }
    }

    fn expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }

    fn allows(&self, operation: Option<Operation>) -> Result<(), ApiError> {
        let (scope, code) = match operation {
            None | Some(Operation::Call(_) | Operation::CallPermissions | Operation::Messages) => {
                (MESSAGING, 10)
            }
            Some(
                Operation::Settings
                | Operation::SetSettings
                | Operation::SubscribedApps
                | Operation::SetSubscribedApps,
            ) => (MANAGEMENT, 200),
            Some(_) => return Ok(()),
        };
        if self.scopes.iter().any(|known| known == scope) {
            return Ok(());
        }
        let details = format!("The access token has not the permission {scope}");
        Err(ApiError { details, ..ApiError::of(code) })
    }
}

/// `app_id|app_secret`.
fn app_token(config: &WhatsAppConfig) -> String {
    format!("{}|{}", config.app_id, config.app_secret)
}

fn refused(message: &str, subcode: u32, details: &str) -> ApiError {
    ApiError { subcode: Some(subcode), ..ApiError::new(401, 190, message, details) }
}

/// Whether the bearer of this token may do that.
pub(crate) fn check(hub: &Hub, operation: Option<Operation>, given: Option<&str>) -> Result<(), ApiError> {
    let Some(given) = given else {
        let details = "No bearer token in the request";
        return Err(ApiError::new(401, 190, "An access token is required", details));
    };
    let apps_own = matches!(
        operation,
        Some(Operation::Subscriptions | Operation::SetSubscriptions | Operation::DebugToken)
    );
    if given == app_token(&hub.config) {
        return if apps_own { Ok(()) } else { Err(ApiError::of(200)) };
    }
    let token = lock(&hub.token).clone();
    if given != token.text {
        return Err(ApiError::new(401, 190, "Invalid OAuth access token", "Cannot parse access token"));
    }
    if token.expired(hub.clock()) {
        return Err(refused("Error validating access token", 463, "The session has expired"));
    }
    if matches!(operation, Some(Operation::Subscriptions | Operation::SetSubscriptions)) {
        return Err(ApiError::of(15));
    }
    token.allows(operation)
}

impl Hub {
    /// The token that is accepted from now on; any other is refused with 190.
    pub(crate) fn set_token(&self, text: String) {
        let scopes = lock(&self.token).scopes.clone();
        *lock(&self.token) = Token { scopes, ..Token::new(text) };
    }

    /// The token expires so long from now, by the sandbox's clock.
    pub(crate) fn expire_token_in(&self, time: Duration) {
        lock(&self.token).expires = Some(self.clock() + time);
    }

    pub(crate) fn set_scopes(&self, scopes: Vec<String>) {
        lock(&self.token).scopes = scopes;
    }
}

/// `GET /debug_token`.
pub(crate) fn debug(hub: &Hub, target: &Target) -> Result<Done, ApiError> {
    let input =
        target.parameter("input_token").ok_or_else(|| ApiError::parameter("input_token is required"))?;
    let token = lock(&hub.token).clone();
    let data = if input == app_token(&hub.config) {
        json!({ "app_id": hub.config.app_id, "type": "APP", "application": "sandbox", "is_valid": true, "scopes": [] })
    } else if input != token.text {
        let message = "The access token could not be decrypted";
        json!({ "error": { "code": 190, "message": message }, "is_valid": false, "scopes": [] })
    } else {
        of_user(hub, &token)
    };
    Ok(Done::reply(json!({ "data": data })))
}

fn of_user(hub: &Hub, token: &Token) -> Value {
    let expired = token.expired(hub.clock());
    let mut data = json!({
        "app_id": hub.config.app_id,
        "type": "SYSTEM_USER",
        "application": "sandbox",
        "data_access_expires_at": 0,
        "expires_at": token.expires.map_or(0, |time| hub.shown(time)),
        "is_valid": !expired,
        "issued_at": hub.shown(token.issued),
        "scopes": token.scopes,
        "granular_scopes": token.scopes.iter().map(|scope| {
            json!({ "scope": scope, "target_ids": [hub.config.waba_id] })
        }).collect::<Vec<_>>(),
        "user_id": "122100000000000001",
    });
    if expired {
        data["error"] = json!({ "code": 190, "subcode": 463, "message": "The session has expired" });
    }
    data
}
