//! `X-Hub-Signature-256: sha256=<hex of HMAC-SHA256(app secret, raw body)>`.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::secret::Secret;

/// Name of the header that carries the signature.
pub const HEADER: &str = "x-hub-signature-256";

/// Whether `header` signs exactly these bytes. The comparison takes the same
/// time wherever they differ; with an empty secret nothing is ever right.
#[must_use]
pub fn verify(secret: &Secret, header: &str, body: &[u8]) -> bool {
    let mut given = [0; 32];
    let Some(hex) = header.strip_prefix("sha256=") else {
        return false;
    };
    if secret.is_empty() || hex::decode_to_slice(hex, &mut given).is_err() {
        return false;
    }
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(&given).is_ok()
}

/// Whether `header` signs these bytes with any of the secrets. All are tried, so that the time does not
/// tell which one it was.
#[must_use]
pub fn verify_any(secrets: &[Secret], header: &str, body: &[u8]) -> bool {
    secrets.iter().fold(false, |is_signed, secret| verify(secret, header, body) | is_signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"what do ya want for nothing?";
    /// RFC 4231, test case 2.
    const RIGHT: &str = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn known_answer() {
        assert!(verify(&Secret::new("Jefe"), RIGHT, BODY));
        assert!(verify(&Secret::new("Jefe"), &format!("sha256={}", RIGHT[7..].to_uppercase()), BODY));
    }

    #[test]
    fn anything_else_is_wrong() {
        let secret = Secret::new("Jefe");
        assert!(!verify(&Secret::new("jefe"), RIGHT, BODY));
        assert!(!verify(&secret, RIGHT, b"what do ya want for nothing? "));
        assert!(!verify(&secret, RIGHT, b""));
        let flipped = RIGHT.replace("3843", "3842");
        for header in
            ["", "sha256=", &RIGHT[7..], &RIGHT[..70], &format!("{RIGHT}00"), &flipped, "sha1=5bdcc146"]
        {
            assert!(!verify(&secret, header, BODY), "{header}");
        }
        assert!(!verify(&secret, &RIGHT.replace("sha256=", "SHA256="), BODY));
        assert!(!verify(&secret, &RIGHT.replace("5bdc", "5bdx"), BODY));
    }

    #[test]
    fn each_of_several_secrets_may_sign() {
        let secrets =
            |names: &[&'static str]| names.iter().map(|name| Secret::new(*name)).collect::<Vec<_>>();
        for names in [&["Jefe"][..], &["Jefe", "other"], &["other", "", "Jefe"]] {
            assert!(verify_any(&secrets(names), RIGHT, BODY), "{names:?}");
        }
        for names in [&[][..], &["other"], &["", "jefe"]] {
            assert!(!verify_any(&secrets(names), RIGHT, BODY), "{names:?}");
        }
    }

    #[test]
    fn an_empty_secret_signs_nothing() {
        // HMAC-SHA256 with an empty key over an empty body.
        let header = "sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
        assert!(!verify(&Secret::new(""), header, b""));
    }
}
