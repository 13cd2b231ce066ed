//! Who may be called: what Graph says of it, and what is remembered of it.
//!
//! A business may call a user who has permitted it, for seven days or for good; it may ask once a
//! day and twice a week; after four calls in a row that nobody answered WhatsApp takes the
//! permission back. Times are seconds since 1970, as WhatsApp gives them.

mod cache;

pub use cache::{Cache, Grant, Unanswered, Verdict};

use std::time::Duration;

use serde_json::Value;

use crate::json;

const DAY: u64 = 86_400;

/// Most permission requests to one user in 24 hours.
pub const REQUESTS_A_DAY: usize = 1;
/// Most permission requests to one user in 7 days.
pub const REQUESTS_A_WEEK: usize = 2;
/// Unanswered calls in a row after which WhatsApp asks the user whether to keep the permission.
pub const UNANSWERED_WARNING: u32 = 2;
/// Unanswered calls in a row after which WhatsApp takes the permission back.
pub const UNANSWERED_REVOKED: u32 = 4;
/// How long a temporary permission lasts, where WhatsApp does not say.
pub const TEMPORARY: Duration = Duration::from_secs(7 * DAY);

/// Longest list of limits kept of an answer; real ones have two.
const MOST_LIMITS: usize = 8;

/// Whether a user has permitted calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// No, or the user can't be called at all.
    NoPermission,
    /// Until it expires.
    Temporary,
    /// Until the user takes it back.
    Permanent,
}

/// The answer of `call_permissions`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permission {
    /// Whether the user has permitted calls.
    pub status: Status,
    /// When a temporary permission ends. No webhook will tell.
    pub expires: Option<u64>,
    /// Whether a call may start now.
    pub call: Allowance,
    /// Whether the user may be asked now.
    pub request: Allowance,
}

/// Whether something may be done now, and how often.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// Whether Graph lets it be done now; unsaid, it may be tried.
    pub allowed: bool,
    /// How often it may be done.
    pub limits: Vec<Limit>,
}

/// How often something may be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// In which time.
    pub period: Duration,
    /// How often at most.
    pub most: u64,
    /// How often it was done.
    pub used: u64,
    /// When it may be done again.
    pub expires: Option<u64>,
}

impl Permission {
    /// Reads the answer of `call_permissions`; nothing where it names no status known.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        let permission = value.get("permission")?;
        let expires = ["expiration_time", "expiration"].iter().find_map(|key| json::number(permission, key));
        let status = Status::read(json::text(permission, "status")?, expires)?;
        Some(Self {
            status,
            expires: expires.filter(|_| status == Status::Temporary),
            call: Allowance::read(value, "start_call", status != Status::NoPermission),
            request: Allowance::read(value, "send_call_permission_request", true),
        })
    }

    /// Whether a call may start at `now`.
    #[must_use]
    pub fn may_call(&self, now: u64) -> bool {
        self.stands(now) && (self.call.allowed || self.call.again_at().is_some_and(|at| at <= now))
    }

    /// Whether the user's permission itself stands at `now`.
    #[must_use]
    pub fn stands(&self, now: u64) -> bool {
        match self.status {
            Status::NoPermission => false,
            Status::Temporary => self.expires.is_none_or(|end| now < end),
            Status::Permanent => true,
        }
    }
}

impl Status {
    /// Some documents have the words of the request where others have those of the permission.
    fn read(word: &str, expires: Option<u64>) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "temporary" => Some(Self::Temporary),
            "permanent" => Some(Self::Permanent),
            "granted" if expires.is_some() => Some(Self::Temporary),
            "granted" => Some(Self::Permanent),
            "no_permission" | "pending" | "denied" | "expired" => Some(Self::NoPermission),
            _ => None,
        }
    }
}

impl Allowance {
    fn read(value: &Value, name: &str, unsaid: bool) -> Self {
        let action = actions(value).find(|action| json::text(action, "action_name") == Some(name));
        let said = action.and_then(|action| action.get("can_perform_action")?.as_bool());
        let limits = action.map(|action| json::list(action, "limits")).unwrap_or_default();
        Self {
            allowed: said.unwrap_or(unsaid),
            limits: limits.iter().take(MOST_LIMITS).filter_map(Limit::read).collect(),
        }
    }

    /// When all limits that are used up have passed, if Graph has said so.
    #[must_use]
    pub fn again_at(&self) -> Option<u64> {
        self.limits.iter().filter(|limit| limit.used >= limit.most).filter_map(|limit| limit.expires).max()
    }
}

/// An array, or an object whose keys are numbers.
fn actions(value: &Value) -> impl Iterator<Item = &Value> {
    let actions = value.get("actions");
    let array = actions.and_then(Value::as_array).into_iter().flatten();
    let object = actions.and_then(Value::as_object).into_iter().flat_map(|actions| actions.values());
    array.chain(object)
}

impl Limit {
    fn read(value: &Value) -> Option<Self> {
        Some(Self {
            period: period(json::text(value, "time_period")?)?,
            most: json::number(value, "max_allowed")?,
            used: json::number(value, "current_usage").unwrap_or(0),
            expires: json::number(value, "limit_expiration_time"),
        })
    }
}

/// An ISO 8601 duration of whole days, hours, minutes or seconds, such as `P7D` and `PT24H`.
fn period(text: &str) -> Option<Duration> {
    let (days, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((days, time)) => (days, time),
        None => (text.strip_prefix('P')?, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let days = seconds(days, &[('W', 7 * DAY), ('D', DAY)])?;
    let time = seconds(time, &[('H', 3600), ('M', 60), ('S', 1)])?;
    Some(Duration::from_secs(days.checked_add(time)?))
}

fn seconds(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let (mut rest, mut sum) = (text, 0_u64);
    for (unit, length) in units {
        if let Some((number, after)) = rest.split_once(*unit) {
            sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*length)?)?;
            rest = after;
        }
    }
    rest.is_empty().then_some(sum)
}

#[cfg(test)]
mod tests;
