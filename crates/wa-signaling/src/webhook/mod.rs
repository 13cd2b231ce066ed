//! Webhooks: the signature over the body, the events in it, the listener, and what is passed on.

pub mod event;
pub mod pass_on;
pub mod payload;
pub mod server;
pub mod signature;
