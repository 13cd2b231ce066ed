//! Call hours as Graph keeps them: whether they are open, how they read, and how ours become theirs. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use wa_signaling::graph::settings::{CallHours, Holiday, OpenHours};

use crate::routing::hours::Schedule;

/// From Monday on.
const DAYS: [&str; 7] = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
/// The last minute of a day that Graph can name.
const LAST: u16 = 23 * 60 + 59;

/// Whether users may call at a moment, in seconds since 1970 UTC; nothing where the time zone is unknown here or the
/// day is one of the holidays, whose times nobody documents to be open or closed.
#[must_use]
pub fn is_open(hours: &CallHours, unix: i64) -> Option<bool> {
    if !hours.enabled {
        return Some(true);
    }
    let zone = TimeZone::get(&hours.timezone).ok()?;
    let wall = Timestamp::from_second(unix).ok()?.to_zoned(zone);
    let date = wall.date().to_string();
    if hours.holidays.iter().any(|day| day.date == date) {
        return None;
    }
    let day = DAYS.get(usize::from(wall.weekday().to_monday_zero_offset().unsigned_abs()))?;
    let time = format!("{:02}{:02}", wall.hour(), wall.minute());
    // Four digits each: they compare as texts.
    let holds = |span: &OpenHours| span.day == *day && span.open <= time && time < span.close;
    Some(hours.weekly.iter().any(holds))
}

/// The hours for people: `MON 09:00-18:00, TUE ... (Europe/Berlin)`.
#[must_use]
pub fn describe(hours: &CallHours) -> String {
    if !hours.enabled {
        return "always open".to_owned();
    }
    let time = |text: &str| match (text.get(..2), text.get(2..)) {
        (Some(hours), Some(minutes)) => format!("{hours}:{minutes}"),
        _ => text.to_owned(),
    };
    let mut spans: Vec<(String, String)> = Vec::new();
    for span in &hours.weekly {
        let day = span.day.get(..3).unwrap_or(&span.day).to_ascii_lowercase();
        let times = format!("{}-{}", time(&span.open), time(&span.close));
        match spans.last_mut().filter(|(_, last)| *last == times) {
            Some((days, _)) => *days = format!("{days},{day}"),
            None => spans.push((day, times)),
        }
    }
    let mut parts: Vec<_> = spans.iter().map(|(days, times)| format!("{days} {times}")).collect();
    if parts.is_empty() {
        parts.push("never".to_owned());
    }
    let holidays = match hours.holidays.len() {
        0 => String::new(),
        count => format!(", {count} holiday(s)"),
    };
    format!("{} ({}){holidays}", parts.join("; "), hours.timezone)
}

/// Our hours as Graph takes them. What goes over midnight is cut there; `holidays` are kept, since what is left out is
/// forgotten. Graph names no minute after 23:59, so a day that ends at 24:00 loses its last minute.
#[must_use]
pub fn call_hours(schedule: &Schedule, holidays: Vec<Holiday>) -> CallHours {
    let mut weekly = Vec::new();
    for (number, day) in DAYS.iter().enumerate() {
        for (from, to) in merged(schedule.spans(number)) {
            let time = |minute: u16| format!("{:02}{:02}", minute / 60, minute % 60);
            weekly.push(OpenHours { day: (*day).to_owned(), open: time(from), close: time(to.min(LAST)) });
        }
    }
    let timezone = schedule.timezone.iana_name().unwrap_or("UTC").to_owned();
    CallHours { enabled: true, timezone, weekly, holidays }
}

/// Spans of a day without overlaps, in order.
fn merged(mut spans: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    spans.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::new();
    for (from, to) in spans {
        match merged.last_mut().filter(|(_, end)| from <= *end) {
            Some((_, end)) => *end = to.max(*end),
            None => merged.push((from, to)),
        }
    }
    merged
}
