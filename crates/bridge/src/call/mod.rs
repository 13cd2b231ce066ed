//! One call: a pure machine (`machine`), and the task that executes what it wants (`task`).
//!
//! ```text
//!  sip-core ── SIP events ──┐                        ┌── Respond, INVITE, BYE ──> sip-core
//!  wa-signaling ─ webhooks ─┼─> task ─ Event ─> Call ─ Action ─> task ─ connect, accept, end ──> Graph
//!  media-relay ── events ───┘                        └── connect, open, close ──> media-relay
//! ```

#![deny(clippy::wildcard_enum_match_arm)]

pub mod action;
pub mod cause;
pub mod event;
pub mod machine;
mod release;
mod sip_to_wa;
mod wa_to_sip;

pub(crate) mod birth;
mod execute;
pub(crate) mod headers;
pub(crate) mod task;

#[cfg(test)]
mod tests;
