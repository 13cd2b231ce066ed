//! The SDP in both directions.

use super::*;
use crate::whatsapp::scenario::SdpShape;

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
    let offer = local.offer(SdpShape::Modern, Terms::default());
    let fixed: Vec<&str> =
        offer.split("\r\n").filter(|line| !line.starts_with("o=") && !line.contains("candidate")).collect();
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
    let remote = read_offer(&offer, Terms::default()).unwrap();
    let answer = Local::new("127.0.0.1:3480".parse().unwrap(), [1; 32]).answer(
        &remote,
        DtlsSetup::ActPass,
        SdpShape::Modern,
    );
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
    let remote = read_answer(&business("active"), Terms::default()).unwrap();
    assert_eq!((remote.opus(), remote.telephone_event, remote.ssrc), (Some(111), Some(126), Some(7)));
    let Keyed::Dtls { fingerprint, setup, .. } = remote.keyed else { panic!("{remote:?}") };
    assert_eq!((&fingerprint[..3], setup), (&[0x75, 0x85, 0x02][..], DtlsSetup::Active));
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
        ("a=rtpmap:126 telephone-event/8000\r\n", "a=rtpmap:126 telephone-event/48000\r\n", "not supported"),
        ("a=ssrc:7", "a=ssrc:8 cname:x\r\na=ssrc:7", "single SSRC"),
        ("a=ssrc:7 cname:x\r\n", "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", "m= line"),
        ("40000 typ host", "40000 typ nothing", "candidate"),
        ("a=ice-ufrag:abcd\r\n", "", "ice-ufrag"),
        ("a=sendrecv", "a=inactive", "inactive"),
    ];
    assert!(read_answer(&good, Terms::default()).is_ok());
    for (from, to, why) in edits {
        let error = read_answer(&good.replace(from, to), Terms::default()).unwrap_err();
        assert!(error.contains(why), "{from:?} -> {to:?}: {error}");
    }
    assert!(read_offer(&business("passive"), Terms::default()).is_err());
    assert!(read_offer(&business("actpass"), Terms::default()).is_ok());
}

#[test]
fn the_documented_shape_has_its_own_lines() {
    let local = Local::new("127.0.0.1:3480".parse().unwrap(), [1; 32]);
    let offer = local.offer(SdpShape::Documented, Terms::default());
    for line in [
        " generation 0 network-cost 50 ufrag ",
        " 2113939711 2001:db8::1 ",
        "a=extmap:3 ",
        "a=fmtp:111 minptime=10;useinbandfec=1\r\n",
        " mslabel:",
    ] {
        assert!(offer.contains(line), "{line} is missing in {offer}");
    }
    assert!(!offer.contains("ptime:20"), "{offer}");
    assert_eq!(local.pwd.len(), 24);
}

#[test]
fn g711_is_there_where_it_is_allowed() {
    let (both, none) = (Terms { pcma: true, pcmu: true, sdes: false }, Terms::default());
    let local = Local::new("127.0.0.1:3480".parse().unwrap(), [1; 32]);
    let offer = local.offer(SdpShape::Modern, both);
    for line in ["SAVPF 111 8 0 126\r\n", "a=rtpmap:8 PCMA/8000\r\n", "a=rtpmap:0 PCMU/8000\r\n"] {
        assert!(offer.contains(line), "{line} is missing in {offer}");
    }
    let answer = business("active").replace("111 126", "8 126").replace("a=rtpmap:111 opus/48000/2\r\n", "");
    let remote = read_answer(&answer, both).unwrap();
    assert_eq!(remote.voices, [Voice::Pcma]);
    assert!(read_answer(&answer, none).unwrap_err().contains("not supported"));
    assert!(read_answer(&answer, Terms { pcma: false, ..both }).is_err());
    let offer = business("actpass").replace("111 126", "0 111 8 126");
    let remote = read_offer(&offer, both).unwrap();
    let answer = local.answer(&remote, DtlsSetup::Active, SdpShape::Modern);
    assert!(answer.contains("SAVPF 0 111 8 126\r\n"), "{answer}");
}

#[test]
fn keys_stand_in_the_sdp_where_the_number_says_so() {
    let sdes = Terms { sdes: true, ..Terms::default() };
    let local = Local::new("127.0.0.1:3480".parse().unwrap(), [1; 32]);
    let offer = local.offer(SdpShape::Modern, sdes);
    let key = crate::whatsapp::random::base64(&local.key);
    for line in
        ["m=audio 3480 RTP/SAVP 111 126\r\n", &format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n")]
    {
        assert!(offer.contains(line), "{line} is missing in {offer}");
    }
    for absent in ["ice", "fingerprint", "setup", "candidate"] {
        assert!(!offer.contains(absent), "{absent} in {offer}");
    }
    let business = |crypto: &str| {
        format!(
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE audio\r\n\
             m=audio 40000 RTP/SAVP 111 126\r\nc=IN IP4 192.0.2.1\r\na=crypto:{crypto}\r\n\
             a=mid:audio\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
             a=rtpmap:126 telephone-event/8000\r\na=maxptime:20\r\na=ptime:20\r\na=ssrc:7 cname:x\r\n"
        )
    };
    let good = business(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}"));
    let remote = read_answer(&good, sdes).unwrap();
    let expected = Sdes { key: local.key, address: "192.0.2.1:40000".parse().unwrap() };
    assert_eq!(remote.keyed, Keyed::Sdes(expected));
    assert!(read_answer(&good, Terms::default()).is_err(), "a number with DTLS");
    let dtls = self::business("active");
    assert!(read_answer(&dtls, sdes).is_err(), "a number with SDES");
    for crypto in [
        "2 AES_CM_128_HMAC_SHA1_80 inline:AAAA",
        "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA",
        "1 AEAD_AES_128_GCM inline:AAAA",
    ] {
        assert!(read_answer(&business(crypto), sdes).unwrap_err().contains("a=crypto"), "{crypto}");
    }
    assert!(
        read_answer(&good.replace("a=mid", "a=setup:active\r\na=mid"), sdes).unwrap_err().contains("setup")
    );
}
