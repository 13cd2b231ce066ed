//! Webhook bodies to events.
//!
//! Tolerant: what is unknown becomes [`WebhookEvent::Other`], and one entry
//! that cannot be used does not lose its neighbours. Only a body that is not
//! JSON, or no object, is refused.

mod account;
mod calls;
mod messages;
mod people;

use std::collections::BTreeSet;

use serde_json::Value;

use super::event::{WebhookError, WebhookEvent};
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

/// What one body holds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Batch {
    /// Its events, in their order; there may be many.
    pub events: Vec<WebhookEvent>,
    /// The fields of its changes, such as `calls`, each once. An empty one is that of a change or an entry
    /// without any.
    pub fields: BTreeSet<String>,
}

/// The events of one webhook body.
///
/// # Errors
/// See [`PayloadError`].
pub fn parse(body: &[u8]) -> Result<Vec<WebhookEvent>, PayloadError> {
    read(body).map(|batch| batch.events)
}

/// Reads one webhook body.
///
/// # Errors
/// See [`PayloadError`].
pub fn read(body: &[u8]) -> Result<Batch, PayloadError> {
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
    let mut batch = Batch::default();
    for entry in json::list(&root, "entry") {
        batch.entry(entry);
    }
    Ok(batch)
}

impl Batch {
    fn entry(&mut self, entry: &Value) {
        let waba = owned(entry, "id");
        let changes = json::list(entry, "changes");
        if changes.is_empty() {
            // Not of WhatsApp's shape, and perhaps of use to somebody else.
            self.fields.insert(String::new());
        }
        for change in changes {
            let field = json::text(change, "field").unwrap_or_default();
            self.fields.insert(field.to_owned());
            let value = change.get("value").unwrap_or(&Value::Null);
            self.events.extend(events(field, waba.as_deref(), value));
        }
    }
}

/// The events of one change; at least one.
fn events(field: &str, waba: Option<&str>, value: &Value) -> Vec<WebhookEvent> {
    let known = match field {
        "calls" => calls::read(waba, value),
        "messages" => messages::read(waba, value),
        "account_settings_update" => account::settings(waba, value).into_iter().collect(),
        "account_update" => account::update(waba, value).into_iter().collect(),
        _ => Vec::new(),
    };
    if known.is_empty() {
        return vec![WebhookEvent::Other { field: field.to_owned(), event: None }];
    }
    known
}

/// The business number of a `value`.
fn number(value: &Value) -> Option<PhoneNumberId> {
    json::text(value.get("metadata")?, "phone_number_id")?.parse().ok()
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

/// Yes or no in `key`, as JSON has it or as a word.
fn flag(value: &Value, key: &str, yes: &str) -> Option<bool> {
    match value.get(key)? {
        Value::Bool(flag) => Some(*flag),
        Value::String(word) => Some(word.eq_ignore_ascii_case(yes)),
        _ => None,
    }
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
