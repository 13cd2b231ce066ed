//! Webhooks that belong to no script of a call: permissions, settings, the account, chats, recordings, voicemail.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::config::{BusinessNumber, WhatsAppConfig};
use super::hub::Hub;
use super::permission::Granted;
use super::post::{Parcel, Seal};
use super::random;

/// Seconds of UNIX time as text: Meta's timestamps.
fn now() -> String {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().to_string()
}

fn metadata(number: &BusinessNumber) -> Value {
    json!({ "phone_number_id": number.phone_number_id, "display_phone_number": number.display_number })
}

fn envelope(config: &WhatsAppConfig, field: &str, value: &Value) -> Value {
    json!({
        "object": "whatsapp_business_account",
        "entry": [{ "id": config.waba_id, "changes": [{ "field": field, "value": value }] }],
    })
}

/// Sends one, where somebody is subscribed to its field. `user`: the key in the ladder.
pub(crate) fn emit(hub: &Arc<Hub>, user: &str, field: &str, what: &str, value: &Value) -> bool {
    if !hub.is_subscribed(field) {
        return false;
    }
    let parcel = Parcel {
        user: user.to_owned(),
        wacid: String::new(),
        what: what.to_owned(),
        body: envelope(&hub.config, field, value),
        seal: Seal::Good,
        copies: 1,
    };
    let shared = Arc::clone(hub);
    hub.spawn(async move {
        tokio::time::sleep(random::between(shared.config.timings.webhook_delay)).await;
        parcel.send(&shared).await;
    });
    true
}

fn is_phone(user: &str) -> bool {
    user.bytes().all(|byte| byte.is_ascii_digit())
}

/// The user's answer to the business, by whatever way it came about; `granted` is `None` for a no.
pub(crate) fn permission_reply(
    hub: &Arc<Hub>,
    number: &BusinessNumber,
    user: &str,
    granted: Option<Granted>,
    context: Option<&str>,
    source: &str,
) {
    let response = if granted.is_some() { "accept" } else { "reject" };
    let mut reply = json!({ "response": response, "response_source": source });
    match granted {
        Some(Granted::ForGood) => reply["is_permanent"] = json!(true),
        Some(Granted::Until(end)) => {
            reply["is_permanent"] = json!(false);
            reply["expiration_timestamp"] = json!(hub.shown(end).to_string());
        }
        None => {}
    }
    let mut message = json!({
        "id": random::wamid(),
        "timestamp": now(),
        "type": "interactive",
        "interactive": { "type": "call_permission_reply", "call_permission_reply": reply },
    });
    let mut contact = json!({ "profile": { "name": "Sandbox User" } });
    if is_phone(user) {
        message["from"] = json!(user);
        contact["wa_id"] = json!(user);
    } else {
        message["from_user_id"] = json!(user);
        contact["user_id"] = json!(user);
    }
    if let Some(id) = context {
        message["context"] = json!({ "from": number.display_number, "id": id });
    }
    let value = json!({
        "messaging_product": "whatsapp",
        "metadata": metadata(number),
        "contacts": [contact],
        "messages": [message],
    });
    emit(hub, user, "messages", "call_permission_reply", &value);
}

/// `account_settings_update`, with what is observed of the settings.
pub(crate) fn settings_changed(hub: &Arc<Hub>, number: &BusinessNumber, calling: &Value) {
    let mut seen = json!({
        "status": calling["status"],
        "call_icon_visibility": calling["call_icon_visibility"],
        "callback_permission_status": calling["callback_permission_status"],
        "sip": { "status": calling["sip"]["status"] },
    });
    if calling["srtp_key_exchange_protocol"].is_string() {
        seen["srtp_key_exchange_protocol"] = calling["srtp_key_exchange_protocol"].clone();
    }
    let value = json!({
        "messaging_product": "whatsapp",
        "timestamp": now(),
        "type": "phone_number_settings",
        "phone_number_settings": { "phone_number_id": number.phone_number_id, "calling": seen },
    });
    emit(hub, "", "account_settings_update", "account_settings_update", &value);
}

/// Something that happens outside calls; what is not subscribed to is not sent.
#[derive(Clone, Debug)]
pub enum Event {
    /// The user writes to the business: this opens a conversation.
    Chat {
        /// The user's number in digits, or BSUID.
        from: String,
        /// What is written.
        text: String,
    },
    /// The user has left a voice message: an audio message with the call's id.
    Voicemail {
        /// The user's number in digits, or BSUID.
        from: String,
        /// The call.
        wacid: String,
    },
    /// A recording of the call can be fetched.
    Recording {
        /// The call.
        wacid: String,
    },
    /// A transcription of the call can be fetched.
    Transcription {
        /// The call.
        wacid: String,
    },
    /// `account_update` with `ACCOUNT_VIOLATION`.
    Violation {
        /// For example `LOW_BUSINESS_INITIATED_CALLING_QUALITY`.
        kind: String,
    },
    /// `account_update` with `ACCOUNT_RESTRICTION`.
    Restriction {
        /// For example `RESTRICTED_BUSINESS_INITIATED_CALLING`.
        kind: String,
        /// Its end in UNIX seconds.
        expiration: u64,
    },
    /// Any value under any field.
    Raw {
        /// The field.
        field: String,
        /// The value.
        value: Value,
    },
}

/// Sends the webhook of an event; false where nobody is subscribed to it.
pub(crate) fn happen(hub: &Arc<Hub>, number: &BusinessNumber, event: &Event) -> bool {
    let call_event = |wacid: &str, event: &str, part: &str| {
        let mut call = json!({ "id": wacid, "event": event, "timestamp": now() });
        call[part] = json!({ "id": "1013859600285441", "mime_type": "audio/ogg" });
        json!({ "messaging_product": "whatsapp", "metadata": metadata(number), "calls": [call] })
    };
    let phone = &number.display_number;
    match event {
        Event::Chat { from, text } => {
            let now = hub.clock();
            super::hub::lock(&hub.book).open_conversation(&number.phone_number_id, from, now);
            let body = json!({ "type": "text", "text": { "body": text } });
            emit(hub, from, "messages", "message", &message(number, from, &random::wamid(), body))
        }
        Event::Voicemail { from, wacid } => {
            let audio =
                json!({ "id": "1013859600285441", "mime_type": "audio/ogg; codecs=opus", "voice": true });
            let body = json!({ "type": "audio", "audio": audio });
            emit(hub, from, "messages", "voicemail", &message(number, from, wacid, body))
        }
        Event::Recording { wacid } => {
            let value = call_event(wacid, "call_recording_available", "recording");
            emit(hub, "", "calls", "call_recording_available", &value)
        }
        Event::Transcription { wacid } => {
            let value = call_event(wacid, "call_transcription_available", "transcription");
            emit(hub, "", "calls", "call_transcription_available", &value)
        }
        Event::Violation { kind } => {
            let info =
                json!({ "violation_type": kind, "remediation": "Call only those who want to be called" });
            let value =
                json!({ "phone_number": phone, "event": "ACCOUNT_VIOLATION", "violation_info": info });
            emit(hub, "", "account_update", "account_update", &value)
        }
        Event::Restriction { kind, expiration } => {
            let info = json!([{ "restriction_type": kind, "expiration": expiration }]);
            let value =
                json!({ "phone_number": phone, "event": "ACCOUNT_RESTRICTION", "restriction_info": info });
            emit(hub, "", "account_update", "account_update", &value)
        }
        Event::Raw { field, value } => emit(hub, "", field, field, value),
    }
}

fn message(number: &BusinessNumber, from: &str, id: &str, body: Value) -> Value {
    let mut message = body;
    let mut contact = json!({ "profile": { "name": "Sandbox User" } });
    message["id"] = json!(id);
    message["timestamp"] = json!(now());
    if is_phone(from) {
        message["from"] = json!(from);
        contact["wa_id"] = json!(from);
    } else {
        message["from_user_id"] = json!(from);
        contact["user_id"] = json!(from);
    }
    json!({
        "messaging_product": "whatsapp",
        "metadata": metadata(number),
        "contacts": [contact],
        "messages": [message],
    })
}
