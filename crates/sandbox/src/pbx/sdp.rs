//! SDP by hand (RFC 8866, RFC 3264): one audio stream with keypad events.

use std::net::{IpAddr, SocketAddr};

use super::secure::Crypto;
use super::{Codec, Direction, Manner, Security};

/// Payload number of keypad events on an 8 kHz line, the habit of most PBXs.
const EVENTS_8K: u8 = 101;
/// Payload number of keypad events on Opus' 48 kHz line.
const EVENTS_48K: u8 = 102;

/// Where and how the other end wants its sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) address: SocketAddr,
    pub(super) codec: Codec,
    pub(super) payload: u8,
    pub(super) events: Option<u8>,
    /// `RTP/AVP`, ...
    pub(super) profile: String,
    /// The suites and keys it names, those that the phone knows.
    pub(super) cryptos: Vec<Crypto>,
    /// RTCP may come on the same port.
    pub(super) rtcp_mux: bool,
    /// Where RTCP goes: to the same port where both ends say so.
    pub(super) rtcp: SocketAddr,
}

/// What the phone says of its own end.
pub(super) struct Ours<'a> {
    pub(super) local: SocketAddr,
    pub(super) session: u64,
    pub(super) manner: &'a Manner,
    /// Its keys, one for each suite of its manner.
    pub(super) keys: &'a [Crypto],
}

#[cfg(test)]
impl Remote {
    /// A stream of plain RTP.
    pub(super) fn plain(address: SocketAddr, codec: Codec, payload: u8) -> Self {
        let profile = "RTP/AVP".to_owned();
        let rtcp = SocketAddr::new(address.ip(), address.port() + 1);
        Self { address, codec, payload, events: None, profile, cryptos: Vec::new(), rtcp_mux: false, rtcp }
    }
}

impl Codec {
    pub(super) fn clock(self) -> u32 {
        if self == Self::Opus { 48_000 } else { 8000 }
    }

    fn payload(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::Opus => 111,
            Self::G722 => 9,
        }
    }

    fn rtpmap(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
            Self::Opus => "opus/48000/2",
            // RFC 3551 4.5.2: half of what it is, by an old mistake.
            Self::G722 => "G722/8000",
        }
    }
}

/// An offer with the codecs in their order, and keypad events on each clock in use.
pub(super) fn offer(ours: &Ours<'_>, codecs: &[Codec]) -> String {
    let mut payloads: Vec<(u8, String)> =
        codecs.iter().map(|c| (c.payload(), c.rtpmap().to_owned())).collect();
    for (clock, number) in [(8000, EVENTS_8K), (48_000, EVENTS_48K)] {
        if codecs.iter().any(|codec| codec.clock() == clock) {
            payloads.push((number, format!("telephone-event/{clock}")));
        }
    }
    let keys = if ours.manner.security == Security::Off { &[] } else { ours.keys };
    write(ours, ours.manner.profile(), &payloads, keys)
}

/// The answer that takes what `remote` says, with the payload numbers of the offer.
pub(super) fn answer(ours: &Ours<'_>, remote: &Remote) -> String {
    let mut payloads = vec![(remote.payload, remote.codec.rtpmap().to_owned())];
    payloads
        .extend(remote.events.map(|number| (number, format!("telephone-event/{}", remote.codec.clock()))));
    // RFC 4568 5.1.2: with the tag of what is taken.
    let taken = pair(ours, remote).map(|(ours, theirs)| ours.tagged(theirs.tag));
    write(ours, &remote.profile, &payloads, taken.as_slice())
}

/// The keys of both ends, once a suite is agreed on: the first of theirs that the phone takes. An answer names the
/// tag of the offer, and no other suite.
pub(super) fn pair<'a>(ours: &Ours<'a>, remote: &'a Remote) -> Option<(&'a Crypto, &'a Crypto)> {
    if ours.manner.security == Security::Off {
        return None;
    }
    let key = |theirs: &&'a Crypto| ours.keys.iter().find(|key| key.suite == theirs.suite);
    remote.cryptos.iter().find_map(|theirs| Some((key(&theirs)?, theirs)))
}

fn write(ours: &Ours<'_>, profile: &str, payloads: &[(u8, String)], keys: &[Crypto]) -> String {
    let Ours { local, session, manner, .. } = ours;
    let family = if local.is_ipv6() { "IP6" } else { "IP4" };
    let (ip, port) = (local.ip(), local.port());
    let numbers: String = payloads.iter().map(|(number, _)| format!(" {number}")).collect();
    let mut sdp = format!(
        "v=0\r\no=phone {session} 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {port} {profile}{numbers}\r\n"
    );
    for (number, name) in payloads {
        sdp.push_str(&format!("a=rtpmap:{number} {name}\r\n"));
        if name.starts_with("telephone-event") {
            sdp.push_str(&format!("a=fmtp:{number} 0-15\r\n"));
        }
    }
    for key in keys {
        sdp.push_str(&format!("a=crypto:{}\r\n", key.write()));
    }
    if manner.rtcp_mux {
        sdp.push_str("a=rtcp-mux\r\n");
    }
    sdp.push_str(&format!("a=ptime:{}\r\na=sendrecv\r\n", manner.ptime));
    sdp
}

/// The phone's own description with another direction. Its version goes up by one, unless it
/// says what it said before (RFC 3264 8).
pub(super) fn revise(own: &str, direction: Direction) -> String {
    let said = self::direction(own).unwrap_or(Direction::SendRecv);
    if said == direction {
        return own.to_owned();
    }
    let version = origin(own).map_or(1, |(_, version)| version);
    own.replace(&format!("\r\na={said}\r\n"), &format!("\r\na={direction}\r\n")).replacen(
        &format!(" {version} IN "),
        &format!(" {} IN ", version + 1),
        1,
    )
}

/// The direction a description gives, if it gives one.
pub(super) fn direction(sdp: &str) -> Option<Direction> {
    sdp.lines().find_map(|line| Direction::named(line.strip_prefix("a=")?))
}

/// The `o=` line without its version, and the version (RFC 8866 5.2).
pub(super) fn origin(sdp: &str) -> Option<(String, u64)> {
    let line = sdp.lines().find_map(|line| line.strip_prefix("o="))?;
    let [user, session, version, network] = line.splitn(4, ' ').collect::<Vec<_>>().try_into().ok()?;
    Some((format!("{user} {session} {network}"), version.parse().ok()?))
}

/// Mistakes in the answer to an offer in a session that is up; `before` is what its writer said
/// last (RFC 3264 6.1 and 8).
pub(super) fn changed(before: &str, answer: &str, offered: Direction) -> Vec<String> {
    let mut complaints = Vec::new();
    match (origin(before), origin(answer)) {
        (_, None) => complaints.push("SDP: malformed o=".to_owned()),
        (Some((known, _)), Some((session, _))) if known != session => {
            complaints.push(format!("SDP: o= was {known}, now it is {session}"));
        }
        (Some((_, old)), Some((_, new))) if new < old => {
            complaints.push(format!("SDP: version {new} after {old}"));
        }
        (Some((_, old)), Some((_, new))) if new == old && before != answer => {
            complaints.push(format!("SDP: version {new} again with other lines"));
        }
        _ => {}
    }
    let theirs = direction(answer).unwrap_or(Direction::SendRecv);
    if theirs.sends() && !offered.receives() || theirs.receives() && !offered.sends() {
        complaints.push(format!("SDP: {theirs} is no answer to {offered}"));
    }
    complaints
}

/// Reads the bridge's offer or answer. What a plain audio description can get
/// wrong is refused with a sentence.
pub(super) fn read(sdp: &str, codecs: &[Codec], manner: &Manner) -> Result<Remote, String> {
    let lines = lines(sdp)?;
    let (address, profile, payloads) = media(&lines)?;
    if !manner.takes(&profile) {
        return Err(format!("SDP: unexpected profile {profile}"));
    }
    let attributes = || lines.iter().filter(|(kind, _)| *kind == 'a').map(|(_, value)| *value);
    let cryptos: Vec<Crypto> =
        attributes().filter_map(|value| Crypto::parse(value.strip_prefix("crypto:")?)).collect();
    if profile.starts_with("RTP/SAVP") && cryptos.is_empty() {
        return Err(format!("SDP: {profile} without a key that the phone can use"));
    }
    let rtcp_mux = attributes().any(|value| value == "rtcp-mux");
    let rtcp = if rtcp_mux && manner.rtcp_mux { address } else { rtcp_of(attributes(), address)? };
    let (payload, codec) = payloads
        .iter()
        .find_map(|number| {
            let name = rtpmap(&lines, *number)?;
            codecs
                .iter()
                .find(|codec| codec.rtpmap().eq_ignore_ascii_case(&name))
                .map(|codec| (*number, *codec))
        })
        .ok_or_else(|| format!("SDP: no codec in common in {payloads:?}"))?;
    let wanted = format!("telephone-event/{}", codec.clock());
    let is_event =
        |number: &&u8| rtpmap(&lines, **number).is_some_and(|name| name.eq_ignore_ascii_case(&wanted));
    let events = payloads.iter().find(is_event).copied();
    Ok(Remote { address, codec, payload, events, profile, cryptos, rtcp_mux, rtcp })
}

/// The port that `a=rtcp` names (RFC 3605), or the one above the stream's.
fn rtcp_of<'a>(
    mut attributes: impl Iterator<Item = &'a str>,
    address: SocketAddr,
) -> Result<SocketAddr, String> {
    let Some(said) = attributes.find_map(|value| value.strip_prefix("rtcp:")) else {
        return Ok(SocketAddr::new(address.ip(), address.port().saturating_add(1)));
    };
    let port = said.split(' ').next().and_then(|port| port.parse().ok()).filter(|port| *port != 0);
    let port = port.ok_or_else(|| format!("SDP: no usable port in a=rtcp:{said}"))?;
    Ok(SocketAddr::new(address.ip(), port))
}

type Lines<'a> = Vec<(char, &'a str)>;

/// RFC 8866 section 5: `<type>=<value>` CRLF, and the order of the session's part.
fn lines(sdp: &str) -> Result<Lines<'_>, String> {
    let body = sdp.strip_suffix("\r\n").ok_or("SDP: no CRLF at the end")?;
    let lines: Lines<'_> = body
        .split("\r\n")
        .map(|line| match line.split_once('=') {
            Some((kind, value)) if kind.len() == 1 && !value.contains('\n') => {
                Ok((kind.chars().next().unwrap_or('?'), value))
            }
            _ => Err(format!("SDP: malformed line {line:?}")),
        })
        .collect::<Result<_, _>>()?;
    let head: String = lines.iter().map(|(kind, _)| *kind).take(3).collect();
    let once = |kind: char| lines.iter().filter(|(k, _)| *k == kind).count() == 1;
    match head.as_str() {
        "vos" if lines[0].1 == "0" && once('t') && once('m') => Ok(lines),
        _ => Err("SDP: v=0, o=, s=, one t= and one m= were expected".to_owned()),
    }
}

/// Address, profile and payload numbers of the only stream.
fn media(lines: &Lines<'_>) -> Result<(SocketAddr, String, Vec<u8>), String> {
    let value = |wanted: char| lines.iter().find(|(kind, _)| *kind == wanted).map_or("", |(_, value)| *value);
    let words: Vec<&str> = value('m').split(' ').collect();
    let ["audio", port, profile, numbers @ ..] = words.as_slice() else {
        return Err(format!("SDP: unexpected m={}", words.join(" ")));
    };
    let ip: Option<IpAddr> = value('c').split(' ').nth(2).and_then(|ip| ip.parse().ok());
    let port: Option<u16> = port.parse().ok().filter(|port| *port != 0);
    let (Some(ip), Some(port)) = (ip, port) else {
        return Err(format!("SDP: no usable address in c={} m={}", value('c'), value('m')));
    };
    let payloads = numbers
        .iter()
        .map(|number| {
            number
                .parse()
                .ok()
                .filter(|n: &u8| *n < 128)
                .ok_or_else(|| format!("SDP: payload number {number}"))
        })
        .collect::<Result<_, _>>()?;
    Ok((SocketAddr::new(ip, port), (*profile).to_owned(), payloads))
}

/// Name and clock of a payload number; the static ones need no line (RFC 3551).
fn rtpmap(lines: &Lines<'_>, number: u8) -> Option<String> {
    let prefix = format!("rtpmap:{number} ");
    let given =
        lines.iter().filter(|(kind, _)| *kind == 'a').find_map(|(_, value)| value.strip_prefix(&prefix));
    given
        .or(match number {
            0 => Some("PCMU/8000"),
            8 => Some("PCMA/8000"),
            9 => Some("G722/8000"),
            _ => None,
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests;
