//! The JSON of webhooks, written by hand in Meta's shape.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::call::{Call, Direction};
use super::codes;
use super::config::{BusinessNumber, WhatsAppConfig};
use super::scenario::UserCall;

/// Seconds of UNIX time as text: Meta's timestamps.
fn seconds(time: SystemTime) -> String {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().to_string()
}

/// Now, or as long ago as the call's webhooks pretend.
fn now(call: &Call) -> String {
    seconds(SystemTime::now() - call.behaviour.webhooks.aged)
}

/// Leaves out what is absent.
fn object(fields: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let present = fields.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)));
    Value::Object(present.collect::<Map<_, _>>())
}

fn envelope(
    config: &WhatsAppConfig,
    number: &BusinessNumber,
    rest: [(&'static str, Option<Value>); 4],
) -> Value {
    let metadata = json!({
        "phone_number_id": number.phone_number_id,
        "display_phone_number": number.display_number,
    });
    let head = [("messaging_product", Some(json!("whatsapp"))), ("metadata", Some(metadata))];
    let value = object(head.into_iter().chain(rest));
    json!({
        "object": "whatsapp_business_account",
        "entry": [{ "id": config.waba_id, "changes": [{ "field": "calls", "value": value }] }],
    })
}

const NONE: (&str, Option<Value>) = ("", None);

fn errors(code: u32) -> Value {
    let title = codes::title(code);
    json!([{ "code": code, "title": title, "message": title, "error_data": { "details": title } }])
}

impl Call {
    fn bsuid(&self) -> Option<&str> {
        self.caller.as_ref()?.bsuid.as_deref()
    }

    fn said(&self, what: impl Fn(&UserCall) -> &Option<String>) -> Option<Value> {
        what(self.caller.as_ref()?).as_ref().map(|text| json!(text))
    }

    /// Who calls whom; a user with a BSUID shows no number.
    fn ends(&self) -> [(&'static str, Option<Value>); 4] {
        let business = Some(json!(self.number.display_number));
        match self.direction {
            Direction::UserInitiated => {
                let from = if self.bsuid().is_some() { None } else { Some(json!(self.user)) };
                [("from", from), ("to", business), ("direction", Some(json!("USER_INITIATED"))), NONE]
            }
            Direction::BusinessInitiated => {
                let direction = ("direction", Some(json!("BUSINESS_INITIATED")));
                let to = if self.is_phone() { "to" } else { "to_user_id" };
                [("from", business), (to, Some(json!(self.user))), direction, NONE]
            }
        }
    }

    /// Whether the user is known by a phone number.
    fn is_phone(&self) -> bool {
        self.user.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// The connect webhook with WhatsApp's SDP.
    pub(crate) fn connect_webhook(&self, config: &WhatsAppConfig, sdp: &str) -> Value {
        let sdp_type = match self.direction {
            Direction::UserInitiated => "offer",
            Direction::BusinessInitiated => "answer",
        };
        let fields = [
            ("id", Some(json!(self.wacid))),
            ("event", Some(json!("connect"))),
            ("timestamp", Some(json!(now(self)))),
            ("from_user_id", self.bsuid().map(|id| json!(id))),
            ("from_parent_user_id", self.said(|caller| &caller.parent_bsuid)),
            ("deeplink_payload", self.said(|caller| &caller.deeplink_payload)),
            ("cta_payload", self.said(|caller| &caller.cta_payload)),
            ("session", Some(json!({ "sdp": sdp, "sdp_type": sdp_type }))),
        ];
        let call = object(fields.into_iter().chain(self.ends()));
        let contacts = self.caller.as_ref().map(|caller| {
            let wa_id = if caller.bsuid.is_some() { None } else { Some(json!(self.user)) };
            let user_id = caller.bsuid.as_ref().map(|id| json!(id));
            let username = caller.username.as_ref().map(|name| json!(name));
            let profile = object([("name", Some(json!(caller.name))), ("username", username)]);
            let parent = ("parent_user_id", self.said(|caller| &caller.parent_bsuid));
            json!([object([("wa_id", wa_id), ("profile", Some(profile)), ("user_id", user_id), parent])])
        });
        envelope(config, &self.number, [("calls", Some(json!([call]))), ("contacts", contacts), NONE, NONE])
    }

    /// A call that could not be delivered: nothing but its error.
    pub(crate) fn error_webhook(&self, config: &WhatsAppConfig, code: u32) -> Value {
        envelope(config, &self.number, [("errors", Some(errors(code))), NONE, NONE, NONE])
    }

    /// Whom the business calls: a phone number or a BSUID.
    fn recipient(&self) -> (&'static str, Option<Value>) {
        let name = if self.is_phone() { "recipient_id" } else { "recipient_user_id" };
        (name, Some(json!(self.user)))
    }

    /// RINGING, ACCEPTED or REJECTED.
    pub(crate) fn status_webhook(&self, config: &WhatsAppConfig, status: &str) -> Value {
        let status = object([
            ("id", Some(json!(self.wacid))),
            ("type", Some(json!("call"))),
            ("status", Some(json!(status))),
            ("timestamp", Some(json!(now(self)))),
            self.recipient(),
            ("biz_opaque_callback_data", self.facts().callback_data.as_ref().map(|data| json!(data))),
        ]);
        envelope(config, &self.number, [("statuses", Some(json!([status]))), NONE, NONE, NONE])
    }

    /// The terminate webhook; its times are there only where the call was answered.
    pub(crate) fn terminate_webhook(&self, config: &WhatsAppConfig) -> Value {
        let facts = self.facts();
        let failed = facts.end.as_ref().and_then(|end| end.failed);
        let errors = failed.map(errors);
        let answered = facts.accepted_at.map(|(_, time)| time);
        let ended = facts.ended_at.unwrap_or_else(SystemTime::now);
        let fields = [
            ("id", Some(json!(self.wacid))),
            ("event", Some(json!("terminate"))),
            ("timestamp", Some(json!(seconds(ended)))),
            ("status", Some(json!(if failed.is_some() { "FAILED" } else { "COMPLETED" }))),
            ("start_time", answered.map(|time| json!(seconds(time)))),
            ("end_time", answered.map(|_| json!(seconds(ended)))),
            ("duration", facts.end.as_ref().and_then(|end| end.duration).map(|duration| json!(duration))),
            ("biz_opaque_callback_data", facts.callback_data.as_ref().map(|data| json!(data))),
            ("errors", errors.clone()),
        ];
        drop(facts);
        let call = object(fields.into_iter().chain(self.ends()));
        envelope(config, &self.number, [("calls", Some(json!([call]))), ("errors", errors), NONE, NONE])
    }
}
