//! How tests steer what is not a call: faults, tokens, settings, permissions, webhooks, the clock.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::WhatsApp;
use super::config::BusinessNumber;
use super::events::{self, Event};
use super::faults::GraphFault;
use super::hub::{Hub, lock};
use super::operation::Operation;
use super::permission::{PermissionAnswer, PermissionShape, Permissions};
use super::post::WebhookFault;
use super::scenario::Behaviour;

impl WhatsApp {
    /// Where the control API listens, if it does.
    #[must_use]
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control
    }

    /// The next `times` requests of this operation have this fault, after those asked for before.
    pub fn fault(&self, operation: impl Into<Operation>, fault: &GraphFault, times: usize) {
        self.hub.fault(operation.into(), fault, times);
    }

    /// Forgets the faults of the Graph API and of webhooks that have not happened yet.
    pub fn clear_faults(&self) {
        self.hub.clear_faults();
    }

    /// The token that is accepted from now on, without an end; any other is refused with 190.
    pub fn set_token(&self, token: impl Into<String>) {
        self.hub.set_token(token.into());
    }

    /// The token expires so long from now, by the sandbox's clock.
    pub fn expire_token_in(&self, time: Duration) {
        self.hub.expire_token_in(time);
    }

    /// The rights of the token, [`super::MESSAGING`] and [`super::MANAGEMENT`] at first: without them 10 or 200.
    pub fn set_scopes(&self, scopes: &[&str]) {
        self.hub.set_scopes(scopes.iter().map(|scope| (*scope).to_owned()).collect());
    }

    /// The calling settings of a number.
    #[must_use]
    pub fn settings(&self, phone_number_id: &str) -> Value {
        let number = self.hub.config.number(phone_number_id);
        number.map_or(Value::Null, |number| self.hub.settings(&number).calling)
    }

    /// Sets one of them by hand (`"status"`, `json!("DISABLED")`), without a check and without a webhook.
    pub fn set_setting(&self, phone_number_id: &str, name: &str, value: Value) {
        self.hub.edit_settings(phone_number_id, |settings| settings.calling[name] = value);
    }

    /// Whether the number's messaging limit is too low for calls: then they cannot be enabled (138015).
    pub fn set_low_limit(&self, phone_number_id: &str, low: bool) {
        self.hub.edit_settings(phone_number_id, |settings| settings.low_limit = low);
    }

    /// Restricts a number, for example with `RESTRICTED_BUSINESS_INITIATED_CALLING`, or lifts all restrictions.
    pub fn restrict(&self, phone_number_id: &str, kind: Option<&str>) {
        self.hub.restrict(phone_number_id, kind);
    }

    /// The apps that the WABA is subscribed to; without ours no webhook is sent.
    pub fn set_subscribed_apps(&self, apps: &[&str]) {
        lock(&self.hub.subscriptions).apps = apps.iter().map(|app| (*app).to_owned()).collect();
    }

    /// The fields that the app is subscribed to; webhooks of others are not sent.
    pub fn set_subscribed_fields(&self, fields: &[&str]) {
        lock(&self.hub.subscriptions).fields = fields.iter().map(|field| (*field).to_owned()).collect();
    }

    /// Whether permissions matter.
    pub fn set_permissions(&self, permissions: Permissions) {
        *lock(&self.hub.permissions) = permissions;
    }

    /// How `call_permissions` writes its replies.
    pub fn set_permission_shape(&self, shape: PermissionShape) {
        *lock(&self.hub.permission_shape) = shape;
    }

    /// How many requests of `call_permissions` are answered in a second (100); more are refused with 613.
    pub fn set_permission_rate(&self, rate: usize) {
        *lock(&self.hub.permission_rate) = rate;
    }

    /// Whether a free-form permission request needs an open conversation (138011).
    pub fn need_conversation(&self, need: bool) {
        *lock(&self.hub.needs_conversation) = need;
    }

    /// What a user says to permission requests from now on.
    pub fn set_answer(&self, user: &str, answer: PermissionAnswer) {
        lock(&self.hub.answers).insert(user.to_owned(), answer);
    }

    /// The user decides by hand about calls of the first number, as in the business's profile; the webhook
    /// follows.
    pub fn decide(&self, user: &str, answer: PermissionAnswer) {
        self.hub.decide(&self.hub.first_number(), user, answer, None);
    }

    /// Calls in a row from the first number that the user has not answered.
    #[must_use]
    pub fn unanswered(&self, user: &str) -> u32 {
        lock(&self.hub.book).unanswered(&self.hub.config.phone_number_id, user)
    }

    /// What a dialled number does from now on.
    pub fn set_behaviour(&self, number: &str, behaviour: Behaviour) {
        lock(&self.hub.numbers).insert(number.to_owned(), behaviour);
    }

    /// Moves the sandbox's clock on: permissions, limits and tokens expire.
    pub fn advance(&self, time: Duration) {
        self.hub.advance(time);
    }

    /// The next `times` webhooks whose name begins with `what` (empty for any), after `skip` good ones, have
    /// this fault.
    pub fn webhook_fault(&self, what: &str, skip: usize, fault: &WebhookFault, times: usize) {
        lock(&self.hub.post).rule(what, skip, fault, times);
    }

    /// The next webhooks wait for each other, then leave one after the other; `order[0]` is the place of the
    /// first to leave among those that came.
    ///
    /// # Panics
    /// It is no permutation of 0, 1, 2, ...
    pub fn reorder_webhooks(&self, order: &[usize]) {
        lock(&self.hub.post).reorder(order);
    }

    /// The next `count` webhooks come in one POST.
    pub fn batch_webhooks(&self, count: usize) {
        lock(&self.hub.post).batch(count);
    }

    /// Something happens outside calls, to the first number; false where nobody is subscribed to it.
    pub fn happen(&self, event: &Event) -> bool {
        events::happen(&self.hub, &self.hub.first_number(), event)
    }
}

impl Hub {
    pub(crate) fn clear_faults(&self) {
        lock(&self.faults).clear();
        lock(&self.post).clear();
    }

    pub(crate) fn first_number(&self) -> BusinessNumber {
        BusinessNumber {
            phone_number_id: self.config.phone_number_id.clone(),
            display_number: self.config.display_number.clone(),
        }
    }

    pub(crate) fn restrict(&self, phone_number_id: &str, kind: Option<&str>) {
        let until = self.shown(self.clock() + Duration::from_secs(7 * 24 * 3600));
        let restrictions = kind.map(|kind| {
            json!({ "restrictions_list": [{ "type": kind, "reason": "quality", "expiration": until }] })
        });
        self.edit_settings(phone_number_id, |settings| {
            if let Some(calling) = settings.calling.as_object_mut() {
                calling.remove("restrictions");
                calling.extend(restrictions.map(|list| ("restrictions".to_owned(), list)));
            }
        });
    }

    /// What `GET /{number}` knows.
    pub(crate) fn number_fields(&self, number: &BusinessNumber) -> Value {
        json!({
            "id": number.phone_number_id,
            "display_phone_number": format!("+{}", number.display_number),
            "verified_name": "Sandbox Ltd",
            "code_verification_status": "VERIFIED",
            "quality_rating": "GREEN",
            "status": "CONNECTED",
            "name_status": "APPROVED",
            "platform_type": "CLOUD_API",
            "throughput": { "level": "STANDARD" },
            "account_mode": "LIVE",
            "messaging_limit_tier":
                if self.settings(number).low_limit { "TIER_250" } else { "TIER_2K" },
            "webhook_configuration": { "application": lock(&self.webhook_url).clone() },
        })
    }
}
