//! The thread that writes captures. This is IO.
#![expect(clippy::disallowed_methods, reason = "the wall clock of the packets' times")]

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::{error, info};

use super::pcap;

/// The last responses come after the end of a call.
const LINGER: Duration = Duration::from_secs(5);
/// A file to which nothing comes for so long is closed: its end was lost.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// Who looks into a file of a call that lives sees it up to so long ago.
const FLUSH: Duration = Duration::from_secs(1);

/// What the writer is given.
pub(super) enum Item {
    Begin { id: u64, path: PathBuf, dropped: Arc<AtomicU64> },
    Packet { id: u64, at: Instant, from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    End { id: u64 },
}

struct Capture {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    packets: u64,
    /// Packets that found no room, in the queue or in the file.
    dropped: Arc<AtomicU64>,
    close_at: Instant,
    ended: bool,
}

/// Writes until nobody is left to send; no file becomes longer than `most`.
pub(super) fn run(items: &Receiver<Item>, most: u64) {
    let anchor = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let mut open: HashMap<u64, Capture> = HashMap::new();
    let mut tick = Instant::now() + FLUSH;
    loop {
        match items.recv_timeout(tick.saturating_duration_since(Instant::now())) {
            Ok(item) => take(&mut open, item, anchor, most),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let now = Instant::now();
        if now >= tick {
            tick = now + FLUSH;
            open.values_mut().for_each(|capture| drop(capture.file.flush()));
            let due: Vec<u64> =
                open.iter().filter(|(_, one)| one.close_at <= now).map(|(id, _)| *id).collect();
            due.into_iter().filter_map(|id| open.remove(&id)).for_each(close);
        }
    }
    open.into_values().for_each(close);
}

fn take(open: &mut HashMap<u64, Capture>, item: Item, anchor: (Instant, Duration), most: u64) {
    let now = Instant::now();
    match item {
        Item::Begin { id, path, dropped } => match create(&path) {
            Ok(file) => {
                let close_at = now + FORGOTTEN;
                let capture = Capture { path, file, bytes: 24, packets: 0, dropped, close_at, ended: false };
                open.insert(id, capture);
            }
            Err(error) => error!(%error, file = %path.display(), "a call cannot be captured"),
        },
        Item::Packet { id, at, from, to, bytes } => {
            if let Some(capture) = open.get_mut(&id) {
                let wall = anchor.1 + at.saturating_duration_since(anchor.0);
                capture.write(&pcap::record(wall, from, to, &bytes), most);
                if !capture.ended {
                    capture.close_at = now + FORGOTTEN;
                }
            }
        }
        Item::End { id } => {
            if let Some(capture) = open.get_mut(&id) {
                capture.ended = true;
                capture.close_at = now + LINGER;
            }
        }
    }
}

/// Nobody else may read it, nor may it take another's place.
fn create(path: &Path) -> io::Result<BufWriter<File>> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut file = BufWriter::new(file);
    file.write_all(&pcap::file_header())?;
    Ok(file)
}

impl Capture {
    fn write(&mut self, record: &[u8], most: u64) {
        let length = record.len() as u64;
        if self.bytes + length > most || self.file.write_all(record).is_err() {
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        self.bytes += length;
        self.packets += 1;
    }
}

fn close(mut capture: Capture) {
    let flushed = capture.file.flush();
    let (packets, bytes, dropped) = (capture.packets, capture.bytes, capture.dropped.load(Relaxed));
    let file = capture.path.display();
    match flushed {
        Ok(()) => info!(%file, packets, bytes, dropped, "a captured call is written"),
        Err(error) => error!(%file, %error, "a captured call is not written whole"),
    }
}
