//! Who a WhatsApp user is: a phone number or a business-scoped user id (BSUID).
//!
//! A BSUID is a country, a dot, and up to 128 letters and digits, with `ENT.`
//! between when it is a parent's. Case counts; it is sent whole.

use std::fmt;
use std::str::FromStr;

/// Whom to call.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Callee {
    /// An international number: digits, no `+`.
    Phone(String),
    /// A business-scoped user id such as `US.13491208655302741918`.
    Bsuid(String),
}

/// The text names no WhatsApp user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("neither an international number of 6 to 15 digits nor a user id like US.134912086553")]
pub struct NotCallable;

/// The WhatsApp user of a call, as far as WhatsApp tells. A user with a
/// username may have no phone number here.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Caller {
    /// The number: digits, no `+`.
    pub phone: Option<String>,
    /// The business-scoped user id.
    pub bsuid: Option<String>,
    /// The user id in the linked portfolio.
    pub parent_bsuid: Option<String>,
    /// The name the user gave themselves.
    pub name: Option<String>,
    /// The username, as received.
    pub username: Option<String>,
}

impl Caller {
    /// What identifies the user in a SIP user part, so that a call to it comes back: the number, else
    /// the BSUID, else the parent's.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.phone.as_deref().or(self.bsuid.as_deref()).or(self.parent_bsuid.as_deref())
    }
}

impl FromStr for Callee {
    type Err = NotCallable;

    /// Reads the user part of a SIP URI.
    fn from_str(user: &str) -> Result<Self, NotCallable> {
        let digits = user.strip_prefix('+').unwrap_or(user);
        if is_number(digits) {
            Ok(Self::Phone(digits.to_owned()))
        } else if is_bsuid(user) {
            Ok(Self::Bsuid(user.to_owned()))
        } else {
            Err(NotCallable)
        }
    }
}

impl fmt::Display for Callee {
    /// The number without `+`, or the BSUID.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phone(text) | Self::Bsuid(text) => f.write_str(text),
        }
    }
}

fn is_number(text: &str) -> bool {
    (6..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text is a business-scoped user id, or a parent's. The country may be written in either case.
#[must_use]
pub fn is_bsuid(text: &str) -> bool {
    let Some((country, rest)) = text.split_once('.') else {
        return false;
    };
    let id = rest.strip_prefix("ENT.").unwrap_or(rest);
    country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_alphabetic())
        && (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lose_their_plus() {
        for user in ["+14085551234", "14085551234"] {
            assert_eq!(user.parse(), Ok(Callee::Phone("14085551234".into())));
        }
        assert_eq!("123456".parse(), Ok(Callee::Phone("123456".into())));
    }

    #[test]
    fn user_ids_stay_as_they_are() {
        for user in [
            "US.13491208655302741918",
            "US.ENT.11815799212886844830",
            "BR.AbC123",
            "BR.ENT",
            "us.123456",
            "Us.ENT.aB",
        ] {
            assert_eq!(user.parse(), Ok(Callee::Bsuid(user.into())));
        }
        let longest = format!("DE.{}", "7".repeat(128));
        assert!(longest.parse::<Callee>().is_ok());
        assert_eq!(format!("{longest}7").parse::<Callee>(), Err(NotCallable));
    }

    #[test]
    fn everything_else_is_not_callable() {
        let wrong = [
            "",
            "+",
            "12345",
            "1234567890123456",
            "++4912345",
            "49 12345",
            "alice",
            "US.",
            "US.ENT.",
            "us.ent.1.2",
            "USA.123",
            "US.12-3",
            "US.1.2",
            "123456@x",
            "\u{663}\u{663}\u{663}\u{663}\u{663}\u{663}",
        ];
        for user in wrong {
            assert_eq!(user.parse::<Callee>(), Err(NotCallable), "{user:?}");
        }
    }

    #[test]
    fn a_user_without_a_number_goes_by_the_bsuid() {
        let mut caller = Caller { bsuid: Some("US.1".into()), ..Caller::default() };
        assert_eq!(caller.user(), Some("US.1"));
        caller.phone = Some("12015550123".into());
        assert_eq!(caller.user(), Some("12015550123"));
        assert_eq!(Caller::default().user(), None);
        let parent = Caller { parent_bsuid: Some("US.ENT.1".into()), ..Caller::default() };
        assert_eq!(parent.user(), Some("US.ENT.1"));
    }
}
