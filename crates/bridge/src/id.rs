//! The id of a call: ours, on both legs.
//!
//! It is the SIP Call-ID of what we send, and the `biz_opaque_callback_data` that WhatsApp echoes.

use std::fmt;
use std::sync::Arc;

/// What every id begins with, so that an echo of somebody else's data is told apart.
const MARK: &str = "wab-";
/// Random bytes in an id.
const BYTES: usize = 16;

/// A call's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(Arc<str>);

impl CallId {
    /// An id from random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(format!("{MARK}{}", hex::encode(bytes)).into())
    }

    /// The id in an echo, if it is one of ours by its form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(MARK)?;
        let ours = digits.len() == 2 * BYTES && digits.bytes().all(|b| b.is_ascii_hexdigit());
        ours.then(|| Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::CallId;

    #[test]
    fn its_own_echo_and_nothing_else() {
        let id = CallId::from_bytes([7; 16]);
        assert_eq!(CallId::parse(id.as_str()), Some(id));
        for other in ["", "wab-", "0fS5cePMok", "wab-zz", &format!("wab-{}", "g".repeat(32))] {
            assert_eq!(CallId::parse(other), None, "{other}");
        }
    }
}
