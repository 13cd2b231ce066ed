//! Digits in INFO: `application/dtmf-relay` and `application/dtmf`. Pure.
//!
//! Neither is a standard; both are what PBXs send. The relay form has a line for the signal and one for
//! its duration in milliseconds, the other the digit alone.

use std::time::Duration;

use sip_core::Body;
use sip_core::message::Request;

const RELAY: &str = "application/dtmf-relay";
const PLAIN: &str = "application/dtmf";

/// The duration of a digit that names none.
const USUAL: Duration = Duration::from_millis(100);
/// The shortest that is played: shorter ones are not heard by all receivers (ITU-T Q.24).
const SHORTEST: Duration = Duration::from_millis(40);
/// The longest: a key that is held plays no longer.
const LONGEST: Duration = Duration::from_secs(5);

/// A key and how long it was pressed. Which key it is may be part of a PIN: it has no `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digit {
    /// `0`-`9`, `*`, `#` or `A`-`D`.
    pub(crate) key: char,
    pub(crate) duration: Duration,
}

/// How digits go to the PBX in INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/dtmf-relay`: signal and duration.
    Relay,
    /// `application/dtmf`: the digit alone.
    Plain,
}

/// What an INFO holds.
#[derive(PartialEq, Eq)]
pub(crate) enum Info {
    /// A digit.
    Digit(Digit),
    /// Nothing: it asks whether the call lives.
    Nothing,
    /// A signal that is no key, such as a flash hook: 200, and no more.
    NoKey,
    /// A body that is malformed: 400.
    Malformed,
    /// A body of another type: 415.
    Unknown,
}

/// Reads an INFO.
pub(crate) fn read(request: &Request) -> Info {
    if request.body.is_empty() {
        return Info::Nothing;
    }
    let content_type = request.headers.content_type().unwrap_or_default();
    let text = String::from_utf8_lossy(&request.body);
    match content_type.as_str() {
        RELAY => relay(&text),
        PLAIN => signal(text.trim(), USUAL),
        _ => Info::Unknown,
    }
}

/// `Signal=5`, `Duration=160`, in any order and case, with blanks around.
fn relay(text: &str) -> Info {
    let (mut key, mut duration) = (None, USUAL);
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let value = value.trim();
        if name.trim().eq_ignore_ascii_case("signal") {
            key = Some(value);
        } else if name.trim().eq_ignore_ascii_case("duration")
            && let Ok(milliseconds) = value.parse()
        {
            duration = Duration::from_millis(milliseconds).clamp(SHORTEST, LONGEST);
        }
    }
    key.map_or(Info::Malformed, |key| signal(key, duration))
}

/// A key by its name or by its event code (RFC 4733 3.2): some PBXs write 10 for the star.
fn signal(text: &str, duration: Duration) -> Info {
    let mut letters = text.chars();
    let key = match (letters.next(), letters.next()) {
        (Some(letter), None) => letter.to_ascii_uppercase(),
        (Some(_), Some(_)) => match text {
            "10" => '*',
            "11" => '#',
            "12" => 'A',
            "13" => 'B',
            "14" => 'C',
            "15" => 'D',
            "16" => return Info::NoKey,
            _ => return if text.eq_ignore_ascii_case("flash") { Info::NoKey } else { Info::Malformed },
        },
        (None, _) => return Info::Malformed,
    };
    match key {
        '0'..='9' | '*' | '#' | 'A'..='D' => Info::Digit(Digit { key, duration }),
        '!' => Info::NoKey,
        _ => Info::Malformed,
    }
}

/// The body of an INFO with this digit.
pub(crate) fn body(form: Form, digit: Digit) -> Body {
    let (content_type, text) = match form {
        Form::Relay => {
            let milliseconds = digit.duration.clamp(SHORTEST, LONGEST).as_millis();
            (RELAY, format!("Signal={}\r\nDuration={milliseconds}\r\n", digit.key))
        }
        Form::Plain => (PLAIN, digit.key.to_string()),
    };
    Body { content_type: content_type.to_owned(), bytes: text.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sip_core::message::{Headers, Method};

    use super::*;

    fn info(content_type: &str, body: &[u8]) -> Info {
        let mut headers = Headers::new();
        if !content_type.is_empty() {
            headers.push("Content-Type", content_type);
        }
        let uri = "sip:a@192.0.2.1".parse().expect("a URI");
        read(&Request { method: Method::Info, uri, headers, body: body.to_vec().into() })
    }

    fn digit(content_type: &str, body: &str) -> Option<(char, u128)> {
        match info(content_type, body.as_bytes()) {
            Info::Digit(Digit { key, duration }) => Some((key, duration.as_millis())),
            Info::Nothing | Info::NoKey | Info::Malformed | Info::Unknown => None,
        }
    }

    #[test]
    fn what_pbxs_send_is_read() {
        for (content_type, body, expected) in [
            ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", ('5', 160)),
            ("application/dtmf-relay", "Signal= 5\nDuration= 160", ('5', 160)),
            ("Application/DTMF-Relay;x=y", "duration=160\r\nsignal=d\r\n", ('D', 160)),
            ("application/dtmf-relay", "Signal=*\r\n", ('*', 100)),
            ("application/dtmf-relay", "Signal=11\r\nDuration=100\r\n", ('#', 100)),
            ("application/dtmf-relay", "Signal=1\r\nDuration=1\r\n", ('1', 40)),
            ("application/dtmf-relay", "Signal=1\r\nDuration=99999999\r\n", ('1', 5000)),
            ("application/dtmf-relay", "Signal=1\r\nDuration=x\r\n", ('1', 100)),
            ("application/dtmf", "7", ('7', 100)),
            ("application/dtmf", "10\r\n", ('*', 100)),
            ("application/dtmf", " # ", ('#', 100)),
        ] {
            assert_eq!(digit(content_type, body), Some(expected), "{content_type} {body:?}");
        }
    }

    #[test]
    fn what_is_no_digit_is_told_apart() {
        assert!(info("", b"") == Info::Nothing);
        assert!(info("application/dtmf-relay", b"Signal=16\r\n") == Info::NoKey);
        assert!(info("application/dtmf-relay", b"Signal=!\r\n") == Info::NoKey);
        assert!(info("application/dtmf-relay", b"Duration=100\r\n") == Info::Malformed);
        assert!(info("application/dtmf", b"12345") == Info::Malformed);
        assert!(info("application/dtmf", b"x") == Info::Malformed);
        assert!(info("application/dtmf", b"\xff\xfe") == Info::Malformed);
        assert!(info("application/media_control+xml", b"<x/>") == Info::Unknown);
        assert!(info("", b"5") == Info::Unknown);
    }

    #[test]
    fn what_we_send_is_what_we_read() {
        for key in "0123456789*#ABCD".chars() {
            let digit = Digit { key, duration: Duration::from_millis(250) };
            let relay = body(Form::Relay, digit);
            assert!(info(&relay.content_type, &relay.bytes) == Info::Digit(digit));
            let plain = body(Form::Plain, digit);
            assert!(
                info(&plain.content_type, &plain.bytes) == Info::Digit(Digit { duration: USUAL, ..digit })
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), plain in any::<bool>()) {
            let _ = info(if plain { PLAIN } else { RELAY }, &bytes);
        }
    }
}
