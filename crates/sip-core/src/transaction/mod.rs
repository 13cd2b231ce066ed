//! Transactions (RFC 3261 section 17, with the Accepted state of RFC 6026). One machine a file; each matches on (state,
//! input) and sets actions and next state together, so that it reads beside its figure.

pub(crate) mod client_invite;
pub(crate) mod client_non_invite;
pub(crate) mod key;
pub(crate) mod server_invite;
pub(crate) mod server_non_invite;
pub(crate) mod timer;

use bytes::Bytes;

use crate::message::Response;

/// Names a transaction within its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TransactionId(pub(crate) u64);

/// What a client transaction wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClientOutput {
    /// Send this to where the request goes.
    Send(Bytes),
    /// A response for the transaction user.
    Response(Box<Response>),
    /// Timer B or F fired.
    Timeout,
    /// The transport failed.
    TransportError,
}

/// What a server transaction wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServerOutput {
    /// Send this to where the request came from.
    Send(Bytes),
}
