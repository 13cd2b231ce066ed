//! Keys in the SDP (RFC 4568), in the one form seen: `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:...`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Octets of the master key of AES_CM_128_HMAC_SHA1_80 and its salt.
pub(crate) const KEY_AND_SALT: usize = 30;
const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";

/// What the business's SDP says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Sdes {
    /// Key and salt of what the business sends.
    pub(crate) key: [u8; KEY_AND_SALT],
    /// Where it is.
    pub(crate) address: SocketAddr,
}

impl fmt::Debug for Sdes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sdes").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Sdes {
    pub(super) fn read(crypto: &str, connection: &str, port: u16) -> Result<Self, String> {
        let ip: Option<IpAddr> = connection.split(' ').nth(2).and_then(|ip| ip.parse().ok());
        let ip = ip.filter(|ip| !ip.is_unspecified()).ok_or_else(|| format!("c={connection}: no address"))?;
        // The key is not repeated: errors are logged.
        let inline = match crypto.split(' ').collect::<Vec<_>>().as_slice() {
            ["1", suite, key] if *suite == SUITE => key.strip_prefix("inline:"),
            _ => None,
        };
        let key = inline.and_then(decode).and_then(|key| key.try_into().ok());
        let key = key.ok_or_else(|| format!("a=crypto: one key for {SUITE} with tag 1 expected"))?;
        Ok(Self { key, address: SocketAddr::new(ip, port) })
    }
}

/// The line of a key of our own.
pub(super) fn line(key: &[u8; KEY_AND_SALT]) -> String {
    format!("a=crypto:1 {SUITE} inline:{}", crate::whatsapp::random::base64(key))
}

/// RFC 4648 base64 without padding: 30 octets need none.
fn decode(text: &str) -> Option<Vec<u8>> {
    let value = |letter: u8| -> Option<u32> {
        Some(u32::from(match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        }))
    };
    let mut octets = Vec::new();
    for four in text.as_bytes().chunks(4) {
        let [a, b, c, d] = *four else { return None };
        let group = value(a)? << 18 | value(b)? << 12 | value(c)? << 6 | value(d)?;
        octets.extend(group.to_be_bytes().into_iter().skip(1));
    }
    Some(octets)
}
