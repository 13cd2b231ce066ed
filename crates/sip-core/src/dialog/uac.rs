//! The dialog as the UAC of its INVITE sees it (RFC 3261 12.1.2).

use super::{Dialog, id::DialogId, next_hop::Paths};
use crate::message::{Request, Response};

impl Dialog {
    /// From our INVITE and a response to it. A response without a Contact leaves the target as it was.
    pub(crate) fn uac(invite: &Request, response: &Response, paths: Paths) -> Option<Self> {
        let contact = response.headers.contact().map(|contact| contact.uri);
        let mut routes = response.headers.routes("Record-Route");
        routes.reverse();
        let (local, remote) = (invite.headers.from()?, response.headers.to()?);
        // Only their tag is theirs to say: what they make of ours and of the Call-ID may name another dialog.
        let id = DialogId {
            call_id: invite.headers.call_id()?.to_owned(),
            local_tag: local.tag()?.to_owned(),
            remote_tag: remote.tag().unwrap_or_default().to_owned(),
        };
        Some(Self {
            id,
            owns_call_id: true,
            local,
            remote,
            local_cseq: invite.headers.cseq()?.number,
            remote_cseq: None,
            target: contact.unwrap_or_else(|| invite.uri.clone()),
            routes,
            paths,
        })
    }
}
