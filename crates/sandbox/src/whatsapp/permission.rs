//! Who may be called: permissions, their requests, their limits, and what unanswered calls do to them.
//!
//! Times are the sandbox's own clock, which tests may move on.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a temporary permission lasts.
pub(crate) const TEMPORARY: Duration = Duration::from_secs(168 * 3600);
/// Permission requests to a user in a day, and in a week.
const REQUESTS: [(usize, Duration, &str); 2] = [(1, DAY, "PT24H"), (2, WEEK, "P7D")];
/// Connected calls with a user in a day.
const CALLS: usize = 100;
/// Unanswered calls in a row that take a permission away.
const UNANSWERED: u32 = 4;
/// Pairs of number and user kept; the sandbox forgets all of them when it is full.
const PAIRS: usize = 10_000;

/// Whether permissions matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Permissions {
    /// Every user may be called.
    #[default]
    Off,
    /// As the real one does it: without a permission 138006.
    Enforced,
}

/// What a user answers to a permission request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PermissionAnswer {
    /// Nothing.
    Never,
    /// Permission for 168 hours.
    #[default]
    Temporary,
    /// Permission for good.
    Permanent,
    /// No.
    Reject,
}

/// How `call_permissions` writes its reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PermissionShape {
    /// As in the documented samples: `expiration_time`.
    #[default]
    Sample,
    /// As in the documented table: `expiration`.
    Table,
    /// As in the OpenAPI description: `actions` is an object with numbers as keys, statuses have other names.
    OpenApi,
}

/// A permission that a user has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granted {
    Until(SystemTime),
    ForGood,
}

#[derive(Clone, Debug, Default)]
struct Pair {
    granted: Option<Granted>,
    requests: Vec<SystemTime>,
    connected: Vec<SystemTime>,
    unanswered: u32,
    conversation_until: Option<SystemTime>,
}

impl Pair {
    fn permission(&self, now: SystemTime) -> Option<Granted> {
        self.granted.filter(|granted| !matches!(granted, Granted::Until(end) if *end <= now))
    }

    fn requests_within(&self, now: SystemTime, period: Duration) -> impl Iterator<Item = SystemTime> {
        let since = now - period;
        self.requests.iter().copied().filter(move |at| *at > since)
    }

    fn may_request(&self, now: SystemTime) -> bool {
        let below =
            |(most, period, _): &(usize, Duration, _)| self.requests_within(now, *period).count() < *most;
        REQUESTS.iter().all(below)
    }

    fn connected_today(&self, now: SystemTime) -> usize {
        self.connected.iter().filter(|at| **at > now - DAY).count()
    }
}

/// All pairs of a number (its id) and a user.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pairs: HashMap<(String, String), Pair>,
}

/// Why a call or a request is refused: Meta's code.
pub(crate) type Refused = u32;

impl Book {
    fn pair(&mut self, number: &str, user: &str) -> &mut Pair {
        if self.pairs.len() >= PAIRS {
            self.pairs.clear();
        }
        self.pairs.entry((number.to_owned(), user.to_owned())).or_default()
    }

    pub(crate) fn grant(&mut self, number: &str, user: &str, granted: Option<Granted>) {
        let pair = self.pair(number, user);
        pair.granted = granted;
        pair.unanswered = 0;
    }

    pub(crate) fn granted(&mut self, number: &str, user: &str, now: SystemTime) -> Option<Granted> {
        self.pair(number, user).permission(now)
    }

    /// A chat or a call of the user opens a conversation for 24 hours.
    pub(crate) fn open_conversation(&mut self, number: &str, user: &str, now: SystemTime) {
        self.pair(number, user).conversation_until = Some(now + 24 * HOUR);
    }

    pub(crate) fn has_conversation(&mut self, number: &str, user: &str, now: SystemTime) -> bool {
        self.pair(number, user).conversation_until.is_some_and(|until| until > now)
    }

    /// `connect`.
    pub(crate) fn may_call(&mut self, number: &str, user: &str, now: SystemTime) -> Result<(), Refused> {
        let pair = self.pair(number, user);
        if pair.permission(now).is_none() {
            return Err(138_006);
        }
        if pair.connected_today(now) >= CALLS { Err(138_012) } else { Ok(()) }
    }

    /// A permission request goes out.
    pub(crate) fn request(&mut self, number: &str, user: &str, now: SystemTime) -> Result<(), Refused> {
        let pair = self.pair(number, user);
        if pair.permission(now) == Some(Granted::ForGood) {
            return Err(138_017);
        }
        if !pair.may_request(now) {
            return Err(138_009);
        }
        pair.requests.retain(|at| *at > now - WEEK);
        pair.requests.push(now);
        Ok(())
    }

    /// A call of the business is over, or has been answered. True where it has cost the permission.
    pub(crate) fn outcome(&mut self, number: &str, user: &str, answered: bool, now: SystemTime) -> bool {
        let pair = self.pair(number, user);
        if answered {
            pair.unanswered = 0;
            // A connected call begins the limits of requests anew.
            pair.requests.clear();
            pair.connected.retain(|at| *at > now - DAY);
            pair.connected.push(now);
            return false;
        }
        pair.unanswered += 1;
        let revoked = pair.unanswered >= UNANSWERED && pair.permission(now).is_some();
        if revoked {
            pair.granted = None;
            pair.unanswered = 0;
        }
        revoked
    }

    pub(crate) fn unanswered(&mut self, number: &str, user: &str) -> u32 {
        self.pair(number, user).unanswered
    }

    /// `GET call_permissions`. `shown`: UNIX seconds of a time as the bridge's clock has them.
    pub(crate) fn describe(
        &mut self,
        pair: (&str, &str),
        now: SystemTime,
        free: bool,
        shape: PermissionShape,
        shown: impl Fn(SystemTime) -> u64,
    ) -> Value {
        let pair = self.pair(pair.0, pair.1);
        let granted = pair.permission(now).or(free.then_some(Granted::ForGood));
        let requests = REQUESTS.map(|(most, period, name)| {
            let used: Vec<SystemTime> = pair.requests_within(now, period).collect();
            limit(name, most, used.len(), used.first().map(|at| shown(*at + period)))
        });
        let used = pair.connected_today(now);
        let oldest = pair.connected.iter().find(|at| **at > now - DAY).map(|at| shown(*at + DAY));
        let may_request = granted != Some(Granted::ForGood) && pair.may_request(now);
        let may_call = granted.is_some() && used < CALLS;
        let actions = [
            json!({
                "action_name": "send_call_permission_request",
                "can_perform_action": may_request,
                "limits": requests,
            }),
            json!({
                "action_name": "start_call",
                "can_perform_action": may_call,
                "limits": [limit("PT24H", CALLS, used, oldest)],
            }),
        ];
        json!({
            "messaging_product": "whatsapp",
            "permission": permission(granted, shape, &shown),
            "actions": listed(actions, shape),
        })
    }
}

fn limit(period: &str, most: usize, used: usize, expires: Option<u64>) -> Value {
    let mut limit = json!({ "time_period": period, "max_allowed": most, "current_usage": used });
    if let (true, Some(expires)) = (used >= most, expires) {
        limit["limit_expiration_time"] = json!(expires);
    }
    limit
}

fn permission(granted: Option<Granted>, shape: PermissionShape, shown: impl Fn(SystemTime) -> u64) -> Value {
    let open = shape == PermissionShape::OpenApi;
    match granted {
        None if open => json!({ "status": "pending" }),
        None => json!({ "status": "no_permission" }),
        Some(Granted::ForGood) if open => json!({ "status": "granted" }),
        Some(Granted::ForGood) => json!({ "status": "permanent" }),
        Some(Granted::Until(end)) => match shape {
            PermissionShape::Sample => json!({ "status": "temporary", "expiration_time": shown(end) }),
            PermissionShape::Table => json!({ "status": "temporary", "expiration": shown(end) }),
            PermissionShape::OpenApi => json!({ "status": "granted", "expiration": shown(end) }),
        },
    }
}

fn listed(actions: [Value; 2], shape: PermissionShape) -> Value {
    match shape {
        PermissionShape::OpenApi => {
            let [first, second] = actions;
            json!({ "0": first, "1": second })
        }
        PermissionShape::Sample | PermissionShape::Table => json!(actions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn at(hours: u32) -> SystemTime {
        START + 1000 * HOUR + hours * HOUR
    }

    #[test]
    fn a_request_is_allowed_once_a_day_and_twice_a_week() {
        let mut book = Book::default();
        assert_eq!(book.request("n", "u", at(0)), Ok(()));
        assert_eq!(book.request("n", "u", at(23)), Err(138_009));
        assert_eq!(book.request("n", "other", at(23)), Ok(()));
        assert_eq!(book.request("n", "u", at(25)), Ok(()));
        assert_eq!(book.request("n", "u", at(50)), Err(138_009));
        assert_eq!(book.request("n", "u", at(169)), Ok(()));
        // An answered call begins anew.
        assert_eq!(book.request("n", "u", at(170)), Err(138_009));
        book.outcome("n", "u", true, at(170));
        assert_eq!(book.request("n", "u", at(170)), Ok(()));
        book.grant("n", "u", Some(Granted::ForGood));
        assert_eq!(book.request("n", "u", at(1000)), Err(138_017));
    }

    #[test]
    fn a_temporary_permission_ends_and_four_unanswered_calls_take_one_away() {
        let mut book = Book::default();
        assert_eq!(book.may_call("n", "u", at(0)), Err(138_006));
        book.grant("n", "u", Some(Granted::Until(at(168))));
        assert_eq!(book.may_call("n", "u", at(167)), Ok(()));
        assert_eq!(book.may_call("n", "u", at(168)), Err(138_006));
        book.grant("n", "u", Some(Granted::ForGood));
        for _ in 0..3 {
            assert!(!book.outcome("n", "u", false, at(0)));
        }
        book.outcome("n", "u", true, at(0));
        let revoked: Vec<bool> = (0..4).map(|_| book.outcome("n", "u", false, at(0))).collect();
        assert_eq!(revoked, [false, false, false, true]);
        assert_eq!(book.may_call("n", "u", at(0)), Err(138_006));
    }

    #[test]
    fn a_hundred_connected_calls_a_day_are_the_limit() {
        let mut book = Book::default();
        book.grant("n", "u", Some(Granted::ForGood));
        for _ in 0..100 {
            assert_eq!(book.may_call("n", "u", at(0)), Ok(()));
            book.outcome("n", "u", true, at(0));
        }
        assert_eq!(book.may_call("n", "u", at(23)), Err(138_012));
        assert_eq!(book.may_call("n", "u", at(24)), Ok(()));
    }

    #[test]
    fn the_reply_has_the_shape_that_is_asked_for() {
        let mut book = Book::default();
        book.grant("n", "u", Some(Granted::Until(at(168))));
        book.request("n", "u", at(0)).unwrap();
        let seconds = |time: SystemTime| time.duration_since(START).unwrap().as_secs();
        let mut of = |shape| book.describe(("n", "u"), at(1), false, shape, seconds);
        let sample = of(PermissionShape::Sample);
        assert_eq!(sample["permission"]["expiration_time"], seconds(at(168)));
        assert_eq!(sample["actions"][0]["can_perform_action"], false);
        assert_eq!(sample["actions"][0]["limits"][0]["limit_expiration_time"], seconds(at(24)));
        assert_eq!(sample["actions"][1]["can_perform_action"], true);
        assert_eq!(of(PermissionShape::Table)["permission"]["expiration"], seconds(at(168)));
        let open = of(PermissionShape::OpenApi);
        assert_eq!((&open["permission"]["status"], open["actions"].is_object()), (&json!("granted"), true));
    }
}
