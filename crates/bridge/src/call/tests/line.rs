//! One call from the PBX with what is around it, as far as that is pure: the real directory and its
//! rules, the machine, and the task's few lines between them. Graph and the audio path answer at once.

use std::time::{Duration, Instant};

use media_relay::{MediaEvent, Party};
use sip_core::LegId;
use tokio::sync::mpsc::Receiver;
use wa_signaling::webhook::event::{CallStatus, Connect, Direction, Status, Terminate};
use wa_signaling::{Caller, ErrorKind, PhoneNumberId, Wacid, WebhookEvent};

use super::FIRST;
use crate::call::action::Action;
use crate::call::cause::Cause;
use crate::call::event::{Event, SipEvent};
use crate::call::machine::{Call, Settings};
use crate::call::sip_to_wa::may_have_started;
use crate::call::task::Input;
use crate::directory::{Directory, Found, Mailbox};
use crate::id::CallId;
use crate::mark::{Instance, Mark};
use crate::unknown::{News, Rules, UnknownCalls};

/// The time between two events.
const STEP: Duration = Duration::from_millis(100);
/// By then every call is over that nobody talks in: 90 s for an id that never comes, and some more.
const BOUND: Duration = Duration::from_secs(120);
const USER: &str = "491711234567";

/// What comes from WhatsApp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Reply(Result<(), ErrorKind>),
    Connect,
    Ringing,
    Accepted,
    Rejected,
    Terminate,
}

/// How the world is while it comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    pub(super) settings: Settings,
    /// Webhooks carry our mark.
    pub(super) echo: bool,
    /// ICE and DTLS come up as soon as they can.
    pub(super) media: bool,
    /// There is sound as soon as DTLS is up.
    pub(super) sound: bool,
    /// `terminate` tells of a conversation.
    pub(super) talked: bool,
    pub(super) unknown_calls: UnknownCalls,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// What the PBX got, in order: statuses, and 0 for BYE.
    pub(super) pbx: Vec<u16>,
    /// Requests to end a WhatsApp call.
    pub(super) ends: u32,
    /// Why the call ended.
    pub(super) cause: Option<Cause>,
}

/// BYE among the statuses.
pub(super) const BYE: u16 = 0;

struct Task {
    call: Call,
    id: CallId,
    wacid: Option<Wacid>,
    mailbox: Mailbox,
    events: Receiver<Input>,
    /// The one that the PBX began.
    is_first: bool,
}

pub(super) struct Line {
    how: How,
    directory: Directory,
    instance: Instance,
    now: Instant,
    tasks: Vec<Task>,
    seen: Seen,
}

fn number() -> PhoneNumberId {
    "1".parse().expect("an id")
}

fn wacid() -> Wacid {
    "wacid.1".parse().expect("an id")
}

impl Line {
    pub(super) fn new(how: How) -> Self {
        let (now, id) = (Instant::now(), CallId::from_bytes([1; 16]));
        let directory = Directory::default();
        let instance = "ours".parse().expect("a name");
        let mut line = Self { how, directory, instance, now, tasks: Vec::new(), seen: Seen::default() };
        line.begin(Call::from_pbx(how.settings, now, FIRST), id.clone(), None);
        let callee = USER.parse().expect("a callee");
        line.directory.await_id(&id, &number(), &callee, &line.tasks[0].mailbox);
        line
    }

    /// Plays these events one after the other, and lets everything come to its end.
    pub(super) fn play(how: How, events: &[What]) -> Seen {
        let mut line = Self::new(how);
        for event in events {
            line.give(*event);
        }
        line.rest();
        line.seen
    }

    pub(super) fn give(&mut self, what: What) {
        self.now += STEP;
        self.sweep();
        match what {
            What::Reply(reply) => self.reply(reply),
            What::Connect | What::Ringing | What::Accepted | What::Rejected | What::Terminate => {
                let event = self.webhook(what);
                let found = self.with_rules(|rules| self.directory.webhook(self.now, event, rules));
                self.act(found.expect("about a call"));
            }
        }
        self.settle();
    }

    /// The PBX's side, or the audio path's.
    pub(super) fn tell(&mut self, event: Event) {
        if let Some(task) = self.tasks.iter_mut().find(|task| task.is_first) {
            task.call.handle(self.now, event);
        }
        self.settle();
    }

    /// All that is left takes its time; whoever talks still loses the audio path in the end.
    pub(super) fn rest(&mut self) -> &Seen {
        self.pass(BOUND);
        self.tell(Event::MediaFailed);
        self.pass(BOUND);
        assert!(self.tasks.is_empty(), "every call ends");
        assert_eq!(self.directory.len(), 0);
        &self.seen
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end && !self.is_quiet() {
            self.now += Duration::from_secs(1);
            for task in &mut self.tasks {
                while task.call.deadline().is_some_and(|at| at <= self.now) {
                    task.call.handle_timeout(self.now);
                }
            }
            self.sweep();
            self.settle();
        }
    }

    /// Nothing can happen any more.
    fn is_quiet(&self) -> bool {
        let waits = self.directory.counts().iter().any(|(what, count)| *what == "waiting" && *count > 0);
        self.tasks.is_empty() && !waits
    }

    fn sweep(&mut self) {
        for found in self.with_rules(|rules| self.directory.overdue(self.now, rules)) {
            self.act(found);
        }
        self.settle();
    }

    fn with_rules<T>(&self, of: impl FnOnce(&Rules<'_>) -> T) -> T {
        let has = |id: &PhoneNumberId| *id == number();
        of(&Rules { instance: &self.instance, unknown_calls: self.how.unknown_calls, has: &has })
    }

    fn act(&mut self, found: Found) {
        if let Found::Lost(lost) = found {
            let call = Call::lost(self.how.settings, self.now, lost.cause);
            self.begin(call, CallId::from_bytes([2; 16]), Some(lost.wacid));
        }
    }

    fn begin(&mut self, call: Call, id: CallId, wacid: Option<Wacid>) {
        let (mailbox, events) = Mailbox::new();
        if let Some(wacid) = &wacid
            && !self.directory.claim(self.now, wacid, &mailbox)
        {
            return;
        }
        self.directory.add(&id, &mailbox);
        let is_first = wacid.is_none();
        self.tasks.push(Task { call, id, wacid, mailbox, events, is_first });
        self.settle();
    }

    fn reply(&mut self, reply: Result<(), ErrorKind>) {
        let Some(task) = self.tasks.iter_mut().find(|task| task.is_first) else {
            return;
        };
        match reply {
            Ok(()) => {
                task.identify(&self.directory, self.now, &wacid(), false);
            }
            Err(kind) if may_have_started(kind) && task.wacid.is_none() => {
                self.directory.lose_reply(&task.id);
            }
            Err(_) => {}
        }
        task.call.handle(self.now, Event::ConnectReply(reply));
    }

    /// Until nobody has anything to do: tasks read, machines want, Graph and the audio path answer.
    fn settle(&mut self) {
        let mut at = 0;
        while at < self.tasks.len() {
            let task = &mut self.tasks[at];
            let input = task.events.try_recv().ok();
            let mut is_idle = input.is_none();
            if let Some(input) = input {
                task.take(&self.directory, self.now, input);
            }
            while let Some(action) = self.tasks[at].call.poll() {
                is_idle = false;
                self.execute(at, &action);
            }
            let task = &self.tasks[at];
            if task.call.is_over() {
                self.directory.remove(self.now, &task.id, &[], task.wacid.as_ref());
                self.tasks.remove(at);
            } else if is_idle {
                at += 1;
            }
        }
    }

    fn execute(&mut self, at: usize, action: &Action) {
        let task = &mut self.tasks[at];
        match action {
            Action::SipRing(_) => self.seen.pbx.push(180),
            Action::SipAnswer(_) => self.seen.pbx.push(200),
            Action::SipRefuse(_, cause) => self.seen.pbx.push(cause.row().status),
            Action::SipBye(..) => self.seen.pbx.push(BYE),
            Action::GraphPermission => task.call.handle(self.now, Event::PermissionReply(Ok(()))),
            Action::GraphEnd(_) => {
                self.seen.ends += 1;
                task.call.handle(self.now, Event::EndReply(Ok(())));
            }
            Action::MediaConnect if self.how.media => {
                // It takes its time: what the call has in its mailbox comes first.
                task.mailbox.post(Input::Media(MediaEvent::Connected));
                if self.how.sound {
                    task.mailbox.post(Input::Media(MediaEvent::FirstAudio(Party::WhatsApp)));
                }
            }
            Action::Finished(outcome) if task.is_first => {
                assert_eq!(self.seen.cause.replace(outcome.cause), None, "it ends once");
            }
            _ => {}
        }
    }

    fn webhook(&self, what: What) -> WebhookEvent {
        let echo = self.how.echo.then(|| {
            let (call, instance) = (CallId::from_bytes([1; 16]), self.instance.clone());
            Mark { call, instance, sip_call_id: None }.to_string()
        });
        let status = |status| {
            WebhookEvent::Status(Status {
                number: number(),
                wacid: wacid(),
                status,
                user: Caller { phone: Some(USER.to_owned()), ..Caller::default() },
                timestamp: None,
                callback_data: echo.clone(),
            })
        };
        match what {
            What::Ringing => status(CallStatus::Ringing),
            What::Accepted => status(CallStatus::Accepted),
            What::Rejected => status(CallStatus::Rejected),
            What::Connect | What::Reply(_) => WebhookEvent::Connect(Connect {
                number: number(),
                display_number: String::new(),
                wacid: wacid(),
                direction: Direction::BusinessInitiated,
                timestamp: None,
                caller: Caller::default(),
                to: Some(USER.to_owned()),
                session: None,
                callback_data: echo,
                cta_payload: None,
                deeplink_payload: None,
            }),
            What::Terminate => WebhookEvent::Terminate(Terminate {
                number: number(),
                wacid: wacid(),
                direction: Some(Direction::BusinessInitiated),
                completed: true,
                start_time: None,
                end_time: None,
                duration: self.how.talked.then_some(7),
                errors: Vec::new(),
                callback_data: echo,
                timestamp: None,
                user: Caller::default(),
            }),
        }
    }
}

impl Task {
    fn take(&mut self, directory: &Directory, now: Instant, input: Input) {
        match input {
            Input::Webhook(event) => self.take_webhook(directory, now, &event),
            Input::Media(MediaEvent::Connected) => self.call.handle(now, Event::MediaConnected),
            Input::Media(_) => self.call.handle(now, Event::MediaHeard),
            _ => {}
        }
    }

    /// As `CallTask::take_webhook` does.
    fn take_webhook(&mut self, directory: &Directory, now: Instant, event: &WebhookEvent) {
        let news = News::of(event).expect("about a call");
        self.identify(directory, now, news.wacid, news.is_over);
        let event = match event {
            WebhookEvent::Connect(_) => Some(Event::WaConnect { usable: true }),
            WebhookEvent::Status(status) => Event::of_status(&status.status),
            WebhookEvent::Terminate(terminate) => Some(Event::of_terminate(terminate)),
            _ => None,
        };
        self.call.handle(now, event.expect("it says something"));
    }

    fn identify(&mut self, directory: &Directory, now: Instant, wacid: &Wacid, is_over: bool) {
        if self.wacid.is_some() {
            return;
        }
        self.wacid = Some(wacid.clone());
        if directory.identify(now, wacid, &self.mailbox) {
            self.call.handle(now, Event::WaTerminated { error: None });
        }
        if !is_over {
            self.call.handle(now, Event::Identified);
        }
    }
}

/// The PBX's side of the call.
pub(super) fn of_pbx(event: SipEvent) -> Event {
    Event::Sip(LegId(FIRST.0), event)
}
