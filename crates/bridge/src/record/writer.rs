//! Brings records into their file: beside the calls, and for as long as it takes.
#![expect(clippy::disallowed_methods, reason = "the time of day, for the name of a full file, and the clock")]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, sleep_until};
use wa_signaling::Wacid;
use wa_signaling::webhook::event::Terminate;

use super::assembly::WhatsAppEnd;
use super::folder::Folder;
use super::held::Held;
use super::log::Log;
use super::queue::Queue;
use super::schema::Record;
use crate::alarm::{Alarm, Alarms};
use crate::config;

/// The most lines of one attempt: no longer are other writers kept out.
const BATCH: usize = 1000;
/// The first pause after a failure, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The alarm of records that gave way has a subject of its own, to be seen beside the other.
const LOST: &str = "lost";

/// The records of the calls of this bridge.
#[derive(Debug)]
pub(crate) struct Records {
    settings: config::Records,
    alarms: Arc<Alarms>,
    pending: Mutex<Pending>,
    /// How many lines wait.
    waiting: watch::Sender<usize>,
    /// There is something new to do.
    wake: Notify,
    /// An attempt is wanted now, whatever the last one came to.
    hurry: Notify,
    written: AtomicU64,
}

#[derive(Debug, Default)]
struct Pending {
    queue: Queue,
    held: Held,
}

impl Records {
    pub(crate) fn new(settings: config::Records, alarms: Arc<Alarms>) -> Arc<Self> {
        Arc::new(Self {
            settings,
            alarms,
            pending: Mutex::default(),
            waiting: watch::Sender::new(0),
            wake: Notify::new(),
            hurry: Notify::new(),
            written: AtomicU64::new(0),
        })
    }

    /// Takes a record; it never waits.
    pub(crate) fn write(&self, record: Record) {
        if self.settings.path.is_none() {
            return;
        }
        let record = if self.settings.mask_numbers { record.masked() } else { record };
        self.change(|pending, push| {
            let is_held = Held::is_worth_it(&record);
            let next = if is_held { pending.held.hold(Instant::now(), record) } else { Some(record) };
            if let Some(record) = next {
                push(pending, &record);
            }
        });
    }

    /// WhatsApp's last word of a call, whose record may wait for it.
    pub(crate) fn terminated(&self, terminate: &Terminate) {
        let wacid: &Wacid = &terminate.wacid;
        self.change(|pending, push| {
            if let Some(mut record) = pending.held.take(wacid.as_str()) {
                record.set_whatsapp_end(WhatsAppEnd::of(terminate));
                push(pending, &record);
            }
        });
    }

    /// Waits until all records are written.
    pub(crate) async fn flushed(&self) {
        self.change(|pending, push| pending.held.all().iter().for_each(|record| push(pending, record)));
        self.hurry.notify_one();
        // The sender lives as long as this.
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting == 0).await;
    }

    /// How many records are not written yet.
    pub(crate) fn waiting(&self) -> usize {
        let pending = self.pending();
        pending.queue.len() + pending.held.len()
    }

    /// What is counted, for metrics.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 3] {
        let (waiting, dropped) = (self.waiting(), self.pending().queue.dropped());
        let written = self.written.load(Ordering::Relaxed);
        [("written", written), ("waiting", waiting as u64), ("lost", dropped)]
    }

    /// Writes for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let Some(path) = self.settings.path.clone() else {
            return std::future::pending().await;
        };
        let subject = path.display().to_string();
        let mut log = self.log(&path);
        let mut pause = FIRST_PAUSE;
        loop {
            let result = self.attempt(&path, &mut log).await;
            if let Err(error) = result {
                self.failed(&subject, &error);
                tokio::select! {
                    () = sleep(pause) => {}
                    () = self.hurry.notified() => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else {
                pause = FIRST_PAUSE;
                self.alarms.clear(Alarm::Records, &subject);
                self.alarms.clear(Alarm::Records, LOST);
                self.next().await;
            }
        }
    }

    fn log(&self, path: &Path) -> Log<Folder> {
        let config::Records { format, rotate, keep, .. } = self.settings;
        Log::new(Folder::new(path.to_owned()), format, rotate, keep)
    }

    /// Writes what waits, as far as one batch goes.
    async fn attempt(&self, path: &Path, log: &mut Log<Folder>) -> io::Result<()> {
        self.change(|pending, push| {
            pending.held.due(Instant::now()).iter().for_each(|record| push(pending, record));
        });
        let (from, lines) = self.pending().queue.batch(BATCH);
        let mut taken = std::mem::replace(log, self.log(path));
        // A disk may take its time.
        let attempt = tokio::task::spawn_blocking(move || {
            let (count, result) = taken.write(wall(), &lines);
            (taken, count, result)
        });
        let (back, count, result) = attempt.await.map_err(io::Error::other)?;
        *log = back;
        self.written.fetch_add(count as u64, Ordering::Relaxed);
        self.change(|pending, _| pending.queue.written(from, count));
        result
    }

    /// Waits until there is something to write.
    async fn next(&self) {
        loop {
            let due = {
                let pending = self.pending();
                if pending.queue.len() > 0 {
                    return;
                }
                pending.held.next_due()
            };
            let due = async {
                match due {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => return,
                () = self.wake.notified() => {}
                () = self.hurry.notified() => {}
            }
        }
    }

    fn failed(&self, subject: &str, error: &io::Error) {
        // Another writer has the file for a moment.
        if error.kind() == io::ErrorKind::WouldBlock {
            return;
        }
        let text = format!(
            "records of calls can't be written and wait in memory: {error}; make room or correct records.path"
        );
        self.alarms.raise(Alarm::Records, subject, text);
    }

    /// Changes what waits, and tells those who want to know.
    fn change(&self, with: impl FnOnce(&mut Pending, &dyn Fn(&mut Pending, &Record))) {
        let push = |pending: &mut Pending, record: &Record| {
            if pending.queue.push(self.settings.format.line(record)) {
                self.alarms.raise(Alarm::Records, LOST, "too many records wait: the oldest are lost");
            }
        };
        let mut pending = self.pending();
        with(&mut pending, &push);
        let waiting = pending.queue.len();
        drop(pending);
        self.waiting.send_replace(waiting);
        self.wake.notify_one();
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
