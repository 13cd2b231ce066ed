//! The loop of the driver.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::change::Control;
use super::{SipTap, TrunkOf};
use crate::endpoint::{Command, Counters, Endpoint, Input, Notice, Output, count};
use crate::message::parse::MAX_DATAGRAM;
use crate::transport::connection::{Arrival, Outgoing};
use crate::transport::connections::Connections;
use crate::transport::strangers::{Gate, Verdict, What, Why};
use crate::transport::udp::{self, Sockets};
use crate::transport::{Flow, ListenerId, Transport, TrunkId, tcp};

/// Datagrams that are read from one socket before anything else gets its turn.
const BATCH: usize = 64;

/// The task that runs the endpoint.
pub struct Driver {
    pub(super) sockets: Sockets,
    pub(super) streams: Vec<(ListenerId, TcpListener)>,
    pub(super) connections: Connections,
    pub(super) arrivals: mpsc::Receiver<Arrival>,
    pub(super) arrival_sender: mpsc::Sender<Arrival>,
    pub(super) endpoint: Endpoint,
    pub(super) trunk_of: TrunkOf,
    pub(super) gate: Gate,
    pub(super) counters: Arc<Counters>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) controls: mpsc::Receiver<Control>,
    pub(super) tap: Option<SipTap>,
    /// Who waits until nothing is on its way.
    pub(super) settling: Vec<oneshot::Sender<()>>,
    pub(super) events: mpsc::Sender<Notice>,
    /// Events that the user's queue had no room for.
    pub(super) overflow: VecDeque<Notice>,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("sockets", &self.sockets).finish_non_exhaustive()
    }
}

enum Woken {
    /// A UDP socket, by its place, has datagrams.
    Socket(io::Result<usize>),
    Arrival(Option<Arrival>),
    Command(Option<Command>),
    Control(Control),
    Deadline,
    /// A connection has ended.
    Reaped,
    /// The user took an event, or will never take one again.
    Room(bool),
}

impl Driver {
    /// Runs until all [`super::Sip`] handles or the event receiver are gone, or a UDP socket fails. What has been sent by
    /// then is still written.
    pub async fn run(mut self) -> io::Result<()> {
        let mut listening = JoinSet::new();
        for (id, listener) in std::mem::take(&mut self.streams) {
            listening.spawn(tcp::accept(listener, id, self.arrival_sender.clone()));
        }
        let ended = self.work().await;
        listening.shutdown().await;
        // Nobody reads what connections still have to say.
        drop(self.arrivals);
        self.connections.finish().await;
        ended
    }

    async fn work(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; MAX_DATAGRAM + 1];
        loop {
            let goes_on = match self.wait().await {
                Woken::Socket(Ok(place)) => self.datagrams(place, &mut buffer).await?,
                Woken::Socket(Err(error)) if udp::is_of_one_peer(&error) => true,
                Woken::Socket(Err(error)) => return Err(error),
                Woken::Arrival(Some(arrival)) => self.arrival(arrival).await,
                Woken::Command(Some(command)) => self.input(Input::Command(command)).await,
                Woken::Control(control) => self.control(control).await,
                Woken::Deadline => self.input(Input::Timeout).await,
                Woken::Reaped | Woken::Room(true) => true,
                Woken::Arrival(None) | Woken::Command(None) | Woken::Room(false) => false,
            };
            self.tell_settled();
            if !goes_on {
                return Ok(());
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let behind = !self.overflow.is_empty();
        let deadline = self.endpoint.deadline();
        let sleep = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            command = self.commands.recv() => Woken::Command(command),
            // With the handles gone, the commands that they have left are still to be read.
            Some(control) = self.controls.recv() => Woken::Control(control),
            place = self.sockets.readable(), if !behind => Woken::Socket(place),
            arrival = self.arrivals.recv(), if !behind => Woken::Arrival(arrival),
            () = self.connections.reap() => Woken::Reaped,
            () = sleep => Woken::Deadline,
            permit = self.events.reserve(), if behind => match permit {
                Ok(permit) => {
                    if let Some(event) = self.overflow.pop_front() {
                        permit.send(event);
                    }
                    Woken::Room(true)
                }
                Err(_) => Woken::Room(false),
            },
        }
    }

    /// Does what there is to do with an input; `false` when nobody takes the events any more.
    pub(super) async fn input(&mut self, input: Input<'_>) -> bool {
        self.endpoint.handle(clock(), input);
        if let Some(flow) = self.endpoint.take_strike() {
            self.gate.strike(clock(), flow.peer.ip(), flow.trunk);
        }
        if let Some(flow) = self.endpoint.take_proof() {
            self.gate.prove(clock(), flow.peer.ip());
        }
        self.drain().await
    }

    /// Reads what a socket has, up to a bound.
    async fn datagrams(&mut self, place: usize, buffer: &mut [u8]) -> io::Result<bool> {
        for _ in 0..BATCH {
            match self.sockets.receive(place, buffer) {
                Ok((listener, length, source)) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    if !self.datagram(listener, bytes, source).await {
                        return Ok(false);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if udp::is_of_one_peer(&error) => {}
                Err(error) => return Err(error),
            }
            if !self.overflow.is_empty() {
                break;
            }
        }
        Ok(true)
    }

    async fn datagram(&mut self, listener: ListenerId, bytes: &[u8], peer: SocketAddr) -> bool {
        count(&self.counters.datagrams_in);
        let flow = Flow { listener, ..Flow::udp(peer) };
        match self.admit(peer, (self.trunk_of)(peer.ip()), What::of(bytes)) {
            Verdict::Read(trunk) => {
                self.read(flow, bytes);
                self.input(Input::Datagram { flow: Flow { trunk, ..flow }, bytes }).await
            }
            Verdict::Forbid => {
                self.input(Input::Refuse { flow, bytes, status: 403, reason: "Forbidden" }).await
            }
            Verdict::Drop(_) => true,
        }
    }

    /// Is this source listened to? Counts and logs those that are not.
    fn admit(&mut self, peer: SocketAddr, trunk: Option<TrunkId>, what: What) -> Verdict {
        let verdict = self.gate.admit(clock(), peer.ip(), trunk, what);
        match verdict {
            Verdict::Read(_) => return verdict,
            Verdict::Forbid | Verdict::Drop(Why::OnNoTrunk) => count(&self.counters.not_allowed),
            Verdict::Drop(Why::Banned) => count(&self.counters.banned),
            Verdict::Drop(Why::TooFast) => count(&self.counters.too_fast),
        }
        while let Some(report) = self.gate.poll() {
            let (source, why) = (report.source, report.why);
            tracing::warn!(%source, ?why, report.count, report.others, "not listened to");
        }
        verdict
    }

    /// Shows a message that is read.
    fn read(&self, flow: Flow, bytes: &[u8]) {
        if let (Some(tap), Some(ours)) = (&self.tap, self.endpoint.listener(flow.listener)) {
            tap(flow.peer, ours.advertised, bytes);
        }
    }

    async fn arrival(&mut self, arrival: Arrival) -> bool {
        match arrival {
            Arrival::Accepted { listener, stream, peer } => {
                self.accepted(listener, stream, peer);
                true
            }
            Arrival::Message { flow, bytes } => {
                count(&self.counters.datagrams_in);
                // Whose connection it is was decided when it began; we may call where nobody may call us from.
                match self.admit(flow.peer, Some(flow.trunk), What::of(&bytes)) {
                    Verdict::Read(_) => {
                        self.read(flow, &bytes);
                        self.input(Input::Datagram { flow, bytes: &bytes }).await
                    }
                    Verdict::Forbid | Verdict::Drop(_) => true,
                }
            }
            Arrival::Broken { connection, flow, fault } => {
                count(&self.counters.broken_streams);
                tracing::debug!(%flow, reason = fault.reason, "a stream is broken");
                self.gate.strike(clock(), flow.peer.ip(), flow.trunk);
                let (status, reason) = (fault.status, fault.reason);
                let goes_on = self.input(Input::Refuse { flow, bytes: &fault.head, status, reason }).await;
                self.connections.close(connection);
                goes_on
            }
            Arrival::Undelivered { flow, message, unreachable } => {
                self.undelivered(flow, message, unreachable).await
            }
        }
    }

    /// Connections of strangers are closed at once, and those that are too many.
    fn accepted(&mut self, listener: ListenerId, stream: TcpStream, peer: SocketAddr) {
        let Verdict::Read(trunk) = self.admit(peer, (self.trunk_of)(peer.ip()), What::Request) else {
            return;
        };
        let transport = match self.endpoint.listener(listener) {
            Some(listener) => listener.transport,
            None => return,
        };
        let flow = Flow { transport, listener, trunk, peer };
        if self.connections.accept(flow, stream) {
            count(&self.counters.connections_in);
        } else {
            count(&self.counters.connections_refused);
        }
    }

    /// What a broken connection still had to write goes by a new one, once (RFC 3261 18.2.2 and 18.4).
    async fn undelivered(&mut self, flow: Flow, message: Outgoing, unreachable: bool) -> bool {
        let origin = message.origin;
        let sent = !unreachable && !message.again && {
            let message = Outgoing { again: true, ..message };
            self.connections.send(flow, message).is_ok()
        };
        if sent {
            return true;
        }
        count(&self.counters.send_errors);
        self.input(Input::TransportError { origin }).await
    }

    /// Does what the endpoint wants; `false` when nobody takes the events any more.
    async fn drain(&mut self) -> bool {
        while let Some(output) = self.endpoint.poll() {
            match output {
                Output::Send { flow, bytes, origin } => {
                    if let (Some(tap), Some(ours)) = (&self.tap, self.endpoint.listener(flow.listener)) {
                        tap(ours.advertised, flow.peer, &bytes);
                    }
                    self.transmit(flow, Outgoing { bytes, origin, again: false }).await;
                }
                Output::Notice(event) if self.overflow.is_empty() => match self.events.try_send(event) {
                    Ok(()) => {}
                    Err(TrySendError::Full(event)) => self.overflow.push_back(event),
                    Err(TrySendError::Closed(_)) => return false,
                },
                Output::Notice(event) => self.overflow.push_back(event),
            }
        }
        true
    }

    async fn transmit(&mut self, flow: Flow, message: Outgoing) {
        let origin = message.origin;
        let failed = match flow.transport {
            Transport::Udp => match self.sockets.send(flow.listener, &message.bytes, flow.peer).await {
                Ok(()) => false,
                Err(error) => {
                    count(&self.counters.send_errors);
                    tracing::warn!(%flow, %error, "a datagram could not be sent");
                    if !udp::is_fatal_for_datagram(&error) {
                        return;
                    }
                    true
                }
            },
            Transport::Tcp | Transport::Tls => self.connections.send(flow, message).is_err(),
        };
        if !failed {
            return count(&self.counters.datagrams_out);
        }
        if flow.transport.is_reliable() {
            count(&self.counters.send_errors);
            tracing::warn!(%flow, "a message has no room on its connection, or may not have one");
        }
        self.endpoint.handle(clock(), Input::TransportError { origin });
    }
}

/// Tokio's clock, which is the one that its timers keep; a test may stop it.
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}
