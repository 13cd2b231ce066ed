//! What we give WhatsApp with a call, in `biz_opaque_callback_data`: it comes back with every
//! webhook of the call, and says whose the call is.
//!
//! `wab-<our call id>/<instance>[/<the PBX's Call-ID>]`: by the first part a webhook finds its call
//! before WhatsApp's id of it is known; by the second an instance knows its own calls again after a
//! crash, and leaves those of others alone; the third is for people who search.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::id::CallId;

/// The longest that WhatsApp takes, in characters.
const LONGEST: usize = 512;
/// The longest name of an instance.
const LONGEST_INSTANCE: usize = 32;

/// The name of an instance of the bridge: the same after a restart, and no other's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instance(Arc<str>);

/// The text names no instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an instance has 1 to 32 letters, digits, - and _")]
pub struct NoInstance;

impl Instance {
    /// A name from random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(hex::encode(bytes).into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Instance {
    type Err = NoInstance;

    fn from_str(text: &str) -> Result<Self, NoInstance> {
        let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        let fits = (1..=LONGEST_INSTANCE).contains(&text.len());
        (is_word && fits).then(|| Self(text.into())).ok_or(NoInstance)
    }
}

/// The mark of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Our id of the call.
    pub call: CallId,
    /// Who made the call or took it.
    pub instance: Instance,
    /// The Call-ID of the PBX's INVITE, where there was one and it fits.
    pub sip_call_id: Option<String>,
}

impl Mark {
    /// Reads an echo; nothing, when it is somebody else's.
    #[must_use]
    pub fn parse(echo: &str) -> Option<Self> {
        let mut parts = echo.splitn(3, '/');
        let call = CallId::parse(parts.next()?)?;
        let instance = parts.next()?.parse().ok()?;
        Some(Self { call, instance, sip_call_id: parts.next().map(ToOwned::to_owned) })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ours = format!("{}/{}", self.call, self.instance.as_str());
        f.write_str(&ours)?;
        match &self.sip_call_id {
            Some(id) if ours.len() + 1 + id.chars().count() <= LONGEST => write!(f, "/{id}"),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(sip_call_id: Option<&str>) -> Mark {
        Mark {
            call: CallId::from_bytes([7; 16]),
            instance: Instance::from_bytes([1; 4]),
            sip_call_id: sip_call_id.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn what_is_given_is_read_again() {
        for sip_call_id in [None, Some("a84b4c76e66710@pc33/x")] {
            let mark = mark(sip_call_id);
            assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        }
    }

    #[test]
    fn a_call_id_that_does_not_fit_is_left_out() {
        let mark = mark(Some(&"x".repeat(500)));
        assert!(mark.to_string().chars().count() <= LONGEST);
        assert_eq!(Mark::parse(&mark.to_string()).expect("a mark").sip_call_id, None);
    }

    #[test]
    fn what_others_give_is_no_mark() {
        let call = CallId::from_bytes([7; 16]);
        for echo in ["", "0fS5cePMok", call.as_str(), &format!("{call}/"), &format!("{call}/a b")] {
            assert_eq!(Mark::parse(echo), None, "{echo}");
        }
    }
}
