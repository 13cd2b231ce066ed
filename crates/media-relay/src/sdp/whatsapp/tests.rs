mod keyed;

use proptest::prelude::*;

use super::*;
use crate::sdp::SdpError;

const OFFER_2026: &str = include_str!("../../../tests/sdp/offer-2026.sdp");
const OFFER_REFERENCE: &str = include_str!("../../../tests/sdp/offer-reference.sdp");
const ANSWER_REFERENCE: &str = include_str!("../../../tests/sdp/answer-reference.sdp");
const FIELD_ANSWER: &str = include_str!("../../../tests/sdp/business-answer-field.sdp");
const NO_CANDIDATES: &str = include_str!("../../../tests/sdp/business-answer-reference.sdp");
const BROWSER_OFFER: &str = include_str!("../../../tests/sdp/business-offer-reference.sdp");
const SDES_ANSWER: &str = include_str!("../../../tests/sdp/sdes-answer-2025.sdp");

/// [`parse`], and what it says of ICE and DTLS.
fn parsed(sdp: &str) -> (Remote, Dtls) {
    let remote = parse(sdp).unwrap_or_else(|error| panic!("{error}: {sdp}"));
    match remote.transport.clone() {
        Transport::Dtls(dtls) => (remote, dtls),
        Transport::Sdes(sdes) => panic!("{sdes:?}"),
    }
}

fn opus_pt(remote: &Remote) -> u8 {
    remote.opus.as_ref().map_or(0, |opus| opus.payload_type)
}

fn local() -> Local {
    let mut fingerprint = [0; 32];
    for (octet, value) in fingerprint.iter_mut().zip(0xa0..) {
        *octet = value;
    }
    Local {
        candidates: vec![
            "[2001:db8::1]:30002".parse().expect("address"),
            "203.0.113.5:30002".parse().expect("address"),
        ],
        ufrag: "Uf4g".into(),
        pwd: "a-password-of-22-chars".into(),
        fingerprint,
        keying: Keying::Dtls,
        keys: Keys::new([7; 32]),
        codecs: vec![Codec::Opus],
        session_id: 1_790_963_543_407,
        ssrc: 613_016_344,
        cname: "wZbT0q7Jp1mUe3Rk".into(),
    }
}

const BODY: &str = "\
v=0\r
o=- 1790963543407 2 IN IP4 127.0.0.1\r
s=-\r
t=0 0\r
a=group:BUNDLE audio\r
a=msid-semantic: WMS wZbT0q7Jp1mUe3Rk\r
m=audio 30002 UDP/TLS/RTP/SAVPF 111 126\r
c=IN IP4 203.0.113.5\r
a=rtcp:9 IN IP4 0.0.0.0\r
a=candidate:1 1 udp 2130706175 203.0.113.5 30002 typ host\r
a=candidate:2 1 udp 2130706431 2001:db8::1 30002 typ host\r
a=ice-ufrag:Uf4g\r
a=ice-pwd:a-password-of-22-chars\r
a=fingerprint:sha-256 A0:A1:A2:A3:A4:A5:A6:A7:A8:A9:AA:AB:AC:AD:AE:AF:\
B0:B1:B2:B3:B4:B5:B6:B7:B8:B9:BA:BB:BC:BD:BE:BF\r
a=setup:ROLE\r
a=mid:audio\r
a=sendrecv\r
a=msid:wZbT0q7Jp1mUe3Rk audio\r
a=rtcp-mux\r
a=rtpmap:111 opus/48000/2\r
a=fmtp:111 maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1\r
a=rtpmap:126 telephone-event/8000\r
a=maxptime:20\r
a=ptime:20\r
a=ssrc:613016344 cname:wZbT0q7Jp1mUe3Rk\r
";

#[test]
fn our_offer_byte_for_byte() {
    assert_eq!(offer(&local()), BODY.replace("ROLE", "actpass"));
}

#[test]
fn our_answer_to_the_captured_offer_byte_for_byte() {
    let offer = parse(OFFER_2026).expect("captured");
    assert_eq!(answer(&local(), &offer), Ok(BODY.replace("ROLE", "active")));
}

#[test]
fn our_answer_mirrors_payload_types_mid_and_fmtp() {
    let offer = OFFER_REFERENCE.replace("111", "96").replace("126", "97").replace("audio\n", "0\n");
    let offer = parse(&offer).expect("valid");
    let expected = BODY
        .replace("ROLE", "active")
        .replace("111", "96")
        .replace("126", "97")
        .replace("a=mid:audio", "a=mid:0")
        .replace("BUNDLE audio", "BUNDLE 0")
        .replace(OPUS_FMTP, "minptime=10;useinbandfec=1");
    assert_eq!(answer(&local(), &offer), Ok(expected));
}

#[test]
fn our_answer_names_no_more_than_was_offered() {
    let offer = OFFER_2026
        .replace("SAVPF 111 126", "SAVPF 111")
        .replace("a=rtpmap:126 telephone-event/8000\n", "")
        .replace("a=mid:audio\n", "");
    let remote = parse(&offer).expect("valid");
    assert_eq!((remote.dtmf_pt, remote.dtmf_offered), (126, false));
    let answer = answer(&local(), &remote).expect("Opus");
    assert!(answer.contains("m=audio 30002 UDP/TLS/RTP/SAVPF 111\r\n"));
    for absent in ["126", "telephone-event", "a=mid", "BUNDLE"] {
        assert!(!answer.contains(absent), "{absent}");
    }
}

#[test]
fn an_ipv6_only_end_and_one_without_candidates_are_written_too() {
    let mut local = local();
    local.candidates.truncate(1);
    assert!(offer(&local).contains("m=audio 30002 UDP/TLS/RTP/SAVPF 111 126\r\nc=IN IP6 2001:db8::1\r\n"));
    local.candidates.clear();
    assert!(offer(&local).contains("m=audio 9 UDP/TLS/RTP/SAVPF 111 126\r\nc=IN IP4 0.0.0.0\r\n"));
}

#[test]
fn what_we_write_we_read() {
    let local = local();
    let (_, read) = parsed(&offer(&local));
    assert_eq!(read.fingerprint, local.fingerprint);
    assert_eq!((read.ufrag, read.pwd), (local.ufrag, local.pwd));
    assert_eq!(read.setup, Setup::ActPass);
    assert_eq!(read.candidates.len(), 2);
}

#[test]
fn the_offer_captured_in_2026() {
    for sdp in [OFFER_2026.to_owned(), OFFER_2026.replace('\n', "\r\n")] {
        let (remote, dtls) = parsed(&sdp);
        assert_eq!(
            dtls.candidates,
            [
                "[2a03:2880:f312:131:face:b00c:0:699c]:3480".parse().expect("address"),
                "57.144.43.49:3480".parse().expect("address"),
            ]
        );
        assert_eq!(dtls.ufrag, "NvPeRHRlBReaRYCZ");
        assert_eq!(dtls.pwd, "+219v9nKr3xSQIn8s+Fy8g==");
        assert_eq!(dtls.fingerprint[..3], [0x75, 0x85, 0x02]);
        assert_eq!(dtls.fingerprint[31], 0x71);
        assert_eq!(dtls.setup, Setup::ActPass);
        assert_eq!((opus_pt(&remote), remote.dtmf_pt), (111, 126));
        assert_eq!(remote.opus.and_then(|opus| opus.fmtp).as_deref(), Some(OPUS_FMTP));
        assert!(remote.dtmf_offered && dtls.ice_lite);
        assert_eq!(remote.mid, "audio");
    }
}

#[test]
fn the_answer_of_the_reference() {
    let (remote, dtls) = parsed(ANSWER_REFERENCE);
    assert_eq!(dtls.setup, Setup::Active);
    assert_eq!(remote.mid, "0");
    assert_eq!((opus_pt(&remote), remote.dtmf_pt), (111, 126));
    let echoed = ANSWER_REFERENCE.replace("setup:active", "setup:actpass");
    assert_eq!(parsed(&echoed).1.setup, Setup::ActPass);
    let passive = ANSWER_REFERENCE.replace("setup:active", "setup:PASSIVE");
    assert_eq!(parsed(&passive).1.setup, Setup::Passive);
}

#[test]
fn an_upper_case_hash_and_a_missing_telephone_event() {
    let (remote, dtls) = parsed(FIELD_ANSWER);
    assert_eq!(dtls.fingerprint[..2], [0x5c, 0x8e]);
    assert_eq!(dtls.candidates.len(), 2);
    assert_eq!((remote.dtmf_pt, remote.dtmf_offered), (DTMF_PT, false));
}

#[test]
fn the_many_codecs_of_a_browser() {
    let sdp = format!("{BROWSER_OFFER}a=candidate:1 1 udp 1 192.0.2.1 1000 typ host\r\n");
    let (remote, dtls) = parsed(&sdp);
    assert_eq!((opus_pt(&remote), remote.dtmf_pt), (111, 126), "not telephone-event/48000 on 110");
    assert!(remote.dtmf_offered && !dtls.ice_lite);
    assert_eq!((remote.pcmu, remote.pcma), (Some(0), Some(8)));
}

#[test]
fn transport_attributes_of_the_session() {
    let sdp = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=ice-ufrag:uuuu\r\n\
        a=ice-pwd:pppp\r\na=setup:passive\r\nX-unknown\r\n\
        a=fingerprint:sha-512 00:11\r\n\
        a=fingerprint:sha-1 00:11\r\n\
        a=fingerprint:SHA-256 00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13:14:15:16:17:18:19:1a:1b:1c:1d:1e:1f\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\nm=audio 9 UDP/TLS/RTP/SAVPF 8 100\r\n\
        a=rtpmap:100 OPUS/48000/2\r\na=unheard-of:\r\nq=?\r\n\
        a=candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active\r\n\
        a=candidate:1 2 udp 1 192.0.2.1 1001 typ host\r\n\
        a=candidate:1 1 udp 1 9f2c.local 1000 typ host\r\n\
        a=candidate:1 1 udp 1 192.0.2.1 0 typ host\r\n\
        a=candidate:1 1 udp 1\r\n\
        a=candidate:1 1 UDP 1 192.0.2.1 1000 typ srflx raddr 10.0.0.1 rport 9 generation 0\r\n\
        a=candidate:9 1 udp 1 192.0.2.1 1000 typ host\r\n";
    let (remote, dtls) = parsed(sdp);
    assert_eq!(dtls.candidates, ["192.0.2.1:1000".parse().expect("address")]);
    assert_eq!((dtls.ufrag.as_str(), dtls.pwd.as_str()), ("uuuu", "pppp"));
    assert_eq!(dtls.setup, Setup::Passive);
    assert_eq!(dtls.fingerprint[31], 0x1f);
    assert_eq!(remote.opus, Some(Opus { payload_type: 100, fmtp: None }));
    assert!(dtls.ice_lite && remote.mid.is_empty());
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    let without = |line: &str| -> String {
        OFFER_2026.lines().filter(|text| !text.starts_with(line)).map(|text| format!("{text}\r\n")).collect()
    };
    let cases = [
        (without("m="), SdpError::NoAudio),
        (OFFER_2026.replace("m=audio 3480", "m=audio 0"), SdpError::NoAudio),
        (OFFER_2026.replace("m=audio", "m=video"), SdpError::NoAudio),
        (without("a=rtpmap:111"), SdpError::NoOpus),
        (OFFER_2026.replace("opus/48000", "opus/16000"), SdpError::NoOpus),
        (without("a=fingerprint"), SdpError::NoFingerprint),
        (OFFER_2026.replace("sha-256", "sha-384"), SdpError::NoFingerprint),
        (OFFER_2026.replace("75:85", "7585"), SdpError::BadFingerprint),
        (OFFER_2026.replace("75:85", "75:8g"), SdpError::BadFingerprint),
        (OFFER_2026.replace("75:85", "75:85:85"), SdpError::BadFingerprint),
        (without("a=ice-ufrag"), SdpError::NoIceCredentials),
        (without("a=ice-pwd"), SdpError::NoIceCredentials),
        (OFFER_2026.replace("ice-pwd:", "ice-pwd:two words "), SdpError::NoIceCredentials),
        (without("a=candidate"), SdpError::NoCandidates),
        (NO_CANDIDATES.to_owned(), SdpError::NoCandidates),
        (SDES_ANSWER.to_owned(), SdpError::NoKey),
    ];
    for (sdp, error) in cases {
        assert_eq!(parse(&sdp), Err(error), "{sdp}");
    }
}

#[test]
fn passwords_are_not_printed() {
    let (remote, dtls) = parsed(OFFER_2026);
    assert!(!format!("{remote:?}").contains(&dtls.pwd));
    assert!(!format!("{:?}", local()).contains("a-password"));
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_mutation_of_a_real_offer_panics(
        edits in proptest::collection::vec((0usize..2000, any::<u8>()), 1..12),
        cut in 0usize..2000,
    ) {
        let mut bytes = OFFER_2026.as_bytes().to_vec();
        for (position, byte) in edits {
            let position = position % bytes.len();
            bytes[position] = byte;
        }
        bytes.truncate(cut.max(1));
        if let Ok(remote) = parse(&String::from_utf8_lossy(&bytes)) {
            if let Transport::Dtls(dtls) = &remote.transport {
                prop_assert!(!dtls.candidates.is_empty());
            }
            // Whatever was taken, our answer stays a description of whole lines.
            let local = Local { codecs: vec![Codec::Opus, Codec::Pcmu, Codec::Pcma], ..local() };
            let answer = answer(&local, &remote).expect("a codec");
            let again = parse(&answer);
            prop_assert!(again.is_ok(), "{:?} in {}", again, answer);
        }
    }
}
