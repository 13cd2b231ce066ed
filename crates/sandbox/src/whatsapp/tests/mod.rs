//! The simulated WhatsApp as a whole, against a peer made of the same parts.

mod calls;
mod faults;
mod graph;
mod graph_faults;
mod peer;
