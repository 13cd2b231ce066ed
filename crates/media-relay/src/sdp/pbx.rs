//! The PBX side: RTP, plain or with keys in the SDP, offer and answer by RFC 3264.
//!
//! One audio stream is taken, with one codec and one telephone-event; everything else in the
//! offer is refused in its place with port 0.

mod codec;
mod read;
mod security;
mod write;

use std::net::SocketAddr;

use super::crypto::Keys;
use super::{Format, SdpError, parse_session};
use codec::Numbers;
pub use codec::{Codec, UnknownCodec};
use read::Audio;
pub(super) use security::Protection;
pub use security::{Secure, Security};

/// RFC 3389 4.
const COMFORT_NOISE: u8 = 13;

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
    /// Where it receives RTCP, when it says so by `a=rtcp` (RFC 3605); else the port above `remote`.
    /// Named by the PBX and checked by nobody.
    pub rtcp: Option<SocketAddr>,
    /// The codec, both ways.
    pub codec: Codec,
    /// Its payload type, both ways.
    pub payload_type: u8,
    /// telephone-event: payload type and clock.
    pub dtmf: Option<(u8, u32)>,
    /// The payload types of our offer where the PBX answered with others.
    pub offered_as: OfferedAs,
    /// What a packet to the PBX holds, in milliseconds: what it likes to receive, in tens from 10 to 60,
    /// or 20 of Opus.
    pub ptime_ms: u32,
    /// Which way sound goes, seen from us.
    pub direction: Direction,
    /// The keys of SRTP; nothing: plain RTP.
    pub secure: Option<Secure>,
    /// RTCP goes over the port of RTP (RFC 5761).
    pub rtcp_mux: bool,
    /// Comfort noise is agreed on, as payload type 13 (RFC 3389).
    pub comfort_noise: bool,
}

/// What we offered a format as, where the answer gives it another number: RFC 3264 6.1 says that it
/// should not, and a PBX that does may send with either.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OfferedAs {
    /// Of the codec.
    pub audio: Option<u8>,
    /// Of telephone-event.
    pub dtmf: Option<u8>,
}

/// A PBX's offer, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    streams: Vec<Stream>,
    /// The audio streams that can be taken and their places; one at least.
    audios: Vec<(usize, Audio)>,
}

/// One `m=` line, as it must be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stream {
    media: String,
    proto: String,
    fmt: String,
    mid: Option<String>,
}

/// What later descriptions of a session must keep: its `m=` lines in their order (RFC 3264 8), and
/// the meaning of its payload types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    streams: Vec<Stream>,
    /// The place of the audio.
    chosen: usize,
    numbers: Numbers,
    /// The PBX has comfort noise. We do not ask for it by ourselves: a PBX that leaves out packets in
    /// pauses sounds worse.
    comfort_noise: bool,
}

/// What we bring to an offer or an answer.
#[derive(Clone, Copy)]
pub(super) struct Ours<'a> {
    /// Where the PBX is to send.
    pub(super) local: SocketAddr,
    /// The best first.
    pub(super) codecs: &'a [Codec],
    pub(super) protection: Protection<'a>,
}

impl Layout {
    /// Of a session that begins with our offer.
    pub(super) fn of(security: Security) -> Self {
        let (media, proto) = ("audio".into(), security.profile().into());
        let audio = Stream { media, proto, fmt: String::new(), mid: None };
        Self { streams: vec![audio], chosen: 0, numbers: Numbers::default(), comfort_noise: false }
    }

    /// Our offer in this session.
    pub(super) fn offer(&self, origin: Origin, ours: Ours<'_>) -> String {
        write::offer(origin, ours, self)
    }

    /// Our answer in this session, what it agrees on, and the layout from then on.
    pub(super) fn answer(
        &self,
        offer: &Offer,
        origin: Origin,
        ours: Ours<'_>,
    ) -> Result<(String, Media, Self), SdpError> {
        let Agreed { place, audio, tag, media } = agree_on_one(&offer.audios, ours)?;
        let crypto = Protection::answered(tag, &media);
        let sdp = write::answer(&offer.streams, place, ours.local, origin, &media, crypto);
        let mut numbers = self.numbers;
        numbers.learn(&audio.formats);
        let comfort_noise = media.comfort_noise;
        let layout = Self { streams: offer.streams.clone(), chosen: place, numbers, comfort_noise };
        Ok((sdp, media, layout))
    }

    /// What the PBX's answer to our offer agrees on.
    pub(super) fn read_answer(&self, sdp: &[u8], ours: Ours<'_>) -> Result<Media, SdpError> {
        let audios = read::audios(&parse_session(sdp)?)?;
        let (_, audio) = audios.first().ok_or(SdpError::NoUsableMedia)?;
        let protection = ours.protection.of(audio)?;
        // RFC 3264 6.1: the answerer lists first what it prefers, and it knows our order.
        let listed = audio.formats.iter().filter_map(Codec::of);
        let answered: Vec<Codec> = listed.filter(|codec| ours.codecs.contains(codec)).collect();
        let mut media = agree(audio, &answered)?;
        // Of each suite we offer one key, so the tag tells nothing more; some devices always write 1.
        media.secure = protection.map(|(_, secure)| secure);
        let ours = self.numbers.of(media.codec);
        media.offered_as.audio = (ours != media.payload_type).then_some(ours);
        media.offered_as.dtmf = media
            .dtmf
            .map(|(number, clock)| (number, self.numbers.events(clock)))
            .and_then(|(number, ours)| (ours != number).then_some(ours));
        Ok(media)
    }
}

/// Reads a PBX's offer.
///
/// # Errors
/// No audio stream over RTP with an address.
pub fn parse_offer(sdp: &[u8]) -> Result<Offer, SdpError> {
    let session = parse_session(sdp)?;
    let audios = read::audios(&session)?;
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
    Ok(Offer { streams, audios })
}

/// Our answer to a session's first offer over plain RTP, and what it agrees on: in the first audio stream with a
/// codec of ours the one that `preference` names first.
///
/// # Errors
/// No codec of `preference` was offered.
pub fn answer(
    offer: &Offer,
    local: SocketAddr,
    origin: Origin,
    preference: &[Codec],
) -> Result<(String, Media), SdpError> {
    let keys = Keys::new([0; 32]);
    let (sdp, media, _) =
        Layout::of(Security::Refuse).answer(offer, origin, plain(local, preference, &keys))?;
    Ok((sdp, media))
}

/// Our offer over plain RTP that begins a session: the codecs in their order, and telephone-event.
pub fn offer(local: SocketAddr, origin: Origin, codecs: &[Codec]) -> String {
    Layout::of(Security::Refuse).offer(origin, plain(local, codecs, &Keys::new([0; 32])))
}

/// Reads the PBX's answer to [`offer`] with the same `codecs`.
///
/// # Errors
/// The stream was refused, or the answer holds no codec that we offered.
pub fn parse_answer(sdp: &[u8], codecs: &[Codec]) -> Result<Media, SdpError> {
    // Where the answer says that we receive is not asked.
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 9));
    Layout::of(Security::Refuse).read_answer(sdp, plain(nowhere, codecs, &Keys::new([0; 32])))
}

/// What we bring where no key is ever used.
fn plain<'a>(local: SocketAddr, codecs: &'a [Codec], keys: &'a Keys) -> Ours<'a> {
    Ours { local, codecs, protection: Protection { security: Security::Refuse, keys, spoken: None } }
}

/// A stream of an offer that is taken.
struct Agreed<'a> {
    place: usize,
    audio: &'a Audio,
    /// Of the line of `a=crypto` that is taken.
    tag: u32,
    media: Media,
}

/// The first stream with a codec in common; those with keys that we take come before plain ones, as a
/// PBX offers both that leaves the choice to us.
fn agree_on_one<'a>(audios: &'a [(usize, Audio)], ours: Ours<'_>) -> Result<Agreed<'a>, SdpError> {
    let mut refused = SdpError::NoUsableMedia;
    let mut streams = Vec::with_capacity(audios.len());
    for (place, audio) in audios {
        match ours.protection.of(audio) {
            Ok(protection) => streams.push((*place, audio, protection)),
            Err(why) => refused = why,
        }
    }
    if streams.is_empty() {
        return Err(refused);
    }
    streams.sort_by_key(|(.., protection)| protection.is_none());
    let taken = streams.into_iter().find_map(|(place, audio, protection)| {
        let mut media = agree(audio, ours.codecs).ok()?;
        let (tag, secure) = protection.unzip();
        media.secure = secure;
        Some(Agreed { place, audio, tag: tag.unwrap_or_default(), media })
    });
    taken.ok_or(SdpError::NoCommonCodec)
}

fn agree(audio: &Audio, preference: &[Codec]) -> Result<Media, SdpError> {
    let (codec, payload_type) = preference
        .iter()
        .find_map(|codec| {
            let mut offered = audio.formats.iter();
            let format = offered.find(|format| Codec::of(format) == Some(*codec))?;
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
        rtcp: audio.rtcp,
        codec,
        payload_type,
        dtmf,
        offered_as: OfferedAs::default(),
        ptime_ms: codec.packet_time(audio.ptime_ms),
        direction: audio.direction,
        secure: None,
        rtcp_mux: audio.rtcp_mux,
        comfort_noise: codec.clock() == 8000 && audio.formats.iter().any(is_comfort_noise),
    })
}

/// Comfort noise of its static number alone: any other would need one of ours in later offers.
fn is_comfort_noise(format: &Format) -> bool {
    format.payload_type == COMFORT_NOISE && format.encoding == "cn" && format.clock == 8000
}

#[cfg(test)]
mod tests;
