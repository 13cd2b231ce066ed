//! Session descriptions (RFC 8866, tolerant of RFC 4566) and offer/answer (RFC 3264).
//!
//! Reading stands on `sdp-types`; writing is done by hand, byte for byte, because both sides
//! are picky about lines they did not ask for.

pub mod crypto;
pub mod negotiation;
pub mod pbx;
pub mod whatsapp;

use sdp_types::{Attribute, Media, Session};

/// Why a session description cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Not a session description.
    #[error("malformed session description: {0}")]
    Malformed(String),
    /// Longer than any real session description.
    #[error("session description longer than {MAX_LEN} bytes")]
    TooLong,
    /// No audio stream, or its port is 0.
    #[error("no audio stream")]
    NoAudio,
    /// The audio stream carries neither opus/48000 nor G.711.
    #[error("no opus/48000 in the audio stream")]
    NoOpus,
    /// No `a=fingerprint` with SHA-256.
    #[error("no sha-256 fingerprint")]
    NoFingerprint,
    /// The SHA-256 fingerprint is not 32 hexadecimal octets.
    #[error("malformed sha-256 fingerprint")]
    BadFingerprint,
    /// No `a=crypto` that we can do.
    #[error("no usable a=crypto")]
    NoKey,
    /// `a=ice-ufrag` or `a=ice-pwd` is missing or unusable.
    #[error("no usable ICE user fragment and password")]
    NoIceCredentials,
    /// No UDP candidate with an address.
    #[error("no usable ICE candidate")]
    NoCandidates,
    /// No audio stream over RTP.
    #[error("no audio stream over RTP/AVP")]
    NoUsableMedia,
    /// Audio over RTP/SAVP alone, where SRTP is refused.
    #[error(
        "audio over RTP/SAVP only: let the PBX offer plain RTP (RTP/AVP) to this trunk, or both, or allow SRTP here by srtp = 'offer'"
    )]
    SecureOnly,
    /// Audio over plain RTP alone, where SRTP is required.
    #[error(
        "audio over plain RTP only: let the PBX offer RTP/SAVP with a=crypto to this trunk, which requires SRTP"
    )]
    PlainOnly,
    /// Audio over SRTP, but no key for it that can be used.
    #[error(
        "no usable a=crypto: let the PBX offer AES_CM_128_HMAC_SHA1_80, AES_CM_128_HMAC_SHA1_32, AEAD_AES_128_GCM or AEAD_AES_256_GCM without MKI"
    )]
    NoCommonSuite,
    /// Audio over SRTP with keys from DTLS alone.
    #[error(
        "audio over DTLS-SRTP only: let the PBX offer RTP/SAVP with a=crypto (SDES) or plain RTP (RTP/AVP) to this trunk"
    )]
    DtlsOnly,
    /// No codec in common.
    #[error("no codec in common")]
    NoCommonCodec,
    /// No connection address that is an IP address.
    #[error("no usable connection address")]
    NoAddress,
}

/// A description in a SIP message or a webhook stays far below this.
const MAX_LEN: usize = 64 * 1024;

/// Parses what matters here: the version, the connections, the streams and the attributes.
///
/// The other lines are left out before parsing, so that a Latin-1 session name, a broken
/// bandwidth or a doubled `o=` cannot cost a call.
fn parse_session(sdp: &[u8]) -> Result<Session, SdpError> {
    if sdp.len() > MAX_LEN {
        return Err(SdpError::TooLong);
    }
    let text = String::from_utf8_lossy(sdp);
    let mut kept = String::with_capacity(text.len());
    let text = text.trim_start_matches('\u{feff}');
    for line in text.split(['\r', '\n']).map(str::trim) {
        if line.get(..2).is_some_and(|key| matches!(key, "v=" | "c=" | "m=" | "a=")) {
            kept.push_str(line);
            kept.push_str("\r\n");
        }
    }
    Session::parse(kept.as_bytes()).map_err(|error| SdpError::Malformed(error.to_string()))
}

/// The value of the stream's attribute, or of the session's when the stream has none.
fn attribute<'a>(session: &'a Session, media: &'a Media, name: &str) -> Option<&'a str> {
    values(&media.attributes, name).next().or_else(|| values(&session.attributes, name).next())
}

/// All values of an attribute, in order.
fn values<'a>(attributes: &'a [Attribute], name: &str) -> impl Iterator<Item = &'a str> {
    attributes
        .iter()
        .filter(move |attribute| attribute.attribute.eq_ignore_ascii_case(name))
        .filter_map(|attribute| attribute.value.as_deref())
        .map(str::trim)
}

/// Whether a flag (an attribute without value) is set.
fn flag(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|attribute| attribute.attribute.trim().eq_ignore_ascii_case(name))
}

/// One payload type of a stream: its number and what `a=rtpmap` says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Format {
    payload_type: u8,
    /// Lower case; empty when a dynamic number has no rtpmap.
    encoding: String,
    clock: u32,
    fmtp: Option<String>,
}

/// The payload types of an RTP stream in the order of its `m=` line, RFC 3551's static
/// numbers filled in where there is no rtpmap.
fn formats(media: &Media) -> Vec<Format> {
    media
        .fmt
        .split_ascii_whitespace()
        .filter_map(|number| number.parse::<u8>().ok())
        .filter(|payload_type| *payload_type < 128)
        .map(|payload_type| {
            let (encoding, clock) =
                rtpmap(media, payload_type).or_else(|| static_format(payload_type)).unwrap_or_default();
            Format {
                payload_type,
                encoding,
                clock,
                fmtp: numbered(media, "fmtp", payload_type).map(str::to_owned),
            }
        })
        .collect()
}

/// The rest of `a=NAME:PT REST`.
fn numbered<'a>(media: &'a Media, name: &str, payload_type: u8) -> Option<&'a str> {
    values(&media.attributes, name).find_map(|value| {
        let (number, rest) = value.split_once(|c: char| c.is_ascii_whitespace())?;
        (number.parse() == Ok(payload_type)).then(|| rest.trim())
    })
}

fn rtpmap(media: &Media, payload_type: u8) -> Option<(String, u32)> {
    let mut parts = numbered(media, "rtpmap", payload_type)?.split('/');
    let encoding = parts.next()?.trim().to_ascii_lowercase();
    let clock = parts.next()?.trim().parse().ok()?;
    Some((encoding, clock))
}

/// RFC 3551 table 4, as far as it concerns us.
fn static_format(payload_type: u8) -> Option<(String, u32)> {
    let encoding = match payload_type {
        0 => "pcmu",
        8 => "pcma",
        9 => "g722",
        13 => "cn",
        _ => return None,
    };
    Some((encoding.to_owned(), 8000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_do_not_concern_us_cannot_break_parsing() {
        let sdp = b"\xef\xbb\xbf\nv=0\no=- 99999999999999999999999 1 IN IP4 x\no=again\ns=caf\xe9\n\
            b=AS:many\nx=unknown\n\nt=0 0\nm=audio 4000 RTP/AVP 0\n i am not a line\na=ptime:20\n";
        let session = parse_session(sdp).expect("tolerated");
        assert_eq!(session.medias.len(), 1);
        assert_eq!(attribute(&session, &session.medias[0], "PTIME"), Some("20"));
    }

    #[test]
    fn static_numbers_need_no_rtpmap_and_a_given_rtpmap_wins() {
        let session =
            parse_session(b"v=0\r\nm=audio 1 RTP/AVP 0 8 9 13 96 97 900 x\r\na=rtpmap:97 OPUS/48000/2\r\na=rtpmap:8 pcma/16000\r\n")
                .expect("valid");
        let found: Vec<_> = formats(&session.medias[0])
            .into_iter()
            .map(|format| (format.payload_type, format.encoding, format.clock))
            .collect();
        assert_eq!(
            found,
            [
                (0, "pcmu".into(), 8000),
                (8, "pcma".into(), 16000),
                (9, "g722".into(), 8000),
                (13, "cn".into(), 8000),
                (96, String::new(), 0),
                (97, "opus".into(), 48000),
            ]
        );
    }

    #[test]
    fn refuses_what_is_no_session_description() {
        assert!(matches!(parse_session(b""), Err(SdpError::Malformed(_))));
        assert!(matches!(parse_session(b"{\"sdp\":1}"), Err(SdpError::Malformed(_))));
        assert_eq!(parse_session(&vec![b'a'; MAX_LEN + 1]), Err(SdpError::TooLong));
    }
}
