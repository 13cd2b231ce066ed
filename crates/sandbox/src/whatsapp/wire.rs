//! The Graph API's connections, which can be cut: before the answer, or in its middle.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const WHOLE: u8 = 0;
const HALF: u8 = 1;
const CUT: u8 = 2;

/// Cuts the connection that it belongs to.
#[derive(Clone, Default)]
pub(crate) struct Knife(Arc<AtomicU8>);

impl Knife {
    /// Nothing more is written: the peer sees the connection close without an answer.
    pub(crate) fn cut(&self) {
        self.0.store(CUT, Ordering::Release);
    }

    /// The next answer is written with its headers and half of its body, then the connection closes.
    pub(crate) fn halve(&self) {
        self.0.store(HALF, Ordering::Release);
    }

    /// How much of this may be written.
    fn allowed(&self, bytes: &[u8]) -> Option<usize> {
        match self.0.load(Ordering::Acquire) {
            WHOLE => Some(bytes.len()),
            HALF => {
                self.cut();
                let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
                Some(head + (bytes.len() - head) / 2)
            }
            _ => None,
        }
    }
}

impl Connected<IncomingStream<'_, Cuttable>> for Knife {
    fn connect_info(stream: IncomingStream<'_, Cuttable>) -> Self {
        stream.io().knife.clone()
    }
}

/// A listener whose connections have a [`Knife`].
pub(crate) struct Cuttable(pub(crate) TcpListener);

impl Listener for Cuttable {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.0).await;
        (Wire { stream, knife: Knife::default() }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// One connection.
pub(crate) struct Wire {
    stream: TcpStream,
    knife: Knife,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.knife.allowed(bytes) {
            Some(length) => Pin::new(&mut self.stream).poll_write(context, &bytes[..length]),
            None => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
