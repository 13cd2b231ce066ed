//! How a worker is started and told what to do, and what each command does to its call.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Poll, Waker};

use super::call::{Call, Tools, WhatsAppRemote};
use super::counters::{Counters, RelayCounters};
use super::timer::Timers;
use super::{CONTROL, READY, Slots, Worker};
use crate::announcement::Announcement;
use crate::hold::HoldSound;
use crate::path::{DigitMode, Party};
use crate::sdp::pbx;
use crate::tone::Tone;

/// Commands that wait for one worker. When it is full, the caller waits for
/// the worker's next turn: a few hundred microseconds, and no command is lost.
const CONTROL_QUEUE: usize = 1024;
/// Commands taken per turn, so that packets are not kept waiting.
const CONTROL_BURST: usize = 64;

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

/// Whether the worker takes another turn.
#[derive(PartialEq, Eq)]
pub(super) enum Turn {
    Next,
    Last,
}

impl Worker {
    /// Does what was asked of it, as much as a turn has room for.
    pub(super) fn control(&mut self, now: Instant) -> Turn {
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
}
