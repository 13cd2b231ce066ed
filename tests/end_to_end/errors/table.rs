//! What each code of WhatsApp has to lead to. Written by hand from what WhatsApp documents and from how SIP
//! networks take each status, not from the bridge's own tables.

use std::ops::RangeInclusive;

use wa_signaling::ErrorKind as Kind;

/// What PBX, metrics and alarms have to say of a code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) code: u32,
    pub(super) kind: Kind,
    pub(super) status: u16,
    pub(super) phrase: &'static str,
    pub(super) q850: u8,
    pub(super) label: &'static str,
    pub(super) retry_after: Option<u32>,
    /// The alarm that one such error raises.
    pub(super) alarm: Option<&'static str>,
    /// The error does not say that there is no call: it may be up all the same.
    pub(super) is_unclear: bool,
}

impl Case {
    /// The `Reason` header (RFC 3326).
    pub(super) fn reason(&self) -> String {
        let Self { status, phrase, q850, .. } = self;
        format!("SIP;cause={status};text=\"{phrase}\", Q.850;cause={q850};text=\"{phrase}\"")
    }

    /// Whether `accept` is tried again: the error may be over a moment later.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.kind, Kind::Outage | Kind::RateLimited | Kind::Unknown)
    }

    const fn later(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    const fn alarm(self, alarm: &'static str) -> Self {
        Self { alarm: Some(alarm), ..self }
    }

    const fn unclear(self) -> Self {
        Self { is_unclear: true, ..self }
    }
}

const fn case(
    code: u32,
    kind: Kind,
    status: u16,
    phrase: &'static str,
    q850: u8,
    label: &'static str,
) -> Case {
    Case { code, kind, status, phrase, q850, label, retry_after: None, alarm: None, is_unclear: false }
}

const fn token(code: u32) -> Case {
    case(code, Kind::TokenInvalid, 503, "WhatsApp access token is invalid", 38, "graph_token").alarm("token")
}

/// Not tried again, though a retry is often advised for these: the user's phone may ring already, and would
/// ring twice.
const fn unknown(code: u32) -> Case {
    case(code, Kind::Unknown, 500, "WhatsApp: unknown error", 38, "graph_unknown").unclear()
}

/// The alarm takes five in a row: `five_outages_in_a_row_are_an_alarm`.
const fn outage(code: u32) -> Case {
    let phrase = "WhatsApp is temporarily out of service";
    case(code, Kind::Outage, 503, phrase, 38, "graph_outage").later(30).unclear()
}

const fn rate(code: u32) -> Case {
    let phrase = "WhatsApp rate limit";
    case(code, Kind::RateLimited, 503, phrase, 42, "graph_rate_limited").later(30).alarm("rate_limit")
}

const fn not_authorized(code: u32) -> Case {
    let phrase = "WhatsApp app lacks the right to call";
    case(code, Kind::NotAuthorized, 403, phrase, 21, "graph_not_authorized").alarm("number_refused")
}

const fn policy(code: u32) -> Case {
    let phrase = "WhatsApp has locked the business account";
    case(code, Kind::Policy, 403, phrase, 21, "graph_policy").alarm("number_refused")
}

/// 403 and not 402, which few PBXs know: WhatsApp's own SIP mode says 403 too.
const fn payment(code: u32) -> Case {
    let phrase = "WhatsApp: business payment problem";
    case(code, Kind::Payment, 403, phrase, 21, "graph_payment").alarm("number_refused")
}

/// No alarm: one request was wrong, and nothing lasts until somebody has seen to it. The log names the
/// parameter.
const fn parameter(code: u32) -> Case {
    case(code, Kind::BadParameter, 400, "WhatsApp refused the request", 28, "graph_bad_parameter")
}

/// The texts with which code 100 means something else: message and subcode.
pub(super) const OTHER_100: [(&str, Option<u32>, Case); 2] =
    [("SDP Validation error", None, sdp(100)), ("Unsupported post request", Some(33), number_unknown(100))];

const fn sdp(code: u32) -> Case {
    case(code, Kind::SdpRefused, 488, "WhatsApp refused the SDP", 88, "graph_sdp_refused")
}

const fn number_unknown(code: u32) -> Case {
    let phrase = "WhatsApp business number does not exist";
    case(code, Kind::NumberUnknown, 404, phrase, 1, "graph_number_unknown").alarm("number_refused")
}

/// Answers to `connect`; those that any operation may meet are the same for the others.
#[rustfmt::skip]
pub(super) const ANSWERS: &[Case] = &[
    token(0),
    unknown(1),
    outage(2),
    case(3, Kind::NoCapability, 503, "WhatsApp app may not use the calling API", 38, "graph_no_capability").alarm("number_refused"),
    rate(4),
    not_authorized(10),
    number_unknown(33),
    parameter(100),
    token(190),
    not_authorized(200),
    not_authorized(250),
    not_authorized(299),
    policy(368),
    rate(80_007),
    rate(130_429),
    case(130_497, Kind::CountryRestricted, 403, "This business may not reach users of this country", 21, "graph_country"),
    unknown(131_000),
    not_authorized(131_005),
    parameter(131_008),
    parameter(131_009),
    outage(131_016),
    case(131_021, Kind::SelfCall, 400, "A business number can't call itself", 28, "graph_self_call"),
    case(131_030, Kind::NotAllowedRecipient, 403, "Recipient is not in the test number's list", 21, "graph_recipient"),
    policy(131_031),
    payment(131_042),
    payment(131_044),
    case(131_055, Kind::SipMode, 503, "The WhatsApp number is in SIP mode", 38, "graph_sip_mode").alarm("settings"),
    case(131_057, Kind::Maintenance, 503, "The WhatsApp account is under maintenance", 38, "graph_maintenance").later(60),
    case(133_010, Kind::NumberNotRegistered, 503, "WhatsApp business number is not registered", 38, "graph_not_registered").alarm("number_refused"),
    case(138_000, Kind::CallingDisabled, 403, "Calling is disabled on this WhatsApp number", 21, "graph_calling_disabled").alarm("settings"),
    case(138_001, Kind::Uncallable, 404, "Not reachable on WhatsApp", 1, "graph_uncallable"),
    case(138_002, Kind::TooManyCalls, 503, "Too many calls on this WhatsApp number", 34, "graph_too_many_calls").later(10),
    case(138_003, Kind::DuplicateCall, 486, "Already in a call with this WhatsApp user", 17, "graph_duplicate"),
    case(138_004, Kind::ConnectionError, 502, "WhatsApp connection error", 38, "graph_connection").unclear(),
    case(138_005, Kind::NumberRateLimited, 503, "Daily limit of calls of this WhatsApp number", 42, "graph_number_rate_limited").later(60).alarm("rate_limit"),
    case(138_006, Kind::NoCallPermission, 403, "No call permission from the WhatsApp user", 21, "graph_no_permission"),
    case(138_007, Kind::ConnectTimeout, 504, "WhatsApp: connect timed out", 102, "graph_connect_timeout").unclear(),
    sdp(138_008),
    // No Retry-After: it is the user who can't be called today, and not the trunk.
    case(138_012, Kind::DailyLimit, 403, "Daily limit of calls to this WhatsApp user", 21, "graph_daily_limit"),
    case(138_013, Kind::NotAvailable, 403, "WhatsApp calling is not available for this number", 21, "graph_not_available").alarm("restricted"),
    case(138_014, Kind::CallingPaused, 403, "WhatsApp has paused calling for this number", 21, "graph_calling_paused").alarm("restricted"),
    // In no table of WhatsApp's.
    unknown(138_010),
    unknown(138_016),
];

/// Ends of a call by webhook. What the user's phone or network did is 480: the PBX must not try another route.
#[rustfmt::skip]
pub(super) const WEBHOOKS: &[Case] = &[
    case(131_044, Kind::Payment, 403, "WhatsApp: business payment problem", 21, "wa_payment").alarm("number_refused"),
    case(138_007, Kind::ConnectTimeout, 504, "WhatsApp: connect timed out", 102, "wa_connect_timeout"),
    case(138_019, Kind::ConnectionError, 500, "WhatsApp client failed to set up the call", 41, "wa_client_setup"),
    case(138_020, Kind::ConnectionError, 480, "WhatsApp client could not reach its relay", 38, "wa_client_relay"),
    case(138_021, Kind::ConnectionError, 408, "WhatsApp received no media", 102, "wa_no_media_received"),
    case(138_022, Kind::ConnectionError, 480, "WhatsApp client sent no media", 102, "wa_no_media_sent"),
    case(138_023, Kind::ConnectionError, 480, "WhatsApp user answered and no media came", 102, "wa_no_media_signals"),
];

/// Answers to what is not of one call, by the name of the operation.
pub(super) const OTHERS: &[(&str, u32, Kind)] = &[
    ("call_permissions", 613, Kind::LookupLimit),
    ("messages", 131_008, Kind::BadParameter),
    ("messages", 131_009, Kind::BadParameter),
    ("messages", 131_026, Kind::Undeliverable),
    ("messages", 131_062, Kind::RecipientUnsupported),
    ("messages", 138_009, Kind::PermissionRequestLimit),
    ("messages", 138_011, Kind::ConversationNeeded),
    ("messages", 138_017, Kind::AlreadyPermitted),
    ("settings", 138_015, Kind::MessagingLimit),
    ("settings", 138_018, Kind::Prerequisites),
];

/// What `connect` is answered with, by code.
pub(super) fn answer(code: u32) -> Option<&'static Case> {
    ANSWERS.iter().find(|case| case.code == code)
}

/// The case of a code where it is met on this operation; a range has one for its first and one for its last.
pub(super) fn cases(operation: &str, codes: RangeInclusive<u32>) -> Vec<Option<Case>> {
    let ends = [*codes.start(), *codes.end()];
    let table = if operation == "webhook" { WEBHOOKS } else { ANSWERS };
    ends.iter().map(|code| table.iter().find(|case| case.code == *code).copied()).collect()
}

/// Whether a code has a case on this operation.
pub(super) fn is_covered(operation: &str, codes: RangeInclusive<u32>) -> bool {
    match operation {
        "messages" | "settings" | "call_permissions" => {
            OTHERS.iter().any(|(name, code, _)| *name == operation && codes.contains(code))
        }
        _ => cases(operation, codes).iter().all(Option::is_some),
    }
}
