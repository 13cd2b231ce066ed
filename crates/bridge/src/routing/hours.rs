//! Opening hours: what a clock on the wall of a time zone says. Pure.
//!
//! Hours are those of the wall, whatever is done to the clock twice a year: where an hour is skipped, so is
//! what is open in it; where one comes twice, it is open twice. A time over midnight belongs to the day on
//! which it begins.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// From Monday on.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// When somebody is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Whose wall.
    pub timezone: TimeZone,
    /// Nothing: never.
    pub open: Vec<Opening>,
    /// Days on which nothing begins.
    pub closed_on: BTreeSet<Date>,
}

/// On some days of the week, from a minute to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// From Monday on.
    days: [bool; 7],
    /// Minutes since midnight.
    from: u16,
    /// Over midnight where it is not after `from`.
    to: u16,
}

impl Schedule {
    /// Whether a moment, in seconds since 1970 UTC, is within the hours.
    #[must_use]
    pub fn is_open(&self, unix: i64) -> bool {
        let Ok(moment) = Timestamp::from_second(unix) else {
            return false;
        };
        let wall = moment.to_zoned(self.timezone.clone());
        let (today, time) = (wall.date(), wall.time());
        // Of a clock's hours and minutes.
        let minute = u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).unwrap_or(0);
        let yesterday = today.yesterday().ok();
        self.open.iter().any(|opening| {
            let began_yesterday = yesterday.is_some_and(|day| self.begins(opening, day));
            self.begins(opening, today) && opening.holds_on_its_day(minute)
                || began_yesterday && opening.holds_on_the_next(minute)
        })
    }

    /// What is open on a day of the week, from Monday on, without a look at the days that are closed: minutes from and
    /// to, neither over midnight.
    #[must_use]
    pub fn spans(&self, day: usize) -> Vec<(u16, u16)> {
        let yesterday = (day + 6) % 7;
        let mut spans = Vec::new();
        for opening in &self.open {
            let begins_on = |day: usize| opening.days.get(day) == Some(&true);
            if begins_on(yesterday) && opening.is_over_midnight() && opening.to > 0 {
                spans.push((0, opening.to));
            }
            if begins_on(day) {
                spans.push((opening.from, if opening.is_over_midnight() { DAY } else { opening.to }));
            }
        }
        spans
    }

    fn begins(&self, opening: &Opening, day: Date) -> bool {
        let number = usize::from(day.weekday().to_monday_zero_offset().unsigned_abs());
        opening.days.get(number) == Some(&true) && !self.closed_on.contains(&day)
    }
}

impl Opening {
    fn is_over_midnight(&self) -> bool {
        self.to <= self.from
    }

    fn holds_on_its_day(&self, minute: u16) -> bool {
        self.from <= minute && (self.is_over_midnight() || minute < self.to)
    }

    fn holds_on_the_next(&self, minute: u16) -> bool {
        self.is_over_midnight() && minute < self.to
    }

    /// Reads `mon-fri 09:00-18:00`, `sat,sun 10:00-14:00` or `fri 22:00-02:00`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                "{text:?}: {what}; write days and times like \"mon-fri 09:00-18:00\" or \"sat,sun 10:00-14:00\""
            )
        };
        let (days, times) = text.trim().split_once(' ').ok_or_else(|| wrong("no days, or no times"))?;
        let (from, to) = times.trim().split_once('-').ok_or_else(|| wrong("no two times"))?;
        let minute = |time: &str| minute(time).ok_or_else(|| wrong(&format!("{time:?} is no time")));
        let (from, to) = (minute(from)?, minute(to)?);
        if from == to || from == DAY {
            return Err(wrong("nothing lies between the times (the whole day is 00:00-24:00)"));
        }
        let days = parse_days(days).map_err(|day| wrong(&format!("{day:?} is no day")))?;
        Ok(Self { days, from, to })
    }
}

/// Minutes since midnight, to 24:00.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let number = |text: &str| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_number)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let at = hours * 60 + minutes;
    (minutes < 60 && at <= DAY).then_some(at)
}

/// Days and ranges of days; the text that is none.
fn parse_days(text: &str) -> Result<[bool; 7], String> {
    let number = |name: &str| {
        let name = name.trim().to_ascii_lowercase();
        DAYS.iter().position(|known| *known == name).ok_or(name)
    };
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        // sat-mon goes over the end of the week.
        let count = (last + 7 - first) % 7;
        for day in first..=first + count {
            if let Some(day) = days.get_mut(day % 7) {
                *day = true;
            }
        }
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(timezone: &str, open: &[&str], closed_on: &[&str]) -> Schedule {
        Schedule {
            timezone: TimeZone::get(timezone).expect(timezone),
            open: open.iter().map(|text| Opening::parse(text).expect(text)).collect(),
            closed_on: closed_on.iter().map(|day| day.parse().expect(day)).collect(),
        }
    }

    /// A moment as UTC writes it.
    fn unix(moment: &str) -> i64 {
        moment.parse::<Timestamp>().expect(moment).as_second()
    }

    fn check(schedule: &Schedule, cases: &[(&str, bool)]) {
        for (moment, open) in cases {
            assert_eq!(schedule.is_open(unix(moment)), *open, "{moment}");
        }
    }

    #[test]
    fn office_hours_are_those_of_the_wall_in_winter_and_summer() {
        let office = schedule("Europe/Berlin", &["mon-fri 09:00-18:00"], &[]);
        check(
            &office,
            &[
                // Monday in January: one hour before UTC.
                ("2026-01-12T07:59:59Z", false),
                ("2026-01-12T08:00:00Z", true),
                ("2026-01-12T16:59:59Z", true),
                ("2026-01-12T17:00:00Z", false),
                // Monday in July: two.
                ("2026-07-13T06:59:59Z", false),
                ("2026-07-13T07:00:00Z", true),
                ("2026-07-13T16:00:00Z", false),
                // Saturday.
                ("2026-01-17T10:00:00Z", false),
            ],
        );
    }

    #[test]
    fn an_hour_that_is_skipped_is_skipped_and_one_that_comes_twice_is_open_twice() {
        // 29 March 2026 at 02:00 it is 03:00; 25 October 2026 at 03:00 it is 02:00.
        let night = schedule("Europe/Berlin", &["sun 02:00-03:00"], &[]);
        check(
            &night,
            &[
                ("2026-03-29T00:59:59Z", false),
                ("2026-03-29T01:00:00Z", false),
                ("2026-03-29T01:30:00Z", false),
                ("2026-10-24T23:59:59Z", false),
                ("2026-10-25T00:00:00Z", true),
                ("2026-10-25T00:59:59Z", true),
                ("2026-10-25T01:00:00Z", true),
                ("2026-10-25T01:59:59Z", true),
                ("2026-10-25T02:00:00Z", false),
            ],
        );
        // What goes over the change keeps both its ends on the wall.
        let over = schedule("America/New_York", &["sat 22:00-06:00"], &[]);
        check(
            &over,
            &[
                ("2026-03-08T02:59:59Z", false),
                ("2026-03-08T03:00:00Z", true),
                ("2026-03-08T09:59:59Z", true),
                ("2026-03-08T10:00:00Z", false),
            ],
        );
    }

    #[test]
    fn a_time_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let bar = schedule("UTC", &["fri,sat 22:00-02:00"], &["2026-01-10"]);
        check(
            &bar,
            &[
                ("2026-01-09T21:59:00Z", false),
                ("2026-01-09T22:00:00Z", true),
                // Saturday is closed, but Friday's evening goes on.
                ("2026-01-10T01:59:00Z", true),
                ("2026-01-10T02:00:00Z", false),
                ("2026-01-10T22:00:00Z", false),
                ("2026-01-11T01:00:00Z", false),
                // Friday before the evening, in the hours that are Thursday's.
                ("2026-01-09T01:00:00Z", false),
            ],
        );
    }

    #[test]
    fn holidays_are_closed_by_the_date_on_the_wall() {
        let zone = schedule("Pacific/Auckland", &["mon-sun 00:00-24:00"], &["2026-12-25"]);
        check(
            &zone,
            &[
                ("2026-12-24T10:59:59Z", true),
                ("2026-12-24T11:00:00Z", false),
                ("2026-12-25T10:59:59Z", false),
                ("2026-12-25T11:00:00Z", true),
            ],
        );
    }

    #[test]
    fn days_may_be_listed_and_go_over_the_end_of_the_week() {
        let days = |text: &str| Opening::parse(text).map(|opening| opening.days);
        assert_eq!(days("sat-mon 09:00-10:00"), Ok([true, false, false, false, false, true, true]));
        assert_eq!(days("Mon,wed-thu 09:00-10:00"), Ok([true, false, true, true, false, false, false]));
        assert_eq!(days("sun 00:00-24:00"), Ok([false, false, false, false, false, false, true]));
    }

    #[test]
    fn what_is_no_time_says_so() {
        for (text, what) in [
            ("", "no days, or no times"),
            ("mon-fri", "no days, or no times"),
            ("09:00-18:00", "no days, or no times"),
            ("mon 09:00", "no two times"),
            ("mon 9:00-18:00", "\"9:00\" is no time"),
            ("mon 09:00-24:01", "\"24:01\" is no time"),
            ("mon 09:60-18:00", "\"09:60\" is no time"),
            ("mon 09:00-09:00", "nothing lies between"),
            ("mon 24:00-02:00", "nothing lies between"),
            ("monday 09:00-18:00", "\"monday\" is no day"),
            ("mon- 09:00-18:00", "\"\" is no day"),
        ] {
            let message = Opening::parse(text).expect_err(text);
            assert!(message.contains(what), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_text_and_no_moment_is_too_strange(text in ".{0,30}", unix in any::<i64>()) {
            let _ = Opening::parse(&text);
            let office = schedule("Europe/Berlin", &["mon-fri 09:00-18:00", "sat 22:00-02:00"], &[]);
            let _ = office.is_open(unix);
        }

        /// Every minute of a week is open in exactly one of two schedules that complement each other.
        #[test]
        fn hours_and_their_complement_fill_the_week(from in 0_u16..1440, length in 1_u16..1440, at in 0_i64..604_800) {
            let to = (from + length) % DAY;
            let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
            let daily = |from, to| schedule("UTC", &[&format!("mon-sun {}-{}", time(from), time(to))], &[]);
            let moment = unix("2026-01-05T00:00:00Z") + at;
            prop_assert_ne!(daily(from, to).is_open(moment), daily(to, from).is_open(moment));
        }
    }
}
