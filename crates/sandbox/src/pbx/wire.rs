//! How the phone's messages travel: in datagrams, or on connections (RFC 3261 18) with or without TLS.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

/// Messages that wait to be read or written; a sender waits for its turn.
const QUEUE: usize = 256;
/// The largest message; a connection with more is closed.
const LARGEST: usize = 65_535;

/// What the phone speaks SIP over: one transport, for what it sends and what it takes.
#[derive(Debug, Clone, Default)]
pub enum Transport {
    /// Datagrams.
    #[default]
    Udp,
    /// Connections.
    Tcp,
    /// Connections with TLS.
    Tls(TlsFiles),
}

impl Transport {
    /// As a Via says it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls(_) => "TLS",
        }
    }

    /// What a Contact adds to its URI.
    pub(super) fn parameter(&self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls(_) => ";transport=tls",
        }
    }
}

/// Certificates, in PEM files.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The phone's own.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who must have signed the bridge's.
    pub ca: PathBuf,
    /// The name that must stand in the bridge's.
    pub server_name: String,
}

/// A message with the address that it came from.
pub(super) type Received = (Vec<u8>, SocketAddr);

/// The phone's end of the network.
pub(super) enum Wire {
    /// One socket for all.
    Udp(UdpSocket),
    /// A connection to each peer.
    Streams(Streams),
}

/// Connections by the address of their peer.
pub(super) struct Streams {
    tls: Option<Tls>,
    open: Mutex<HashMap<SocketAddr, mpsc::Sender<Vec<u8>>>>,
    inbox: mpsc::Sender<Received>,
    /// Cancelled when no more connections are taken.
    door: CancellationToken,
    stop: CancellationToken,
}

struct Tls {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    server_name: ServerName<'static>,
}

/// A connection, whatever is below.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Wire {
    /// Listens; what comes in comes out of the receiver until the token is cancelled.
    pub(super) async fn bind(
        transport: &Transport,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> io::Result<(Arc<Self>, SocketAddr, mpsc::Receiver<Received>)> {
        let (inbox, received) = mpsc::channel(QUEUE);
        let tls = match transport {
            Transport::Udp => {
                let socket = UdpSocket::bind(address).await?;
                let local = socket.local_addr()?;
                let wire = Arc::new(Self::Udp(socket));
                tokio::spawn(read_datagrams(Arc::clone(&wire), inbox, stop));
                return Ok((wire, local, received));
            }
            Transport::Tcp => None,
            Transport::Tls(files) => Some(Tls::new(files)?),
        };
        let listener = TcpListener::bind(address).await?;
        let local = listener.local_addr()?;
        let wire = Arc::new(Self::Streams(Streams {
            tls,
            open: Mutex::default(),
            inbox,
            door: stop.child_token(),
            stop,
        }));
        tokio::spawn(accept(Arc::clone(&wire), listener));
        Ok((wire, local, received))
    }

    /// Sends a message, on the connection that there is or on a new one.
    pub(super) async fn send(self: &Arc<Self>, to: SocketAddr, message: Vec<u8>) -> io::Result<()> {
        let streams = match &**self {
            Self::Udp(socket) => return socket.send_to(&message, to).await.map(drop),
            Self::Streams(streams) => streams,
        };
        let there = streams.lock().get(&to).cloned().filter(|connection| !connection.is_closed());
        let connection = match there {
            Some(connection) => connection,
            None => self.begin(streams.connect(to).await?, to),
        };
        connection.send(message).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Takes no more connections; those that are there stay.
    pub(super) fn close_door(&self) {
        if let Self::Streams(streams) = self {
            streams.door.cancel();
        }
    }

    /// Closes the connections that are there; the next message makes a new one.
    pub(super) fn hang_up(&self) {
        if let Self::Streams(streams) = self {
            streams.lock().clear();
        }
    }

    fn begin(self: &Arc<Self>, stream: Box<dyn Stream>, peer: SocketAddr) -> mpsc::Sender<Vec<u8>> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let (read, write) = split(stream);
        if let Self::Streams(streams) = &**self {
            streams.lock().insert(peer, sender.clone());
            tokio::spawn(read_stream(Arc::clone(self), read, peer, sender.downgrade()));
            tokio::spawn(write_stream(write, queue, streams.stop.clone()));
        }
        sender
    }
}

impl Streams {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, mpsc::Sender<Vec<u8>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection is over; another to the same peer may have taken its place.
    fn forget(&self, peer: SocketAddr, own: &mpsc::WeakSender<Vec<u8>>) {
        let Some(own) = own.upgrade() else { return };
        let mut open = self.lock();
        if open.get(&peer).is_some_and(|there| there.same_channel(&own)) {
            open.remove(&peer);
        }
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(to).await?;
        Ok(match &self.tls {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.connector.connect(tls.server_name.clone(), stream).await?),
        })
    }

    async fn accepted(&self, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        Ok(match &self.tls {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.acceptor.accept(stream).await?),
        })
    }
}

impl Tls {
    fn new(files: &TlsFiles) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&files.ca).map_err(io::Error::other)?)
            .map_err(io::Error::other)?;
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let chain = vec![CertificateDer::from_pem_file(&files.certificate).map_err(io::Error::other)?];
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(io::Error::other)?;
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(io::Error::other)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
            server_name: ServerName::try_from(files.server_name.clone()).map_err(io::Error::other)?,
        })
    }
}

async fn read_datagrams(wire: Arc<Wire>, inbox: mpsc::Sender<Received>, stop: CancellationToken) {
    let Wire::Udp(socket) = &*wire else { return };
    let mut buffer = vec![0; LARGEST];
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let Ok((length, from)) = received else { continue };
        if inbox.send((buffer[..length].to_vec(), from)).await.is_err() {
            return;
        }
    }
}

async fn accept(wire: Arc<Wire>, listener: TcpListener) {
    let Wire::Streams(streams) = &*wire else { return };
    loop {
        let accepted = tokio::select! {
            () = streams.door.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else { continue };
        match streams.accepted(stream).await {
            Ok(stream) => drop(wire.begin(stream, peer)),
            Err(error) => tracing::debug!(%error, %peer, "no TLS with the phone"),
        }
    }
}

async fn read_stream(
    wire: Arc<Wire>,
    mut read: ReadHalf<Box<dyn Stream>>,
    peer: SocketAddr,
    own: mpsc::WeakSender<Vec<u8>>,
) {
    let Wire::Streams(streams) = &*wire else { return };
    let mut bytes = Vec::new();
    loop {
        while let Some(message) = first_message(&mut bytes) {
            if streams.inbox.send((message, peer)).await.is_err() {
                return;
            }
        }
        let length = tokio::select! {
            () = streams.stop.cancelled() => 0,
            read = read.read_buf(&mut bytes) => read.unwrap_or(0),
        };
        if length == 0 || bytes.len() > LARGEST {
            streams.forget(peer, &own);
            return;
        }
    }
}

async fn write_stream(
    mut write: WriteHalf<Box<dyn Stream>>,
    mut queue: mpsc::Receiver<Vec<u8>>,
    stop: CancellationToken,
) {
    while let Some(message) = tokio::select! {
        message = queue.recv() => message,
        () = stop.cancelled() => None,
    } {
        if write.write_all(&message).await.is_err() || write.flush().await.is_err() {
            return;
        }
    }
    // The other end sees the end of the connection anyway.
    let _ = write.shutdown().await;
}

/// Takes a whole message off the front (RFC 3261 18.3), and the empty lines before it.
fn first_message(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    while bytes.starts_with(b"\r\n") {
        bytes.drain(..2);
    }
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]);
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("Content-Length") || name.eq_ignore_ascii_case("l");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    let end = head.checked_add(length.unwrap_or(0))?;
    (bytes.len() >= end).then(|| bytes.drain(..end).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_out_of_a_stream() {
        let mut bytes =
            b"\r\n\r\nA\r\nl: 3\r\n\r\nxyzB\r\nContent-Length: 0\r\n\r\nC\r\nl: 2\r\n\r\n1".to_vec();
        assert_eq!(first_message(&mut bytes).unwrap(), b"A\r\nl: 3\r\n\r\nxyz");
        assert_eq!(first_message(&mut bytes).unwrap(), b"B\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(first_message(&mut bytes), None);
        bytes.push(b'2');
        assert_eq!(first_message(&mut bytes).unwrap(), b"C\r\nl: 2\r\n\r\n12");
        assert!(bytes.is_empty());
    }
}
