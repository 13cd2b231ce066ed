//! INVITE with Replaces (RFC 3891): which leg it is to take the place of. The user answers the new leg and ends the old.

use super::incoming::Refusal;
use super::leg::Leg;
use super::{Endpoint, LegId};
use crate::dialog::id::DialogId;
use crate::message::{Headers, Params, Request};
use crate::transport::{Flow, TrunkId};

/// The option tag.
pub(super) const TAG: &str = "replaces";

/// The Replaces header field.
#[derive(Debug, PartialEq, Eq)]
struct Replaces {
    dialog: DialogId,
    early_only: bool,
}

impl Replaces {
    /// `None` if there is no such header field; an error if there are several, or if it cannot be read.
    fn of(headers: &Headers) -> Option<Result<Self, ()>> {
        let mut fields = headers.get_all("Replaces");
        let first = fields.next()?;
        let only = fields.next().is_none();
        Some(Self::parse(first).filter(|_| only).ok_or(()))
    }

    fn parse(value: &str) -> Option<Self> {
        let (call_id, params) = value.split_once(';')?;
        let call_id = call_id.trim();
        if call_id.is_empty() || call_id.contains(|c: char| c == ',' || c.is_whitespace()) {
            return None;
        }
        let params = Params::parse(params)?;
        let once = |name: &str| {
            let mut found = params.iter().filter(|(param, _)| param.eq_ignore_ascii_case(name));
            let tag = found.next()?.1.filter(|tag| !tag.is_empty())?;
            found.next().is_none().then(|| tag.to_owned())
        };
        let (local_tag, remote_tag) = (once("to-tag")?, once("from-tag")?);
        let dialog = DialogId { call_id: call_id.to_owned(), local_tag, remote_tag };
        Some(Self { dialog, early_only: params.has("early-only") })
    }
}

impl Endpoint {
    /// The leg that an INVITE is to replace; a refusal if it names none that it may.
    pub(super) fn replaced(&self, flow: Flow, invite: &Request) -> Result<Option<LegId>, Refusal> {
        let replaces = match Replaces::of(&invite.headers) {
            None => return Ok(None),
            Some(Err(())) => return Err((400, Vec::new())),
            Some(Ok(replaces)) => replaces,
        };
        // To a trunk that may not transfer there is no dialog to name: it learns of none, and gets no new call instead.
        let leg = if self.profile(flow.trunk).transfer { self.named(&replaces.dialog) } else { None };
        let state = leg.and_then(|leg| Some((leg, self.legs.get(&leg)?)));
        let Some((leg, state)) = state.filter(|(_, state)| state.trunk() == Some(flow.trunk)) else {
            return Err((481, Vec::new()));
        };
        match state {
            Leg::Ending { .. } => Err((603, Vec::new())),
            Leg::Confirmed(_) if replaces.early_only => Err((486, Vec::new())),
            Leg::Confirmed(_) | Leg::Outgoing(_) => Ok(Some(leg)),
            // An early dialog that the peer began is not to be replaced (RFC 3891 3).
            Leg::Incoming { .. } => Err((481, Vec::new())),
        }
    }

    /// The leg of a dialog; the tag "0" also means that there is none (RFC 3891 3).
    fn named(&self, dialog: &DialogId) -> Option<LegId> {
        let found = self.dialogs.get(dialog).copied();
        if found.is_none() && dialog.remote_tag == "0" {
            let untagged = DialogId { remote_tag: String::new(), ..dialog.clone() };
            return self.dialogs.get(&untagged).copied();
        }
        found
    }
}

impl Leg {
    /// Whose leg it is; none is known before an INVITE of ours has an early dialog.
    fn trunk(&self) -> Option<TrunkId> {
        match self {
            Self::Incoming { session, .. } | Self::Confirmed(session) => Some(session.dialog.trunk()),
            Self::Outgoing(outgoing) => Some(outgoing.early.first()?.dialog.trunk()),
            Self::Ending { trunk, .. } => Some(*trunk),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_header_field_that_names_a_dialog() {
        let of = |values: &[&str]| Replaces::of(&values.iter().map(|value| ("Replaces", *value)).collect());
        let read = of(&["98732@h ;from-tag=r33;to-tag=i22 ;early-only"]).unwrap().unwrap();
        let ids = (read.dialog.call_id, read.dialog.remote_tag, read.dialog.local_tag);
        assert_eq!(ids, ("98732@h".to_owned(), "r33".to_owned(), "i22".to_owned()));
        assert!(read.early_only);
        assert_eq!(of(&[]), None);
        for bad in [
            &["a;to-tag=1"][..],
            &["a;from-tag=1"],
            &["a"],
            &[""],
            &[";to-tag=1;from-tag=2"],
            &["a;to-tag=1;from-tag=2;to-tag=3"],
            &["a;to-tag;from-tag=2"],
            &["a;to-tag=1;from-tag=2", "a;to-tag=1;from-tag=2"],
            &["a;to-tag=1;from-tag=2, b;to-tag=1;from-tag=2"],
        ] {
            assert_eq!(of(bad), Some(Err(())), "{bad:?}");
        }
    }
}
