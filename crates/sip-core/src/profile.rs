//! The SIP manners of one trunk: what the endpoint does with it by itself.

use std::net::IpAddr;
use std::time::Duration;

use crate::auth::{Account, Realm};

/// How a trunk is spoken to. The default is what every peer understands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// What is demanded of what comes in (digest); without it the source address is enough.
    pub inbound: Option<Realm>,
    /// What challenges to our requests are answered with; without it a challenge is a refusal.
    pub outbound: Option<Account>,
    /// Whether the peer registers with us, and within which limits; without it REGISTER gets 405.
    pub registrar: Option<Registrar>,
}

/// The limits of what a peer may register (RFC 3261 10.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registrar {
    /// The most contacts of the trunk; further ones get 403.
    pub max_contacts: usize,
    /// The shortest expiry; a shorter one gets 423.
    pub min_expires: Duration,
    /// The longest expiry; a longer one is cut to it.
    pub max_expires: Duration,
}

impl Default for Registrar {
    fn default() -> Self {
        let (min_expires, max_expires) = (Duration::from_secs(60), Duration::from_secs(3600));
        Self { max_contacts: 10, min_expires, max_expires }
    }
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
