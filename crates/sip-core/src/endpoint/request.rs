//! Requests of the user outside of any dialog: OPTIONS, REGISTER (RFC 3261 8.1, 10.2, 11.1).

use std::time::Instant;

use bytes::Bytes;

use super::client::Work;
use super::response::{ACCEPT, push_user_headers};
use super::{Endpoint, MAX_OWN_REQUESTS, Notice, OutgoingRequest, Output, OwnRequestId, Rejection, count};
use crate::message::{Headers, Method, Request, Response};
use crate::transaction::client_non_invite::ClientNonInvite;
use crate::transaction::key::ClientKey;

impl Endpoint {
    /// Sends a request outside of any dialog; one that there is no room for fails at once.
    pub(super) fn send_apart(&mut self, now: Instant, request: OutgoingRequest) {
        let id = request.id;
        if !stands_alone(&request.method) {
            tracing::warn!(method = %request.method, "this request makes or needs a dialog");
            return self.replied(id, Err(Rejection::Transport));
        }
        if self.apart >= MAX_OWN_REQUESTS {
            count(&self.counters.overload);
            return self.replied(id, Err(Rejection::Transport));
        }
        self.apart += 1;
        let flow = request.flow;
        let branch = self.ids.branch();
        let request = self.request_apart(request, &branch);
        let machine = ClientNonInvite::new(now, &request, self.config.timers);
        let key = ClientKey { branch, method: request.method };
        self.open_client(now, key, flow, Work::Apart { machine, id });
    }

    fn request_apart(&mut self, request: OutgoingRequest, branch: &str) -> Request {
        let mut to = request.to;
        to.params.remove("tag");
        let mut headers = Headers::new();
        headers.push("Via", self.via(request.flow, branch).to_string());
        headers.push("Max-Forwards", "70");
        headers.push("From", request.from.with_tag(&self.ids.tag()).to_string());
        headers.push("To", to.to_string());
        headers.push("Call-ID", request.call_id);
        headers.push("CSeq", format!("{} {}", request.cseq, request.method));
        if request.method == Method::Options {
            headers.push("Accept", ACCEPT);
        }
        headers.push("User-Agent", self.config.user_agent.clone());
        push_user_headers(&mut headers, request.headers);
        Request { method: request.method, uri: request.request_uri, headers, body: Bytes::new() }
    }

    /// A request outside of any dialog has its final response, or will have none.
    pub(super) fn settled_apart(&mut self, id: OwnRequestId, result: Result<Box<Response>, Rejection>) {
        self.apart = self.apart.saturating_sub(1);
        self.replied(id, result);
    }

    fn replied(&mut self, id: OwnRequestId, result: Result<Box<Response>, Rejection>) {
        self.outputs.push_back(Output::Notice(Notice::Reply { id, result }));
    }
}

/// Can a request of this method be sent without a dialog, and does it begin none?
fn stands_alone(method: &Method) -> bool {
    matches!(
        method,
        Method::Options | Method::Register | Method::Message | Method::Publish | Method::Other(_)
    )
}
