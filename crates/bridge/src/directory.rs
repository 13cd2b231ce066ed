//! Which call an event belongs to.
//!
//! SIP events name a leg. Webhooks name a WhatsApp call id, which may be known here only after the
//! webhook has come (it can overtake the reply to `connect`): so they are matched by the echo of
//! our own call id first, then by WhatsApp's id, and else wait a little in a small room until some
//! call turns out to be theirs. Ended calls are remembered, so that what comes late starts nothing;
//! what `unknown` says of a call that is nobody's here is told to whom it may concern.

mod whatsapp;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use sip_core::message::Request;
use sip_core::{Flow, LegId};
use tokio::sync::mpsc;
use tracing::warn;
use wa_signaling::{Callee, PhoneNumberId, Wacid, WebhookEvent};

use self::whatsapp::WhatsAppCalls;
use crate::call::cause::Cause;
use crate::call::task::Input;
use crate::id::CallId;
use crate::unknown::{Echo, News, Rules, Verdict};

/// Events that wait for one call's task; a call that leaves so many unread is broken, and what
/// comes on top is dropped with a warning rather than allowed to hold up the other calls.
pub(crate) const MAILBOX: usize = 256;

/// Where a call's task gets its events from.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox(mpsc::Sender<Input>);

impl Mailbox {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Input>) {
        let (sender, receiver) = mpsc::channel(MAILBOX);
        (Self(sender), receiver)
    }

    /// Leaves an event; an event for a call that has just ended is gone, as it should be. False when
    /// nobody will read it.
    pub(crate) fn post(&self, input: Input) -> bool {
        let sent = self.0.try_send(input);
        if let Err(mpsc::error::TrySendError::Full(_)) = sent {
            warn!("a call does not read its events: one is dropped");
        }
        sent.is_ok()
    }

    /// Leaves an event, waiting for room: for tasks that belong to the call alone.
    pub(crate) async fn deliver(&self, input: Input) {
        let _ = self.0.send(input).await;
    }

    /// False from when its call reads no more.
    fn is_open(&self) -> bool {
        !self.0.is_closed()
    }

    fn is(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

/// What became of a webhook about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Its call has it.
    Call,
    /// Its call is over.
    Late,
    /// It waits for its call.
    Waiting,
    /// Its call was never here, or is not any more, and must be ended.
    Lost(Lost),
    /// Its call is somebody else's.
    Others(PhoneNumberId, Wacid),
}

impl Found {
    /// The `kind` label of the metric.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Call => "delivered",
            Self::Late => "late",
            Self::Waiting => "waiting",
            Self::Lost(_) => "unknown_ended",
            Self::Others(..) => "unknown_left",
        }
    }
}

/// A WhatsApp call that lives there and not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) number: PhoneNumberId,
    pub(crate) wacid: Wacid,
    /// Why it is ended.
    pub(crate) cause: Cause,
}

/// All calls that live here, and the WhatsApp calls that lived.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    legs: DashMap<LegId, Mailbox>,
    calls: DashMap<CallId, Mailbox>,
    whatsapp: Mutex<WhatsAppCalls>,
}

impl Directory {
    /// A new call.
    pub(crate) fn add(&self, id: &CallId, mailbox: &Mailbox) {
        self.calls.insert(id.clone(), mailbox.clone());
    }

    /// One of the SIP legs of a call: there may be several.
    pub(crate) fn add_leg(&self, leg: LegId, mailbox: &Mailbox) {
        self.legs.insert(leg, mailbox.clone());
    }

    /// A SIP leg of which nothing more will come.
    pub(crate) fn remove_leg(&self, leg: LegId) {
        self.legs.remove(&leg);
    }

    /// A call whose `connect` leaves: it will learn its WhatsApp id.
    pub(crate) fn await_id(&self, id: &CallId, number: &PhoneNumberId, callee: &Callee, mailbox: &Mailbox) {
        self.whatsapp().await_id(id, number, callee, mailbox);
    }

    /// The reply to a call's `connect` won't come although WhatsApp may be calling: webhooks that fit
    /// are taken for its own from now on.
    pub(crate) fn lose_reply(&self, id: &CallId) {
        self.whatsapp().lose_reply(id);
    }

    /// A call's WhatsApp id became known: what has waited for it is delivered. True when the call has
    /// ended already and nothing of that will tell.
    pub(crate) fn identify(&self, now: Instant, wacid: &Wacid, mailbox: &Mailbox) -> bool {
        let mut whatsapp = self.whatsapp();
        let is_told = whatsapp.identify(wacid, mailbox);
        !is_told && whatsapp.has_ended(now, wacid)
    }

    /// Takes a WhatsApp call into life; false when it lives already or has ended.
    pub(crate) fn claim(&self, now: Instant, wacid: &Wacid, mailbox: &Mailbox) -> bool {
        self.whatsapp().claim(now, wacid, mailbox)
    }

    /// True when the call lives here or has ended.
    pub(crate) fn knows(&self, now: Instant, wacid: &Wacid) -> bool {
        let mut whatsapp = self.whatsapp();
        whatsapp.live(wacid).is_some() || whatsapp.has_ended(now, wacid)
    }

    /// Gives a webhook to its call, or says what becomes of it. Nothing when it is about no call.
    pub(crate) fn webhook(&self, now: Instant, event: WebhookEvent, rules: &Rules<'_>) -> Option<Found> {
        let news = News::of(&event)?;
        let by_echo = match &news.echo {
            Echo::Mark(mark) => self.calls.get(&mark.call).map(|mailbox| mailbox.value().clone()),
            Echo::Absent | Echo::Foreign => None,
        };
        let mut whatsapp = self.whatsapp();
        // A call that reads no more is over; whether its WhatsApp call is, its id tells.
        if let Some(mailbox) = by_echo.filter(Mailbox::is_open) {
            mailbox.post(Input::Webhook(event));
            return Some(Found::Call);
        }
        if let Some(mailbox) = whatsapp.live(news.wacid).cloned() {
            return Some(if mailbox.post(Input::Webhook(event)) { Found::Call } else { Found::Late });
        }
        let (wacid, verdict) = (news.wacid.clone(), rules.first(&news));
        if whatsapp.has_ended(now, &wacid) {
            return Some(Found::Late);
        }
        if let Some(mailbox) = whatsapp.by_callee(&news, false) {
            mailbox.post(Input::Webhook(event));
            return Some(Found::Call);
        }
        Some(match verdict {
            Verdict::End(cause) => Found::Lost(Lost { number: news.number.clone(), wacid, cause }),
            Verdict::Leave => Found::Others(news.number.clone(), wacid),
            Verdict::Wait => {
                whatsapp.wait(now, wacid, event);
                Found::Waiting
            }
            Verdict::Remember => {
                // Its `connect` may still come: it must find the call ended. And a call of ours may
                // turn out to be the one.
                whatsapp.end(now, &wacid);
                let is_marked = news.echo != Echo::Absent;
                if !is_marked {
                    whatsapp.wait(now, wacid, event);
                }
                if is_marked { Found::Late } else { Found::Waiting }
            }
        })
    }

    /// Decides on the webhooks that have waited for long enough, each call once.
    pub(crate) fn overdue(&self, now: Instant, rules: &Rules<'_>) -> Vec<Found> {
        let mut whatsapp = self.whatsapp();
        let mut found: Vec<Found> = Vec::new();
        for event in whatsapp.overdue(now) {
            let Some(news) = News::of(&event) else {
                continue;
            };
            if whatsapp.has_ended(now, news.wacid) {
                continue;
            }
            if let Some(mailbox) = whatsapp.by_callee(&news, true) {
                mailbox.post(Input::Webhook(event));
                continue;
            }
            let (number, wacid) = (news.number.clone(), news.wacid.clone());
            let one = match rules.overdue(&news) {
                Verdict::End(cause) => Found::Lost(Lost { number, wacid, cause }),
                Verdict::Leave => {
                    whatsapp.drop_waiting(&wacid);
                    Found::Others(number, wacid)
                }
                Verdict::Wait | Verdict::Remember => continue,
            };
            if !found.contains(&one) {
                found.push(one);
            }
        }
        found
    }

    /// Ended calls are remembered for so long.
    pub(crate) fn remember_for(&self, remember: Duration) {
        self.whatsapp().remember_for(remember);
    }

    /// What is kept, for metrics.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 4] {
        self.whatsapp().counts()
    }

    /// Gives a SIP event to its call.
    pub(crate) fn sip(&self, leg: LegId, event: sip_core::Event) {
        if let Some(mailbox) = self.legs.get(&leg) {
            mailbox.post(Input::Sip(leg, event));
        }
    }

    /// Gives an INVITE with Replaces to the call whose leg it names, and its leg with it. False when
    /// that call is over, or too busy.
    pub(crate) fn replace(&self, replaced: LegId, by: LegId, invite: Box<Request>, flow: Flow) -> bool {
        let Some(mailbox) = self.legs.get(&replaced).map(|mailbox| mailbox.value().clone()) else {
            return false;
        };
        self.add_leg(by, &mailbox);
        let taken = mailbox.post(Input::Replaces { replaced, by, invite, flow });
        if !taken {
            self.remove_leg(by);
        }
        taken
    }

    /// Gives the same event to every call.
    pub(crate) fn all(&self, input: impl Fn() -> Input) {
        for call in &self.calls {
            call.value().post(input());
        }
    }

    /// A call is over.
    pub(crate) fn remove(&self, now: Instant, id: &CallId, legs: &[LegId], wacid: Option<&Wacid>) {
        self.calls.remove(id);
        for leg in legs {
            self.remove_leg(*leg);
        }
        let mut whatsapp = self.whatsapp();
        whatsapp.forget(id);
        if let Some(wacid) = wacid {
            whatsapp.end(now, wacid);
        }
    }

    /// A WhatsApp call is over, and stays so.
    pub(crate) fn bury(&self, now: Instant, wacid: &Wacid) {
        self.whatsapp().end(now, wacid);
    }

    /// How many calls live here.
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    fn whatsapp(&self) -> MutexGuard<'_, WhatsAppCalls> {
        self.whatsapp.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]
mod tests;
