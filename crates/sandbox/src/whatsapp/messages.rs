//! `POST /{number}/messages` and `GET /{number}/call_permissions`: asking users whether they may be called.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::actions;
use super::codes;
use super::config::BusinessNumber;
use super::events;
use super::faults::ApiError;
use super::graph::{Done, product};
use super::hub::{Hub, lock};
use super::operation::{Operation, Target};
use super::permission::{Granted, PermissionAnswer, Permissions, TEMPORARY};
use super::random;

/// How long a user thinks about a permission request.
const THINKS: Duration = Duration::from_millis(100);
/// Longest text of a request.
const MAX_TEXT: usize = 1024;

/// `GET /{number}/call_permissions`.
pub(crate) fn permission(hub: &Hub, number: &BusinessNumber, target: &Target) -> Result<Done, ApiError> {
    let user = target
        .parameter("user_wa_id")
        .or_else(|| target.parameter("recipient"))
        .map(|user| actions::digits(&user))
        .ok_or_else(|| ApiError::parameter("The parameter user_wa_id is required"))?;
    if let Some(error) = codes::refusal(&user, Operation::CallPermissions) {
        return Err(error);
    }
    if !hub.asked.take(hub.permission_rate()) {
        return Err(ApiError::of(613));
    }
    let free = hub.permissions() == Permissions::Off;
    let (now, shape) = (hub.clock(), *lock(&hub.permission_shape));
    let pair = (number.phone_number_id.as_str(), user.as_str());
    let reply = lock(&hub.book).describe(pair, now, free, shape, |time| hub.shown(time));
    Ok(Done::reply(reply))
}

/// Requests within the last second.
#[derive(Default)]
pub(crate) struct Rate(std::sync::Mutex<Vec<Instant>>);

impl Rate {
    fn take(&self, most: usize) -> bool {
        let mut times = lock(&self.0);
        times.retain(|at| at.elapsed() < Duration::from_secs(1));
        let free = times.len() < most;
        if free {
            times.push(Instant::now());
        }
        free
    }
}

/// `POST /{number}/messages`.
pub(crate) fn send(hub: &Arc<Hub>, number: &BusinessNumber, target: &Target) -> Result<Done, ApiError> {
    let json = &target.json;
    product(json)?;
    let user = actions::callee(json)?;
    if let Some(error) = codes::refusal(&user, Operation::Messages) {
        return Err(error);
    }
    let id = random::wamid();
    let asks = asks_for_permission(json)?;
    if asks.is_some() {
        let free_form = asks == Some(Form::Free);
        ask(hub, number, &user, free_form, &id)?;
    }
    hub.config.ladder.log(&user, crate::ladder::Lane::WhatsApp, crate::ladder::Lane::User, label(asks));
    Ok(Done::reply(json!({
        "messaging_product": "whatsapp",
        "contacts": [{ "input": user, "wa_id": user }],
        "messages": [{ "id": id }],
    })))
}

fn label(asks: Option<Form>) -> &'static str {
    if asks.is_some() { "call permission request" } else { "message" }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Free,
    Template,
}

/// Whether the message is a permission request, and of which kind.
fn asks_for_permission(json: &Value) -> Result<Option<Form>, ApiError> {
    match json["type"].as_str() {
        Some("interactive") if json["interactive"]["type"] == "call_permission_request" => {
            let interactive = &json["interactive"];
            if interactive["action"]["name"] != "call_permission_request" {
                return Err(ApiError::parameter("interactive.action.name must be 'call_permission_request'"));
            }
            let text = interactive["body"]["text"].as_str();
            match text {
                Some(text) if !text.is_empty() && text.chars().count() <= MAX_TEXT => Ok(Some(Form::Free)),
                _ => Err(ApiError::parameter("interactive.body.text is required: 1 to 1024 characters")),
            }
        }
        Some("template") => {
            let template = &json["template"];
            if !template["name"].is_string() || !template["language"]["code"].is_string() {
                return Err(ApiError::parameter("template.name and template.language.code are required"));
            }
            // Whether a template asks for permission is written in the template, which is known by its name here.
            let parts = template["components"].as_array();
            let listed =
                parts.is_some_and(|parts| parts.iter().any(|part| part["type"] == "call_permission_request"));
            let named = template["name"].as_str().is_some_and(|name| name.contains("permission"));
            Ok((listed || named).then_some(Form::Template))
        }
        Some("interactive" | "text") => Ok(None),
        _ => Err(ApiError::parameter("The parameter type is missing or unknown here")),
    }
}

fn ask(hub: &Arc<Hub>, number: &BusinessNumber, user: &str, free: bool, id: &str) -> Result<(), ApiError> {
    let (own, now) = (number.phone_number_id.as_str(), hub.clock());
    let mut book = lock(&hub.book);
    if free && hub.needs_conversation() && !book.has_conversation(own, user, now) {
        return Err(ApiError::of(138_011));
    }
    book.request(own, user, now).map_err(ApiError::of)?;
    drop(book);
    let answer = hub.answer_of(user);
    if answer == PermissionAnswer::Never {
        return Ok(());
    }
    let (shared, number, user, id) = (Arc::clone(hub), number.clone(), user.to_owned(), id.to_owned());
    hub.spawn(async move {
        tokio::time::sleep(THINKS).await;
        shared.decide(&number, &user, answer, Some(&id));
    });
    Ok(())
}

impl Hub {
    pub(crate) fn permissions(&self) -> Permissions {
        *lock(&self.permissions)
    }

    fn permission_rate(&self) -> usize {
        *lock(&self.permission_rate)
    }

    fn needs_conversation(&self) -> bool {
        *lock(&self.needs_conversation)
    }

    /// What the user would say to a permission request.
    fn answer_of(&self, user: &str) -> PermissionAnswer {
        let by_hand = lock(&self.answers).get(user).copied();
        by_hand.unwrap_or_else(|| self.behaviour(user).permission)
    }

    /// The user decides about calls of that number: to a request (its message id), or in the profile. The
    /// webhook tells it.
    pub(crate) fn decide(
        self: &Arc<Self>,
        number: &BusinessNumber,
        user: &str,
        answer: PermissionAnswer,
        context: Option<&str>,
    ) {
        let until = self.clock() + TEMPORARY;
        let granted = match answer {
            PermissionAnswer::Temporary => Some(Granted::Until(until)),
            PermissionAnswer::Permanent => Some(Granted::ForGood),
            PermissionAnswer::Reject => None,
            PermissionAnswer::Never => return,
        };
        lock(&self.book).grant(&number.phone_number_id, user, granted);
        events::permission_reply(self, number, user, granted, context, "user_action");
    }

    /// A user's call gives permission to call back, where the number's settings say so.
    pub(crate) fn grant_by_call(self: &Arc<Self>, number: &BusinessNumber, user: &str, wacid: &str) {
        let now = self.clock();
        lock(&self.book).open_conversation(&number.phone_number_id, user, now);
        if self.permissions() == Permissions::Off || !self.grants_callback(number) {
            return;
        }
        let mut book = lock(&self.book);
        if book.granted(&number.phone_number_id, user, now).is_some() {
            return;
        }
        let granted = Some(Granted::Until(now + TEMPORARY));
        book.grant(&number.phone_number_id, user, granted);
        drop(book);
        events::permission_reply(self, number, user, granted, Some(wacid), "automatic");
    }

    /// Whether `connect` may ring this user.
    pub(crate) fn may_ring(&self, number: &BusinessNumber, user: &str) -> Result<(), ApiError> {
        if self.permissions() == Permissions::Off {
            return Ok(());
        }
        lock(&self.book).may_call(&number.phone_number_id, user, self.clock()).map_err(ApiError::of)
    }

    /// A call of the business was answered, or ended without.
    pub(crate) fn outcome(self: &Arc<Self>, number: &BusinessNumber, user: &str, answered: bool) {
        if self.permissions() == Permissions::Off {
            return;
        }
        let revoked = lock(&self.book).outcome(&number.phone_number_id, user, answered, self.clock());
        if revoked {
            events::permission_reply(self, number, user, None, None, "automatic");
        }
    }
}
