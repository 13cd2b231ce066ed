//! The part of `valid` that reads opening hours.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::raw;
use super::routes::known;
use super::table::Field;
use super::valid::Checker;
use super::value;
use crate::routing::hours::{Opening, Schedule};

/// Most times, and most closed days, of one schedule.
const MAX_ENTRIES: usize = 1000;

/// The schedules by their names; nothing inside: one that is not good, of which more was said already.
pub(super) type KnownHours = BTreeMap<String, Option<Arc<Schedule>>>;

impl Checker<'_> {
    pub(super) fn hours(&mut self, raw: Vec<raw::Hours>) -> KnownHours {
        let mut names = Vec::new();
        let mut known = KnownHours::new();
        for raw in raw {
            let name = self.unique(raw.name, value::name, &mut names, "like name = \"office\"");
            let timezone = raw.timezone.check(self.report, |text| timezone(&text));
            let timezone = timezone
                .required(self.report, "write where the clock hangs, like timezone = \"Europe/Berlin\"");
            let open = self.entries(raw.open, Opening::parse);
            let closed_on = self.entries(raw.closed_on, date);
            let schedule = match (timezone, open, closed_on) {
                (Some(timezone), Some(open), Some(closed_on)) => {
                    let closed_on = closed_on.into_iter().collect();
                    Some(Arc::new(Schedule { timezone, open, closed_on }))
                }
                _ => None,
            };
            if let Some(name) = name {
                known.insert(name, schedule);
            }
        }
        known
    }

    /// The good entries of a list; none where nothing is written.
    fn entries<T>(
        &mut self,
        field: Field<Vec<Field<String>>>,
        parse: fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let field = field.check(self.report, |items| match items.len() {
            0..=MAX_ENTRIES => Ok(items),
            _ => Err(format!("has more than {MAX_ENTRIES} entries")),
        });
        let items = field.or(Vec::new())?;
        let count = items.len();
        let check = |item: Field<String>| item.check(self.report, |text| parse(&text)).good();
        let good: Vec<_> = items.into_iter().filter_map(check).collect();
        (good.len() == count).then_some(good)
    }

    /// The schedule of this name; nothing inside where none is named.
    pub(super) fn schedule(
        &mut self,
        name: Field<String>,
        hours: &KnownHours,
    ) -> Option<Option<Arc<Schedule>>> {
        let name = name.check(self.report, |name| match hours.is_empty() {
            true => Err(format!("{name:?} is no schedule: write a table [[hours]] with that name")),
            false => known(name, "schedule", hours.keys().map(String::as_str)),
        });
        match name.optional()? {
            Some(name) => Some(Some(hours.get(&name)?.clone()?)),
            None => Some(None),
        }
    }
}

fn timezone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|_| format!("{text:?} is no time zone: write one like \"Europe/Berlin\""))
}

fn date(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| format!("{text:?} is no date: write one like \"2026-12-25\""))
}
