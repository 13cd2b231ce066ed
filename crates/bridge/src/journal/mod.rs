//! The journal: which WhatsApp calls and SIP legs are open, on disk, so that a crash leaves none behind.
//!
//! One thread owns the file (`writer`). Whoever changes a row tells it and goes on; what has changed when
//! the thread comes round goes into one transaction, so that many calls share an fsync. Who must know that a
//! row is on disk before it acts waits at [`Journal::barrier`], for a bounded time: a call is worth more than
//! its entry. The newest state of every row stays in memory as well, so that after a fault of the disk all is
//! written again.

mod entry;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sip_core::LegId;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::error;

pub(crate) use entry::Entry;
use store::Failure;

use crate::alarm::{Alarm, Alarms};
use crate::id::CallId;
use crate::mark::Instance;

/// How long a request to WhatsApp waits for the disk.
const BARRIER: Duration = Duration::from_millis(500);
/// How long the start waits for the file to be read; what is found later is dealt with later.
const OPENING: Duration = Duration::from_secs(5);
/// How long the end waits for the last rows.
const CLOSING: Duration = Duration::from_secs(1);
/// Open calls and legs at a time. Ten times what a bridge carries; more can only be calls whose end was
/// never confirmed, and a new one is not kept.
const MOST: usize = 200_000;
/// Changed rows that wait for the disk; with more of them everything is written again instead.
const MOST_CHANGED: usize = 100_000;

type Bytes = Arc<[u8]>;

/// Names a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Call(CallId),
    Leg(u64),
}

/// The journal is somebody else's.
#[derive(Debug, thiserror::Error)]
#[error(
    "journal.path = {path:?}: {}; {}",
    Failure::Locked,
    Failure::Locked.remedy()
)]
pub struct Locked {
    path: PathBuf,
}

/// What a former life of the bridge left open.
#[derive(Debug, Default)]
pub(crate) struct Former {
    pub(crate) calls: Vec<Entry>,
    /// Records of SIP legs, as `sip-core` wrote them, each with its row.
    pub(crate) legs: Vec<(u64, Vec<u8>)>,
}

impl Former {
    /// Whether WhatsApp calls can be ended at once.
    pub(crate) fn has_ends(&self) -> bool {
        self.calls.iter().any(|call| call.wacid.is_some())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.legs.is_empty()
    }
}

/// What comes of opening the file.
#[derive(Debug)]
enum Opening {
    /// It could be read. The name is what it says that we are called.
    Read(Former, Option<Instance>),
    /// Another process has it.
    Locked,
    /// Not now; [`Opening::Read`] may follow.
    Failed,
}

/// The journal; a clone is the same one.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    /// Nothing where there is none by configuration.
    owner: Option<Arc<Owner>>,
    instance: Instance,
}

/// Lets the file go when the last of the journal's clones is dropped.
#[derive(Debug)]
struct Owner(Arc<Inner>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What is found in a file that could not be read at the start.
#[derive(Debug)]
pub(crate) struct Later(mpsc::UnboundedReceiver<Opening>);

impl Later {
    /// Waits for it; nothing when there will be none.
    pub(crate) async fn found(&mut self) -> Option<Former> {
        loop {
            if let Opening::Read(former, _) = self.0.recv().await? {
                return Some(former);
            }
        }
    }
}

#[derive(Debug)]
struct Inner {
    subject: String,
    alarms: Arc<Alarms>,
    state: Mutex<State>,
    /// Something has changed.
    changed: Condvar,
    progress: watch::Sender<Progress>,
}

/// How far the writing is.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The last change that is on disk.
    written: u64,
    /// Nothing can be written.
    is_failing: bool,
    /// The file is closed.
    is_closed: bool,
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<Key, Bytes>,
    /// Rows that are not on disk as they are in `rows`.
    changed: BTreeSet<Key>,
    /// Nothing on disk counts: all rows have to be written.
    is_whole: bool,
    /// Counts changes.
    last: u64,
    /// Our name, once it is known.
    instance: Option<Instance>,
    legs: Legs,
    is_closing: bool,
}

/// Which row a leg has.
#[derive(Debug, Default)]
struct Legs {
    rows: HashMap<LegId, u64>,
    next: u64,
}

impl Journal {
    /// None: calls go on without one. `instance` is what we are called.
    pub(crate) fn none(instance: Instance) -> Self {
        Self { owner: None, instance }
    }

    /// Opens or begins the file and waits, for a bounded time, for what stands in it. Without a name given
    /// the bridge is called as the file says, else by the fresh one.
    ///
    /// # Errors
    /// Another process has the file.
    pub(crate) async fn open(
        path: PathBuf,
        given: Option<Instance>,
        fresh: Instance,
        alarms: Arc<Alarms>,
    ) -> Result<(Self, Former, Later), Locked> {
        let subject = path.display().to_string();
        Self::open_at(path.clone(), subject, given, fresh, alarms).await.ok_or(Locked { path })
    }

    async fn open_at(
        place: impl store::Place,
        subject: String,
        given: Option<Instance>,
        fresh: Instance,
        alarms: Arc<Alarms>,
    ) -> Option<(Self, Former, Later)> {
        let state = State { instance: given.clone(), is_whole: true, ..State::default() };
        let inner = Arc::new(Inner {
            subject,
            alarms,
            state: Mutex::new(state),
            changed: Condvar::new(),
            progress: watch::Sender::default(),
        });
        let (opening, mut opened) = mpsc::unbounded_channel();
        writer::spawn(Arc::clone(&inner), place, opening);
        let first = timeout(OPENING, opened.recv()).await.ok().flatten();
        let (former, found) = match first {
            Some(Opening::Read(former, instance)) => (former, instance),
            Some(Opening::Locked) => return None,
            Some(Opening::Failed) | None => (Former::default(), None),
        };
        let instance = given.or(found).unwrap_or(fresh);
        inner.lock().named(instance.clone());
        inner.changed.notify_one();
        let owner = Some(Arc::new(Owner(inner)));
        Some((Self { owner, instance }, former, Later(opened)))
    }

    /// What we are called.
    pub(crate) fn instance(&self) -> &Instance {
        &self.instance
    }

    /// A WhatsApp call that may be open, or what is newly known of it.
    pub(crate) fn put(&self, entry: &Entry) {
        self.change(|state| state.set(Key::Call(entry.mark.call.clone()), Some(entry.to_bytes().into())));
    }

    /// A WhatsApp call that is known to be over.
    pub(crate) fn remove(&self, call: &CallId) {
        self.change(|state| state.set(Key::Call(call.clone()), None));
    }

    /// What there is to end of a SIP leg; nothing when it is over.
    pub(crate) fn leg(&self, leg: LegId, record: Option<&[u8]>) {
        self.change(|state| state.leg(leg, record.map(Into::into)));
    }

    /// A row that nothing can be done about.
    pub(crate) fn forget_leg(&self, row: u64) {
        self.change(|state| state.set(Key::Leg(row), None));
    }

    /// This leg ends what a former life has left in this row.
    pub(crate) fn take_over(&self, row: u64, leg: LegId) {
        self.change(|state| {
            state.legs.rows.insert(leg, row);
            false
        });
    }

    /// Waits until all changes so far are on disk, for a short time; goes on with an alarm where they can't
    /// be written.
    pub(crate) async fn barrier(&self) {
        let Some(inner) = self.inner() else {
            return;
        };
        let last = inner.lock().last;
        let mut progress = inner.progress.subscribe();
        let written = progress.wait_for(|at| at.is_failing || at.is_closed || at.written >= last);
        if timeout(BARRIER, written).await.is_err() {
            let text = format!(
                "the journal's disk takes more than {BARRIER:?} to write: a crash now could leave calls open; look at that disk"
            );
            inner.alarms.raise(Alarm::Journal, &inner.subject, text);
        }
    }

    /// Writes what is left and lets the file go.
    pub(crate) async fn close(&self) {
        let Some(inner) = self.inner() else {
            return;
        };
        inner.close();
        let mut progress = inner.progress.subscribe();
        let _ = timeout(CLOSING, progress.wait_for(|at| at.is_closed)).await;
    }

    fn inner(&self) -> Option<&Inner> {
        self.owner.as_ref().map(|owner| &*owner.0)
    }

    fn change(&self, change: impl FnOnce(&mut State) -> bool) {
        if let Some(inner) = self.inner() {
            let changed = change(&mut inner.lock());
            if changed {
                inner.changed.notify_one();
            }
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().is_closing = true;
        self.changed.notify_one();
    }
}

impl State {
    /// Changes a row; false when it was so before.
    fn set(&mut self, key: Key, value: Option<Bytes>) -> bool {
        match value {
            Some(value) if self.rows.get(&key) == Some(&value) => return false,
            Some(_) if self.rows.len() >= MOST && !self.rows.contains_key(&key) => {
                error!(?key, "the journal is full: this call would not be ended after a crash");
                return false;
            }
            Some(value) => drop(self.rows.insert(key.clone(), value)),
            None if self.rows.remove(&key).is_none() => return false,
            None => {}
        }
        self.last += 1;
        if self.is_whole || self.changed.len() >= MOST_CHANGED {
            self.rewrite();
        } else {
            self.changed.insert(key);
        }
        true
    }

    fn leg(&mut self, leg: LegId, record: Option<Bytes>) -> bool {
        let Some(record) = record else {
            return self.legs.rows.remove(&leg).is_some_and(|row| self.set(Key::Leg(row), None));
        };
        let row = self.legs.row(leg);
        self.set(Key::Leg(row), Some(record))
    }

    fn named(&mut self, instance: Instance) {
        if self.instance.as_ref() != Some(&instance) {
            self.instance = Some(instance);
            self.last += 1;
            self.rewrite();
        }
    }

    /// All rows have to be written.
    fn rewrite(&mut self) {
        self.is_whole = true;
        self.changed.clear();
    }

    /// What stood in the file is ours from now on, unless we know better.
    fn adopt(&mut self, rows: Vec<(Key, Bytes)>) -> Former {
        let mut former = Former::default();
        for (key, value) in rows {
            match key {
                Key::Call(_) if self.rows.contains_key(&key) => {}
                Key::Call(ref call) => match Entry::parse(&value) {
                    Ok(entry) => {
                        former.calls.push(entry);
                        self.rows.insert(key, value);
                    }
                    Err(error) => {
                        error!(%call, %error, "an entry of the journal is unreadable: its call can't be ended");
                    }
                },
                Key::Leg(row) => {
                    let row = self.legs.adopt(row);
                    former.legs.push((row, value.to_vec()));
                    self.rows.insert(Key::Leg(row), value);
                }
            }
        }
        self.last += 1;
        self.rewrite();
        former
    }
}

impl Legs {
    /// A row of a former life; another one where ours has its number.
    fn adopt(&mut self, row: u64) -> u64 {
        let row = if self.rows.values().any(|ours| *ours == row) { self.next } else { row };
        self.next = self.next.max(row.saturating_add(1));
        row
    }

    /// The row of a leg.
    fn row(&mut self, leg: LegId) -> u64 {
        *self.rows.entry(leg).or_insert_with(|| {
            self.next += 1;
            self.next - 1
        })
    }
}
