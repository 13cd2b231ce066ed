//! The field `calls`.

use serde_json::Value;

use super::people::People;
use super::{digits, errors, number, owned, wacid, words};
use crate::identity::Caller;
use crate::json;
use crate::wacid::PhoneNumberId;
use crate::webhook::event::{
    CallMedia, CallStatus, Connect, Direction, NumberErrors, Session, Status, Terminate, WebhookError,
    WebhookEvent,
};

/// The events of one `value`; at least one.
pub(super) fn read(waba: Option<&str>, value: &Value) -> Vec<WebhookEvent> {
    let is_single = json::list(value, "calls").len() == 1;
    let context = Context { value, number: number(value), is_single, people: People::new(value, is_single) };
    let calls = json::list(value, "calls").iter().map(|call| {
        let event = json::text(call, "event");
        context.event(event, call).unwrap_or_else(|| other(event))
    });
    let statuses = json::list(value, "statuses").iter().map(|status| match json::text(status, "type") {
        None | Some("call") => {
            context.status(status).map_or_else(|| other(Some("status")), WebhookEvent::Status)
        }
        unknown => other(unknown),
    });
    let events: Vec<_> = calls.chain(statuses).collect();
    if events.is_empty() {
        let errors = number_errors(waba, value).map(WebhookEvent::NumberErrors);
        return vec![errors.unwrap_or_else(|| other(value.get("errors").map(|_| "errors")))];
    }
    events
}

/// The errors of a `value` that names nothing they could belong to but the number.
pub(super) fn number_errors(waba: Option<&str>, value: &Value) -> Option<NumberErrors> {
    let errors = errors(value);
    let number = number(value)?;
    (!errors.is_empty()).then(|| NumberErrors { waba: waba.map(ToOwned::to_owned), number, errors })
}

pub(super) fn other(event: Option<&str>) -> WebhookEvent {
    WebhookEvent::Other { field: "calls".to_owned(), event: event.map(ToOwned::to_owned) }
}

/// What the calls and statuses of one `value` share.
struct Context<'a> {
    value: &'a Value,
    number: Option<PhoneNumberId>,
    /// One call only: what stands at value level is about it.
    is_single: bool,
    people: People<'a>,
}

impl Context<'_> {
    fn event(&self, event: Option<&str>, call: &Value) -> Option<WebhookEvent> {
        match event? {
            "connect" => self.connect(call).map(WebhookEvent::Connect),
            "terminate" => self.terminate(call).map(WebhookEvent::Terminate),
            "call_recording_available" => self.media(call).map(WebhookEvent::Recording),
            "call_transcription_available" => self.media(call).map(WebhookEvent::Transcription),
            _ => None,
        }
    }

    fn connect(&self, call: &Value) -> Option<Connect> {
        let session = call.get("session").and_then(session);
        let direction = direction(call).or_else(|| match session.as_ref()?.sdp_type.as_str() {
            "offer" => Some(Direction::UserInitiated),
            "answer" => Some(Direction::BusinessInitiated),
            _ => None,
        })?;
        Some(Connect {
            number: self.number.clone()?,
            display_number: self.people.display_number().unwrap_or_default().to_owned(),
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
            timestamp: json::number(status, "timestamp"),
            callback_data: owned(status, "biz_opaque_callback_data"),
            user: self.people.user(status, "recipient_id", "recipient"),
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
        let direction = direction(call);
        Some(Terminate {
            number: self.number.clone()?,
            wacid: wacid(call)?,
            direction,
            completed,
            start_time: json::number(call, "start_time"),
            end_time: json::number(call, "end_time"),
            duration: json::number(call, "duration").and_then(|seconds| u32::try_from(seconds).ok()),
            errors,
            callback_data: owned(call, "biz_opaque_callback_data"),
            timestamp: json::number(call, "timestamp"),
            user: direction.map(|direction| self.user(call, direction)).unwrap_or_default(),
        })
    }

    fn media(&self, call: &Value) -> Option<CallMedia> {
        let wacid = wacid(call).or_else(|| json::text(call, "call_id")?.parse().ok())?;
        Some(CallMedia { number: self.number.clone()?, wacid, timestamp: json::number(call, "timestamp") })
    }

    /// The WhatsApp user: the caller of a user's call, the callee of ours,
    /// completed from the contacts.
    fn user(&self, call: &Value, direction: Direction) -> Caller {
        let [first, second] = match direction {
            Direction::UserInitiated => ["from", "to"],
            Direction::BusinessInitiated => ["to", "from"],
        };
        // A documented sample has the two swapped: the business is never the user.
        let business = self.people.display_number().and_then(digits);
        let is_business =
            |side: &str| business.is_some() && json::text(call, side).and_then(digits) == business;
        let side = if is_business(first) && !is_business(second) { second } else { first };
        self.people.user(call, side, side)
    }

    /// A call's own errors; those at value level repeat them, or stand there
    /// alone.
    fn errors(&self, call: &Value) -> Vec<WebhookError> {
        let own = errors(call);
        if own.is_empty() && self.is_single { errors(self.value) } else { own }
    }
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
