//! Where messages come from and go to.

pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod names;
pub(crate) mod strangers;
pub(crate) mod tcp;
pub(crate) mod tls;
pub(crate) mod udp;

mod elsewhere;
mod lru;

use std::fmt;
use std::net::SocketAddr;

use crate::message::uri::SIP_PORT;

/// The default port of SIP over TLS.
const SIPS_PORT: u16 = 5061;

/// A transport protocol (RFC 3261 section 18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// One message a datagram.
    Udp,
    /// A stream of messages.
    Tcp,
    /// The same inside TLS.
    Tls,
}

impl Transport {
    /// Does it deliver what it takes? Then nothing is retransmitted by transactions (RFC 3261 17.1.1.2).
    pub fn is_reliable(self) -> bool {
        self != Self::Udp
    }

    /// Its name in a Via.
    pub fn via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// The port where none is named (RFC 3261 19.1.2).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => SIP_PORT,
            Self::Tls => SIPS_PORT,
        }
    }

    /// Its name in a `transport` parameter of a URI, and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// One of our listeners, by its place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// One of the trunks, by its place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrunkId(pub u16);

/// The path a message came by and its answer goes back. Over TCP and TLS it is one connection; when that is gone, what
/// is sent on the flow opens a new one to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The transport.
    pub transport: Transport,
    /// Which of our listeners it is a path of: the address we advertise on it.
    pub listener: ListenerId,
    /// Whose path it is.
    pub trunk: TrunkId,
    /// The peer's address.
    pub peer: SocketAddr,
}

impl Flow {
    /// UDP to this address, from the first listener, of the first trunk.
    pub fn udp(peer: SocketAddr) -> Self {
        Self { transport: Transport::Udp, listener: ListenerId(0), trunk: TrunkId(0), peer }
    }

    /// The same path to another address.
    pub fn to(self, peer: SocketAddr) -> Self {
        Self { peer, ..self }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transport.name(), self.peer)
    }
}
