//! The lines of RFC 4568 and RFC 7714 first, then what devices do to them.

use proptest::prelude::*;

use super::*;

/// The key of RFC 4568's examples: 30 octets.
const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

fn crypto(text: &str) -> Option<Crypto> {
    Crypto::parse(text)
}

fn written(crypto: &Crypto) -> String {
    let mut text = String::new();
    crypto.write(&mut text);
    text
}

#[test]
fn the_examples_of_rfc_4568_are_read_or_refused_by_what_they_ask() {
    // 5 and 7.2: a lifetime, and one key of 30 octets.
    let read = crypto(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20")).expect("usable");
    assert_eq!((read.tag, read.suite), (1, Suite::AesCm128HmacSha1_80));
    assert_eq!(read.key.octets(), b"YS___semctl () {\t220;}\n}\nunles");
    let short = crypto("2 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|2^20");
    assert_eq!(short.expect("usable").suite, Suite::AesCm128HmacSha1_32);
    // A master key identifier, and error correction: what we do not do.
    assert_eq!(crypto(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4 FEC_ORDER=FEC_SRTP")), None);
    assert_eq!(crypto(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:32")), None);
    assert_eq!(crypto("2 F8_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5QUJjZGVm|2^20"), None);
}

/// RFC 7714 14.2: 16 or 32 octets of key and 12 of salt, in one string.
#[test]
fn the_suites_of_rfc_7714_have_28_and_44_octets() {
    let octets: Vec<u8> = (0..44).collect();
    for (suite, name, len) in [
        (Suite::AeadAes128Gcm, "AEAD_AES_128_GCM", 28),
        (Suite::AeadAes256Gcm, "AEAD_AES_256_GCM", 44),
        (Suite::AesCm128HmacSha1_80, "AES_CM_128_HMAC_SHA1_80", 30),
        (Suite::AesCm128HmacSha1_32, "AES_CM_128_HMAC_SHA1_32", 30),
    ] {
        assert_eq!((suite.name(), Suite::named(name), suite.key_and_salt()), (name, Some(suite), len));
        let key = MasterKey::new(suite, &octets[..len]).expect("the right length");
        for wrong in [0, len - 1, len + 1] {
            let other: Vec<u8> = vec![7; wrong];
            assert_eq!(MasterKey::new(suite, &other), None);
        }
        let line = Crypto { tag: 3, suite, key };
        assert_eq!(crypto(&written(&line)), Some(line));
    }
    let line = Crypto {
        tag: 1,
        suite: Suite::AeadAes128Gcm,
        key: MasterKey::new(Suite::AeadAes128Gcm, &octets[..28]).expect("28 octets"),
    };
    assert_eq!(written(&line), "1 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==");
}

#[test]
fn what_devices_write_is_taken() {
    for line in [
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
        format!("  1   aes_cm_128_hmac_sha1_80   INLINE:{KEY}  "),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^48"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1048576"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} WSH=128"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} -vendor=x"),
        format!("000000001 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
    ] {
        assert_eq!(crypto(&line).map(|crypto| crypto.tag), Some(1), "{line}");
    }
    let unpadded = "4 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw";
    assert_eq!(crypto(unpadded), crypto(&format!("{unpadded}==")));
    assert!(crypto(unpadded).is_some());
}

#[test]
fn what_cannot_be_done_is_refused() {
    for line in [
        String::new(),
        "1".to_owned(),
        "1 AES_CM_128_HMAC_SHA1_80".to_owned(),
        format!("x AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
        format!("+1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
        format!("1234567890 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
        format!("1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}"),
        format!("1 AEAD_AES_128_GCM_8 inline:{KEY}"),
        format!("1 AES_CM_128_HMAC_SHA1_80 prompt:{KEY}"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}", &KEY[..36]),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}AAAA"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:*{}", &KEY[1..]),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^x"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY};inline:{KEY}"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=1"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTCP"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNAUTHENTICATED_SRTP"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} SOMETHING=new"),
    ] {
        assert_eq!(crypto(&line), None, "{line}");
    }
}

#[test]
fn no_key_is_printed() {
    let line = crypto(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")).expect("usable");
    let printed = format!("{line:?} {:?}", Keys::new([0x59; 32]));
    assert!(!printed.contains("WVN") && !printed.contains("89") && !printed.contains("YS_"), "{printed}");
    let sdp = format!(
        "v=0\r\nk=clear:{KEY}\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20\r\n\
         A=CRYPTO:2 x InLine: {KEY} WSH=64\na=crypto:3 {KEY}\r\na=ice-pwd:{KEY}\r\na=ice-ufrag:x\r\na=sendrecv"
    );
    let expected = "v=0\r\nk=...\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:...\r\n\
         A=CRYPTO:2 x InLine:...\na=crypto:...\r\na=ice-pwd:...\r\na=ice-ufrag:x\r\na=sendrecv";
    assert_eq!(Masked(sdp.as_bytes()).to_string(), expected);
    assert_eq!(Masked(b"v=0\r\n\xff").to_string(), "v=0\r\n\u{fffd}");
}

#[test]
fn keys_differ_by_seed_suite_and_generation_and_are_else_the_same() {
    let mut keys = Keys::new([1; 32]);
    let drawn = |keys: &Keys| Suite::ALL.map(|suite| keys.of(suite).octets().to_vec());
    let first = drawn(&keys);
    assert_eq!(drawn(&keys.clone()), first);
    keys.renew();
    let (renewed, others) = (drawn(&keys), drawn(&Keys::new([2; 32])));
    let all: Vec<_> = [first, renewed, others].concat();
    for (index, key) in all.iter().enumerate() {
        assert_eq!(key.len(), Suite::ALL[index % 4].key_and_salt());
        assert!(all.iter().skip(index + 1).all(|other| other[..16] != key[..16]));
    }
}

proptest! {
    #[test]
    fn no_text_panics_or_reveals(text in "\\PC*", line in "[0-9]{1,3} AES_CM_128_HMAC_SHA1_(80|32) inline:[A-Za-z0-9+/=|^:; ]{0,70}") {
        for text in [&text, &line] {
            let read = crypto(text);
            prop_assert!(read.is_none_or(|read| crypto(&written(&read)) == Some(read)));
            let masked = Masked(text.as_bytes()).to_string();
            prop_assert!(!masked.contains(" inline:") || masked.ends_with("inline:..."), "{}", masked);
        }
    }

    #[test]
    fn any_key_comes_back(octets in proptest::collection::vec(any::<u8>(), 44)) {
        for suite in Suite::ALL {
            let key = MasterKey::new(suite, &octets[..suite.key_and_salt()]).expect("the right length");
            let line = Crypto { tag: 999_999_999, suite, key };
            prop_assert_eq!(crypto(&written(&line)), Some(line));
        }
    }
}
