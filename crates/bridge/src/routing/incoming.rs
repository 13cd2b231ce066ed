//! Where a call from WhatsApp goes. Pure.
//!
//! The routes are looked at in their order, and the first that matches decides alone. A call that none
//! matches is the number's own: within its hours to its trunk, else turned away.

use std::sync::Arc;

use media_relay::Announcement;
use phonenumber::country::Id;
use wa_signaling::PhoneNumberId;
use wa_signaling::identity::Caller;
use wa_signaling::webhook::event::Connect;

use super::dialled::country_of;
use super::hours::Schedule;
use crate::call::cause::Cause;
use crate::config::{Config, Number, Trunk};

/// Where calls go that match. Conditions that are not written hold for every call.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// The business number that was called.
    pub number: Option<PhoneNumberId>,
    /// The payload of the link the user followed.
    pub deeplink_payload: Option<Pattern>,
    /// The payload of the button the user pressed.
    pub cta_payload: Option<Pattern>,
    /// One of these is the user's country; empty is any.
    pub country: Vec<Id>,
    /// Now is within these hours.
    pub hours: Option<Arc<Schedule>>,
    /// What becomes of it.
    pub to: Towards,
}

/// A text, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The whole text.
    Exact(String),
    /// Its beginning.
    Prefix(String),
}

impl Pattern {
    /// Reads what ends with `*` as a beginning.
    #[must_use]
    pub fn new(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Exact(text.to_owned()),
        }
    }

    fn matches(&self, text: Option<&str>) -> bool {
        text.is_some_and(|text| match self {
            Self::Exact(whole) => text == whole,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
        })
    }
}

/// What becomes of a call that a route matches.
#[derive(Clone, Debug)]
pub enum Towards {
    /// To a PBX.
    Trunk {
        /// Its name; nothing: that of the number.
        trunk: Option<String>,
        /// The user part of the Request-URI; nothing: that of the number.
        destination: Option<String>,
    },
    /// It is rejected.
    Reject,
    /// The caller hears this, and the call ends.
    Announcement(Announcement),
}

impl Default for Towards {
    fn default() -> Self {
        Self::Trunk { trunk: None, destination: None }
    }
}

/// What becomes of a call when no PBX is up.
#[derive(Clone, Debug, Default)]
pub enum NoPbx {
    /// It is rejected at once.
    #[default]
    Reject,
    /// A PBX that seems down is called all the same.
    Try,
    /// The caller hears this, and the call ends.
    Announcement(Announcement),
}

impl NoPbx {
    /// How a call is turned away that finds no PBX.
    pub(crate) fn turned(&self) -> Turned<'_> {
        let announcement = match self {
            Self::Announcement(announcement) => Some(announcement),
            Self::Reject | Self::Try => None,
        };
        Turned { cause: Cause::NoTarget, announcement }
    }
}

/// Where a call from WhatsApp goes.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) number: &'a Number,
    /// Where it goes; where it is turned away, the trunk on which it counts.
    pub(crate) trunk: &'a Trunk,
    pub(crate) landing: Landing<'a>,
}

/// What becomes of it.
#[derive(Debug)]
pub(crate) enum Landing<'a> {
    /// The trunk's PBX is called: this user part of it.
    Pbx(String),
    /// Nobody is called.
    Turned(Turned<'a>),
}

/// How a call is turned away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turned<'a> {
    pub(crate) cause: Cause,
    /// What the caller hears first.
    pub(crate) announcement: Option<&'a Announcement>,
}

/// Where a call goes at a moment, in seconds since 1970 UTC; nothing where the business number that was
/// called is not configured.
pub(crate) fn incoming<'a>(config: &'a Config, call: &Connect, unix: i64) -> Option<Incoming<'a>> {
    let number = config.number(&call.number)?;
    let country = country(&call.caller);
    let route = config.routes.iter().find(|route| matches(route, call, country, unix));
    let (name, landing) = match route.map(|route| &route.to) {
        Some(Towards::Trunk { trunk, destination }) => (trunk.as_ref(), Ok(destination.clone())),
        Some(Towards::Reject) => (None, Err(Turned { cause: Cause::RouteRejected, announcement: None })),
        Some(Towards::Announcement(announcement)) => {
            (None, Err(Turned { cause: Cause::Announced, announcement: Some(announcement) }))
        }
        None if number.hours.as_ref().is_none_or(|hours| hours.is_open(unix)) => (None, Ok(None)),
        None => {
            let announcement = number.closed_announcement.as_ref();
            (None, Err(Turned { cause: Cause::ClosedHours, announcement }))
        }
    };
    let name = name.unwrap_or(&number.trunk);
    let trunk = config.trunks.iter().find(|trunk| trunk.name == *name)?;
    let user = |destination: Option<String>| destination.unwrap_or_else(|| number.user(trunk.headers.plus));
    let landing = landing.map_or_else(Landing::Turned, |destination| Landing::Pbx(user(destination)));
    Some(Incoming { number, trunk, landing })
}

fn matches(route: &Route, call: &Connect, country: Option<Id>, unix: i64) -> bool {
    let payload = |pattern: &Option<Pattern>, payload: &Option<String>| {
        pattern.as_ref().is_none_or(|pattern| pattern.matches(payload.as_deref()))
    };
    route.number.as_ref().is_none_or(|number| *number == call.number)
        && payload(&route.deeplink_payload, &call.deeplink_payload)
        && payload(&route.cta_payload, &call.cta_payload)
        && (route.country.is_empty() || country.is_some_and(|country| route.country.contains(&country)))
        && route.hours.as_ref().is_none_or(|hours| hours.is_open(unix))
}

/// The user's country: by the number, else by the id, which begins with it.
fn country(user: &Caller) -> Option<Id> {
    let of_id = |id: &String| id.get(..2)?.to_ascii_uppercase().parse().ok();
    let of_number = |number: &String| country_of(number.trim_start_matches('+'));
    let by_number = user.phone.as_ref().and_then(of_number);
    by_number.or_else(|| [&user.bsuid, &user.parent_bsuid].into_iter().flatten().find_map(of_id))
}

#[cfg(test)]
mod tests;
