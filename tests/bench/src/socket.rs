//! The load's sockets: many datagrams at a time, each with the kernel's stamp.

use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;

/// Datagrams taken at a time.
pub(crate) const BATCH: usize = 64;
const LARGEST: usize = 2048;
/// Each socket takes everything of all calls.
const KERNEL_BUFFER: usize = 16 << 20;

/// A packet as it came.
pub(crate) struct Arrival {
    pub(crate) from: SocketAddr,
    /// The kernel's time, as [`now_ns`] counts it.
    pub(crate) at: u64,
    place: usize,
    len: usize,
}

/// Where datagrams are taken to.
pub(crate) struct Inbox {
    buffers: Vec<u8>,
    headers: MultiHeaders<SockaddrIn>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            buffers: vec![0; BATCH * LARGEST],
            headers: MultiHeaders::preallocate(BATCH, Some(cmsg_space!(TimeSpec))),
        }
    }

    /// What an arrival of the last [`Self::take`] brought.
    pub(crate) fn packet(&mut self, arrival: &Arrival) -> &mut [u8] {
        let start = arrival.place * LARGEST;
        &mut self.buffers[start..start + arrival.len]
    }

    /// The next datagrams of a socket, in place of those taken before.
    pub(crate) fn take(&mut self, socket: &UdpSocket) -> Result<Vec<Arrival>> {
        let mut slices: Vec<_> =
            self.buffers.chunks_exact_mut(LARGEST).map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        let came = match recvmmsg(socket.as_raw_fd(), &mut self.headers, slices.iter_mut(), flags, None) {
            Ok(came) => came,
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut arrivals = Vec::with_capacity(BATCH);
        for (place, message) in came.enumerate() {
            let stamp = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(at) => Some(at),
                _ => None,
            });
            let at = stamp.map_or(0, |at| at.tv_sec() as u64 * 1_000_000_000 + at.tv_nsec() as u64);
            let from = message
                .address
                .map_or(([0, 0, 0, 0], 0).into(), |from| SocketAddr::new(from.ip().into(), from.port()));
            arrivals.push(Arrival { from, at, place, len: message.bytes });
        }
        Ok(arrivals)
    }
}

/// A socket whose datagrams are stamped when they come.
pub(crate) fn bind() -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    if setsockopt(&socket, sockopt::RcvBufForce, &KERNEL_BUFFER).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &KERNEL_BUFFER)?;
    }
    Ok(socket)
}

/// Nanoseconds by the clock of the kernel's stamps.
pub(crate) fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
