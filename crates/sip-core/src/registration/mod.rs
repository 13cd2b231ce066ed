//! Registration (RFC 3261 section 10): of a peer's contacts with us, and of ours with a peer.

mod client;
mod registrar;

pub use client::{Input, Loss, Output, Registration, Status};
pub use registrar::{Binding, Bindings, Outcome};

use crate::message::uri::SIP_PORT;
use crate::message::{NameAddr, Uri, text};

/// The `expires` of a Contact in seconds; `None` where it has none that is a number.
fn expires_of(contact: &NameAddr) -> Option<u32> {
    text::number(contact.params.get("expires")?)
}

/// Do two contacts mean the same place (RFC 3261 19.1.4, as far as it matters for a binding)?
fn same_contact(a: &Uri, b: &Uri) -> bool {
    let port = |uri: &Uri| uri.port.unwrap_or(SIP_PORT);
    let transport = |uri: &Uri| uri.params.get("transport").unwrap_or("udp").to_ascii_lowercase();
    a.scheme == b.scheme
        && a.user == b.user
        && a.host.eq_ignore_ascii_case(&b.host)
        && port(a) == port(b)
        && transport(a) == transport(b)
}
