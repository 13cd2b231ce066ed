//! A call and the user's permission to be called: looking at it, asking for it, and what an end does to it.

use std::sync::Arc;

use sip_core::{LegId, Reply};
use tracing::{Instrument, info, warn};
use wa_signaling::permission::Unanswered;
use wa_signaling::{Callee, ErrorKind, PermissionRequest, PhoneNumberId};

use super::action::Outcome;
use super::cause::Cause;
use super::event::Event;
use super::execute::logged;
use super::task::{CallTask, GraphReply, Side};
use super::{headers, remedy};
use crate::config::{Asking, Number};
use crate::permissions::Ask;
use crate::shared::Shared;

type Pair = (PhoneNumberId, Callee);

impl CallTask {
    /// What is remembered, or else Graph, says whether the user may be called.
    pub(super) fn graph_permission(&mut self) {
        let Some(pair) = self.pair() else { return };
        if let Some(known) = self.shared.permissions.known(self.shared.wall().as_secs(), &pair) {
            self.shared.metrics.permission(if known.is_ok() { "permitted" } else { "refused" });
            return self.tell(Event::PermissionReply(known));
        }
        let (shared, number) = (Arc::clone(&self.shared), Arc::clone(&self.remains.number));
        self.beside(async move { GraphReply::Permission(look(&shared, &number, &pair).await) });
    }

    /// The final status of the cause; a user without permission is asked for it, if that is set.
    pub(super) async fn refuse(&self, leg: LegId, cause: Cause) {
        let is_unpermitted = cause == Cause::Graph(ErrorKind::NoCallPermission);
        let reply = if is_unpermitted { self.refuse_unpermitted(cause) } else { headers::refusal(cause) };
        self.respond(leg, reply).await;
    }

    /// The request goes out beside the call; the refusal does not wait for it.
    fn refuse_unpermitted(&self, cause: Cause) -> Reply {
        let (Some(pair), Some(asking)) = (self.pair(), self.remains.number.permission.asking()) else {
            return headers::refusal(cause);
        };
        let ask = self.shared.permissions.ask(self.shared.wall().as_secs(), &pair);
        if ask == Ask::Send {
            let (shared, number) = (Arc::clone(&self.shared), Arc::clone(&self.remains.number));
            let asking = asking.clone();
            let request = async move { request(&shared, &number, &pair, &asking).await };
            self.shared.spawn(request.in_current_span());
        } else {
            self.shared.metrics.permission("request_held");
            info!(?ask, "the user is not asked for the permission by this call");
        }
        headers::refusal_with(cause, remedy::asked(ask))
    }

    /// The call is over: what that does to the permission.
    pub(super) fn count(&self, outcome: &Outcome) {
        let Some(pair) = self.pair() else { return };
        let user = self.shared.masked(&pair.1);
        match self.shared.permissions.ended(&pair, outcome) {
            None | Some(Unanswered::Counted(_)) => {}
            Some(Unanswered::Warning { left }) => {
                self.shared.metrics.permission("unanswered_warning");
                warn!(
                    user,
                    left,
                    "calls in a row that this user did not answer: so many more, and WhatsApp takes the permission to call back"
                );
            }
            Some(Unanswered::Revoked) => {
                self.shared.metrics.permission("unanswered_warning");
                warn!(
                    user,
                    "four calls in a row that this user did not answer: WhatsApp takes the permission to call back"
                );
            }
        }
    }

    /// The number and the user that the PBX calls.
    fn pair(&self) -> Option<Pair> {
        match &self.side {
            Side::FromPbx { callee } => Some((self.remains.number.phone_number_id.clone(), callee.clone())),
            Side::FromWhatsApp { .. } | Side::Refused { .. } | Side::Lost { .. } | Side::Former(_) => None,
        }
    }
}

/// Asks Graph, for this call and for the next ones.
async fn look(shared: &Shared, number: &Number, pair: &Pair) -> Result<(), ErrorKind> {
    let token = number.token.current();
    let reply = shared.graph.call_permission(&number.phone_number_id, &token, &pair.1).await;
    let now = shared.wall().as_secs();
    let permission = logged("call_permission", reply).inspect_err(|_| {
        shared.metrics.permission("check_failed");
    })?;
    shared.permissions.learned(now, pair, permission);
    // What Graph leaves open is for the call to find out.
    let known = shared.permissions.known(now, pair).unwrap_or(Ok(()));
    shared.metrics.permission(if known.is_ok() { "permitted" } else { "refused" });
    known
}

/// Asks the user, and remembers how that went.
async fn request(shared: &Shared, number: &Number, pair: &Pair, asking: &Asking) {
    let mut how = send(shared, number, pair, &asking.first).await;
    if let (Err(ErrorKind::ConversationNeeded), Some(instead)) = (how, &asking.instead) {
        how = send(shared, number, pair, instead).await;
    }
    shared.permissions.asked(shared.wall().as_secs(), pair, how);
    shared.metrics.permission(if how.is_ok() { "request_sent" } else { "request_failed" });
}

async fn send(
    shared: &Shared,
    number: &Number,
    pair: &Pair,
    request: &PermissionRequest,
) -> Result<(), ErrorKind> {
    let token = number.token.current();
    let reply = shared.graph.request_permission(&number.phone_number_id, &token, &pair.1, request).await;
    let message = logged("request_permission", reply)?;
    info!(message, user = shared.masked(&pair.1), "the user is asked for the permission to call");
    Ok(())
}
