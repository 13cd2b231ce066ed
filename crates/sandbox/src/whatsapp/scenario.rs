//! What callers and called numbers do: the sandbox's dialable numbers and the faults that tests ask for.

use std::time::Duration;

use super::codes;
use super::faults::{ApiError, GraphFault};
use super::permission::PermissionAnswer;
use super::sdp::DtlsSetup;
use crate::rough::Rough;

/// The tone a user speaks unless told otherwise.
const TONE_HZ: f64 = 440.0;

/// When and how a called user picks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pickup {
    /// Rings this long, then answers.
    After(Duration),
    /// Rings this long, then rejects.
    Reject(Duration),
    /// Rings until the limit.
    Never,
    /// Rings until [`super::CallHandle::answer`] or [`super::CallHandle::decline`].
    ByHand,
}

/// What is wrong with the media of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaFault {
    /// Nothing.
    #[default]
    None,
    /// STUN checks are not answered.
    NoStun,
    /// DTLS is not answered.
    NoDtls,
    /// The SDP's fingerprint is not the certificate's.
    WrongFingerprint,
    /// The user hears, but sends nothing.
    NeverSpeaks,
    /// DTLS-SRTP with SRTP_AES128_CM_HMAC_SHA1_80 alone.
    NoAesGcm,
    /// DTLS-SRTP with SRTP_AEAD_AES_128_GCM alone.
    NoAesCm,
}

/// The names of the codecs that settings may add to Opus.
pub(crate) const G711: [&str; 2] = ["PCMA", "PCMU"];

/// The shape of WhatsApp's SDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SdpShape {
    /// As it is seen on the wire, 2025 and 2026.
    #[default]
    Modern,
    /// As Meta's reference shows it: header extensions, an IPv6 candidate beside the other, no ptime.
    Documented,
}

/// Order of a call's webhooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As Meta says: connect, RINGING, ACCEPTED, terminate.
    #[default]
    AsMeta,
    /// ACCEPTED and RINGING come before the connect webhook with the SDP answer (business-initiated).
    AcceptedFirst,
    /// The user hangs up at once and terminate overtakes connect.
    TerminateFirst,
}

/// What is wrong with the webhooks of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebhookFaults {
    /// Every webhook is delivered twice at once.
    pub duplicate: bool,
    /// The first webhook comes before the reply to `connect`.
    pub before_reply: bool,
    /// Their order.
    pub order: Order,
    /// Signatures are wrong.
    pub bad_signature: bool,
    /// Their timestamps are this old.
    pub aged: Duration,
}

/// A call that fails by itself: its terminate webhook is FAILED, with this code in its `errors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Meta's code.
    pub code: u32,
    /// After the pickup; before, it is after RINGING (or the connect webhook of a user's call).
    pub after_pickup: bool,
    /// How long after it.
    pub after: Duration,
}

/// What a dialled number does.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// When it picks up.
    pub pickup: Pickup,
    /// The user hangs up this long after the pickup.
    pub hang_up_after: Option<Duration>,
    /// The tone the user speaks; 0 for silence.
    pub tone_hz: f64,
    /// Digits the user presses.
    pub digits: String,
    /// When, after the pickup.
    pub digits_after: Duration,
    /// `a=setup` of the SDP answer; after `actpass` WhatsApp sends the ClientHello, as seen in the field.
    pub setup: DtlsSetup,
    /// The shape of its SDP.
    pub shape: SdpShape,
    /// What the user says to a request for permission to call.
    pub permission: PermissionAnswer,
    /// What is wrong with its media.
    pub media: MediaFault,
    /// The call fails by itself.
    pub fails: Option<Failure>,
    /// What is wrong with the reply to `connect`.
    pub graph: Option<GraphFault>,
    /// What is wrong with its webhooks.
    pub webhooks: WebhookFaults,
    /// What becomes of the packets that the user sends.
    pub rough: Rough,
    /// How long the user listens closely: later sound is counted, neither decoded nor recorded, and what the user says
    /// repeats itself.
    pub attention: Duration,
}

impl Default for Behaviour {
    /// Answers after a second.
    fn default() -> Self {
        Self {
            pickup: Pickup::After(Duration::from_secs(1)),
            hang_up_after: None,
            tone_hz: TONE_HZ,
            digits: String::new(),
            digits_after: Duration::from_secs(2),
            setup: DtlsSetup::Active,
            shape: SdpShape::default(),
            permission: PermissionAnswer::default(),
            media: MediaFault::None,
            fails: None,
            graph: None,
            webhooks: WebhookFaults::default(),
            rough: Rough::default(),
            attention: Duration::MAX,
        }
    }
}

impl Behaviour {
    fn refused(status: u16, code: u32, message: &str, details: &str) -> Self {
        let error = ApiError::new(status, code, message, details);
        Self { graph: Some(GraphFault::Error(error)), ..Self::default() }
    }

    fn wired(setup: DtlsSetup, media: MediaFault) -> Self {
        Self { setup, media, ..Self::default() }
    }

    fn told(webhooks: WebhookFaults) -> Self {
        Self { webhooks, ..Self::default() }
    }
}

/// A call from a WhatsApp user to the business.
#[derive(Clone, Debug)]
pub struct UserCall {
    /// The user's number in digits; the call's key in the ladder.
    pub from: String,
    /// The user's profile name.
    pub name: String,
    /// The `phone_number_id` of the number that is called; the first where nothing is said.
    pub to: Option<String>,
    /// The user's BSUID; where it is given, the phone number is left out of the webhook.
    pub bsuid: Option<String>,
    /// The user's parent BSUID.
    pub parent_bsuid: Option<String>,
    /// The user's username, with its `@`.
    pub username: Option<String>,
    /// `cta_payload` of the connect webhook.
    pub cta_payload: Option<String>,
    /// `deeplink_payload` of the connect webhook.
    pub deeplink_payload: Option<String>,
    /// The shape of its SDP.
    pub shape: SdpShape,
    /// The call reaches the business as a webhook with this error only (131044).
    pub undeliverable: Option<u32>,
    /// The tone the user speaks; 0 for silence.
    pub tone_hz: f64,
    /// Digits the user presses.
    pub digits: String,
    /// When, after the answer.
    pub digits_after: Duration,
    /// The user hangs up this long after the answer.
    pub hang_up_after: Option<Duration>,
    /// The call fails by itself.
    pub fails: Option<Failure>,
    /// The user gives up where nobody has answered by then.
    pub patience: Option<Duration>,
    /// What is wrong with its media.
    pub media: MediaFault,
    /// What is wrong with its webhooks.
    pub webhooks: WebhookFaults,
    /// What becomes of the packets that the user sends.
    pub rough: Rough,
    /// How long the user listens closely, as [`Behaviour::attention`].
    pub attention: Duration,
}

impl UserCall {
    /// A call with a tone of 440 Hz that lasts until somebody hangs up.
    #[must_use]
    pub fn new(from: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            from: from.into(),
            name: name.into(),
            to: None,
            bsuid: None,
            parent_bsuid: None,
            username: None,
            cta_payload: None,
            deeplink_payload: None,
            shape: SdpShape::default(),
            undeliverable: None,
            tone_hz: TONE_HZ,
            digits: String::new(),
            digits_after: Duration::from_secs(2),
            hang_up_after: None,
            fails: None,
            patience: None,
            media: MediaFault::None,
            webhooks: WebhookFaults::default(),
            rough: Rough::default(),
            attention: Duration::MAX,
        }
    }

    pub(crate) fn behaviour(&self) -> Behaviour {
        Behaviour {
            pickup: Pickup::Never,
            hang_up_after: self.hang_up_after,
            tone_hz: self.tone_hz,
            digits: self.digits.clone(),
            digits_after: self.digits_after,
            setup: DtlsSetup::ActPass,
            shape: self.shape,
            permission: PermissionAnswer::default(),
            media: self.media,
            fails: self.fails,
            graph: None,
            webhooks: self.webhooks,
            rough: self.rough,
            attention: self.attention,
        }
    }
}

/// Numbers to dial and what happens.
pub const NUMBERS: [(&str, &str); 20] = [
    ("15550000001", "answers after a second"),
    ("15550000002", "rejects after two seconds"),
    ("15550000003", "never answers"),
    ("15550000004", "has given no permission to be called (138006)"),
    ("15550000005", "answers and hangs up after 5 s"),
    ("15550000006", "cannot be called (138001)"),
    ("15550000007", "answers, but the Graph API replies only after 5 s"),
    ("15550000008", "answers, but DTLS never completes"),
    ("15550000009", "answers, but with another certificate than its SDP says"),
    ("15550000010", "answers; webhooks come before the Graph reply"),
    ("15550000011", "answers; every webhook comes twice"),
    ("15550000012", "answers; ACCEPTED comes before the SDP answer"),
    ("15550000013", "hangs up at once: terminate comes before connect"),
    ("15550000014", "answers with a=setup:passive"),
    ("15550000015", "answers with a=setup:actpass, as seen in the field"),
    ("15550000016", "answers, but its media relay answers no STUN check"),
    ("15550000017", "answers; gives permission to call for good when asked"),
    ("15550000018", "answers; refuses permission to call when asked"),
    ("15550000019", "answers; says nothing when asked for permission to call"),
    ("15550000020", "answers with SDP in the shape of Meta's reference"),
];

/// The directory of [`NUMBERS`] and of [`codes`]; any other number answers after a second.
#[must_use]
pub fn by_number(number: &str) -> Behaviour {
    if let Some(behaviour) = codes::by_number(number) {
        return behaviour;
    }
    let seconds = Duration::from_secs;
    let place = NUMBERS.iter().position(|(known, _)| *known == number).map_or(0, |index| index + 1);
    let faults = WebhookFaults::default();
    match place {
        2 => Behaviour { pickup: Pickup::Reject(seconds(2)), ..Behaviour::default() },
        3 => Behaviour { pickup: Pickup::Never, ..Behaviour::default() },
        4 => Behaviour::refused(
            401,
            138_006,
            "No approved call permission",
            "No approved call permission from the recipient",
        ),
        5 => Behaviour { hang_up_after: Some(seconds(5)), ..Behaviour::default() },
        6 => Behaviour::refused(400, 138_001, "Receiver uncallable", "Receiver is unable to receive calls"),
        7 => Behaviour { graph: Some(GraphFault::Delay(seconds(5))), ..Behaviour::default() },
        8 => Behaviour::wired(DtlsSetup::Active, MediaFault::NoDtls),
        9 => Behaviour::wired(DtlsSetup::Active, MediaFault::WrongFingerprint),
        10 => Behaviour {
            graph: Some(GraphFault::Delay(seconds(2))),
            ..Behaviour::told(WebhookFaults { before_reply: true, ..faults })
        },
        11 => Behaviour::told(WebhookFaults { duplicate: true, ..faults }),
        12 => Behaviour::told(WebhookFaults { order: Order::AcceptedFirst, ..faults }),
        13 => Behaviour::told(WebhookFaults { order: Order::TerminateFirst, ..faults }),
        14 => Behaviour::wired(DtlsSetup::Passive, MediaFault::None),
        15 => Behaviour::wired(DtlsSetup::ActPass, MediaFault::None),
        16 => Behaviour::wired(DtlsSetup::Active, MediaFault::NoStun),
        17 => Behaviour { permission: PermissionAnswer::Permanent, ..Behaviour::default() },
        18 => Behaviour { permission: PermissionAnswer::Reject, ..Behaviour::default() },
        19 => Behaviour { permission: PermissionAnswer::Never, ..Behaviour::default() },
        20 => Behaviour { shape: SdpShape::Documented, ..Behaviour::default() },
        _ => Behaviour::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_what_they_say() {
        let of = |text: &str| by_number(NUMBERS.iter().find(|(_, what)| what.contains(text)).unwrap().0);
        assert_eq!(of("rejects").pickup, Pickup::Reject(Duration::from_secs(2)));
        assert_eq!(of("never answers").pickup, Pickup::Never);
        let code = |behaviour: Behaviour| match behaviour.graph {
            Some(GraphFault::Error(error)) => error.code,
            _ => 0,
        };
        assert_eq!((code(of("no permission")), code(of("cannot be called"))), (138_006, 138_001));
        assert_eq!(of("hangs up after 5 s").hang_up_after, Some(Duration::from_secs(5)));
        assert_eq!(of("DTLS never").media, MediaFault::NoDtls);
        assert_eq!(of("another certificate").media, MediaFault::WrongFingerprint);
        assert_eq!(of("no STUN").media, MediaFault::NoStun);
        assert!(of("before the Graph reply").webhooks.before_reply);
        assert!(of("comes twice").webhooks.duplicate);
        assert_eq!(of("before the SDP answer").webhooks.order, Order::AcceptedFirst);
        assert_eq!(of("before connect").webhooks.order, Order::TerminateFirst);
        assert_eq!((of("passive").setup, of("actpass").setup), (DtlsSetup::Passive, DtlsSetup::ActPass));
        assert_eq!(of("for good").permission, PermissionAnswer::Permanent);
        assert_eq!(of("refuses permission").permission, PermissionAnswer::Reject);
        assert_eq!(of("says nothing").permission, PermissionAnswer::Never);
        assert_eq!(of("Meta's reference").shape, SdpShape::Documented);
        assert_eq!(by_number("4915112345678").pickup, Behaviour::default().pickup);
    }
}
