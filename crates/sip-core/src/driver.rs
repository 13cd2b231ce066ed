//! Runs the endpoint on a UDP socket: datagrams, commands and the deadline go in, datagrams and events come out.
//!
//! Nothing here waits without bound: commands queue up to [`COMMAND_QUEUE`], then `send` waits. Events queue up to
//! [`EVENT_QUEUE`], then the driver reads no more datagrams until the user has caught up (the kernel drops what
//! overflows, peers retransmit), but it goes on taking commands and keeping time, so that the two cannot lock each other.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::endpoint::{
    Command, Counters, Endpoint, EndpointConfig, Input, LegId, Listener, Notice, Output, SipCounters, count,
};
use crate::message::parse::MAX_DATAGRAM;
use crate::profile::TrunkProfile;
use crate::transaction::timer::Timers;
use crate::transport::{Flow, TrunkId, udp};

/// Commands that wait for the driver; beyond, [`Sip::send`] waits.
pub const COMMAND_QUEUE: usize = 1024;
/// Events that wait for the user; beyond, no more datagrams are read.
pub const EVENT_QUEUE: usize = 4096;

/// How the endpoint is bound and what it says of itself.
#[derive(Clone)]
pub struct SipConfig {
    /// The listeners. Their advertised port 0 stands for the port that was bound.
    pub listeners: Vec<Listener>,
    /// The trunks.
    pub trunks: Vec<TrunkProfile>,
    /// For the User-Agent and Server header fields.
    pub user_agent: String,
    /// The key of all branches and tags: new and random for each run.
    pub seed: [u8; 32],
    /// T1, T2, T4.
    pub timers: Timers,
    /// Whose messages are read: the trunk that an address belongs to. Those of any other address are dropped in silence,
    /// before parsing.
    pub trunk_of: Arc<dyn Fn(IpAddr) -> Option<TrunkId> + Send + Sync>,
}

impl fmt::Debug for SipConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipConfig").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

/// The user's handle on the endpoint.
#[derive(Debug, Clone)]
pub struct Sip {
    commands: mpsc::Sender<Command>,
    next_leg: Arc<AtomicU64>,
    local: SocketAddr,
    counters: Arc<Counters>,
}

impl Sip {
    /// The name of a new outgoing leg.
    pub fn new_leg(&self) -> LegId {
        LegId(self.next_leg.fetch_add(2, Ordering::Relaxed))
    }

    /// Hands a command to the endpoint; waits while its queue is full. After the driver has ended it has no effect.
    pub async fn send(&self, command: Command) {
        if self.commands.send(command).await.is_err() {
            tracing::warn!("the SIP driver has ended");
        }
    }

    /// The address that is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What has been counted.
    pub fn counters(&self) -> SipCounters {
        self.counters.snapshot()
    }
}

/// The task that runs the endpoint.
pub struct Driver {
    socket: UdpSocket,
    endpoint: Endpoint,
    trunk_of: Arc<dyn Fn(IpAddr) -> Option<TrunkId> + Send + Sync>,
    counters: Arc<Counters>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Notice>,
    /// Events that the user's queue had no room for.
    overflow: VecDeque<Notice>,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// Binds the socket. The endpoint lives as long as [`Driver::run`] is awaited.
pub async fn bind(config: SipConfig) -> io::Result<(Sip, mpsc::Receiver<Notice>, Driver)> {
    let mut listener = *config.listeners.first().ok_or(io::ErrorKind::InvalidInput)?;
    let socket = udp::bind(listener.local)?;
    let local = socket.local_addr()?;
    listener.local = local;
    if listener.advertised.port() == 0 {
        listener.advertised.set_port(local.port());
    }
    let counters = Arc::<Counters>::default();
    let endpoint_config = EndpointConfig {
        listeners: vec![listener],
        trunks: config.trunks,
        user_agent: config.user_agent,
        seed: config.seed,
        timers: config.timers,
    };
    let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
    let (events, event_receiver) = mpsc::channel(EVENT_QUEUE);
    let sip = Sip {
        commands: command_sender,
        next_leg: Arc::new(AtomicU64::new(2)),
        local,
        counters: Arc::clone(&counters),
    };
    let driver = Driver {
        socket,
        endpoint: Endpoint::with_counters(endpoint_config, Arc::clone(&counters)),
        trunk_of: config.trunk_of,
        counters,
        commands,
        events,
        overflow: VecDeque::new(),
    };
    Ok((sip, event_receiver, driver))
}

enum Woken {
    Datagram(io::Result<(usize, SocketAddr)>),
    Command(Option<Command>),
    Deadline,
    /// The user took an event, or will never take one again.
    Room(bool),
}

impl Driver {
    /// Runs until all [`Sip`] handles or the event receiver are gone, or the socket fails.
    pub async fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; MAX_DATAGRAM + 1];
        loop {
            match self.wait(&mut buffer).await {
                Woken::Datagram(Ok((length, source))) => {
                    self.datagram(buffer.get(..length).unwrap_or_default(), source);
                }
                Woken::Datagram(Err(error)) if is_of_one_peer(&error) => {}
                Woken::Datagram(Err(error)) => return Err(error),
                Woken::Command(Some(command)) => self.endpoint.handle(clock(), Input::Command(command)),
                Woken::Deadline => self.endpoint.handle(clock(), Input::Timeout),
                Woken::Room(true) => {}
                Woken::Command(None) | Woken::Room(false) => return Ok(()),
            }
            if !self.drain().await {
                return Ok(());
            }
        }
    }

    async fn wait(&mut self, buffer: &mut [u8]) -> Woken {
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
            received = self.socket.recv_from(buffer), if !behind => Woken::Datagram(received),
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

    fn datagram(&mut self, bytes: &[u8], source: SocketAddr) {
        count(&self.counters.datagrams_in);
        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
        let Some(trunk) = (self.trunk_of)(source.ip()) else {
            return count(&self.counters.not_allowed);
        };
        let flow = Flow { trunk, ..Flow::udp(source) };
        self.endpoint.handle(clock(), Input::Datagram { flow, bytes });
    }

    /// Does what the endpoint wants; `false` when nobody takes the events any more.
    async fn drain(&mut self) -> bool {
        while let Some(output) = self.endpoint.poll() {
            match output {
                Output::Send { flow, bytes, origin } => {
                    let Err(error) = self.socket.send_to(&bytes, flow.peer).await else {
                        count(&self.counters.datagrams_out);
                        continue;
                    };
                    count(&self.counters.send_errors);
                    tracing::warn!(%flow, %error, "a datagram could not be sent");
                    if udp::is_fatal_for_datagram(&error) {
                        self.endpoint.handle(clock(), Input::TransportError { origin });
                    }
                }
                Output::Notice(event) if self.overflow.is_empty() => match self.events.try_send(event) {
                    Ok(()) => {}
                    Err(mpsc::error::TrySendError::Full(event)) => self.overflow.push_back(event),
                    Err(mpsc::error::TrySendError::Closed(_)) => return false,
                },
                Output::Notice(event) => self.overflow.push_back(event),
            }
        }
        true
    }
}

/// An ICMP error about one peer shows up at the next receive; the socket itself is well.
fn is_of_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable | Interrupted
    )
}

/// Tokio's clock, which is the one that its timers keep; a test may stop it.
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}
