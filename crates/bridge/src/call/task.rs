//! The task of one call: turns what comes in into events of the call machine. What the machine wants
//! is done in `execute`.
#![expect(
    clippy::disallowed_methods,
    reason = "the call runs in a task of its own, so that its panic ends no other"
)]

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use media_relay::sdp::whatsapp;
use media_relay::{Announcement, AudioSession, MediaEvent, Party, Summary};
use sip_core::message::Request;
use sip_core::{Flow, LegId};
use tokio::sync::mpsc;
use tracing::{Instrument, debug, error, info, warn};
use wa_signaling::webhook::event::Connect;
use wa_signaling::{Callee, ErrorKind, Wacid, WebhookEvent};

use super::cause::Cause;
use super::event::Event;
use super::info::Digit;
use super::machine::{Call, Phase};
use super::pbx::Pbx;
use super::{execute, headers};
use crate::capture::Recording;
use crate::config::Number;
use crate::directory::Mailbox;
use crate::journal::Entry;
use crate::mark::Mark;
use crate::record::{Direction, Facts, Record, Tally};
use crate::shared::Shared;
use crate::trunks::Ticket;
use crate::webhooks;

/// What a call's task gets from outside.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "webhooks are few in a call, and moved once")]
pub(crate) enum Input {
    Sip(LegId, sip_core::Event),
    /// An INVITE with Replaces (RFC 3891).
    Replaces {
        /// The leg of this call that it names.
        replaced: LegId,
        /// Its own.
        by: LegId,
        invite: Box<Request>,
        flow: Flow,
    },
    Webhook(WebhookEvent),
    Graph(GraphReply),
    Media(MediaEvent),
    Shutdown,
}

/// A reply of the Graph API to a request of this call.
#[derive(Debug)]
pub(crate) enum GraphReply {
    Permission(Result<(), ErrorKind>),
    Connect(Result<Wacid, ErrorKind>),
    PreAccept(Result<(), ErrorKind>),
    Accept(Result<(), ErrorKind>),
    End(Result<(), ErrorKind>),
}

/// What only one direction has.
#[derive(Debug)]
pub(crate) enum Side {
    /// The PBX called.
    FromPbx { callee: Callee },
    /// The WhatsApp user called.
    FromWhatsApp {
        /// Our answer, the same bytes in `pre_accept` and `accept`.
        answer: String,
        connect: Box<Connect>,
    },
    /// The WhatsApp user called, and the call can't be put through.
    Refused { wacid: Wacid },
    /// A call of a former life of the bridge, which only ends.
    Former(Box<Entry>),
    /// A call of the business that nobody here leads.
    Lost { wacid: Wacid },
}

/// The audio path.
pub(crate) struct Media {
    pub(super) session: AudioSession,
    /// WhatsApp's description, until ICE starts on it.
    pub(super) remote: Option<whatsapp::Remote>,
    /// What the WhatsApp user is to hear, where that is an announcement.
    pub(super) announcement: Option<Announcement>,
    /// Where the call is captured.
    #[expect(dead_code, reason = "the capture ends with it")]
    pub(super) recording: Option<Recording>,
}

/// What must be ended even if the task itself breaks.
#[derive(Debug)]
pub(super) struct Remains {
    /// The SIP legs that were begun and have not ended; as many as there are in [`Pbx`].
    legs: Mutex<Vec<LegId>>,
    pub(super) number: Arc<Number>,
    pub(super) wacid: OnceLock<Wacid>,
    /// What the record of the call begins with.
    pub(super) facts: Facts,
    /// The code of the last error of `connect` or `accept`; 0 is none.
    pub(super) graph_error: AtomicU32,
}

impl Remains {
    pub(super) fn began(&self, leg: LegId) {
        self.lock().push(leg);
    }

    pub(super) fn ended(&self, leg: LegId) {
        self.lock().retain(|other| *other != leg);
    }

    pub(super) fn legs(&self) -> Vec<LegId> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<LegId>> {
        self.legs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call being executed.
pub(crate) struct CallTask {
    pub(super) shared: Arc<Shared>,
    pub(super) remains: Arc<Remains>,
    pub(super) side: Side,
    pub(super) pbx: Pbx,
    pub(super) mailbox: Mailbox,
    pub(super) events: mpsc::Receiver<Input>,
    /// Until it is closed.
    pub(super) media: Option<Media>,
    pub(super) summary: Option<Summary>,
    /// What came after the end; as much as fits the mailbox.
    pub(super) unread: Vec<Input>,
    pub(super) call: Call,
    /// Counts the call on its trunk.
    pub(super) ticket: Option<Ticket>,
    /// Who waits for the first reply to its end; dropped with it.
    pub(super) hold: Option<mpsc::Sender<()>>,
    pub(super) tally: Tally,
}

impl CallTask {
    #[expect(clippy::too_many_arguments, reason = "the parts of a call, put together in one place")]
    pub(crate) fn new(
        shared: &Arc<Shared>,
        facts: Facts,
        number: Arc<Number>,
        side: Side,
        pbx: Pbx,
        (mailbox, events): (Mailbox, mpsc::Receiver<Input>),
        media: Option<Media>,
        call: Call,
    ) -> Self {
        let wacid = match &side {
            Side::FromPbx { .. } => OnceLock::new(),
            Side::FromWhatsApp { connect, .. } => OnceLock::from(connect.wacid.clone()),
            Side::Refused { wacid } | Side::Lost { wacid } => OnceLock::from(wacid.clone()),
            Side::Former(entry) => entry.wacid.clone().map_or_else(OnceLock::new, OnceLock::from),
        };
        let graph_error = AtomicU32::new(0);
        shared.directory.add(&facts.mark.call, &mailbox);
        let legs: Vec<LegId> = pbx.legs.keys().copied().collect();
        for leg in &legs {
            shared.directory.add_leg(*leg, &mailbox);
        }
        Self {
            shared: Arc::clone(shared),
            remains: Arc::new(Remains { legs: Mutex::new(legs), number, wacid, facts, graph_error }),
            side,
            pbx,
            mailbox,
            events,
            media,
            summary: None,
            call: call.with_jitter(u64::from_be_bytes(shared.random())),
            unread: Vec::new(),
            ticket: None,
            hold: None,
            tally: Tally::default(),
        }
    }

    /// Whoever has the other end waits for the first reply to this call's end.
    pub(crate) fn holding(mut self, hold: mpsc::Sender<()>) -> Self {
        self.hold = Some(hold);
        self
    }

    /// The call counts on its trunk.
    pub(crate) fn counted(mut self, ticket: Ticket) -> Self {
        self.ticket = Some(ticket);
        self
    }

    /// The call from its begin to its end. A panic inside ends this call, on both legs, and no
    /// other.
    pub(crate) async fn live(self) {
        let (shared, id) = (Arc::clone(&self.shared), self.mark().call.clone());
        let remains = Arc::clone(&self.remains);
        let run = tokio::spawn(self.run().in_current_span());
        if let Err(broken) = run.await {
            error!(%broken, "the call's task broke: both legs are ended");
            let whatsapp_ended = execute::clear_away(&shared, &remains).await;
            if whatsapp_ended {
                shared.journal.remove(&id);
            }
            let (facts, wacid) = (&remains.facts, remains.wacid.get());
            let outcome = facts.unanswered(shared.now(), Cause::Internal, whatsapp_ended);
            shared.records.write(Record::of(facts, wacid, &Tally::default(), &outcome, None));
        }
        shared.directory.remove(shared.now(), &id, &remains.legs(), remains.wacid.get());
    }

    async fn run(mut self) {
        let mut phase =
            InPhase { shared: Arc::clone(&self.shared), direction: self.direction(), phase: None };
        loop {
            while let Some(action) = self.call.poll() {
                self.execute(action).await;
            }
            if self.call.is_over() {
                return self.turn_away().await;
            }
            phase.is(self.call.phase());
            let deadline = self.call.deadline().map(tokio::time::Instant::from_std);
            tokio::select! {
                input = self.events.recv() => match input {
                    Some(input) => self.take(input).await,
                    None => return,
                },
                () = at(deadline) => self.call.handle_timeout(self.shared.now()),
            }
        }
    }

    /// Nobody reads on: who still waits for an answer gets it.
    async fn turn_away(&mut self) {
        self.events.close();
        let mut unread = std::mem::take(&mut self.unread);
        unread.extend(std::iter::from_fn(|| self.events.try_recv().ok()));
        for input in unread {
            match input {
                Input::Replaces { by, .. } => {
                    self.shared.directory.remove_leg(by);
                    self.respond(by, headers::refusal(Cause::NothingToReplace)).await;
                }
                // There is a call at WhatsApp after all: it is ended like any that nobody leads.
                Input::Webhook(event) if self.remains.wacid.get().is_none() => {
                    webhooks::give(&self.shared, event);
                }
                // It may say how long the call was.
                Input::Webhook(WebhookEvent::Terminate(over)) => self.shared.records.terminated(&over),
                Input::Webhook(_) | Input::Sip(..) | Input::Graph(_) | Input::Media(_) | Input::Shutdown => {}
            }
        }
    }

    pub(super) fn mark(&self) -> &Mark {
        &self.remains.facts.mark
    }

    pub(super) fn direction(&self) -> Direction {
        self.remains.facts.direction
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.call.handle(self.shared.now(), event);
    }

    async fn take(&mut self, input: Input) {
        match input {
            Input::Sip(leg, event) => self.take_sip(leg, event).await,
            Input::Replaces { replaced, by, invite, flow } => {
                self.take_replaces(replaced, by, &invite, flow).await;
            }
            Input::Webhook(event) => self.take_webhook(event),
            Input::Graph(reply) => self.take_graph(reply),
            Input::Media(MediaEvent::DigitEnded { from: Party::WhatsApp, digit: key, duration }) => {
                self.send_info(Digit { key, duration }).await;
            }
            Input::Media(event) => self.take_media(event),
            Input::Shutdown => self.tell(Event::Shutdown),
        }
    }

    pub(super) fn take_media(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Connected => {
                info!("ICE and DTLS are up");
                self.tell(Event::MediaConnected);
            }
            MediaEvent::Failed(failure) => {
                warn!(%failure, "audio path");
                self.tell(Event::MediaFailed);
            }
            MediaEvent::FirstAudio(Party::WhatsApp) => self.tell(Event::MediaHeard),
            MediaEvent::Announced => self.tell(Event::MediaAnnounced),
            MediaEvent::Silent(from) => {
                warn!(?from, "neither RTP nor RTCP for as long as may be");
                self.tell(Event::MediaSilent(from));
            }
            MediaEvent::FirstAudio(Party::Pbx) | MediaEvent::Heard(_) => {}
            // Which key was pressed may be a PIN: it is never written down.
            MediaEvent::Digit { from, .. } => debug!(?from, "digit"),
            MediaEvent::DigitEnded { .. } => {}
            MediaEvent::Closed(summary) => self.summary = Some(*summary),
        }
    }
}

/// Which phase the metrics count the call in; in none when it is dropped, by a panic as well.
struct InPhase {
    shared: Arc<Shared>,
    direction: Direction,
    phase: Option<Phase>,
}

impl InPhase {
    fn is(&mut self, phase: Phase) {
        self.shared.metrics.moved(self.direction, self.phase, Some(phase));
        self.phase = Some(phase);
    }
}

impl Drop for InPhase {
    fn drop(&mut self) {
        self.shared.metrics.moved(self.direction, self.phase, None);
    }
}

/// Sleeps until the deadline, or for ever.
async fn at(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
