//! What a PBX's description says of its audio.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sdp_types::{Connection, Media, Session};

use super::super::crypto::Crypto;
use super::super::{Format, SdpError, attribute, flag, formats, values};
use super::Direction;

/// RFC 3551 4.2: what a stream without `a=ptime` uses.
const DEFAULT_PTIME_MS: u32 = 20;

/// Lines of `a=crypto` that are kept of a stream; those behind are passed over. Devices write one to
/// eight.
const MAX_CRYPTOS: usize = 16;

/// An audio stream over RTP or SRTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Audio {
    pub(super) remote: SocketAddr,
    pub(super) rtcp: Option<SocketAddr>,
    pub(super) formats: Vec<Format>,
    pub(super) ptime_ms: u32,
    pub(super) direction: Direction,
    /// Its profile demands SRTP.
    pub(super) is_secure: bool,
    /// The keys that we could use.
    pub(super) cryptos: Vec<Crypto>,
    pub(super) rtcp_mux: bool,
}

/// The audio streams over RTP/AVP, RTP/AVPF, RTP/SAVP or RTP/SAVPF that were not refused, one at
/// least, each with its place among the `m=` lines.
pub(super) fn audios(session: &Session) -> Result<Vec<(usize, Audio)>, SdpError> {
    let (mut found, mut unusable) = (Vec::new(), SdpError::NoUsableMedia);
    for (index, media) in session.medias.iter().enumerate() {
        if !media.media.eq_ignore_ascii_case("audio") || media.port == 0 {
            continue;
        }
        match audio(session, media) {
            Ok(audio) => found.push((index, audio)),
            Err(why) => unusable = why,
        }
    }
    if found.is_empty() { Err(unusable) } else { Ok(found) }
}

fn audio(session: &Session, media: &Media) -> Result<Audio, SdpError> {
    let proto = media.proto.to_ascii_uppercase();
    let is_secure = match proto.as_str() {
        "RTP/AVP" | "RTP/AVPF" => false,
        "RTP/SAVP" | "RTP/SAVPF" => true,
        dtls if dtls.contains("TLS/RTP/SAVP") => return Err(SdpError::DtlsOnly),
        _ => return Err(SdpError::NoUsableMedia),
    };
    let connection = media.connections.first().or(session.connection.as_ref());
    let address = connection.and_then(address).ok_or(SdpError::NoAddress)?;
    let theirs = [&media.attributes, &session.attributes]
        .into_iter()
        .find_map(|attributes| their_direction(attributes));
    let (they_send, they_receive) = theirs.unwrap_or((true, true));
    Ok(Audio {
        remote: SocketAddr::new(address, media.port),
        rtcp: rtcp(session, media, address),
        formats: formats(media),
        ptime_ms: packet_time(session, media),
        direction: Direction::new(they_receive && !address.is_unspecified(), they_send),
        is_secure,
        cryptos: values(&media.attributes, "crypto").filter_map(Crypto::parse).take(MAX_CRYPTOS).collect(),
        rtcp_mux: flag(&media.attributes, "rtcp-mux"),
    })
}

/// `a=ptime`, but no more than `a=maxptime` (RFC 8866 6.4).
fn packet_time(session: &Session, media: &Media) -> u32 {
    let milliseconds = |name| {
        attribute(session, media, name)
            .and_then(|value| value.split('.').next())
            .and_then(|value| value.parse().ok())
            .filter(|time| (5..=200).contains(time))
    };
    let longest = milliseconds("maxptime").unwrap_or(u32::MAX);
    milliseconds("ptime").unwrap_or(DEFAULT_PTIME_MS).min(longest)
}

/// `a=rtcp:PORT [IN IP4 ADDRESS]` (RFC 3605); the address is the stream's when none is given.
fn rtcp(session: &Session, media: &Media, stream: IpAddr) -> Option<SocketAddr> {
    let mut words = attribute(session, media, "rtcp")?.split_ascii_whitespace();
    let port = words.next()?.parse().ok().filter(|port| *port != 0)?;
    let given = words.nth(2).and_then(unicast);
    let ip = given.unwrap_or(stream);
    (!ip.is_unspecified()).then(|| SocketAddr::new(ip, port))
}

/// Whether they send and whether they receive.
fn their_direction(attributes: &[sdp_types::Attribute]) -> Option<(bool, bool)> {
    [
        ("sendrecv", (true, true)),
        ("sendonly", (true, false)),
        ("recvonly", (false, true)),
        ("inactive", (false, false)),
    ]
    .into_iter()
    .find(|(name, _)| flag(attributes, name))
    .map(|(_, direction)| direction)
}

/// A unicast IP address; a time to live behind it is cut off.
fn address(connection: &Connection) -> Option<IpAddr> {
    unicast(connection.connection_address.split('/').next()?)
}

fn unicast(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    (!address.is_multicast()).then_some(match address {
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        address => address,
    })
}
