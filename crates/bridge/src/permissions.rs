//! Who may be called, whom we are asking, and how often nobody answered: for all calls. Pure.
//!
//! In memory only: after a restart Graph is asked again, which keeps the limits of requests itself.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wa_signaling::permission::{Cache, Grant, Unanswered, Verdict};
use wa_signaling::webhook::event::PermissionReply;
use wa_signaling::{Callee, ErrorKind, Permission, PhoneNumberId};

use crate::call::action::Outcome;
use crate::call::cause::Cause;

/// Pairs of a business number and a user that something is remembered of, some 300 bytes each. The
/// pair that nothing was heard of for the longest gives way, and is asked for again.
const PAIRS: usize = 50_000;
/// Requests that may be on their way at a time; beyond, users are not asked by that call.
const MOST_ASKING: usize = 100;

/// A business number and a user.
type Pair = (PhoneNumberId, Callee);

/// What all calls know of permissions. Times are UNIX seconds.
#[derive(Debug)]
pub(crate) struct Permissions(Mutex<Known>);

#[derive(Debug)]
struct Known {
    cache: Cache,
    /// Those that a request is on its way to.
    asking: HashSet<Pair>,
}

/// Whether a user without permission is asked for it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Yes: whoever got this sends the request, and tells how it went.
    Send,
    /// A request is on its way.
    OnItsWay,
    /// The user was asked, or may not be asked, until then.
    NotBefore(u64),
    /// Too many are asked at this moment.
    TooMany,
}

impl Default for Permissions {
    fn default() -> Self {
        Self(Mutex::new(Known { cache: Cache::new(PAIRS), asking: HashSet::new() }))
    }
}

impl Permissions {
    /// Whether the user may be called; nothing where Graph has to be asked.
    pub(crate) fn known(&self, now: u64, (number, user): &Pair) -> Option<Result<(), ErrorKind>> {
        match self.lock().cache.may_call(now, number, user) {
            Verdict::May => Some(Ok(())),
            Verdict::MayNot => Some(Err(ErrorKind::NoCallPermission)),
            Verdict::NotBefore(_) => Some(Err(ErrorKind::DailyLimit)),
            Verdict::Unknown => None,
        }
    }

    /// Graph has answered.
    pub(crate) fn learned(&self, now: u64, (number, user): &Pair, permission: Permission) {
        self.lock().cache.learned(now, number, user, permission);
    }

    /// WhatsApp has refused a call for want of a permission.
    pub(crate) fn refused(&self, now: u64, (number, user): &Pair) {
        self.lock().cache.call_refused(now, number, user);
    }

    /// A call was refused for want of a permission: whether its user is asked for it.
    pub(crate) fn ask(&self, now: u64, pair: &Pair) -> Ask {
        let mut known = self.lock();
        if known.asking.contains(pair) {
            return Ask::OnItsWay;
        }
        let at = known.cache.may_request_at(now, &pair.0, &pair.1);
        if at > now {
            return Ask::NotBefore(at);
        }
        if known.asking.len() >= MOST_ASKING {
            return Ask::TooMany;
        }
        known.asking.insert(pair.clone());
        Ask::Send
    }

    /// How the request went that [`ask`](Self::ask) wanted sent.
    pub(crate) fn asked(&self, now: u64, pair: &Pair, how: Result<(), ErrorKind>) {
        let mut known = self.lock();
        known.asking.remove(pair);
        let (cache, (number, user)) = (&mut known.cache, pair);
        match how {
            Ok(()) => cache.requested(now, number, user),
            Err(kind) if may_have_gone_out(kind) => cache.requested(now, number, user),
            Err(ErrorKind::PermissionRequestLimit) => cache.request_refused(now, number, user),
            Err(ErrorKind::AlreadyPermitted) => cache.decided(now, number, user, Grant::Permanent),
            Err(_) => cache.request_failed(now, number, user),
        }
    }

    /// A user has decided, or WhatsApp has: by whichever name the PBX will call.
    pub(crate) fn decided(&self, now: u64, reply: &PermissionReply) {
        let grant = match (reply.accepted, reply.is_permanent) {
            (false, _) => Grant::Refused,
            (true, true) => Grant::Permanent,
            (true, false) => Grant::Until(reply.expires),
        };
        let user = &reply.user;
        let names = [&user.phone, &user.bsuid, &user.parent_bsuid];
        let callees = names.into_iter().flatten().filter_map(|name| name.parse::<Callee>().ok());
        let mut known = self.lock();
        for callee in callees {
            known.cache.decided(now, &reply.number, &callee, grant);
        }
    }

    /// A call of the PBX to this user is over: what its being unanswered means, if it was.
    pub(crate) fn ended(&self, (number, user): &Pair, outcome: &Outcome) -> Option<Unanswered> {
        if outcome.answered.is_some() {
            self.lock().cache.connected(number, user);
            return None;
        }
        is_unanswered(outcome).then(|| self.lock().cache.unanswered(number, user))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without a clear answer the user may have the request: it counts.
fn may_have_gone_out(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Timeout | ErrorKind::Transport | ErrorKind::BadResponse)
}

/// Whether WhatsApp counts the call against the permission: the user saw it and did not take it.
fn is_unanswered(outcome: &Outcome) -> bool {
    match outcome.cause {
        Cause::UserRejected | Cause::UserDeclined | Cause::NoAnswer | Cause::RingLimit => true,
        Cause::PbxCancelled => outcome.rang.is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
