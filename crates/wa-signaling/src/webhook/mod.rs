//! Webhooks: the signature over the body, the events in it, and the listener.

pub mod event;
pub mod payload;
pub mod server;
pub mod signature;
