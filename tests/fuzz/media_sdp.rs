//! Whole histories of session descriptions with a PBX, and what WhatsApp is answered.

use media_relay::fuzzing::whatsapp_local;
use media_relay::sdp::negotiation::Negotiation;
use media_relay::sdp::pbx::Codec;
use media_relay::sdp::whatsapp::{self, Transport};

use crate::choices::Choices;

const LOCAL: ([u8; 4], u16) = ([192, 0, 2, 10], 40000);
/// Pieces of descriptions, to begin with.
const LINES: [&str; 24] = [
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n",
    "m=audio 4000 RTP/AVP 0 8 101\r\n",
    "m=audio 4000 RTP/AVPF 96 0 13\r\n",
    "m=audio 4000 RTP/SAVP 9 8\r\n",
    "m=audio 4000 RTP/SAVPF 111 110\r\n",
    "m=video 4002 RTP/AVP 99\r\n",
    "m=audio 0 RTP/AVP 0\r\n",
    "m=image 4004 udptl t38\r\n",
    "a=rtpmap:96 opus/48000/2\r\na=rtpmap:111 opus/48000/2\r\n",
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n",
    "a=rtpmap:110 telephone-event/48000\r\n",
    "a=rtpmap:9 G722/8000\r\n",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA|2^20\r\n",
    "a=crypto:2 AEAD_AES_256_GCM inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n",
    "a=crypto:3 AES_CM_128_HMAC_SHA1_32 inline:short\r\n",
    "a=rtcp-mux\r\na=rtcp:4009\r\n",
    "a=ptime:60\r\na=maxptime:150\r\n",
    "a=ptime:0\r\n",
    "c=IN IP4 0.0.0.0\r\n",
    "c=IN IP6 2001:db8::1\r\n",
    "a=sendonly\r\n",
    "a=inactive\r\n",
    "a=recvonly\r\n",
    "a=sendrecv\r\n",
];

/// The first byte says with whom.
pub(crate) fn media_sdp(data: &[u8]) {
    let mut choices = Choices(data);
    if choices.coin() { pbx(choices) } else { user(&String::from_utf8_lossy(choices.0)) }
}

/// What our descriptions have said.
#[derive(Default)]
struct Said {
    last: String,
    version: u64,
    streams: usize,
}

impl Said {
    /// A later description keeps the session and has a higher version where it differs; an offer has no fewer streams
    /// than what was said before it (RFC 3264 8). An answer has those of the offer, however few.
    fn take(&mut self, sdp: &str, offer: bool) {
        assert!(sdp.starts_with("v=0\r\no=") && sdp.ends_with("\r\n"), "{sdp}");
        assert!(!sdp.replace("\r\n", "").contains(['\r', '\n']), "{sdp:?}");
        let origin = sdp.lines().find_map(|line| line.strip_prefix("o=")).expect("an o= line");
        let mut words = origin.split(' ').skip(1);
        assert_eq!(words.next(), Some("7"), "{origin}");
        let version = words.next().and_then(|version| version.parse().ok()).expect("a version");
        if !self.last.is_empty() {
            let grown = u64::from(sdp != self.last);
            assert_eq!(version, self.version + grown, "{} then {sdp}", self.last);
        }
        let streams = sdp.lines().filter(|line| line.starts_with("m=")).count();
        assert!(streams >= if offer { self.streams.max(1) } else { 1 }, "{} then {sdp}", self.last);
        *self = Self { last: sdp.to_owned(), version, streams };
    }
}

fn pbx(mut choices: Choices<'_>) {
    let codecs: &[Codec] = choices.of(&[
        &[Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma][..],
        &[Codec::Pcma],
        &[Codec::Pcmu, Codec::Opus],
    ]);
    let mut ours = Negotiation::new(LOCAL.into(), 7, codecs.to_vec());
    let mut said = Said::default();
    while !choices.is_over() {
        let before = ours.agreed().cloned();
        match choices.byte() % 4 {
            0 | 1 => {
                let theirs = description(&mut choices);
                match ours.answer(&theirs) {
                    Ok((answer, media)) => {
                        said.take(&answer, false);
                        assert_eq!(ours.agreed(), Some(&media));
                        assert!(codecs.contains(&media.codec), "{media:?}");
                        let again = ours.answer(&theirs).expect("what was agreed once is agreed again");
                        assert_eq!(again.0, answer, "nothing is new");
                    }
                    Err(_) => assert_eq!(ours.agreed(), before.as_ref(), "a failure changes nothing"),
                }
            }
            2 => {
                let offer = ours.offer();
                said.take(&offer, true);
                // Whoever speaks as we do takes it, unless all it says is refused streams.
                let mut peer = Negotiation::new(([192, 0, 2, 20], 50000).into(), 8, codecs.to_vec());
                let (answer, _) = peer.answer(offer.as_bytes()).expect("our own offer");
                let agreed = ours.read_answer(answer.as_bytes()).expect("our own answer");
                assert_eq!(agreed.remote, ([192, 0, 2, 20], 50000).into());
            }
            _ => {
                said.take(&ours.offer(), true);
                let theirs = description(&mut choices);
                if ours.read_answer(&theirs).is_err() {
                    assert_eq!(ours.agreed(), before.as_ref(), "a failure changes nothing");
                }
            }
        }
    }
}

/// Lines of ours and of the input's.
fn description(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut sdp = LINES[0].as_bytes().to_vec();
    for _ in 0..choices.byte() % 12 {
        match choices.byte() {
            kind @ 0..224 => sdp.extend(LINES[usize::from(kind) % LINES.len()].as_bytes()),
            _ => {
                let length = choices.byte() % 48;
                sdp.extend(choices.bytes(length.into()));
            }
        }
    }
    sdp
}

/// What WhatsApp says is answered with what it can read itself.
fn user(theirs: &str) {
    let local = whatsapp_local();
    let Ok(remote) = whatsapp::parse(theirs) else { return };
    let Ok(answer) = whatsapp::answer(&local, &remote) else { return };
    assert!(!answer.replace("\r\n", "").contains(['\r', '\n']), "{answer:?}");
    if let Ok(read) = whatsapp::parse(&answer) {
        assert_eq!(read.mid, remote.mid, "{answer}");
        assert_eq!(
            read.opus.as_ref().map(|opus| opus.payload_type),
            remote.opus.as_ref().map(|opus| opus.payload_type)
        );
        let is_dtls = |remote: &whatsapp::Remote| matches!(remote.transport, Transport::Dtls(_));
        assert_eq!(is_dtls(&read), is_dtls(&remote), "{answer}");
    }
    assert_eq!(whatsapp::answer(&local, &remote).ok(), Some(answer), "the same bytes");
}
