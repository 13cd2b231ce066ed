//! What is wanted, and the changes that lead there. Pure.

use wa_signaling::graph::settings::{CallHours, CallingSettings, KeyExchange, SettingsChange};

use super::show;
use crate::doctor::call_hours;
use crate::routing::hours::Schedule;

/// What the settings shall be; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Whether calling is on.
    pub status: Option<bool>,
    /// Who sees the call button, in Graph's word.
    pub icon: Option<String>,
    /// Whether a user's call permits to call back.
    pub callback: Option<bool>,
    /// The codecs beside Opus, in Graph's words.
    pub codecs: Option<Vec<String>>,
    /// How the media keys are agreed on.
    pub key_exchange: Option<KeyExchange>,
    /// When users may call.
    pub hours: Option<WantedHours>,
}

/// When users may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedHours {
    /// Those of the number's `[[hours]]`.
    Configured,
    /// Always.
    Off,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What of the settings.
    pub name: &'static str,
    /// As it is.
    pub before: String,
    /// As it will be.
    pub after: String,
    /// What is asked of Graph.
    pub change: SettingsChange,
}

/// The changes, in the order in which Graph takes them: calling is enabled last. What is so already needs none.
///
/// # Errors
/// What is wanted and cannot be.
pub fn changes(
    wanted: &Wanted,
    now: &CallingSettings,
    schedule: Option<&Schedule>,
) -> Result<Vec<Change>, String> {
    let mut all = Vec::new();
    if let Some(icon) = &wanted.icon {
        all.push(SettingsChange::CallIconVisibility(icon.clone()));
    }
    all.extend(wanted.callback.map(SettingsChange::CallbackPermission));
    all.extend(wanted.codecs.clone().map(SettingsChange::AdditionalCodecs));
    all.extend(wanted.key_exchange.map(SettingsChange::KeyExchange));
    if let Some(hours) = wanted.hours {
        all.extend(self::hours(hours, now.call_hours.as_ref(), schedule)?.map(SettingsChange::CallHours));
    }
    all.extend(wanted.status.map(SettingsChange::Calling));
    let change = |change: SettingsChange| {
        let after = applied(now.clone(), &change);
        let (name, value): (_, fn(&CallingSettings) -> String) = show::row_of(&change);
        (after != *now).then(|| Change { name, before: value(now), after: value(&after), change })
    };
    Ok(all.into_iter().filter_map(change).collect())
}

fn hours(
    wanted: WantedHours,
    now: Option<&CallHours>,
    schedule: Option<&Schedule>,
) -> Result<Option<CallHours>, String> {
    match wanted {
        WantedHours::Off => Ok(now.map(|now| CallHours { enabled: false, ..now.clone() })),
        WantedHours::Configured => {
            let schedule =
                schedule.ok_or("the number has no hours: write number.hours and [[hours]] first")?;
            // Set without them, Graph would forget its holidays.
            let hours = call_hours(schedule, now.map(|now| now.holidays.clone()).unwrap_or_default());
            if hours.weekly.is_empty() {
                return Err("the number's hours are never open, which Graph does not take".to_owned());
            }
            Ok(Some(hours))
        }
    }
}

/// The settings after a change.
fn applied(mut settings: CallingSettings, change: &SettingsChange) -> CallingSettings {
    match change.clone() {
        SettingsChange::Calling(on) => settings.enabled = Some(on),
        SettingsChange::CallIconVisibility(word) => settings.call_icon_visibility = Some(word),
        SettingsChange::CallIconCountries(countries) => settings.call_icon_countries = countries,
        SettingsChange::CallHours(hours) => settings.call_hours = Some(hours),
        SettingsChange::CallbackPermission(on) => settings.callback_permission = Some(on),
        SettingsChange::KeyExchange(exchange) => settings.key_exchange = Some(exchange),
        SettingsChange::SipMode(on) => settings.sip.get_or_insert_default().enabled = on,
        SettingsChange::AdditionalCodecs(codecs) => settings.additional_codecs = codecs,
        SettingsChange::Video(on) => settings.video = Some(on),
    }
    settings
}

#[cfg(test)]
mod tests {
    use wa_signaling::graph::settings::Holiday;

    use super::*;
    use crate::routing::hours::Opening;

    fn schedule(open: &[&str]) -> Schedule {
        Schedule {
            timezone: jiff::tz::TimeZone::get("Europe/Berlin").expect("a zone"),
            open: open.iter().map(|text| Opening::parse(text).expect(text)).collect(),
            closed_on: std::collections::BTreeSet::new(),
        }
    }

    #[test]
    fn only_what_differs_is_changed_and_calling_comes_last() {
        let now = CallingSettings { callback_permission: Some(true), ..CallingSettings::default() };
        let wanted = Wanted {
            status: Some(true),
            callback: Some(true),
            codecs: Some(vec!["PCMA".to_owned()]),
            icon: Some("DISABLE_ALL".to_owned()),
            key_exchange: Some(KeyExchange::Dtls),
            hours: Some(WantedHours::Off),
        };
        let changes = changes(&wanted, &now, None).expect("good");
        let lines: Vec<_> =
            changes.iter().map(|c| format!("{}: {} -> {}", c.name, c.before, c.after)).collect();
        assert_eq!(
            lines,
            [
                "call button: not set -> DISABLE_ALL",
                "codecs: Opus -> Opus, PCMA",
                "key exchange: not set (DTLS) -> DTLS",
                "calling: not set -> ENABLED"
            ]
        );
    }

    #[test]
    fn our_hours_become_theirs_and_their_holidays_stay() {
        let holiday =
            Holiday { date: "2026-12-25".to_owned(), start: "0000".to_owned(), end: "2359".to_owned() };
        let theirs = CallHours { holidays: vec![holiday.clone()], ..CallHours::default() };
        let now = CallingSettings { call_hours: Some(theirs), ..CallingSettings::default() };
        let wanted = Wanted { hours: Some(WantedHours::Configured), ..Wanted::default() };
        let ours = schedule(&["mon 09:00-12:00", "mon 11:00-18:00", "fri 22:00-02:00", "sun 00:00-24:00"]);
        let changes = changes(&wanted, &now, Some(&ours)).expect("good");
        let [Change { change: SettingsChange::CallHours(hours), .. }] = changes.as_slice() else {
            panic!("{changes:?}");
        };
        assert_eq!(hours.holidays, [holiday]);
        assert_eq!((hours.enabled, hours.timezone.as_str()), (true, "Europe/Berlin"));
        let spans: Vec<_> =
            hours.weekly.iter().map(|span| format!("{} {}-{}", span.day, span.open, span.close)).collect();
        assert_eq!(spans, ["MONDAY 0900-1800", "FRIDAY 2200-2359", "SATURDAY 0000-0200", "SUNDAY 0000-2359"]);
    }

    #[test]
    fn hours_that_are_none_say_so() {
        let wanted = Wanted { hours: Some(WantedHours::Configured), ..Wanted::default() };
        let now = CallingSettings::default();
        assert!(changes(&wanted, &now, None).expect_err("none").contains("number.hours"));
        assert!(changes(&wanted, &now, Some(&schedule(&[]))).expect_err("never").contains("never open"));
    }
}
