//! Which trunk, number and destination a call takes. Pure.

use std::net::IpAddr;

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
    #[error("no trunk lists the source address {0}")]
    Source(IpAddr),
    #[error("trunk {0:?} has no business number: add a [[number]] with trunk = {0:?}")]
    NoNumber(String),
    #[error("the dialled user part is {0}")]
    Callee(#[from] wa_signaling::identity::NotCallable),
}

/// The trunk that a source address belongs to.
pub(crate) fn trunk_of(config: &Config, source: IpAddr) -> Option<&Trunk> {
    config.trunks.iter().find(|trunk| trunk.sources.iter().any(|network| network.contains(source)))
}

/// The route of a call from the PBX: `caller` is the user part of its `From`, which chooses the
/// business number when it names one of the trunk's; else the trunk's first number is used.
pub(crate) fn outgoing<'a>(
    config: &'a Config,
    source: IpAddr,
    dialled: &str,
    caller: Option<&str>,
) -> Result<Outgoing<'a>, NoRoute> {
    let trunk = trunk_of(config, source).ok_or(NoRoute::Source(source))?;
    let callee = dialled.parse()?;
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
