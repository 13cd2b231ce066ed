//! What is not of one call: settings, permissions, messages, subscriptions, tokens.

use serde_json::{Value, json};

use super::{Ask, GraphClient, Verb};
use crate::graph::account::{NUMBER_FIELDS, NumberInfo, SubscribedApp, Subscription, TokenInfo};
use crate::graph::breaker::Purpose;
use crate::graph::error::GraphError;
use crate::graph::message::{self, PermissionRequest};
use crate::graph::response::{self, Answer};
use crate::graph::settings::{CallingSettings, SettingsChange};
use crate::identity::Callee;
use crate::permission::Permission;
use crate::secret::Secret;
use crate::wacid::PhoneNumberId;

/// What an app subscribes to for a WABA's calls and messages.
const OBJECT: &str = "whatsapp_business_account";

impl GraphClient {
    /// The calling settings of a number. SIP passwords are not asked for.
    pub async fn settings(
        &self,
        number: &PhoneNumberId,
        token: &Secret,
    ) -> Result<CallingSettings, GraphError> {
        let path = [number.as_str(), "settings"];
        let ask = Ask { number: Some(number), ..self.get("settings", token, &path) };
        let understand = |answer: Answer<'_>| Ok(CallingSettings::read(&response::understood(answer)?));
        self.ask(ask, |builder| builder, understand).await
    }

    /// Changes one feature of the calling settings.
    pub async fn set_settings(
        &self,
        number: &PhoneNumberId,
        token: &Secret,
        change: &SettingsChange,
    ) -> Result<(), GraphError> {
        let path = [number.as_str(), "settings"];
        let ask = Ask { number: Some(number), ..self.post("set_settings", token, &path) };
        self.ask(ask, |builder| builder.json(&change.json()), response::success).await
    }

    /// Whether `user` has permitted calls.
    pub async fn call_permission(
        &self,
        number: &PhoneNumberId,
        token: &Secret,
        user: &Callee,
    ) -> Result<Permission, GraphError> {
        let query = match user {
            Callee::Phone(digits) => ("user_wa_id", digits.as_str()),
            Callee::Bsuid(id) => ("recipient", id.as_str()),
        };
        let path = [number.as_str(), "call_permissions"];
        let ask = Ask { number: Some(number), ..self.get("call_permission", token, &path) };
        self.ask(Ask { query: Some(query), ..ask }, |builder| builder, response::permission).await
    }

    /// Asks `user` for the permission to call: the id of the message. Never repeated here: the
    /// user may be asked once a day.
    pub async fn request_permission(
        &self,
        number: &PhoneNumberId,
        token: &Secret,
        user: &Callee,
        request: &PermissionRequest,
    ) -> Result<String, GraphError> {
        let path = [number.as_str(), "messages"];
        let ask = Ask { number: Some(number), ..self.post("request_permission", token, &path) };
        let body = message::permission_request(user, request);
        self.ask(ask, |builder| builder.json(&body), response::message_id).await
    }

    /// A business number as Graph knows it.
    pub async fn number(&self, number: &PhoneNumberId, token: &Secret) -> Result<NumberInfo, GraphError> {
        let path = [number.as_str()];
        let ask = Ask { number: Some(number), ..self.get("number", token, &path) };
        let understand = |answer: Answer<'_>| Ok(NumberInfo::read(&response::understood(answer)?));
        let query = Some(("fields", NUMBER_FIELDS));
        self.ask(Ask { query, ..ask }, |builder| builder, understand).await
    }

    /// The apps that hear of a WABA's events.
    pub async fn subscribed_apps(
        &self,
        waba: &str,
        token: &Secret,
    ) -> Result<Vec<SubscribedApp>, GraphError> {
        let path = [waba, "subscribed_apps"];
        let ask = self.get("subscribed_apps", token, &path);
        let understand = |answer: Answer<'_>| Ok(SubscribedApp::read_all(&response::understood(answer)?));
        self.ask(ask, |builder| builder, understand).await
    }

    /// Has the token's app hear of a WABA's events.
    pub async fn subscribe_app(&self, waba: &str, token: &Secret) -> Result<(), GraphError> {
        let path = [waba, "subscribed_apps"];
        let ask = self.post("subscribe_app", token, &path);
        self.ask(ask, |builder| builder.json(&json!({})), response::success).await
    }

    /// What an app hears of, and where; `app_token` is `{app id}|{app secret}`.
    pub async fn subscriptions(
        &self,
        app_id: &str,
        app_token: &Secret,
    ) -> Result<Vec<Subscription>, GraphError> {
        let path = [app_id, "subscriptions"];
        let ask = self.get("subscriptions", app_token, &path);
        let understand = |answer: Answer<'_>| Ok(Subscription::read_all(&response::understood(answer)?));
        self.ask(ask, |builder| builder, understand).await
    }

    /// Sets where an app's WhatsApp webhooks go, and their fields: all of them, what is left out is
    /// no longer sent. Graph asks `callback_url` for `verify_token` before it answers.
    pub async fn set_subscription(
        &self,
        app_id: &str,
        app_token: &Secret,
        callback_url: &str,
        verify_token: &Secret,
        fields: &[&str],
    ) -> Result<(), GraphError> {
        let path = [app_id, "subscriptions"];
        let ask = self.post("set_subscription", app_token, &path);
        let body = json!({
            "object": OBJECT,
            "callback_url": callback_url,
            "verify_token": verify_token.expose(),
            "fields": fields.join(","),
            "include_values": true,
        });
        self.ask(ask, |builder| builder.json(&body), response::success).await
    }

    /// What a token is worth; `app_token` is `{app id}|{app secret}`.
    pub async fn debug_token(&self, token: &Secret, app_token: &Secret) -> Result<TokenInfo, GraphError> {
        let path = ["debug_token"];
        let ask = self.get("debug_token", app_token, &path);
        let understand = |answer: Answer<'_>| {
            let value: Value = response::understood(answer)?;
            Ok(TokenInfo::read(&value))
        };
        let query = Some(("input_token", token.expose()));
        self.ask(Ask { query, ..ask }, |builder| builder, understand).await
    }

    fn get<'a>(&self, name: &'static str, token: &'a Secret, path: &'a [&'a str]) -> Ask<'a> {
        Ask {
            name,
            token,
            purpose: Purpose::Other,
            number: None,
            method: Verb::Get,
            path,
            query: None,
            limit: self.limits.other,
        }
    }

    fn post<'a>(&self, name: &'static str, token: &'a Secret, path: &'a [&'a str]) -> Ask<'a> {
        Ask { method: Verb::Post, ..self.get(name, token, path) }
    }
}
