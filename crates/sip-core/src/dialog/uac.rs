//! The dialog as the UAC of its INVITE sees it (RFC 3261 12.1.2).

use super::{Dialog, id::DialogId};
use crate::message::{Request, Response};
use crate::transport::Flow;

impl Dialog {
    /// From our INVITE and a response to it. A response without a Contact leaves the target as it was.
    pub(crate) fn uac(invite: &Request, response: &Response, peer: Flow) -> Option<Self> {
        let contact = response.headers.contact().map(|contact| contact.uri);
        let mut routes = response.headers.routes("Record-Route");
        routes.reverse();
        Some(Self {
            id: DialogId::of_response(response)?,
            local: invite.headers.from()?,
            remote: response.headers.to()?,
            local_cseq: invite.headers.cseq()?.number,
            remote_cseq: None,
            target: contact.unwrap_or_else(|| invite.uri.clone()),
            routes,
            peer,
        })
    }
}
