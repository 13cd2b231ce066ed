//! Random bytes and the identifiers made of them.

use std::time::Duration;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let filled = rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes);
    assert!(filled.is_ok(), "the system has no randomness");
    bytes
}

pub(crate) fn number() -> u64 {
    u64::from_be_bytes(bytes())
}

/// Anything between the two, evenly.
pub(crate) fn between(range: (Duration, Duration)) -> Duration {
    let span = range.1.saturating_sub(range.0);
    // 2^53: a double holds these exactly.
    let share = (number() >> 11) as f64 / (1_u64 << 53) as f64;
    range.0 + span.mul_f64(share)
}

/// RFC 4648 base64 with padding, as WhatsApp writes its `ice-pwd`.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (group >> (18 - 6 * place)) & 63;
            text.push(if place > chunk.len() { '=' } else { ALPHABET[index as usize] as char });
        }
    }
    text
}

/// A call id as Meta writes it: opaque, with letters that need escaping in URLs.
pub(crate) fn wacid() -> String {
    format!("wacid.HBgM{}", base64(&bytes::<27>()))
}

/// A message id as Meta writes it.
pub(crate) fn wamid() -> String {
    format!("wamid.HBgL{}", base64(&bytes::<27>()))
}

/// `8-4-4-4-12`, for the media stream id.
pub(crate) fn uuid() -> String {
    let hex = hex::encode(bytes::<16>());
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn delays_stay_in_their_range() {
        let range = (Duration::from_millis(50), Duration::from_millis(150));
        for _ in 0..100 {
            let delay = between(range);
            assert!(delay >= range.0 && delay <= range.1);
        }
        assert_eq!(between((range.0, range.0)), range.0);
    }
}
