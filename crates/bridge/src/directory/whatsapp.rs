//! What is known of WhatsApp calls by their id: which live, which have ended, which calls of ours wait
//! to learn theirs, and which webhooks wait for their call.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use wa_signaling::{Callee, PhoneNumberId, Wacid, WebhookEvent};

use super::Mailbox;
use crate::call::task::Input;
use crate::config::Order;
use crate::id::CallId;
use crate::tombstones::{self, Tombstones};
use crate::unknown::{Echo, News};

/// Webhooks that wait for their call to be known; the oldest gives way.
pub(super) const WAITING: usize = 1024;
/// How long they wait.
pub(super) const WAIT: Duration = Duration::from_secs(30);

/// A call of ours whose WhatsApp id is not known. There are no more than calls.
#[derive(Debug)]
struct Awaiting {
    number: PhoneNumberId,
    callee: Callee,
    mailbox: Mailbox,
    /// No reply to `connect` will tell the id.
    is_lost: bool,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    wacid: Wacid,
    event: WebhookEvent,
}

/// All of it. One lock, so that a webhook and the call that it belongs to can't miss each other.
#[derive(Debug)]
pub(super) struct WhatsAppCalls {
    live: HashMap<Wacid, Mailbox>,
    awaiting: HashMap<CallId, Awaiting>,
    waiting: VecDeque<Waiting>,
    ended: Tombstones,
    /// Its key is drawn at the start.
    hasher: RandomState,
    gave_way: u64,
}

impl Default for WhatsAppCalls {
    fn default() -> Self {
        Self {
            live: HashMap::new(),
            awaiting: HashMap::new(),
            waiting: VecDeque::new(),
            ended: Tombstones::new(tombstones::MOST, Order::default().remember),
            hasher: RandomState::new(),
            gave_way: 0,
        }
    }
}

impl WhatsAppCalls {
    pub(super) fn remember_for(&mut self, remember: Duration) {
        self.ended.remember_for(remember);
    }

    pub(super) fn live(&self, wacid: &Wacid) -> Option<&Mailbox> {
        self.live.get(wacid)
    }

    pub(super) fn has_ended(&mut self, now: Instant, wacid: &Wacid) -> bool {
        self.ended.knows(now, self.hasher.hash_one(wacid))
    }

    /// Takes a call into life; false when it lives already or has ended.
    pub(super) fn claim(&mut self, now: Instant, wacid: &Wacid, mailbox: &Mailbox) -> bool {
        if self.live.contains_key(wacid) || self.has_ended(now, wacid) {
            return false;
        }
        self.identify(wacid, mailbox);
        true
    }

    /// The id of a call: what has waited for it is delivered. True when some of it said that the call
    /// is over.
    pub(super) fn identify(&mut self, wacid: &Wacid, mailbox: &Mailbox) -> bool {
        self.live.insert(wacid.clone(), mailbox.clone());
        self.awaiting.retain(|_, call| !call.mailbox.is(mailbox));
        self.deliver(wacid, mailbox)
    }

    fn deliver(&mut self, wacid: &Wacid, mailbox: &Mailbox) -> bool {
        let mut is_over = false;
        for event in self.take(|one| one.wacid == *wacid) {
            is_over |= News::of(&event).is_some_and(|news| news.is_over);
            mailbox.post(Input::Webhook(event));
        }
        is_over
    }

    /// A call is over, and stays so.
    pub(super) fn end(&mut self, now: Instant, wacid: &Wacid) {
        self.live.remove(wacid);
        self.ended.bury(now, self.hasher.hash_one(wacid));
    }

    /// A call that will learn its id by the reply to `connect`, or by a webhook that comes before.
    pub(super) fn await_id(&mut self, call: &CallId, number: &PhoneNumberId, to: &Callee, mailbox: &Mailbox) {
        let (number, callee, mailbox) = (number.clone(), to.clone(), mailbox.clone());
        self.awaiting.insert(call.clone(), Awaiting { number, callee, mailbox, is_lost: false });
    }

    /// The reply will not come: what waits and is of a call to the same user is delivered.
    pub(super) fn lose_reply(&mut self, call: &CallId) {
        if let Some(call) = self.awaiting.get_mut(call) {
            call.is_lost = true;
        }
        let found = self.waiting.iter().find_map(|one| {
            let mailbox = self.by_callee(&News::of(&one.event)?, false)?;
            Some((one.wacid.clone(), mailbox))
        });
        if let Some((wacid, mailbox)) = found {
            self.deliver(&wacid, &mailbox);
        }
    }

    pub(super) fn forget(&mut self, call: &CallId) {
        self.awaiting.remove(call);
    }

    /// The one call that this webhook without an echo can be of: to the same user from the same number.
    /// WhatsApp lets no two such calls be at once, but somebody else's may be the one that is. So as
    /// long as a reply may still say so, nothing is guessed, unless `even_soon`.
    pub(super) fn by_callee(&self, news: &News<'_>, even_soon: bool) -> Option<Mailbox> {
        if news.echo != Echo::Absent {
            return None;
        }
        let is_it = |call: &&Awaiting| {
            (call.is_lost || even_soon) && call.number == *news.number && news.is_to(&call.callee)
        };
        let mut calls = self.awaiting.values().filter(is_it);
        let call = calls.next()?;
        calls.next().is_none().then(|| call.mailbox.clone())
    }

    /// Lets a webhook wait; one that waits already is not kept twice.
    pub(super) fn wait(&mut self, now: Instant, wacid: Wacid, event: WebhookEvent) {
        if self.waiting.iter().any(|one| one.event == event) {
            return;
        }
        while self.waiting.len() >= WAITING {
            self.waiting.pop_front();
            self.gave_way += 1;
        }
        self.waiting.push_back(Waiting { since: now, wacid, event });
    }

    /// Whose wait is over.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<WebhookEvent> {
        self.take(|one| now >= one.since + WAIT)
    }

    /// What waits of a call that is decided on.
    pub(super) fn drop_waiting(&mut self, wacid: &Wacid) {
        self.waiting.retain(|one| one.wacid != *wacid);
    }

    /// For metrics: each with its name.
    pub(super) fn counts(&self) -> [(&'static str, u64); 4] {
        let (remembered, gave_way) = self.ended.counts();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        [
            ("ended_remembered", count(remembered)),
            ("ended_gave_way", gave_way),
            ("waiting", count(self.waiting.len())),
            ("waiting_gave_way", self.gave_way),
        ]
    }

    fn take(&mut self, which: impl Fn(&Waiting) -> bool) -> Vec<WebhookEvent> {
        let all = std::mem::take(&mut self.waiting);
        let (taken, left): (VecDeque<_>, VecDeque<_>) = all.into_iter().partition(which);
        self.waiting = left;
        taken.into_iter().map(|one| one.event).collect()
    }
}
