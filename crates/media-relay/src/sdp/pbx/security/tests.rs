//! Each rule of a trunk's SRTP, over whole negotiations.

use super::super::super::negotiation::Negotiation;
use super::super::Codec;
use super::*;

const SHA1_80: &str = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const SHA1_32: &str = "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj";
const GCM_128: &str = "a=crypto:3 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==";
const OTHER_KEY: &str = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj";
const FOREIGN: &str = "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

fn negotiation(security: Security) -> Negotiation {
    let local = "192.0.2.10:40000".parse().expect("an address");
    Negotiation::new(local, 7, vec![Codec::Pcmu]).with_srtp(security, [9; 32])
}

fn sdp(proto: &str, lines: &[&str]) -> String {
    let mut text = format!(
        "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 {proto} 0\r\n"
    );
    lines.iter().for_each(|line| text.extend([line, "\r\n"]));
    text
}

/// The lines of a description that have to do with SRTP, without their keys.
fn secure_lines(sdp: &str) -> Vec<String> {
    let of_srtp = |line: &&str| line.starts_with("m=") || line.starts_with("a=crypto");
    let without_key = |line: &str| line.split(" inline:").next().unwrap_or_default().to_owned();
    sdp.lines().filter(of_srtp).map(without_key).collect()
}

fn inline(sdp: &str) -> Vec<&str> {
    sdp.lines().filter_map(|line| Some(line.split_once(" inline:")?.1)).collect()
}

fn version(sdp: &str) -> &str {
    sdp.lines().find_map(|line| line.strip_prefix("o=- 7 ")?.split(' ').next()).unwrap_or_default()
}

#[test]
fn an_offer_is_taken_as_the_trunk_says() {
    use Security::{Offer, Refuse, Require};
    type Expected = Result<Option<Suite>, SdpError>;
    let (short, long) = (Suite::AesCm128HmacSha1_32, Suite::AesCm128HmacSha1_80);
    let cases: &[(&str, &[&str], [Expected; 3])] = &[
        ("RTP/AVP", &[], [Ok(None), Ok(None), Err(SdpError::PlainOnly)]),
        ("RTP/AVPF", &[], [Ok(None), Ok(None), Err(SdpError::PlainOnly)]),
        // Best effort, as Asterisk's optimistic encryption and many phones' optional one write it.
        ("RTP/AVP", &[SHA1_80], [Ok(None), Ok(Some(long)), Ok(Some(long))]),
        ("RTP/AVP", &[FOREIGN], [Ok(None), Ok(None), Err(SdpError::PlainOnly)]),
        ("RTP/SAVP", &[SHA1_80], [Err(SdpError::SecureOnly), Ok(Some(long)), Ok(Some(long))]),
        ("RTP/SAVPF", &[SHA1_32, SHA1_80], [Err(SdpError::SecureOnly), Ok(Some(long)), Ok(Some(long))]),
        ("RTP/SAVP", &[SHA1_32, FOREIGN], [Err(SdpError::SecureOnly), Ok(Some(short)), Ok(Some(short))]),
        (
            "RTP/SAVP",
            &[SHA1_32, SHA1_80, GCM_128],
            [Err(SdpError::SecureOnly), Ok(Some(Suite::AeadAes128Gcm)), Ok(Some(Suite::AeadAes128Gcm))],
        ),
        (
            "RTP/SAVP",
            &[FOREIGN],
            [Err(SdpError::SecureOnly), Err(SdpError::NoCommonSuite), Err(SdpError::NoCommonSuite)],
        ),
        (
            "RTP/SAVP",
            &[],
            [Err(SdpError::SecureOnly), Err(SdpError::NoCommonSuite), Err(SdpError::NoCommonSuite)],
        ),
    ];
    for (proto, lines, expected) in cases {
        for (security, expected) in [Refuse, Offer, Require].into_iter().zip(expected) {
            let answered = negotiation(security).answer(sdp(proto, lines).as_bytes());
            let suite = answered.as_ref().map(|(_, media)| media.secure.as_ref().map(|keys| keys.suite));
            assert_eq!(suite.map_err(Clone::clone), *expected, "{security:?} {proto} {lines:?}");
            let Ok((answer, _)) = answered else { continue };
            let written = secure_lines(&answer);
            assert_eq!(written[0], format!("m=audio 40000 {proto} 0"), "the profile is theirs");
            assert_eq!(written.len(), 1 + usize::from(*expected != Ok(None)), "{answer}");
        }
    }
}

/// RFC 4568 5.1.2: the tag names the line that was taken, the key is ours.
#[test]
fn the_answer_names_the_line_it_takes_and_holds_a_key_of_ours() {
    let offer = sdp("RTP/SAVP", &[SHA1_80, SHA1_32, GCM_128]);
    let (answer, media) = negotiation(Security::Offer).answer(offer.as_bytes()).expect("agreed");
    assert_eq!(secure_lines(&answer), ["m=audio 40000 RTP/SAVP 0", "a=crypto:3 AEAD_AES_128_GCM"]);
    let secure = media.secure.expect("keys");
    let line = |text: &str| Crypto::parse(text.trim_start_matches("a=crypto:")).expect("usable").key;
    assert_eq!(secure.theirs, line(GCM_128));
    let ours = answer.lines().find(|line| line.starts_with("a=crypto:")).expect("ours");
    assert_eq!(secure.ours, line(ours));
    assert_ne!(secure.ours, secure.theirs);
}

/// A PBX that leaves the choice to us offers each in a stream of its own.
#[test]
fn of_two_streams_the_secure_one_is_taken_where_srtp_is_allowed() {
    let both = |first: &str, second: &str| {
        let second = format!("m=audio 4000 {second} 0\r\n");
        let mut text = sdp(first, if first == "RTP/SAVP" { &[SHA1_80] } else { &[] });
        text.push_str(&second);
        if second.contains("SAVP") {
            text.extend([SHA1_80, "\r\n"]);
        }
        text
    };
    for (first, second) in [("RTP/SAVP", "RTP/AVP"), ("RTP/AVP", "RTP/SAVP")] {
        for security in [Security::Refuse, Security::Offer, Security::Require] {
            let offer = both(first, second);
            let (answer, media) = negotiation(security).answer(offer.as_bytes()).expect("agreed");
            let wants_secure = security != Security::Refuse;
            assert_eq!(media.secure.is_some(), wants_secure);
            for (proto, line) in
                [first, second].iter().zip(answer.lines().filter(|line| line.starts_with("m=")))
            {
                let taken = proto.contains("SAVP") == wants_secure;
                assert_eq!(line, format!("m=audio {} {proto} 0", if taken { 40_000 } else { 0 }));
            }
        }
    }
}

#[test]
fn our_own_offer_says_what_the_trunk_says() {
    let plain = negotiation(Security::Refuse).offer();
    assert_eq!(secure_lines(&plain), ["m=audio 40000 RTP/AVP 0 101"]);
    for (security, proto) in [(Security::Offer, "RTP/AVP"), (Security::Require, "RTP/SAVP")] {
        let offer = negotiation(security).offer();
        let expected = [
            format!("m=audio 40000 {proto} 0 101"),
            "a=crypto:1 AEAD_AES_256_GCM".to_owned(),
            "a=crypto:2 AEAD_AES_128_GCM".to_owned(),
            "a=crypto:3 AES_CM_128_HMAC_SHA1_80".to_owned(),
            "a=crypto:4 AES_CM_128_HMAC_SHA1_32".to_owned(),
        ];
        assert_eq!(secure_lines(&offer), expected);
        let mut keys = inline(&offer);
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 4, "each line has a key of its own (RFC 4568 6.1)");
    }
}

#[test]
fn an_answer_to_our_offer_is_taken_as_the_trunk_says() {
    let with_tag = |tag: u32| SHA1_80.replace("crypto:1", &format!("crypto:{tag}"));
    for (security, proto, lines, expected) in [
        (Security::Refuse, "RTP/AVP", vec![], Ok(false)),
        (Security::Refuse, "RTP/AVP", vec![with_tag(3)], Ok(false)),
        (Security::Refuse, "RTP/SAVP", vec![with_tag(3)], Err(SdpError::SecureOnly)),
        (Security::Offer, "RTP/AVP", vec![], Ok(false)),
        (Security::Offer, "RTP/AVP", vec![with_tag(3)], Ok(true)),
        (Security::Offer, "RTP/SAVP", vec![with_tag(3)], Ok(true)),
        (Security::Offer, "RTP/SAVP", vec![], Err(SdpError::NoCommonSuite)),
        (Security::Require, "RTP/SAVP", vec![with_tag(3)], Ok(true)),
        // Of each suite there is one line, so a wrong tag misleads nobody.
        (Security::Require, "RTP/SAVP", vec![with_tag(1)], Ok(true)),
        (Security::Require, "RTP/AVP", vec![], Err(SdpError::PlainOnly)),
        (Security::Require, "RTP/SAVP", vec![], Err(SdpError::NoCommonSuite)),
    ] {
        let mut ours = negotiation(security);
        let offer = ours.offer();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let read = ours.read_answer(sdp(proto, &lines).as_bytes());
        let is_secure = read.as_ref().map(|media| media.secure.is_some());
        assert_eq!(is_secure.map_err(Clone::clone), expected, "{security:?} {proto} {lines:?}");
        if let Some(secure) = read.ok().and_then(|media| media.secure) {
            let third = Crypto { tag: 3, suite: secure.suite, key: secure.ours };
            let mut line = String::new();
            third.write(&mut line);
            assert!(offer.contains(&line), "the key of the line that was taken");
        }
    }
}

#[test]
fn keys_stay_while_the_pbx_repeats_its_own_and_through_hold() {
    for security in [Security::Offer, Security::Require] {
        let mut ours = negotiation(security);
        let offer = sdp("RTP/SAVP", &[SHA1_80, SHA1_32]);
        let (first, media) = ours.answer(offer.as_bytes()).expect("agreed");
        let (again, same) = ours.answer(offer.as_bytes()).expect("agreed");
        assert_eq!((again, same), (first.clone(), media.clone()), "nothing is new");
        let held = sdp("RTP/SAVP", &[SHA1_80, SHA1_32, "a=sendonly"]);
        let (hold, on_hold) = ours.answer(held.as_bytes()).expect("agreed");
        assert_eq!((inline(&hold), &on_hold.secure), (inline(&first), &media.secure));
        // Our own offer goes on with it: the suite that is spoken is first, under its key.
        let refresh = ours.offer();
        assert_eq!(inline(&refresh)[0], inline(&first)[0]);
        assert!(refresh.contains("m=audio 40000 RTP/SAVP 0 101\r\n"), "{refresh}");
        let taken = ours.read_answer(sdp("RTP/SAVP", &[SHA1_80]).as_bytes()).expect("agreed");
        assert_eq!(taken.secure, media.secure);
        assert_eq!(version(&ours.offer()), version(&refresh));
    }
}

/// RFC 4568 7.1.4: a new key is a new session, with counters from 0, so ours is new too.
#[test]
fn another_key_of_the_pbx_gets_another_key_of_ours() {
    let mut ours = negotiation(Security::Offer);
    let (first, _) = ours.answer(sdp("RTP/SAVP", &[SHA1_80]).as_bytes()).expect("agreed");
    let (second, media) = ours.answer(sdp("RTP/SAVP", &[OTHER_KEY]).as_bytes()).expect("agreed");
    assert_ne!(inline(&first), inline(&second));
    assert_eq!((version(&first), version(&second)), ("1", "2"));
    let (third, same) = ours.answer(sdp("RTP/SAVP", &[OTHER_KEY]).as_bytes()).expect("agreed");
    assert_eq!((third, same), (second.clone(), media));
    // Back to the first: still a key that has protected nothing.
    let (fourth, _) = ours.answer(sdp("RTP/SAVP", &[SHA1_80]).as_bytes()).expect("agreed");
    assert!(inline(&fourth) != inline(&first) && inline(&fourth) != inline(&second));
}

#[test]
fn a_key_protects_no_second_session_after_a_time_without_srtp() {
    let mut ours = negotiation(Security::Offer);
    let (first, _) = ours.answer(sdp("RTP/AVP", &[SHA1_80]).as_bytes()).expect("agreed");
    let (plain, media) = ours.answer(sdp("RTP/AVP", &[]).as_bytes()).expect("agreed");
    assert_eq!((inline(&plain).len(), media.secure), (0, None));
    let (second, _) = ours.answer(sdp("RTP/AVP", &[SHA1_80]).as_bytes()).expect("agreed");
    assert_ne!(inline(&first), inline(&second));
    ours.answer(sdp("RTP/AVP", &[]).as_bytes()).expect("agreed");
    let offer = ours.offer();
    assert!(!inline(&offer).contains(&inline(&second)[0]));
    assert_eq!(ours.offer(), offer, "drawn once, then repeated");
}

#[test]
fn a_suite_that_is_spoken_stays_though_a_better_one_is_offered() {
    let mut ours = negotiation(Security::Offer);
    let (_, media) = ours.answer(sdp("RTP/SAVP", &[SHA1_80]).as_bytes()).expect("agreed");
    let (_, later) = ours.answer(sdp("RTP/SAVP", &[GCM_128, SHA1_80]).as_bytes()).expect("agreed");
    assert_eq!(later.secure, media.secure);
    let (_, other) = ours.answer(sdp("RTP/SAVP", &[GCM_128]).as_bytes()).expect("agreed");
    assert_eq!(other.secure.map(|secure| secure.suite), Some(Suite::AeadAes128Gcm));
}

#[test]
fn a_refused_change_leaves_the_keys() {
    let mut ours = negotiation(Security::Require);
    let (first, media) = ours.answer(sdp("RTP/SAVP", &[SHA1_80]).as_bytes()).expect("agreed");
    let no_codec = sdp("RTP/SAVP", &[OTHER_KEY]).replace("RTP/SAVP 0", "RTP/SAVP 18");
    assert_eq!(ours.answer(no_codec.as_bytes()), Err(SdpError::NoCommonCodec));
    assert_eq!(ours.answer(sdp("RTP/AVP", &[]).as_bytes()), Err(SdpError::PlainOnly));
    assert_eq!(ours.agreed(), Some(&media));
    assert_eq!(ours.answer(sdp("RTP/SAVP", &[SHA1_80]).as_bytes()).expect("goes on"), (first, media));
}

#[test]
fn each_refusal_says_what_to_do_and_fits_a_warning() {
    for error in [SdpError::SecureOnly, SdpError::PlainOnly, SdpError::NoCommonSuite, SdpError::DtlsOnly] {
        let text = error.to_string();
        assert!(text.contains("let the PBX offer") && !text.contains('"'), "{text}");
    }
}

#[test]
fn what_is_agreed_prints_no_key() {
    let mut ours = negotiation(Security::Offer);
    let (answer, media) = ours.answer(sdp("RTP/SAVP", &[SHA1_80]).as_bytes()).expect("agreed");
    let printed = format!("{media:?} {ours:?}");
    assert!(!printed.contains(inline(&answer)[0]) && !printed.contains("inline"), "{printed}");
    assert!(printed.contains("MasterKey") && !printed.contains("89, 83"), "{printed}");
}
