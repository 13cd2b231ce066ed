//! The endpoint: all of SIP behind one door. Messages go to their transaction, from there to their dialog, from there to
//! the user as events; commands go the other way. Pure: the time, the datagrams and the seed of its identifiers come in
//! as arguments.

mod alarms;
mod api;
mod auth;
mod client;
mod counters;
mod delayed_offer;
mod ending;
mod ids;
mod in_dialog;
mod incoming;
mod leg;
mod outgoing;
mod readiness;
mod register;
mod reliable;
mod replaces;
mod request;
mod response;
mod server;
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
use crate::message::{Uri, Via};
use crate::profile::TrunkProfile;
use crate::transaction::TransactionId;
use crate::transaction::key::{ClientKey, MergeKey, ServerKey};
use crate::transport::{Flow, Transport, TrunkId};
use alarms::{Alarms, Owner};
pub use api::{
    Body, Command, EndpointConfig, Event, Input, LegEvent, LegId, Listener, Lost, Notice, Origin,
    OutgoingInvite, OutgoingRequest, Output, OwnRequestId, Rejection, Reply, RequestId,
};
use client::ClientTransaction;
pub use counters::SipCounters;
pub(crate) use counters::{Counters, count};
use ids::Ids;
use leg::Leg;
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
    /// Of a trunk that is not configured.
    default_profile: TrunkProfile,
    /// In the order of the configuration.
    trunks: Vec<Trunk>,
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
    outputs: VecDeque<Output>,
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
            Input::Command(command) => self.command(now, command),
            Input::TransportError { origin } => self.transport_error(now, origin),
            Input::Timeout => {}
        }
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
            Command::Acknowledge { leg, body } => self.acknowledge(now, leg, body),
            Command::Send(request) => self.send_apart(now, *request),
            Command::Ready { trunk, ready } => self.readiness.set(trunk, ready),
            Command::Request { .. } => {}
        }
    }

    fn send(&mut self, flow: Flow, bytes: Bytes, origin: Option<TransactionId>) {
        let origin = Origin(origin);
        self.outputs.push_back(Output::Send { flow, bytes, origin });
    }

    fn event(&mut self, leg: LegId, event: Event) {
        self.outputs.push_back(Output::Notice(Notice::Leg(LegEvent { leg, event })));
    }

    /// The manners of a trunk.
    pub(super) fn profile(&self, trunk: TrunkId) -> &TrunkProfile {
        self.config.trunks.get(usize::from(trunk.0)).unwrap_or(&self.default_profile)
    }

    /// The address that we are reached at by a flow's peer.
    fn advertised(&self, flow: Flow) -> SocketAddr {
        let listener = self.config.listeners.get(usize::from(flow.listener.0));
        let listener = listener.map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |listener| listener.advertised);
        match self.profile(flow.trunk).advertised {
            Some(ip) => SocketAddr::new(ip, listener.port()),
            None => listener,
        }
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
