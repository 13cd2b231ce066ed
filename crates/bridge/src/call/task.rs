//! The task of one call: turns what comes in into events of the call machine. What the machine wants
//! is done in `execute`.
#![expect(
    clippy::disallowed_methods,
    reason = "the call runs in a task of its own, so that its panic ends no other"
)]

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use media_relay::sdp::whatsapp;
use media_relay::{AudioSession, MediaEvent, Party, Summary};
use sip_core::message::Request;
use sip_core::{Flow, LegId};
use tokio::sync::mpsc;
use tracing::{Instrument, debug, error, info, warn};
use wa_signaling::webhook::event::{CallStatus, Connect};
use wa_signaling::{Callee, ErrorKind, Wacid, WebhookEvent};

use super::action::End;
use super::cause::Cause;
use super::event::Event;
use super::info::Digit;
use super::machine::{Call, Phase};
use super::pbx::Pbx;
use super::{execute, headers};
use crate::app::Shared;
use crate::config::Number;
use crate::directory::Mailbox;
use crate::journal::Entry;
use crate::mark::Mark;
use crate::record::Direction;
use crate::trunks::Ticket;

/// What a call's task gets from outside.
#[derive(Debug)]
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
}

/// The audio path.
pub(crate) struct Media {
    pub(super) session: AudioSession,
    /// WhatsApp's description, until ICE starts on it.
    pub(super) remote: Option<whatsapp::Remote>,
}

/// What must be ended even if the task itself breaks.
#[derive(Debug)]
pub(super) struct Remains {
    /// The SIP legs that were begun and have not ended; as many as there are in [`Pbx`].
    legs: Mutex<Vec<LegId>>,
    pub(super) number: Arc<Number>,
    pub(super) wacid: OnceLock<Wacid>,
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
    pub(super) mark: Mark,
    pub(super) direction: Direction,
    pub(super) remains: Arc<Remains>,
    pub(super) side: Side,
    pub(super) pbx: Pbx,
    pub(super) mailbox: Mailbox,
    pub(super) events: mpsc::Receiver<Input>,
    /// Until it is closed.
    pub(super) media: Option<Media>,
    pub(super) summary: Option<Summary>,
    pub(super) call: Call,
    /// Counts the call on its trunk.
    pub(super) ticket: Option<Ticket>,
    /// When the call began, by the wall clock.
    pub(super) began_ms: u64,
    /// Who waits for the first reply to its end; dropped with it.
    pub(super) hold: Option<mpsc::Sender<()>>,
}

impl CallTask {
    #[expect(clippy::too_many_arguments, reason = "the parts of a call, put together in one place")]
    pub(crate) fn new(
        shared: &Arc<Shared>,
        mark: Mark,
        number: Arc<Number>,
        side: Side,
        pbx: Pbx,
        (mailbox, events): (Mailbox, mpsc::Receiver<Input>),
        media: Option<Media>,
        call: Call,
    ) -> Self {
        let (direction, wacid) = match &side {
            Side::FromPbx { .. } => (Direction::SipToWa, OnceLock::new()),
            Side::FromWhatsApp { connect, .. } => (Direction::WaToSip, OnceLock::from(connect.wacid.clone())),
            Side::Refused { wacid } => (Direction::WaToSip, OnceLock::from(wacid.clone())),
            Side::Former(entry) => {
                (entry.direction, entry.wacid.clone().map_or_else(OnceLock::new, OnceLock::from))
            }
        };
        let began_ms = match &side {
            Side::Former(entry) => entry.began_ms,
            Side::FromPbx { .. } | Side::FromWhatsApp { .. } | Side::Refused { .. } => shared.wall_ms(),
        };
        shared.directory.add(&mark.call, &mailbox);
        let legs: Vec<LegId> = pbx.legs.keys().copied().collect();
        for leg in &legs {
            shared.directory.add_leg(*leg, &mailbox);
        }
        Self {
            shared: Arc::clone(shared),
            mark,
            direction,
            remains: Arc::new(Remains { legs: Mutex::new(legs), number, wacid }),
            side,
            pbx,
            mailbox,
            events,
            media,
            summary: None,
            call: call.with_jitter(u64::from_be_bytes(shared.random())),
            ticket: None,
            began_ms,
            hold: None,
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
        let (shared, id) = (Arc::clone(&self.shared), self.mark.call.clone());
        let remains = Arc::clone(&self.remains);
        let run = tokio::spawn(self.run().in_current_span());
        if let Err(broken) = run.await {
            error!(%broken, "the call's task broke: both legs are ended");
            if execute::clear_away(&shared, &remains).await {
                shared.journal.remove(&id);
            }
        }
        shared.directory.remove(&id, &remains.legs(), remains.wacid.get());
    }

    async fn run(mut self) {
        let mut phase = InPhase { shared: Arc::clone(&self.shared), direction: self.direction, phase: None };
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
        while let Ok(input) = self.events.try_recv() {
            if let Input::Replaces { by, .. } = input {
                self.shared.directory.remove_leg(by);
                self.respond(by, headers::refusal(Cause::NothingToReplace)).await;
            }
        }
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

    fn take_webhook(&mut self, event: WebhookEvent) {
        match event {
            WebhookEvent::Connect(connect) => {
                self.identify(&connect.wacid);
                self.whatsapp_answer(&connect);
            }
            WebhookEvent::Status(status) => {
                self.identify(&status.wacid);
                match status.status {
                    CallStatus::Ringing => self.tell(Event::WaRinging),
                    CallStatus::Accepted => self.tell(Event::WaAccepted),
                    CallStatus::Rejected => self.tell(Event::WaRejected),
                    CallStatus::Other(word) => debug!(word, "unknown call status"),
                }
            }
            WebhookEvent::Terminate(terminate) => {
                self.identify(&terminate.wacid);
                let error = terminate.errors.first();
                if let Some(error) = error {
                    warn!(code = error.code, details = ?error.details, "WhatsApp ended the call");
                }
                self.tell(Event::WaTerminated { error: error.map(|error| error.code) });
            }
            WebhookEvent::Other { .. } => {}
        }
    }

    /// WhatsApp's answer to our offer; a repeated one is nothing new.
    fn whatsapp_answer(&mut self, connect: &Connect) {
        if self.direction == Direction::WaToSip {
            return;
        }
        let sdp = connect.session.as_ref().map_or("", |session| session.sdp.as_str());
        debug!(sdp, "answer of WhatsApp");
        let usable = match whatsapp::parse(sdp) {
            Ok(remote) => {
                if let Some(media) = &mut self.media {
                    media.remote = Some(remote);
                }
                true
            }
            Err(error) => {
                warn!(%error, "WhatsApp's SDP answer is unusable");
                false
            }
        };
        self.tell(Event::WaConnect { usable });
    }

    /// The WhatsApp call id may come by the reply to `connect` or by any webhook.
    fn identify(&mut self, wacid: &Wacid) {
        if self.remains.wacid.get().is_none() && self.remains.wacid.set(wacid.clone()).is_ok() {
            tracing::Span::current().record("wacid", wacid.as_str());
            self.shared.directory.identify(wacid, &self.mailbox);
            self.keep(End::Terminate);
            self.tell(Event::Identified);
        }
    }

    fn take_graph(&mut self, reply: GraphReply) {
        match reply {
            GraphReply::Connect(Ok(wacid)) => {
                self.identify(&wacid);
                self.tell(Event::ConnectReply(Ok(())));
            }
            GraphReply::Connect(Err(kind)) => self.tell(Event::ConnectReply(Err(kind))),
            GraphReply::PreAccept(reply) => self.tell(Event::PreAcceptReply(reply)),
            GraphReply::Accept(reply) => self.tell(Event::AcceptReply(reply)),
            GraphReply::End(reply) => {
                self.hold = None;
                self.tell(Event::EndReply(reply));
            }
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
            MediaEvent::FirstAudio(Party::Pbx) => {}
            // Which key was pressed may be a PIN: it is never written down.
            MediaEvent::Digit { from, .. } => debug!(?from, "digit"),
            MediaEvent::DigitEnded { .. } => {}
            MediaEvent::Closed(summary) => self.summary = Some(summary),
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
