//! Requests within a dialog (RFC 3261 12.2.2, 14.2, 15.1.2).

use std::time::Instant;

use super::incoming::{Refusal, refuse_accept, refuse_body, refuse_extension};
use super::leg::{Leg, Pending};
use super::response::{ResponseBase, allow};
use super::{Endpoint, Event, LegId, MAX_SERVER_TRANSACTIONS_IN_DIALOG, RequestId};
use crate::dialog::id::DialogId;
use crate::dialog::session_timer::{Agreed, SessionTimer, Side};
use crate::message::headers::contact_value;
use crate::message::{Method, Request};
use crate::profile::TrunkProfile;
use crate::transaction::TransactionId;
use crate::transaction::key::ServerKey;
use crate::transport::Flow;

/// The most unanswered requests of a dialog; further ones get 500.
const MAX_PENDING: usize = 8;

impl Endpoint {
    pub(super) fn in_dialog(
        &mut self,
        now: Instant,
        flow: Flow,
        key: ServerKey,
        dialog: &DialogId,
        request: Request,
    ) {
        let refusal = match self.dialogs.get(dialog).copied() {
            None => Err((481, Vec::new())),
            Some(_) if self.servers.len() >= MAX_SERVER_TRANSACTIONS_IN_DIALOG => Err(self.overloaded()),
            Some(leg) => refuse_in_dialog(self.profile(flow.trunk), &request).map_or(Ok(leg), Err),
        };
        let leg = match refusal {
            Ok(leg) => leg,
            Err(refusal) => return self.refuse(flow, &request, refusal),
        };
        let mut base = ResponseBase::of(&request, flow, &dialog.local_tag);
        base.timer = self.agree_within(leg, dialog, &request);
        let transaction = self.open_server(key, base, &request);
        self.own_server(transaction, leg, None);
        match self
            .take_in_dialog(leg, dialog, &request)
            .and_then(|()| self.take_refresh(flow, leg, dialog, &request))
        {
            Err(refusal) => self.conclude(now, transaction, refusal),
            Ok(()) if request.method == Method::Bye => self.bye_received(now, leg, transaction, &request),
            Ok(()) if request.method == Method::Options => {
                let options = self.options(flow.trunk);
                self.conclude(now, transaction, options);
            }
            Ok(()) if request.method == Method::Prack => self.prack_received(now, leg, transaction, request),
            Ok(()) if is_refresh(&request) => self.refreshed(now, leg, dialog, transaction, &request),
            Ok(()) => self.hand_up(now, leg, dialog, transaction, request),
        }
    }

    /// Is the request in order, and does it meet nothing that is still open?
    fn take_in_dialog(&mut self, leg: LegId, dialog: &DialogId, request: &Request) -> Result<(), Refusal> {
        let gone = || (481, Vec::new());
        let number = request.headers.cseq().ok_or_else(gone)?.number;
        let leg = self.legs.get_mut(&leg).ok_or_else(gone)?;
        if let Leg::Ending { .. } = leg {
            // Our BYE crosses theirs; to anything else the call is over.
            return if request.method == Method::Bye { Ok(()) } else { Err(gone()) };
        }
        let session = leg.session(dialog).ok_or_else(gone)?;
        let in_order = session.dialog.note_cseq(number).is_ok();
        let later = |seconds: u64| (500, vec![("Retry-After", seconds.to_string())]);
        if !in_order {
            return Err((500, Vec::new()));
        }
        if session.pending.len() >= MAX_PENDING && request.method != Method::Bye {
            return Err(later(self.ids.seconds()));
        }
        Ok(())
    }

    fn hand_up(
        &mut self,
        now: Instant,
        leg: LegId,
        dialog: &DialogId,
        transaction: TransactionId,
        request: Request,
    ) {
        let Some(session) = self.legs.get_mut(&leg).and_then(|leg| leg.session(dialog)) else {
            return self.conclude(now, transaction, (481, Vec::new()));
        };
        let refreshes = matches!(request.method, Method::Invite | Method::Update);
        session.pending.push(Pending {
            transaction,
            is_invite: request.method == Method::Invite,
            refreshes,
            is_prack: false,
            contact: request.headers.contact().map(|contact| contact.uri).filter(|_| refreshes),
        });
        let id = RequestId(transaction);
        let request = Box::new(request);
        self.event(leg, Event::Request { id, request });
    }

    /// The new target of a refresh holds from its 200 on (RFC 3311 5.2).
    fn refreshed(
        &mut self,
        now: Instant,
        leg: LegId,
        dialog: &DialogId,
        transaction: TransactionId,
        update: &Request,
    ) {
        let Some((flow, timer)) =
            self.servers.get(transaction).map(|server| (server.base.flow, server.base.timer))
        else {
            return;
        };
        if let Some(session) = self.legs.get_mut(&leg).and_then(|leg| leg.session(dialog)) {
            if let Some(contact) = update.headers.contact() {
                session.dialog.refresh_target(contact.uri);
            }
            session.timer = timer.map(|agreed| SessionTimer::start(now, &agreed, Side::Uas));
        }
        self.record_session(leg);
        let mut headers = vec![("Contact", contact_value(&self.contact(flow)))];
        headers.extend(timer.iter().flat_map(Agreed::headers));
        self.conclude(now, transaction, (200, headers));
        self.arm_leg(leg);
    }

    /// Answers a request within a dialog without asking the user.
    pub(super) fn conclude(&mut self, now: Instant, transaction: TransactionId, (status, headers): Refusal) {
        let Some(server) = self.servers.get(transaction) else {
            return;
        };
        let mut response = server.base.response(status, None);
        for (name, value) in headers {
            response.headers.push(name, value);
        }
        response.headers.push("Server", self.config.user_agent.clone());
        self.server_respond(now, transaction, status, response.to_bytes());
    }
}

/// An UPDATE that offers nothing asks only whether the call lives: session timers send it (RFC 4028 7.4).
fn is_refresh(request: &Request) -> bool {
    request.method == Method::Update && request.body.is_empty()
}

fn refuse_in_dialog(profile: &TrunkProfile, request: &Request) -> Option<Refusal> {
    let allow = || vec![("Allow", allow(profile))];
    match &request.method {
        Method::Other(_) => Some((501, allow())),
        Method::Refer if !profile.transfer => Some((405, allow())),
        // Exactly one (RFC 3515 2.4.2).
        Method::Refer if request.headers.list("Refer-To").count() != 1 => Some((400, Vec::new())),
        Method::Register | Method::Subscribe | Method::Publish => Some((405, allow())),
        Method::Invite | Method::Update | Method::Prack => refuse_extension(profile, request)
            .or_else(|| refuse_accept(request))
            .or_else(|| refuse_body(request)),
        _ => refuse_extension(profile, request),
    }
}
