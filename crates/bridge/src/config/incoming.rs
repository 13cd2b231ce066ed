//! The part of `valid` that says where calls from WhatsApp go.

use std::sync::Arc;

use media_relay::Announcement;
use phonenumber::country::Id;
use wa_signaling::PhoneNumberId;

use super::announcement;
use super::dialling::country;
use super::error::listed;
use super::hours::KnownHours;
use super::raw;
use super::routes::known;
use super::table::{Field, Given};
use super::trunk::Trunk;
use super::valid::{Checker, Number};
use super::value;
use crate::routing::hours::Schedule;
use crate::routing::incoming::{NoPbx, Pattern, Route, Towards};

/// Most routes: each call looks at them all.
const MAX_ROUTES: usize = 1000;

/// Which file of sound is meant by `no_pbx`.
#[derive(Clone, Copy)]
enum WithoutPbx {
    Reject,
    Try,
    Announcement,
}

impl Checker<'_> {
    /// The good routes, in their order.
    pub(super) fn incoming(
        &mut self,
        raw: Vec<raw::Route>,
        trunks: &[Trunk],
        numbers: &[Number],
        hours: &KnownHours,
    ) -> Vec<Route> {
        if let Some(beyond) = raw.get(MAX_ROUTES) {
            self.report.add(&beyond.number.place, format!("is a route too many: {MAX_ROUTES} are looked at"));
        }
        raw.into_iter().filter_map(|raw| self.route(raw, trunks, numbers, hours)).collect()
    }

    fn route(
        &mut self,
        raw: raw::Route,
        trunks: &[Trunk],
        numbers: &[Number],
        hours: &KnownHours,
    ) -> Option<Route> {
        let number = raw.number.check(self.report, |text| number(&text, numbers)).optional();
        let pattern = |text: String| match text.as_str() {
            "" | "*" => Err("matches every payload, and none is missing: leave it out".to_owned()),
            text => Ok(Pattern::new(text)),
        };
        let deeplink_payload = raw.deeplink_payload.check(self.report, pattern).optional();
        let cta_payload = raw.cta_payload.check(self.report, pattern).optional();
        let country = self.countries(raw.country);
        let hours = self.schedule(raw.hours, hours);
        let names = trunks.iter().map(|trunk| trunk.name.as_str());
        let trunk = raw.trunk.check(self.report, |name| known(name, "trunk", names));
        let destination = raw.destination.check(self.report, |text| value::sip_user(&text));
        let to = self.towards(trunk, destination, raw.reject, raw.announcement);
        Some(Route {
            number: number?,
            deeplink_payload: deeplink_payload?,
            cta_payload: cta_payload?,
            country: country?,
            hours: hours?,
            to: to?,
        })
    }

    fn countries(&mut self, field: Field<Vec<Field<String>>>) -> Option<Vec<Id>> {
        let field = field.check(self.report, |items| match items.is_empty() {
            true => Err("is empty: leave it out for every country".to_owned()),
            false => Ok(items),
        });
        let items = field.or(Vec::new())?;
        let count = items.len();
        let check = |item: Field<String>| item.check(self.report, |text| country(&text)).good();
        let good: Vec<_> = items.into_iter().filter_map(check).collect();
        (good.len() == count).then_some(good)
    }

    /// What becomes of a call: one of the three.
    fn towards(
        &mut self,
        trunk: Field<String>,
        destination: Field<String>,
        reject: Field<bool>,
        announcement: Field<String>,
    ) -> Option<Towards> {
        let place = trunk.place.clone();
        let announcement = self.announcement(announcement);
        let (trunk, destination, reject) = (trunk.optional()?, destination.optional()?, reject.or(false)?);
        let is_put_through = trunk.is_some() || destination.is_some();
        match (is_put_through, reject, announcement?) {
            (true, false, None) => Some(Towards::Trunk { trunk, destination }),
            (false, true, None) => Some(Towards::Reject),
            (false, false, Some(announcement)) => Some(Towards::Announcement(announcement)),
            (false, false, None) => {
                self.report
                    .add(&place, "is missing: write trunk or destination, reject = true, or announcement");
                None
            }
            _ => {
                self.report.add(
                    &place,
                    "a route has trunk and destination, or reject, or announcement: not several",
                );
                None
            }
        }
    }

    /// The recording in a file; nothing inside where none is named.
    fn announcement(&mut self, field: Field<String>) -> Option<Option<Announcement>> {
        let folder = self.folder;
        field.check(self.report, |file| announcement::read(&folder.join(file))).optional()
    }

    /// When a number takes calls, and what is heard else.
    pub(super) fn closed(
        &mut self,
        name: Field<String>,
        file: Field<String>,
        hours: &KnownHours,
    ) -> Option<(Option<Arc<Schedule>>, Option<Announcement>)> {
        let has_hours = !matches!(name.value, Given::Absent);
        let place = file.place.clone();
        let hours = self.schedule(name, hours);
        let announcement = self.announcement(file)?;
        if announcement.is_some() && !has_hours {
            self.report.add(&place, "is never heard: the number has no hours");
        }
        Some((hours?, announcement))
    }

    pub(super) fn no_pbx(&mut self, how: Field<String>, file: Field<String>) -> Option<NoPbx> {
        let choices = [
            ("reject", WithoutPbx::Reject),
            ("announcement", WithoutPbx::Announcement),
            ("try", WithoutPbx::Try),
        ];
        let how = self.choice(how, &choices).or(WithoutPbx::Reject);
        let place = file.place.clone();
        let file = self.announcement(file);
        match (how?, file?) {
            (WithoutPbx::Announcement, Some(announcement)) => Some(NoPbx::Announcement(announcement)),
            (WithoutPbx::Announcement, None) => {
                self.report.add(&place, "is missing: no_pbx = \"announcement\" plays the WAV file it names");
                None
            }
            (WithoutPbx::Reject | WithoutPbx::Try, Some(_)) => {
                self.report.add(&place, "is never heard: write no_pbx = \"announcement\" with it");
                None
            }
            (WithoutPbx::Reject, None) => Some(NoPbx::Reject),
            (WithoutPbx::Try, None) => Some(NoPbx::Try),
        }
    }
}

/// The business number of an id, or of the number itself.
fn number(text: &str, numbers: &[Number]) -> Result<PhoneNumberId, String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let is_meant = |number: &&Number| text == number.phone_number_id.as_str() || digits == number.display;
    let number = numbers.iter().find(is_meant).map(|number| number.phone_number_id.clone());
    let all = || listed(numbers.iter().map(|number| number.phone_number_id.as_str()));
    number.ok_or_else(|| format!("{text:?} is no [[number]] of this file; there are: {}", all()))
}
