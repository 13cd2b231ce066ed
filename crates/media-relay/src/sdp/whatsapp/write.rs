//! Our description for WhatsApp.

use std::fmt::{self, Write};
use std::net::SocketAddr;

use super::super::SdpError;
use super::super::crypto::{Crypto, Suite};
use super::super::pbx::Codec;
use super::read::SDES_PROFILES;
use super::{DTMF_PT, Local, OFFERED_SUITE, OPUS_FMTP, OPUS_PT, Remote, Transport};
use crate::options::Keying;

const MID: &str = "audio";

/// How the keys come.
enum Keyed<'a> {
    Dtls { setup: &'a str },
    Sdes { profile: &'a str, tag: u32, suite: Suite },
}

/// What of the body differs between our offer and our answers.
struct Shape<'a> {
    mid: &'a str,
    keyed: Keyed<'a>,
    /// With their payload types, the one we like best first.
    codecs: Vec<(Codec, u8)>,
    opus_fmtp: &'a str,
    dtmf_pt: Option<u8>,
    /// Of the addresses without ICE, one alone can be named.
    is_ipv6: bool,
}

/// Our offer for a call to a WhatsApp user.
pub fn offer(local: &Local) -> String {
    let number = |codec: &Codec| match codec {
        Codec::Opus => Some((Codec::Opus, OPUS_PT)),
        Codec::Pcmu => Some((Codec::Pcmu, 0)),
        Codec::Pcma => Some((Codec::Pcma, 8)),
        Codec::G722 => None,
    };
    let keyed = match local.keying {
        Keying::Dtls => Keyed::Dtls { setup: "actpass" },
        Keying::Sdes => Keyed::Sdes { profile: SDES_PROFILES[0], tag: 1, suite: OFFERED_SUITE },
    };
    let codecs = local.codecs.iter().filter_map(number).collect();
    let is_ipv6 = !local.candidates.iter().any(SocketAddr::is_ipv4);
    let shape = Shape { mid: MID, keyed, codecs, opus_fmtp: OPUS_FMTP, dtmf_pt: Some(DTMF_PT), is_ipv6 };
    write(local, &shape)
}

/// Our answer to a WhatsApp user's call: their keying, payload types, mid and fmtp, we DTLS client.
///
/// # Errors
/// They offer none of our codecs.
pub fn answer(local: &Local, offer: &Remote) -> Result<String, SdpError> {
    let number = |codec: &Codec| Some((*codec, offer.payload_type(*codec)?));
    let codecs: Vec<_> = local.codecs.iter().filter_map(number).collect();
    if codecs.is_empty() {
        return Err(SdpError::NoCommonCodec);
    }
    let (keyed, is_ipv6) = match &offer.transport {
        Transport::Dtls(_) => (Keyed::Dtls { setup: "active" }, false),
        Transport::Sdes(sdes) => {
            let (profile, tag, suite) = (sdes.profile, sdes.crypto.tag, sdes.crypto.suite);
            (Keyed::Sdes { profile, tag, suite }, sdes.address.is_ipv6())
        }
    };
    let shape = Shape {
        mid: &offer.mid,
        keyed,
        codecs,
        opus_fmtp: offer.opus.as_ref().and_then(|opus| opus.fmtp.as_deref()).unwrap_or(OPUS_FMTP),
        dtmf_pt: offer.dtmf_offered.then_some(offer.dtmf_pt),
        is_ipv6,
    };
    Ok(write(local, &shape))
}

fn write(local: &Local, shape: &Shape<'_>) -> String {
    let mut candidates = local.candidates.clone();
    candidates.sort_by_key(|candidate| candidate.is_ipv6() != shape.is_ipv6);
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
    match &shape.keyed {
        Keyed::Dtls { setup } => write_transport(&mut sdp, local, setup, &candidates),
        Keyed::Sdes { tag, suite, .. } => write_key(&mut sdp, local, *tag, *suite),
    }
    write_stream(&mut sdp, local, shape);
    sdp.0
}

fn write_media_line(sdp: &mut Lines, shape: &Shape<'_>, default: SocketAddr) {
    let port = default.port();
    let profile = match shape.keyed {
        Keyed::Dtls { .. } => "UDP/TLS/RTP/SAVPF",
        Keyed::Sdes { profile, .. } => profile,
    };
    let formats = shape.codecs.iter().map(|(_, number)| *number).chain(shape.dtmf_pt);
    let formats: Vec<_> = formats.map(|number| number.to_string()).collect();
    sdp.line(format_args!("m=audio {port} {profile} {}", formats.join(" ")));
    let family = if default.is_ipv4() { "IP4" } else { "IP6" };
    sdp.line(format_args!("c=IN {family} {}", default.ip()));
    sdp.line(format_args!("a=rtcp:9 IN IP4 0.0.0.0"));
}

fn write_transport(sdp: &mut Lines, local: &Local, setup: &str, candidates: &[SocketAddr]) {
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
    sdp.line(format_args!("a=setup:{setup}"));
}

fn write_key(sdp: &mut Lines, local: &Local, tag: u32, suite: Suite) {
    let mut value = String::new();
    Crypto { tag, suite, key: local.keys.of(suite) }.write(&mut value);
    sdp.line(format_args!("a=crypto:{value}"));
}

fn write_stream(sdp: &mut Lines, local: &Local, shape: &Shape<'_>) {
    if !shape.mid.is_empty() {
        sdp.line(format_args!("a=mid:{}", shape.mid));
    }
    sdp.line(format_args!("a=sendrecv"));
    sdp.line(format_args!("a=msid:{} audio", local.cname));
    sdp.line(format_args!("a=rtcp-mux"));
    for (codec, number) in &shape.codecs {
        sdp.line(format_args!("a=rtpmap:{number} {}", codec.rtpmap()));
        if *codec == Codec::Opus {
            sdp.line(format_args!("a=fmtp:{number} {}", shape.opus_fmtp));
        }
    }
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
