//! SDP by hand: WhatsApp's offers and answers in the shape seen on the wire, and the strict reading of the
//! business's SDP (RFC 8866, RFC 8829 for the WebRTC attributes), which refuses what Meta is known to refuse.

mod local;
mod sdes;

use std::collections::BTreeSet;

pub(crate) use self::local::Local;
pub(crate) use self::sdes::{KEY_AND_SALT, Sdes};

/// Payload number of Opus in our offers.
const OPUS: u8 = 111;
/// Payload numbers of G.711 (RFC 3551, table 4).
const PCMA: u8 = 8;
const PCMU: u8 = 0;
/// Payload number of telephone-event in our offers; also what an offer without the line gets.
pub(crate) const TELEPHONE_EVENT: u8 = 126;
/// The longest SDP that is read.
const MAX_SDP: usize = 16 * 1024;

/// `a=setup` (RFC 4145, RFC 5763).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsSetup {
    /// Sends the ClientHello.
    Active,
    /// Waits for it.
    Passive,
    /// Leaves it to the other side; illegal in an answer, yet seen there.
    ActPass,
}

impl DtlsSetup {
    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
        }
    }
}

/// What the number's settings say of its SDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) pcma: bool,
    pub(crate) pcmu: bool,
    /// Keys stand in the SDP; without, they come by DTLS.
    pub(crate) sdes: bool,
}

/// A codec for sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// With its payload number.
    Opus(u8),
    Pcma,
    Pcmu,
}

impl Voice {
    pub(crate) fn payload_type(self) -> u8 {
        match self {
            Self::Opus(number) => number,
            Self::Pcma => PCMA,
            Self::Pcmu => PCMU,
        }
    }
}

/// How the business's keys come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keyed {
    /// By ICE and DTLS.
    Dtls { ufrag: String, fingerprint: [u8; 32], setup: DtlsSetup },
    /// They stand there.
    Sdes(Sdes),
}

/// What the business's SDP says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) keyed: Keyed,
    /// In its order; the first is what is sent. Never empty.
    pub(crate) voices: Vec<Voice>,
    pub(crate) telephone_event: Option<u8>,
    pub(crate) mid: String,
    pub(crate) ssrc: Option<u32>,
}

impl Remote {
    /// The payload number of Opus.
    pub(crate) fn opus(&self) -> Option<u8> {
        self.voices.iter().find_map(|voice| match voice {
            Voice::Opus(number) => Some(*number),
            Voice::Pcma | Voice::Pcmu => None,
        })
    }
}

/// Reads the offer of a business-initiated call.
pub(crate) fn read_offer(sdp: &str, terms: Terms) -> Result<Remote, String> {
    let remote = read(sdp, terms)?;
    match remote.keyed {
        Keyed::Dtls { setup: DtlsSetup::Passive, .. } => Err("a=setup:passive in an offer".to_owned()),
        _ => Ok(remote),
    }
}

/// Reads the answer to our own offer of a user-initiated call.
pub(crate) fn read_answer(sdp: &str, terms: Terms) -> Result<Remote, String> {
    let remote = read(sdp, terms)?;
    if let Some(other) = remote.opus().filter(|number| *number != OPUS) {
        return Err(format!("payload {other} for opus was not offered"));
    }
    match remote {
        Remote { keyed: Keyed::Dtls { setup, .. }, .. } if setup != DtlsSetup::Active => {
            Err(format!("a=setup:{} in an answer, setup:active expected", setup.as_str()))
        }
        Remote { telephone_event: Some(events), .. } if events != TELEPHONE_EVENT => {
            Err(format!("payload {events} for telephone-event was not offered"))
        }
        Remote { ref mid, .. } if mid != "audio" => Err(format!("a=mid:{mid} is not the offer's")),
        remote => Ok(remote),
    }
}

/// Attributes that Meta refuses.
const REFUSED: [&str; 4] = ["ice-options", "ice-lite", "inactive", "recvonly"];
/// Attributes that belong to the other way of keying: where keys come by DTLS, and where they stand in the SDP.
const NOT_OF_DTLS: [&str; 1] = ["crypto"];
const NOT_OF_SDES: [&str; 5] = ["fingerprint", "setup", "ice-ufrag", "ice-pwd", "candidate"];

fn read(sdp: &str, terms: Terms) -> Result<Remote, String> {
    let lines = split(sdp)?;
    let values =
        |kind: char| lines.iter().filter(move |(letter, _)| *letter == kind).map(|(_, value)| *value);
    for (kind, count) in [('v', 1), ('o', 1), ('s', 1), ('t', 1), ('m', 1)] {
        if values(kind).count() != count {
            return Err(format!("exactly one {kind}= line expected"));
        }
    }
    let (port, formats) = read_media_line(values('m').next().unwrap_or_default(), terms.sdes)?;
    let attributes: Vec<(&str, &str)> =
        values('a').map(|value| value.split_once(':').unwrap_or((value, ""))).collect();
    let others: &[&str] = if terms.sdes { &NOT_OF_SDES } else { &NOT_OF_DTLS };
    let is_refused = |name: &&str| REFUSED.contains(name) || others.contains(name);
    if let Some((name, _)) = attributes.iter().find(|(name, _)| is_refused(name)) {
        return Err(format!("a={name} is not accepted"));
    }
    let attributes = Attributes(attributes);
    if attributes.all("rtcp-mux").count() != 1 {
        return Err("a=rtcp-mux is missing".to_owned());
    }
    for name in ["ptime", "maxptime"] {
        if attributes.all(name).any(|value| value != "20") {
            return Err(format!("a={name} must be 20"));
        }
    }
    attributes.one("ptime")?;
    let mid = attributes.one("mid")?;
    if attributes.one("group")? != format!("BUNDLE {mid}") {
        return Err("a=group:BUNDLE does not name the audio line".to_owned());
    }
    attributes.all("candidate").try_for_each(check_candidate)?;
    let keyed = if terms.sdes {
        Keyed::Sdes(Sdes::read(attributes.one("crypto")?, values('c').next().unwrap_or_default(), port)?)
    } else {
        let (ufrag, _) = attributes.credentials()?;
        Keyed::Dtls { ufrag, fingerprint: attributes.fingerprint()?, setup: attributes.setup()? }
    };
    let (voices, telephone_event) = attributes.codecs(&formats, terms)?;
    Ok(Remote { keyed, voices, telephone_event, mid: mid.to_owned(), ssrc: attributes.ssrc()? })
}

/// Lines as (type, value); every line must end with CRLF.
fn split(sdp: &str) -> Result<Vec<(char, &str)>, String> {
    if sdp.len() > MAX_SDP {
        return Err("too long".to_owned());
    }
    let body = sdp.strip_suffix("\r\n").ok_or("the last line does not end with CRLF")?;
    let mut lines = Vec::new();
    for line in body.split("\r\n") {
        let (kind, value) = line.split_once('=').ok_or_else(|| format!("not an SDP line: {line:?}"))?;
        let mut letters = kind.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) if !value.contains(['\r', '\n']) => lines.push((letter, value)),
            _ => return Err(format!("not an SDP line, or without CRLF: {line:?}")),
        }
    }
    if lines.first() != Some(&('v', "0")) {
        return Err("v=0 must come first".to_owned());
    }
    Ok(lines)
}

fn read_media_line(value: &str, sdes: bool) -> Result<(u16, Vec<u8>), String> {
    let mut fields = value.split(' ');
    let (media, port, protocol) = (fields.next(), fields.next(), fields.next());
    let expected = profile(sdes);
    if media != Some("audio") || protocol != Some(expected) {
        return Err(format!("m={value}: one audio stream over {expected} expected"));
    }
    let port = port.and_then(|port| port.parse().ok()).filter(|port| *port != 0);
    let port = port.ok_or_else(|| format!("m={value}: bad port"))?;
    let formats = fields.map(|field| field.parse().map_err(|_| format!("m={value}: bad payload number")));
    Ok((port, formats.collect::<Result<_, _>>()?))
}

fn profile(sdes: bool) -> &'static str {
    if sdes { "RTP/SAVP" } else { "UDP/TLS/RTP/SAVPF" }
}

fn check_candidate(value: &str) -> Result<(), String> {
    let fields: Vec<&str> = value.split(' ').collect();
    let good = matches!(fields.as_slice(), [_, "1", protocol, priority, ip, port, "typ", kind, ..]
        if protocol.eq_ignore_ascii_case("udp")
            && priority.parse::<u32>().is_ok()
            && ip.parse::<std::net::IpAddr>().is_ok()
            && port.parse::<u16>().is_ok_and(|port| port != 0)
            && ["host", "srflx", "prflx", "relay"].contains(kind));
    if good { Ok(()) } else { Err(format!("a=candidate:{value}: not a UDP candidate of component 1")) }
}

struct Attributes<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Attributes<'a> {
    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| *found == name).map(|(_, value)| *value)
    }

    fn one(&self, name: &str) -> Result<&'a str, String> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value),
            (None, _) => Err(format!("No {name} found in SDP")),
            (Some(_), Some(_)) => Err(format!("more than one a={name}")),
        }
    }

    fn credentials(&self) -> Result<(String, String), String> {
        let (ufrag, pwd) = (self.one("ice-ufrag")?, self.one("ice-pwd")?);
        if !(4..=256).contains(&ufrag.len()) || !(22..=256).contains(&pwd.len()) {
            return Err("ice-ufrag or ice-pwd of a bad length (RFC 8839, 5.4)".to_owned());
        }
        Ok((ufrag.to_owned(), pwd.to_owned()))
    }

    fn fingerprint(&self) -> Result<[u8; 32], String> {
        let value = self.one("fingerprint")?;
        let (hash, digits) = value.split_once(' ').unwrap_or_default();
        if !hash.eq_ignore_ascii_case("sha-256") {
            return Err(format!("fingerprint of {hash}, sha-256 expected"));
        }
        let bytes: Option<Vec<u8>> = digits
            .split(':')
            .map(|pair| if pair.len() == 2 { u8::from_str_radix(pair, 16).ok() } else { None })
            .collect();
        bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| "malformed fingerprint".to_owned())
    }

    fn setup(&self) -> Result<DtlsSetup, String> {
        match self.one("setup")? {
            "active" => Ok(DtlsSetup::Active),
            "passive" => Ok(DtlsSetup::Passive),
            "actpass" => Ok(DtlsSetup::ActPass),
            other => Err(format!("a=setup:{other}")),
        }
    }

    /// Opus and, perhaps, telephone-event, and G.711 where it is allowed; anything else in the m= line is refused.
    fn codecs(&self, formats: &[u8], terms: Terms) -> Result<(Vec<Voice>, Option<u8>), String> {
        let (mut voices, mut events) = (Vec::new(), None);
        for format in formats {
            let prefix = format!("{format} ");
            let name = self.all("rtpmap").find_map(|value| value.strip_prefix(prefix.as_str()));
            let is = |wanted: &str| name.is_some_and(|name| name.eq_ignore_ascii_case(wanted));
            // A static payload number needs no rtpmap (RFC 3551, 6).
            let fixed = |number: u8, wanted: &str| *format == number && (name.is_none() || is(wanted));
            if is("opus/48000/2") {
                voices.push(Voice::Opus(*format));
            } else if is("telephone-event/8000") {
                events = Some(*format);
            } else if terms.pcma && fixed(PCMA, "PCMA/8000") {
                voices.push(Voice::Pcma);
            } else if terms.pcmu && fixed(PCMU, "PCMU/8000") {
                voices.push(Voice::Pcmu);
            } else {
                return Err(format!("codec {format} ({}) is not supported", name.unwrap_or("no rtpmap")));
            }
        }
        if voices.is_empty() { Err("no opus/48000/2".to_owned()) } else { Ok((voices, events)) }
    }

    fn ssrc(&self) -> Result<Option<u32>, String> {
        let numbers: BTreeSet<&str> = self.all("ssrc").filter_map(|value| value.split(' ').next()).collect();
        if numbers.len() > 1 {
            return Err("a single SSRC expected".to_owned());
        }
        numbers.first().map(|number| number.parse().map_err(|_| "malformed a=ssrc".to_owned())).transpose()
    }
}

#[cfg(test)]
mod tests;
