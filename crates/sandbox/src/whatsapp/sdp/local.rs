//! WhatsApp's own SDP, in both shapes that are known of it.

use std::net::SocketAddr;
use std::time::SystemTime;

use super::{DtlsSetup, KEY_AND_SALT, Keyed, OPUS, Remote, TELEPHONE_EVENT, Terms, Voice, profile, sdes};
use crate::whatsapp::random;
use crate::whatsapp::scenario::SdpShape;

/// What WhatsApp's end of a call is made of.
#[derive(Clone)]
pub(crate) struct Local {
    pub(crate) media: SocketAddr,
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
    /// As advertised; a scenario may advertise a wrong one.
    pub(crate) fingerprint: [u8; 32],
    /// Key and salt of what we send, where keys stand in the SDP.
    pub(crate) key: [u8; KEY_AND_SALT],
    pub(crate) ssrc: u32,
    pub(crate) stream: String,
}

/// What is negotiated of one SDP.
struct Parts<'a> {
    voices: &'a [Voice],
    events: Option<u8>,
    mid: &'a str,
    /// Nothing where keys stand in the SDP.
    setup: Option<DtlsSetup>,
}

impl Local {
    pub(crate) fn new(media: SocketAddr, fingerprint: [u8; 32]) -> Self {
        Self {
            media,
            ufrag: random::base64(&random::bytes::<12>()),
            pwd: random::base64(&random::bytes::<16>()),
            fingerprint,
            key: random::bytes(),
            ssrc: u32::from_be_bytes(random::bytes()),
            stream: random::uuid(),
        }
    }

    pub(crate) fn offer(&self, shape: SdpShape, terms: Terms) -> String {
        let mut voices = vec![Voice::Opus(OPUS)];
        voices.extend(terms.pcma.then_some(Voice::Pcma));
        voices.extend(terms.pcmu.then_some(Voice::Pcmu));
        let events = Some(TELEPHONE_EVENT);
        let setup = (!terms.sdes).then_some(DtlsSetup::ActPass);
        self.write(&Parts { voices: &voices, events, mid: "audio", setup }, shape)
    }

    /// Payload numbers, their order and mid are the offerer's.
    pub(crate) fn answer(&self, offer: &Remote, setup: DtlsSetup, shape: SdpShape) -> String {
        let (voices, events, mid) = (&offer.voices, offer.telephone_event, offer.mid.as_str());
        let setup = matches!(offer.keyed, Keyed::Dtls { .. }).then_some(setup);
        self.write(&Parts { voices, events, mid, setup }, shape)
    }

    fn write(&self, parts: &Parts<'_>, shape: SdpShape) -> String {
        let mut lines = self.session(parts);
        lines.extend(self.transport(parts, shape));
        lines.extend(codecs(parts, shape));
        lines.extend(self.source(shape));
        lines.push(String::new());
        lines.join("\r\n")
    }

    fn session(&self, parts: &Parts<'_>) -> Vec<String> {
        let session =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let (mid, stream) = (parts.mid, &self.stream);
        let mut formats: Vec<String> =
            parts.voices.iter().map(|voice| voice.payload_type().to_string()).collect();
        formats.extend(parts.events.map(|events| events.to_string()));
        let (ip, port, formats) = (self.media.ip(), self.media.port(), formats.join(" "));
        let profile = profile(parts.setup.is_none());
        let mut lines = vec![
            "v=0".to_owned(),
            format!("o=- {session} 2 IN IP4 127.0.0.1"),
            "s=-".to_owned(),
            "t=0 0".to_owned(),
            format!("a=group:BUNDLE {mid}"),
            format!("a=msid-semantic: WMS {stream}"),
        ];
        lines.extend(parts.setup.map(|_| "a=ice-lite".to_owned()));
        lines.extend([
            format!("m=audio {port} {profile} {formats}"),
            format!("c=IN {} {ip}", if ip.is_ipv4() { "IP4" } else { "IP6" }),
            "a=rtcp:9 IN IP4 0.0.0.0".to_owned(),
        ]);
        lines
    }

    /// The key between the attributes that the captured description has around it.
    fn keyed_transport(&self, parts: &Parts<'_>) -> Vec<String> {
        vec![
            format!("a=mid:{}", parts.mid),
            "a=sendrecv".to_owned(),
            format!("a=msid:{} WhatsAppTrack1", self.stream),
            "a=rtcp-mux".to_owned(),
            sdes::line(&self.key),
        ]
    }

    fn transport(&self, parts: &Parts<'_>, shape: SdpShape) -> Vec<String> {
        let Self { media, ufrag, pwd, stream, .. } = self;
        let Some(setup) = parts.setup else { return self.keyed_transport(parts) };
        let (ip, port) = (media.ip(), media.port());
        let candidate = |priority: u32, ip: String, more: &str| {
            let foundation = u32::from_be_bytes(random::bytes());
            let kind = "typ host generation 0 network-cost 50";
            format!("a=candidate:{foundation} 1 udp {priority} {ip} {port} {kind}{more}")
        };
        let mut lines = match shape {
            SdpShape::Modern => vec![candidate(2_122_260_223, ip.to_string(), "")],
            SdpShape::Documented => {
                let more = format!(" ufrag {ufrag}");
                // Nobody answers at the second: it is an address for documents (RFC 3849).
                vec![
                    candidate(2_113_937_151, ip.to_string(), &more),
                    candidate(2_113_939_711, "2001:db8::1".to_owned(), &more),
                ]
            }
        };
        let fingerprint = self.fingerprint.map(|byte| format!("{byte:02X}")).join(":");
        lines.extend([
            format!("a=ice-ufrag:{ufrag}"),
            format!("a=ice-pwd:{pwd}"),
            format!("a=fingerprint:sha-256 {fingerprint}"),
            format!("a=setup:{}", setup.as_str()),
            format!("a=mid:{}", parts.mid),
        ]);
        match shape {
            SdpShape::Modern => {
                lines.extend(["a=sendrecv".to_owned(), format!("a=msid:{stream} WhatsAppTrack1")]);
            }
            SdpShape::Documented => {
                lines.extend(EXTENSIONS.map(str::to_owned));
                lines.push("a=sendrecv".to_owned());
            }
        }
        lines.push("a=rtcp-mux".to_owned());
        lines
    }

    fn source(&self, shape: SdpShape) -> Vec<String> {
        let Self { ssrc, stream, .. } = self;
        match shape {
            SdpShape::Modern => vec![
                "a=maxptime:20".to_owned(),
                "a=ptime:20".to_owned(),
                format!("a=ssrc:{ssrc} cname:WhatsAppAudioStream1"),
            ],
            SdpShape::Documented => {
                let track = "audio#R5wfXFcdmT6";
                vec![
                    format!("a=ssrc:{ssrc} cname:WhatsAppAudioStream1"),
                    format!("a=ssrc:{ssrc} msid:{stream} {track}"),
                    format!("a=ssrc:{ssrc} mslabel:{stream}"),
                    format!("a=ssrc:{ssrc} label:{track}"),
                ]
            }
        }
    }
}

/// RTP header extensions of the documented offers and answers.
const EXTENSIONS: [&str; 3] = [
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
];

fn codecs(parts: &Parts<'_>, shape: SdpShape) -> Vec<String> {
    let format = match shape {
        SdpShape::Modern => {
            "maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1"
        }
        SdpShape::Documented => "minptime=10;useinbandfec=1",
    };
    let mut lines = Vec::new();
    for voice in parts.voices {
        match voice {
            Voice::Opus(opus) => lines.extend([
                format!("a=rtpmap:{opus} opus/48000/2"),
                format!("a=rtcp-fb:{opus} transport-cc"),
                format!("a=fmtp:{opus} {format}"),
            ]),
            Voice::Pcma => lines.push(format!("a=rtpmap:{} PCMA/8000", voice.payload_type())),
            Voice::Pcmu => lines.push(format!("a=rtpmap:{} PCMU/8000", voice.payload_type())),
        }
    }
    lines.extend(parts.events.map(|events| format!("a=rtpmap:{events} telephone-event/8000")));
    lines
}
