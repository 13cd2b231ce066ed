//! The endpoint in virtual time, against messages written by hand and against another endpoint.

mod auth;
mod bench;
mod in_dialog;
mod pair;
mod register;
mod robust;
mod stateless;
mod uac;
mod uas;
