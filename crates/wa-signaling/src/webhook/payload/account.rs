//! The fields `account_settings_update` and `account_update`.

use serde_json::Value;

use super::{digits, flag, number, owned};
use crate::json;
use crate::webhook::event::{
    AccountUpdate, CallingUpdate, Restriction, SettingsUpdate, Violation, WebhookEvent,
};

/// The calling settings of a number have changed.
pub(super) fn settings(waba: Option<&str>, value: &Value) -> Option<WebhookEvent> {
    let settings = value.get("phone_number_settings")?;
    let named = json::text(settings, "phone_number_id").and_then(|id| id.parse().ok());
    Some(WebhookEvent::SettingsUpdate(SettingsUpdate {
        waba: waba.map(ToOwned::to_owned),
        number: named.or_else(|| number(value))?,
        timestamp: json::number(value, "timestamp"),
        calling: calling(settings.get("calling")?),
    }))
}

fn calling(calling: &Value) -> CallingUpdate {
    let sip = calling.get("sip").and_then(|sip| flag(sip, "status", "ENABLED"));
    CallingUpdate {
        enabled: flag(calling, "status", "ENABLED"),
        sip: sip.or_else(|| flag(calling, "sip.status", "ENABLED")),
        key_exchange: json::text(calling, "srtp_key_exchange_protocol").map(str::to_ascii_uppercase),
        icon_visibility: owned(calling, "call_icon_visibility"),
        callback_permission: flag(calling, "callback_permission_status", "ENABLED"),
    }
}

/// WhatsApp warns or restricts the business.
pub(super) fn update(waba: Option<&str>, value: &Value) -> Option<WebhookEvent> {
    let violation = value.get("violation_info").and_then(|info| {
        Some(Violation { kind: owned(info, "violation_type")?, remedy: owned(info, "remediation") })
    });
    // A list; some senders leave it out around a single one.
    let restrictions = match value.get("restriction_info") {
        Some(Value::Array(list)) => list.as_slice(),
        Some(single) => std::slice::from_ref(single),
        None => &[],
    };
    Some(WebhookEvent::AccountUpdate(AccountUpdate {
        waba: waba.map(ToOwned::to_owned),
        phone_number: json::text(value, "phone_number").and_then(digits),
        event: owned(value, "event")?,
        violation,
        restrictions: restrictions.iter().filter_map(restriction).collect(),
    }))
}

fn restriction(info: &Value) -> Option<Restriction> {
    Some(Restriction { kind: owned(info, "restriction_type")?, until: json::number(info, "expiration") })
}
