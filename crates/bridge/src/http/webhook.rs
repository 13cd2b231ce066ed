//! From the configuration to the listener of webhooks, and to those that they are passed on to.

use std::sync::Arc;

use axum::Router;
use tokio::sync::mpsc;
use wa_signaling::webhook::pass_on::delivery::PassOn;
use wa_signaling::webhook::server;
use wa_signaling::{WebhookConfig, WebhookEvent};

use crate::alarm::{Alarm, Alarms};
use crate::config::Config;
use crate::random;
use crate::shared::Shared;

/// The routes of the listener. Its secrets are those of the configuration in force.
pub(crate) fn router(shared: &Arc<Shared>, events: mpsc::Sender<WebhookEvent>) -> Router {
    let (signing, verifying) = (Arc::clone(shared), Arc::clone(shared));
    let config = WebhookConfig {
        path: shared.config().webhook.path.clone(),
        app_secrets: Arc::new(move || signing.config().webhook.secrets()),
        verify_token: Arc::new(move || verifying.config().webhook.verify_token.current()),
        pass_on: Some(shared.pass_on.clone()),
    };
    server::router(config, events, Arc::clone(&shared.webhooks))
}

/// Who gets what is not for calling; while one of them does not take it there is an alarm.
pub(crate) fn pass_on(config: &Config, alarms: &Arc<Alarms>) -> Result<PassOn, String> {
    let alarms = Arc::clone(alarms);
    let on_change = move |destination: &str, result: Result<(), String>| match result {
        Ok(()) => alarms.clear(Alarm::PassOn, destination),
        Err(problem) => {
            let text = format!(
                "webhooks can't be passed on: {problem}; look after {destination}, or webhook.pass_on"
            );
            alarms.raise(Alarm::PassOn, destination, text);
        }
    };
    let jitter = || u8::from_be_bytes(random::bytes());
    PassOn::new(config.webhook.pass_on.clone(), Arc::new(on_change), jitter)
        .map_err(|error| error.to_string())
}
