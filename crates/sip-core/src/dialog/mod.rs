//! Dialogs (RFC 3261 section 12): the state that two user agents share for the length of a call.

pub(crate) mod awaited_ack;
pub(crate) mod id;
pub(crate) mod next_hop;
pub(crate) mod reliable;
pub(crate) mod route_set;
pub(crate) mod session_timer;

mod record;
mod uac;
mod uas;

use bytes::Bytes;

use crate::message::{Headers, Method, NameAddr, Request, Uri};
use crate::transport::{Flow, TrunkId};
use id::DialogId;
use next_hop::Paths;

/// One dialog, early or confirmed.
#[derive(Debug, Clone)]
pub(crate) struct Dialog {
    pub(crate) id: DialogId,
    /// Did we send the INVITE that began it, so that the Call-ID is ours?
    pub(crate) owns_call_id: bool,
    /// Our From, with our tag.
    local: NameAddr,
    /// Our To, with their tag.
    remote: NameAddr,
    local_cseq: u32,
    remote_cseq: Option<u32>,
    target: Uri,
    routes: Vec<NameAddr>,
    paths: Paths,
}

/// A request comes too late: a later one of its dialog has been seen (RFC 3261 12.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfOrder;

impl Dialog {
    /// The next request of ours, without Via, and where it goes.
    pub(crate) fn request(&mut self, method: Method) -> (Request, Flow) {
        let cseq = self.next_cseq();
        self.build(method, cseq)
    }

    /// The sequence number of the next request of ours.
    pub(crate) fn next_cseq(&mut self) -> u32 {
        self.local_cseq = self.local_cseq.wrapping_add(1);
        self.local_cseq
    }

    /// The ACK for a 2xx to our INVITE, without Via, and where it goes (RFC 3261 13.2.2.4).
    pub(crate) fn ack(&self, invite_cseq: u32) -> (Request, Flow) {
        self.build(Method::Ack, invite_cseq)
    }

    fn build(&self, method: Method, cseq: u32) -> (Request, Flow) {
        let routed = route_set::apply(&self.target, &self.routes);
        let mut headers = Headers::new();
        for route in &routed.route {
            headers.push("Route", route.to_string());
        }
        headers.push("Max-Forwards", "70");
        headers.push("From", self.local.to_string());
        headers.push("To", self.remote.to_string());
        headers.push("Call-ID", self.id.call_id.clone());
        headers.push("CSeq", format!("{cseq} {method}"));
        let flow = self.flow_to(&routed.next_hop);
        let request = Request { method, uri: routed.uri, headers, body: Bytes::new() };
        (request, flow)
    }

    /// The trunk of the peer.
    pub(crate) fn trunk(&self) -> TrunkId {
        self.paths.peer.trunk
    }

    fn flow_to(&self, next_hop: &Uri) -> Flow {
        self.paths.to(next_hop, self.routes.is_empty())
    }

    /// Checks and notes the sequence number of a request of theirs.
    pub(crate) fn note_cseq(&mut self, number: u32) -> Result<(), OutOfOrder> {
        if self.remote_cseq.is_some_and(|last| number < last) {
            return Err(OutOfOrder);
        }
        self.remote_cseq = Some(number);
        Ok(())
    }

    /// Target refresh: the Contact of a re-INVITE or UPDATE that we accepted (RFC 3261 12.2.2).
    pub(crate) fn refresh_target(&mut self, contact: Uri) {
        self.target = contact;
    }

    /// A confirmed dialog goes on counting where its early one was.
    pub(crate) fn continue_from(&mut self, early: &Self) {
        self.remote_cseq = early.remote_cseq;
        self.local_cseq = self.local_cseq.max(early.local_cseq);
    }
}

#[cfg(test)]
mod tests;
