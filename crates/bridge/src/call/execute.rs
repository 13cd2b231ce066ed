//! Does what the call machine wants.
//!
//! Nothing here awaits the network: SIP goes into a queue, the audio path gets a command, and a Graph
//! request runs beside the call and comes back as an event, so that a CANCEL is handled while `connect`
//! is in flight.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use media_relay::WaRole;
use media_relay::sdp::crypto::Masked;
use sip_core::{Command, Reply};
use tracing::{Instrument, debug, error, warn};
use wa_signaling::{ErrorKind, GraphError, Wacid};

use super::action::{Action, End, Outcome};
use super::cause::Cause;
use super::task::{CallTask, GraphReply, Input, Remains, Side};
use super::{headers, remedy};
use crate::alarm::Alarm;
use crate::config::Number;
use crate::directory::MAILBOX;
use crate::record::{self, Direction, Record};
use crate::shared::Shared;

/// How long a closed audio path is waited for: it tells at once what has passed over it.
const SUMMARY_LIMIT: Duration = Duration::from_millis(200);

impl CallTask {
    pub(super) async fn execute(&mut self, action: Action) {
        debug!(?action);
        match action {
            Action::SipRing(leg) => self.respond(leg, Reply::new(180)).await,
            Action::SipRingWithTone(leg) => self.ring_with_tone(leg).await,
            Action::SipAnswer(leg) => self.ok(leg).await,
            Action::SipRefuse(leg, cause) => self.refuse(leg, cause).await,
            Action::SipInvite(leg) => self.invite(leg).await,
            Action::SipCancel(leg, cause) => self.cancel(leg, cause).await,
            Action::SipBye(leg, cause) => {
                let talked = self.call.talked(self.shared.now());
                self.bye(leg, cause, talked).await;
            }
            Action::ReferAccept { target } => self.accept_refer(target).await,
            Action::ReferRefuse { target, cause } => self.refuse_refer(target, cause).await,
            Action::ReferNotify { transferor, status, last } => {
                self.notify_refer(transferor, status, last).await;
            }
            Action::GraphPermission => self.graph_permission(),
            Action::GraphConnect => self.graph_connect(),
            Action::GraphPreAccept => self.graph_answer(false),
            Action::GraphAccept => self.graph_answer(true),
            Action::GraphEnd(end) => self.graph_end(end),
            Action::MediaConnect => self.media_connect(),
            Action::MediaOpen => {
                if let Some(media) = &self.media {
                    media.session.open();
                }
            }
            Action::MediaSwitch(leg) => {
                self.tally.transfers += u64::from(self.pbx.heard.is_some());
                self.pbx.heard = Some(leg);
                self.hear(leg);
            }
            Action::ToneToWhatsApp => self.tone_to_whatsapp(),
            Action::MediaAnnounce => self.announce(),
            Action::ToneStop => {
                if let Some(media) = &self.media {
                    media.session.stop_tone();
                }
            }
            Action::MediaClose => self.media = None,
            Action::Finished(outcome) => self.finish(&outcome).await,
        }
    }

    fn media_connect(&mut self) {
        let role = match self.direction() {
            Direction::SipToWa => WaRole::WeOffered,
            Direction::WaToSip => WaRole::WeAnswered,
        };
        if let Some(media) = &mut self.media
            && let Some(remote) = media.remote.take()
        {
            media.session.connect_whatsapp(remote, role);
        }
    }

    fn announce(&self) {
        if let Some(media) = &self.media
            && let Some(announcement) = &media.announcement
        {
            media.session.announce(announcement.clone());
        }
    }

    fn graph_connect(&self) {
        let (Side::FromPbx { callee }, Some(media)) = (&self.side, &self.media) else {
            return;
        };
        let (callee, offer, echo) = (callee.clone(), media.session.whatsapp_offer(), self.mark().to_string());
        debug!(sdp = %Masked(offer.as_bytes()), "offer to WhatsApp");
        self.keep(End::Terminate);
        let (shared, remains) = (Arc::clone(&self.shared), Arc::clone(&self.remains));
        let number = Arc::clone(&remains.number);
        shared.directory.await_id(&self.mark().call, &number.phone_number_id, &callee, &self.mailbox);
        self.beside(async move {
            shared.journal.barrier().await;
            let token = number.token.current();
            let id = &number.phone_number_id;
            let reply = shared.graph.connect(id, &token, &callee, &offer, &echo).await;
            let reply = logged("connect", remains.noted(reply));
            if reply == Err(ErrorKind::NoCallPermission) {
                shared.permissions.refused(shared.wall().as_secs(), &(id.clone(), callee));
            }
            GraphReply::Connect(reply)
        });
    }

    fn graph_answer(&self, accept: bool) {
        let (Side::FromWhatsApp { answer, .. }, Some(wacid)) = (&self.side, self.remains.wacid.get()) else {
            return;
        };
        // From `pre_accept` on WhatsApp takes the call for ours.
        self.keep(if accept { End::Terminate } else { End::Reject });
        let (answer, wacid, echo) = (answer.clone(), wacid.clone(), self.mark().to_string());
        let (shared, remains) = (Arc::clone(&self.shared), Arc::clone(&self.remains));
        let number = Arc::clone(&remains.number);
        self.beside(async move {
            shared.journal.barrier().await;
            let token = number.token.current();
            let (graph, id) = (&shared.graph, &number.phone_number_id);
            if accept {
                let reply = graph.accept(id, &token, &wacid, &answer, &echo).await;
                GraphReply::Accept(logged("accept", remains.noted(reply)))
            } else {
                let reply = graph.pre_accept(id, &token, &wacid, &answer).await;
                GraphReply::PreAccept(logged("pre_accept", reply))
            }
        });
    }

    fn graph_end(&self, end: End) {
        let Some(wacid) = self.remains.wacid.get().cloned() else {
            return;
        };
        if matches!(self.side, Side::Refused { .. } | Side::Lost { .. }) {
            self.keep(end);
        }
        let (shared, number) = (Arc::clone(&self.shared), Arc::clone(&self.remains.number));
        self.beside(async move { GraphReply::End(end_whatsapp(&shared, &number, &wacid, end).await) });
    }

    /// Runs a Graph request beside the call; its reply comes by the mailbox.
    pub(super) fn beside(&self, request: impl Future<Output = GraphReply> + Send + 'static) {
        let mailbox = self.mailbox.clone();
        let deliver = async move { mailbox.deliver(Input::Graph(request.await)).await };
        self.shared.spawn(deliver.in_current_span());
    }

    async fn finish(&mut self, outcome: &Outcome) {
        if !matches!(self.side, Side::Refused { .. } | Side::Lost { .. } | Side::Former(_)) {
            self.await_summary().await;
        }
        if outcome.whatsapp_ended {
            self.shared.journal.remove(&self.mark().call);
        } else {
            error!(
                "WhatsApp never confirmed the end of its call: it may still be open there, and the next start tries again"
            );
        }
        if let (Direction::SipToWa, Some(ticket), Some(answered)) =
            (self.direction(), &self.ticket, outcome.answered)
        {
            ticket.spent(outcome.ended.saturating_duration_since(answered));
        }
        self.alarm(outcome);
        self.count(outcome);
        self.shared.metrics.ended(self.direction(), outcome);
        if let Some(summary) = &self.summary {
            self.shared.metrics.heard(&summary.quality);
        }
        record::tell(self.direction(), outcome, self.summary.as_ref());
        self.record(outcome);
    }

    fn record(&mut self, outcome: &Outcome) {
        let (facts, wacid) = (&self.remains.facts, self.remains.wacid.get());
        let code = self.remains.graph_error.load(Ordering::Relaxed);
        self.tally.graph_error = (code > 0).then_some(code);
        let record = Record::of(facts, wacid, &self.tally, outcome, self.summary.as_ref());
        self.shared.records.write(record);
    }

    /// An error that came by webhook, which the Graph client has not seen, lasts until a call is answered.
    fn alarm(&self, outcome: &Outcome) {
        let alarms = &self.shared.alarms;
        let subject = format!("{} (by webhook)", self.remains.number.phone_number_id);
        match (outcome.cause, outcome.cause.row().alarm) {
            (Cause::WhatsAppFailed(code), Some(alarm)) => {
                let (what, remedy) = (outcome.cause.row().phrase, remedy::of_webhook(code));
                alarms.raise(alarm, &subject, format!("{what} ({code}). {remedy}"));
            }
            _ if outcome.answered.is_some() => alarms.clear(Alarm::NumberRefused, &subject),
            _ => {}
        }
    }

    /// The closing path tells what passed over it, promptly; a lost summary is not worth waiting.
    async fn await_summary(&mut self) {
        let limit = tokio::time::sleep(SUMMARY_LIMIT);
        tokio::pin!(limit);
        while self.summary.is_none() {
            tokio::select! {
                input = self.events.recv() => match input {
                    Some(Input::Media(event)) => self.take_media(event),
                    Some(other) if self.unread.len() < MAILBOX => self.unread.push(other),
                    Some(_) => {}
                    None => return,
                },
                () = &mut limit => return,
            }
        }
    }
}

impl Remains {
    /// Keeps the code of an error, for the record.
    fn noted<T>(&self, reply: Result<T, GraphError>) -> Result<T, GraphError> {
        if let Err(GraphError::Api(error)) = &reply {
            self.graph_error.store(error.code, Ordering::Relaxed);
        }
        reply
    }
}

async fn end_whatsapp(shared: &Shared, number: &Number, wacid: &Wacid, end: End) -> Result<(), ErrorKind> {
    let token = number.token.current();
    let id = &number.phone_number_id;
    match end {
        End::Reject => logged("reject", shared.graph.reject(id, &token, wacid).await),
        End::Terminate => logged("terminate", shared.graph.terminate(id, &token, wacid).await),
    }
}

pub(super) fn logged<T>(operation: &str, reply: Result<T, GraphError>) -> Result<T, ErrorKind> {
    reply.map_err(|error| {
        let kind = error.kind();
        if kind == ErrorKind::AlreadyEnded {
            debug!(operation, "the WhatsApp call is already over");
        } else {
            warn!(operation, ?kind, %error, "Graph API");
        }
        kind
    })
}

/// Ends all legs of a call whose task broke; true when WhatsApp's is known to be over.
pub(super) async fn clear_away(shared: &Shared, remains: &Remains) -> bool {
    let cause = Cause::Internal;
    for leg in remains.legs() {
        // Whichever of the three fits the leg's state has an effect; the others have none.
        shared.sip.send(Command::Respond { leg, reply: headers::refusal(cause) }).await;
        shared.sip.send(Command::Cancel { leg, headers: headers::reason(cause) }).await;
        shared.sip.send(Command::Bye { leg, headers: headers::reason(cause) }).await;
    }
    let Some(wacid) = remains.wacid.get() else {
        return false;
    };
    let ended = end_whatsapp(shared, &remains.number, wacid, End::Terminate).await;
    matches!(ended, Ok(()) | Err(ErrorKind::AlreadyEnded))
}
