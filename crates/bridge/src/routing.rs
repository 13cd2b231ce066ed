//! Which trunk, number and destination a call takes. Pure.

use sip_core::TrunkId;
use wa_signaling::{Callee, PhoneNumberId};

use crate::config::{Config, Number, Trunk};

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
    #[error("the dialled user part is {0}")]
    Callee(#[from] wa_signaling::identity::NotCallable),
}

/// The route of a call from the PBX: `caller` is the user part of its `From`, which chooses the
/// business number when it names one of the trunk's; else the trunk's default number is used, or its first.
pub(crate) fn outgoing<'a>(
    config: &'a Config,
    trunk: TrunkId,
    dialled: &str,
    caller: Option<&str>,
) -> Result<Outgoing<'a>, NoRoute> {
    let trunk = config.trunk(trunk).ok_or(NoRoute::Trunk)?;
    // What follows a semicolon are parameters of the user part (RFC 3261 19.1.6).
    let callee = dialled.split(';').next().unwrap_or_default().parse()?;
    let numbers = || config.numbers.iter().filter(|number| number.trunk == trunk.name);
    let named = caller
        .map(digits)
        .and_then(|caller| numbers().find(|number| !caller.is_empty() && digits(&number.display) == caller));
    let default = || {
        let wanted = trunk.default_number.as_ref();
        numbers().find(|number| wanted.is_none_or(|wanted| *wanted == number.phone_number_id))
    };
    let number = named.or_else(default).ok_or_else(|| NoRoute::NoNumber(trunk.name.clone()))?;
    Ok(Outgoing { trunk, number, callee })
}

/// The business number of a call from WhatsApp and the trunk that it goes to.
pub(crate) fn incoming<'a>(config: &'a Config, number: &PhoneNumberId) -> Option<(&'a Number, &'a Trunk)> {
    let number = config.numbers.iter().find(|one| one.phone_number_id == *number)?;
    let trunk = config.trunks.iter().find(|trunk| trunk.name == number.trunk)?;
    Some((number, trunk))
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const PBX: TrunkId = TrunkId(0);

    fn config() -> Config {
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
        Config::parse(text, Path::new("wa-bridge.toml"), &env).unwrap_or_else(|errors| panic!("{errors}"))
    }

    #[test]
    fn the_caller_chooses_the_number_and_the_first_is_the_default() {
        let config = config();
        let number = |caller| {
            let route = outgoing(&config, PBX, "+4915112345678", caller).expect("a route");
            assert_eq!(route.callee, Callee::Phone("4915112345678".to_owned()));
            route.number.phone_number_id.to_string()
        };
        assert_eq!(number(Some("+15550000002")), "2");
        assert_eq!(number(Some("15550000002")), "2");
        assert_eq!(number(Some("1001")), "1");
        assert_eq!(number(Some("anonymous")), "1");
        assert_eq!(number(None), "1");
        let with_parameters = "+4915112345678;phone-context=example.com";
        assert!(outgoing(&config, PBX, with_parameters, None).is_ok());
    }

    #[test]
    fn what_goes_nowhere_says_why() {
        let config = config();
        let no_route = |source, dialled| outgoing(&config, source, dialled, None).err();
        assert_eq!(no_route(TrunkId(7), "4915112345678"), Some(NoRoute::Trunk));
        assert!(matches!(no_route(PBX, "reception"), Some(NoRoute::Callee(_))));
        assert_eq!(no_route(TrunkId(1), "4915112345678"), Some(NoRoute::NoNumber("spare".to_owned())));
    }

    #[test]
    fn a_business_number_leads_to_its_trunk() {
        let config = config();
        let (number, trunk) = incoming(&config, &"2".parse().expect("an id")).expect("a route");
        assert_eq!((number.user(true).as_str(), trunk.name.as_str()), ("200", "office"));
        assert!(incoming(&config, &"3".parse().expect("an id")).is_none());
    }
}
