//! Taking the record of a leg, at every step that changes how it is to be ended.

use super::part::{Kind, Part, Way};
use super::{Thread, keep};
use crate::dialog::Dialog;
use crate::endpoint::client::Work;
use crate::endpoint::leg::Leg;
use crate::endpoint::{Endpoint, LegId, Notice, Output};
use crate::message::{Headers, Request};
use crate::transaction::TransactionId;
use crate::transport::Flow;

/// What a final response copies of its request, and what finds its transaction.
const OF_INCOMING: [&str; 5] = ["Via", "From", "To", "Call-ID", "CSeq"];
/// What the CANCEL copies, the ACK of any final response, and a dialog.
const OF_OUTGOING: [&str; 6] = ["Via", "Route", "From", "To", "Call-ID", "CSeq"];

impl Endpoint {
    /// Tells the user what has changed with this input.
    pub(in crate::endpoint) fn tell_records(&mut self) {
        while let Some((leg, record)) = self.records.take_changed() {
            self.outputs.push_back(Output::Notice(Notice::Record { leg, record }));
        }
    }

    /// An INVITE came: it wants its final response, with this tag.
    pub(in crate::endpoint) fn record_incoming(
        &mut self,
        leg: LegId,
        id: TransactionId,
        flow: Flow,
        invite: &Request,
        tag: &str,
    ) {
        if !self.records.keeps(leg) {
            return;
        }
        let mut message = excerpt(invite, &OF_INCOMING);
        message.headers.add_to_tag(tag);
        self.record_part(leg, Thread::Invite(id), Kind::Incoming, [flow, flow], message);
    }

    /// After each step of a client transaction: an INVITE of ours is recorded as it was last sent, until it has its final
    /// response.
    pub(in crate::endpoint) fn record_client(&mut self, id: TransactionId) {
        let Some(client) = self.clients.get(id) else {
            return;
        };
        let Work::Invite { machine, leg, .. } = &client.work else {
            return;
        };
        let leg = *leg;
        if !self.records.keeps(leg) {
            return;
        }
        let thread = Thread::Invite(id);
        if !machine.is_open() {
            return self.records.close(leg, &thread);
        }
        let message = excerpt(machine.request(), &OF_OUTGOING);
        let ways = [client.flow, client.dialog_flow()];
        self.record_part(leg, thread, Kind::Outgoing, ways, message);
    }

    /// The dialog of a leg stands, or its peer wants to be reached elsewhere.
    pub(in crate::endpoint) fn record_session(&mut self, leg: LegId) {
        if !self.records.keeps(leg) {
            return;
        }
        if let Some(Leg::Confirmed(session)) = self.legs.get(&leg) {
            let dialog = session.dialog.clone();
            self.record_dialog(leg, &dialog);
        }
    }

    /// A dialog wants its BYE.
    pub(in crate::endpoint) fn record_dialog(&mut self, leg: LegId, dialog: &Dialog) {
        if !self.records.keeps(leg) {
            return;
        }
        let ways = [dialog.peer(), dialog.peer()];
        let thread = Thread::Dialog(dialog.id.clone());
        self.record_part(leg, thread, Kind::Dialog, ways, dialog.record());
    }

    pub(super) fn record_part(
        &mut self,
        leg: LegId,
        thread: Thread,
        kind: Kind,
        ways: [Flow; 2],
        message: Request,
    ) {
        let [way, dialog_way] = ways.map(|flow| self.way(flow));
        let part = Part { kind, way, dialog_way, message };
        self.records.open(leg, thread, keep::Entry::of(&part));
    }

    fn way(&self, flow: Flow) -> Way {
        Way { flow, trunk: self.profile(flow.trunk).name.clone() }
    }
}

/// A request without its body and with these header fields only.
fn excerpt(request: &Request, names: &[&str]) -> Request {
    let mut headers = Headers::new();
    for name in names {
        headers.copy(&request.headers, name);
    }
    let (method, uri) = (request.method.clone(), request.uri.clone());
    Request { method, uri, headers, body: bytes::Bytes::new() }
}
