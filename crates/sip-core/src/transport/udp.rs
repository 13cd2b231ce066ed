//! The UDP socket: a large receive buffer, and which errors of a send concern whom.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// Asked of the kernel, which gives what it allows: room for a burst of some thousand messages.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// Binds a socket for SIP.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    // A smaller buffer than asked for is no reason not to start.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
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
