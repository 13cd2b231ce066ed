//! What is remembered of permissions, so that not every call has to ask for them.

use std::collections::{BTreeMap, HashMap};

use super::{DAY, Permission, REQUESTS_A_DAY, REQUESTS_A_WEEK, Status, TEMPORARY};
use super::{UNANSWERED_REVOKED, UNANSWERED_WARNING};
use crate::identity::Callee;
use crate::wacid::PhoneNumberId;

/// How long a "yes" of Graph is believed: revocations come by webhook, which may be lost.
const YES_LASTS: u64 = 3600;
/// How long a "no" of Graph is believed: the user may permit at any moment.
const NO_LASTS: u64 = 60;

/// How long no other request is tried after one that has not gone out.
const REQUEST_RESTS: u64 = 60;

type Key = (PhoneNumberId, Callee);

/// What is remembered of each business number and user. Bounded: beyond `most` pairs, the one that
/// nothing was heard of for the longest is forgotten, and asked for again when needed.
#[derive(Debug)]
pub struct Cache {
    most: usize,
    entries: HashMap<Key, Entry>,
    /// The keys by when they were touched.
    order: BTreeMap<u64, Key>,
    touches: u64,
}

#[derive(Debug, Default)]
struct Entry {
    touched: u64,
    known: Option<Known>,
    /// When requests of ours were sent, the last week's, oldest first.
    requests: Vec<u64>,
    /// Graph said that no request may be sent before this.
    no_request_before: u64,
    unanswered: u32,
}

#[derive(Debug)]
struct Known {
    permission: Permission,
    believed_until: u64,
}

/// What a user answered to a permission request, or decided alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grant {
    /// Calls are permitted until then; unsaid, for the usual time.
    Until(Option<u64>),
    /// Calls are permitted for good.
    Permanent,
    /// Calls are not, or no longer, permitted.
    Refused,
}

/// Whether a user may be called, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The user has permitted it.
    May,
    /// The user has not permitted it.
    MayNot,
    /// Permitted, but the calls of the day are used up until then.
    NotBefore(u64),
    /// Ask Graph.
    Unknown,
}

/// What another unanswered call means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unanswered {
    /// Nothing yet.
    Counted(u32),
    /// WhatsApp asks the user now whether to keep the permission; so many more and it is gone.
    Warning {
        /// How many more.
        left: u32,
    },
    /// WhatsApp takes the permission back.
    Revoked,
}

impl Cache {
    /// An empty one for so many pairs of a number and a user.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), entries: HashMap::new(), order: BTreeMap::new(), touches: 0 }
    }

    /// How many pairs are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Graph has answered `call_permissions`.
    pub fn learned(&mut self, now: u64, number: &PhoneNumberId, user: &Callee, permission: Permission) {
        let lasts = if permission.may_call(now) { YES_LASTS } else { NO_LASTS };
        let entry = self.entry(number, user);
        entry.no_request_before = match (permission.request.allowed, permission.request.again_at()) {
            (true, _) => 0,
            (false, again_at) => again_at.unwrap_or(now + NO_LASTS),
        };
        entry.known = Some(Known { permission, believed_until: now + lasts });
    }

    /// The user has decided (webhook `call_permission_reply`).
    pub fn decided(&mut self, now: u64, number: &PhoneNumberId, user: &Callee, grant: Grant) {
        let (status, expires) = match grant {
            Grant::Until(end) => (Status::Temporary, Some(end.unwrap_or(now + TEMPORARY.as_secs()))),
            Grant::Permanent => (Status::Permanent, None),
            Grant::Refused => (Status::NoPermission, None),
        };
        let entry = self.entry(number, user);
        entry.unanswered = 0;
        let lasts = if grant == Grant::Refused { NO_LASTS } else { YES_LASTS };
        entry.known = Some(Known { permission: bare(status, expires), believed_until: now + lasts });
    }

    /// WhatsApp has refused a call for want of a permission (138006).
    pub fn call_refused(&mut self, now: u64, number: &PhoneNumberId, user: &Callee) {
        let permission = bare(Status::NoPermission, None);
        self.entry(number, user).known = Some(Known { permission, believed_until: now + NO_LASTS });
    }

    /// A permission request was sent.
    pub fn requested(&mut self, now: u64, number: &PhoneNumberId, user: &Callee) {
        let entry = self.entry(number, user);
        entry.requests.retain(|at| now.saturating_sub(*at) < 7 * DAY);
        // More than the limit are never looked at.
        while entry.requests.len() >= REQUESTS_A_WEEK {
            entry.requests.remove(0);
        }
        entry.requests.push(now);
    }

    /// WhatsApp has refused a permission request: the limit is reached (138009).
    pub fn request_refused(&mut self, now: u64, number: &PhoneNumberId, user: &Callee) {
        self.entry(number, user).no_request_before = now + DAY;
    }

    /// A permission request has not gone out, for what may be otherwise soon.
    pub fn request_failed(&mut self, now: u64, number: &PhoneNumberId, user: &Callee) {
        let entry = self.entry(number, user);
        entry.no_request_before = entry.no_request_before.max(now + REQUEST_RESTS);
    }

    /// A call was answered: counters and request limits begin anew.
    pub fn connected(&mut self, number: &PhoneNumberId, user: &Callee) {
        let entry = self.entry(number, user);
        entry.unanswered = 0;
        entry.no_request_before = 0;
        entry.requests.clear();
    }

    /// A call of ours was not answered; a declined one counts as well.
    pub fn unanswered(&mut self, number: &PhoneNumberId, user: &Callee) -> Unanswered {
        let entry = self.entry(number, user);
        entry.unanswered += 1;
        match entry.unanswered {
            count if count < UNANSWERED_WARNING => Unanswered::Counted(count),
            count if count < UNANSWERED_REVOKED => Unanswered::Warning { left: UNANSWERED_REVOKED - count },
            _ => {
                entry.unanswered = 0;
                // Graph knows best whether it really is gone: asked at the next call.
                entry.known = None;
                Unanswered::Revoked
            }
        }
    }

    /// Whether the user may be called.
    #[must_use]
    pub fn may_call(&self, now: u64, number: &PhoneNumberId, user: &Callee) -> Verdict {
        let known = self.get(number, user).and_then(|entry| entry.known.as_ref());
        let Some(Known { permission, believed_until }) = known else {
            return Verdict::Unknown;
        };
        // A temporary permission that has ended is "no" without asking.
        let has_ended = permission.status == Status::Temporary && !permission.stands(now);
        match permission.call.again_at() {
            _ if has_ended => Verdict::MayNot,
            _ if now >= *believed_until => Verdict::Unknown,
            _ if permission.may_call(now) => Verdict::May,
            Some(at) if permission.stands(now) => Verdict::NotBefore(at),
            // Not now, and Graph has not said why: only a call finds out.
            None if permission.stands(now) => Verdict::Unknown,
            _ => Verdict::MayNot,
        }
    }

    /// When the user may be asked for the permission; `now` or earlier: at once.
    #[must_use]
    pub fn may_request_at(&self, now: u64, number: &PhoneNumberId, user: &Callee) -> u64 {
        let Some(entry) = self.get(number, user) else {
            return now;
        };
        let after = |most: usize, period: u64| {
            let sent = entry.requests.iter().rev().nth(most.checked_sub(1)?)?;
            Some(sent + period)
        };
        let day = after(REQUESTS_A_DAY, DAY).unwrap_or(0);
        let week = after(REQUESTS_A_WEEK, 7 * DAY).unwrap_or(0);
        day.max(week).max(entry.no_request_before)
    }

    fn get(&self, number: &PhoneNumberId, user: &Callee) -> Option<&Entry> {
        self.entries.get(&(number.clone(), user.clone()))
    }

    /// The entry of the pair, which is now the one touched last.
    fn entry(&mut self, number: &PhoneNumberId, user: &Callee) -> &mut Entry {
        let key = (number.clone(), user.clone());
        if !self.entries.contains_key(&key) && self.entries.len() >= self.most {
            self.forget_oldest();
        }
        self.touches += 1;
        let touched = self.touches;
        let entry = self.entries.entry(key.clone()).or_default();
        self.order.remove(&entry.touched);
        entry.touched = touched;
        self.order.insert(touched, key);
        entry
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_first() {
            self.entries.remove(&key);
        }
    }
}

/// What is known without Graph's limits.
fn bare(status: Status, expires: Option<u64>) -> Permission {
    let unlimited = |allowed| super::Allowance { allowed, limits: Vec::new() };
    Permission { status, expires, call: unlimited(status != Status::NoPermission), request: unlimited(true) }
}
