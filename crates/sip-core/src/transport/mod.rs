//! Where datagrams come from and go to.

pub(crate) mod udp;

use std::fmt;
use std::net::SocketAddr;

/// A transport protocol. UDP is the only one so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One message a datagram.
    Udp,
}

/// The path a message came by and its answer goes back: a transport and the peer's address on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The transport.
    pub transport: Transport,
    /// The peer's address.
    pub peer: SocketAddr,
}

impl Flow {
    /// UDP to this address.
    pub fn udp(peer: SocketAddr) -> Self {
        Self { transport: Transport::Udp, peer }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transport {
            Transport::Udp => write!(f, "udp {}", self.peer),
        }
    }
}
