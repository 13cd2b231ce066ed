//! Ending the legs of a former life with the machines of this one: a server transaction that has its final response, a
//! client transaction that was given up and cancelled, a leg whose BYE is on its way.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::part::{Kind, Part, Way};
use super::{LegRecord, Thread};
use crate::dialog::Dialog;
use crate::endpoint::client::Work;
use crate::endpoint::incoming::RETRY_AFTER;
use crate::endpoint::leg::{Leg, UserHeaders};
use crate::endpoint::response::ResponseBase;
use crate::endpoint::{Endpoint, LegId, MAX_LEGS, Reply, count};
use crate::message::Method;
use crate::transaction::client_invite::ClientInvite;
use crate::transaction::key::{ClientKey, MergeKey, ServerKey};
use crate::transport::{Flow, TrunkId};

/// Says whose an address is, in this life.
#[derive(Clone)]
pub(crate) struct TrunkOf(pub(crate) Arc<dyn Fn(IpAddr) -> Option<TrunkId> + Send + Sync>);

impl fmt::Debug for TrunkOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrunkOf")
    }
}

impl Endpoint {
    pub(crate) fn set_trunk_of(&mut self, trunk_of: TrunkOf) {
        self.trunk_of = Some(trunk_of);
    }

    /// Ends what this record says, as far as there is a way.
    pub(in crate::endpoint) fn recover(
        &mut self,
        now: Instant,
        leg: LegId,
        record: &LegRecord,
        headers: UserHeaders,
    ) {
        if self.legs.contains_key(&leg) || self.records.knows(leg) {
            return tracing::warn!(%leg, "the leg is known already: nothing is recovered as it");
        }
        self.records.begin_former(leg, headers);
        if self.legs.len() >= MAX_LEGS {
            count(&self.counters.overload);
            return tracing::warn!(%leg, "no room to end a leg of a former life");
        }
        let parts = record.parts().unwrap_or_default();
        if parts.into_iter().filter_map(|part| self.end_part(now, leg, part)).count() == 0 {
            tracing::warn!(%leg, "no way to end a leg of a former life");
        }
    }

    fn end_part(&mut self, now: Instant, leg: LegId, part: Part) -> Option<()> {
        let (flow, dialog_flow) = (self.way_now(&part.way)?, self.way_now(&part.dialog_way)?);
        match part.kind {
            Kind::Incoming => self.refuse_former(now, leg, flow, part),
            Kind::Outgoing => self.cancel_former(now, leg, [flow, dialog_flow], part),
            Kind::Dialog => self.hang_up_former(now, leg, flow, &part),
        }
    }

    /// 503 to an INVITE of the peer, with the tag that its provisional responses had. One that was answered and not
    /// acknowledged gets it too, beside the BYE: the peer ignores it if the 2xx has come through, and if not there is no
    /// dialog for the BYE to end.
    fn refuse_former(&mut self, now: Instant, leg: LegId, flow: Flow, part: Part) -> Option<()> {
        let invite = part.message;
        let key = ServerKey::of(&invite)?;
        if self.servers.find(&key).is_some() {
            // Its retransmission was faster: it is a call of this life.
            return None;
        }
        let tag = invite.headers.to()?.tag()?.to_owned();
        let base = ResponseBase::of(&invite, flow, &tag);
        let id = self.resume_server(key, base);
        self.own_server(id, leg, MergeKey::of(&invite.headers));
        self.record_part(leg, Thread::Invite(id), Kind::Incoming, [flow, flow], invite);
        let mut headers = vec![("Retry-After".to_owned(), RETRY_AFTER.to_owned())];
        headers.extend(self.records.headers(leg));
        self.send_reply(now, id, Reply { headers, ..Reply::new(503) });
        Some(())
    }

    /// CANCEL for our INVITE. RFC 3261 9.1 wants a provisional response first, but the one that has come is not recorded,
    /// and none may come again: what does not ring answers 481, and gets another one if it rings later.
    fn cancel_former(&mut self, now: Instant, leg: LegId, ways: [Flow; 2], part: Part) -> Option<()> {
        let [flow, dialog_flow] = ways;
        let branch = part.message.headers.via()?.branch()?.to_owned();
        part.message.headers.from()?.tag()?;
        let machine = Box::new(ClientInvite::resumed(now, part.message, self.config.timers));
        let mut work = Work::Invite { machine, leg, acks: Vec::new() };
        if flow.transport.is_reliable() {
            work.rely_on_transport();
        }
        let key = ClientKey { branch, method: Method::Invite };
        let instead_of = (dialog_flow != flow).then_some(dialog_flow);
        let id = self.start_client(now, key, flow, instead_of, work);
        let headers = self.records.headers(leg);
        self.open_cancel(now, id, &headers);
        Some(())
    }

    /// BYE in a dialog. The first one is that of the leg, where a BYE of theirs may cross ours.
    fn hang_up_former(&mut self, now: Instant, leg: LegId, flow: Flow, part: &Part) -> Option<()> {
        let dialog = Dialog::recorded(&part.message, self.paths(flow))?;
        let headers = self.records.headers(leg);
        self.record_dialog(leg, &dialog);
        let mut alone = Some(dialog.id.clone());
        if !self.legs.contains_key(&leg) {
            self.dialogs.insert(dialog.id.clone(), leg);
            let ending = Leg::Ending { dialog: dialog.id.clone(), trunk: dialog.trunk(), again: None };
            self.legs.insert(leg, ending);
            alone = None;
        }
        self.send_bye(now, dialog, headers, leg, alone);
        Some(())
    }

    /// May the peer still learn of the dialog? The 2xx to its INVITE may have been on its way when we crashed. Then
    /// whatever it says to our BYE is about no dialog or an early one, and it may take the 2xx later, when the 503 means
    /// nothing to it any more. Only the ACK of the 503 says that it has not, or the end of Timer H that it is too late.
    pub(in crate::endpoint) fn is_unsettled(&self, leg: LegId) -> bool {
        self.records.is_former(leg) && self.records.has_invite(leg)
    }

    pub(in crate::endpoint) fn hang_up_later(&mut self, now: Instant, leg: LegId) {
        if let Some(Leg::Ending { again, .. }) = self.legs.get_mut(&leg) {
            *again = Some(now + self.config.timers.t2);
        }
        self.arm_leg(leg);
    }

    /// Sends the BYE once more, as long as the 503 is not settled.
    pub(in crate::endpoint) fn hang_up_again(&mut self, now: Instant, leg: LegId) {
        let Some(Leg::Ending { dialog, again, .. }) = self.legs.get_mut(&leg) else {
            return;
        };
        *again = None;
        let thread = Thread::Dialog(dialog.clone());
        let part = self.records.part(leg, &thread).filter(|_| self.is_unsettled(leg));
        let dialog = part.and_then(|part| Dialog::recorded(&part.message, self.paths(part.way.flow)));
        match dialog {
            Some(dialog) => {
                let headers = self.records.headers(leg);
                self.send_bye(now, dialog, headers, leg, None);
            }
            None => self.end_leg(now, leg),
        }
    }

    /// The peer has acknowledged a refusal. Where that was the 503 it knows of no dialog.
    pub(in crate::endpoint) fn refused(&mut self, now: Instant, leg: LegId) {
        if let Some(Leg::Ending { again: Some(_), .. }) = self.legs.get(&leg) {
            self.end_leg(now, leg);
        }
    }

    /// A way of a former life in this one. Over TCP and TLS its connection is gone, and sending on it opens another.
    fn way_now(&self, way: &Way) -> Option<Flow> {
        let ip = way.flow.peer.ip().to_canonical();
        let flow = Flow { trunk: self.trunk_now(way, ip)?, ..way.flow };
        let fitting = self.paths(flow).listener(flow.transport, ip);
        // A connection of ours needs no listener.
        let own = || flow.transport.is_reliable().then_some(flow.listener);
        let listener = fitting.or_else(own)?;
        Some(Flow { listener, ..flow })
    }

    /// The trunk of an address, by which what comes from there is known; else the one that has the name still.
    fn trunk_now(&self, way: &Way, ip: IpAddr) -> Option<TrunkId> {
        let of_address = self.trunk_of.as_ref().and_then(|TrunkOf(trunk_of)| trunk_of(ip));
        let named = || {
            let same = |trunk: &TrunkId| self.profile(*trunk).name == way.trunk;
            let count = u16::try_from(self.config.trunks.len()).unwrap_or(u16::MAX);
            std::iter::once(way.flow.trunk).chain((0..count).map(TrunkId)).find(same)
        };
        of_address.or_else(named)
    }
}
