//! The calling settings for people, and for programs. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json as value};
use wa_signaling::graph::settings::{CallingSettings, SettingsChange};

use crate::doctor::{clean, describe_hours};

type Row = (&'static str, fn(&CallingSettings) -> String);

const STATUS: Row = ("calling", |settings| switch(settings.enabled, ""));
const ICON: Row =
    ("call button", |settings| settings.call_icon_visibility.clone().unwrap_or_else(|| "not set".to_owned()));
const COUNTRIES: Row = ("call button in", |settings| listed(&settings.call_icon_countries, "all countries"));
const HOURS: Row = ("call hours", |settings| {
    settings.call_hours.as_ref().map_or_else(|| "not set (always open)".to_owned(), describe_hours)
});
const CALLBACK: Row = ("callback permission", |settings| switch(settings.callback_permission, ""));
const KEYS: Row = ("key exchange", |settings| {
    settings.key_exchange.map_or("not set (DTLS)", |exchange| exchange.name()).to_owned()
});
const SIP: Row = ("SIP mode", |settings| switch(settings.sip.as_ref().map(|sip| sip.enabled), " (off)"));
const CODECS: Row = ("codecs", |settings| {
    let codecs = std::iter::once("Opus").chain(settings.additional_codecs.iter().map(String::as_str));
    codecs.collect::<Vec<_>>().join(", ")
});
const VOICEMAIL: Row =
    ("voicemail", |settings| switch(settings.voicemail.as_ref().map(|mail| mail.enabled), " (off)"));
const VIDEO: Row = ("video", |settings| switch(settings.video, " (off)"));
const RESTRICTIONS: Row = ("restrictions", |settings| {
    let kinds: Vec<_> = settings.restrictions.iter().map(|one| one.kind.clone()).collect();
    listed(&kinds, "none")
});
const ROWS: [Row; 11] =
    [STATUS, ICON, COUNTRIES, HOURS, CALLBACK, KEYS, SIP, CODECS, VOICEMAIL, VIDEO, RESTRICTIONS];

/// What a change changes.
pub(super) const fn row_of(change: &SettingsChange) -> Row {
    match change {
        SettingsChange::Calling(_) => STATUS,
        SettingsChange::CallIconVisibility(_) => ICON,
        SettingsChange::CallIconCountries(_) => COUNTRIES,
        SettingsChange::CallHours(_) => HOURS,
        SettingsChange::CallbackPermission(_) => CALLBACK,
        SettingsChange::KeyExchange(_) => KEYS,
        SettingsChange::SipMode(_) => SIP,
        SettingsChange::AdditionalCodecs(_) => CODECS,
        SettingsChange::Video(_) => VIDEO,
    }
}

fn switch(on: Option<bool>, absent: &str) -> String {
    match on {
        Some(true) => "ENABLED".to_owned(),
        Some(false) => "DISABLED".to_owned(),
        None => format!("not set{absent}"),
    }
}

fn listed(items: &[String], none: &str) -> String {
    if items.is_empty() { none.to_owned() } else { items.join(", ") }
}

/// A line each.
#[must_use]
pub fn text(settings: &CallingSettings) -> String {
    let mut text = String::new();
    for (name, value) in ROWS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:19}  {}", clean(&value(settings)));
    }
    text
}

/// In Graph's words, as [`CallingSettings::read`] takes them.
#[must_use]
pub fn json(settings: &CallingSettings) -> Value {
    let on = |on: bool| if on { "ENABLED" } else { "DISABLED" };
    let restriction = |one: &wa_signaling::graph::settings::Restriction| value!({ "type": one.kind, "reason": one.reason, "expiration": one.expires });
    let hours = settings.call_hours.clone().map(|hours| SettingsChange::CallHours(hours).json());
    value!({ "calling": {
        "status": settings.enabled.map(on),
        "call_icon_visibility": settings.call_icon_visibility,
        "call_icons": { "restrict_to_user_countries": settings.call_icon_countries },
        "call_hours": hours.as_ref().and_then(|hours| hours.pointer("/calling/call_hours")),
        "callback_permission_status": settings.callback_permission.map(on),
        "srtp_key_exchange_protocol": settings.key_exchange.map(|exchange| exchange.name()),
        "sip": settings.sip.as_ref().map(|sip| value!({
            "status": on(sip.enabled),
            "servers": sip.servers.iter().map(|(host, port)| value!({ "hostname": host, "port": port }))
                .collect::<Vec<_>>(),
        })),
        "audio": { "additional_codecs": settings.additional_codecs },
        "voicemail": settings.voicemail.as_ref().map(|mail| value!({
            "status": on(mail.enabled),
            "triggers": mail.triggers,
            "audio": { "default": { "timeout_seconds": mail.timeout_s } },
        })),
        "video": settings.video.map(|video| value!({ "status": on(video) })),
        "restrictions": {
            "restrictions_list": settings.restrictions.iter().map(restriction).collect::<Vec<_>>(),
        },
    } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_to_programs_is_read_back_as_it_was() {
        let sample = value!({ "calling": {
            "status": "ENABLED",
            "call_icon_visibility": "DISABLE_ALL",
            "call_icons": { "restrict_to_user_countries": ["US"] },
            "call_hours": {
                "status": "ENABLED",
                "timezone_id": "America/Manaus",
                "weekly_operating_hours": [{ "day_of_week": "MONDAY", "open_time": "0400", "close_time": "1020" }],
                "holiday_schedule": [{ "date": "2026-01-01", "start_time": "0000", "end_time": "2359" }],
            },
            "callback_permission_status": "DISABLED",
            "srtp_key_exchange_protocol": "SDES",
            "sip": { "status": "ENABLED", "servers": [{ "hostname": "sip.example.com", "port": 5061 }] },
            "audio": { "additional_codecs": ["PCMA"] },
            "voicemail": {
                "status": "ENABLED", "triggers": ["REJECT"], "audio": { "default": { "timeout_seconds": 20 } },
            },
            "video": { "status": "DISABLED" },
            "restrictions": { "restrictions_list": [{ "type": "X", "reason": "y", "expiration": 7 }] },
        } });
        let settings = CallingSettings::read(&sample);
        assert_eq!(CallingSettings::read(&json(&settings)), settings);
        let empty = CallingSettings::default();
        assert_eq!(CallingSettings::read(&json(&empty)), empty);
        assert!(text(&settings).contains("  key exchange         SDES\n"), "{}", text(&settings));
        assert!(text(&settings).contains("mon 04:00-10:20 (America/Manaus), 1 holiday(s)"));
    }
}
