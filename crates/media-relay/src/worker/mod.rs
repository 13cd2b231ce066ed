//! A worker: one thread, one poll, the calls that live on it.
//!
//! A packet meets no lock, no allocation of ours, no channel and no log line.
//! Control comes in by a bounded queue, state goes out by the calls' callbacks.
#![expect(clippy::disallowed_methods, reason = "the worker is the clock of the pure machines")]

mod call;
mod counters;
mod pace;
mod pbx_leg;
mod reports;
mod socket;
#[cfg(test)]
mod tests;
mod timer;

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Interest, Poll, Token, Waker};

pub(crate) use call::{Call, Sockets, WhatsAppRemote};
use counters::Counters;
pub use counters::RelayCounters;
use pace::Pace;
pub(crate) use reports::{CallReports, QualityCell};
pub(crate) use socket::{BindError, MediaSocket};
use timer::{Armed, Timers};

use self::call::Tools;
use crate::announcement::Announcement;
use crate::event::{MediaEvent, MediaFailure};
use crate::hold::HoldSound;
use crate::path::{DigitMode, Party};
use crate::sdp::pbx;
use crate::tone::Tone;

/// Commands that wait for one worker. When it is full, the caller waits for
/// the worker's next turn: a few hundred microseconds, and no command is lost.
const CONTROL_QUEUE: usize = 1024;
/// Commands taken per turn, so that packets are not kept waiting.
const CONTROL_BURST: usize = 64;
/// Ready sockets per turn.
const READY: usize = 1024;
/// A call is stepped by its timer once in this at the most.
const SHORTEST_TIMER: Duration = Duration::from_millis(1);

const CONTROL: Token = Token(usize::MAX);

/// The sockets of a call: a slot's place and one of these are a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    Pbx,
    PbxRtcp,
    WhatsApp,
}

impl Port {
    const ALL: [Self; 3] = [Self::Pbx, Self::PbxRtcp, Self::WhatsApp];

    fn token(self, place: usize) -> Token {
        Token(Self::ALL.len() * place + self as usize)
    }

    /// The place, and which of its sockets it is.
    fn of(Token(token): Token) -> (usize, Self) {
        let port = match token % Self::ALL.len() {
            0 => Self::Pbx,
            1 => Self::PbxRtcp,
            _ => Self::WhatsApp,
        };
        (token / Self::ALL.len(), port)
    }
}

/// What a worker is asked to do. The number is the call's.
pub(crate) enum Command {
    Open(u64, Box<Call>),
    ConnectWhatsApp(u64, Box<WhatsAppRemote>),
    ConnectPbx(u64, Box<pbx::Media>),
    DisconnectPbx(u64),
    OpenGate(u64),
    PlayToPbx(u64, Tone),
    PlayToWhatsApp(u64, HoldSound),
    Transferring(u64, Option<HoldSound>),
    Announce(u64, Announcement),
    StopTone(u64),
    SetDigits(u64, DigitMode),
    SendDigit(u64, Party, char, Duration),
    Close(u64),
    Stop,
}

/// How the rest of the crate reaches a worker.
#[derive(Clone)]
pub(crate) struct WorkerHandle {
    commands: SyncSender<Command>,
    waker: Arc<Waker>,
    load: Arc<AtomicUsize>,
    counters: Arc<Counters>,
}

impl WorkerHandle {
    /// Whether the worker is there to do it.
    pub(crate) fn send(&self, command: Command) -> bool {
        let sent = self.commands.send(command).is_ok();
        // A worker that cannot be woken still sees it at its next packet.
        sent && self.waker.wake().is_ok()
    }

    /// Calls on it, those included that are on their way.
    pub(crate) fn load(&self) -> &AtomicUsize {
        &self.load
    }

    pub(crate) fn add_counters(&self, totals: &mut RelayCounters) {
        self.counters.add_to(totals);
    }
}

/// Starts a worker thread.
pub(crate) fn start(number: usize) -> io::Result<(WorkerHandle, JoinHandle<()>)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), CONTROL)?);
    let (commands, queue) = sync_channel(CONTROL_QUEUE);
    let counters = Arc::new(Counters::default());
    let load = Arc::new(AtomicUsize::new(0));
    let worker = Worker {
        poll,
        queue,
        load: Arc::clone(&load),
        slots: Slots::default(),
        timers: Timers::new(),
        tools: Tools::new(Arc::clone(&counters)),
        unfinished: Vec::with_capacity(READY),
        control_left: false,
    };
    let thread = std::thread::Builder::new().name(format!("media-{number}")).spawn(move || worker.run())?;
    let handle = WorkerHandle { commands, waker, load, counters };
    Ok((handle, thread))
}

struct Slot {
    id: u64,
    call: Box<Call>,
    armed: Armed,
}

/// The calls. A slot's place is its sockets' token; a call's number outlives it.
#[derive(Default)]
struct Slots {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    by_id: HashMap<u64, usize>,
}

impl Slots {
    fn insert(&mut self, id: u64, call: Box<Call>) -> usize {
        let slot = Slot { id, call, armed: Armed::default() };
        let place = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(place) {
            Some(free) => *free = Some(slot),
            None => self.slots.push(Some(slot)),
        }
        self.by_id.insert(id, place);
        place
    }

    fn get_mut(&mut self, place: usize) -> Option<&mut Slot> {
        self.slots.get_mut(place)?.as_mut()
    }

    fn by_number(&mut self, id: u64) -> Option<&mut Slot> {
        let place = self.by_id.get(&id).copied()?;
        self.get_mut(place)
    }

    fn remove(&mut self, place: usize) -> Option<Slot> {
        let slot = self.slots.get_mut(place)?.take()?;
        self.by_id.remove(&slot.id);
        self.free.push(place);
        Some(slot)
    }
}

struct Worker {
    poll: Poll,
    queue: Receiver<Command>,
    load: Arc<AtomicUsize>,
    slots: Slots,
    timers: Timers,
    tools: Tools,
    /// Sockets that were not read dry in their turn: edge-triggered, they
    /// will not be reported again.
    unfinished: Vec<Token>,
    /// The control queue was not read dry.
    control_left: bool,
}

impl Worker {
    fn run(mut self) {
        let mut ready = mio::Events::with_capacity(READY);
        let mut turn = Vec::with_capacity(READY);
        let mut pace = Pace::new(Instant::now());
        loop {
            let patience = self.patience(Instant::now());
            match self.poll.poll(&mut ready, patience) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "a media worker cannot poll and stops");
                    break;
                }
            }
            if self.control(Instant::now()) == Turn::Last {
                break;
            }
            turn.append(&mut self.unfinished);
            turn.extend(ready.iter().map(mio::event::Event::token));
            let (now, busy) = (Instant::now(), turn.len());
            for token in turn.drain(..).filter(|token| *token != CONTROL) {
                self.receive(now, token);
            }
            self.fire(Instant::now());
            let rest = pace.rest(now, Instant::now(), busy);
            if let Some(rest) = rest.filter(|_| !self.is_behind()) {
                std::thread::sleep(rest);
            }
        }
        for place in 0..self.slots.slots.len() {
            self.close(place, None);
        }
    }

    /// How long to sleep.
    fn patience(&mut self, now: Instant) -> Option<Duration> {
        if self.is_behind() {
            return Some(Duration::ZERO);
        }
        let slots = &mut self.slots;
        let next = self.timers.next(|id, at| slots.by_number(id)?.armed.surfaces(at))?;
        Some(next.saturating_duration_since(now))
    }

    /// Whether something is left to do that no socket will report.
    fn is_behind(&self) -> bool {
        self.control_left || !self.unfinished.is_empty()
    }

    fn control(&mut self, now: Instant) -> Turn {
        for _ in 0..CONTROL_BURST {
            let Ok(command) = self.queue.try_recv() else {
                self.control_left = false;
                return Turn::Next;
            };
            match command {
                Command::Stop => return Turn::Last,
                Command::Open(id, call) => self.open(id, call),
                Command::Close(id) => {
                    if let Some(place) = self.place(id) {
                        self.close(place, None);
                    }
                }
                Command::ConnectWhatsApp(id, remote) => {
                    self.step(self.place(id), now, |call, _| {
                        call.connect_whatsapp(now, *remote);
                    });
                }
                Command::ConnectPbx(id, media) => {
                    self.step(self.place(id), now, |call, _| call.connect_pbx(now, &media));
                }
                Command::DisconnectPbx(id) => {
                    self.step(self.place(id), now, |call, _| call.disconnect_pbx(now));
                }
                Command::PlayToPbx(id, tone) => {
                    self.step(self.place(id), now, |call, _| call.play_to_pbx(now, tone));
                }
                Command::PlayToWhatsApp(id, sound) => {
                    self.step(self.place(id), now, |call, _| call.play_to_whatsapp(now, sound));
                }
                Command::Transferring(id, sound) => {
                    self.step(self.place(id), now, |call, _| call.path.transferring(sound));
                }
                Command::Announce(id, announcement) => {
                    self.step(self.place(id), now, |call, _| call.announce(now, announcement));
                }
                Command::StopTone(id) => {
                    self.step(self.place(id), now, |call, _| call.path.stop_tone());
                }
                Command::SetDigits(id, mode) => {
                    self.step(self.place(id), now, |call, _| call.path.set_digits(mode));
                }
                Command::SendDigit(id, to, digit, duration) => {
                    self.step(self.place(id), now, |call, _| {
                        if !call.path.send_digit(now, to, digit, duration) {
                            tracing::debug!(?to, "a key cannot be pressed now");
                        }
                    });
                }
                Command::OpenGate(id) => {
                    self.step(self.place(id), now, |call, tools| call.open(now, tools));
                }
            }
        }
        self.control_left = true;
        Turn::Next
    }

    fn place(&self, id: u64) -> Option<usize> {
        self.slots.by_id.get(&id).copied()
    }

    fn open(&mut self, id: u64, call: Box<Call>) {
        self.tools.counters.opened.increment();
        let place = self.slots.insert(id, call);
        let Some(slot) = self.slots.get_mut(place) else {
            return;
        };
        let registry = self.poll.registry();
        let registered = Port::ALL.into_iter().try_for_each(|port| {
            registry.register(slot.call.socket(port).source(), port.token(place), Interest::READABLE)
        });
        if let Err(error) = registered {
            tracing::error!(%error, "a media socket cannot be watched");
            self.close(place, Some(MediaFailure::Unusable("socket not watched")));
        }
    }

    fn receive(&mut self, now: Instant, token: Token) {
        let (place, port) = Port::of(token);
        let mut more = false;
        self.step(Some(place), now, |call, tools| {
            more = call.receive(now, port, tools);
        });
        if more {
            self.unfinished.push(token);
        }
    }

    fn fire(&mut self, now: Instant) {
        while let Some((at, id)) = self.timers.pop_due(now) {
            let place = self.place(id);
            let slot = place.and_then(|place| self.slots.get_mut(place));
            if slot.is_some_and(|slot| slot.armed.fires(at)) {
                self.step(place, now, |call, tools| call.handle_timeout(now, tools));
            }
        }
    }

    /// Lets one call do something. If it panics, that call ends, and no other.
    fn step(&mut self, place: Option<usize>, now: Instant, action: impl FnOnce(&mut Call, &mut Tools)) {
        let Some(place) = place else { return };
        let Some(slot) = self.slots.get_mut(place) else {
            return;
        };
        let tools = &mut self.tools;
        let call = &mut slot.call;
        let deadline = catch_unwind(AssertUnwindSafe(|| {
            action(call, tools);
            call.settle(&tools.counters);
            call.deadline()
        }));
        match deadline {
            Ok(None) => {}
            Ok(Some(at)) => {
                let at = at.max(now + SHORTEST_TIMER);
                self.timers.arm(slot.id, &mut slot.armed, at);
            }
            Err(_) => self.close(place, Some(MediaFailure::Panic)),
        }
    }

    /// Ends a call, because it was asked for or because of `failure`.
    fn close(&mut self, place: usize, failure: Option<MediaFailure>) {
        let Some(mut slot) = self.slots.remove(place) else {
            return;
        };
        self.load.fetch_sub(1, Relaxed);
        let tools = &mut self.tools;
        tools.counters.closed.increment();
        let registry = self.poll.registry();
        for port in Port::ALL {
            // Closing would take them off as well.
            drop(registry.deregister(slot.call.socket(port).source()));
        }
        let orderly = failure.is_none();
        if let Some(failure) = failure {
            tools.counters.failed(&failure);
            // The owner's callback may be what panics: here, below, as it goes.
            drop(catch_unwind(AssertUnwindSafe(|| {
                (slot.call.events)(MediaEvent::Failed(failure));
            })));
        }
        drop(catch_unwind(AssertUnwindSafe(move || {
            if orderly {
                slot.call.close(Instant::now(), tools);
            }
            let summary = slot.call.summary();
            (slot.call.events)(MediaEvent::Closed(Box::new(summary)));
        })));
    }
}

#[derive(PartialEq, Eq)]
enum Turn {
    Next,
    Last,
}
