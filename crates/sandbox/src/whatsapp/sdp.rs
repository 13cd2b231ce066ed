//! SDP by hand: WhatsApp's offers and answers in the shape seen on the wire, and the strict reading of the
//! business's SDP (RFC 8866, RFC 8829 for the WebRTC attributes), which refuses what Meta is known to refuse.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::SystemTime;

use super::random;

/// Payload number of Opus in our offers.
const OPUS: u8 = 111;
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

/// What WhatsApp's end of a call is made of.
#[derive(Clone)]
pub(crate) struct Local {
    pub(crate) media: SocketAddr,
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
    /// As advertised; a scenario may advertise a wrong one.
    pub(crate) fingerprint: [u8; 32],
    pub(crate) ssrc: u32,
    pub(crate) stream: String,
}

impl Local {
    pub(crate) fn new(media: SocketAddr, fingerprint: [u8; 32]) -> Self {
        Self {
            media,
            ufrag: random::base64(&random::bytes::<12>()),
            pwd: random::base64(&random::bytes::<16>()),
            fingerprint,
            ssrc: u32::from_be_bytes(random::bytes()),
            stream: random::uuid(),
        }
    }

    pub(crate) fn offer(&self) -> String {
        self.write(OPUS, Some(TELEPHONE_EVENT), "audio", DtlsSetup::ActPass)
    }

    /// Payload numbers and mid are the offerer's.
    pub(crate) fn answer(&self, offer: &Remote, setup: DtlsSetup) -> String {
        self.write(offer.opus, offer.telephone_event, &offer.mid, setup)
    }

    fn write(&self, opus: u8, events: Option<u8>, mid: &str, setup: DtlsSetup) -> String {
        let Self { media, ufrag, pwd, ssrc, stream, .. } = self;
        let (ip, port) = (media.ip(), media.port());
        let session =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let foundation = u32::from_be_bytes(random::bytes());
        let formats = events.map_or(opus.to_string(), |events| format!("{opus} {events}"));
        let mut lines = vec![
            "v=0".to_owned(),
            format!("o=- {session} 2 IN IP4 127.0.0.1"),
            "s=-".to_owned(),
            "t=0 0".to_owned(),
            format!("a=group:BUNDLE {mid}"),
            format!("a=msid-semantic: WMS {stream}"),
            "a=ice-lite".to_owned(),
            format!("m=audio {port} UDP/TLS/RTP/SAVPF {formats}"),
            format!("c=IN IP4 {ip}"),
            "a=rtcp:9 IN IP4 0.0.0.0".to_owned(),
            format!(
                "a=candidate:{foundation} 1 udp 2122260223 {ip} {port} typ host generation 0 network-cost 50"
            ),
            format!("a=ice-ufrag:{ufrag}"),
            format!("a=ice-pwd:{pwd}"),
            format!("a=fingerprint:sha-256 {}", fingerprint_text(&self.fingerprint)),
            format!("a=setup:{}", setup.as_str()),
            format!("a=mid:{mid}"),
            "a=sendrecv".to_owned(),
            format!("a=msid:{stream} WhatsAppTrack1"),
            "a=rtcp-mux".to_owned(),
            format!("a=rtpmap:{opus} opus/48000/2"),
            format!("a=rtcp-fb:{opus} transport-cc"),
            format!(
                "a=fmtp:{opus} maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1"
            ),
        ];
        lines.extend(events.map(|events| format!("a=rtpmap:{events} telephone-event/8000")));
        lines.push("a=maxptime:20".to_owned());
        lines.push("a=ptime:20".to_owned());
        lines.push(format!("a=ssrc:{ssrc} cname:WhatsAppAudioStream1"));
        lines.push(String::new());
        lines.join("\r\n")
    }
}

/// `AB:CD:...` of RFC 8122.
fn fingerprint_text(fingerprint: &[u8; 32]) -> String {
    fingerprint.map(|byte| format!("{byte:02X}")).join(":")
}

/// What the business's SDP says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) setup: DtlsSetup,
    pub(crate) opus: u8,
    pub(crate) telephone_event: Option<u8>,
    pub(crate) mid: String,
    pub(crate) ssrc: Option<u32>,
}

/// Reads the offer of a business-initiated call.
pub(crate) fn read_offer(sdp: &str) -> Result<Remote, String> {
    let remote = read(sdp)?;
    if remote.setup == DtlsSetup::Passive {
        return Err("a=setup:passive in an offer".to_owned());
    }
    Ok(remote)
}

/// Reads the answer to our own offer of a user-initiated call.
pub(crate) fn read_answer(sdp: &str) -> Result<Remote, String> {
    let remote = read(sdp)?;
    match remote {
        Remote { setup, .. } if setup != DtlsSetup::Active => {
            Err(format!("a=setup:{} in an answer, setup:active expected", setup.as_str()))
        }
        Remote { opus, .. } if opus != OPUS => Err(format!("payload {opus} for opus was not offered")),
        Remote { telephone_event: Some(events), .. } if events != TELEPHONE_EVENT => {
            Err(format!("payload {events} for telephone-event was not offered"))
        }
        Remote { ref mid, .. } if mid != "audio" => Err(format!("a=mid:{mid} is not the offer's")),
        remote => Ok(remote),
    }
}

/// Attributes that Meta refuses, or that belong to another way of keying.
const REFUSED: [&str; 5] = ["ice-options", "ice-lite", "crypto", "inactive", "recvonly"];

fn read(sdp: &str) -> Result<Remote, String> {
    let lines = split(sdp)?;
    let values =
        |kind: char| lines.iter().filter(move |(letter, _)| *letter == kind).map(|(_, value)| *value);
    for (kind, count) in [('v', 1), ('o', 1), ('s', 1), ('t', 1), ('m', 1)] {
        if values(kind).count() != count {
            return Err(format!("exactly one {kind}= line expected"));
        }
    }
    let formats = read_media_line(values('m').next().unwrap_or_default())?;
    let attributes: Vec<(&str, &str)> =
        values('a').map(|value| value.split_once(':').unwrap_or((value, ""))).collect();
    if let Some((name, _)) = attributes.iter().find(|(name, _)| REFUSED.contains(name)) {
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
    let (ufrag, pwd) = attributes.credentials()?;
    let (opus, telephone_event) = attributes.codecs(&formats)?;
    Ok(Remote {
        ufrag,
        pwd,
        fingerprint: attributes.fingerprint()?,
        setup: attributes.setup()?,
        opus,
        telephone_event,
        mid: mid.to_owned(),
        ssrc: attributes.ssrc()?,
    })
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

fn read_media_line(value: &str) -> Result<Vec<u8>, String> {
    let mut fields = value.split(' ');
    let (media, port, protocol) = (fields.next(), fields.next(), fields.next());
    if media != Some("audio") || protocol != Some("UDP/TLS/RTP/SAVPF") {
        return Err(format!("m={value}: one audio stream over UDP/TLS/RTP/SAVPF expected"));
    }
    if !port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port != 0)) {
        return Err(format!("m={value}: bad port"));
    }
    fields.map(|field| field.parse().map_err(|_| format!("m={value}: bad payload number"))).collect()
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

    /// Opus and, perhaps, telephone-event; anything else in the m= line is refused.
    fn codecs(&self, formats: &[u8]) -> Result<(u8, Option<u8>), String> {
        let (mut opus, mut events) = (None, None);
        for format in formats {
            let prefix = format!("{format} ");
            match self.all("rtpmap").find_map(|value| value.strip_prefix(prefix.as_str())) {
                Some(name) if name.eq_ignore_ascii_case("opus/48000/2") => opus = Some(*format),
                Some(name) if name.eq_ignore_ascii_case("telephone-event/8000") => events = Some(*format),
                other => {
                    return Err(format!(
                        "codec {format} ({}) is not supported",
                        other.unwrap_or("no rtpmap")
                    ));
                }
            }
        }
        Ok((opus.ok_or("no opus/48000/2")?, events))
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
mod tests {
    use super::*;

    const FINGERPRINT: &str =
        "75:85:02:48:2F:A1:97:65:81:65:4C:B3:2D:13:72:84:8F:D4:BE:31:6E:A0:71:34:52:C3:7A:28:76:43:C6:71";

    fn business(setup: &str) -> String {
        format!(
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE audio\r\n\
             m=audio 40000 UDP/TLS/RTP/SAVPF 111 126\r\nc=IN IP4 192.0.2.1\r\n\
             a=candidate:1 1 udp 2130706431 192.0.2.1 40000 typ host\r\na=ice-ufrag:abcd\r\n\
             a=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 {FINGERPRINT}\r\na=setup:{setup}\r\n\
             a=mid:audio\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
             a=rtpmap:126 telephone-event/8000\r\na=maxptime:20\r\na=ptime:20\r\na=ssrc:7 cname:x\r\n"
        )
    }

    #[test]
    fn our_offer_has_the_captured_shape() {
        let mut local = Local::new("127.0.0.1:3480".parse().unwrap(), [0xAB; 32]);
        assert!(local.pwd.ends_with("==") && local.pwd.len() == 24, "{}", local.pwd);
        assert_eq!(local.ufrag.len(), 16);
        (local.ufrag, local.pwd) = ("NvPeRHRlBReaRYCZ".to_owned(), "+219v9nKr3xSQIn8s+Fy8g==".to_owned());
        (local.ssrc, local.stream) = (613_016_344, "7da83f2b".to_owned());
        let offer = local.offer();
        let fixed: Vec<&str> = offer
            .split("\r\n")
            .filter(|line| !line.starts_with("o=") && !line.contains("candidate"))
            .collect();
        let fingerprint = format!("a=fingerprint:sha-256 {}", ["AB"; 32].join(":"));
        assert_eq!(
            fixed,
            [
                "v=0",
                "s=-",
                "t=0 0",
                "a=group:BUNDLE audio",
                "a=msid-semantic: WMS 7da83f2b",
                "a=ice-lite",
                "m=audio 3480 UDP/TLS/RTP/SAVPF 111 126",
                "c=IN IP4 127.0.0.1",
                "a=rtcp:9 IN IP4 0.0.0.0",
                "a=ice-ufrag:NvPeRHRlBReaRYCZ",
                "a=ice-pwd:+219v9nKr3xSQIn8s+Fy8g==",
                &fingerprint,
                "a=setup:actpass",
                "a=mid:audio",
                "a=sendrecv",
                "a=msid:7da83f2b WhatsAppTrack1",
                "a=rtcp-mux",
                "a=rtpmap:111 opus/48000/2",
                "a=rtcp-fb:111 transport-cc",
                "a=fmtp:111 maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1",
                "a=rtpmap:126 telephone-event/8000",
                "a=maxptime:20",
                "a=ptime:20",
                "a=ssrc:613016344 cname:WhatsAppAudioStream1",
                "",
            ]
        );
        assert!(offer.contains(" typ host generation 0 network-cost 50\r\n"));
    }

    #[test]
    fn our_answer_mirrors_the_offer() {
        let offer = business("actpass").replace("111", "107").replace("126", "101").replace("audio\r", "0\r");
        let remote = read_offer(&offer).unwrap();
        let answer =
            Local::new("127.0.0.1:3480".parse().unwrap(), [1; 32]).answer(&remote, DtlsSetup::ActPass);
        for line in [
            "m=audio 3480 UDP/TLS/RTP/SAVPF 107 101\r\n",
            "a=mid:0\r\n",
            "a=setup:actpass\r\n",
            "a=rtpmap:107 opus/48000/2\r\n",
            "a=rtpmap:101 telephone-event/8000\r\n",
            "a=group:BUNDLE 0\r\n",
        ] {
            assert!(answer.contains(line), "{line} is missing in {answer}");
        }
    }

    #[test]
    fn reads_a_good_answer() {
        let remote = read_answer(&business("active")).unwrap();
        assert_eq!((remote.opus, remote.telephone_event, remote.ssrc), (111, Some(126), Some(7)));
        assert_eq!(remote.fingerprint[..3], [0x75, 0x85, 0x02]);
        assert_eq!(remote.setup, DtlsSetup::Active);
    }

    #[test]
    fn refuses_what_meta_refuses() {
        let good = business("active");
        let edits: [(&str, &str, &str); 19] = [
            ("\r\n", "\n", "CRLF"),
            ("s=-\r\n", "s=-\n", "CRLF"),
            ("a=ptime:20", "a=ptime:30", "ptime"),
            ("a=maxptime:20\r\na=ptime:20\r\n", "", "ptime"),
            ("a=setup:active", "a=setup:actpass", "setup"),
            ("a=setup:active\r\n", "", "setup"),
            ("a=mid:audio\r\n", "a=mid:audio\r\na=ice-options:trickle\r\n", "ice-options"),
            ("a=mid:audio\r\n", "a=mid:audio\r\na=ice-lite\r\n", "ice-lite"),
            ("a=rtcp-mux\r\n", "", "rtcp-mux"),
            ("a=fingerprint:sha-256", "a=fingerprint:sha-384", "sha-256 expected"),
            ("a=setup", "a=fingerprint:sha-512 00\r\na=setup", "more than one a=fingerprint"),
            ("opus/48000/2", "opus/48000", "not supported"),
            ("111 126", "111 126 0", "not supported"),
            (
                "a=rtpmap:126 telephone-event/8000\r\n",
                "a=rtpmap:126 telephone-event/48000\r\n",
                "not supported",
            ),
            ("a=ssrc:7", "a=ssrc:8 cname:x\r\na=ssrc:7", "single SSRC"),
            ("a=ssrc:7 cname:x\r\n", "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", "m= line"),
            ("40000 typ host", "40000 typ nothing", "candidate"),
            ("a=ice-ufrag:abcd\r\n", "", "ice-ufrag"),
            ("a=sendrecv", "a=inactive", "inactive"),
        ];
        assert!(read_answer(&good).is_ok());
        for (from, to, why) in edits {
            let error = read_answer(&good.replace(from, to)).unwrap_err();
            assert!(error.contains(why), "{from:?} -> {to:?}: {error}");
        }
        assert!(read_offer(&business("passive")).is_err());
        assert!(read_offer(&business("actpass")).is_ok());
    }
}
