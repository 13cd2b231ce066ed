//! SDP by hand (RFC 8866, RFC 3264): one audio stream with keypad events.

use std::net::{IpAddr, SocketAddr};

use super::{Codec, Direction};

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
        }
    }

    fn rtpmap(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
            Self::Opus => "opus/48000/2",
        }
    }
}

/// An offer with the codecs in their order, and keypad events on each clock in use.
pub(super) fn offer(local: SocketAddr, session: u64, codecs: &[Codec]) -> String {
    let mut payloads: Vec<(u8, String)> =
        codecs.iter().map(|c| (c.payload(), c.rtpmap().to_owned())).collect();
    for (clock, number) in [(8000, EVENTS_8K), (48_000, EVENTS_48K)] {
        if codecs.iter().any(|codec| codec.clock() == clock) {
            payloads.push((number, format!("telephone-event/{clock}")));
        }
    }
    write(local, session, &payloads)
}

/// The answer that takes what `remote` says, with the payload numbers of the offer.
pub(super) fn answer(local: SocketAddr, session: u64, remote: &Remote) -> String {
    let mut payloads = vec![(remote.payload, remote.codec.rtpmap().to_owned())];
    payloads
        .extend(remote.events.map(|number| (number, format!("telephone-event/{}", remote.codec.clock()))));
    write(local, session, &payloads)
}

fn write(local: SocketAddr, session: u64, payloads: &[(u8, String)]) -> String {
    let family = if local.is_ipv6() { "IP6" } else { "IP4" };
    let (ip, port) = (local.ip(), local.port());
    let numbers: String = payloads.iter().map(|(number, _)| format!(" {number}")).collect();
    let mut sdp = format!(
        "v=0\r\no=phone {session} 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP{numbers}\r\n"
    );
    for (number, name) in payloads {
        sdp.push_str(&format!("a=rtpmap:{number} {name}\r\n"));
        if name.starts_with("telephone-event") {
            sdp.push_str(&format!("a=fmtp:{number} 0-15\r\n"));
        }
    }
    sdp.push_str("a=ptime:20\r\na=sendrecv\r\n");
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
pub(super) fn read(sdp: &str, codecs: &[Codec]) -> Result<Remote, String> {
    let lines = lines(sdp)?;
    let (address, payloads) = media(&lines)?;
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
    Ok(Remote { address, codec, payload, events: payloads.iter().find(is_event).copied() })
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

/// Address and payload numbers of the only stream.
fn media(lines: &Lines<'_>) -> Result<(SocketAddr, Vec<u8>), String> {
    let value = |wanted: char| lines.iter().find(|(kind, _)| *kind == wanted).map_or("", |(_, value)| *value);
    let words: Vec<&str> = value('m').split(' ').collect();
    let ["audio", port, "RTP/AVP", numbers @ ..] = words.as_slice() else {
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
    Ok((SocketAddr::new(ip, port), payloads))
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
            _ => None,
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Codec; 3] = [Codec::Opus, Codec::Pcma, Codec::Pcmu];

    fn local() -> SocketAddr {
        "127.0.0.1:4000".parse().unwrap()
    }

    #[test]
    fn an_offer_is_read_and_answered_with_its_numbers() {
        let offered = offer(local(), 7, &ALL);
        assert!(offered.contains("m=audio 4000 RTP/AVP 111 8 0 101 102\r\n"), "{offered}");
        let remote = read(&offered, &[Codec::Opus]).unwrap();
        assert_eq!(remote, Remote { address: local(), codec: Codec::Opus, payload: 111, events: Some(102) });
        let remote = read(&offered, &[Codec::Pcmu]).unwrap();
        assert_eq!(remote, Remote { address: local(), codec: Codec::Pcmu, payload: 0, events: Some(101) });
        let answered = answer("127.0.0.1:4002".parse().unwrap(), 8, &remote);
        assert_eq!(read(&answered, &ALL).unwrap().payload, 0);
        assert!(answered.contains("m=audio 4002 RTP/AVP 0 101\r\n"), "{answered}");
    }

    #[test]
    fn static_numbers_need_no_rtpmap() {
        let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9000 RTP/AVP 8\r\n";
        assert_eq!(read(sdp, &ALL).unwrap().codec, Codec::Pcma);
    }

    #[test]
    fn mistakes_are_named() {
        let good =
            answer(local(), 1, &Remote { address: local(), codec: Codec::Pcmu, payload: 0, events: None });
        let broken = [
            (good.replace("\r\n", "\n"), "CRLF"),
            (good.replace("4000", "0"), "no usable address"),
            (good.replace("RTP/AVP", "RTP/SAVP"), "unexpected m="),
            (good.replace("v=0", "v=1"), "v=0"),
            (good.replace("t=0 0\r\n", ""), "one t="),
            (good.replace("PCMU", "G729"), "no codec"),
            (good.replace("a=ptime:20", "ptime"), "malformed line"),
            (good.replace("AVP 0", "AVP 200"), "payload number"),
        ];
        for (sdp, complaint) in broken {
            let error = read(&sdp, &ALL).unwrap_err();
            assert!(error.contains(complaint), "{error} for {complaint}");
        }
    }

    #[test]
    fn a_description_is_revised_with_its_version() {
        let first = offer(local(), 1, &[Codec::Pcmu]);
        assert_eq!(revise(&first, Direction::SendRecv), first);
        let held = revise(&first, Direction::SendOnly);
        assert_eq!(held, first.replace(" 1 1 IN", " 1 2 IN").replace("sendrecv", "sendonly"));
        assert_eq!(origin(&revise(&held, Direction::Inactive)).unwrap().1, 3);
    }

    #[test]
    fn mistakes_in_a_changed_answer_are_named() {
        use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
        let first = offer(local(), 1, &[Codec::Pcmu]);
        let second = revise(&first, RecvOnly);
        let none: [&str; 0] = [];
        assert_eq!(changed(&first, &first, SendRecv), none);
        assert_eq!(changed(&first, &second, SendOnly), none);
        assert_eq!(changed(&first, &revise(&first, Inactive), SendOnly), none);
        let mistakes = [
            (&first, offer(local(), 2, &[Codec::Pcmu]), SendRecv, "o= was phone 1"),
            (&second, first.clone(), SendRecv, "version 1 after 2"),
            (&first, first.replace("sendrecv", "recvonly"), SendRecv, "version 1 again"),
            (&first, first.replace("o=phone 1 1", "o=phone 1"), SendRecv, "malformed o="),
            (&first, first.clone(), SendOnly, "sendrecv is no answer to sendonly"),
            (&first, second.clone(), RecvOnly, "recvonly is no answer to recvonly"),
            (&first, second.clone(), Inactive, "recvonly is no answer to inactive"),
        ];
        for (before, answer, offered, complaint) in mistakes {
            let complaints = changed(before, &answer, offered);
            assert!(complaints.len() == 1 && complaints[0].contains(complaint), "{complaints:?}");
        }
    }
}
