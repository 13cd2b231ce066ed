//! What comes from WhatsApp: webhooks and replies of the Graph API become events of the call machine.

use media_relay::sdp::crypto::Masked;
use media_relay::sdp::whatsapp;
use tracing::{debug, warn};
use wa_signaling::webhook::event::Connect;
use wa_signaling::{Wacid, WebhookEvent};

use super::action::End;
use super::birth;
use super::cause::Cause;
use super::event::Event;
use super::sip_to_wa::may_have_started;
use super::task::{CallTask, GraphReply};
use crate::directory::Lost;
use crate::record::{Direction, WhatsAppEnd};
use crate::unknown::News;

/// What an id that WhatsApp tells is to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    /// Its own, and not known before.
    New,
    /// Its own.
    Same,
    /// Another call's.
    Other,
}

impl CallTask {
    pub(super) fn take_webhook(&mut self, event: WebhookEvent) {
        let Some((news, is_over)) = News::of(&event).map(|news| (news.wacid.clone(), news.is_over)) else {
            return;
        };
        if !self.is_of_this_call(&news, is_over) {
            return;
        }
        match event {
            WebhookEvent::Connect(connect) => self.whatsapp_answer(&connect),
            WebhookEvent::Status(status) => match Event::of_status(&status.status) {
                Some(event) => self.tell(event),
                None => debug!(status = ?status.status, "unknown call status"),
            },
            WebhookEvent::Terminate(terminate) => {
                if let Some(error) = terminate.errors.first() {
                    warn!(code = error.code, details = ?error.details, "WhatsApp ended the call");
                }
                self.tally.whatsapp = Some(WhatsAppEnd::of(&terminate));
                self.tell(Event::of_terminate(&terminate));
            }
            // The rest belongs to no call.
            WebhookEvent::Recording(_)
            | WebhookEvent::Transcription(_)
            | WebhookEvent::Voicemail(_)
            | WebhookEvent::PermissionReply(_)
            | WebhookEvent::SettingsUpdate(_)
            | WebhookEvent::AccountUpdate(_)
            | WebhookEvent::NumberErrors(_)
            | WebhookEvent::Other { .. } => {}
        }
    }

    /// The WhatsApp call id may come by the reply to `connect` or by any webhook. A second id for the
    /// same call is another call, which nobody leads.
    fn is_of_this_call(&mut self, wacid: &Wacid, is_over: bool) -> bool {
        match self.identify(wacid) {
            Identity::New if !is_over => self.tell(Event::Identified),
            // There is nothing to end any more: the machine hears so at once.
            Identity::New | Identity::Same => {}
            Identity::Other => {
                warn!(other = %wacid, "a second WhatsApp call for this one");
                if is_over {
                    self.shared.directory.bury(self.shared.now(), wacid);
                } else {
                    let number = self.remains.number.phone_number_id.clone();
                    let lost = Lost { number, wacid: wacid.clone(), cause: Cause::Internal };
                    birth::end_lost(&self.shared, &lost);
                }
                return false;
            }
        }
        true
    }

    /// WhatsApp's answer to our offer; a repeated one is nothing new.
    fn whatsapp_answer(&mut self, connect: &Connect) {
        if self.direction() == Direction::WaToSip {
            return;
        }
        let sdp = connect.session.as_ref().map_or("", |session| session.sdp.as_str());
        debug!(sdp = %Masked(sdp.as_bytes()), "answer of WhatsApp");
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

    fn identify(&mut self, wacid: &Wacid) -> Identity {
        match self.remains.wacid.get() {
            Some(known) if known == wacid => return Identity::Same,
            Some(_) => return Identity::Other,
            None => {}
        }
        let _ = self.remains.wacid.set(wacid.clone());
        tracing::Span::current().record("wacid", wacid.as_str());
        self.keep(End::Terminate);
        if self.shared.directory.identify(self.shared.now(), wacid, &self.mailbox) {
            self.tell(Event::WaTerminated { error: None });
        }
        Identity::New
    }

    pub(super) fn take_graph(&mut self, reply: GraphReply) {
        match reply {
            GraphReply::Permission(reply) => self.tell(Event::PermissionReply(reply)),
            GraphReply::Connect(Ok(wacid)) => {
                if self.is_of_this_call(&wacid, false) {
                    self.tell(Event::ConnectReply(Ok(())));
                }
            }
            GraphReply::Connect(Err(kind)) => {
                if may_have_started(kind) && self.remains.wacid.get().is_none() {
                    self.shared.directory.lose_reply(&self.mark().call);
                }
                self.tell(Event::ConnectReply(Err(kind)));
            }
            GraphReply::PreAccept(reply) => self.tell(Event::PreAcceptReply(reply)),
            GraphReply::Accept(reply) => self.tell(Event::AcceptReply(reply)),
            GraphReply::End(reply) => {
                self.hold = None;
                self.tell(Event::EndReply(reply));
            }
        }
    }
}
