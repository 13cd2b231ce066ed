//! The endpoint: all of SIP behind one door. Messages go to their transaction, from there to their dialog, from there to
//! the user as events; commands go the other way. Pure: the time, the datagrams and the seed of its identifiers come in
//! as arguments.

mod alarms;
mod api;
mod auth;
mod client;
mod config;
mod counters;
mod delayed_offer;
mod ending;
mod former;
mod glare;
mod ids;
mod in_dialog;
mod incoming;
mod large;
mod leg;
mod outgoing;
mod own_request;
mod own_response;
mod own_transaction;
mod readiness;
mod register;
mod reliable;
mod replaces;
mod request;
mod response;
mod server;
mod session_timer;
mod silence;
mod table;
mod trunk;
mod uac;
mod uas;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::dialog::id::DialogId;
use crate::dialog::next_hop::Paths;
use crate::message::{Uri, Via};
use crate::profile::TrunkProfile;
use crate::transaction::TransactionId;
use crate::transaction::key::{ClientKey, MergeKey, ServerKey};
use crate::transport::{Flow, ListenerId, Transport, TrunkId};
use alarms::{Alarms, Owner};
pub use api::{
    Body, Command, Event, Input, LegEvent, LegId, Lost, Notice, Origin, OutgoingInvite, OutgoingRequest,
    Output, OwnRequestId, Rejection, Reply, RequestId,
};
use client::ClientTransaction;
pub use config::{EndpointConfig, Listener};
pub use counters::SipCounters;
pub(crate) use counters::{Counters, count};
use former::Records;
pub(crate) use former::TrunkOf;
pub use former::{LegRecord, MAX_RECORD, RecordError};
use ids::Ids;
use leg::Leg;
use own_request::OwnRequest;
use readiness::Readiness;
pub use response::ALLOW;
use server::ServerTransaction;
use table::Table;
use trunk::Trunk;

/// The most legs at a time; further INVITEs get 503, those of the user [`Rejection::Transport`].
pub const MAX_LEGS: usize = 20_000;
/// The most server transactions at a time; further requests outside of a dialog get 503.
pub const MAX_SERVER_TRANSACTIONS: usize = 200_000;
/// The same for requests within a dialog, which may use what is kept free for them: calls must be able to end.
pub const MAX_SERVER_TRANSACTIONS_IN_DIALOG: usize = 300_000;
/// The most requests of the user outside of any dialog at a time; further ones fail at once.
pub const MAX_OWN_REQUESTS: usize = 1000;

/// What an endpoint remembers at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Calls.
    pub legs: usize,
    /// Dialogs, the early ones too.
    pub dialogs: usize,
    /// Transactions of both roles.
    pub transactions: usize,
}

/// The SIP endpoint.
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
    /// The same for every dialog.
    listeners: Arc<[Listener]>,
    /// Of a trunk that is not configured.
    default_profile: TrunkProfile,
    trunks: HashMap<TrunkId, Trunk>,
    counters: Arc<Counters>,
    ids: Ids,
    next_transaction: u64,
    next_leg: u64,
    servers: Table<ServerKey, ServerTransaction>,
    clients: Table<ClientKey, ClientTransaction>,
    merged: HashSet<MergeKey>,
    legs: HashMap<LegId, Leg>,
    dialogs: HashMap<DialogId, LegId>,
    alarms: Alarms,
    readiness: Readiness,
    /// How many requests outside of any dialog wait for their final response.
    apart: usize,
    records: Records,
    /// Whose an address is; without it the records of a former life are taken at their word.
    trunk_of: Option<TrunkOf>,
    outputs: VecDeque<Output>,
    /// Whom the last input counts against.
    strike: Option<Flow>,
    /// Who has authenticated with it.
    proof: Option<Flow>,
}

impl Endpoint {
    /// An endpoint without any call.
    pub fn new(config: EndpointConfig) -> Self {
        Self::with_counters(config, Arc::default())
    }

    pub(crate) fn with_counters(config: EndpointConfig, counters: Arc<Counters>) -> Self {
        Self {
            default_profile: TrunkProfile::default(),
            trunks: Trunk::all(&config),
            ids: Ids::new(&config.seed),
            listeners: config.listeners.as_slice().into(),
            records: Records::new(config.record),
            trunk_of: None,
            config,
            counters,
            next_transaction: 0,
            next_leg: 1,
            servers: Table::new(),
            clients: Table::new(),
            merged: HashSet::new(),
            legs: HashMap::new(),
            dialogs: HashMap::new(),
            alarms: Alarms::default(),
            readiness: Readiness::default(),
            apart: 0,
            outputs: VecDeque::new(),
            strike: None,
            proof: None,
        }
    }

    /// Takes one input, after everything that was due before it.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        while let Some(owner) = self.alarms.pop_due(now) {
            match owner {
                Owner::Client(id) => self.client_timer(now, id),
                Owner::Server(id) => self.server_timer(now, id),
                Owner::Leg(leg) => self.leg_timer(now, leg),
                Owner::Registrar(trunk) => self.registrar_timer(now, trunk),
            }
        }
        match input {
            Input::Datagram { flow, bytes } => self.datagram(now, flow, bytes),
            Input::Refuse { flow, bytes, status, reason } => self.refuse_unread(flow, bytes, status, reason),
            Input::Command(command) => self.command(now, command),
            Input::TransportError { origin } => self.transport_error(now, origin),
            Input::Timeout => {}
        }
        self.tell_records();
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.alarms.next()
    }

    /// What is remembered now. All of it ends by itself once the legs have ended.
    pub fn load(&self) -> Load {
        Load {
            legs: self.legs.len(),
            dialogs: self.dialogs.len(),
            transactions: self.servers.len() + self.clients.len(),
        }
    }

    /// Is nothing on its way that wants sending again until its peer has answered? A request of the user outside of any
    /// dialog does not count: its user waits for its outcome.
    pub fn is_settled(&self) -> bool {
        self.legs.is_empty()
            && !self.clients.entries().any(ClientTransaction::is_open)
            && !self.servers.entries().any(ServerTransaction::is_open)
    }

    /// What has been counted.
    pub fn counters(&self) -> SipCounters {
        self.counters.snapshot()
    }

    fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Respond { leg, reply } => self.respond(now, leg, reply),
            Command::Invite { leg, invite } => self.invite(now, leg, *invite),
            Command::Cancel { leg, headers } => self.cancel(now, leg, headers),
            Command::Bye { leg, headers } => self.bye(now, leg, headers),
            Command::Answer { leg, request, reply } => self.answer(now, leg, request, reply),
            Command::Request { leg, id, method, headers, body } => {
                self.request_own(now, leg, OwnRequest::new(id, method, headers, body));
            }
            Command::Acknowledge { leg, body } => {
                if !self.acknowledge_offer(now, leg, body.as_ref()) {
                    self.acknowledge(now, leg, body);
                }
            }
            Command::Send(request) => self.send_apart(now, *request),
            Command::Recover { leg, record, headers } => self.recover(now, leg, &record, headers),
            Command::Ready { trunk, ready } => self.readiness.set(trunk, ready),
            Command::Configure { trunks, user_agent } => {
                self.config.user_agent = user_agent;
                self.set_trunks(trunks);
            }
        }
    }

    fn send(&mut self, flow: Flow, bytes: Bytes, origin: Option<TransactionId>) {
        let origin = Origin(origin);
        self.outputs.push_back(Output::Send { flow, bytes, origin });
    }

    /// Counts against the peer of the flow: a malformed message, a failed authentication. Whoever collects too many is
    /// banned.
    pub(super) fn strike(&mut self, flow: Flow) {
        self.strike = Some(flow);
    }

    /// The peer of the flow has authenticated.
    pub(super) fn prove(&mut self, flow: Flow) {
        self.proof = Some(flow);
    }

    /// Who has authenticated with the last input.
    pub(crate) fn take_proof(&mut self) -> Option<Flow> {
        self.proof.take()
    }

    /// Whom the last input counts against.
    pub(crate) fn take_strike(&mut self) -> Option<Flow> {
        self.strike.take()
    }

    fn event(&mut self, leg: LegId, event: Event) {
        if self.records.is_former(leg) {
            return;
        }
        self.outputs.push_back(Output::Notice(Notice::Leg(LegEvent { leg, event })));
    }

    /// The manners of a trunk.
    pub(super) fn profile(&self, trunk: TrunkId) -> &TrunkProfile {
        self.trunks.get(&trunk).map_or(&self.default_profile, |trunk| &trunk.profile)
    }

    /// A listener of ours.
    pub(crate) fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.config.listeners.get(usize::from(id.0))
    }

    /// The address that we are reached at by a flow's peer.
    fn advertised(&self, flow: Flow) -> SocketAddr {
        let listener = self
            .listener(flow.listener)
            .map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |listener| listener.advertised);
        match self.profile(flow.trunk).advertised {
            Some(ip) => SocketAddr::new(ip, listener.port()),
            None => listener,
        }
    }

    /// What a dialog with the peer of this flow must know of its paths.
    pub(super) fn paths(&self, peer: Flow) -> Paths {
        let nat = self.profile(peer.trunk).nat;
        Paths { peer, nat, listeners: Arc::clone(&self.listeners) }
    }

    /// Our Via for a request on this flow.
    pub(super) fn via(&self, flow: Flow, branch: &str) -> Via {
        Via::ours(flow.transport, self.advertised(flow), branch)
    }

    /// Our Contact towards the peer of this flow.
    pub(super) fn contact(&self, flow: Flow) -> Uri {
        let mut contact = Uri::sip(None, self.advertised(flow));
        if flow.transport != Transport::Udp {
            contact.params.set("transport", Some(flow.transport.name()));
        }
        contact
    }

    fn new_transaction(&mut self) -> TransactionId {
        self.next_transaction += 1;
        TransactionId(self.next_transaction)
    }
}

#[cfg(test)]
mod tests;
