//! Every error code that WhatsApp documents for calling, in one table.
//!
//! The texts are ours; WhatsApp's own come with each error.

use ErrorKind as Kind;
use Operation::{Answer, Any, Connect, End, Messages, Permissions, Settings, Webhook};

use super::error::ErrorKind;

/// Where a code turns up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Anywhere.
    Any,
    /// `connect`.
    Connect,
    /// `pre_accept` and `accept`.
    Answer,
    /// `reject` and `terminate`.
    End,
    /// Sending a message, a permission request among them.
    Messages,
    /// Reading or changing calling settings.
    Settings,
    /// Asking for a call permission.
    Permissions,
    /// Not an answer: in the `terminate` webhook of a call, or an error webhook.
    Webhook,
}

impl Operation {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Any => "any",
            Connect => "connect",
            Answer => "accept",
            End => "terminate",
            Messages => "messages",
            Settings => "settings",
            Permissions => "call_permissions",
            Webhook => "webhook",
        }
    }
}

/// A code, or a range of codes that mean the same.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// The first.
    pub first: u32,
    /// The last; the first where it is one.
    pub last: u32,
    /// The HTTP statuses it is documented with; most come with 400 in fact.
    pub http: &'static [u16],
    /// What it says.
    pub meaning: &'static str,
    /// Where it turns up.
    pub operations: &'static [Operation],
    /// What it means for a call.
    pub kind: ErrorKind,
}

const fn code(
    code: u32,
    http: &'static [u16],
    kind: ErrorKind,
    operations: &'static [Operation],
    meaning: &'static str,
) -> Code {
    Code { first: code, last: code, http, meaning, operations, kind }
}

const fn up_to(last: u32, code: Code) -> Code {
    Code { last, ..code }
}

/// The table, by code.
#[rustfmt::skip]
pub const CODES: &[Code] = &[
    code(0,       &[401], Kind::TokenInvalid, &[Any], "The app could not be authenticated: the token is wrong or has ended."),
    code(1,       &[400, 500], Kind::Unknown, &[Any], "The API does not know what went wrong."),
    code(2,       &[503], Kind::Outage, &[Any], "The API is out of service for a moment."),
    code(3,       &[500], Kind::NoCapability, &[Any], "The app may not use this method of the API."),
    code(4,       &[400], Kind::RateLimited, &[Any], "The app sends too many requests."),
    code(10,      &[403], Kind::NotAuthorized, &[Any], "The right is not given, or was taken back."),
    code(33,      &[400], Kind::NumberUnknown, &[Any], "The business number is deleted, or its id is wrong."),
    code(100,     &[400], Kind::BadParameter, &[Any], "A parameter is wrong. Where the text speaks of SDP, the SDP is (see 138008); with subcode 33, the number's id is (see 33)."),
    code(190,     &[401], Kind::TokenInvalid, &[Any], "The access token has ended or was taken back."),
    up_to(299, code(200, &[403], Kind::NotAuthorized, &[Any], "A right of the API is not given to the token.")),
    code(368,     &[403], Kind::Policy, &[Any], "The business account is blocked for breaking a policy."),
    code(613,     &[429], Kind::LookupLimit, &[Permissions], "Call permissions are asked for too often."),
    code(80_007,  &[400], Kind::RateLimited, &[Any], "The WhatsApp Business Account sends too many requests."),
    code(130_429, &[400], Kind::RateLimited, &[Any], "The number sends more than its throughput."),
    code(130_497, &[403], Kind::CountryRestricted, &[Any], "The business may not reach users of this country."),
    code(131_000, &[400, 500], Kind::Unknown, &[Any], "Something went wrong, and the API does not say what."),
    code(131_005, &[403], Kind::NotAuthorized, &[Any], "The token has no access to this number."),
    code(131_008, &[400], Kind::BadParameter, &[Connect, Messages], "A parameter that must be there is missing."),
    code(131_009, &[400], Kind::BadParameter, &[Connect, Messages], "A parameter has a value that is not allowed; a call button for a country without calling, for one."),
    code(131_016, &[500], Kind::Outage, &[Any], "A service behind the API is out of order for a moment."),
    code(131_021, &[400], Kind::SelfCall, &[Connect], "The number that is called is the one that calls."),
    code(131_026, &[400], Kind::Undeliverable, &[Messages], "The message can't be delivered: the user is not on WhatsApp, or has a client too old."),
    code(131_030, &[400], Kind::NotAllowedRecipient, &[Connect], "A test number reaches the users on its list only, and this one is not on it."),
    code(131_031, &[403], Kind::Policy, &[Any], "The business account is locked."),
    code(131_042, &[400], Kind::Payment, &[Connect], "The business's payment method does not work."),
    code(131_044, &[400], Kind::Payment, &[Connect, Webhook], "The business has no payment method that works; a user's call was not delivered for it."),
    code(131_055, &[400], Kind::SipMode, &[Any], "The number is in WhatsApp's own SIP mode: the API makes no calls."),
    code(131_057, &[], Kind::Maintenance, &[Any], "The business account is under maintenance."),
    code(131_062, &[400], Kind::RecipientUnsupported, &[Messages], "A user can't be named by the BSUID here."),
    code(133_010, &[400], Kind::NumberNotRegistered, &[Any], "The business number is not registered."),
    code(138_000, &[401], Kind::CallingDisabled, &[Any], "Calling is not turned on for the number."),
    code(138_001, &[400], Kind::Uncallable, &[Connect], "The user can't be called: not on WhatsApp, terms not accepted, or a client too old."),
    code(138_002, &[429], Kind::TooManyCalls, &[Connect], "As many calls of the number are up as may be at a time."),
    code(138_003, &[400], Kind::DuplicateCall, &[Connect], "A call with this user is up already."),
    code(138_004, &[500], Kind::ConnectionError, &[Connect], "WhatsApp could not set the call up."),
    code(138_005, &[429], Kind::NumberRateLimited, &[Connect], "The number has begun too many calls in 24 hours."),
    code(138_006, &[401], Kind::NoCallPermission, &[Connect], "The user has not permitted calls of this number, or no longer."),
    code(138_007, &[500], Kind::ConnectTimeout, &[Connect, Webhook], "The call's media were not set up in time."),
    code(138_008, &[400], Kind::SdpRefused, &[Connect, Answer], "The SDP is not taken. Not in WhatsApp's table, but seen."),
    code(138_009, &[400], Kind::PermissionRequestLimit, &[Messages], "This user was asked for a permission as often as may be: once a day, twice a week."),
    code(138_010, &[], Kind::Unknown, &[], "Not documented."),
    code(138_011, &[], Kind::ConversationNeeded, &[Messages], "A permission request in free form needs an open conversation with the user. Named in WhatsApp's questions and answers only."),
    code(138_012, &[400], Kind::DailyLimit, &[Connect], "This user was called as often as may be in 24 hours."),
    code(138_013, &[400], Kind::NotAvailable, &[Connect], "This number may not call users: its country, or the user's, has no such calls."),
    code(138_014, &[400], Kind::CallingPaused, &[Connect], "WhatsApp has paused the number's calls for their quality."),
    code(138_015, &[400], Kind::MessagingLimit, &[Settings], "Calling can't be turned on: the number's messaging limit is under 2000."),
    code(138_016, &[], Kind::Unknown, &[], "Not documented."),
    code(138_017, &[400], Kind::AlreadyPermitted, &[Messages], "The user has permitted calls for good: nothing to ask for."),
    code(138_018, &[400], Kind::Prerequisites, &[Settings], "What calling needs is missing: no subscription to the field calls, or no SIP server."),
    code(138_019, &[], Kind::ConnectionError, &[Webhook], "The user's client could not set the call up."),
    code(138_020, &[], Kind::ConnectionError, &[Webhook], "The user's client could not reach WhatsApp's relay."),
    code(138_021, &[], Kind::ConnectionError, &[Webhook], "The user's client received no media for too long."),
    code(138_022, &[], Kind::ConnectionError, &[Webhook], "The user's client sent no media for too long."),
    code(138_023, &[], Kind::ConnectionError, &[Webhook], "The user has accepted, and no media came."),
];

/// The entry of a code.
#[must_use]
pub fn find(code: u32) -> Option<&'static Code> {
    CODES.iter().find(|entry| (entry.first..=entry.last).contains(&code))
}

/// What a code means for a call; [`ErrorKind::Unknown`] where it is in no table.
#[must_use]
pub fn kind(code: u32) -> ErrorKind {
    find(code).map_or(ErrorKind::Unknown, |entry| entry.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_overlaps_nowhere() {
        for pair in CODES.windows(2) {
            assert!(pair[0].first <= pair[0].last && pair[0].last < pair[1].first, "{:?}", pair[1]);
        }
    }

    #[test]
    fn every_documented_code_has_a_meaning_and_an_operation() {
        for entry in CODES {
            assert!(entry.meaning.ends_with('.'), "{entry:?}");
            let is_undocumented = entry.meaning.starts_with("Not documented");
            assert_eq!(entry.operations.is_empty(), is_undocumented, "{entry:?}");
        }
    }

    #[test]
    fn a_code_between_two_entries_is_unknown() {
        assert_eq!(
            (kind(199), kind(200), kind(299), kind(300)),
            (ErrorKind::Unknown, ErrorKind::NotAuthorized, ErrorKind::NotAuthorized, ErrorKind::Unknown)
        );
        assert!(find(999_999).is_none());
    }
}
