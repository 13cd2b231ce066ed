//! What the endpoint must know of its surroundings.

use std::net::SocketAddr;

use crate::profile::TrunkProfile;
use crate::transaction::timer::Timers;
use crate::transport::Transport;

/// One of our listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Its transport.
    pub transport: Transport,
    /// The address of its socket.
    pub local: SocketAddr,
    /// The address that peers reach it at: in Via and Contact.
    pub advertised: SocketAddr,
}

impl Listener {
    /// A listener that is reached under the address of its socket.
    pub fn new(transport: Transport, local: SocketAddr) -> Self {
        Self { transport, local, advertised: local }
    }
}

/// What the endpoint must know of its surroundings.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// The listeners; [`crate::ListenerId`] counts them.
    pub listeners: Vec<Listener>,
    /// The trunks; [`crate::TrunkId`] counts them. Of one that is not listed the default holds.
    pub trunks: Vec<TrunkProfile>,
    /// For the User-Agent and Server header fields.
    pub user_agent: String,
    /// The key of all branches and tags.
    pub seed: [u8; 32],
    /// T1, T2, T4.
    pub timers: Timers,
    /// Whether the user keeps records of the legs ([`crate::Notice::Record`]).
    pub record: bool,
}
