//! Captures for who looks for trouble: a file a call, with its SIP and its RTP in the clear.
//!
//! Nothing is captured unless the configuration names a folder and somebody orders it, for the next so
//! many calls. The audio path and the SIP driver copy into a bounded queue and never wait; a thread
//! writes. What finds no room is dropped and counted.

mod message;
mod order;
mod pcap;
mod writer;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use media_relay::{Tap, TappedPacket};
use sip_core::SipTap;
use tracing::warn;

use self::writer::Item;
pub(crate) use order::Order;

use crate::config;
use crate::record::Facts;

/// Packets that wait for the writer, about 4 s of 10 calls; beyond it they are dropped and counted.
const QUEUE: usize = 8192;
/// First messages of calls that may turn out to be meant; of more the oldest is forgotten.
const RECENT: usize = 64;
/// The SIP of a call is looked for so long after its end.
const LINGER: Duration = Duration::from_secs(5);

/// What is captured, and what is to be.
pub(crate) struct Captures {
    settings: config::Capture,
    items: Option<SyncSender<Item>>,
    /// Whether messages of SIP are looked at.
    is_active: AtomicBool,
    next: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    order: Order,
    /// Calls that are being captured.
    open: u32,
    /// Of the captured calls, and until when where they have ended.
    call_ids: HashMap<String, (Source, Option<Instant>)>,
    recent: VecDeque<Message>,
}

struct Message {
    at: Instant,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// Copies packets of one call.
#[derive(Clone)]
struct Source {
    id: u64,
    items: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

impl Source {
    fn give(&self, at: Instant, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        if self.items.try_send(Item::Packet { id: self.id, at, from, to, bytes }).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// A call that is being captured, until this is dropped.
pub(crate) struct Recording {
    captures: Arc<Captures>,
    source: Source,
}

impl Recording {
    /// The tap for its audio path.
    pub(crate) fn tap(&self) -> Tap {
        let source = self.source.clone();
        Tap::new(move |TappedPacket { at, from, to, rtp }| source.give(at, from, to, rtp.to_vec()))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.captures.end(&self.source);
    }
}

impl Captures {
    /// Starts the writer, where there is a folder.
    ///
    /// # Errors
    /// Its thread cannot be started.
    pub(crate) fn new(settings: config::Capture) -> io::Result<Arc<Self>> {
        let items = match &settings.folder {
            Some(_) => {
                let (items, queue) = sync_channel(QUEUE);
                let most = settings.most_bytes;
                std::thread::Builder::new()
                    .name("capture".to_owned())
                    .spawn(move || writer::run(&queue, most))?;
                Some(items)
            }
            None => None,
        };
        Ok(Arc::new(Self {
            settings,
            items,
            is_active: AtomicBool::new(false),
            next: AtomicU64::new(1),
            state: Mutex::default(),
        }))
    }

    /// Where captures are possible, they see every message of SIP.
    #[expect(clippy::disallowed_methods, reason = "when a message came")]
    pub(crate) fn sip_tap(self: &Arc<Self>) -> Option<SipTap> {
        let captures = Arc::clone(self);
        self.items.is_some().then(|| -> SipTap {
            Arc::new(move |from, to, bytes| captures.sip(Instant::now(), from, to, bytes))
        })
    }

    /// The next calls that are meant are captured, in place of those ordered before.
    ///
    /// # Errors
    /// What is wrong with the order.
    pub(crate) fn order(&self, order: Order) -> Result<(), String> {
        let Some(folder) = &self.settings.folder else {
            return Err("captures are off: write [capture] with a folder".to_owned());
        };
        if order.calls > self.settings.max_files {
            return Err(format!("calls: {} are more than capture.max_files", order.calls));
        }
        if order.calls > 0 {
            warn!(
                ?order,
                folder = %folder.display(),
                "calls will be captured with their sound, which is personal data"
            );
        }
        let mut state = self.lock();
        state.order = order;
        self.wake(&state);
        Ok(())
    }

    /// What is still to be captured, and how many calls are.
    pub(crate) fn status(&self) -> (Order, u32) {
        let state = self.lock();
        (state.order.clone(), state.open)
    }

    /// Captures the call that begins, if it is meant and there is room.
    pub(crate) fn begin(self: &Arc<Self>, now: Instant, facts: &Facts) -> Option<Recording> {
        if !self.is_active.load(Relaxed) {
            return None;
        }
        let (folder, items) = (self.settings.folder.as_ref()?, self.items.clone()?);
        let mut state = self.lock();
        if !state.order.is_for(facts.trunk.as_deref(), |number| facts.concerns(number)) {
            return None;
        }
        let files = files(folder);
        if state.open >= self.settings.max_calls || files >= u64::from(self.settings.max_files) {
            warn!(
                open = state.open,
                files, "a call is not captured: capture.max_calls or max_files is reached"
            );
            return None;
        }
        let call = facts.mark.call.as_str();
        let path = folder.join(format!("{call}.pcap"));
        warn!(file = %path.display(), "this call is captured with its sound, which is personal data");
        let source = Source { id: self.next.fetch_add(1, Relaxed), items, dropped: Arc::default() };
        let begin = Item::Begin { id: source.id, path, dropped: Arc::clone(&source.dropped) };
        source.items.try_send(begin).ok()?;
        state.order.calls -= 1;
        state.open += 1;
        state.call_ids.retain(|_, (_, until)| until.is_none_or(|until| until > now));
        let sip = facts.mark.sip_call_id.as_deref();
        for id in [Some(call), sip].into_iter().flatten() {
            state.call_ids.insert(id.to_owned(), (source.clone(), None));
        }
        let recent = std::mem::take(&mut state.recent);
        for Message { at, from, to, bytes } in recent {
            if message::call_id(&bytes) == sip {
                source.give(at, from, to, bytes);
            } else {
                state.recent.push_back(Message { at, from, to, bytes });
            }
        }
        self.wake(&state);
        drop(state);
        Some(Recording { captures: Arc::clone(self), source })
    }

    /// A message of SIP has come, or goes.
    pub(crate) fn sip(&self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if !self.is_active.load(Relaxed) {
            return;
        }
        let Some(call_id) = message::call_id(bytes) else {
            return;
        };
        let mut state = self.lock();
        match state.source(now, call_id) {
            Some(source) => source.give(now, from, to, message::masked(bytes)),
            // It may be meant: that is known when the call begins.
            None if state.order.calls > 0 => {
                if state.recent.len() >= RECENT {
                    state.recent.pop_front();
                }
                state.recent.push_back(Message { at: now, from, to, bytes: message::masked(bytes) });
            }
            None => {}
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the end of a call that may have panicked")]
    fn end(&self, source: &Source) {
        let until = Instant::now() + LINGER;
        // A writer with a full queue closes the file later by itself.
        let _ = source.items.try_send(Item::End { id: source.id });
        let mut state = self.lock();
        state.open = state.open.saturating_sub(1);
        for (of, end) in state.call_ids.values_mut() {
            if of.id == source.id {
                *end = Some(until);
            }
        }
    }

    fn wake(&self, state: &State) {
        self.is_active.store(state.order.calls > 0 || !state.call_ids.is_empty(), Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Of the call with this Call-ID: legs of ours have a number behind the call's own.
    fn source(&self, now: Instant, call_id: &str) -> Option<Source> {
        let own = || self.call_ids.get(call_id.rsplit_once('-')?.0);
        let (source, until) = self.call_ids.get(call_id).or_else(own)?;
        until.is_none_or(|until| until > now).then(|| source.clone())
    }
}

/// Captures that are there already.
fn files(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "pcap")).count() as u64
}

#[cfg(test)]
mod tests;
