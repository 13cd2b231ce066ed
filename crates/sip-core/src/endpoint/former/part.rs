//! One thing that a leg may have to end, and how it is written: its kind, its ways, and the SIP message that says the rest.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::RecordError;
use crate::message::{Message, Method, Request, parse};
use crate::transport::{Flow, ListenerId, Transport, TrunkId};

/// What is to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A peer's INVITE: it wants its final response. The message is the INVITE, with our tag in its To.
    Incoming,
    /// Our INVITE: it wants its CANCEL. The message is the INVITE.
    Outgoing,
    /// A dialog: it wants its BYE. The message is a BYE with the route set in Record-Route.
    Dialog,
}

/// A way, and the name of the trunk whose it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) flow: Flow,
    pub(super) trunk: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) kind: Kind,
    /// The way of the message.
    pub(super) way: Way,
    /// The way of the dialog that it makes or is in.
    pub(super) dialog_way: Way,
    pub(super) message: Request,
}

impl Kind {
    const ALL: [(u8, Self, Method); 3] = [
        (1, Self::Incoming, Method::Invite),
        (2, Self::Outgoing, Method::Invite),
        (3, Self::Dialog, Method::Bye),
    ];

    fn code(self) -> u8 {
        Self::ALL.iter().find(|(_, kind, _)| *kind == self).map_or(0, |(code, ..)| *code)
    }
}

const TRANSPORTS: [(u8, Transport); 3] = [(1, Transport::Udp), (2, Transport::Tcp), (3, Transport::Tls)];

impl Part {
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut out = vec![self.kind.code()];
        self.way.write(&mut out);
        self.dialog_way.write(&mut out);
        write_bytes(&mut out, &self.message.to_bytes());
        out.into()
    }

    /// Reads the part that begins here.
    pub(super) fn read(rest: &mut &[u8]) -> Result<Self, RecordError> {
        let [code] = take(rest)?;
        let known = Kind::ALL.into_iter().find(|(known, ..)| *known == code);
        let (_, kind, method) = known.ok_or(RecordError::Damaged("kind"))?;
        let (way, dialog_way) = (Way::read(rest)?, Way::read(rest)?);
        match parse::datagram(read_bytes(rest)?) {
            Ok(Message::Request(mut message)) if message.method == method => {
                message.headers.remove("Content-Length");
                Ok(Self { kind, way, dialog_way, message })
            }
            Ok(_) | Err(_) => Err(RecordError::Damaged("message")),
        }
    }
}

impl Way {
    fn write(&self, out: &mut Vec<u8>) {
        let Flow { transport, listener, trunk, peer } = self.flow;
        out.push(TRANSPORTS.iter().find(|(_, known)| *known == transport).map_or(0, |(code, _)| *code));
        out.extend(listener.0.to_be_bytes());
        out.extend(trunk.0.to_be_bytes());
        match peer.ip() {
            IpAddr::V4(ip) => write_bytes(out, &ip.octets()),
            IpAddr::V6(ip) => write_bytes(out, &ip.octets()),
        }
        out.extend(peer.port().to_be_bytes());
        write_bytes(out, self.trunk.as_bytes());
    }

    fn read(rest: &mut &[u8]) -> Result<Self, RecordError> {
        let [code] = take(rest)?;
        let known = TRANSPORTS.iter().find(|(known, _)| *known == code);
        let (_, transport) = *known.ok_or(RecordError::Damaged("transport"))?;
        let listener = ListenerId(u16::from_be_bytes(take(rest)?));
        let trunk = TrunkId(u16::from_be_bytes(take(rest)?));
        let ip = read_ip(read_bytes(rest)?).ok_or(RecordError::Damaged("address"))?;
        let peer = SocketAddr::new(ip, u16::from_be_bytes(take(rest)?));
        let name = std::str::from_utf8(read_bytes(rest)?).map_err(|_| RecordError::Damaged("name"))?;
        Ok(Self { flow: Flow { transport, listener, trunk, peer }, trunk: name.to_owned() })
    }
}

fn read_ip(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// Bytes after their length, in four bytes. The length of all is bounded where the record is put together.
fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn read_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], RecordError> {
    let length = usize::try_from(u32::from_be_bytes(take(rest)?)).unwrap_or(usize::MAX);
    let (bytes, after) = rest.split_at_checked(length).ok_or(RecordError::Damaged("length"))?;
    *rest = after;
    Ok(bytes)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], RecordError> {
    let (bytes, after) = rest.split_first_chunk::<N>().ok_or(RecordError::Damaged("length"))?;
    *rest = after;
    Ok(*bytes)
}
