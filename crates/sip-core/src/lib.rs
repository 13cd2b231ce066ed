//! SIP: messages, transactions, dialogs and transports (RFC 3261 and the RFCs that amend it).
//!
//! [`message`] turns datagrams into requests and responses and back. [`endpoint`] is the whole of SIP behind one door:
//! a pure machine that takes datagrams, commands and the time, and gives datagrams and events. [`driver`] runs it on a
//! sockets and connections.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::panic,
        clippy::unreachable
    )
)]

pub mod auth;
pub mod driver;
pub mod endpoint;
pub mod message;
pub mod profile;
pub mod registration;

mod dialog;
#[cfg(test)]
mod testing;
mod transaction;
mod transport;

pub use driver::{Driver, Sip, SipChange, SipConfig, SipTap, bind};
pub use endpoint::{
    ALLOW, Body, Command, Endpoint, EndpointConfig, Event, Input, LegEvent, LegId, LegRecord, Listener, Load,
    Lost, Notice, OutgoingInvite, OutgoingRequest, Output, OwnRequestId, RecordError, Rejection, Reply,
    RequestId, SipCounters,
};
pub use message::{
    CSeq, Headers, Message, Method, NameAddr, Params, ParseError, Request, Response, Scheme, Uri, Via,
};
pub use profile::{Nat, Registrar, Reliable, SessionTimer, TrunkProfile};
pub use transaction::timer::Timers;
pub use transport::connection::ConnectionLimits;
pub use transport::strangers::{StrangerAnswer, Strangers};
pub use transport::tls::{TlsClient, TlsIdentity, TlsServer};
pub use transport::{Flow, ListenerId, Transport, TrunkId};
