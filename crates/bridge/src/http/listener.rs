//! The listener of webhooks: plain, or HTTPS with certificates that are read again when their files change.
//!
//! It faces the internet: connections and TLS handshakes are bounded in number and in time, and a connection
//! over which nothing comes is closed.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::tls::Certificates;

/// Most connections; more wait in the operating system's queue.
const MOST: usize = 4096;
/// Most TLS handshakes at once; no more connections are taken meanwhile.
const MOST_HANDSHAKES: usize = 256;
/// Time for a handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// A connection over which nothing has come for so long is closed.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// The pause when the operating system has no connection to give, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(500);

/// Takes connections.
pub(crate) struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<Certificates>>,
    room: Arc<Semaphore>,
    handshakes: JoinSet<io::Result<(Connection, SocketAddr)>>,
}

impl Listener {
    /// Without certificates it is plain.
    pub(crate) fn new(tcp: TcpListener, tls: Option<Certificates>) -> Self {
        let room = Arc::new(Semaphore::new(MOST));
        Self { tcp, tls: tls.map(Arc::new), room, handshakes: JoinSet::new() }
    }

    /// The next connection that TCP has, with its place among the [`MOST`].
    async fn next(tcp: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, SocketAddr, Place) {
        loop {
            let place = Arc::clone(room).acquire_owned().await.ok();
            match tcp.accept().await {
                Ok((stream, peer)) => return (stream, peer, place),
                Err(error) => {
                    warn!(%error, "no webhook connection can be taken");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let may_begin = self.handshakes.len() < MOST_HANDSHAKES;
            tokio::select! {
                Some(ended) = self.handshakes.join_next() => match ended {
                    Ok(Ok(opened)) => return opened,
                    Ok(Err(error)) => debug!(%error, "TLS handshake failed"),
                    Err(error) => warn!(%error, "TLS handshake broke"),
                },
                (stream, peer, place) = Self::next(&self.tcp, &self.room), if may_begin => match &self.tls {
                    None => return (Connection::new(stream, place), peer),
                    Some(certificates) => {
                        let acceptor = TlsAcceptor::from(certificates.current());
                        self.handshakes.spawn(async move {
                            let stream = timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await??;
                            Ok((Connection::new(stream, place), peer))
                        });
                    }
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// One of [`MOST`]; there always is one, for they are never closed.
type Place = Option<OwnedSemaphorePermit>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection; reading fails when nothing has come for [`IDLE_LIMIT`].
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    idle: Pin<Box<Sleep>>,
    _place: Place,
}

impl Connection {
    fn new(stream: impl Stream + 'static, place: Place) -> Self {
        Self { stream: Box::new(stream), idle: Box::pin(sleep(IDLE_LIMIT)), _place: place }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(result) => {
                self.idle.as_mut().reset(Instant::now() + IDLE_LIMIT);
                Poll::Ready(result)
            }
            Poll::Pending => {
                ready!(self.idle.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
