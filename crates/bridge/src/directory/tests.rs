use wa_signaling::Caller;
use wa_signaling::webhook::event::{CallStatus, Connect, Direction, Status, Terminate};

use super::whatsapp::{WAIT, WAITING};
use super::*;
use crate::mark::{Instance, Mark};
use crate::unknown::UnknownCalls;

const OURS: &str = "ours";
const USER: &str = "491711234567";

fn wacid(number: usize) -> Wacid {
    format!("wacid.{number}").parse().expect("an id")
}

fn number() -> PhoneNumberId {
    "1".parse().expect("an id")
}

fn id(number: u8) -> CallId {
    CallId::from_bytes([number; 16])
}

fn mark(call: &CallId, instance: &str) -> String {
    let instance = instance.parse().expect("a name");
    Mark { call: call.clone(), instance, sip_call_id: None }.to_string()
}

fn status(wacid: &Wacid, status: CallStatus, echo: Option<String>) -> WebhookEvent {
    WebhookEvent::Status(Status {
        number: number(),
        wacid: wacid.clone(),
        status,
        user: Caller { phone: Some(USER.to_owned()), ..Caller::default() },
        timestamp: None,
        callback_data: echo,
    })
}

fn ringing(wacid: &Wacid, echo: Option<&CallId>) -> WebhookEvent {
    status(wacid, CallStatus::Ringing, echo.map(|call| mark(call, OURS)))
}

fn connect(wacid: &Wacid, echo: Option<String>) -> WebhookEvent {
    WebhookEvent::Connect(Connect {
        number: number(),
        display_number: String::new(),
        wacid: wacid.clone(),
        direction: Direction::BusinessInitiated,
        timestamp: None,
        caller: Caller::default(),
        to: Some(format!("+{USER}")),
        session: None,
        callback_data: echo,
        cta_payload: None,
        deeplink_payload: None,
    })
}

fn terminate(wacid: &Wacid) -> WebhookEvent {
    WebhookEvent::Terminate(Terminate {
        number: number(),
        wacid: wacid.clone(),
        direction: None,
        completed: true,
        start_time: None,
        end_time: None,
        duration: None,
        errors: Vec::new(),
        callback_data: None,
        timestamp: None,
        user: Caller::default(),
    })
}

fn unread(events: &mut mpsc::Receiver<Input>) -> usize {
    std::iter::from_fn(|| events.try_recv().ok()).count()
}

/// A directory under these rules, and its clock.
struct Desk {
    directory: Directory,
    instance: Instance,
    unknown_calls: UnknownCalls,
    now: Instant,
}

impl Desk {
    fn new(unknown_calls: UnknownCalls) -> Self {
        let instance = OURS.parse().expect("a name");
        Self { directory: Directory::default(), instance, unknown_calls, now: Instant::now() }
    }

    fn leaving() -> Self {
        Self::new(UnknownCalls::Leave)
    }

    fn with<T>(&self, of: impl FnOnce(&Rules<'_>) -> T) -> T {
        let has = |id: &PhoneNumberId| *id == number();
        of(&Rules { instance: &self.instance, unknown_calls: self.unknown_calls, has: &has })
    }

    fn webhook(&self, event: WebhookEvent) -> Found {
        self.with(|rules| self.directory.webhook(self.now, event, rules)).expect("about a call")
    }

    /// What is decided on after the wait.
    fn overdue(&mut self) -> Vec<Found> {
        self.now += WAIT;
        self.with(|rules| self.directory.overdue(self.now, rules))
    }

    fn call(&self, number: u8) -> (Mailbox, mpsc::Receiver<Input>) {
        let (mailbox, events) = Mailbox::new();
        self.directory.add(&id(number), &mailbox);
        (mailbox, events)
    }

    /// A call of ours to that user, whose id is not known.
    fn connecting(&self, call: u8, callee: &str) -> (Mailbox, mpsc::Receiver<Input>) {
        let (mailbox, events) = self.call(call);
        let callee = callee.parse().expect("a callee");
        self.directory.await_id(&id(call), &number(), &callee, &mailbox);
        (mailbox, events)
    }
}

fn lost(wacid: &Wacid, cause: Cause) -> Found {
    Found::Lost(Lost { number: number(), wacid: wacid.clone(), cause })
}

#[test]
fn a_webhook_finds_its_call_by_our_echo_before_the_id_is_known() {
    let desk = Desk::leaving();
    let (_, mut events) = desk.call(1);
    assert_eq!(desk.webhook(ringing(&wacid(1), Some(&id(1)))), Found::Call);
    assert_eq!(unread(&mut events), 1);
}

#[test]
fn a_webhook_without_an_echo_waits_for_the_id() {
    let desk = Desk::leaving();
    let (mailbox, mut events) = desk.call(1);
    for event in [ringing(&wacid(1), None), ringing(&wacid(2), None), terminate(&wacid(1))] {
        assert_eq!(desk.webhook(event), Found::Waiting);
    }
    assert!(!desk.directory.identify(desk.now, &wacid(1), &mailbox), "the call hears of its end");
    assert_eq!(unread(&mut events), 2, "both of its own, in no other order");
    assert_eq!(desk.webhook(ringing(&wacid(1), None)), Found::Call, "by its id from now on");
    assert_eq!(unread(&mut events), 1);
}

#[test]
fn a_call_has_as_many_legs_as_it_needs() {
    let desk = Desk::leaving();
    let (mailbox, mut events) = desk.call(1);
    for leg in [LegId(1), LegId(2)] {
        desk.directory.add_leg(leg, &mailbox);
        desk.directory.sip(leg, sip_core::Event::AckTimeout);
    }
    assert_eq!(unread(&mut events), 2);
    desk.directory.remove_leg(LegId(1));
    desk.directory.sip(LegId(1), sip_core::Event::AckTimeout);
    assert_eq!(unread(&mut events), 0);
    desk.directory.remove(desk.now, &id(1), &[LegId(2)], None);
    assert!(desk.directory.legs.is_empty());
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
    let mut desk = Desk::leaving();
    for number in 0..WAITING + 10 {
        desk.webhook(ringing(&wacid(number), None));
    }
    let count = |desk: &Desk, what| {
        let counts = desk.directory.counts();
        counts.iter().find(|(name, _)| *name == what).map(|(_, count)| *count)
    };
    assert_eq!(count(&desk, "waiting"), Some(WAITING as u64));
    assert_eq!(count(&desk, "waiting_gave_way"), Some(10));
    assert_eq!(desk.overdue().len(), WAITING);
    assert_eq!(count(&desk, "waiting"), Some(0));
}

/// Failure mode 10.
#[test]
fn a_webhook_that_comes_three_times_waits_once() {
    let desk = Desk::leaving();
    let (mailbox, mut events) = desk.call(1);
    for _ in 0..3 {
        desk.webhook(ringing(&wacid(1), None));
    }
    desk.directory.identify(desk.now, &wacid(1), &mailbox);
    assert_eq!(unread(&mut events), 1);
}

/// Failure mode 10.
#[test]
fn of_many_connects_at_once_one_begins_a_call() {
    let (desk, begun) = (Desk::leaving(), std::sync::atomic::AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let (mailbox, _events) = Mailbox::new();
                if desk.directory.claim(desk.now, &wacid(1), &mailbox) {
                    begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(begun.into_inner(), 1);
}

/// Failure mode 11.
#[test]
fn an_ended_call_never_begins_again() {
    let desk = Desk::leaving();
    let (directory, now) = (&desk.directory, desk.now);
    let (mailbox, _events) = Mailbox::new();
    desk.webhook(terminate(&wacid(1)));
    assert!(directory.knows(now, &wacid(1)));
    assert!(!directory.claim(now, &wacid(1), &mailbox), "terminate came before connect");
    assert!(directory.claim(now, &wacid(2), &mailbox));
    assert!(!directory.claim(now, &wacid(2), &mailbox), "it lives");
    directory.add(&id(2), &mailbox);
    directory.remove(now, &id(2), &[], Some(&wacid(2)));
    assert!(!directory.claim(now, &wacid(2), &mailbox), "it has ended");
    assert_eq!(directory.len(), 0);
    let a_day = Duration::from_secs(24 * 3600);
    assert!(!directory.claim(now + a_day, &wacid(2), &mailbox), "and is remembered for a day");
    assert_eq!(desk.webhook(ringing(&wacid(2), None)), Found::Late);
}

/// Failure mode 17: the call has ended here while its webhook was under way.
#[test]
fn a_webhook_that_crosses_the_end_of_its_call_is_late() {
    let desk = Desk::leaving();
    let (mailbox, events) = desk.call(1);
    desk.directory.identify(desk.now, &wacid(1), &mailbox);
    drop(events);
    assert_eq!(desk.webhook(ringing(&wacid(1), Some(&id(1)))), Found::Late, "nobody reads it");
    desk.directory.remove(desk.now, &id(1), &[], Some(&wacid(1)));
    for event in [ringing(&wacid(1), Some(&id(1))), terminate(&wacid(1)), connect(&wacid(1), None)] {
        assert_eq!(desk.webhook(event), Found::Late, "and it is not ended twice");
    }
}

#[test]
fn a_webhook_for_a_call_that_is_given_up_in_this_moment_ends_what_it_tells_of() {
    let desk = Desk::leaving();
    let (_, events) = desk.connecting(1, USER);
    drop(events);
    assert_eq!(desk.webhook(ringing(&wacid(1), Some(&id(1)))), lost(&wacid(1), Cause::Crash));
}

/// Failure modes 2 and 14.
#[test]
fn a_call_of_ours_that_is_not_alive_is_ended_at_once() {
    for echo in [connect(&wacid(1), Some(mark(&id(1), OURS))), ringing(&wacid(1), Some(&id(1)))] {
        let desk = Desk::leaving();
        assert_eq!(desk.webhook(echo.clone()), lost(&wacid(1), Cause::Crash));
        let (mailbox, mut events) = Mailbox::new();
        assert!(desk.directory.claim(desk.now, &wacid(1), &mailbox), "who ends it has it");
        assert_eq!(desk.webhook(echo), Found::Call, "sent again, it ends nothing twice");
        assert_eq!(unread(&mut events), 1);
    }
}

/// Failure mode 14.
#[test]
fn a_call_of_somebody_else_is_left_alone_or_ended_by_setting() {
    let by_echo = [Some(mark(&id(1), "theirs")), Some("crm-7".to_owned())];
    for echo in by_echo {
        let found = Desk::leaving().webhook(connect(&wacid(1), echo.clone()));
        assert_eq!(found, Found::Others(number(), wacid(1)));
        let found = Desk::new(UnknownCalls::End).webhook(connect(&wacid(1), echo));
        assert_eq!(found, lost(&wacid(1), Cause::UnknownCall));
    }
}

/// Failure mode 14.
#[test]
fn a_call_without_an_echo_is_decided_on_after_its_wait_and_once() {
    for (setting, expected) in [
        (UnknownCalls::Leave, Found::Others(number(), wacid(1))),
        (UnknownCalls::End, lost(&wacid(1), Cause::UnknownCall)),
    ] {
        let mut desk = Desk::new(setting);
        desk.webhook(connect(&wacid(1), None));
        desk.webhook(ringing(&wacid(1), None));
        desk.webhook(terminate(&wacid(2)));
        assert_eq!(desk.overdue(), [expected], "what is over needs no end");
        assert_eq!(desk.overdue(), []);
    }
}

#[test]
fn a_call_that_ended_while_it_waited_is_not_ended() {
    let mut desk = Desk::new(UnknownCalls::End);
    desk.webhook(ringing(&wacid(1), None));
    desk.webhook(terminate(&wacid(1)));
    assert_eq!(desk.overdue(), []);
}

#[test]
fn a_number_that_is_not_configured_is_never_touched() {
    let desk = Desk::new(UnknownCalls::End);
    let rules = Rules { instance: &desk.instance, unknown_calls: UnknownCalls::End, has: &|_| false };
    for echo in [None, Some(mark(&id(1), OURS))] {
        let found = desk.directory.webhook(desk.now, connect(&wacid(1), echo), &rules);
        assert_eq!(found, Some(Found::Others(number(), wacid(1))));
    }
}

#[test]
fn a_connect_whose_echo_and_reply_are_lost_is_found_by_number_and_callee() {
    let desk = Desk::leaving();
    let (_, mut other) = desk.connecting(1, "491700000000");
    let (mailbox, mut events) = desk.connecting(2, USER);
    assert_eq!(desk.webhook(connect(&wacid(1), None)), Found::Waiting, "the reply may still come");
    desk.directory.lose_reply(&id(2));
    assert_eq!(unread(&mut events), 1);
    assert_eq!(desk.webhook(ringing(&wacid(1), None)), Found::Call);
    desk.directory.identify(desk.now, &wacid(1), &mailbox);
    assert_eq!(desk.webhook(ringing(&wacid(2), None)), Found::Waiting, "one call is enough");
    assert_eq!((unread(&mut events), unread(&mut other)), (1, 0));
}

#[test]
fn a_user_without_a_number_is_found_by_the_user_id() {
    let desk = Desk::leaving();
    let (_, mut events) = desk.connecting(1, "US.13491208655302741918");
    desk.directory.lose_reply(&id(1));
    let WebhookEvent::Status(mut of) = ringing(&wacid(1), None) else { panic!("a status") };
    of.user = Caller { bsuid: Some("US.13491208655302741918".to_owned()), ..Caller::default() };
    assert_eq!(desk.webhook(WebhookEvent::Status(of)), Found::Call);
    assert_eq!(unread(&mut events), 1);
}

#[test]
fn two_calls_to_one_user_are_not_told_apart_by_guessing() {
    let mut desk = Desk::leaving();
    let (_, mut first) = desk.connecting(1, USER);
    let (_, mut second) = desk.connecting(2, USER);
    desk.directory.lose_reply(&id(1));
    desk.directory.lose_reply(&id(2));
    assert_eq!(desk.webhook(ringing(&wacid(1), None)), Found::Waiting);
    desk.directory.remove(desk.now, &id(2), &[], None);
    assert_eq!(desk.overdue(), [], "by then there is one");
    assert_eq!((unread(&mut first), unread(&mut second)), (1, 0));
}

#[test]
fn somebody_elses_echo_is_never_taken_for_a_lost_one() {
    let desk = Desk::leaving();
    let (_, mut events) = desk.connecting(1, USER);
    desk.directory.lose_reply(&id(1));
    desk.webhook(connect(&wacid(1), Some("crm-7".to_owned())));
    assert_eq!(unread(&mut events), 0);
}

#[test]
fn a_call_whose_end_was_lost_on_the_way_is_told_when_it_knows_its_id() {
    let mut desk = Desk::leaving();
    let (mailbox, mut events) = desk.connecting(1, USER);
    desk.webhook(terminate(&wacid(1)));
    desk.overdue();
    assert!(desk.directory.identify(desk.now, &wacid(1), &mailbox));
    assert_eq!(unread(&mut events), 0);
}
