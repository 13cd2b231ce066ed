//! Errors of the Graph API, and what kind each one is.
//!
//! The code decides; texts are looked at only where one code means several
//! things.

use std::fmt;
use std::time::Duration;

use super::codes;
use super::event::Trouble;

/// Why a request did not do what it asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GraphError {
    /// Graph said no, and why.
    #[error("{0}")]
    Api(ApiError),
    /// No complete answer in time: whether it was done is not known.
    #[error("no answer from the Graph API in time")]
    Timeout,
    /// The request or the answer was lost on the way.
    #[error("Graph API not reached: {0}")]
    Transport(String),
    /// What came back is not an answer of the Graph API.
    #[error("not an answer of the Graph API: {0}")]
    BadResponse(String),
    /// It was not even sent: it would have failed for what is known already.
    #[error("not sent: {0}")]
    NotSent(Hold),
}

/// Why a request was not sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Hold {
    /// The token was refused before, with this.
    #[error("the token was refused: {0}")]
    Token(ApiError),
    /// The API is out of order, and one request at a time finds out whether it still is.
    #[error("the Graph API is out of order")]
    Outage,
    /// WhatsApp asked for fewer requests; so long to wait.
    #[error("WhatsApp limits the rate for another {} s", .0.as_secs())]
    RateLimited(Duration),
}

/// The error envelope of the Graph API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiError {
    /// HTTP status it came with; often just 400.
    pub http_status: u16,
    /// The code that counts.
    pub code: u32,
    /// Narrows the code down.
    pub subcode: Option<u32>,
    /// A title, for people.
    pub message: String,
    /// What exactly is wrong.
    pub details: Option<String>,
    /// What the support asks for.
    pub fbtrace_id: Option<String>,
    /// When another try makes sense, if the answer says so.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// Whether it is the token that is refused.
    pub(super) fn refuses_token(&self) -> bool {
        codes::kind(self.code) == ErrorKind::TokenInvalid
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graph error {}", self.code)?;
        if let Some(subcode) = self.subcode {
            write!(f, "/{subcode}")?;
        }
        write!(f, " (HTTP {}): {}", self.http_status, self.message)?;
        if let Some(details) = &self.details {
            write!(f, ": {details}")?;
        }
        if let Some(trace) = &self.fbtrace_id {
            write!(f, " [fbtrace_id {trace}]")?;
        }
        Ok(())
    }
}

/// What an error means for a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorKind {
    /// Our SDP was not taken (100 that speaks of SDP, 138008).
    SdpRefused,
    /// The token is refused (0, 190).
    TokenInvalid,
    /// The app may not use this method (3).
    NoCapability,
    /// The user has not permitted calls (138006).
    NoCallPermission,
    /// The token does not reach this number (10, 200-299, 131005).
    NotAuthorized,
    /// No such business number (33, and 100 with subcode 33).
    NumberUnknown,
    /// The business number is not registered (133010).
    NumberNotRegistered,
    /// The user cannot be called: not on WhatsApp, or an old client (138001).
    Uncallable,
    /// The message reached nobody (131026).
    Undeliverable,
    /// A BSUID is not taken here (131062).
    RecipientUnsupported,
    /// All calls a number may have at once are up (138002).
    TooManyCalls,
    /// A call with this user is up already (138003).
    DuplicateCall,
    /// WhatsApp could not set the call up (138004, 138019-138023).
    ConnectionError,
    /// The call's media were not set up in time (138007).
    ConnectTimeout,
    /// Too many requests (4, 80007, 130429, any other 429).
    RateLimited,
    /// The number's calls of the day are used up (138005).
    NumberRateLimited,
    /// Permissions were asked for too often (613).
    LookupLimit,
    /// The day's calls to this user are used up (138012).
    DailyLimit,
    /// This number may not call, or not into this country (138013).
    NotAvailable,
    /// Calling is paused for its quality (138014).
    CallingPaused,
    /// Calling is not enabled on the number (138000).
    CallingDisabled,
    /// The number is in WhatsApp's own SIP mode (131055).
    SipMode,
    /// No valid means of payment (131042, 131044).
    Payment,
    /// Blocked for breaking a policy (368, 131031).
    Policy,
    /// The business may not reach users of this country (130497).
    CountryRestricted,
    /// A test number may call listed numbers only (131030).
    NotAllowedRecipient,
    /// The business called itself (131021).
    SelfCall,
    /// A parameter is missing or wrong (100, 131008, 131009).
    BadParameter,
    /// The user was asked for a permission as often as may be (138009).
    PermissionRequestLimit,
    /// A permission request needs an open conversation (138011).
    ConversationNeeded,
    /// The user has permitted calls for good (138017).
    AlreadyPermitted,
    /// Calling needs a higher messaging limit (138015).
    MessagingLimit,
    /// What calling needs is not set up (138018).
    Prerequisites,
    /// The call is over, or its end under way.
    AlreadyEnded,
    /// WhatsApp is down for the moment (2, 131016).
    Outage,
    /// The account is under maintenance (131057).
    Maintenance,
    /// Not sent, because the API is out of order.
    Unavailable,
    /// Any other code, 1 and 131000 among them.
    Unknown,
    /// No complete answer in time.
    Timeout,
    /// Not reached, or lost on the way.
    Transport,
    /// Not an answer of the Graph API.
    BadResponse,
}

impl ErrorKind {
    /// What somebody has to see to because of it.
    #[must_use]
    pub const fn trouble(self) -> Option<Trouble> {
        match self {
            Self::TokenInvalid => Some(Trouble::Token),
            Self::NoCapability
            | Self::NotAuthorized
            | Self::NumberUnknown
            | Self::NumberNotRegistered
            | Self::Payment
            | Self::Policy => Some(Trouble::NumberRefused),
            Self::SipMode | Self::CallingDisabled => Some(Trouble::Settings),
            Self::NotAvailable | Self::CallingPaused => Some(Trouble::Restricted),
            Self::RateLimited | Self::NumberRateLimited => Some(Trouble::RateLimit),
            Self::Outage | Self::Unavailable | Self::Timeout | Self::Transport | Self::BadResponse => {
                Some(Trouble::Outage)
            }
            _ => None,
        }
    }
}

impl GraphError {
    /// What this error means for a call.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Api(error) => classify(error),
            Self::Timeout => ErrorKind::Timeout,
            Self::Transport(_) => ErrorKind::Transport,
            Self::BadResponse(_) => ErrorKind::BadResponse,
            Self::NotSent(Hold::Token(_)) => ErrorKind::TokenInvalid,
            Self::NotSent(Hold::Outage) => ErrorKind::Unavailable,
            Self::NotSent(Hold::RateLimited(_)) => ErrorKind::RateLimited,
        }
    }
}

fn classify(error: &ApiError) -> ErrorKind {
    // 138003 says of another call what the texts below say of this one.
    if error.code != 138_003 && says_already_ended(error) {
        return ErrorKind::AlreadyEnded;
    }
    match error.code {
        100 if error.subcode == Some(33) => ErrorKind::NumberUnknown,
        100 if mentions(error, "sdp") => ErrorKind::SdpRefused,
        code => match codes::kind(code) {
            ErrorKind::Unknown if error.http_status == 429 => ErrorKind::RateLimited,
            kind => kind,
        },
    }
}

/// The documentation gives these as texts, without a code: "The WhatsApp user
/// has already terminated the call", "Reject call is already in progress", and
/// of a call that is "already In Progress/Completed/Failed".
fn says_already_ended(error: &ApiError) -> bool {
    ["terminated", "been terminated", "in progress", "completed", "failed", "ended"]
        .iter()
        .any(|state| mentions(error, &format!("already {state}")))
}

/// Whether message or details contain `lower`, in whatever case.
fn mentions(error: &ApiError, lower: &str) -> bool {
    [Some(&error.message), error.details.as_ref()]
        .into_iter()
        .flatten()
        .any(|text| text.to_lowercase().contains(lower))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u32, message: &str, details: &str) -> ApiError {
        ApiError {
            http_status: 400,
            code,
            subcode: None,
            message: message.into(),
            details: (!details.is_empty()).then(|| details.into()),
            fbtrace_id: None,
            retry_after: None,
        }
    }

    fn kind(code: u32, message: &str, details: &str) -> ErrorKind {
        GraphError::Api(api(code, message, details)).kind()
    }

    #[test]
    fn every_documented_code_has_its_kind() {
        let table: &[(&[u32], ErrorKind)] = &[
            (&[100, 131_008, 131_009], ErrorKind::BadParameter),
            (&[138_008], ErrorKind::SdpRefused),
            (&[0, 190], ErrorKind::TokenInvalid),
            (&[3], ErrorKind::NoCapability),
            (&[10, 200, 250, 299, 131_005], ErrorKind::NotAuthorized),
            (&[33], ErrorKind::NumberUnknown),
            (&[133_010], ErrorKind::NumberNotRegistered),
            (&[1, 131_000, 138_010, 138_016, 199, 300, 999_999], ErrorKind::Unknown),
            (&[2, 131_016], ErrorKind::Outage),
            (&[131_057], ErrorKind::Maintenance),
            (&[4, 80_007, 130_429], ErrorKind::RateLimited),
            (&[138_005], ErrorKind::NumberRateLimited),
            (&[613], ErrorKind::LookupLimit),
            (&[368, 131_031], ErrorKind::Policy),
            (&[130_497], ErrorKind::CountryRestricted),
            (&[131_021], ErrorKind::SelfCall),
            (&[131_030], ErrorKind::NotAllowedRecipient),
            (&[131_042, 131_044], ErrorKind::Payment),
            (&[131_055], ErrorKind::SipMode),
            (&[131_026], ErrorKind::Undeliverable),
            (&[131_062], ErrorKind::RecipientUnsupported),
            (&[138_000], ErrorKind::CallingDisabled),
            (&[138_001], ErrorKind::Uncallable),
            (&[138_002], ErrorKind::TooManyCalls),
            (&[138_003], ErrorKind::DuplicateCall),
            (&[138_004, 138_019, 138_020, 138_021, 138_022, 138_023], ErrorKind::ConnectionError),
            (&[138_006], ErrorKind::NoCallPermission),
            (&[138_007], ErrorKind::ConnectTimeout),
            (&[138_009], ErrorKind::PermissionRequestLimit),
            (&[138_011], ErrorKind::ConversationNeeded),
            (&[138_012], ErrorKind::DailyLimit),
            (&[138_013], ErrorKind::NotAvailable),
            (&[138_014], ErrorKind::CallingPaused),
            (&[138_015], ErrorKind::MessagingLimit),
            (&[138_017], ErrorKind::AlreadyPermitted),
            (&[138_018], ErrorKind::Prerequisites),
        ];
        for (codes, expected) in table {
            for code in *codes {
                assert_eq!(kind(*code, "A title", "Some details"), *expected, "{code}");
            }
        }
    }

    #[test]
    fn code_100_is_of_the_sdp_when_it_says_so() {
        assert_eq!(kind(100, "Invalid parameter", "SDP Validation error"), ErrorKind::SdpRefused);
        assert_eq!(kind(100, "Invalid parameter", "session.sdp is not a string"), ErrorKind::SdpRefused);
        assert_eq!(kind(100, "(#100) No fingerprint found in SDP", ""), ErrorKind::SdpRefused);
        assert_eq!(kind(100, "Invalid parameter", "Param to is required"), ErrorKind::BadParameter);
    }

    #[test]
    fn code_100_with_subcode_33_is_an_unknown_number() {
        let error = ApiError { subcode: Some(33), ..api(100, "Unsupported post request.", "") };
        assert_eq!(GraphError::Api(error).kind(), ErrorKind::NumberUnknown);
    }

    #[test]
    fn already_ended_goes_by_the_text_whatever_the_code() {
        for text in [
            "The WhatsApp user has already terminated the call",
            "Reject call is already in progress",
            "Call is already In Progress",
            "The call has ALREADY COMPLETED",
            "call already Failed",
            "The call has already been terminated",
        ] {
            for code in [1, 100, 131_000, 131_009, 138_999] {
                assert_eq!(kind(code, "(#x)", text), ErrorKind::AlreadyEnded, "{code} {text}");
                assert_eq!(kind(code, text, ""), ErrorKind::AlreadyEnded, "{code} {text}");
            }
        }
        assert_eq!(
            kind(138_003, "Duplicate call", "A call is already in progress"),
            ErrorKind::DuplicateCall
        );
    }

    #[test]
    fn an_unknown_code_with_429_is_a_rate_limit() {
        let error = ApiError { http_status: 429, ..api(424_242, "Slow down", "") };
        assert_eq!(GraphError::Api(error).kind(), ErrorKind::RateLimited);
        let error = ApiError { http_status: 429, ..api(138_002, "Too many calls", "") };
        assert_eq!(GraphError::Api(error).kind(), ErrorKind::TooManyCalls);
    }

    #[test]
    fn an_error_reads_as_one_line() {
        let error = ApiError {
            subcode: Some(2_494_055),
            fbtrace_id: Some("Az8or2yhqkZfEZ".into()),
            ..api(130_429, "(#130429) Rate limit hit", "Cloud API message throughput has been reached.")
        };
        assert_eq!(
            GraphError::Api(error).to_string(),
            "Graph error 130429/2494055 (HTTP 400): (#130429) Rate limit hit: \
             Cloud API message throughput has been reached. [fbtrace_id Az8or2yhqkZfEZ]"
        );
    }
}
