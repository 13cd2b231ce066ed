//! What names a dialog (RFC 3261 section 12): Call-ID, our tag, their tag.

use crate::message::{NameAddr, Request};

/// Names a dialog at our side.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DialogId {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    /// Empty for a peer of RFC 2543 that sends none.
    pub(crate) remote_tag: String,
}

impl DialogId {
    /// The dialog that a request claims to be in; `None` when its To has no tag.
    pub(crate) fn of_request(request: &Request) -> Option<Self> {
        let from = request.headers.from();
        Some(Self {
            call_id: request.headers.call_id()?.to_owned(),
            local_tag: request.headers.to()?.tag()?.to_owned(),
            remote_tag: from.as_ref().and_then(NameAddr::tag).unwrap_or_default().to_owned(),
        })
    }

    /// The dialog that a request of ours is in; `None` when its To has no tag.
    pub(crate) fn of_own(request: &Request) -> Option<Self> {
        Some(Self {
            call_id: request.headers.call_id()?.to_owned(),
            local_tag: request.headers.from()?.tag()?.to_owned(),
            remote_tag: request.headers.to()?.tag()?.to_owned(),
        })
    }
}
