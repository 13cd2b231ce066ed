//! Meta's error codes, each to be had by dialling a number.
//!
//! `+1 555 9 CCCCCC`: the call fails with the code of the last six digits (zeros in front). A code of the Graph
//! API refuses `connect`; a code that comes by webhook only ends the call while it rings, in the `errors` of its
//! terminate webhook. `+1 555 8 CCCCCC`: the user picks up, and then the call ends with that code.

use std::time::Duration;

use super::faults::{ApiError, GraphFault};
use super::operation::{Action, Operation};
use super::scenario::{Behaviour, Failure, Pickup};

/// Numbers that fail before the pickup begin so.
pub const FAILS: &str = "15559";
/// Numbers that fail after the pickup begin so.
pub const FAILS_LATER: &str = "15558";

/// Where a code is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Any operation.
    Any,
    /// `connect`, and perhaps other actions of a call.
    Calls,
    /// The terminate webhook of a call.
    Webhook,
    /// `GET /{number}/call_permissions`.
    CallPermissions,
    /// `POST /{number}/messages`.
    Messages,
    /// `POST /{number}/settings`.
    Settings,
}

impl Place {
    /// An operation that is refused with such a code.
    #[must_use]
    pub fn operation(self) -> Operation {
        match self {
            Self::Any | Self::Calls | Self::Webhook => Operation::Call(Action::Connect),
            Self::CallPermissions => Operation::CallPermissions,
            Self::Messages => Operation::Messages,
            Self::Settings => Operation::SetSettings,
        }
    }
}

use Place::{Any, CallPermissions, Calls, Messages, Settings, Webhook};

/// (code, HTTP status, where it is met, title).
const CODES: [(u32, u16, Place, &str); 58] = [
    (0, 401, Any, "The app user could not be authenticated"),
    (1, 400, Any, "Unknown API error"),
    (2, 503, Any, "Service temporarily unavailable"),
    (3, 500, Any, "The app may not call this method"),
    (4, 400, Any, "The app has reached its rate limit"),
    (10, 403, Any, "The permission is not granted or was removed"),
    (33, 400, Any, "The number was deleted or does not exist"),
    (100, 400, Any, "Invalid parameter"),
    (190, 401, Any, "The access token has expired"),
    (200, 403, Any, "The permission is not granted or was removed"),
    (210, 403, Any, "The permission is not granted or was removed"),
    (299, 403, Any, "The permission is not granted or was removed"),
    (368, 403, Any, "Blocked for a time because of a policy violation"),
    (613, 429, CallPermissions, "Too many calls of this method"),
    (80_007, 400, Any, "The business account has reached its rate limit"),
    (130_429, 400, Any, "Throughput limit reached"),
    (130_497, 403, Any, "The business may not reach users of this country"),
    (131_000, 500, Any, "Something went wrong"),
    (131_005, 403, Any, "Access denied"),
    (131_008, 400, Any, "A required parameter is missing"),
    (131_009, 400, Any, "A parameter has a wrong value"),
    (131_016, 500, Any, "Service unavailable"),
    (131_021, 400, Calls, "Sender and recipient are the same"),
    (131_026, 400, Messages, "The message cannot be delivered"),
    (131_030, 400, Calls, "The recipient is not in the list of allowed numbers"),
    (131_031, 403, Any, "The business account is locked"),
    (131_042, 400, Any, "There is a problem with the payment method"),
    (131_044, 400, Webhook, "No valid payment method for the call"),
    (131_055, 400, Calls, "The number uses SIP: calls by the Graph API are not allowed"),
    (131_057, 500, Any, "The business account is in maintenance"),
    (131_062, 400, Messages, "A business-scoped user id is not allowed for this message"),
    (133_010, 400, Any, "The business number is not registered"),
    (138_000, 401, Calls, "Calling is not enabled on the number"),
    (138_001, 400, Calls, "The receiver cannot be called"),
    (138_002, 429, Calls, "Limit of concurrent calls reached"),
    (138_003, 400, Calls, "There is a call with this receiver already"),
    (138_004, 500, Calls, "The call could not be connected"),
    (138_005, 429, Calls, "Rate limit of calls reached"),
    (138_006, 401, Calls, "No approved call permission"),
    (138_007, 500, Webhook, "The call was not connected in time"),
    (138_008, 400, Calls, "SDP validation error"),
    (138_009, 400, Messages, "Limit of call permission requests reached"),
    (138_010, 400, Calls, "Calling error"),
    (138_011, 400, Messages, "A call permission request needs an open conversation"),
    (138_012, 400, Calls, "Limit of calls to this user reached"),
    (138_013, 400, Calls, "Calls by the business are not available here"),
    (138_014, 400, Calls, "Calling is disabled for a time"),
    (138_015, 400, Settings, "Calling cannot be enabled: the messaging limit is too low"),
    (138_016, 400, Calls, "Calling error"),
    (138_017, 400, Messages, "The user has given permission for good already"),
    (138_018, 400, Settings, "Calling cannot be enabled: prerequisites are missing"),
    (138_019, 500, Webhook, "The WhatsApp client could not set up the call"),
    (138_020, 500, Webhook, "The WhatsApp client could not reach the relay"),
    (
        NO_MEDIA,
        500,
        Webhook,
        "WhatsApp client terminated the call due to not receiving any media for a long time",
    ),
    (138_022, 500, Webhook, "The WhatsApp client could not send media for a long time"),
    (138_023, 500, Webhook, "The call was accepted and ended without any media"),
    (2500, 400, Any, "Unknown path components"),
    (15, 400, Any, "The method must be called with an app access token"),
];

/// The client gives up for want of media.
pub(crate) const NO_MEDIA: u32 = 138_021;

fn row(code: u32) -> Option<&'static (u32, u16, Place, &'static str)> {
    CODES.iter().find(|(known, ..)| *known == code)
}

/// Every code, and where it is met.
pub fn all() -> impl Iterator<Item = (u32, Place)> {
    CODES.iter().map(|(code, _, place, _)| (*code, *place))
}

/// What the sandbox says for a code.
pub(crate) fn title(code: u32) -> &'static str {
    row(code).map_or("Unknown error", |(.., title)| title)
}

/// Where a code is met; an unknown one anywhere.
#[must_use]
pub fn place(code: u32) -> Place {
    row(code).map_or(Any, |(_, _, place, _)| *place)
}

impl ApiError {
    /// The error with this code, its documented HTTP status and the sandbox's words for it.
    #[must_use]
    pub fn of(code: u32) -> Self {
        let status = row(code).map_or(400, |(_, status, ..)| *status);
        let subcode = (code == 138_008).then_some(2_593_093);
        let details = format!("{} (the sandbox was asked for this)", title(code));
        Self { subcode, ..Self::new(status, code, title(code), &details) }
    }
}

/// The code that a number asks for, and whether it comes after the pickup.
pub(crate) fn asked_by(number: &str) -> Option<(u32, bool)> {
    let digits = |prefix| number.strip_prefix(prefix).filter(|rest: &&str| rest.len() == 6);
    let before = digits(FAILS).and_then(|code| Some((code.parse().ok()?, false)));
    before.or_else(|| Some((digits(FAILS_LATER)?.parse().ok()?, true)))
}

/// What a number of the scheme does.
pub(crate) fn by_number(number: &str) -> Option<Behaviour> {
    let (code, after_pickup) = asked_by(number)?;
    if after_pickup || place(code) == Webhook {
        let pickup = if after_pickup { Pickup::After(Duration::from_millis(500)) } else { Pickup::ByHand };
        let failure = Failure { code, after_pickup, after: Duration::from_millis(500) };
        return Some(Behaviour { pickup, fails: Some(failure), ..Behaviour::default() });
    }
    // Codes of other operations leave the call alone: see `refusal`.
    let graph = matches!(place(code), Any | Calls).then(|| GraphFault::Error(ApiError::of(code)));
    Some(Behaviour { graph, ..Behaviour::default() })
}

/// The refusal that a number asks for on another operation than `connect`.
pub(crate) fn refusal(number: &str, operation: Operation) -> Option<ApiError> {
    let (code, _) = asked_by(number)?;
    let place = place(code);
    (!matches!(place, Any | Calls | Webhook) && place.operation() == operation).then(|| ApiError::of(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_asks_for_its_code() {
        assert_eq!(asked_by("15559138006"), Some((138_006, false)));
        assert_eq!(asked_by("15559000010"), Some((10, false)));
        assert_eq!(asked_by("15558138021"), Some((138_021, true)));
        assert_eq!(asked_by("1555913800"), None);
        assert_eq!(asked_by("15550000001"), None);
        assert_eq!(asked_by("15559x38006"), None);
    }

    #[test]
    fn no_code_is_there_twice_and_each_has_its_place() {
        for (index, (code, place)) in all().enumerate() {
            assert_eq!(all().position(|(other, _)| other == code), Some(index), "{code}");
            let behaviour = by_number(&format!("{FAILS}{code:06}")).unwrap();
            match place {
                Any | Calls => {
                    assert!(matches!(behaviour.graph, Some(GraphFault::Error(e)) if e.code == code));
                }
                Webhook => assert_eq!(behaviour.fails.map(|failure| failure.code), Some(code)),
                _ => assert!(refusal(&format!("{FAILS}{code:06}"), place.operation()).is_some()),
            }
        }
        assert_eq!((ApiError::of(138_006).status, ApiError::of(138_002).status), (401, 429));
        assert_eq!(ApiError::of(999_999).status, 400);
    }
}
