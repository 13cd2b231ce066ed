//! The endpoint in virtual time, against messages written by hand and against another endpoint.

mod apart;
mod auth;
mod bench;
mod delayed_offer;
mod in_dialog;
mod pair;
mod register;
mod reliable;
mod replaces;
mod robust;
mod rules;
mod silence;
mod stateless;
mod uac;
mod uas;
