//! The task of one call: turns what comes in into events of the call machine. What the machine wants
//! is done in `execute`.
#![expect(
    clippy::disallowed_methods,
    reason = "the call runs in a task of its own, so that its panic ends no other"
)]

use std::sync::{Arc, OnceLock};

use media_relay::sdp::negotiation::Negotiation;
use media_relay::sdp::whatsapp;
use media_relay::{AudioSession, MediaEvent, Party, Summary};
use sip_core::message::{Method, Request};
use sip_core::{Command, LegId, Rejection, Reply, RequestId};
use tokio::sync::mpsc;
use tracing::{Instrument, debug, error, info, warn};
use wa_signaling::webhook::event::{CallStatus, Connect};
use wa_signaling::{Callee, ErrorKind, Wacid, WebhookEvent};

use super::event::{Event, SipRefusal};
use super::machine::{Call, Phase};
use super::{execute, headers};
use crate::app::Shared;
use crate::config::{Number, Trunk};
use crate::directory::Mailbox;
use crate::id::CallId;
use crate::record::Direction;

/// What a call's task gets from outside.
#[derive(Debug)]
pub(crate) enum Input {
    Sip(sip_core::Event),
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
    FromPbx {
        callee: Callee,
        /// Our SDP answer to the PBX.
        answer: String,
    },
    /// The WhatsApp user called.
    FromWhatsApp {
        /// Our answer, the same bytes in `pre_accept` and `accept`.
        answer: String,
        trunk: Box<Trunk>,
        connect: Box<Connect>,
    },
    /// The WhatsApp user called, and the call can't be put through.
    Refused { wacid: Wacid },
}

/// The audio path and what was agreed on it with either side.
pub(crate) struct Media {
    pub(super) session: AudioSession,
    /// Offers and answers with the PBX.
    pub(super) negotiation: Negotiation,
    /// WhatsApp's description, until ICE starts on it.
    pub(super) remote: Option<whatsapp::Remote>,
}

/// What must be ended even if the task itself breaks.
#[derive(Debug)]
pub(super) struct Remains {
    pub(super) leg: LegId,
    pub(super) number: Arc<Number>,
    pub(super) wacid: OnceLock<Wacid>,
}

/// One call being executed.
pub(crate) struct CallTask {
    pub(super) shared: Arc<Shared>,
    pub(super) id: CallId,
    pub(super) direction: Direction,
    pub(super) remains: Arc<Remains>,
    pub(super) side: Side,
    pub(super) mailbox: Mailbox,
    pub(super) events: mpsc::Receiver<Input>,
    /// Until it is closed.
    pub(super) media: Option<Media>,
    pub(super) summary: Option<Summary>,
    call: Call,
}

impl CallTask {
    #[expect(clippy::too_many_arguments, reason = "the parts of a call, put together in one place")]
    pub(crate) fn new(
        shared: &Arc<Shared>,
        id: CallId,
        leg: LegId,
        number: Arc<Number>,
        side: Side,
        (mailbox, events): (Mailbox, mpsc::Receiver<Input>),
        media: Option<Media>,
        call: Call,
    ) -> Self {
        let (direction, wacid) = match &side {
            Side::FromPbx { .. } => (Direction::SipToWa, OnceLock::new()),
            Side::FromWhatsApp { connect, .. } => (Direction::WaToSip, OnceLock::from(connect.wacid.clone())),
            Side::Refused { wacid } => (Direction::WaToSip, OnceLock::from(wacid.clone())),
        };
        Self {
            shared: Arc::clone(shared),
            id,
            direction,
            remains: Arc::new(Remains { leg, number, wacid }),
            side,
            mailbox,
            events,
            media,
            summary: None,
            call,
        }
    }

    /// The call from its begin to its end. A panic inside ends this call, on both legs, and no
    /// other.
    pub(crate) async fn live(self) {
        let (shared, id) = (Arc::clone(&self.shared), self.id.clone());
        let remains = Arc::clone(&self.remains);
        let run = tokio::spawn(self.run().in_current_span());
        if let Err(broken) = run.await {
            error!(%broken, "the call's task broke: both legs are ended");
            execute::clear_away(&shared, &remains).await;
        }
        shared.directory.remove(&id, remains.leg, remains.wacid.get());
    }

    async fn run(mut self) {
        let mut phase = InPhase { shared: Arc::clone(&self.shared), direction: self.direction, phase: None };
        loop {
            while let Some(action) = self.call.poll() {
                self.execute(action).await;
            }
            if self.call.is_over() {
                return;
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

    fn tell(&mut self, event: Event) {
        self.call.handle(self.shared.now(), event);
    }

    async fn take(&mut self, input: Input) {
        match input {
            Input::Sip(event) => self.take_sip(event).await,
            Input::Webhook(event) => self.take_webhook(event),
            Input::Graph(reply) => self.take_graph(reply),
            Input::Media(event) => self.take_media(event),
            Input::Shutdown => self.tell(Event::Shutdown),
        }
    }

    async fn take_sip(&mut self, event: sip_core::Event) {
        use sip_core::Event as Sip;
        match event {
            Sip::Cancelled { .. } => self.tell(Event::SipCancelled),
            Sip::Bye { .. } => self.tell(Event::SipBye),
            Sip::AckTimeout => self.tell(Event::SipAckTimeout),
            Sip::Ended => self.tell(Event::SipEnded),
            Sip::Answered(response) => {
                let usable = self.pbx_answer(&response.body);
                self.tell(Event::SipAnswered { usable });
            }
            Sip::Rejected(rejection) => {
                self.tell(Event::SipRefused(match rejection {
                    Rejection::Response(response) => SipRefusal::Status(response.status),
                    Rejection::Timeout | Rejection::Silence => SipRefusal::Timeout,
                    Rejection::Transport => SipRefusal::Unreachable,
                }));
            }
            Sip::Request { id, request } => self.answer_pbx(id, &request).await,
            Sip::Provisional(response) => debug!(status = response.status, "PBX"),
            Sip::Lost(_) => self.tell(Event::SipAckTimeout),
            Sip::Acked { .. } | Sip::Response { .. } | Sip::Invite { .. } => {}
        }
    }

    /// The PBX's answer to our offer.
    fn pbx_answer(&mut self, sdp: &[u8]) -> bool {
        let Some(media) = &mut self.media else {
            return false;
        };
        match media.negotiation.read_answer(sdp) {
            Ok(path) => {
                media.session.connect_pbx(path);
                true
            }
            Err(error) => {
                warn!(%error, "the PBX's SDP answer is unusable");
                false
            }
        }
    }

    /// A request of the PBX within the call. What it changes (hold, its address, a codec) is absorbed
    /// here: WhatsApp knows no second negotiation.
    async fn answer_pbx(&mut self, request: RequestId, asked: &Request) {
        let reply = match asked.method {
            Method::Invite | Method::Update => self.renegotiate(&asked.body),
            Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Options
            | Method::Register
            | Method::Info
            | Method::Prack
            | Method::Refer
            | Method::Notify
            | Method::Subscribe
            | Method::Message
            | Method::Publish
            | Method::Other(_) => headers::not_allowed(),
        };
        debug!(method = %asked.method, status = reply.status, "request in the dialog");
        let answer = Command::Answer { leg: self.remains.leg, request, reply };
        self.shared.sip.send(answer).await;
    }

    /// A refused change leaves the call as it was (RFC 3261 14.2, RFC 3311 5.2).
    fn renegotiate(&mut self, offer: &[u8]) -> Reply {
        let Some(media) = &mut self.media else {
            return headers::reply(488);
        };
        match media.negotiation.answer(offer) {
            Ok((answer, path)) => {
                info!(direction = ?path.direction, codec = %path.codec, "the PBX changes the session");
                media.session.connect_pbx(path);
                headers::answer(&answer, None)
            }
            Err(error) => {
                info!(%error, "the PBX's change of the session is refused");
                headers::reply(488)
            }
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
            GraphReply::End(reply) => self.tell(Event::EndReply(reply)),
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
