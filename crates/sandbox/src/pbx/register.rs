//! REGISTER (RFC 3261 10), both ways: the phone registers with the bridge, and is the registrar it registers with.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use super::core::Core;
use super::sip::{Message, address_of, parameter};
use super::{Missed, Phone};

/// A binding that the phone holds as a registrar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The URI of the Contact.
    pub contact: String,
    /// Seconds that it was asked to hold.
    pub expires: u32,
}

impl Phone {
    /// Registers with the bridge for so many seconds; 0 ends it. Gives the status of the answer.
    ///
    /// # Errors
    /// None came in time.
    pub async fn register(&self, expires: u32, within: Duration) -> Result<u16, Missed> {
        let core = self.core();
        let missed = || Missed {
            wanted: "an answer to REGISTER".to_owned(),
            within,
            instead: "nothing came".to_owned(),
        };
        let bridge = core.book().bridge.ok_or_else(missed)?;
        let aor = format!("<sip:{}@{bridge}>", core.config.user);
        // One more for the repeat with credentials.
        let number = core.draw() >> 34;
        let request = Message::request("REGISTER", &format!("sip:{bridge}"))
            .with("Via", core.via())
            .with("From", format!("{aor};tag={}", core.token()))
            .with("To", aor)
            .with("Call-ID", format!("{}@{}", core.token(), core.local.ip()))
            .with("CSeq", format!("{number} REGISTER"))
            .with("Contact", format!("<{}>", core.uri(&core.config.user)))
            .with("Expires", expires.to_string());
        let response = timeout(within, core.request(bridge, request, "")).await;
        response.ok().flatten().and_then(|response| response.status()).ok_or_else(missed)
    }

    /// Who has registered with the phone.
    #[must_use]
    pub fn registered(&self) -> Option<Registered> {
        self.core().book().registered.clone()
    }
}

/// Answers a REGISTER as a registrar that knows one user.
pub(super) async fn take(core: &Core, request: &Message, from: SocketAddr) {
    let contact = request.header("Contact").unwrap_or_default();
    let asked = parameter(contact, "expires").or_else(|| request.header("Expires"));
    let expires = asked.and_then(|seconds| seconds.parse().ok()).unwrap_or(3600);
    let uri = request.contact().unwrap_or_default().to_owned();
    if address_of(&uri).is_none_or(|address| address.ip().is_unspecified() || address.port() == 0) {
        core.complaints.add(format!("REGISTER: nobody can be called at {contact}"));
    }
    let mut ok = Message::response(request, 200, "OK").with_to_tag(&core.token());
    if expires > 0 {
        ok = ok.with("Contact", format!("<{uri}>;expires={expires}"));
    }
    core.book().registered = (expires > 0).then_some(Registered { contact: uri, expires });
    core.reply(from, request, ok, "").await;
}
