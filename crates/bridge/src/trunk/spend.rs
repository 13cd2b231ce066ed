//! What a trunk may spend: whom it may call, and how much in a day.
//!
//! A PBX that was broken into calls expensive numbers all night. The rules here are the last line
//! that stops it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::call::cause::Cause;

/// Numbers shorter than this are short codes, which exist within one country only: WhatsApp has none.
pub const SHORTEST_NUMBER: usize = 6;
/// Most callees counted in a day, for one trunk. Those beyond are not counted, and so not refused: the
/// minutes of the day still end them.
const MAX_CALLEES: usize = 20_000;

/// Whom a trunk may call. Prefixes are digits without `+`, or the beginning of a user id such as `US.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What may be called; empty is everything.
    pub allowed: Vec<String>,
    /// What may not be called. Of an allowed and a refused prefix the longer one decides.
    pub refused: Vec<String>,
    /// Emergency numbers: digits.
    pub emergency: Vec<String>,
}

impl Default for Rules {
    fn default() -> Self {
        let emergency = ["000", "110", "111", "112", "113", "118", "119", "911", "999"];
        let emergency = emergency.map(ToOwned::to_owned).to_vec();
        Self { allowed: Vec::new(), refused: Vec::new(), emergency }
    }
}

impl Rules {
    /// Whether this is an emergency number, or a short code. Asked before anything is made of what was
    /// dialled: a short number has no route, and must not be answered 404.
    ///
    /// # Errors
    /// [`Cause::EmergencyNumber`]: the PBX is to route it elsewhere.
    pub fn emergency(&self, dialled: &str) -> Result<(), Cause> {
        let dialled = dialled.split(';').next().unwrap_or_default();
        let dialled = dialled.strip_prefix('+').unwrap_or(dialled);
        let is_number = !dialled.is_empty() && dialled.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && (dialled.len() < SHORTEST_NUMBER || self.emergency.iter().any(|one| one == dialled)) {
            return Err(Cause::EmergencyNumber);
        }
        Ok(())
    }

    /// Whether the trunk may call whom `dialled` names: a number in its international form, or a user id.
    ///
    /// # Errors
    /// [`Cause::EmergencyNumber`] for emergency numbers and short codes; [`Cause::DestinationRefused`] for
    /// what the prefixes do not allow.
    pub fn check(&self, dialled: &str) -> Result<(), Cause> {
        self.emergency(dialled)?;
        let dialled = dialled.split(';').next().unwrap_or_default();
        let dialled = of_country(dialled.strip_prefix('+').unwrap_or(dialled));
        let longest = |prefixes: &[String]| {
            let matching = prefixes.iter().filter(|prefix| dialled.starts_with(prefix.as_str()));
            matching.map(String::len).max()
        };
        let is_allowed = match (longest(&self.allowed), longest(&self.refused)) {
            (allowed, Some(refused)) => allowed.is_some_and(|allowed| allowed > refused),
            (Some(_), None) => true,
            (None, None) => self.allowed.is_empty(),
        };
        if is_allowed { Ok(()) } else { Err(Cause::DestinationRefused) }
    }
}

/// A user id with its country in capitals, as prefixes have it: users' ids come in either case.
fn of_country(dialled: &str) -> String {
    let mut dialled = dialled.to_owned();
    if dialled.as_bytes().get(2) == Some(&b'.')
        && let Some(country) = dialled.get_mut(..2)
    {
        country.make_ascii_uppercase();
    }
    dialled
}

/// How much a trunk may call in a day of UTC; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Minutes of all answered calls to WhatsApp.
    pub minutes_a_day: u32,
    /// Calls to one callee.
    pub calls_per_callee_a_day: u32,
}

/// What a trunk has called today.
#[derive(Debug)]
pub struct Ledger {
    budget: Budget,
    /// The day that is counted: days since some midnight UTC.
    day: u64,
    spent: Duration,
    callees: BTreeMap<String, u32>,
}

impl Ledger {
    /// Nothing was called yet.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self { budget, day: 0, spent: Duration::ZERO, callees: BTreeMap::new() }
    }

    /// Counts a call that begins.
    ///
    /// # Errors
    /// [`Cause::SpendLimit`] when the minutes of the day are spent, or this callee was called as often
    /// as may be.
    pub fn begin(&mut self, day: u64, callee: &str) -> Result<(), Cause> {
        self.turn(day);
        if self.left(day).is_some_and(|left| left.is_zero()) {
            return Err(Cause::SpendLimit);
        }
        if self.budget.calls_per_callee_a_day == 0 {
            return Ok(());
        }
        let is_full = self.callees.len() >= MAX_CALLEES;
        match self.callees.get_mut(callee) {
            Some(calls) if *calls >= self.budget.calls_per_callee_a_day => return Err(Cause::SpendLimit),
            Some(calls) => *calls += 1,
            None if is_full => {}
            None => drop(self.callees.insert(callee.to_owned(), 1)),
        }
        Ok(())
    }

    /// Counts the time of a call that has ended, on the day it ended.
    pub fn end(&mut self, day: u64, answered_for: Duration) {
        self.turn(day);
        self.spent = self.spent.saturating_add(answered_for);
    }

    /// What is left of the day's minutes, if they are limited: no call should be longer. Calls that
    /// run at the same time each see the whole of it.
    #[must_use]
    pub fn left(&self, day: u64) -> Option<Duration> {
        let whole = Duration::from_secs(60 * u64::from(self.budget.minutes_a_day));
        let spent = if day == self.day { self.spent } else { Duration::ZERO };
        (!whole.is_zero()).then(|| whole.saturating_sub(spent))
    }

    /// A new day begins with nothing spent.
    fn turn(&mut self, day: u64) {
        if day != self.day {
            self.day = day;
            self.spent = Duration::ZERO;
            self.callees.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allowed: &[&str], refused: &[&str]) -> Rules {
        let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        Rules { allowed: owned(allowed), refused: owned(refused), ..Rules::default() }
    }

    #[test]
    fn the_longest_prefix_decides() {
        let (open, closed) = (rules(&[], &["4990", "882"]), rules(&["49", "49900800", "US."], &["4990"]));
        let cases = [
            (&open, "+4930123456", true),
            (&open, "4990123456", false),
            (&open, "+88213300000", false),
            (&open, "US.13491208655", true),
            (&closed, "+4930123456", true),
            (&closed, "+4990123456", false),
            (&closed, "+4990080012", true),
            (&closed, "+14085551234", false),
            (&closed, "US.13491208655", true),
            (&closed, "DE.13491208655", false),
            (&closed, "us.13491208655", true),
            (&closed, "4930123456;phone-context=x", true),
        ];
        for (rules, dialled, may) in cases {
            let expected = if may { Ok(()) } else { Err(Cause::DestinationRefused) };
            assert_eq!(rules.check(dialled), expected, "{dialled}");
        }
        assert!(rules(&["49"], &["49"]).check("4930123456").is_err(), "of equals the refusal counts");
    }

    #[test]
    fn emergency_and_short_numbers_are_told_apart_from_refused_ones() {
        let mut rules = rules(&["49"], &["1"]);
        rules.emergency.push("4911200".to_owned());
        for dialled in ["112", "911", "+112", "000", "0", "12345", "112;phone-context=+49", "+4911200"] {
            assert_eq!(rules.check(dialled), Err(Cause::EmergencyNumber), "{dialled}");
        }
        for dialled in ["123456", "", "+", "reception", "*11"] {
            assert_eq!(rules.check(dialled), Err(Cause::DestinationRefused), "{dialled}");
        }
    }

    #[test]
    fn a_pbx_tries_another_route_for_an_emergency_and_none_for_a_fraud() {
        let status = |cause: Cause| cause.row().status;
        assert_eq!(status(Cause::EmergencyNumber), 503);
        assert_eq!(Cause::EmergencyNumber.row().retry_after, None, "the trunk itself is in order");
        assert_eq!([status(Cause::DestinationRefused), status(Cause::SpendLimit)], [403, 403]);
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_minutes_of_a_day_end_with_it() {
        let mut ledger = Ledger::new(Budget { minutes_a_day: 10, ..Budget::default() });
        assert_eq!(ledger.left(5), Some(10 * MINUTE));
        assert_eq!(ledger.begin(5, "49"), Ok(()));
        ledger.end(5, 7 * MINUTE);
        assert_eq!(ledger.left(5), Some(3 * MINUTE));
        ledger.end(5, 4 * MINUTE);
        assert_eq!(ledger.begin(5, "49"), Err(Cause::SpendLimit));
        assert_eq!(ledger.left(6), Some(10 * MINUTE));
        assert_eq!(ledger.begin(6, "49"), Ok(()));
        // A call over midnight counts where it ends.
        ledger.end(7, 10 * MINUTE);
        assert_eq!(ledger.begin(7, "49"), Err(Cause::SpendLimit));
    }

    #[test]
    fn a_callee_is_called_only_so_often_a_day() {
        let mut ledger = Ledger::new(Budget { calls_per_callee_a_day: 2, ..Budget::default() });
        let mut call = |day, callee| ledger.begin(day, callee);
        assert_eq!([call(1, "49"), call(1, "49"), call(1, "44")], [Ok(()); 3]);
        assert_eq!(call(1, "49"), Err(Cause::SpendLimit));
        assert_eq!(call(2, "49"), Ok(()));
    }

    #[test]
    fn without_limits_nothing_is_kept() {
        let mut ledger = Ledger::new(Budget::default());
        for n in 0..1000 {
            assert_eq!(ledger.begin(1, &n.to_string()), Ok(()));
            ledger.end(1, 1000 * MINUTE);
        }
        assert_eq!((ledger.left(1), ledger.callees.len()), (None, 0));
    }

    #[test]
    fn the_callees_of_a_day_are_bounded() {
        let mut ledger = Ledger::new(Budget { calls_per_callee_a_day: 1, ..Budget::default() });
        for n in 0..MAX_CALLEES + 5 {
            assert_eq!(ledger.begin(1, &n.to_string()), Ok(()));
        }
        assert_eq!(ledger.callees.len(), MAX_CALLEES);
        assert_eq!(ledger.begin(1, "0"), Err(Cause::SpendLimit), "those counted stay counted");
    }
}
