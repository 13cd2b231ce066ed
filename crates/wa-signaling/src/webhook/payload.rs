//! Webhook bodies to events.
//!
//! Tolerant: what is unknown becomes [`WebhookEvent::Other`], and one entry
//! that cannot be used does not lose its neighbours. Only a body that is not
//! JSON, or no object, is refused.

use serde_json::Value;

use super::event::{CallStatus, Connect, Direction, Session, Status, Terminate, WebhookError, WebhookEvent};
use crate::identity::Caller;
use crate::json::{self, JsonError};
use crate::wacid::{PhoneNumberId, Wacid};

/// Largest body taken: WhatsApp documents 3 MB.
pub const MAX_BODY: usize = 3 * 1024 * 1024;

/// Why a body holds no events at all.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PayloadError {
    /// Larger than [`MAX_BODY`].
    #[error("the body is larger than {MAX_BODY} bytes")]
    TooLarge,
    /// Nested deeper than anything WhatsApp sends.
    #[error("the body is nested too deep")]
    TooDeep,
    /// Not JSON.
    #[error("the body is not JSON: {0}")]
    Syntax(String),
    /// JSON, but not of this kind.
    #[error("the body is not a JSON object")]
    NotAnObject,
}

/// Reads one webhook body, which may batch many events.
pub fn parse(body: &[u8]) -> Result<Vec<WebhookEvent>, PayloadError> {
    if body.len() > MAX_BODY {
        return Err(PayloadError::TooLarge);
    }
    let root = json::parse(body).map_err(|error| match error {
        JsonError::TooDeep => PayloadError::TooDeep,
        JsonError::Syntax(text) => PayloadError::Syntax(text),
    })?;
    if !root.is_object() {
        return Err(PayloadError::NotAnObject);
    }
    let changes = json::list(&root, "entry").iter().flat_map(|entry| json::list(entry, "changes"));
    Ok(changes.flat_map(change).collect())
}

fn change(change: &Value) -> Vec<WebhookEvent> {
    let field = json::text(change, "field").unwrap_or_default();
    match change.get("value") {
        Some(value) if field == "calls" => calls(value),
        _ => vec![WebhookEvent::Other { field: field.to_owned(), event: None }],
    }
}

fn calls(value: &Value) -> Vec<WebhookEvent> {
    let context = Context {
        value,
        number: value
            .get("metadata")
            .and_then(|metadata| json::text(metadata, "phone_number_id")?.parse().ok()),
        is_single: json::list(value, "calls").len() == 1,
    };
    let calls = json::list(value, "calls").iter().map(|call| {
        let event = json::text(call, "event");
        let known = match event {
            Some("connect") => context.connect(call).map(WebhookEvent::Connect),
            Some("terminate") => context.terminate(call).map(WebhookEvent::Terminate),
            _ => None,
        };
        known.unwrap_or_else(|| other(event))
    });
    let statuses = json::list(value, "statuses").iter().map(|status| match json::text(status, "type") {
        None | Some("call") => {
            context.status(status).map_or_else(|| other(Some("status")), WebhookEvent::Status)
        }
        unknown => other(unknown),
    });
    let events: Vec<_> = calls.chain(statuses).collect();
    if events.is_empty() {
        return vec![other(value.get("errors").map(|_| "errors"))];
    }
    events
}

fn other(event: Option<&str>) -> WebhookEvent {
    WebhookEvent::Other { field: "calls".to_owned(), event: event.map(ToOwned::to_owned) }
}

/// What the calls and statuses of one `value` share.
struct Context<'a> {
    value: &'a Value,
    number: Option<PhoneNumberId>,
    /// One call only: what stands at value level is about it.
    is_single: bool,
}

impl Context<'_> {
    fn connect(&self, call: &Value) -> Option<Connect> {
        let session = call.get("session").and_then(session);
        let direction = direction(call).or_else(|| match session.as_ref()?.sdp_type.as_str() {
            "offer" => Some(Direction::UserInitiated),
            "answer" => Some(Direction::BusinessInitiated),
            _ => None,
        })?;
        Some(Connect {
            number: self.number.clone()?,
            display_number: self.display_number().unwrap_or_default().to_owned(),
            wacid: wacid(call)?,
            direction,
            timestamp: json::number(call, "timestamp"),
            caller: self.user(call, direction),
            to: owned(call, "to"),
            session,
            callback_data: owned(call, "biz_opaque_callback_data"),
            cta_payload: owned(call, "cta_payload"),
            deeplink_payload: owned(call, "deeplink_payload"),
        })
    }

    fn status(&self, status: &Value) -> Option<Status> {
        let word = words(status, "status").next()?;
        Some(Status {
            number: self.number.clone()?,
            wacid: wacid(status)?,
            status: match word.to_ascii_uppercase().as_str() {
                "RINGING" => CallStatus::Ringing,
                "ACCEPTED" => CallStatus::Accepted,
                "REJECTED" => CallStatus::Rejected,
                _ => CallStatus::Other(word.to_owned()),
            },
            recipient: Caller {
                phone: json::text(status, "recipient_id").and_then(digits),
                bsuid: owned(status, "recipient_user_id"),
                parent_bsuid: owned(status, "recipient_parent_user_id"),
                ..Caller::default()
            },
            timestamp: json::number(status, "timestamp"),
            callback_data: owned(status, "biz_opaque_callback_data"),
        })
    }

    fn terminate(&self, call: &Value) -> Option<Terminate> {
        let errors = self.errors(call);
        let says = |state| words(call, "status").any(|word| word.eq_ignore_ascii_case(state));
        let completed = match (says("completed"), says("failed")) {
            (true, false) => true,
            (false, true) => false,
            // The documentation shows both at once; then the errors decide.
            (true, true) | (false, false) => errors.is_empty(),
        };
        Some(Terminate {
            number: self.number.clone()?,
            wacid: wacid(call)?,
            direction: direction(call),
            completed,
            start_time: json::number(call, "start_time"),
            end_time: json::number(call, "end_time"),
            duration: json::number(call, "duration").and_then(|seconds| u32::try_from(seconds).ok()),
            errors,
            callback_data: owned(call, "biz_opaque_callback_data"),
            timestamp: json::number(call, "timestamp"),
        })
    }

    /// The WhatsApp user: the caller of a user's call, the callee of ours,
    /// completed from the contacts.
    fn user(&self, call: &Value, direction: Direction) -> Caller {
        let sides = match direction {
            Direction::UserInitiated => ["from", "to"],
            Direction::BusinessInitiated => ["to", "from"],
        };
        // A documented sample has the two swapped: the business is never the user.
        let business = self.display_number().and_then(digits);
        let is_business =
            |side: &str| business.is_some() && json::text(call, side).and_then(digits) == business;
        let [first, second] = sides;
        let side = if is_business(first) && !is_business(second) { second } else { first };
        let mut user = Caller {
            phone: json::text(call, side).and_then(digits),
            bsuid: owned(call, &format!("{side}_user_id")),
            parent_bsuid: owned(call, &format!("{side}_parent_user_id")),
            ..Caller::default()
        };
        if let Some(contact) = self.contact(&user) {
            let profile = contact.get("profile").unwrap_or(&Value::Null);
            user.name = owned(profile, "name");
            user.username = owned(profile, "username");
            user.phone = user.phone.or_else(|| json::text(contact, "wa_id").and_then(digits));
            user.bsuid = user.bsuid.or_else(|| owned(contact, "user_id"));
            user.parent_bsuid = user.parent_bsuid.or_else(|| owned(contact, "parent_user_id"));
        }
        user
    }

    /// The contact of this user: the one with the same id, or the only one of
    /// the only call (a `wa_id` may be written differently from the number).
    fn contact(&self, user: &Caller) -> Option<&Value> {
        let contacts = json::list(self.value, "contacts");
        let same = |contact: &&Value| {
            let by_number = json::text(contact, "wa_id").and_then(digits);
            let by_id = json::text(contact, "user_id");
            (by_number.is_some() && by_number == user.phone)
                || (by_id.is_some() && by_id == user.bsuid.as_deref())
        };
        let only = || contacts.first().filter(|_| self.is_single && contacts.len() == 1);
        contacts.iter().find(same).or_else(only)
    }

    fn display_number(&self) -> Option<&str> {
        json::text(self.value.get("metadata")?, "display_phone_number")
    }

    /// A call's own errors; those at value level repeat them, or stand there
    /// alone.
    fn errors(&self, call: &Value) -> Vec<WebhookError> {
        let own = errors(call);
        if own.is_empty() && self.is_single { errors(self.value) } else { own }
    }
}

fn errors(value: &Value) -> Vec<WebhookError> {
    let error = |error: &Value| {
        let details = error.get("error_data").and_then(|data| owned(data, "details"));
        Some(WebhookError {
            code: u32::try_from(json::number(error, "code")?).ok()?,
            title: owned(error, "title").or_else(|| owned(error, "message")),
            details,
        })
    };
    json::list(value, "errors").iter().filter_map(error).collect()
}

fn wacid(value: &Value) -> Option<Wacid> {
    json::text(value, "id")?.parse().ok()
}

fn direction(call: &Value) -> Option<Direction> {
    match json::text(call, "direction")?.to_ascii_uppercase().as_str() {
        "USER_INITIATED" => Some(Direction::UserInitiated),
        "BUSINESS_INITIATED" => Some(Direction::BusinessInitiated),
        _ => None,
    }
}

fn session(session: &Value) -> Option<Session> {
    Some(Session {
        sdp_type: json::text(session, "sdp_type")?.to_ascii_lowercase(),
        sdp: owned(session, "sdp")?,
    })
}

/// The words in `key`, which holds a string or an array of strings.
fn words<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    let one = json::text(value, key).into_iter();
    one.chain(json::list(value, key).iter().filter_map(Value::as_str))
}

fn owned(value: &Value, key: &str) -> Option<String> {
    json::text(value, key).map(ToOwned::to_owned)
}

/// A number without the `+` and the separators some senders put; none if it is
/// no number.
fn digits(number: &str) -> Option<String> {
    let is_separator = |c: char| matches!(c, '+' | '-' | '(' | ')' | ' ');
    let digits: String = number.chars().filter(|&c| !is_separator(c)).collect();
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

#[cfg(test)]
mod tests;
