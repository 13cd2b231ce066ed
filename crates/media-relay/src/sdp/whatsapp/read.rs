//! What WhatsApp's description says.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};

use sdp_types::{Media, Session};

use super::super::crypto::Crypto;
use super::super::{Format, SdpError, attribute, flag, formats, parse_session, values};
use super::{DTMF_PT, Dtls, Opus, Remote, Sdes, Setup, Transport};

/// WhatsApp sends two; the rest of a longer list is ignored.
const MAX_CANDIDATES: usize = 16;

/// The profiles that a stream keyed by SDES was seen with, the regular one first.
pub(super) const SDES_PROFILES: [&str; 3] = ["RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVPF"];

/// Reads WhatsApp's offer or answer.
///
/// # Errors
/// What cannot work: no audio, no codec of ours, no SHA-256 fingerprint and no key, no ICE
/// credentials, no candidate or address.
pub fn parse(sdp: &str) -> Result<Remote, SdpError> {
    let session = parse_session(sdp.as_bytes())?;
    let media = session
        .medias
        .iter()
        .find(|media| media.media.eq_ignore_ascii_case("audio") && media.port != 0)
        .ok_or(SdpError::NoAudio)?;
    let formats = formats(media);
    let find = |encoding: &str, clock: u32| {
        formats.iter().find(|format| format.encoding == encoding && format.clock == clock)
    };
    let number = |format: Option<&Format>| format.map(|format| format.payload_type);
    let opus = find("opus", 48_000)
        .map(|format| Opus { payload_type: format.payload_type, fmtp: format.fmtp.clone() });
    let (pcmu, pcma) = (number(find("pcmu", 8000)), number(find("pcma", 8000)));
    if opus.is_none() && pcmu.is_none() && pcma.is_none() {
        return Err(SdpError::NoOpus);
    }
    let dtmf = number(find("telephone-event", 8000));
    Ok(Remote {
        transport: transport(&session, media)?,
        opus,
        pcmu,
        pcma,
        dtmf_pt: dtmf.unwrap_or(DTMF_PT),
        dtmf_offered: dtmf.is_some(),
        mid: values(&media.attributes, "mid").next().unwrap_or_default().to_owned(),
    })
}

/// A profile of DTLS has been seen with a key in place of the fingerprint.
fn transport(session: &Session, media: &Media) -> Result<Transport, SdpError> {
    let has_key = values(&media.attributes, "crypto").next().is_some();
    let has_fingerprint = attribute(session, media, "fingerprint").is_some();
    let profile = SDES_PROFILES.into_iter().find(|profile| media.proto.eq_ignore_ascii_case(profile));
    let is_dtls = profile.is_none_or(|profile| profile.starts_with("UDP/TLS/"));
    if has_key && !(is_dtls && has_fingerprint) {
        return sdes(session, media, profile.unwrap_or("RTP/SAVP")).map(Transport::Sdes);
    }
    let fingerprint = fingerprint(session, media)?;
    Ok(Transport::Dtls(Dtls {
        candidates: candidates(session, media)?,
        ufrag: credential(session, media, "ice-ufrag")?,
        pwd: credential(session, media, "ice-pwd")?,
        fingerprint,
        setup: setup(session, media),
        ice_lite: flag(&session.attributes, "ice-lite") || flag(&media.attributes, "ice-lite"),
    }))
}

fn sdes(session: &Session, media: &Media, profile: &'static str) -> Result<Sdes, SdpError> {
    let crypto = values(&media.attributes, "crypto").find_map(Crypto::parse).ok_or(SdpError::NoKey)?;
    let connection = media.connections.first().or(session.connection.as_ref());
    let ip = connection.and_then(|connection| connection.connection_address.parse().ok());
    let ip = ip.filter(|ip: &IpAddr| !ip.is_unspecified() && !ip.is_multicast());
    let address = SocketAddr::new(ip.ok_or(SdpError::NoAddress)?, media.port);
    Ok(Sdes { address, crypto, profile })
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
