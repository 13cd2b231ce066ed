//! TCP listeners, for TLS too.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::ListenerId;
use super::connection::Arrival;

/// Connections that the kernel keeps until we take them.
const BACKLOG: i32 = 1024;
/// After this the kernel asks a silent peer whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// The rest after a failed accept: without file descriptors the next one fails too.
const REST: Duration = Duration::from_millis(100);

pub(crate) fn bind(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Hands every connection to the driver, which decides whether it is wanted.
pub(crate) async fn accept(listener: TcpListener, id: ListenerId, arrivals: mpsc::Sender<Arrival>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                let arrival = Arrival::Accepted { listener: id, stream, peer };
                if arrivals.send(arrival).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Messages go out at once, and a peer that has vanished is noticed.
pub(crate) fn prepare(stream: &TcpStream) {
    // Both are wishes: a connection without them works too.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
}
