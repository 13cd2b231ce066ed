//! A worker: one thread, one poll, the calls that live on it. Here is its turn: from what woke it, a
//! packet or a timer, to the call that is meant.
//!
//! A packet meets no lock, no allocation of ours, no channel and no log line.
//! Control comes in by a bounded queue (`control`), state goes out by the calls' callbacks.
#![expect(clippy::disallowed_methods, reason = "the worker is the clock of the pure machines")]

mod call;
mod control;
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
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use mio::{Interest, Poll, Token};

pub(crate) use call::{Call, Sockets, WhatsAppRemote};
pub(crate) use control::{Command, WorkerHandle, start};
pub use counters::RelayCounters;
use pace::Pace;
pub(crate) use reports::{CallReports, QualityCell};
pub(crate) use socket::{BindError, MediaSocket};
use timer::{Armed, Timers};

use self::call::Tools;
use self::control::Turn;
use crate::event::{MediaEvent, MediaFailure};

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
