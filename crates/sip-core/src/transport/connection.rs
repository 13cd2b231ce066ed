//! One connection: its opening, its messages in both directions, its end. A task runs each.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task;
use tokio::time::{Instant, timeout, timeout_at};

use super::tls::client::Connector;
use super::tls::server::Acceptor;
use super::{Flow, ListenerId};
use crate::endpoint::Origin;
use crate::message::framing::{Decoder, Fault, Framed, PONG};

/// What is read at once.
const CHUNK: usize = 8192;
/// Messages that are remembered until the first byte comes back on a connection of ours; further ones count as delivered.
const MAX_UNHEARD: usize = 32;

/// How long things may take on a connection, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// All connections together; further ones are closed at once, and none is opened.
    pub total: usize,
    /// Those from one address.
    pub per_source: usize,
    /// Messages that wait to be written on one; beyond, sending fails.
    pub queue: usize,
    /// For a TCP handshake of ours.
    pub connect: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a message to its last.
    pub message: Duration,
    /// For writing one message.
    pub write: Duration,
    /// Without a byte from the peer. A call may be silent for as long as its session timer allows, so this is long.
    pub idle: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total: 4096,
            per_source: 512,
            queue: 256,
            connect: Duration::from_secs(4),
            handshake: Duration::from_secs(5),
            message: Duration::from_secs(10),
            write: Duration::from_secs(10),
            idle: Duration::from_secs(2 * 3600),
        }
    }
}

/// What is to be written on a connection.
#[derive(Debug)]
pub(crate) enum Item {
    Message(Outgoing),
    /// Nothing more: it is closed when all before has been written.
    Close,
}

/// A message on its way.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) bytes: Bytes,
    pub(crate) origin: Origin,
    /// It was lost with one connection already.
    pub(crate) again: bool,
}

/// What connections tell the driver.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A peer has connected.
    Accepted { listener: ListenerId, stream: TcpStream, peer: SocketAddr },
    /// A message came.
    Message { flow: Flow, bytes: Bytes },
    /// The peer broke the framing; nothing more is read.
    Broken { connection: task::Id, flow: Flow, fault: Fault },
    /// This was not written, or not as a whole.
    Undelivered { flow: Flow, message: Outgoing, unreachable: bool },
}

/// How a connection of ours is opened.
#[derive(Debug)]
pub(crate) struct Dial {
    /// One after the other.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The address of our end, if it matters.
    pub(crate) from: Option<IpAddr>,
    pub(crate) tls: Option<(Arc<Connector>, Option<String>)>,
}

/// A connection's own end of things.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) flow: Flow,
    pub(crate) queue: mpsc::Receiver<Item>,
    pub(crate) arrivals: mpsc::Sender<Arrival>,
    pub(crate) limits: ConnectionLimits,
}

impl Connection {
    /// Runs a connection that a peer opened.
    pub(crate) async fn accepted(mut self, stream: TcpStream, tls: Option<Arc<Acceptor>>) {
        let ended = match tls {
            None => self.talk(stream).await,
            Some(tls) => match within(self.limits.handshake, tls.accept(stream)).await {
                Ok(stream) => self.talk(stream).await,
                Err(error) => Ended::unopened(error),
            },
        };
        if let Err(error) = ended.result {
            tracing::debug!(flow = %self.flow, %error, "a connection ended");
        }
        self.give_back(ended.unwritten, false).await;
    }

    /// Opens a connection and runs it. One on which nothing ever came back is none: what was written on it is lost.
    pub(crate) async fn dialled(mut self, dial: Dial) {
        let ended = match self.open(&dial).await {
            Err(error) => Ended::unopened(error),
            Ok(stream) => match dial.tls {
                None => self.talk(stream).await,
                Some((tls, name)) => {
                    let connect = tls.connect(stream, name, self.flow.peer.ip());
                    match within(self.limits.handshake, connect).await {
                        Ok(stream) => self.talk(stream).await,
                        Err(error) => Ended::unopened(error),
                    }
                }
            },
        };
        match ended.result {
            Err(error) if !ended.heard => tracing::warn!(flow = %self.flow, %error, "no connection"),
            Err(error) => tracing::debug!(flow = %self.flow, %error, "a connection ended"),
            Ok(()) => {}
        }
        let unheard = if ended.heard { Vec::new() } else { ended.unheard };
        self.give_back(unheard.into_iter().chain(ended.unwritten), !ended.heard).await;
    }

    async fn open(&self, dial: &Dial) -> io::Result<TcpStream> {
        let mut error = io::ErrorKind::AddrNotAvailable.into();
        for address in &dial.addresses {
            match within(self.limits.connect, connect(dial.from, *address)).await {
                Ok(stream) => return Ok(stream),
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    /// Reads and writes until one of the two has ended.
    async fn talk(&mut self, stream: impl AsyncRead + AsyncWrite + Send) -> Ended {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let life = Life::default();
        let mut writing = Writing::default();
        let result = tokio::select! {
            biased;
            result = read(&mut reader, self.flow, &self.arrivals, &life, self.limits) => result,
            result = write(&mut writer, &mut self.queue, &life, &mut writing, self.limits) => result,
        };
        // A ping whose sender has closed its half already.
        if result.is_ok() && timeout(Duration::ZERO, life.pings.notified()).await.is_ok() {
            let _ = within(self.limits.write, writer.write_all(PONG)).await;
        }
        let _ = within(self.limits.write, writer.shutdown()).await;
        let heard = life.heard.load(Ordering::Relaxed);
        Ended { result, heard, unheard: writing.unheard, unwritten: writing.unwritten }
    }

    /// Nothing is lost in silence.
    async fn give_back(mut self, lost: impl IntoIterator<Item = Outgoing>, unreachable: bool) {
        self.queue.close();
        for message in lost {
            self.undelivered(message, unreachable).await;
        }
        while let Some(item) = self.queue.recv().await {
            if let Item::Message(message) = item {
                self.undelivered(message, unreachable).await;
            }
        }
    }

    async fn undelivered(&self, message: Outgoing, unreachable: bool) {
        let arrival = Arrival::Undelivered { flow: self.flow, message, unreachable };
        // Without a driver there is nobody to tell.
        let _ = self.arrivals.send(arrival).await;
    }
}

/// What reader and writer of a connection must know of each other.
#[derive(Debug, Default)]
struct Life {
    /// Asks for a [`PONG`].
    pings: Notify,
    /// Something has come from the peer.
    heard: AtomicBool,
}

/// What the writer has not got rid of.
#[derive(Debug, Default)]
struct Writing {
    unwritten: Option<Outgoing>,
    /// Written before anything was heard.
    unheard: Vec<Outgoing>,
}

/// How a connection ended.
struct Ended {
    result: io::Result<()>,
    heard: bool,
    unheard: Vec<Outgoing>,
    unwritten: Option<Outgoing>,
}

impl Ended {
    fn unopened(error: io::Error) -> Self {
        Self { result: Err(error), heard: false, unheard: Vec::new(), unwritten: None }
    }
}

async fn connect(from: Option<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from.filter(|from| from.is_ipv4() == to.is_ipv4()) {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = socket.connect(to).await?;
    super::tcp::prepare(&stream);
    Ok(stream)
}

async fn read(
    reader: &mut (impl AsyncRead + Unpin),
    flow: Flow,
    arrivals: &mpsc::Sender<Arrival>,
    life: &Life,
    limits: ConnectionLimits,
) -> io::Result<()> {
    let mut decoder = Decoder::default();
    let mut chunk = vec![0; CHUNK];
    let mut message_began = None;
    loop {
        let until = match message_began {
            Some(began) => began + limits.message,
            None => Instant::now() + limits.idle,
        };
        let length = match timeout_at(until, reader.read(&mut chunk)).await {
            Ok(length) => length?,
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        };
        if length == 0 {
            return Ok(());
        }
        life.heard.store(true, Ordering::Relaxed);
        decoder.push(chunk.get(..length).unwrap_or_default());
        if take(&mut decoder, flow, arrivals, &life.pings).await? {
            message_began = None;
        }
        match &message_began {
            _ if !decoder.is_within_message() => message_began = None,
            None => message_began = Some(Instant::now()),
            Some(_) => {}
        }
    }
}

/// Hands up what is whole. Was there a message?
async fn take(
    decoder: &mut Decoder,
    flow: Flow,
    arrivals: &mpsc::Sender<Arrival>,
    pings: &Notify,
) -> io::Result<bool> {
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    let mut any = false;
    loop {
        match decoder.next() {
            Ok(Some(Framed::Message(bytes))) => {
                any = true;
                arrivals.send(Arrival::Message { flow, bytes }).await.map_err(gone)?;
            }
            Ok(Some(Framed::Ping)) => pings.notify_one(),
            Ok(None) => return Ok(any),
            Err(fault) => {
                let connection = task::id();
                arrivals.send(Arrival::Broken { connection, flow, fault }).await.map_err(gone)?;
                // The answer is still to be written; the driver then closes.
                std::future::pending::<()>().await;
            }
        }
    }
}

async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    queue: &mut mpsc::Receiver<Item>,
    life: &Life,
    writing: &mut Writing,
    limits: ConnectionLimits,
) -> io::Result<()> {
    loop {
        let item = tokio::select! {
            item = queue.recv() => item,
            () = life.pings.notified() => {
                within(limits.write, write_out(writer, PONG)).await?;
                continue;
            }
        };
        let Some(Item::Message(message)) = item else {
            return Ok(());
        };
        let bytes = message.bytes.clone();
        writing.unwritten = Some(message);
        // The end of a connection that has been idle shows only now: what is written after it is lost in silence.
        task::yield_now().await;
        within(limits.write, write_out(writer, &bytes)).await?;
        let written = writing.unwritten.take();
        if life.heard.load(Ordering::Relaxed) {
            writing.unheard = Vec::new();
        } else if writing.unheard.len() < MAX_UNHEARD {
            writing.unheard.extend(written);
        }
    }
}

async fn write_out(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
