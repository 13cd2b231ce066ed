//! Runs the endpoint on its sockets and connections: messages, commands and the deadline go in, messages and events come
//! out.
//!
//! Nothing here waits without bound: commands queue up to [`COMMAND_QUEUE`], then `send` waits. Events queue up to
//! [`EVENT_QUEUE`], then the driver reads no more messages until the user has caught up (the kernel drops what overflows
//! a UDP socket, peers retransmit; connections stop being read), but it goes on taking commands and keeping time, so that
//! the two cannot lock each other.

mod change;
mod run;
mod setup;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::endpoint::{Command, Counters, LegId, Listener, SipCounters};
use crate::profile::TrunkProfile;
use crate::transaction::timer::Timers;
use crate::transport::connection::ConnectionLimits;
use crate::transport::names::Names;
use crate::transport::strangers::Strangers;
use crate::transport::tls::{TlsClient, TlsServer};
use crate::transport::{ListenerId, TrunkId};
use change::Control;

pub use change::SipChange;
pub use run::Driver;
pub use setup::bind;

/// Commands that wait for the driver; beyond, [`Sip::send`] waits.
pub const COMMAND_QUEUE: usize = 1024;
/// Events that wait for the user; beyond, no more messages are read.
pub const EVENT_QUEUE: usize = 4096;

/// Finds the trunk that an address belongs to.
pub type TrunkOf = Arc<dyn Fn(IpAddr) -> Option<TrunkId> + Send + Sync>;

/// Sees each message that is read or sent, and where from and to: on the driver's task, so it must be quick.
pub type SipTap = Arc<dyn Fn(SocketAddr, SocketAddr, &[u8]) + Send + Sync>;

/// How the endpoint is bound and what it says of itself.
#[derive(Clone)]
pub struct SipConfig {
    /// The listeners; [`ListenerId`] counts them. Their advertised port 0 stands for the port that was bound.
    pub listeners: Vec<Listener>,
    /// What each TLS listener shows.
    pub tls_servers: HashMap<ListenerId, TlsServer>,
    /// How TLS connections to the peers of each trunk are opened; where nothing is said, with the default.
    pub tls_clients: HashMap<TrunkId, TlsClient>,
    /// The trunks.
    pub trunks: Vec<TrunkProfile>,
    /// For the User-Agent and Server header fields.
    pub user_agent: String,
    /// The key of all branches and tags: new and random for each run.
    pub seed: [u8; 32],
    /// T1, T2, T4.
    pub timers: Timers,
    /// Whether the user keeps records of the legs for a later life of the program ([`crate::Notice::Record`]).
    pub record: bool,
    /// Whose messages are read: the trunk that an address belongs to. All others are strangers, before parsing.
    pub trunk_of: TrunkOf,
    /// How strangers are met, and peers that misbehave.
    pub strangers: Strangers,
    /// How many connections there may be, and how slow.
    pub connections: ConnectionLimits,
    /// Who sees the messages, for who looks for trouble. Those of strangers are not among them.
    pub tap: Option<SipTap>,
}

impl SipConfig {
    /// With these listeners, this seed and these sources, and the default for everything else.
    pub fn new(listeners: Vec<Listener>, seed: [u8; 32], trunk_of: TrunkOf) -> Self {
        Self {
            listeners,
            tls_servers: HashMap::new(),
            tls_clients: HashMap::new(),
            trunks: Vec::new(),
            user_agent: String::new(),
            seed,
            timers: Timers::default(),
            record: false,
            trunk_of,
            strangers: Strangers::default(),
            connections: ConnectionLimits::default(),
            tap: None,
        }
    }
}

impl fmt::Debug for SipConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipConfig").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

/// The user's handle on the endpoint.
#[derive(Debug, Clone)]
pub struct Sip {
    commands: mpsc::Sender<Command>,
    controls: mpsc::Sender<Control>,
    /// Those of the listeners that speak TLS.
    tls_listeners: Arc<[ListenerId]>,
    next_leg: Arc<AtomicU64>,
    local: Arc<[SocketAddr]>,
    names: Arc<Names>,
    counters: Arc<Counters>,
}

impl Sip {
    /// The name of a new outgoing leg.
    pub fn new_leg(&self) -> LegId {
        LegId(self.next_leg.fetch_add(2, Ordering::Relaxed))
    }

    /// Hands a command to the endpoint; waits while its queue is full. After the driver has ended it has no effect.
    pub async fn send(&self, command: Command) {
        if self.commands.send(command).await.is_err() {
            tracing::warn!("the SIP driver has ended");
        }
    }

    /// Hands a command to the endpoint without waiting: one that its queue has no room for is lost, and that is logged.
    pub fn tell(&self, command: Command) {
        if let Err(error) = self.commands.try_send(command) {
            tracing::warn!(%error, "a SIP command is lost");
        }
    }

    /// Says by what name the peer at this address was found (RFC 5922 7.1): its TLS certificate must be for that name.
    pub fn name_peer(&self, peer: SocketAddr, host: impl Into<String>) {
        self.names.set(peer, host.into());
    }

    /// The address that the first listener is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local.first().copied().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// The addresses that the listeners are bound to, in their order.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local
    }

    /// What has been counted.
    pub fn counters(&self) -> SipCounters {
        self.counters.snapshot()
    }
}
