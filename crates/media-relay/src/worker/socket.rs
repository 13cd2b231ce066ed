//! A call's sockets.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};

use crate::ports::{BIND_ATTEMPTS, PortLease, PortPool};

/// About two seconds of 20 ms packets, as the kernel accounts for them (it
/// doubles the figure and charges some 1 kB a packet). A flooded call must not
/// hold more of the machine than that.
const KERNEL_BUFFER: usize = 64 * 1024;
/// DSCP EF (RFC 3246), in the place where the ToS octet has it.
const EXPEDITED_FORWARDING: u32 = 46 << 2;

/// Why there is no socket.
#[derive(Debug)]
pub(crate) enum BindError {
    /// Every port is taken, resting, or somebody else's.
    NoPort,
    Io(io::Error),
}

/// A socket and the port it holds.
pub(crate) struct MediaSocket {
    // Dropped in this order: a port rests from when its socket has closed.
    socket: UdpSocket,
    port: u16,
    /// Of a pair it is one lease.
    _lease: Arc<PortLease>,
    /// An IPv6 socket that takes IPv4 as well. Inside, its IPv4 addresses are IPv4
    /// addresses; only the kernel sees them mapped (RFC 4291 2.5.5.2).
    is_dual_stack: bool,
}

impl MediaSocket {
    /// Binds the next port of `pool` that is not somebody else's.
    pub(crate) fn bind(pool: &Arc<PortPool>, ip: IpAddr) -> Result<Self, BindError> {
        for _ in 0..BIND_ATTEMPTS {
            let lease = pool.take().ok_or(BindError::NoPort)?;
            match udp(SocketAddr::new(ip, lease.port())) {
                Ok(socket) => return Ok(Self::new(socket, lease.port(), ip, Arc::new(lease))),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(BindError::Io(error)),
            }
        }
        Err(BindError::NoPort)
    }

    /// Binds the next port of `pool` and its odd neighbour (RFC 3550 11), neither of them somebody
    /// else's.
    pub(crate) fn bind_pair(pool: &Arc<PortPool>, ip: IpAddr) -> Result<(Self, Self), BindError> {
        for _ in 0..BIND_ATTEMPTS {
            let lease = Arc::new(pool.take().ok_or(BindError::NoPort)?);
            let bind = |port| -> io::Result<Self> {
                let socket = udp(SocketAddr::new(ip, port))?;
                Ok(Self::new(socket, port, ip, Arc::clone(&lease)))
            };
            let even = lease.port();
            match bind(even).and_then(|rtp| Ok((rtp, bind(even + 1)?))) {
                Ok(pair) => return Ok(pair),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(BindError::Io(error)),
            }
        }
        Err(BindError::NoPort)
    }

    fn new(socket: UdpSocket, port: u16, ip: IpAddr, lease: Arc<PortLease>) -> Self {
        Self { socket, port, _lease: lease, is_dual_stack: is_dual_stack(ip) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn source(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }

    /// The next datagram; `None` when there is none.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        loop {
            match self.socket.recv_from(buffer) {
                Ok((len, source)) => return Some((len, unmapped(source))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                // Interrupted, or what ICMP said of an earlier packet: that
                // uses the error up, and there may be a datagram behind it.
                Err(error) if is_passing(&error) => {}
                Err(_) => return None,
            }
        }
    }

    /// Whether the datagram went out. One that did not is lost, as others are.
    pub(super) fn send(&self, datagram: &[u8], to: SocketAddr) -> bool {
        let to = if self.is_dual_stack { mapped(to) } else { to };
        self.socket.send_to(datagram, to).is_ok()
    }
}

fn is_dual_stack(bind: IpAddr) -> bool {
    bind.is_ipv6() && bind.is_unspecified()
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        SocketAddr::V6(_) => address,
    }
}

fn unmapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddrV4::new(ip, v6.port()).into(),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // Wishes: a container may refuse them, and the call works without.
    let marked = if address.is_ipv6() {
        socket.set_only_v6(!is_dual_stack(address.ip()))?;
        socket.set_tclass_v6(EXPEDITED_FORWARDING)
    } else {
        Ok(())
    };
    let marked_v4 = if address.is_ipv4() || is_dual_stack(address.ip()) {
        socket.set_tos_v4(EXPEDITED_FORWARDING)
    } else {
        Ok(())
    };
    let (receive, send) =
        (socket.set_recv_buffer_size(KERNEL_BUFFER), socket.set_send_buffer_size(KERNEL_BUFFER));
    for wish in [marked, marked_v4, receive, send] {
        if let Err(error) = wish {
            tracing::debug!(%address, %error, "socket option refused");
        }
    }
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}
