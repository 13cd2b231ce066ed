//! The books of the present life: what each leg has to end, and what of that the user has been told.

use std::collections::HashMap;

use bytes::Bytes;

use super::part::{Kind, Part};
use super::{LegRecord, MAX_PARTS};
use crate::dialog::id::DialogId;
use crate::endpoint::LegId;
use crate::endpoint::leg::UserHeaders;
use crate::transaction::TransactionId;

/// What a part is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::endpoint) enum Thread {
    /// An INVITE without its final response, or with one that is not acknowledged yet.
    Invite(TransactionId),
    /// A dialog that stands, or whose BYE is not answered yet.
    Dialog(DialogId),
}

/// What there is to end, as it is written.
#[derive(Debug)]
pub(super) struct Entry {
    bytes: Bytes,
    /// What makes it worth being told again. Of a dialog only where its peer is: the numbers that it counts on with are
    /// far below those of the next life.
    essence: Bytes,
}

impl Entry {
    pub(super) fn of(part: &Part) -> Self {
        let bytes = part.to_bytes();
        let essence = match part.kind {
            Kind::Incoming | Kind::Outgoing => bytes.clone(),
            Kind::Dialog => part.message.uri.to_string().into(),
        };
        Self { bytes, essence }
    }
}

/// The books. A leg is in them as long as it has something to end: no more of them than of transactions and dialogs.
#[derive(Debug, Default)]
pub(in crate::endpoint) struct Records {
    /// Are the legs of this life recorded? Those of a former life always are.
    on: bool,
    legs: HashMap<LegId, Page>,
    /// The legs whose page has changed since the user was told; emptied with every input.
    changed: Vec<LegId>,
}

#[derive(Debug, Default)]
struct Page {
    parts: Vec<(Thread, Entry)>,
    changed: bool,
    /// Does the user hold a record of it?
    told: bool,
    /// Of a former life: what its BYE or CANCEL is to say.
    former: Option<UserHeaders>,
}

impl Records {
    pub(in crate::endpoint) fn new(on: bool) -> Self {
        Self { on, ..Self::default() }
    }

    /// Is this leg recorded?
    pub(super) fn keeps(&self, leg: LegId) -> bool {
        self.on || self.is_former(leg)
    }

    /// Is this a leg of a former life? The user hears nothing of it but its records.
    pub(in crate::endpoint) fn is_former(&self, leg: LegId) -> bool {
        self.legs.get(&leg).is_some_and(|page| page.former.is_some())
    }

    /// What the BYE or CANCEL of a leg of a former life is to say.
    pub(in crate::endpoint) fn headers(&self, leg: LegId) -> UserHeaders {
        self.legs.get(&leg).and_then(|page| page.former.clone()).unwrap_or_default()
    }

    /// Has this leg something to end?
    pub(super) fn knows(&self, leg: LegId) -> bool {
        self.legs.contains_key(&leg)
    }

    /// Is there an INVITE among what it has to end?
    pub(super) fn has_invite(&self, leg: LegId) -> bool {
        let invite = |(thread, _): &(Thread, Entry)| matches!(thread, Thread::Invite(_));
        self.legs.get(&leg).is_some_and(|page| page.parts.iter().any(invite))
    }

    /// What was recorded of this.
    pub(super) fn part(&self, leg: LegId, thread: &Thread) -> Option<Part> {
        let (_, entry) = self.legs.get(&leg)?.parts.iter().find(|(known, _)| known == thread)?;
        Part::read(&mut &*entry.bytes).ok()
    }

    /// The user holds a record of a former life, and is told at once what becomes of it.
    pub(super) fn begin_former(&mut self, leg: LegId, headers: UserHeaders) {
        let page = self.legs.entry(leg).or_default();
        page.former = Some(headers);
        page.told = true;
        self.note(leg);
    }

    /// The leg has this to end, in this way.
    pub(super) fn open(&mut self, leg: LegId, thread: Thread, part: Entry) {
        if !self.keeps(leg) {
            return;
        }
        let page = self.legs.entry(leg).or_default();
        match page.parts.iter().position(|(known, _)| *known == thread) {
            None if page.parts.len() >= MAX_PARTS => return tracing::warn!(%leg, "too many forks to record"),
            None => page.parts.push((thread, part)),
            Some(at) => match page.parts.get_mut(at) {
                Some((_, known)) if known.essence != part.essence => *known = part,
                _ => return,
            },
        }
        self.note(leg);
    }

    /// This much has ended.
    pub(in crate::endpoint) fn close(&mut self, leg: LegId, thread: &Thread) {
        self.retain(leg, |known| known != thread);
    }

    /// The call has ended: of these dialogs nothing is left, nor of an INVITE that began one of them.
    pub(in crate::endpoint) fn close_call(&mut self, leg: LegId, dialogs: &[DialogId]) {
        let former = self.is_former(leg);
        self.retain(leg, |known| match known {
            // The 503 of a former life may still want its ACK: the peer may not have known of the dialog.
            Thread::Invite(_) => former,
            Thread::Dialog(dialog) => !dialogs.contains(dialog),
        });
    }

    fn retain(&mut self, leg: LegId, wanted: impl Fn(&Thread) -> bool) {
        let Some(page) = self.legs.get_mut(&leg) else {
            return;
        };
        let before = page.parts.len();
        page.parts.retain(|(known, _)| wanted(known));
        if page.parts.len() != before {
            self.note(leg);
        }
    }

    /// The user is to be told of this leg.
    pub(super) fn note(&mut self, leg: LegId) {
        if let Some(page) = self.legs.get_mut(&leg)
            && !std::mem::replace(&mut page.changed, true)
        {
            self.changed.push(leg);
        }
    }

    /// What the user is to be told next.
    pub(super) fn take_changed(&mut self) -> Option<(LegId, Option<LegRecord>)> {
        while let Some(leg) = self.changed.pop() {
            let Some(page) = self.legs.get_mut(&leg) else {
                continue;
            };
            page.changed = false;
            if page.parts.is_empty() {
                let told = page.told;
                self.legs.remove(&leg);
                if told {
                    return Some((leg, None));
                }
                continue;
            }
            match LegRecord::of(page.parts.iter().map(|(_, part)| &part.bytes)) {
                Ok(record) => {
                    page.told = true;
                    return Some((leg, Some(record)));
                }
                Err(error) => tracing::warn!(%leg, %error, "the leg is not recorded"),
            }
        }
        None
    }

    #[cfg(test)]
    pub(in crate::endpoint) fn is_empty(&self) -> bool {
        self.legs.is_empty() && self.changed.is_empty()
    }
}
