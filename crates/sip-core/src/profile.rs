//! The SIP manners of one trunk: what the endpoint does with it by itself.

use std::net::IpAddr;
use std::time::Duration;

/// How a trunk is spoken to. The default is what every peer understands.
#[derive(Debug, Clone, Default)]
pub struct TrunkProfile {
    /// The trunk's name, for logs.
    pub name: String,
    /// The address in Via and Contact, where it is not the listener's.
    pub advertised: Option<IpAddr>,
    /// Whether a request over 1300 bytes goes by TCP instead of UDP (RFC 3261 18.1.1).
    pub tcp_for_large: bool,
    /// Where requests within a dialog go.
    pub nat: Nat,
    /// Reliable provisional responses (RFC 3262).
    pub reliable: Reliable,
    /// Session timers of our own (RFC 4028); without them only those that the peer asks for.
    pub session_timer: Option<SessionTimer>,
    /// Whether REFER within a dialog and INVITE with Replaces are taken.
    pub transfer: bool,
}

/// Where requests within a dialog go whose next hop is the peer's own Contact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Nat {
    /// To the Contact, unless it is a private address and the peer was heard from another one.
    #[default]
    Auto,
    /// Always to where the peer was heard from.
    Source,
    /// Always to the Contact.
    Contact,
}

/// How provisional responses are sent and asked for (RFC 3262).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reliable {
    /// Not offered; a peer that requires them gets them all the same.
    Off,
    /// Offered (`Supported`), and used by us where the peer requires them.
    #[default]
    Supported,
    /// Required of the peer, and used by us where the peer supports them.
    Required,
}

/// Session timers (RFC 4028).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimer {
    /// The interval that we ask for.
    pub expires: Duration,
    /// The shortest that we take.
    pub min_se: Duration,
}
