//! The WhatsApp side: WebRTC media (RFC 8829, RFC 8839, RFC 8842) in the one shape that the
//! Calling API takes.
//!
//! Exactly one audio stream, one SHA-256 fingerprint, all candidates inside, opus/48000/2 and
//! telephone-event/8000, 20 ms, CRLF: whatever more a WebRTC library writes has been seen to
//! be refused. Reading is the other way round: everything that has been seen is taken.

use std::cmp::Reverse;
use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

use sdp_types::{Media, Session};

use super::{SdpError, attribute, flag, formats, parse_session, values};

/// The payload type of Opus in our own offers.
pub const OPUS_PT: u8 = 111;
/// The payload type of telephone-event in our own offers, and WhatsApp's when it names none.
pub const DTMF_PT: u8 = 126;
/// What WhatsApp asks of an Opus encoder, in its words and its order.
pub const OPUS_FMTP: &str = "maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;\
                             sprop-maxcapturerate=16000;useinbandfec=1";

const MID: &str = "audio";
/// WhatsApp sends two; the rest of a longer list is ignored.
const MAX_CANDIDATES: usize = 16;

/// Our end of the WhatsApp side.
#[derive(Clone, PartialEq, Eq)]
pub struct Local {
    /// Host candidates, advertised addresses.
    pub candidates: Vec<SocketAddr>,
    /// ICE user fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 of our certificate.
    pub fingerprint: [u8; 32],
    /// `o=` session id.
    pub session_id: u64,
    /// The one SSRC we send with.
    pub ssrc: u32,
    /// RTCP canonical name, also the name of the media stream.
    pub cname: String,
}

/// WhatsApp's end.
#[derive(Clone, PartialEq, Eq)]
pub struct Remote {
    /// UDP candidates of component 1, the highest priority first; never empty.
    pub candidates: Vec<SocketAddr>,
    /// ICE user fragment.
    pub ufrag: String,
    /// ICE password, exactly as sent (it may be base64 with `=`).
    pub pwd: String,
    /// SHA-256 of their certificate.
    pub fingerprint: [u8; 32],
    /// DTLS role as written; `ActPass` in an answer is wrong but happens.
    pub setup: Setup,
    /// Payload type of opus/48000.
    pub opus_pt: u8,
    /// Their `a=fmtp` of Opus, mirrored in our answer.
    pub opus_fmtp: Option<String>,
    /// Payload type of telephone-event/8000; 126 when they name none.
    pub dtmf_pt: u8,
    /// Whether they named telephone-event/8000.
    pub dtmf_offered: bool,
    /// Media identification, empty when absent.
    pub mid: String,
    /// Whether they are an ICE-lite agent.
    pub ice_lite: bool,
}

/// DTLS role (RFC 4145, RFC 5763).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// DTLS client.
    Active,
    /// DTLS server.
    Passive,
    /// Either: the answerer chooses.
    ActPass,
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local")
            .field("candidates", &self.candidates)
            .field("ufrag", &self.ufrag)
            .field("ssrc", &self.ssrc)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("candidates", &self.candidates)
            .field("ufrag", &self.ufrag)
            .field("setup", &self.setup)
            .field("opus_pt", &self.opus_pt)
            .field("dtmf_pt", &self.dtmf_pt)
            .field("mid", &self.mid)
            .field("ice_lite", &self.ice_lite)
            .finish_non_exhaustive()
    }
}

/// What of the body differs between our offer and our answers.
struct Shape<'a> {
    mid: &'a str,
    setup: &'a str,
    opus_pt: u8,
    opus_fmtp: &'a str,
    dtmf_pt: Option<u8>,
}

/// Our offer for a call to a WhatsApp user.
pub fn offer(local: &Local) -> String {
    let shape =
        Shape { mid: MID, setup: "actpass", opus_pt: OPUS_PT, opus_fmtp: OPUS_FMTP, dtmf_pt: Some(DTMF_PT) };
    write(local, &shape)
}

/// Our answer to a WhatsApp user's call: their payload types, mid and fmtp, we DTLS client.
pub fn answer(local: &Local, offer: &Remote) -> String {
    let shape = Shape {
        mid: &offer.mid,
        setup: "active",
        opus_pt: offer.opus_pt,
        opus_fmtp: offer.opus_fmtp.as_deref().unwrap_or(OPUS_FMTP),
        dtmf_pt: offer.dtmf_offered.then_some(offer.dtmf_pt),
    };
    write(local, &shape)
}

fn write(local: &Local, shape: &Shape<'_>) -> String {
    let mut candidates = local.candidates.clone();
    candidates.sort_by_key(SocketAddr::is_ipv6);
    let default = candidates.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 9)));
    let mut sdp = Lines(String::with_capacity(1024));
    sdp.line(format_args!("v=0"));
    // RFC 8829 5.2.1: the session id keeps its highest bit clear.
    let session_id = local.session_id & (u64::MAX >> 1);
    sdp.line(format_args!("o=- {session_id} 2 IN IP4 127.0.0.1"));
    sdp.line(format_args!("s=-"));
    sdp.line(format_args!("t=0 0"));
    if !shape.mid.is_empty() {
        sdp.line(format_args!("a=group:BUNDLE {}", shape.mid));
    }
    sdp.line(format_args!("a=msid-semantic: WMS {}", local.cname));
    write_media_line(&mut sdp, shape, default);
    write_transport(&mut sdp, local, shape, &candidates);
    write_stream(&mut sdp, local, shape);
    sdp.0
}

fn write_media_line(sdp: &mut Lines, shape: &Shape<'_>, default: SocketAddr) {
    let port = default.port();
    let opus = shape.opus_pt;
    match shape.dtmf_pt {
        Some(dtmf) => sdp.line(format_args!("m=audio {port} UDP/TLS/RTP/SAVPF {opus} {dtmf}")),
        None => sdp.line(format_args!("m=audio {port} UDP/TLS/RTP/SAVPF {opus}")),
    }
    let family = if default.is_ipv4() { "IP4" } else { "IP6" };
    sdp.line(format_args!("c=IN {family} {}", default.ip()));
    sdp.line(format_args!("a=rtcp:9 IN IP4 0.0.0.0"));
}

fn write_transport(sdp: &mut Lines, local: &Local, shape: &Shape<'_>, candidates: &[SocketAddr]) {
    let has_ipv6 = candidates.iter().any(SocketAddr::is_ipv6);
    for (foundation, candidate) in (1..).zip(candidates) {
        // IPv4 comes first and IPv6 has the higher priority (RFC 8421 4), as in WhatsApp's own.
        let preference = 65_535 - u32::from(has_ipv6 && candidate.is_ipv4());
        // RFC 8445 5.1.2.1: type preference 126 (host), component 1.
        let priority = (126 << 24) | (preference << 8) | 255;
        let (ip, port) = (candidate.ip(), candidate.port());
        sdp.line(format_args!("a=candidate:{foundation} 1 udp {priority} {ip} {port} typ host"));
    }
    sdp.line(format_args!("a=ice-ufrag:{}", local.ufrag));
    sdp.line(format_args!("a=ice-pwd:{}", local.pwd));
    sdp.line(format_args!("a=fingerprint:sha-256 {}", Fingerprint(&local.fingerprint)));
    sdp.line(format_args!("a=setup:{}", shape.setup));
    if !shape.mid.is_empty() {
        sdp.line(format_args!("a=mid:{}", shape.mid));
    }
}

fn write_stream(sdp: &mut Lines, local: &Local, shape: &Shape<'_>) {
    sdp.line(format_args!("a=sendrecv"));
    sdp.line(format_args!("a=msid:{} audio", local.cname));
    sdp.line(format_args!("a=rtcp-mux"));
    sdp.line(format_args!("a=rtpmap:{} opus/48000/2", shape.opus_pt));
    sdp.line(format_args!("a=fmtp:{} {}", shape.opus_pt, shape.opus_fmtp));
    if let Some(dtmf) = shape.dtmf_pt {
        sdp.line(format_args!("a=rtpmap:{dtmf} telephone-event/8000"));
    }
    sdp.line(format_args!("a=maxptime:20"));
    sdp.line(format_args!("a=ptime:20"));
    sdp.line(format_args!("a=ssrc:{} cname:{}", local.ssrc, local.cname));
}

/// A description in the making.
struct Lines(String);

impl Lines {
    fn line(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(text);
        self.0.push_str("\r\n");
    }
}

/// `AB:CD:...` (RFC 8122 5).
struct Fingerprint<'a>(&'a [u8; 32]);

impl fmt::Display for Fingerprint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, octet) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{octet:02X}")?;
        }
        Ok(())
    }
}

/// Reads WhatsApp's offer or answer.
///
/// # Errors
/// What cannot work: no audio, no Opus, no SHA-256 fingerprint, no ICE credentials, no candidate.
pub fn parse(sdp: &str) -> Result<Remote, SdpError> {
    let session = parse_session(sdp.as_bytes())?;
    let media = session
        .medias
        .iter()
        .find(|media| media.media.eq_ignore_ascii_case("audio") && media.port != 0)
        .ok_or(SdpError::NoAudio)?;
    let formats = formats(media);
    let opus = formats
        .iter()
        .find(|format| format.encoding == "opus" && format.clock == 48_000)
        .ok_or(SdpError::NoOpus)?;
    let dtmf = formats.iter().find(|format| format.encoding == "telephone-event" && format.clock == 8000);
    let fingerprint = fingerprint(&session, media)?;
    Ok(Remote {
        candidates: candidates(&session, media)?,
        ufrag: credential(&session, media, "ice-ufrag")?,
        pwd: credential(&session, media, "ice-pwd")?,
        fingerprint,
        setup: setup(&session, media),
        opus_pt: opus.payload_type,
        opus_fmtp: opus.fmtp.clone(),
        dtmf_pt: dtmf.map_or(DTMF_PT, |format| format.payload_type),
        dtmf_offered: dtmf.is_some(),
        mid: values(&media.attributes, "mid").next().unwrap_or_default().to_owned(),
        ice_lite: flag(&session.attributes, "ice-lite") || flag(&media.attributes, "ice-lite"),
    })
}

/// Not held to RFC 8839's ice-char: WhatsApp's password is base64 with padding.
fn credential(session: &Session, media: &Media, name: &str) -> Result<String, SdpError> {
    attribute(session, media, name)
        .filter(|value| (1..=256).contains(&value.len()))
        .filter(|value| value.bytes().all(|byte| byte.is_ascii_graphic()))
        .map(str::to_owned)
        .ok_or(SdpError::NoIceCredentials)
}

/// Absent means `active` (RFC 4145 4): the offerer connects.
fn setup(session: &Session, media: &Media) -> Setup {
    match attribute(session, media, "setup") {
        Some(role) if role.eq_ignore_ascii_case("passive") => Setup::Passive,
        Some(role) if role.eq_ignore_ascii_case("actpass") => Setup::ActPass,
        _ => Setup::Active,
    }
}

fn fingerprint(session: &Session, media: &Media) -> Result<[u8; 32], SdpError> {
    let hex = values(&media.attributes, "fingerprint")
        .chain(values(&session.attributes, "fingerprint"))
        .filter_map(|value| value.split_once(|c: char| c.is_ascii_whitespace()))
        .find(|(hash, _)| hash.eq_ignore_ascii_case("sha-256"))
        .map(|(_, hex)| hex.trim())
        .ok_or(SdpError::NoFingerprint)?;
    let mut octets = [0; 32];
    let mut parts = hex.split(':');
    for octet in &mut octets {
        *octet = parts
            .next()
            .filter(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|part| u8::from_str_radix(part, 16).ok())
            .ok_or(SdpError::BadFingerprint)?;
    }
    match parts.next() {
        None => Ok(octets),
        Some(_) => Err(SdpError::BadFingerprint),
    }
}

/// Session-level candidates are not in RFC 8839, but cost nothing to take.
fn candidates(session: &Session, media: &Media) -> Result<Vec<SocketAddr>, SdpError> {
    let mut found: Vec<(u32, SocketAddr)> = Vec::new();
    values(&media.attributes, "candidate")
        .chain(values(&session.attributes, "candidate"))
        .filter_map(candidate)
        .take(MAX_CANDIDATES)
        .for_each(|(priority, address)| {
            if !found.iter().any(|(_, known)| *known == address) {
                found.push((priority, address));
            }
        });
    found.sort_by_key(|(priority, _)| Reverse(*priority));
    if found.is_empty() {
        return Err(SdpError::NoCandidates);
    }
    Ok(found.into_iter().map(|(_, address)| address).collect())
}

/// The priority and the address of `foundation component transport priority address port typ ...` (RFC 8839 5.1); `None` for
/// what we cannot use: TCP, RTCP's component, host names, port 0.
fn candidate(value: &str) -> Option<(u32, SocketAddr)> {
    let mut fields = value.split_ascii_whitespace().skip(1);
    let component = fields.next()?;
    let transport = fields.next()?;
    let priority = fields.next()?.parse().unwrap_or(0);
    let address: IpAddr = fields.next()?.parse().ok()?;
    let port: u16 = fields.next()?.parse().ok()?;
    let usable = component == "1"
        && transport.eq_ignore_ascii_case("udp")
        && port != 0
        && !address.is_unspecified()
        && !address.is_multicast();
    usable.then(|| (priority, SocketAddr::new(address, port)))
}

#[cfg(test)]
mod tests;
