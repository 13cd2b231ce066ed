//! The names WhatsApp gives: of a call (`wacid....`) and of a business number.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest identifier taken from the network; real ones have some 60 bytes.
const MAX_LEN: usize = 512;

/// WhatsApp's id of one call, opaque. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Wacid(Arc<str>);

/// Graph's id of a business phone number (not the number itself). Cheap to
/// clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PhoneNumberId(Arc<str>);

/// The text is empty, far too long, or has other than visible ASCII in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an identifier: 1 to {MAX_LEN} visible ASCII characters expected")]
pub struct InvalidId;

fn checked(text: &str) -> Result<Arc<str>, InvalidId> {
    let fits = (1..=MAX_LEN).contains(&text.len());
    if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) { Ok(text.into()) } else { Err(InvalidId) }
}

impl Wacid {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PhoneNumberId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Wacid {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        checked(text).map(Self)
    }
}

impl FromStr for PhoneNumberId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        checked(text).map(Self)
    }
}

impl fmt::Display for Wacid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PhoneNumberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_as_it_was() {
        let id = "wacid.HBgLMTIxODU1NTI4MjgVAgARGCAyODRQIAFRoA==";
        assert_eq!(id.parse::<Wacid>().map(|wacid| wacid.to_string()), Ok(id.to_owned()));
    }

    #[test]
    fn what_could_break_a_log_line_or_a_header_is_no_id() {
        for text in ["", "a b", "a\r\nb", "wacid.\u{e9}", &"x".repeat(513)] {
            assert_eq!(text.parse::<Wacid>(), Err(InvalidId), "{text:?}");
            assert_eq!(text.parse::<PhoneNumberId>(), Err(InvalidId), "{text:?}");
        }
    }
}
