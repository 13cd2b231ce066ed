//! The calling settings of a business number, as Graph gives and takes them.
//!
//! Every field may be absent: some are only given once they were set. Unknown ones are ignored.

use serde_json::{Map, Value, json};

use crate::json;

/// The longest lists kept of an answer; more is left out.
const MOST: usize = 500;

/// All of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CallingSettings {
    /// Whether calling is on (`status`).
    pub enabled: Option<bool>,
    /// Who sees the call button: `DEFAULT`, `DISABLE_ALL`.
    pub call_icon_visibility: Option<String>,
    /// The countries whose users see the call button; empty: all.
    pub call_icon_countries: Vec<String>,
    /// When users may call.
    pub call_hours: Option<CallHours>,
    /// Whether a user's call permits to call back.
    pub callback_permission: Option<bool>,
    /// How the media keys are agreed on; absent until set, which means DTLS.
    pub key_exchange: Option<KeyExchange>,
    /// WhatsApp's own SIP mode.
    pub sip: Option<SipMode>,
    /// Codecs beside Opus, such as `PCMA`.
    pub additional_codecs: Vec<String>,
    /// WhatsApp's voicemail.
    pub voicemail: Option<Voicemail>,
    /// What WhatsApp forbids the number for now.
    pub restrictions: Vec<Restriction>,
    /// Whether video is on.
    pub video: Option<bool>,
    /// The addresses that WhatsApp names as its own.
    pub ip_addresses: Vec<String>,
}

/// How the media keys are agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyExchange {
    /// DTLS-SRTP.
    Dtls,
    /// Keys in the SDP.
    Sdes,
}

/// When users may call.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CallHours {
    /// Whether the hours count.
    pub enabled: bool,
    /// Their time zone, such as `America/Manaus`.
    pub timezone: String,
    /// The hours of each day; a day that is absent is closed.
    pub weekly: Vec<OpenHours>,
    /// Days with other hours. Set without them, Graph forgets those it had.
    pub holidays: Vec<Holiday>,
}

/// One span of one day of the week.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenHours {
    /// Such as `MONDAY`.
    pub day: String,
    /// `HHMM`.
    pub open: String,
    /// `HHMM`.
    pub close: String,
}

/// A day with other hours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holiday {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// `HHMM`.
    pub start: String,
    /// `HHMM`.
    pub end: String,
}

/// WhatsApp's own SIP mode: while it is on, all of the Graph API's calling fails with 131055.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SipMode {
    /// Whether it is on.
    pub enabled: bool,
    /// Whether webhooks come beside it.
    pub webhook_delivery: Option<bool>,
    /// Where its calls go: host and port. The passwords are never read.
    pub servers: Vec<(String, Option<u16>)>,
}

/// WhatsApp's voicemail.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Voicemail {
    /// Whether it is on.
    pub enabled: bool,
    /// When it takes a call: `REJECT`, `TIMEOUT`.
    pub triggers: Vec<String>,
    /// Seconds before it takes an unanswered call.
    pub timeout_s: Option<u64>,
}

/// What WhatsApp forbids for now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restriction {
    /// Such as `RESTRICTED_BUSINESS_INITIATED_CALLING`.
    pub kind: String,
    /// Why.
    pub reason: Option<String>,
    /// When it ends, in seconds since 1970.
    pub expires: Option<u64>,
}

impl CallingSettings {
    /// Reads the answer of `/settings`, or the `phone_number_settings` of a webhook: whatever has
    /// `calling` in it.
    #[must_use]
    pub fn read(value: &Value) -> Self {
        let calling = value.get("calling").unwrap_or(&Value::Null);
        let part = |key| calling.get(key).filter(|part: &&Value| part.is_object());
        let list = |key, inner| part(key).map(|part| words(part, inner)).unwrap_or_default();
        Self {
            enabled: switch(calling, "status"),
            call_icon_visibility: text(calling, "call_icon_visibility"),
            call_icon_countries: list("call_icons", "restrict_to_user_countries"),
            call_hours: part("call_hours").map(CallHours::read),
            callback_permission: switch(calling, "callback_permission_status"),
            key_exchange: KeyExchange::read(calling),
            sip: part("sip").map(SipMode::read),
            additional_codecs: list("audio", "additional_codecs"),
            voicemail: part("voicemail").map(Voicemail::read),
            restrictions: part("restrictions").map(Restriction::read_all).unwrap_or_default(),
            video: part("video").and_then(|video| switch(video, "status")),
            ip_addresses: list("ip_addresses", "default"),
        }
    }
}

impl KeyExchange {
    fn read(calling: &Value) -> Option<Self> {
        match text(calling, "srtp_key_exchange_protocol")?.to_ascii_uppercase().as_str() {
            "DTLS" => Some(Self::Dtls),
            "SDES" => Some(Self::Sdes),
            _ => None,
        }
    }

    /// The word of the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dtls => "DTLS",
            Self::Sdes => "SDES",
        }
    }
}

impl CallHours {
    fn read(value: &Value) -> Self {
        let open = |hours: &Value| {
            let (open, close) = (text(hours, "open_time")?, text(hours, "close_time")?);
            Some(OpenHours { day: text(hours, "day_of_week")?, open, close })
        };
        let holiday = |day: &Value| {
            let (start, end) = (text(day, "start_time")?, text(day, "end_time")?);
            Some(Holiday { date: text(day, "date")?, start, end })
        };
        Self {
            enabled: switch(value, "status").unwrap_or(false),
            timezone: text(value, "timezone_id").unwrap_or_default(),
            weekly: entries(value, "weekly_operating_hours").filter_map(open).collect(),
            holidays: entries(value, "holiday_schedule").filter_map(holiday).collect(),
        }
    }

    fn json(&self) -> Value {
        let weekly = self.weekly.iter().map(
            |hours| json!({ "day_of_week": hours.day, "open_time": hours.open, "close_time": hours.close }),
        );
        let holidays = self
            .holidays
            .iter()
            .map(|day| json!({ "date": day.date, "start_time": day.start, "end_time": day.end }));
        json!({
            "status": on_off(self.enabled),
            "timezone_id": self.timezone,
            "weekly_operating_hours": weekly.collect::<Vec<_>>(),
            "holiday_schedule": holidays.collect::<Vec<_>>(),
        })
    }
}

impl SipMode {
    fn read(value: &Value) -> Self {
        let server = |server: &Value| {
            let port = json::number(server, "port").and_then(|port| u16::try_from(port).ok());
            Some((text(server, "hostname")?, port))
        };
        Self {
            enabled: switch(value, "status").unwrap_or(false),
            webhook_delivery: switch(value, "webhook_delivery"),
            servers: entries(value, "servers").filter_map(server).collect(),
        }
    }
}

impl Voicemail {
    fn read(value: &Value) -> Self {
        let audio = value.get("audio").and_then(|audio| audio.get("default"));
        Self {
            enabled: switch(value, "status").unwrap_or(false),
            triggers: words(value, "triggers"),
            timeout_s: audio.and_then(|audio| json::number(audio, "timeout_seconds")),
        }
    }
}

impl Restriction {
    fn read_all(value: &Value) -> Vec<Self> {
        let restriction = |entry: &Value| {
            Some(Self {
                kind: text(entry, "type")?,
                reason: text(entry, "reason"),
                expires: json::number(entry, "expiration"),
            })
        };
        entries(value, "restrictions_list").filter_map(restriction).collect()
    }
}

/// One change; Graph takes one feature a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SettingsChange {
    /// Turns calling on or off.
    Calling(bool),
    /// Who sees the call button: `DEFAULT`, `DISABLE_ALL`.
    CallIconVisibility(String),
    /// The countries whose users see the call button; empty: all.
    CallIconCountries(Vec<String>),
    /// When users may call. Whole: what is left out is forgotten.
    CallHours(CallHours),
    /// Whether a user's call permits to call back.
    CallbackPermission(bool),
    /// How the media keys are agreed on.
    KeyExchange(KeyExchange),
    /// Turns WhatsApp's own SIP mode on or off.
    SipMode(bool),
    /// Codecs beside Opus, such as `PCMA`; empty: none.
    AdditionalCodecs(Vec<String>),
    /// Turns video on or off.
    Video(bool),
}

impl SettingsChange {
    /// The feature that is changed, as Graph names it.
    #[must_use]
    pub const fn feature(&self) -> &'static str {
        match self {
            Self::Calling(_) => "status",
            Self::CallIconVisibility(_) => "call_icon_visibility",
            Self::CallIconCountries(_) => "call_icons",
            Self::CallHours(_) => "call_hours",
            Self::CallbackPermission(_) => "callback_permission_status",
            Self::KeyExchange(_) => "srtp_key_exchange_protocol",
            Self::SipMode(_) => "sip",
            Self::AdditionalCodecs(_) => "audio",
            Self::Video(_) => "video",
        }
    }

    /// The body of the request.
    #[must_use]
    pub fn json(&self) -> Value {
        let value = match self {
            Self::Calling(on) | Self::CallbackPermission(on) => on_off(*on).into(),
            Self::CallIconVisibility(word) => word.as_str().into(),
            Self::CallIconCountries(countries) => json!({ "restrict_to_user_countries": countries }),
            Self::CallHours(hours) => hours.json(),
            Self::KeyExchange(exchange) => exchange.name().into(),
            Self::SipMode(on) | Self::Video(on) => json!({ "status": on_off(*on) }),
            Self::AdditionalCodecs(codecs) => json!({ "additional_codecs": codecs }),
        };
        let calling: Map<_, _> = [(self.feature().to_owned(), value)].into_iter().collect();
        json!({ "calling": calling })
    }
}

const fn on_off(on: bool) -> &'static str {
    if on { "ENABLED" } else { "DISABLED" }
}

/// `ENABLED` or `DISABLED`, in whatever case; anything else says nothing.
fn switch(value: &Value, key: &str) -> Option<bool> {
    match text(value, key)?.to_ascii_uppercase().as_str() {
        "ENABLED" => Some(true),
        "DISABLED" => Some(false),
        _ => None,
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    json::text(value, key).map(str::to_owned)
}

fn words(value: &Value, key: &str) -> Vec<String> {
    let mut words = json::ids(value, key);
    words.truncate(MOST);
    words
}

fn entries<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    json::list(value, key).iter().take(MOST)
}

#[cfg(test)]
mod tests;
