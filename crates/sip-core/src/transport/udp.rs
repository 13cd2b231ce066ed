//! UDP sockets: a large receive buffer, which errors concern whom, and waiting for several at once.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::ListenerId;

/// Asked of the kernel, which gives what it allows: room for a burst of some thousand messages.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// Binds a socket for SIP. An IPv6 one takes IPv4 too, unless it is told otherwise.
pub(crate) fn bind(address: SocketAddr, only_v6: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // A smaller buffer than asked for is no reason not to start.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// The UDP sockets among the listeners.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    sockets: Vec<(ListenerId, UdpSocket, SocketAddr)>,
    /// Which is asked first: each in its turn.
    first: usize,
}

impl Sockets {
    pub(crate) fn add(&mut self, id: ListenerId, socket: UdpSocket, local: SocketAddr) {
        self.sockets.push((id, socket, local));
    }

    /// Waits until one has something to read; gives its place.
    pub(crate) async fn readable(&mut self) -> io::Result<usize> {
        std::future::poll_fn(|context| self.poll_readable(context)).await
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let count = self.sockets.len();
        for step in 0..count {
            let at = (self.first + step) % count;
            let Some((_, socket, _)) = self.sockets.get(at) else {
                continue;
            };
            if let Poll::Ready(ready) = socket.poll_recv_ready(context) {
                self.first = at + 1;
                return Poll::Ready(ready.map(|()| at));
            }
        }
        Poll::Pending
    }

    /// Reads one datagram, without waiting.
    pub(crate) fn receive(
        &self,
        place: usize,
        buffer: &mut [u8],
    ) -> io::Result<(ListenerId, usize, SocketAddr)> {
        let (id, socket, _) = self.sockets.get(place).ok_or(io::ErrorKind::NotFound)?;
        let (length, source) = socket.try_recv_from(buffer)?;
        Ok((*id, length, SocketAddr::new(source.ip().to_canonical(), source.port())))
    }

    /// Sends from this listener, or where it is none of UDP or of another IP version, from the first that can.
    pub(crate) async fn send(&self, from: ListenerId, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        // An IPv6 socket for all addresses takes IPv4 as well.
        let reaches = |local: &SocketAddr| {
            local.is_ipv4() == to.is_ipv4() || (local.is_ipv6() && local.ip().is_unspecified())
        };
        let chosen = self.sockets.iter().find(|(id, _, local)| *id == from && reaches(local));
        let other = || self.sockets.iter().find(|(_, _, local)| reaches(local));
        let (_, socket, local) = chosen.or_else(other).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let to = match to.ip() {
            IpAddr::V4(ip) if local.is_ipv6() => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        };
        socket.send_to(bytes, to).await.map(|_| ())
    }
}

/// Does this error mean that the datagram will never get through? A full queue is like a lost datagram: the
/// retransmission gets through.
pub(crate) fn is_fatal_for_datagram(error: &io::Error) -> bool {
    const ENOBUFS: i32 = 105;
    let transient = matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory
    );
    !transient && error.raw_os_error() != Some(ENOBUFS)
}

/// An ICMP error about one peer shows up at the next receive; the socket itself is well.
pub(crate) fn is_of_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable | Interrupted
    )
}
