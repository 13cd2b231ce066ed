//! What the control API takes.

use std::time::Duration;

use axum::http::Uri;
use serde_json::{Map, Value};

use crate::whatsapp::events::Event;
use crate::whatsapp::faults::{ApiError, GraphFault};
use crate::whatsapp::operation::Operation;
use crate::whatsapp::permission::{PermissionAnswer, PermissionShape};
use crate::whatsapp::post::WebhookFault;
use crate::whatsapp::scenario::{
    Behaviour, Failure, MediaFault, Order, Pickup, SdpShape, UserCall, WebhookFaults, by_number,
};
use crate::whatsapp::sdp::DtlsSetup;

/// The fields of a JSON object, or of a query.
pub(super) struct Fields(Map<String, Value>);

type Read<T> = Result<T, String>;

impl Fields {
    pub(super) fn read(uri: &Uri, body: &[u8]) -> Read<Self> {
        let url = format!("http://sandbox/?{}", uri.query().unwrap_or_default());
        let url = reqwest::Url::parse(&url).map_err(|error| error.to_string())?;
        let mut fields: Map<String, Value> =
            url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect();
        if !body.is_empty() {
            let body: Value = serde_json::from_slice(body).map_err(|error| format!("JSON: {error}"))?;
            fields.extend(body.as_object().ok_or("a JSON object is expected")?.clone());
        }
        Ok(Self(fields))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn typed<'a, T>(
        &'a self,
        name: &str,
        kind: &str,
        of: impl Fn(&'a Value) -> Option<T>,
    ) -> Read<Option<T>> {
        let value = self.get(name);
        value.map(|value| of(value).ok_or_else(|| format!("{name} must be {kind}"))).transpose()
    }

    pub(super) fn text(&self, name: &str) -> Read<Option<String>> {
        self.typed(name, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn need(&self, name: &str) -> Read<String> {
        self.text(name)?.ok_or_else(|| format!("{name} is missing"))
    }

    pub(super) fn flag(&self, name: &str) -> Read<Option<bool>> {
        self.typed(name, "true or false", Value::as_bool)
    }

    fn number(&self, name: &str) -> Read<Option<u64>> {
        self.typed(name, "a whole number", Value::as_u64)
    }

    pub(super) fn count(&self, name: &str) -> Read<Option<usize>> {
        Ok(self.number(name)?.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
    }

    pub(super) fn seconds(&self, name: &str) -> Read<Option<Duration>> {
        let seconds = |value: &Value| Duration::try_from_secs_f64(value.as_f64()?).ok();
        self.typed(name, "a number of seconds", seconds)
    }

    pub(super) fn need_seconds(&self, name: &str) -> Read<Duration> {
        self.seconds(name)?.ok_or_else(|| format!("{name} is missing"))
    }

    fn milliseconds(&self, name: &str) -> Read<Option<Duration>> {
        Ok(self.number(name)?.map(Duration::from_millis))
    }

    pub(super) fn texts(&self, name: &str) -> Read<Option<Vec<String>>> {
        let texts = |value: &Value| {
            value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        self.typed(name, "a list of strings", texts)
    }

    pub(super) fn object(&self, name: &str) -> Read<Map<String, Value>> {
        Ok(self.typed(name, "an object", |value| value.as_object().cloned())?.unwrap_or_default())
    }

    /// One of these words.
    fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Read<Option<T>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        found.map(Some).ok_or_else(|| format!("{name} must be one of {}", known.join(", ")))
    }

    /// A permutation of 0, 1, 2, ...
    pub(super) fn order(&self) -> Read<Option<Vec<usize>>> {
        let places = |value: &Value| {
            let places = value.as_array()?.iter().map(|one| usize::try_from(one.as_u64()?).ok());
            let places = places.collect::<Option<Vec<_>>>()?;
            (0..places.len()).all(|place| places.contains(&place)).then_some(places)
        };
        self.typed("reorder", "a permutation of 0, 1, 2, ...", places)
    }

    fn error(&self) -> Read<ApiError> {
        let code = self.number("code")?.and_then(|code| u32::try_from(code).ok()).ok_or("code is missing")?;
        let error = ApiError::of(code);
        let small =
            |name: &str| Ok::<_, String>(self.number(name)?.and_then(|number| u32::try_from(number).ok()));
        Ok(ApiError {
            status: self.status()?.unwrap_or(error.status),
            subcode: small("subcode")?.or(error.subcode),
            details: self.text("details")?.unwrap_or(error.details),
            retry_after: small("retry_after")?,
            ..error
        })
    }

    fn status(&self) -> Read<Option<u16>> {
        Ok(self.number("status")?.and_then(|status| u16::try_from(status).ok()))
    }

    /// (operation, fault, times).
    pub(super) fn graph_fault(&self) -> Read<(Operation, GraphFault, usize)> {
        let name = self.need("operation")?;
        let operation = Operation::named(&name).ok_or_else(|| {
            let known: Vec<&str> = Operation::ALL.iter().map(|operation| operation.name()).collect();
            format!("operation must be one of {}", known.join(", "))
        })?;
        Ok((operation, self.fault()?, self.count("times")?.unwrap_or(1)))
    }

    fn fault(&self) -> Read<GraphFault> {
        let done = self.flag("done")?.unwrap_or(false);
        let kind = self.need("fault")?;
        Ok(match kind.as_str() {
            "error" if done => GraphFault::ErrorAfter(self.error()?),
            "error" => GraphFault::Error(self.error()?),
            "delay" => GraphFault::Delay(self.milliseconds("ms")?.ok_or("ms is missing")?),
            "garbage" => GraphFault::Garbage {
                status: self.status()?.unwrap_or(200),
                body: self.text("body")?.unwrap_or_else(|| "<html>".to_owned()),
            },
            "status" => {
                let retry_after = self.number("retry_after")?.and_then(|time| u32::try_from(time).ok());
                GraphFault::Status { status: self.status()?.unwrap_or(503), retry_after, done }
            }
            "hang" => GraphFault::Hang { done },
            "reset" => GraphFault::Reset { done },
            "half_answer" => GraphFault::HalfAnswer { done },
            "huge" => {
                GraphFault::Huge { bytes: self.count("bytes")?.unwrap_or(16 << 20).min(256 << 20), done }
            }
            _ => {
                return Err(
                    "fault must be one of error, delay, garbage, status, hang, reset, half_answer, huge"
                        .to_owned(),
                );
            }
        })
    }

    pub(super) fn webhook_fault(&self) -> Read<WebhookFault> {
        let time = || self.milliseconds("ms")?.ok_or_else(|| "ms is missing".to_owned());
        Ok(match self.need("fault")?.as_str() {
            "lost" => WebhookFault::Lost,
            "repeated" => WebhookFault::Repeated(self.count("copies")?.unwrap_or(2)),
            "late" => WebhookFault::Late(time()?),
            "slow" => WebhookFault::Slow(time()?),
            "bad_signature" => WebhookFault::BadSignature,
            "secret" => WebhookFault::Secret(self.need("secret")?),
            _ => {
                return Err(
                    "fault must be one of lost, repeated, late, slow, bad_signature, secret".to_owned()
                );
            }
        })
    }

    pub(super) fn permission_answer(&self) -> Read<Option<PermissionAnswer>> {
        use PermissionAnswer::{Never, Permanent, Reject, Temporary};
        let words =
            [("never", Never), ("temporary", Temporary), ("permanent", Permanent), ("reject", Reject)];
        self.word("answer", &words)
    }

    pub(super) fn permission_shape(&self) -> Read<Option<PermissionShape>> {
        use PermissionShape::{OpenApi, Sample, Table};
        self.word("shape", &[("sample", Sample), ("table", Table), ("openapi", OpenApi)])
    }

    fn sdp_shape(&self) -> Read<SdpShape> {
        let words = [("modern", SdpShape::Modern), ("documented", SdpShape::Documented)];
        Ok(self.word("shape", &words)?.unwrap_or_default())
    }

    fn media(&self) -> Read<MediaFault> {
        let words = [
            ("none", MediaFault::None),
            ("no_stun", MediaFault::NoStun),
            ("no_dtls", MediaFault::NoDtls),
            ("wrong_fingerprint", MediaFault::WrongFingerprint),
            ("never_speaks", MediaFault::NeverSpeaks),
        ];
        Ok(self.word("media", &words)?.unwrap_or_default())
    }

    /// `fails`: a code; `after_pickup`, and how long `fails_after_ms`.
    fn failure(&self) -> Read<Option<Failure>> {
        let code = self.number("fails")?.and_then(|code| u32::try_from(code).ok());
        let after_pickup = self.flag("after_pickup")?.unwrap_or(false);
        let after = self.milliseconds("fails_after_ms")?.unwrap_or(Duration::from_millis(500));
        Ok(code.map(|code| Failure { code, after_pickup, after }))
    }

    fn webhooks(&self) -> Read<WebhookFaults> {
        let order = [
            ("as_meta", Order::AsMeta),
            ("accepted_first", Order::AcceptedFirst),
            ("terminate_first", Order::TerminateFirst),
        ];
        Ok(WebhookFaults {
            duplicate: self.flag("duplicate")?.unwrap_or(false),
            before_reply: self.flag("before_reply")?.unwrap_or(false),
            order: self.word("order", &order)?.unwrap_or_default(),
            bad_signature: self.flag("bad_signature")?.unwrap_or(false),
            aged: self.seconds("aged_s")?.unwrap_or_default(),
        })
    }

    /// A call of a user.
    pub(super) fn user_call(&self) -> Read<UserCall> {
        let name = self.text("name")?.unwrap_or_else(|| "Ada Lovelace".to_owned());
        let call = UserCall::new(self.need("from")?, name);
        let undeliverable = self.number("undeliverable")?.and_then(|code| u32::try_from(code).ok());
        Ok(UserCall {
            to: self.text("to")?,
            bsuid: self.text("bsuid")?,
            parent_bsuid: self.text("parent_bsuid")?,
            username: self.text("username")?,
            cta_payload: self.text("cta_payload")?,
            deeplink_payload: self.text("deeplink_payload")?,
            tone_hz: self.typed("tone_hz", "a number", Value::as_f64)?.unwrap_or(call.tone_hz),
            digits: self.text("digits")?.unwrap_or_default(),
            hang_up_after: self.milliseconds("hang_up_after_ms")?,
            patience: self.milliseconds("patience_ms")?,
            shape: self.sdp_shape()?,
            media: self.media()?,
            fails: self.failure()?,
            undeliverable,
            webhooks: self.webhooks()?,
            ..call
        })
    }

    /// What a dialled `number` does from now on.
    pub(super) fn behaviour(&self) -> Read<Behaviour> {
        let usual = by_number(&self.need("number")?);
        let after = self.milliseconds("after_ms")?.unwrap_or(Duration::from_secs(1));
        let pickups = [
            ("after", Pickup::After(after)),
            ("reject", Pickup::Reject(after)),
            ("never", Pickup::Never),
            ("by_hand", Pickup::ByHand),
        ];
        let setups =
            [("active", DtlsSetup::Active), ("passive", DtlsSetup::Passive), ("actpass", DtlsSetup::ActPass)];
        let graph = if self.get("fault").is_some() { Some(self.fault()?) } else { usual.graph };
        Ok(Behaviour {
            pickup: self.word("pickup", &pickups)?.unwrap_or(usual.pickup),
            hang_up_after: self.milliseconds("hang_up_after_ms")?,
            setup: self.word("setup", &setups)?.unwrap_or(usual.setup),
            shape: self.sdp_shape()?,
            permission: self.permission_answer()?.unwrap_or_default(),
            media: self.media()?,
            fails: self.failure()?.or(usual.fails),
            graph,
            webhooks: self.webhooks()?,
            ..Behaviour::default()
        })
    }

    pub(super) fn event(&self) -> Read<Event> {
        Ok(match self.need("event")?.as_str() {
            "chat" => Event::Chat { from: self.need("from")?, text: self.need("text")? },
            "voicemail" => Event::Voicemail { from: self.need("from")?, wacid: self.need("wacid")? },
            "recording" => Event::Recording { wacid: self.need("wacid")? },
            "transcription" => Event::Transcription { wacid: self.need("wacid")? },
            "violation" => Event::Violation { kind: self.need("kind")? },
            "restriction" => {
                let expiration = self.number("expiration")?.ok_or("expiration is missing")?;
                Event::Restriction { kind: self.need("kind")?, expiration }
            }
            "raw" => {
                let value = self.get("value").cloned().ok_or("value is missing")?;
                Event::Raw { field: self.need("field")?, value }
            }
            _ => {
                return Err("event must be one of chat, voicemail, recording, transcription, violation, \
                    restriction, raw"
                    .to_owned());
            }
        })
    }
}
