//! The endpoint in virtual time, against messages written by hand and against another endpoint.

mod apart;
mod auth;
mod bench;
mod configure;
mod delayed_offer;
mod glare;
mod in_dialog;
mod open_offer;
mod own_request;
mod own_request_random;
mod pair;
mod register;
mod reliable;
mod replaces;
mod robust;
mod rules;
mod session_timer;
mod session_timer_pair;
mod session_timer_uac;
mod settled;
mod silence;
mod stateless;
mod transports;
mod uac;
mod uas;
