//! The field `messages`: permission replies and voicemail are for calling, everything else is not.

use serde_json::Value;

use super::people::People;
use super::{calls, flag, number, owned, wacid};
use crate::json;
use crate::wacid::PhoneNumberId;
use crate::webhook::event::{PermissionReply, Voicemail, WebhookEvent};

/// The events of one `value` that are for calling.
pub(super) fn read(waba: Option<&str>, value: &Value) -> Vec<WebhookEvent> {
    let messages = json::list(value, "messages");
    if messages.is_empty() && json::list(value, "statuses").is_empty() {
        return calls::number_errors(waba, value).map(WebhookEvent::NumberErrors).into_iter().collect();
    }
    let Some(number) = number(value) else { return Vec::new() };
    let people = People::new(value, messages.len() == 1);
    let event = |message: &Value| match json::text(message, "type") {
        Some("audio") => voicemail(&number, &people, message).map(WebhookEvent::Voicemail),
        _ => permission(&number, &people, message).map(WebhookEvent::PermissionReply),
    };
    messages.iter().filter_map(event).collect()
}

fn permission(number: &PhoneNumberId, people: &People<'_>, message: &Value) -> Option<PermissionReply> {
    let reply = message.get("interactive")?.get("call_permission_reply")?;
    let user = people.user(message, "from", "from");
    user.user()?;
    let accepted = match json::text(reply, "response")?.to_ascii_lowercase().as_str() {
        "accept" => true,
        "reject" => false,
        _ => return None,
    };
    Some(PermissionReply {
        number: number.clone(),
        user,
        accepted,
        is_permanent: accepted && flag(reply, "is_permanent", "true").unwrap_or_default(),
        expires: json::number(reply, "expiration_timestamp"),
        is_automatic: flag(reply, "response_source", "automatic").unwrap_or_default(),
        context: message.get("context").and_then(|context| owned(context, "id")),
        timestamp: json::number(message, "timestamp"),
    })
}

/// An audio message under the id of a call; one with an id of its own is a chat's.
fn voicemail(number: &PhoneNumberId, people: &People<'_>, message: &Value) -> Option<Voicemail> {
    json::text(message, "id").filter(|id| crate::webhook::event::is_call(id))?;
    Some(Voicemail {
        number: number.clone(),
        wacid: wacid(message)?,
        user: people.user(message, "from", "from"),
        media: message.get("audio").and_then(|audio| owned(audio, "id")),
        timestamp: json::number(message, "timestamp"),
    })
}
