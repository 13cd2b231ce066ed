//! The part of `valid` that says how a trunk is spoken to, and what it may spend.

use std::time::Duration;

use media_relay::sdp::pbx::Security;
use sip_core::{Reliable, SessionTimer};

use super::error::Place;
use super::header;
use super::raw;
use super::table::{Field, Given};
use super::trunk::{Headers, MetaHeaders, Offer, Ringback, Session};
use super::valid::{Checker, seconds};
use super::value::{self, within};
use crate::trunk::limit::Limits;
use crate::trunk::spend::{Budget, Rules};

/// Most bytes that `headers.add` adds to an INVITE, which is to stay in one datagram.
const MAX_ADDED: usize = 512;
/// Most prefixes or numbers of one list.
const MAX_LIST: usize = 1000;

/// The limits of a trunk.
pub(super) struct Ceilings {
    pub(super) limits: Limits,
    pub(super) longest_call: Option<Duration>,
    pub(super) budget: Budget,
}

impl Checker<'_> {
    pub(super) fn limits(&mut self, raw: raw::Limits) -> Option<Ceilings> {
        let calls = raw.calls.check(self.report, within(0..=100_000)).or(0);
        let per_second = raw.calls_per_second.check(self.report, within(0..=100_000)).or(0);
        let longest = raw.longest_call_s.check(self.report, seconds(0..=604_800)).or(Duration::ZERO);
        let minutes = raw.minutes_a_day.check(self.report, within(0..=10_000_000)).or(0);
        let per_callee = raw.calls_per_callee_a_day.check(self.report, within(0..=10_000)).or(0);
        Some(Ceilings {
            limits: Limits { calls: calls?, calls_per_second: per_second? },
            longest_call: Some(longest?).filter(|longest| !longest.is_zero()),
            budget: Budget { minutes_a_day: minutes?, calls_per_callee_a_day: per_callee? },
        })
    }

    pub(super) fn dial(&mut self, raw: raw::Dial) -> Option<Rules> {
        let default = Rules::default();
        let allowed = self.items(raw.allowed, default.allowed, value::prefix);
        let refused = self.items(raw.refused, default.refused, value::prefix);
        let emergency = self.items(raw.emergency, default.emergency, value::digits);
        Some(Rules { allowed: allowed?, refused: refused?, emergency: emergency? })
    }

    /// The good items of a list, or the default.
    fn items(
        &mut self,
        field: Field<Vec<Field<String>>>,
        default: Vec<String>,
        parse: fn(&str) -> Result<String, String>,
    ) -> Option<Vec<String>> {
        let field = field.check(self.report, |items| match items.len() {
            0..=MAX_LIST => Ok(items),
            _ => Err(format!("has more than {MAX_LIST} entries: shorter prefixes cover more")),
        });
        match field.value {
            Given::Absent => Some(default),
            Given::Wrong => None,
            Given::Good(items) => {
                let count = items.len();
                let check = |item: Field<String>| item.check(self.report, |text| parse(&text)).good();
                let good: Vec<_> = items.into_iter().filter_map(check).collect();
                (good.len() == count).then_some(good)
            }
        }
    }

    pub(super) fn headers(&mut self, raw: raw::Headers) -> Option<Headers> {
        let identity = self.choice(raw.identity, &[("pai", true), ("none", false)]).or(true);
        let meta = [("both", MetaHeaders::Both), ("meta", MetaHeaders::Meta), ("off", MetaHeaders::Off)];
        let meta = self.choice(raw.meta, &meta).or(MetaHeaders::Both);
        let add = self.added(raw.add);
        let pass = self.items(raw.pass, Vec::new(), header::name);
        Some(Headers { plus: raw.plus.or(true)?, identity: identity?, meta: meta?, add: add?, pass: pass? })
    }

    fn added(&mut self, field: Field<Vec<Field<(String, String)>>>) -> Option<Vec<(String, String)>> {
        let place = field.place.clone();
        let items = field.or(Vec::new())?;
        let count = items.len();
        let mut added = Vec::new();
        for item in items {
            let pair =
                item.check(self.report, |(name, value)| Ok((header::name(&name)?, header::value(&value)?)));
            added.extend(pair.good());
        }
        let bytes: usize = added.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        if bytes > MAX_ADDED {
            self.report.add(&place, format!("adds {bytes} bytes to each INVITE: keep it within {MAX_ADDED}, so that it fits a datagram"));
        }
        (added.len() == count).then_some(added)
    }

    pub(super) fn session(&mut self, raw: raw::Session) -> Option<Session> {
        let place = raw.expires_s.place.clone();
        let expires = raw.expires_s.check(self.report, |number| match number {
            0 => Ok(None),
            number => seconds(90..=86_400)(number).map(Some).map_err(|_| {
                format!("{number} is out of range: write 90 to 86400, or 0 for no session timer")
            }),
        });
        let expires = expires.or(Some(Duration::from_secs(1800)));
        let min_se = raw.min_se_s.check(self.report, seconds(90..=86_400)).or(Duration::from_secs(90));
        let reliable =
            [("off", Reliable::Off), ("supported", Reliable::Supported), ("required", Reliable::Required)];
        let reliable = self.choice(raw.reliable, &reliable).or(Reliable::Supported);
        let offer = self.choice(raw.offer, &[("early", Offer::Early), ("delayed", Offer::Delayed)]);
        let (offer, min_se) = (offer.or(Offer::Early), min_se?);
        let timer = expires?.map(|expires| SessionTimer { expires, min_se });
        if timer.is_some_and(|timer| timer.expires < timer.min_se) {
            self.report.add(&place, "is less than min_se_s: ask for no less than the PBX may");
        }
        Some(Session { timer, reliable: reliable?, offer: offer? })
    }

    pub(super) fn srtp(&mut self, field: Field<String>) -> Option<Security> {
        let known =
            [("refuse", Security::Refuse), ("offer", Security::Offer), ("require", Security::Require)];
        self.choice(field, &known).or(Security::Refuse)
    }

    pub(super) fn ringback(&mut self, how: Field<String>, country: Field<String>) -> Option<Ringback> {
        let is_tone = self.choice(how, &[("180", false), ("183", true)]).or(false);
        let place = country.place.clone();
        let country = country
            .check(self.report, |code| {
                let tone = media_relay::tone::ringback(&code);
                tone.ok_or_else(|| {
                    format!("no ringing tone is known of {code:?}: write an ISO 3166 code like \"de\"")
                })
            })
            .optional();
        match (is_tone?, country?) {
            (true, Some(country)) => Some(Ringback::Tone(country)),
            (false, None) => Some(Ringback::Pbx),
            (true, None) => {
                self.report
                    .add(&place, "is missing: ringback = \"183\" plays the tone of a country, like \"de\"");
                None
            }
            (false, Some(_)) => {
                self.report.add(
                    &place,
                    "has no effect with ringback = \"180\": write \"183\" there, or leave it out",
                );
                None
            }
        }
    }

    /// The choices of a list, none of them twice.
    pub(super) fn each_once<T: Copy + PartialEq>(
        &mut self,
        place: &Place,
        items: Vec<Field<String>>,
        choices: &[(&str, T)],
        what: &str,
    ) -> Option<Vec<T>> {
        let mut chosen = Vec::new();
        for item in items {
            let place = Place { line: item.place.line, ..place.clone() };
            let one = self.choice(item, choices).good();
            if one.is_some_and(|one| chosen.contains(&one)) {
                self.report.add(&place, format!("names {what} twice: once is enough"));
            } else {
                chosen.extend(one);
            }
        }
        Some(chosen)
    }
}
