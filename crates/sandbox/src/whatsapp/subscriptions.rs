//! Who gets webhooks: the app's fields and callback URL, and the apps of the WhatsApp Business Account.

use std::sync::Arc;

use axum::http::Method;
use serde_json::{Value, json};

use super::faults::ApiError;
use super::graph::Done;
use super::hub::{Hub, lock};
use super::operation::Target;
use super::webhook;

/// Fields that an app may subscribe to; others are refused.
const FIELDS: [&str; 8] = [
    "calls",
    "messages",
    "account_settings_update",
    "account_update",
    "account_alerts",
    "message_template_status_update",
    "phone_number_quality_update",
    "user_preferences",
];
/// The object of all of them.
const OBJECT: &str = "whatsapp_business_account";
/// Longest callback URL.
const MAX_URL: usize = 200;

/// What the app and the WABA are subscribed to.
#[derive(Clone, Debug)]
pub(crate) struct Subscriptions {
    /// Ids of the apps that the WABA is subscribed to.
    pub(crate) apps: Vec<String>,
    /// Fields of the app.
    pub(crate) fields: Vec<String>,
}

impl Subscriptions {
    pub(crate) fn new(app_id: &str) -> Self {
        let fields = FIELDS[..4].iter().map(|field| (*field).to_owned()).collect();
        Self { apps: vec![app_id.to_owned()], fields }
    }
}

impl Hub {
    /// Whether webhooks of that field reach the bridge.
    pub(crate) fn is_subscribed(&self, field: &str) -> bool {
        let subscriptions = lock(&self.subscriptions);
        subscriptions.apps.contains(&self.config.app_id)
            && subscriptions.fields.iter().any(|known| known == field)
    }
}

/// `GET`, `POST`, `DELETE /{WABA}/subscribed_apps`.
pub(crate) fn apps(hub: &Hub, target: &Target) -> Done {
    let own = &hub.config.app_id;
    let mut subscriptions = lock(&hub.subscriptions);
    match target.method {
        Method::POST if !subscriptions.apps.contains(own) => subscriptions.apps.push(own.clone()),
        Method::DELETE => subscriptions.apps.retain(|app| app != own),
        Method::POST => {}
        _ => {
            let one = |id: &String| {
                let link = format!("https://www.facebook.com/games/?app_id={id}");
                json!({ "whatsapp_business_api_data": { "id": id, "link": link, "name": "sandbox" } })
            };
            let data: Vec<Value> = subscriptions.apps.iter().map(one).collect();
            return Done::reply(json!({ "data": data }));
        }
    }
    Done::success()
}

/// `GET /{app}/subscriptions`.
pub(crate) fn read(hub: &Hub) -> Done {
    let subscriptions = lock(&hub.subscriptions).clone();
    if subscriptions.fields.is_empty() {
        return Done::reply(json!({ "data": [] }));
    }
    let fields: Vec<Value> =
        subscriptions.fields.iter().map(|name| json!({ "name": name, "version": "v25.0" })).collect();
    let url = lock(&hub.webhook_url).clone();
    Done::reply(json!({
        "data": [{ "object": OBJECT, "callback_url": url, "active": true, "fields": fields }],
    }))
}

/// `POST` and `DELETE /{app}/subscriptions`. The fields given replace those before.
pub(crate) async fn write(hub: &Arc<Hub>, target: &Target) -> Result<Done, ApiError> {
    if target.parameter("object").as_deref() != Some(OBJECT) {
        return Err(ApiError::parameter("The parameter object must be 'whatsapp_business_account'"));
    }
    let fields = field_names(target)?;
    if target.method == Method::DELETE {
        let mut subscriptions = lock(&hub.subscriptions);
        subscriptions.fields.retain(|field| !fields.is_empty() && !fields.contains(field));
        return Ok(Done::success());
    }
    let required = |name: &str| {
        target
            .parameter(name)
            .ok_or_else(|| ApiError::parameter(&format!("The parameter {name} is required")))
    };
    let (url, token) = (required("callback_url")?, required("verify_token")?);
    if url.len() > MAX_URL {
        return Err(ApiError::parameter("The callback URL is longer than 200 characters"));
    }
    if let Err(error) = webhook::verify_at(hub, &url, &token).await {
        let details = format!("The callback verification failed: {error}");
        let error = ApiError::new(400, 2200, "Callback verification failed", &details);
        return Err(error);
    }
    lock(&hub.subscriptions).fields = fields;
    *lock(&hub.webhook_url) = url;
    Ok(Done::success())
}

/// `fields`: with commas between, or as a list.
fn field_names(target: &Target) -> Result<Vec<String>, ApiError> {
    let names: Vec<String> = match &target.json["fields"] {
        Value::Array(list) => list.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => {
            let text = target.parameter("fields").unwrap_or_default();
            text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
        }
    };
    match names.iter().find(|name| !FIELDS.contains(&name.as_str())) {
        Some(unknown) => Err(ApiError::parameter(&format!("The field {unknown} is unknown"))),
        None => Ok(names),
    }
}
