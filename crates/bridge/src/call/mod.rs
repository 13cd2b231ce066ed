//! One call: a pure machine (`machine`), and the task that executes what it wants (`task`).
//!
//! ```text
//!  sip-core ── SIP events ──┐                        ┌── Respond, INVITE, BYE ──> sip-core
//!  wa-signaling ─ webhooks ─┼─> task ─ Event ─> Call ─ Action ─> task ─ connect, accept, end ──> Graph
//!  media-relay ── events ───┘                        └── connect, open, close ──> media-relay
//! ```
//!
//! Towards the PBX a call may have several SIP legs over its life (`legs`): the targets of a trunk one after
//! the other (`attempts`), the target of a transfer (`transfer`), a leg that replaces another
//! (`sip_side`). What each has offered and answered is in `pbx_leg`; `on_sip` turns what comes of them
//! into events, `sip_out` sends what the machine wants.

#![deny(clippy::wildcard_enum_match_arm)]

pub mod action;
pub mod announce;
pub mod attempts;
pub mod cause;
pub mod event;
mod jitter;
mod legs;
pub mod machine;
mod release;
pub mod settings;
mod sip_side;
mod sip_to_wa;
mod transfer;
mod wa_to_sip;

pub(crate) mod birth;
mod execute;
pub(crate) mod headers;
mod info;
mod invite;
mod kept;
pub mod manners;
mod on_sip;
mod on_whatsapp;
pub(crate) mod pbx;
mod pbx_leg;
mod permission;
mod refer;
pub(crate) mod remedy;
mod sip_out;
pub(crate) mod task;

#[cfg(test)]
mod tests;
