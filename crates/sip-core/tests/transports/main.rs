//! Endpoints on real sockets: UDP, TCP and TLS, IPv4 and IPv6, and peers that break the rules.

mod common;
mod former;
mod strangers;
mod streams;
mod tls;
mod udp;
