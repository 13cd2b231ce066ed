//! Which call an event belongs to.
//!
//! SIP events name a leg. Webhooks name a WhatsApp call id, which may be known here only after the
//! webhook has come (it can overtake the reply to `connect`): so they are matched by the echo of
//! our own call id first, then by WhatsApp's id, and else wait a little in a small room until some
//! call turns out to be theirs. Ended calls are remembered, so that what comes late starts nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use sip_core::message::Request;
use sip_core::{Flow, LegId};
use tokio::sync::mpsc;
use tracing::warn;
use wa_signaling::Wacid;
use wa_signaling::WebhookEvent;

use crate::call::task::Input;
use crate::id::CallId;
use crate::mark::Mark;

/// Events that wait for one call's task; a call that leaves so many unread is broken, and what
/// comes on top is dropped with a warning rather than allowed to hold up the other calls.
pub(crate) const MAILBOX: usize = 256;
/// Webhooks that wait for their call to be known; the oldest gives way.
const WAITING: usize = 1024;
/// How long they wait.
const WAIT: Duration = Duration::from_secs(30);
/// Ended WhatsApp calls that are remembered; the oldest is forgotten.
const REMEMBERED: usize = 100_000;

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
}

/// All calls that live here, and the WhatsApp calls that lived.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    legs: DashMap<LegId, Mailbox>,
    calls: DashMap<CallId, Mailbox>,
    whatsapp: Mutex<WhatsAppCalls>,
}

/// What is known of WhatsApp calls by their id. One lock, so that a webhook and the call that it
/// belongs to can't miss each other.
#[derive(Debug, Default)]
struct WhatsAppCalls {
    live: HashMap<Wacid, Mailbox>,
    waiting: VecDeque<(Instant, Wacid, WebhookEvent)>,
    ended: HashSet<Wacid>,
    ended_order: VecDeque<Wacid>,
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

    /// A call's WhatsApp id became known: what has waited for it is delivered.
    pub(crate) fn identify(&self, wacid: &Wacid, mailbox: &Mailbox) {
        let mut whatsapp = self.whatsapp();
        whatsapp.live.insert(wacid.clone(), mailbox.clone());
        let waiting = std::mem::take(&mut whatsapp.waiting);
        for (since, of, event) in waiting {
            if of == *wacid {
                mailbox.post(Input::Webhook(event));
            } else {
                whatsapp.waiting.push_back((since, of, event));
            }
        }
    }

    /// Takes a user-initiated call into life; false when it lives already or has ended.
    pub(crate) fn claim(&self, wacid: &Wacid, mailbox: &Mailbox) -> bool {
        let mut whatsapp = self.whatsapp();
        if whatsapp.ended.contains(wacid) || whatsapp.live.contains_key(wacid) {
            return false;
        }
        whatsapp.live.insert(wacid.clone(), mailbox.clone());
        true
    }

    /// True when the call lives here or has ended.
    pub(crate) fn knows(&self, wacid: &Wacid) -> bool {
        let whatsapp = self.whatsapp();
        whatsapp.ended.contains(wacid) || whatsapp.live.contains_key(wacid)
    }

    /// Gives a webhook to its call; false when the call isn't known (yet).
    pub(crate) fn webhook(&self, now: Instant, event: WebhookEvent) -> bool {
        let (wacid, echo, over) = match &event {
            WebhookEvent::Connect(connect) => (&connect.wacid, &connect.callback_data, false),
            WebhookEvent::Status(status) => (&status.wacid, &status.callback_data, false),
            WebhookEvent::Terminate(terminate) => (&terminate.wacid, &terminate.callback_data, true),
            WebhookEvent::Other { .. } => return false,
        };
        let by_echo = echo
            .as_deref()
            .and_then(Mark::parse)
            .and_then(|mark| self.calls.get(&mark.call).map(|mailbox| mailbox.value().clone()));
        let mut whatsapp = self.whatsapp();
        if let Some(mailbox) = by_echo.or_else(|| whatsapp.live.get(wacid).cloned()) {
            mailbox.post(Input::Webhook(event));
            return true;
        }
        let wacid = wacid.clone();
        if whatsapp.ended.contains(&wacid) {
            return true;
        }
        if over {
            // Its `connect` may still come: it must find the call ended.
            whatsapp.end(&wacid);
        }
        whatsapp.wait(now, wacid, event);
        false
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
    pub(crate) fn remove(&self, id: &CallId, legs: &[LegId], wacid: Option<&Wacid>) {
        self.calls.remove(id);
        for leg in legs {
            self.remove_leg(*leg);
        }
        if let Some(wacid) = wacid {
            self.forget(wacid);
        }
    }

    /// A WhatsApp call is over, and stays so.
    fn forget(&self, wacid: &Wacid) {
        let mut whatsapp = self.whatsapp();
        whatsapp.live.remove(wacid);
        whatsapp.end(wacid);
    }

    /// Whether no call lives here.
    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// How many calls live here.
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    fn whatsapp(&self) -> MutexGuard<'_, WhatsAppCalls> {
        self.whatsapp.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WhatsAppCalls {
    fn wait(&mut self, now: Instant, wacid: Wacid, event: WebhookEvent) {
        while self.waiting.len() >= WAITING
            || self.waiting.front().is_some_and(|(since, _, _)| now > *since + WAIT)
        {
            self.waiting.pop_front();
        }
        self.waiting.push_back((now, wacid, event));
    }

    fn end(&mut self, wacid: &Wacid) {
        if self.ended.insert(wacid.clone()) {
            self.ended_order.push_back(wacid.clone());
        }
        if self.ended_order.len() > REMEMBERED
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]
mod tests {
    use wa_signaling::webhook::event::{CallStatus, Status, Terminate};

    use super::*;
    use crate::mark::Instance;

    fn wacid(number: usize) -> Wacid {
        format!("wacid.{number}").parse().expect("an id")
    }

    fn ringing(wacid: &Wacid, echo: Option<&CallId>) -> WebhookEvent {
        WebhookEvent::Status(Status {
            number: "1".parse().expect("an id"),
            wacid: wacid.clone(),
            status: CallStatus::Ringing,
            timestamp: None,
            callback_data: echo.map(|call| {
                let instance = Instance::from_bytes([0; 4]);
                Mark { call: call.clone(), instance, sip_call_id: None }.to_string()
            }),
        })
    }

    fn terminate(wacid: &Wacid) -> WebhookEvent {
        WebhookEvent::Terminate(Terminate {
            number: "1".parse().expect("an id"),
            wacid: wacid.clone(),
            direction: None,
            completed: true,
            start_time: None,
            end_time: None,
            duration: None,
            errors: Vec::new(),
            callback_data: None,
            timestamp: None,
        })
    }

    fn unread(events: &mut mpsc::Receiver<Input>) -> usize {
        std::iter::from_fn(|| events.try_recv().ok()).count()
    }

    #[test]
    fn a_webhook_finds_its_call_by_our_echo_before_the_id_is_known() {
        let directory = Directory::default();
        let (mailbox, mut events) = Mailbox::new();
        let id = CallId::from_bytes([1; 16]);
        directory.add(&id, &mailbox);
        assert!(directory.webhook(Instant::now(), ringing(&wacid(1), Some(&id))));
        assert_eq!(unread(&mut events), 1);
    }

    #[test]
    fn a_webhook_without_an_echo_waits_for_the_id() {
        let directory = Directory::default();
        let (mailbox, mut events) = Mailbox::new();
        let now = Instant::now();
        assert!(!directory.webhook(now, ringing(&wacid(1), None)));
        assert!(!directory.webhook(now, ringing(&wacid(2), None)));
        assert!(!directory.webhook(now, terminate(&wacid(1))));
        directory.identify(&wacid(1), &mailbox);
        assert_eq!(unread(&mut events), 2, "both of its own, in no other order");
        assert!(directory.webhook(now, ringing(&wacid(1), None)), "by its id from now on");
        assert_eq!(unread(&mut events), 1);
    }

    #[test]
    fn a_call_has_as_many_legs_as_it_needs() {
        let directory = Directory::default();
        let (mailbox, mut events) = Mailbox::new();
        let id = CallId::from_bytes([1; 16]);
        directory.add(&id, &mailbox);
        for leg in [LegId(1), LegId(2)] {
            directory.add_leg(leg, &mailbox);
            directory.sip(leg, sip_core::Event::AckTimeout);
        }
        assert_eq!(unread(&mut events), 2);
        directory.remove_leg(LegId(1));
        directory.sip(LegId(1), sip_core::Event::AckTimeout);
        assert_eq!(unread(&mut events), 0);
        directory.remove(&id, &[LegId(2)], None);
        assert!(directory.legs.is_empty());
    }

    #[test]
    fn an_invite_with_replaces_goes_to_the_call_that_has_the_leg() {
        let directory = Directory::default();
        let (mailbox, mut events) = Mailbox::new();
        directory.add_leg(LegId(1), &mailbox);
        let invite = || {
            let uri = "sip:a@192.0.2.1".parse().expect("a URI");
            let (headers, body) = (sip_core::Headers::new(), Vec::new().into());
            Box::new(Request { method: sip_core::Method::Invite, uri, headers, body })
        };
        let flow = Flow::udp("10.0.0.5:5060".parse().expect("an address"));
        assert!(directory.replace(LegId(1), LegId(3), invite(), flow));
        directory.sip(LegId(3), sip_core::Event::Cancelled { reason: None });
        assert_eq!(unread(&mut events), 2, "what comes of the new leg goes there too");
        assert!(!directory.replace(LegId(5), LegId(7), invite(), flow), "no such leg");
        drop(events);
        assert!(!directory.replace(LegId(1), LegId(9), invite(), flow), "the call is over");
        assert!(!directory.legs.contains_key(&LegId(9)));
    }

    #[test]
    fn the_waiting_room_is_bounded_in_time_and_number() {
        let directory = Directory::default();
        let now = Instant::now();
        for number in 0..3 * WAITING {
            directory.webhook(now, ringing(&wacid(number), None));
        }
        assert_eq!(directory.whatsapp().waiting.len(), WAITING);
        directory.webhook(now + WAIT + WAIT, ringing(&wacid(0), None));
        assert_eq!(directory.whatsapp().waiting.len(), 1);
    }

    #[test]
    fn an_ended_call_never_begins_again() {
        let directory = Directory::default();
        let (mailbox, _events) = Mailbox::new();
        directory.webhook(Instant::now(), terminate(&wacid(1)));
        assert!(!directory.claim(&wacid(1), &mailbox), "terminate came before connect");
        assert!(directory.claim(&wacid(2), &mailbox));
        assert!(!directory.claim(&wacid(2), &mailbox), "it lives");
        let id = CallId::from_bytes([2; 16]);
        directory.add(&id, &mailbox);
        directory.remove(&id, &[], Some(&wacid(2)));
        assert!(!directory.claim(&wacid(2), &mailbox), "it has ended");
        assert_eq!(directory.len(), 0);
    }

    #[test]
    fn the_memory_of_ended_calls_is_bounded() {
        let directory = Directory::default();
        for number in 0..REMEMBERED + 10 {
            directory.forget(&wacid(number));
        }
        let whatsapp = directory.whatsapp();
        assert_eq!((whatsapp.ended.len(), whatsapp.ended_order.len()), (REMEMBERED, REMEMBERED));
    }
}
