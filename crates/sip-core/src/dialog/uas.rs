//! The dialog as the UAS of its INVITE sees it (RFC 3261 12.1.1).

use super::{Dialog, id::DialogId, next_hop::Paths};
use crate::message::Request;

impl Dialog {
    /// From an INVITE and our tag. `None` without a usable Contact: there would be nowhere to send a BYE.
    pub(crate) fn uas(invite: &Request, local_tag: &str, paths: Paths) -> Option<Self> {
        let from = invite.headers.from()?;
        let to = invite.headers.to()?;
        let id = DialogId {
            call_id: invite.headers.call_id()?.to_owned(),
            local_tag: local_tag.to_owned(),
            remote_tag: from.tag().unwrap_or_default().to_owned(),
        };
        Some(Self {
            id,
            owns_call_id: false,
            local: to.with_tag(local_tag),
            remote: from,
            local_cseq: 0,
            remote_cseq: Some(invite.headers.cseq()?.number),
            target: invite.headers.contact()?.uri,
            routes: invite.headers.routes("Record-Route"),
            paths,
        })
    }
}
