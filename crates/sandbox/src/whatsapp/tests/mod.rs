//! The simulated WhatsApp as a whole, against a peer made of the same parts.

mod account;
mod calls;
mod codes;
mod control;
mod faults;
mod graph;
mod graph_faults;
mod peer;
mod permissions;
mod post;
