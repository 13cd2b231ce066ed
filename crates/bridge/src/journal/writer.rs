//! The thread that owns the file.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::store::{Content, Failure, Place, Store};
use super::{Bytes, Inner, Key, Opening, Progress, State};
use crate::alarm::Alarm;
use crate::mark::Instance;

/// How long after a failure the file is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often a file that another process has is tried at the start: one that was just killed may still be
/// on its way out.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// What goes into one transaction.
struct Batch {
    rows: Vec<(Key, Option<Bytes>)>,
    instance: Option<Instance>,
    is_whole: bool,
    /// The last change that is in it.
    last: u64,
}

struct Writer<P> {
    inner: Arc<Inner>,
    place: P,
    store: Option<Store>,
    /// What stood in the file was read.
    is_read: bool,
    opening: mpsc::UnboundedSender<Opening>,
}

/// Runs until the journal is closed.
pub(super) fn spawn(inner: Arc<Inner>, place: impl Place, opening: mpsc::UnboundedSender<Opening>) {
    let told = Arc::clone(&inner);
    let mut writer = Writer { inner, place, store: None, is_read: false, opening };
    let run = move || writer.run();
    let spawned = std::thread::Builder::new().name("journal".to_owned()).spawn(run);
    if let Err(error) = spawned {
        error!(%error, "the journal's thread can't be started: a crash would leave calls open");
        // Nobody is to wait for it.
        told.progress.send_modify(|progress| progress.is_closed = true);
    }
}

impl<P: Place> Writer<P> {
    fn run(&mut self) {
        if self.begin() {
            while self.step() {}
        }
        self.end();
    }

    /// Writes what there is to write, or tries to get the file back; false when the journal is to be closed.
    fn step(&mut self) -> bool {
        if self.store.is_none() {
            if self.rests() {
                return false;
            }
            if let Err(failure) = self.open() {
                self.failed(&failure);
                return true;
            }
        }
        let Some(batch) = self.next() else {
            return false;
        };
        let written = self
            .store
            .as_ref()
            .map(|store| store.write(batch.instance.as_ref(), &batch.rows, batch.is_whole));
        match written {
            Some(Err(failure)) => self.failed(&failure),
            Some(Ok(())) => self.wrote(&batch),
            None => {}
        }
        true
    }

    /// Opens the file for the first time; false when it is somebody else's.
    fn begin(&mut self) -> bool {
        let mut tries = 1;
        loop {
            match self.open() {
                Ok(()) => return true,
                Err(Failure::Locked) if tries < LOCK_TRIES => {
                    tries += 1;
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(Failure::Locked) => {
                    let _ = self.opening.send(Opening::Locked);
                    return false;
                }
                Err(failure) => {
                    self.failed(&failure);
                    let _ = self.opening.send(Opening::Failed);
                    return true;
                }
            }
        }
    }

    /// Opens the file, and reads it if that is still to be done. A broken one is moved aside.
    fn open(&mut self) -> Result<(), Failure> {
        let opened = Store::open(&self.place).and_then(|store| {
            let content = (!self.is_read).then(|| store.read()).transpose()?;
            Ok((store, content))
        });
        let (store, content) = match opened {
            Err(Failure::Broken(why)) => {
                let aside = self.place.set_aside()?;
                let aside = aside.display();
                error!(
                    journal = self.inner.subject,
                    %aside,
                    "the journal is broken ({why}) and was moved aside: calls that a crash left open can't be ended; a new one is begun"
                );
                (Store::open(&self.place)?, Some(Content::default()))
            }
            opened => opened?,
        };
        self.store = Some(store);
        if let (false, Some(content)) = (self.is_read, content) {
            self.is_read = true;
            let former = self.inner.lock().adopt(content.rows);
            let _ = self.opening.send(Opening::Read(former, content.instance));
        }
        Ok(())
    }

    /// Waits before the file is tried again; true when the journal is to be closed.
    fn rests(&self) -> bool {
        let state = self.inner.lock();
        let rested = self.inner.changed.wait_timeout_while(state, RETRY, |state| !state.is_closing);
        rested.unwrap_or_else(PoisonError::into_inner).0.is_closing
    }

    /// What there is to write; waits for it. Nothing when the journal is to be closed.
    fn next(&self) -> Option<Batch> {
        let mut state = self.inner.lock();
        loop {
            if state.is_due() {
                return Some(state.batch());
            }
            if state.is_closing {
                return None;
            }
            state = self.inner.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn wrote(&self, batch: &Batch) {
        self.inner.progress.send_replace(Progress { written: batch.last, ..Progress::default() });
        self.inner.alarms.clear(Alarm::Journal, &self.inner.subject);
    }

    /// The file is opened anew and written as a whole, in a while.
    fn failed(&mut self, failure: &Failure) {
        self.store = None;
        self.inner.lock().rewrite();
        let text = format!(
            "the journal {} can't be written: {failure}; calls go on, but a crash now would leave them open; {}",
            self.inner.subject,
            failure.remedy()
        );
        self.inner.alarms.raise(Alarm::Journal, &self.inner.subject, text);
        self.inner.progress.send_modify(|progress| progress.is_failing = true);
    }

    fn end(&mut self) {
        self.store = None;
        if self.inner.lock().is_due() {
            warn!("the last changes of the journal could not be written");
        }
        info!(journal = self.inner.subject, "the journal is closed");
        self.inner.progress.send_modify(|progress| progress.is_closed = true);
    }
}

impl State {
    /// There is something to write. The first time all that is to be written waits for our name.
    fn is_due(&self) -> bool {
        !self.changed.is_empty() || self.is_whole && self.instance.is_some()
    }

    fn batch(&mut self) -> Batch {
        let changed = std::mem::take(&mut self.changed);
        let rows = if self.is_whole {
            self.rows.iter().map(|(key, value)| (key.clone(), Some(Arc::clone(value)))).collect()
        } else {
            changed.into_iter().map(|key| (key.clone(), self.rows.get(&key).cloned())).collect()
        };
        let is_whole = std::mem::take(&mut self.is_whole);
        let instance = self.instance.clone().filter(|_| is_whole);
        Batch { rows, instance, is_whole, last: self.last }
    }
}
