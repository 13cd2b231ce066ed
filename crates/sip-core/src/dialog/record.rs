//! A dialog as a message, and back: what a later life of the program needs to send its BYE.

use bytes::Bytes;

use super::{Dialog, id::DialogId, next_hop::Paths};
use crate::message::{Headers, Method, Request};

/// Every message has a Via; this one never goes anywhere.
const NO_VIA: &str = "SIP/2.0/UDP record.invalid";
/// How far the numbers go on from those that are known, where the last one is not: more requests than a call has ever
/// had. RFC 3261 12.2.1.1 wants the next number higher, no more.
const GAP: u32 = 100_000;
/// RFC 3261 8.1.1.5: below 2^31.
const MAX_CSEQ: u32 = i32::MAX as u32;

impl Dialog {
    /// A BYE with the route set in Record-Route.
    pub(crate) fn record(&self) -> Request {
        let mut uri = self.target.clone();
        uri.headers = None;
        let mut headers = Headers::new();
        headers.push("Via", NO_VIA);
        for route in &self.routes {
            headers.push("Record-Route", route.to_string());
        }
        headers.push("From", self.local.to_string());
        headers.push("To", self.remote.to_string());
        headers.push("Call-ID", self.id.call_id.clone());
        headers.push("CSeq", format!("{} BYE", self.local_cseq));
        Request { method: Method::Bye, uri, headers, body: Bytes::new() }
    }

    /// From such a message. The peer may have counted on since then: any number of theirs is in order.
    pub(crate) fn recorded(record: &Request, paths: Paths) -> Option<Self> {
        let (local, remote) = (record.headers.from()?, record.headers.to()?);
        let id = DialogId {
            call_id: record.headers.call_id()?.to_owned(),
            local_tag: local.tag()?.to_owned(),
            remote_tag: remote.tag().unwrap_or_default().to_owned(),
        };
        let local_cseq = record.headers.cseq()?.number;
        let mut dialog = Self {
            id,
            owns_call_id: false,
            local,
            remote,
            local_cseq,
            remote_cseq: None,
            target: record.uri.clone(),
            routes: record.headers.routes("Record-Route"),
            paths,
        };
        dialog.leap();
        Some(dialog)
    }

    /// Goes on counting from a number that none of our requests has had yet, whoever sent them.
    pub(crate) fn leap(&mut self) {
        self.local_cseq = self.local_cseq.saturating_add(GAP).min(MAX_CSEQ - 1);
    }

    /// The path that the peer was last heard by.
    pub(crate) fn peer(&self) -> crate::transport::Flow {
        self.paths.peer
    }
}
