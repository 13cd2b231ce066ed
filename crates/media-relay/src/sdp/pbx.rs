//! The PBX side: plain RTP, offer and answer by RFC 3264.
//!
//! One audio stream is taken, with one codec and one telephone-event; everything else in the
//! offer is refused in its place with port 0.

use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use sdp_types::{Connection, Session};

use super::whatsapp::OPUS_FMTP;
use super::{Format, SdpError, attribute, flag, formats, parse_session};

/// The payload type of Opus in our own offers.
const OPUS_PT: u8 = 107;
/// The payload type of telephone-event/8000 in our own offers: the one every PBX is used to.
const DTMF_PT: u8 = 101;
/// The payload type of telephone-event/48000, offered beside Opus (RFC 4733 2.1: one clock a stream).
const DTMF_48000_PT: u8 = 102;
/// RFC 3551 4.2: what a stream without `a=ptime` uses.
const DEFAULT_PTIME_MS: u32 = 20;

/// What the `o=` line says of a description (RFC 8866 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The session's id, the same for all descriptions of one call.
    pub session_id: u64,
    /// Grows with each description that differs from the one before.
    pub version: u64,
}

impl Origin {
    /// Of a call's first description. Some PBXs read the id as a signed number.
    pub const fn first(session_id: u64) -> Self {
        Self { session_id: session_id & (u64::MAX >> 1), version: 1 }
    }
}

/// A codec towards the PBX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// opus/48000/2, passed through untouched.
    Opus,
    /// G.711 mu-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

impl Codec {
    /// The clock of its RTP timestamps.
    pub fn clock(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcmu | Self::Pcma => 8000,
        }
    }

    fn payload_type(self) -> u8 {
        match self {
            Self::Opus => OPUS_PT,
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    fn rtpmap(self) -> &'static str {
        match self {
            Self::Opus => "opus/48000/2",
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opus => "opus",
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
        })
    }
}

/// Not the name of a codec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown codec {0:?}: expected opus, pcmu or pcma")]
pub struct UnknownCodec(pub String);

impl FromStr for Codec {
    type Err = UnknownCodec;

    fn from_str(name: &str) -> Result<Self, UnknownCodec> {
        match name.to_ascii_lowercase().as_str() {
            "opus" => Ok(Self::Opus),
            "pcmu" => Ok(Self::Pcmu),
            "pcma" => Ok(Self::Pcma),
            _ => Err(UnknownCodec(name.to_owned())),
        }
    }
}

/// Which way sound goes, seen from us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// We only send.
    SendOnly,
    /// We only receive: the PBX has put us on hold.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether we send to the PBX.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the PBX sends to us.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    fn attribute(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

/// The audio stream that was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Where the PBX receives; 0.0.0.0 while it does not (RFC 3264 8.4).
    pub remote: SocketAddr,
    /// The codec, both ways.
    pub codec: Codec,
    /// Its payload type, both ways.
    pub payload_type: u8,
    /// telephone-event: payload type and clock.
    pub dtmf: Option<(u8, u32)>,
    /// What the PBX likes to receive in one packet.
    pub ptime_ms: u32,
    /// Which way sound goes, seen from us.
    pub direction: Direction,
}

/// A PBX's offer, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    streams: Vec<Stream>,
    /// The index of the audio stream we take, and what it says.
    chosen: usize,
    audio: Audio,
}

/// One `m=` line, as it must be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stream {
    media: String,
    proto: String,
    fmt: String,
    mid: Option<String>,
}

/// An audio stream over plain RTP.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Audio {
    remote: SocketAddr,
    formats: Vec<Format>,
    ptime_ms: u32,
    direction: Direction,
}

/// Reads a PBX's offer.
///
/// # Errors
/// No audio stream over plain RTP with an address.
pub fn parse_offer(sdp: &[u8]) -> Result<Offer, SdpError> {
    let session = parse_session(sdp)?;
    let (chosen, audio) = find_audio(&session)?;
    let streams = session
        .medias
        .iter()
        .map(|media| Stream {
            media: media.media.clone(),
            proto: media.proto.clone(),
            fmt: media.fmt.clone(),
            mid: super::values(&media.attributes, "mid").next().map(str::to_owned),
        })
        .collect();
    Ok(Offer { streams, chosen, audio })
}

/// Our answer, and what it agrees on: of the codecs offered the one that `preference` names
/// first.
///
/// # Errors
/// No codec of `preference` was offered.
pub fn answer(
    offer: &Offer,
    local: SocketAddr,
    origin: Origin,
    preference: &[Codec],
) -> Result<(String, Media), SdpError> {
    let media = agree(&offer.audio, preference)?;
    let mut sdp = header(local, origin);
    for (index, stream) in offer.streams.iter().enumerate() {
        if index == offer.chosen {
            write_audio(&mut sdp, local, &stream.proto, &media);
        } else {
            let Stream { media, proto, fmt, .. } = stream;
            line(&mut sdp, format_args!("m={media} 0 {proto} {fmt}"));
        }
        if let Some(mid) = &stream.mid {
            line(&mut sdp, format_args!("a=mid:{mid}"));
        }
    }
    Ok((sdp, media))
}

/// Our offer: the codecs in their order, and telephone-event.
pub fn offer(local: SocketAddr, origin: Origin, codecs: &[Codec]) -> String {
    let dtmf_48000 = codecs.first() == Some(&Codec::Opus);
    let mut sdp = header(local, origin);
    let mut numbers = String::new();
    for codec in codecs {
        let _ = write!(numbers, " {}", codec.payload_type());
    }
    if dtmf_48000 {
        let _ = write!(numbers, " {DTMF_48000_PT}");
    }
    line(&mut sdp, format_args!("m=audio {} RTP/AVP{numbers} {DTMF_PT}", local.port()));
    for codec in codecs {
        write_codec(&mut sdp, *codec, codec.payload_type());
    }
    if dtmf_48000 {
        write_dtmf(&mut sdp, DTMF_48000_PT, 48_000);
    }
    write_dtmf(&mut sdp, DTMF_PT, 8000);
    line(&mut sdp, format_args!("a=ptime:20"));
    line(&mut sdp, format_args!("a=sendrecv"));
    sdp
}

/// Reads the PBX's answer to [`offer`] with the same `codecs`.
///
/// # Errors
/// The stream was refused, or the answer holds no codec that we offered.
pub fn parse_answer(sdp: &[u8], codecs: &[Codec]) -> Result<Media, SdpError> {
    let session = parse_session(sdp)?;
    let (_, audio) = find_audio(&session)?;
    // RFC 3264 6.1: the answerer lists first what it prefers, and it knows our order.
    let answered: Vec<Codec> =
        audio.formats.iter().filter_map(codec_of).filter(|codec| codecs.contains(codec)).collect();
    agree(&audio, &answered)
}

fn codec_of(format: &Format) -> Option<Codec> {
    match (format.encoding.as_str(), format.clock) {
        ("opus", 48_000) => Some(Codec::Opus),
        ("pcmu", 8000) => Some(Codec::Pcmu),
        ("pcma", 8000) => Some(Codec::Pcma),
        _ => None,
    }
}

fn agree(audio: &Audio, preference: &[Codec]) -> Result<Media, SdpError> {
    let (codec, payload_type) = preference
        .iter()
        .find_map(|codec| {
            let mut offered = audio.formats.iter();
            let format = offered.find(|format| codec_of(format) == Some(*codec))?;
            Some((*codec, format.payload_type))
        })
        .ok_or(SdpError::NoCommonCodec)?;
    // RFC 4733 2.1: events share the clock of the audio; 8000 is what PBXs say regardless.
    let events = || audio.formats.iter().filter(|format| format.encoding == "telephone-event");
    let dtmf = events()
        .find(|format| format.clock == codec.clock())
        .or_else(|| events().find(|format| format.clock == 8000))
        .map(|format| (format.payload_type, format.clock));
    Ok(Media {
        remote: audio.remote,
        codec,
        payload_type,
        dtmf,
        ptime_ms: audio.ptime_ms,
        direction: audio.direction,
    })
}

/// The first audio stream over RTP/AVP or RTP/AVPF that was not refused.
fn find_audio(session: &Session) -> Result<(usize, Audio), SdpError> {
    let (index, media) = session
        .medias
        .iter()
        .enumerate()
        .find(|(_, media)| {
            media.media.eq_ignore_ascii_case("audio")
                && media.port != 0
                && ["RTP/AVP", "RTP/AVPF"].iter().any(|proto| media.proto.eq_ignore_ascii_case(proto))
        })
        .ok_or(SdpError::NoUsableMedia)?;
    let address = media
        .connections
        .first()
        .or(session.connection.as_ref())
        .and_then(address)
        .ok_or(SdpError::NoAddress)?;
    let remote = SocketAddr::new(address, media.port);
    let ptime_ms = attribute(session, media, "ptime")
        .and_then(|value| value.split('.').next())
        .and_then(|value| value.parse().ok())
        .filter(|ptime| (5..=200).contains(ptime))
        .unwrap_or(DEFAULT_PTIME_MS);
    let theirs = [&media.attributes, &session.attributes]
        .into_iter()
        .find_map(|attributes| their_direction(attributes));
    let (they_send, they_receive) = theirs.unwrap_or((true, true));
    let audio = Audio {
        remote,
        formats: formats(media),
        ptime_ms,
        direction: Direction::new(they_receive && !address.is_unspecified(), they_send),
    };
    Ok((index, audio))
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
    let ip = connection.connection_address.split('/').next()?;
    let address: IpAddr = ip.parse().ok()?;
    (!address.is_multicast()).then_some(match address {
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        address => address,
    })
}

fn header(local: SocketAddr, origin: Origin) -> String {
    let Origin { session_id, version } = origin;
    let family = if local.is_ipv4() { "IP4" } else { "IP6" };
    let ip = local.ip();
    let mut sdp = String::with_capacity(512);
    line(&mut sdp, format_args!("v=0"));
    line(&mut sdp, format_args!("o=- {session_id} {version} IN {family} {ip}"));
    line(&mut sdp, format_args!("s=-"));
    line(&mut sdp, format_args!("c=IN {family} {ip}"));
    line(&mut sdp, format_args!("t=0 0"));
    sdp
}

fn write_audio(sdp: &mut String, local: SocketAddr, proto: &str, media: &Media) {
    let (port, audio) = (local.port(), media.payload_type);
    match media.dtmf {
        Some((dtmf, _)) => line(sdp, format_args!("m=audio {port} {proto} {audio} {dtmf}")),
        None => line(sdp, format_args!("m=audio {port} {proto} {audio}")),
    }
    write_codec(sdp, media.codec, audio);
    if let Some((dtmf, clock)) = media.dtmf {
        write_dtmf(sdp, dtmf, clock);
    }
    line(sdp, format_args!("a=ptime:20"));
    line(sdp, format_args!("a={}", media.direction.attribute()));
}

fn write_codec(sdp: &mut String, codec: Codec, payload_type: u8) {
    line(sdp, format_args!("a=rtpmap:{payload_type} {}", codec.rtpmap()));
    // What the PBX encodes reaches WhatsApp untouched, so it is asked for what WhatsApp asks for.
    if codec == Codec::Opus {
        line(sdp, format_args!("a=fmtp:{payload_type} {OPUS_FMTP}"));
    }
}

fn write_dtmf(sdp: &mut String, payload_type: u8, clock: u32) {
    line(sdp, format_args!("a=rtpmap:{payload_type} telephone-event/{clock}"));
    line(sdp, format_args!("a=fmtp:{payload_type} 0-15"));
}

fn line(sdp: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = sdp.write_fmt(text);
    sdp.push_str("\r\n");
}

#[cfg(test)]
mod tests;
