//! Our registrations with the PBXs that want one (RFC 3261 10.2).
#![expect(clippy::disallowed_methods, reason = "the clock of the registrations")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use sip_core::message::{Method, NameAddr, Uri};
use sip_core::registration::{Input, Output, Registration, Status};
use sip_core::{Command, Flow, OutgoingRequest, OwnRequestId, TrunkId};
use tracing::{info, warn};

use super::lock;
use super::service::Service;
use crate::config::Register;
use crate::random;
use crate::trunk::target::Host;

/// A registration of ours.
pub(super) struct Registered {
    pub(super) trunk: TrunkId,
    /// As it was when it began: it is taken back where it was made.
    register: Register,
    pub(super) machine: Registration,
    /// The REGISTER that is out.
    pub(super) out: Option<OwnRequestId>,
    /// The same for all its REGISTERs (RFC 3261 10.2.4).
    pub(super) call_id: String,
}

impl Registered {
    fn new(trunk: TrunkId, register: &Register, local: SocketAddr) -> Self {
        let expires = u32::try_from(register.expires.as_secs()).unwrap_or(u32::MAX);
        let mut machine = Registration::new(Uri::sip(Some(&register.user), local), expires);
        machine.handle(Instant::now(), Input::Start);
        let call_id = hex::encode(random::bytes::<16>());
        Self { trunk, register: register.clone(), machine, out: None, call_id }
    }

    /// Whether both are the same binding at the same registrar.
    fn is_of(&self, register: &Register) -> bool {
        (&self.register.to, &self.register.user) == (&register.to, &register.user)
    }
}

impl Service {
    /// Begins the registrations that are missing and takes back those that are wanted no longer; all of
    /// them when the program ends. Where one takes the place of another, it waits for its end: else the
    /// farewell of the old one would take back the new one.
    pub(super) fn agree_registrations(&mut self) {
        let each = self.trunks.each();
        let wanted: Vec<_> = each
            .iter()
            .filter(|state| state.gone.is_none() && !self.ends)
            .filter_map(|state| Some((state.id, state.config.register.as_ref()?)))
            .collect();
        for one in &mut self.registrations {
            if !wanted.contains(&(one.trunk, &one.register)) {
                one.machine.handle(Instant::now(), Input::Stop);
            }
        }
        for (trunk, register) in wanted {
            if !self.registrations.iter().any(|one| one.is_of(register)) {
                self.registrations.push(Registered::new(trunk, register, self.trunks.sip.local_addr()));
            }
        }
    }

    /// Does what a registration wants.
    pub(super) async fn registration(&mut self, index: usize, output: Output) {
        let Some((trunk, register)) =
            self.registrations.get(index).map(|one| (one.trunk, one.register.clone()))
        else {
            return;
        };
        let trunks = Arc::clone(&self.trunks);
        let Some(state) = trunks.state(trunk) else {
            return;
        };
        match output {
            Output::Changed(Status::Registered) => {
                info!(trunk = state.config.name, registrar = %register.to, "registered");
            }
            Output::Changed(Status::Lost(loss)) => {
                warn!(trunk = state.config.name, registrar = %register.to, ?loss, "not registered");
            }
            Output::SendRegister { expires, cseq } => {
                let id = self.request_id();
                let found = self.destinations(&register.to).await;
                let flow = found.first().and_then(|to| lock(&state.watch).flow(&trunks.listeners, to));
                let Some(one) = self.registrations.get_mut(index) else {
                    return;
                };
                let Some(flow) = flow else {
                    warn!(trunk = state.config.name, registrar = %register.to, "the registrar has no address");
                    return one.machine.handle(Instant::now(), Input::NoAnswer);
                };
                one.out = Some(id);
                let contact = contact_for(flow, &register.user, trunks.advertised(flow));
                // By it the grant is told from those of others that have registered there.
                one.machine.set_contact(contact.clone());
                let request = register_request(id, flow, &register, &one.call_id, (expires, cseq), &contact);
                trunks.sip.send(Command::Send(Box::new(request))).await;
            }
        }
    }
}

fn register_request(
    id: OwnRequestId,
    flow: Flow,
    register: &Register,
    call_id: &str,
    (expires, cseq): (u32, u32),
    contact: &Uri,
) -> OutgoingRequest {
    let mut registrar = Uri::sip(None, flow.peer);
    if let Host::Name(name) = &register.to.host {
        registrar.host = name.clone();
        registrar.port = register.to.port;
    }
    let mut account = registrar.clone();
    account.user = Some(register.user.clone());
    if flow.transport.is_reliable() {
        registrar.params.set("transport", Some(flow.transport.name()));
    }
    OutgoingRequest {
        id,
        flow,
        method: Method::Register,
        request_uri: registrar,
        from: NameAddr::new(account.clone()),
        to: NameAddr::new(account),
        call_id: call_id.to_owned(),
        cseq,
        headers: vec![
            ("Contact".to_owned(), format!("<{contact}>")),
            ("Expires".to_owned(), expires.to_string()),
        ],
    }
}

/// Where calls by this way reach us.
fn contact_for(flow: Flow, user: &str, local: SocketAddr) -> Uri {
    let mut contact = Uri::sip(Some(user), local);
    if flow.transport.is_reliable() {
        contact.params.set("transport", Some(flow.transport.name()));
    }
    contact
}
