//! The calling settings of a number: `GET` and `POST /{number}/settings`, and what they do to calls.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::config::BusinessNumber;
use super::events;
use super::faults::ApiError;
use super::graph::Done;
use super::hub::{Hub, lock};
use super::operation::Target;
use super::scenario::G711;
use super::sdp::Terms;

/// Changes of these are told by webhook.
const OBSERVED: [&str; 4] =
    ["status", "call_icon_visibility", "callback_permission_status", "srtp_key_exchange_protocol"];
const DAYS: [&str; 7] = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
const SWITCH: [&str; 2] = ["ENABLED", "DISABLED"];

/// The settings of a number.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) calling: Value,
    /// The messaging limit is below 2000: calling cannot be enabled (138015).
    pub(crate) low_limit: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let calling = json!({
            "status": "ENABLED",
            "call_icon_visibility": "DEFAULT",
            "callback_permission_status": "ENABLED",
            "call_hours": { "status": "DISABLED" },
            "sip": { "status": "DISABLED" },
        });
        Self { calling, low_limit: false }
    }
}

impl Settings {
    fn on(&self, name: &str) -> bool {
        self.calling[name] == "ENABLED"
    }

    fn sip(&self) -> bool {
        self.calling["sip"]["status"] == "ENABLED"
    }

    fn restricted(&self, kind: &str) -> bool {
        let list = self.calling["restrictions"]["restrictions_list"].as_array();
        list.is_some_and(|list| list.iter().any(|one| one["type"] == kind))
    }
}

impl Hub {
    pub(crate) fn settings(&self, number: &BusinessNumber) -> Settings {
        lock(&self.settings).get(&number.phone_number_id).cloned().unwrap_or_default()
    }

    /// Changes a number's settings by hand, without a check and without a webhook.
    pub(crate) fn edit_settings(&self, phone_number_id: &str, edit: impl FnOnce(&mut Settings)) {
        edit(lock(&self.settings).entry(phone_number_id.to_owned()).or_default());
    }

    /// Whether the Graph API takes calls of that number at all.
    pub(crate) fn may_call(&self, number: &BusinessNumber) -> Result<(), ApiError> {
        let settings = self.settings(number);
        if settings.sip() {
            return Err(ApiError::of(131_055));
        }
        if settings.on("status") { Ok(()) } else { Err(ApiError::of(138_000)) }
    }

    /// Whether the business may begin a call.
    pub(crate) fn may_begin(&self, number: &BusinessNumber) -> Result<(), ApiError> {
        if self.settings(number).restricted("RESTRICTED_BUSINESS_INITIATED_CALLING") {
            return Err(ApiError::of(138_014));
        }
        Ok(())
    }

    /// Why a user cannot call that number.
    pub(crate) fn uncallable(&self, number: &BusinessNumber) -> Option<&'static str> {
        let settings = self.settings(number);
        if settings.restricted("RESTRICTED_USER_INITIATED_CALLING") {
            return Some("users may not call the number: it is restricted");
        }
        (!settings.on("status")).then_some("calling is not enabled on the number")
    }

    /// SIP mode: no webhook of a call is sent.
    pub(crate) fn is_silent(&self, number: &BusinessNumber) -> bool {
        self.settings(number).sip()
    }

    /// Whether a user's call gives permission to call back.
    pub(crate) fn grants_callback(&self, number: &BusinessNumber) -> bool {
        self.settings(number).on("callback_permission_status")
    }

    /// What the settings say of the SDP of calls.
    pub(crate) fn terms(&self, number: &BusinessNumber) -> Terms {
        let settings = self.settings(number);
        let list = settings.calling["audio"]["additional_codecs"].as_array();
        let has = |name: &str| list.is_some_and(|list| list.iter().any(|codec| codec == name));
        let sdes = settings.calling["srtp_key_exchange_protocol"] == "SDES";
        Terms { pcma: has("PCMA"), pcmu: has("PCMU"), sdes }
    }
}

/// `GET /{number}/settings`.
pub(crate) fn read(hub: &Hub, number: &BusinessNumber, target: &Target) -> Done {
    let mut calling = hub.settings(number).calling;
    let secret = target.parameter("include_sip_credentials").is_some_and(|value| value == "true");
    if let Some(servers) = calling["sip"]["servers"].as_array_mut() {
        for server in servers {
            if secret {
                server["sip_user_password"] = json!("sandbox-sip-password");
            }
        }
    }
    Done::reply(json!({ "calling": calling }))
}

/// `POST /{number}/settings`: one feature a request.
pub(crate) fn write(hub: &Arc<Hub>, number: &BusinessNumber, target: &Target) -> Result<Done, ApiError> {
    let body =
        target.json.as_object().ok_or_else(|| ApiError::parameter("The body must be a JSON object"))?;
    let (Some(calling), 1) = (body.get("calling").and_then(Value::as_object), body.len()) else {
        return Err(ApiError::parameter("Exactly one feature, calling, is expected"));
    };
    let (Some((name, value)), 1) = (calling.iter().next(), calling.len()) else {
        return Err(ApiError::parameter("Only one setting can be specified per request"));
    };
    check(name, value)?;
    if (name.as_str(), value) == ("status", &json!("ENABLED")) {
        prerequisites(hub, number)?;
    }
    let before = hub.settings(number).calling;
    hub.edit_settings(&number.phone_number_id, |settings| apply(&mut settings.calling, name, value));
    let after = hub.settings(number).calling;
    let observed = |calling: &Value| {
        let mut seen = OBSERVED.map(|name| calling[name].clone()).to_vec();
        seen.push(calling["sip"]["status"].clone());
        seen
    };
    if observed(&before) != observed(&after) {
        events::settings_changed(hub, number, &after);
    }
    Ok(Done::success())
}

fn prerequisites(hub: &Hub, number: &BusinessNumber) -> Result<(), ApiError> {
    let settings = hub.settings(number);
    if settings.low_limit {
        return Err(ApiError::of(138_015));
    }
    if !settings.sip() && !hub.is_subscribed("calls") {
        return Err(ApiError::of(138_018));
    }
    Ok(())
}

fn apply(calling: &mut Value, name: &str, value: &Value) {
    if name == "sip" && value["servers"] != calling["sip"]["servers"] && !value["servers"].is_null() {
        // Seen in the field: another SIP server sets the keying back.
        calling["srtp_key_exchange_protocol"] = json!("DTLS");
    }
    match (calling[name].as_object_mut(), value.as_object()) {
        // What is left out stays, but for the holidays.
        (Some(old), Some(new)) if name == "call_hours" => {
            old.remove("holiday_schedule");
            old.extend(new.clone());
        }
        (Some(old), Some(new)) => old.extend(new.clone()),
        _ => calling[name] = value.clone(),
    }
}

fn one_of(value: &Value, allowed: &[&str], name: &str) -> Result<(), ApiError> {
    if value.as_str().is_some_and(|text| allowed.contains(&text)) {
        return Ok(());
    }
    Err(ApiError::parameter(&format!("calling.{name} must be one of {}", allowed.join(", "))))
}

/// Only these fields, each absent or good.
fn fields<'a>(value: &'a Value, name: &str, known: &[&str]) -> Result<&'a Map<String, Value>, ApiError> {
    let object =
        value.as_object().ok_or_else(|| ApiError::parameter(&format!("calling.{name} must be an object")))?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => Err(ApiError::parameter(&format!("calling.{name}.{unknown} is unknown"))),
        None => Ok(object),
    }
}

fn check(name: &str, value: &Value) -> Result<(), ApiError> {
    match name {
        "status" | "callback_permission_status" => one_of(value, &SWITCH, name),
        "call_icon_visibility" => one_of(value, &["DEFAULT", "DISABLE_ALL", "HIDE_IN_CHAT"], name),
        "srtp_key_exchange_protocol" => one_of(value, &["DTLS", "SDES"], name),
        "call_icons" => {
            fields(value, name, &["restrict_to_user_countries"])?;
            texts(&value["restrict_to_user_countries"], name, |text| text.len() == 2)
        }
        "call_hours" => call_hours(value),
        "sip" => sip(value),
        "audio" => {
            fields(value, name, &["additional_codecs"])?;
            texts(&value["additional_codecs"], name, |text| G711.contains(&text))
        }
        "voicemail" => voicemail(value),
        "video" => fields(value, name, &["status"]).map(drop),
        _ => Err(ApiError::parameter(&format!("calling.{name} is unknown"))),
    }
}

fn texts(value: &Value, name: &str, good: impl Fn(&str) -> bool) -> Result<(), ApiError> {
    let all = value.as_array().is_some_and(|list| list.iter().all(|one| one.as_str().is_some_and(&good)));
    if all {
        Ok(())
    } else {
        Err(ApiError::parameter(&format!("calling.{name}: not a list of the right values")))
    }
}

fn call_hours(value: &Value) -> Result<(), ApiError> {
    let known = ["status", "timezone_id", "weekly_operating_hours", "holiday_schedule"];
    let object = fields(value, "call_hours", &known)?;
    one_of(&value["status"], &SWITCH, "call_hours.status")?;
    if value["status"] == "DISABLED" {
        return Ok(());
    }
    if !value["timezone_id"].is_string() {
        return Err(ApiError::parameter("calling.call_hours.timezone_id is required"));
    }
    let week = value["weekly_operating_hours"].as_array();
    let good_day = |day: &Value| {
        let (open, close) = (clock(&day["open_time"]), clock(&day["close_time"]));
        day["day_of_week"].as_str().is_some_and(|name| DAYS.contains(&name))
            && matches!((open, close), (Some(open), Some(close)) if open < close)
    };
    if !week.is_some_and(|week| !week.is_empty() && week.iter().all(good_day)) {
        return Err(ApiError::parameter("calling.call_hours.weekly_operating_hours is missing or wrong"));
    }
    let good_holiday = |day: &Value| {
        day["date"].as_str().is_some_and(|date| date.len() == 10)
            && clock(&day["start_time"]).is_some()
            && clock(&day["end_time"]).is_some()
    };
    let holidays = object.get("holiday_schedule").map(|list| list.as_array());
    match holidays {
        None => Ok(()),
        Some(Some(list)) if list.iter().all(good_holiday) => Ok(()),
        Some(_) => Err(ApiError::parameter("calling.call_hours.holiday_schedule is wrong")),
    }
}

/// `HHMM`.
fn clock(value: &Value) -> Option<u16> {
    let text = value.as_str().filter(|text| text.len() == 4)?;
    let number: u16 = text.parse().ok()?;
    (number / 100 < 24 && number % 100 < 60).then_some(number)
}

fn sip(value: &Value) -> Result<(), ApiError> {
    fields(value, "sip", &["status", "servers", "webhook_delivery"])?;
    one_of(&value["status"], &SWITCH, "sip.status")?;
    let good = |server: &Value| server["hostname"].is_string();
    match &value["servers"] {
        Value::Null => Ok(()),
        Value::Array(servers) if servers.len() <= 1 && servers.iter().all(good) => Ok(()),
        _ => Err(ApiError::parameter("calling.sip.servers: one server with a hostname expected")),
    }
}

fn voicemail(value: &Value) -> Result<(), ApiError> {
    fields(value, "voicemail", &["status", "triggers", "audio"])?;
    one_of(&value["status"], &SWITCH, "voicemail.status")?;
    if value["triggers"].is_null() {
        return Ok(());
    }
    texts(&value["triggers"], "voicemail", |text| ["REJECT", "TIMEOUT"].contains(&text))
}
