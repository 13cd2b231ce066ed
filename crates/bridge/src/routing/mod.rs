//! Who calls whom: the trunk, business number, user and destination of a call. Pure.

pub mod dialled;
pub mod hours;
pub mod incoming;

use sip_core::message::Headers;
use sip_core::{NameAddr, TrunkId};
use wa_signaling::Callee;

pub(crate) use incoming::{Incoming, Landing, incoming};

use crate::call::cause::Cause;
use crate::config::{Config, Number, Trunk};
use dialled::NotDiallable;

/// Headers that name the caller beside `From`, the most trusted first (RFC 3325; the other is older).
const ASSERTED: [&str; 2] = ["P-Asserted-Identity", "Remote-Party-ID"];

/// Where a call from the PBX goes.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) trunk: &'a Trunk,
    pub(crate) number: &'a Number,
    pub(crate) callee: Callee,
}

/// Why a call from the PBX goes nowhere, said so that its dialplan can be mended.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoute {
    #[error("the trunk is no longer configured")]
    Trunk,
    #[error("trunk {0:?} has no business number: add a [[number]] with trunk = {0:?}")]
    NoNumber(String),
    #[error("{header} names {value:?}, which is no business number of trunk {trunk:?}")]
    UnknownNumber { header: String, value: String, trunk: String },
    #[error("the dialled user part is {0}")]
    Callee(#[from] NotDiallable),
    #[error("{}", .0.row().phrase)]
    Refused(Cause),
}

impl From<Cause> for NoRoute {
    fn from(cause: Cause) -> Self {
        Self::Refused(cause)
    }
}

impl NoRoute {
    /// What the PBX hears.
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::Trunk | Self::NoNumber(_) | Self::Callee(_) => Cause::NoRoute,
            Self::UnknownNumber { .. } => Cause::UnknownNumber,
            Self::Refused(cause) => *cause,
        }
    }
}

/// The route of a call from the PBX. `dialled` is the user part of its Request-URI, without escapes.
///
/// Whether it is an emergency is asked before anything is made of it, and again after it is rewritten: a
/// short number has no route, and must not be answered 404.
pub(crate) fn outgoing<'a>(
    config: &'a Config,
    trunk: TrunkId,
    dialled: &str,
    headers: &Headers,
) -> Result<Outgoing<'a>, NoRoute> {
    let trunk = config.trunks.get(usize::from(trunk.0)).ok_or(NoRoute::Trunk)?;
    // What follows a semicolon are parameters of the user part (RFC 3261 19.1.6).
    let dialled = dialled.split(';').next().unwrap_or_default();
    trunk.dial.emergency(dialled)?;
    let rewritten = trunk.dialling.rewritten(dialled);
    trunk.dial.emergency(&rewritten)?;
    let callee = trunk.dialling.callee(&rewritten)?;
    trunk.dial.check(&callee.to_string())?;
    let number = number(config, trunk, headers)?;
    Ok(Outgoing { trunk, number, callee })
}

/// The business number that calls: the one that the trunk's header names; else the one that the caller
/// is; else the trunk's default, or its first.
fn number<'a>(config: &'a Config, trunk: &Trunk, headers: &Headers) -> Result<&'a Number, NoRoute> {
    let numbers = || config.numbers.iter().filter(|number| number.trunk == trunk.name);
    let header = trunk.dialling.number_header.as_deref();
    let wanted = header.and_then(|name| Some((name, headers.get(name)?.trim())));
    if let Some((header, value)) = wanted.filter(|(_, value)| !value.is_empty()) {
        // Never another in its place: whom it is billed to, and who calls, is the PBX's to say.
        let named = numbers().find(|number| number.is_named(value));
        return named.ok_or_else(|| NoRoute::UnknownNumber {
            header: header.to_owned(),
            value: value.chars().take(64).collect(),
            trunk: trunk.name.clone(),
        });
    }
    let callers = callers(headers);
    let calling = callers.iter().find_map(|caller| numbers().find(|number| number.display == digits(caller)));
    let default = || {
        let wanted = trunk.default_number.as_ref();
        numbers().find(|number| wanted.is_none_or(|wanted| *wanted == number.phone_number_id))
    };
    calling.or_else(default).ok_or_else(|| NoRoute::NoNumber(trunk.name.clone()))
}

/// The user parts that name the caller.
fn callers(headers: &Headers) -> Vec<String> {
    let from = headers.from().and_then(|from| from.uri.user_unescaped());
    let asserted = ASSERTED.iter().flat_map(|name| headers.list(name));
    let asserted = asserted.filter_map(|value| value.parse::<NameAddr>().ok()?.uri.user_unescaped());
    from.into_iter().chain(asserted).collect()
}

impl Number {
    /// Whether a text is its id or itself.
    fn is_named(&self, text: &str) -> bool {
        text == self.phone_number_id.as_str() || digits(text) == self.display
    }
}

/// The digits of a number as people write it; nothing of what is none, such as a name with digits in it.
fn digits(text: &str) -> String {
    let is_number = text.chars().all(|c| c.is_ascii_digit() || "+-.() ".contains(c));
    if is_number { text.chars().filter(char::is_ascii_digit).collect() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const PBX: TrunkId = TrunkId(0);

    /// Two trunks; `more` are keys of the first, which has both numbers.
    fn config(more: &str) -> Config {
        let text = r#"
            [sip]
            bind = "127.0.0.1:0"
            [media.pbx]
            bind = "127.0.0.1"
            [media.whatsapp]
            bind = "127.0.0.1"
            [webhook]
            app_secret = { env = "S" }
            verify_token = { env = "S" }
            [[trunk]]
            name = "office"
            sources = ["10.0.0.0/24"]
            target = "10.0.0.5:5060"
            MORE
            [[trunk]]
            name = "spare"
            sources = ["10.1.0.5"]
            target = "10.1.0.5:5060"
            [[number]]
            phone_number_id = "1"
            display = "+15550000001"
            token = { env = "S" }
            trunk = "office"
            destination = "100"
            [[number]]
            phone_number_id = "2"
            display = "+15550000002"
            token = { env = "S" }
            trunk = "office"
            destination = "200"
        "#;
        let env = |_: &str| Some("secret".to_owned());
        let text = text.replace("MORE", more);
        Config::parse(&text, Path::new("wa-bridge.toml"), &env).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn headers(fields: &[(&str, &str)]) -> Headers {
        Headers::from_iter(fields.iter().copied())
    }

    fn dial<'a>(config: &'a Config, dialled: &str, fields: &[(&str, &str)]) -> Result<Outgoing<'a>, NoRoute> {
        outgoing(config, PBX, dialled, &headers(fields))
    }

    #[test]
    fn the_caller_chooses_the_number_and_the_first_is_the_default() {
        let config = config("");
        let number = |fields: &[(&str, &str)]| {
            let route = dial(&config, "+4915112345678", fields).expect("a route");
            assert_eq!(route.callee, Callee::Phone("4915112345678".to_owned()));
            route.number.phone_number_id.to_string()
        };
        let from = |user: &str| number(&[("From", &format!("<sip:{user}@10.0.0.5>;tag=1"))]);
        for (user, expected) in [
            ("+15550000002", "2"),
            ("15550000002", "2"),
            ("1001", "1"),
            ("anonymous", "1"),
            ("x15550000002", "1"),
        ] {
            assert_eq!(from(user), expected, "{user}");
        }
        assert_eq!(number(&[]), "1");
        assert_eq!(number(&[("From", "<sip:10.0.0.5>;tag=1")]), "1");
        let from = ("From", "\"Ada\" <sip:anonymous@anonymous.invalid>;tag=1");
        for asserted in [
            ("P-Asserted-Identity", "\"Office\" <sip:+15550000002@10.0.0.5>"),
            ("P-Asserted-Identity", "<sip:1001@10.0.0.5>, <tel:+15550000002>"),
            ("Remote-Party-ID", "<sip:15550000002@10.0.0.5>;party=calling"),
        ] {
            assert_eq!(number(&[from, asserted]), "2", "{asserted:?}");
        }
        let with_parameters = "+4915112345678;phone-context=example.com";
        assert!(dial(&config, with_parameters, &[]).is_ok());
    }

    #[test]
    fn the_header_chooses_the_number_before_the_caller_does() {
        let config = config("number_header = \"X-WA-Number\"");
        let from = ("From", "<sip:+15550000001@10.0.0.5>;tag=1");
        let number = |value| {
            let route = dial(&config, "4915112345678", &[from, ("X-WA-Number", value)]);
            route.map(|route| route.number.phone_number_id.to_string())
        };
        for value in ["2", "+15550000002", "15550000002", "+1 (555) 000-0002"] {
            assert_eq!(number(value).as_deref(), Ok("2"), "{value}");
        }
        assert_eq!(number("").as_deref(), Ok("1"), "an empty one chooses nothing");
        for value in ["3", "+15550000009", "sales", "15550000003"] {
            let refused = number(value).expect_err("no number of this trunk");
            assert_eq!(refused.cause().row().status, 403, "{value}");
            assert!(refused.to_string().contains(&format!("X-WA-Number names {value:?}")), "{refused}");
        }
    }

    #[test]
    fn a_number_of_another_trunk_is_nobodys_to_choose() {
        let config = config("number_header = \"X-WA-Number\"");
        let as_spare = |fields: &[(&str, &str)]| {
            outgoing(&config, TrunkId(1), "4915112345678", &headers(fields)).map(|route| route.number)
        };
        let from = ("From", "<sip:+15550000001@10.1.0.5>;tag=1");
        assert_eq!(as_spare(&[from]).err(), Some(NoRoute::NoNumber("spare".to_owned())));
    }

    #[test]
    fn an_emergency_is_one_before_and_after_it_is_rewritten() {
        let config = config("rewrite = [{ prefix = \"9\", replace = \"\" }]\ncountry = \"DE\"");
        let refused = |dialled| dial(&config, dialled, &[]).map(|route| route.callee).err();
        for dialled in ["112", "911", "9112", "9911", "+112", "9110;phone-context=+49", "0112", "+49110"] {
            assert_eq!(refused(dialled), Some(NoRoute::Refused(Cause::EmergencyNumber)), "{dialled}");
        }
    }

    #[test]
    fn prefixes_are_those_of_whom_is_called_in_the_end() {
        let config = config(
            "rewrite = [{ prefix = \"9\", replace = \"\" }]\ncountry = \"DE\"\n\
             dial = { allowed = [\"+49\", \"US.\"], refused = [\"+49900\"] }",
        );
        let called = |dialled| dial(&config, dialled, &[]).map(|route| route.callee.to_string());
        assert_eq!(called("9015112345678").as_deref(), Ok("4915112345678"));
        assert_eq!(called("US.134912").as_deref(), Ok("US.134912"));
        assert_eq!(called("us.134912").as_deref(), Ok("us.134912"), "its case is kept");
        for dialled in ["900442071234567", "+442071234567", "09001234567", "DE.1349"] {
            let refused = called(dialled).expect_err(dialled);
            assert_eq!(refused.cause(), Cause::DestinationRefused, "{dialled}");
        }
    }

    #[test]
    fn what_goes_nowhere_says_why() {
        let config = config("");
        let no_route = |source, dialled| outgoing(&config, source, dialled, &headers(&[])).err();
        assert_eq!(no_route(TrunkId(7), "4915112345678"), Some(NoRoute::Trunk));
        assert!(matches!(no_route(PBX, "reception"), Some(NoRoute::Callee(_))));
        assert_eq!(no_route(TrunkId(1), "4915112345678"), Some(NoRoute::NoNumber("spare".to_owned())));
    }
}
