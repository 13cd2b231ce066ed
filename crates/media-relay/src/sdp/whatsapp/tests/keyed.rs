//! Keys in the description, and G.711 beside Opus.

use super::*;
use crate::sdp::crypto::{MasterKey, Suite};

const INLINE: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

fn sdes() -> Local {
    Local { keying: Keying::Sdes, ..local() }
}

/// WhatsApp's captured answer, with a key in place of the mask.
fn theirs() -> String {
    SDES_ANSWER.replace("<masked>", &format!("1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}"))
}

fn keyed(sdp: &str) -> Sdes {
    match parse(sdp).unwrap_or_else(|error| panic!("{error}: {sdp}")).transport {
        Transport::Sdes(sdes) => sdes,
        Transport::Dtls(dtls) => panic!("{dtls:?}"),
    }
}

fn our_key(suite: Suite) -> String {
    let mut value = String::new();
    Crypto { tag: 1, suite, key: local().keys.of(suite) }.write(&mut value);
    value.split_once("inline:").map(|(_, key)| key.to_owned()).expect("a key")
}

#[test]
fn our_keyed_offer_byte_for_byte() {
    let key = our_key(Suite::AesCm128HmacSha1_80);
    let expected = format!(
        "v=0\r\no=- 1790963543407 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE audio\r\n\
         a=msid-semantic: WMS wZbT0q7Jp1mUe3Rk\r\nm=audio 30002 RTP/SAVP 111 126\r\n\
         c=IN IP4 203.0.113.5\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\na=mid:audio\r\na=sendrecv\r\n\
         a=msid:wZbT0q7Jp1mUe3Rk audio\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
         a=fmtp:111 {OPUS_FMTP}\r\na=rtpmap:126 telephone-event/8000\r\na=maxptime:20\r\na=ptime:20\r\n\
         a=ssrc:613016344 cname:wZbT0q7Jp1mUe3Rk\r\n"
    );
    assert_eq!(offer(&sdes()), expected);
    assert_eq!(key.len(), 40, "16 octets of key and 14 of salt");
    let read = keyed(&expected);
    assert_eq!(read.address, "203.0.113.5:30002".parse().expect("address"));
    assert_eq!(read.crypto.key, local().keys.of(Suite::AesCm128HmacSha1_80));
}

#[test]
fn the_keyed_answer_captured_in_2025() {
    let remote = parse(&theirs()).expect("seen");
    assert_eq!((remote.keying(), opus_pt(&remote), remote.dtmf_pt), (Keying::Sdes, 107, 101));
    let sdes = keyed(&theirs());
    assert_eq!(sdes.address, "157.240.19.130:3480".parse().expect("address"));
    assert_eq!((sdes.crypto.tag, sdes.crypto.suite), (1, Suite::AesCm128HmacSha1_80));
    assert_eq!(sdes.crypto.key.octets(), b"YS___semctl () {\t220;}\n}\nunles");
    assert!(!format!("{remote:?}").contains(INLINE) && !format!("{remote:?}").contains("semctl"));
}

#[test]
fn a_key_under_any_profile_that_was_seen_is_answered_under_it() {
    for profile in ["RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVPF"] {
        let offer = parse(&theirs().replace("RTP/SAVP", profile)).expect(profile);
        // Whatever the configuration says of our own offers.
        for local in [local(), sdes()] {
            let answer = answer(&local, &offer).expect("Opus");
            assert!(answer.contains(&format!("m=audio 30002 {profile} 107 101\r\n")), "{answer}");
            let key = our_key(Suite::AesCm128HmacSha1_80);
            assert!(answer.contains(&format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n")));
            for absent in ["ice", "fingerprint", "setup", "candidate"] {
                assert!(!answer.contains(absent), "{absent} in {answer}");
            }
        }
    }
    let dtls = parse(OFFER_2026).expect("captured");
    assert!(answer(&sdes(), &dtls).expect("Opus").contains("a=setup:active\r\n"), "nor the other way round");
}

#[test]
fn a_fingerprint_beside_a_key_means_what_the_profile_says() {
    let with_key = |profile: &str| {
        let offer = OFFER_2026.replace("UDP/TLS/RTP/SAVPF", profile);
        parse(&format!("{offer}a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}\r\n"))
            .expect(profile)
            .keying()
    };
    assert_eq!(with_key("UDP/TLS/RTP/SAVPF"), Keying::Dtls);
    assert_eq!(with_key("RTP/SAVPF"), Keying::Sdes);
}

#[test]
fn the_first_key_that_we_can_do_is_taken_and_answered_by_its_tag() {
    let lines = format!(
        "1 F8_128_HMAC_SHA1_80 inline:{INLINE}\r\na=crypto:7 AEAD_AES_128_GCM inline:{}",
        &INLINE[..37].replace('+', "A").get(..36).map(|key| format!("{key}AA")).expect("ascii"),
    );
    let offer = SDES_ANSWER.replace("<masked>", &lines);
    let Ok(remote) = parse(&offer) else { panic!("{offer}") };
    let answer = answer(&local(), &remote).expect("Opus");
    let key = our_key(Suite::AeadAes128Gcm);
    assert!(answer.contains(&format!("a=crypto:7 AEAD_AES_128_GCM inline:{key}\r\n")), "{answer}");
}

#[test]
fn what_cannot_be_keyed_is_refused_by_name() {
    let cases = [
        (theirs().replace("inline:", "inline:%"), SdpError::NoKey),
        (theirs().replace("_80 inline", "_99 inline"), SdpError::NoKey),
        (theirs().replace("157.240.19.130", "0.0.0.0"), SdpError::NoAddress),
        (theirs().replace("157.240.19.130", "relay.example"), SdpError::NoAddress),
        (theirs().replace("m=audio 3480", "m=audio 0"), SdpError::NoAudio),
    ];
    for (sdp, error) in cases {
        assert_eq!(parse(&sdp), Err(error), "{sdp}");
    }
}

#[test]
fn of_two_addresses_the_one_of_their_ip_version_is_named() {
    let theirs = theirs().replace("IN IP4 157.240.19.130", "IN IP6 2a03:2880::1");
    let answer = answer(&local(), &parse(&theirs).expect("an address")).expect("Opus");
    assert!(answer.contains("c=IN IP6 2001:db8::1\r\n"), "{answer}");
}

#[test]
fn no_key_is_printed() {
    let key = MasterKey::new(Suite::AesCm128HmacSha1_80, &[b'k'; 30]).expect("30 octets");
    let crypto = Crypto { tag: 1, suite: Suite::AesCm128HmacSha1_80, key };
    let sdes = Sdes { address: "192.0.2.1:9".parse().expect("address"), crypto, profile: "RTP/SAVP" };
    let shown = format!("{sdes:?} {:?}", local());
    assert!(!shown.contains("kkk") && !shown.contains("107, 107") && !shown.contains("[7, 7"), "{shown}");
}

#[test]
fn g711_stands_in_the_order_of_preference() {
    let with = |codecs: &[Codec]| Local { codecs: codecs.to_vec(), ..local() };
    let opus_first = with(&[Codec::Opus, Codec::Pcmu, Codec::Pcma]);
    let g711_first = with(&[Codec::Pcma, Codec::Opus]);
    let ours = offer(&opus_first);
    for line in ["SAVPF 111 0 8 126\r\n", "a=rtpmap:0 PCMU/8000\r\n", "a=rtpmap:8 PCMA/8000\r\n"] {
        assert!(ours.contains(line), "{line} is missing in {ours}");
    }
    assert!(offer(&g711_first).contains("SAVPF 8 111 126\r\n"));
    let theirs = OFFER_2026.replace("111 126", "111 8 0 126");
    let remote = parse(&theirs).expect("valid");
    assert_eq!((remote.pcmu, remote.pcma), (Some(0), Some(8)));
    assert!(answer(&opus_first, &remote).expect("a codec").contains("SAVPF 111 0 8 126\r\n"));
    assert!(answer(&g711_first, &remote).expect("a codec").contains("SAVPF 8 111 126\r\n"));
    // Only what is offered, and only what the number has.
    let remote = parse(OFFER_2026).expect("captured");
    assert!(answer(&opus_first, &remote).expect("Opus").contains("SAVPF 111 126\r\n"));
    assert!(
        answer(&with(&[Codec::Opus]), &parse(&theirs).expect("valid"))
            .expect("Opus")
            .contains("SAVPF 111 126\r\n")
    );
}

#[test]
fn an_answer_may_choose_g711_alone_and_an_offer_without_ours_is_refused() {
    let alone = OFFER_2026.replace("SAVPF 111 126", "SAVPF 0 126").replace("a=rtpmap:111", "a=rtpmap:112");
    let remote = parse(&alone).expect("G.711");
    assert_eq!((&remote.opus, remote.pcmu, remote.pcma), (&None, Some(0), None));
    assert_eq!(answer(&local(), &remote), Err(SdpError::NoCommonCodec));
}
