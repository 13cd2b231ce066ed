//! REGISTER, where a trunk has a registrar (RFC 3261 10.3).

use std::time::Instant;

use super::alarms::Owner;
use super::incoming::Refusal;
use super::response::ResponseBase;
use super::{Endpoint, MAX_SERVER_TRANSACTIONS, Notice, Output};
use crate::message::{Request, Scheme};
use crate::registration::Bindings;
use crate::transaction::key::ServerKey;
use crate::transport::{Flow, TrunkId};

impl Endpoint {
    /// May the peers of this trunk register?
    pub(super) fn has_registrar(&self, trunk: TrunkId) -> bool {
        self.profile(trunk).registrar.is_some()
    }

    /// Takes a REGISTER of `sender`. It has a transaction: told twice, it would be out of order.
    pub(super) fn register(
        &mut self,
        now: Instant,
        flow: Flow,
        key: ServerKey,
        request: &Request,
        sender: Option<&str>,
    ) {
        let full = self.servers.len() >= MAX_SERVER_TRANSACTIONS;
        let refusal = if full { Some(self.overloaded()) } else { refuse_register(request) };
        if let Some(refusal) = refusal {
            return self.refuse(flow, request, refusal);
        }
        let Some(bindings) = self.bindings(flow.trunk) else {
            return;
        };
        let outcome = bindings.register(now, flow, request, sender);
        let tag = self.ids.tag();
        let transaction = self.open_server(key, ResponseBase::of(request, flow, &tag), request);
        self.conclude(now, transaction, (outcome.status, outcome.headers));
        self.bindings_updated(flow.trunk, outcome.changed);
    }

    /// A binding may have expired.
    pub(super) fn registrar_timer(&mut self, now: Instant, trunk: TrunkId) {
        let changed = self.bindings(trunk).is_some_and(|bindings| bindings.expire(now));
        self.bindings_updated(trunk, changed);
    }

    /// Sets the alarm, and tells the user of another list.
    fn bindings_updated(&mut self, trunk: TrunkId, changed: bool) {
        let Some(bindings) = self.bindings(trunk) else {
            return;
        };
        let deadline = bindings.deadline();
        let list = changed.then(|| bindings.list());
        self.alarms.set(Owner::Registrar(trunk), deadline);
        if let Some(bindings) = list {
            self.outputs.push_back(Output::Notice(Notice::Bindings { trunk, bindings }));
        }
    }

    fn bindings(&mut self, trunk: TrunkId) -> Option<&mut Bindings> {
        self.trunks.get_mut(&trunk)?.bindings.as_mut()
    }
}

/// 416 and 420: of the extensions a REGISTER may require we have `outbound` (RFC 5626 6).
fn refuse_register(request: &Request) -> Option<Refusal> {
    if matches!(request.uri.scheme, Scheme::Other(_)) {
        return Some((416, Vec::new()));
    }
    let unknown = |option: &&str| !option.eq_ignore_ascii_case("outbound");
    let required: Vec<_> = request.headers.list("Require").filter(unknown).collect();
    (!required.is_empty()).then(|| (420, vec![("Unsupported", required.join(", "))]))
}
