//! What webhooks have said of the numbers, and which of it still holds. Pure: the time is given, in UNIX seconds.

use std::collections::{BTreeMap, BTreeSet};

use wa_signaling::PhoneNumberId;
use wa_signaling::webhook::event::{AccountUpdate, CallingUpdate};

/// Most subjects of restrictions that are remembered; the alarm of one on top lasts until the restart.
const MOST: usize = 1000;
/// How long a restriction or a violation lasts that names no end, in seconds: WhatsApp pauses calling for a week.
const WEEK: u64 = 7 * 24 * 3600;

/// What is known of all numbers.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    settings: BTreeMap<PhoneNumberId, Faults>,
    /// Until when, by the subject of the alarm.
    restricted: BTreeMap<String, u64>,
    /// Numbers of which WhatsApp said that calls can't be delivered.
    undeliverable: BTreeSet<PhoneNumberId>,
}

/// What is wrong with the settings of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Faults {
    is_off: bool,
    is_sip: bool,
    is_sdes: bool,
}

/// What an update means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It is not about what calls need.
    Nothing,
    /// All is well, as far as updates tell.
    Mended,
    /// Calls can't work; with what is wrong and what to do.
    Wrong(String),
}

impl Watch {
    /// The settings of a number have changed. The number is one of the configuration, so these are few.
    pub(crate) fn settings(&mut self, number: &PhoneNumberId, update: &CallingUpdate) -> Finding {
        let faults = self.settings.entry(number.clone()).or_default();
        if update.enabled.is_none() && update.sip.is_none() && update.key_exchange.is_none() {
            return Finding::Nothing;
        }
        if let Some(enabled) = update.enabled {
            faults.is_off = !enabled;
        }
        if let Some(sip) = update.sip {
            faults.is_sip = sip;
        }
        if let Some(key_exchange) = &update.key_exchange {
            faults.is_sdes = key_exchange == "SDES";
        }
        faults.finding()
    }

    /// WhatsApp warns or restricts: the text of the alarm, if there is one to raise. It is over by itself.
    pub(crate) fn restricted(&mut self, now: u64, subject: &str, update: &AccountUpdate) -> Option<String> {
        if update.violation.is_none() && update.restrictions.is_empty() {
            return None;
        }
        let mut parts = vec![format!("WhatsApp says {}", update.event)];
        if let Some(violation) = &update.violation {
            let remedy =
                violation.remedy.as_deref().unwrap_or("see the account's quality in WhatsApp Manager");
            parts.push(format!("{}: {remedy}", violation.kind));
        }
        parts.extend(update.restrictions.iter().map(|restriction| match restriction.until {
            Some(until) => format!("{} until {until} (UNIX time)", restriction.kind),
            None => restriction.kind.clone(),
        }));
        let ends = update.restrictions.iter().filter_map(|restriction| restriction.until);
        let until = ends.max().unwrap_or(now.saturating_add(WEEK));
        if until <= now {
            return None;
        }
        if self.restricted.len() < MOST || self.restricted.contains_key(subject) {
            let known = self.restricted.entry(subject.to_owned()).or_default();
            *known = until.max(*known);
        }
        Some(parts.join("; "))
    }

    /// The next restriction that is over by now.
    pub(crate) fn expired(&mut self, now: u64) -> Option<String> {
        let subject =
            self.restricted.iter().find(|(_, until)| **until <= now).map(|(subject, _)| subject.clone())?;
        self.restricted.remove(&subject);
        Some(subject)
    }

    /// WhatsApp could not deliver a call to a number, which is one of the configuration.
    pub(crate) fn undeliverable(&mut self, number: &PhoneNumberId) {
        self.undeliverable.insert(number.clone());
    }

    /// A call of a number came; true when WhatsApp had said that none could.
    pub(crate) fn delivered(&mut self, number: &PhoneNumberId) -> bool {
        self.undeliverable.remove(number)
    }
}

impl Faults {
    fn finding(self) -> Finding {
        let all = [
            (self.is_off, "calling is switched off: no call can be placed or taken; set status to ENABLED"),
            (
                self.is_sip,
                "SIP mode is switched on: WhatsApp's calls no longer come here; set sip.status to DISABLED",
            ),
            (
                self.is_sdes,
                "media keys are exchanged by SDES: calls stay silent; set srtp_key_exchange_protocol to DTLS",
            ),
        ];
        let wrong: Vec<_> = all.iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, text)| *text).collect();
        if wrong.is_empty() { Finding::Mended } else { Finding::Wrong(wrong.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use wa_signaling::webhook::event::{Restriction, Violation};

    use super::*;

    fn number() -> PhoneNumberId {
        "1065".parse().expect("an id")
    }

    fn calling(enabled: Option<bool>, sip: Option<bool>, key_exchange: Option<&str>) -> CallingUpdate {
        let key_exchange = key_exchange.map(ToOwned::to_owned);
        CallingUpdate { enabled, sip, key_exchange, ..CallingUpdate::default() }
    }

    #[test]
    fn settings_are_wrong_until_each_fault_is_mended() {
        let mut watch = Watch::default();
        let mut say = |enabled, sip, keys| match watch.settings(&number(), &calling(enabled, sip, keys)) {
            Finding::Nothing => "nothing".to_owned(),
            Finding::Mended => "mended".to_owned(),
            Finding::Wrong(text) => text
                .split("; ")
                .filter_map(|part| part.split_once(": "))
                .map(|(what, _)| what)
                .collect::<Vec<_>>()
                .join(", "),
        };
        assert_eq!(say(Some(true), Some(false), Some("DTLS")), "mended");
        assert_eq!(say(None, Some(true), None), "SIP mode is switched on");
        assert_eq!(say(None, None, None), "nothing");
        assert_eq!(
            say(Some(false), None, Some("SDES")),
            "calling is switched off, SIP mode is switched on, media keys are exchanged by SDES"
        );
        assert_eq!(say(Some(true), Some(false), None), "media keys are exchanged by SDES");
        assert_eq!(say(None, None, Some("DTLS")), "mended");
    }

    fn update(until: Option<u64>) -> AccountUpdate {
        let restrictions = vec![Restriction { kind: "RESTRICTED_X".into(), until }];
        AccountUpdate {
            waba: None,
            phone_number: None,
            event: "ACCOUNT_RESTRICTION".into(),
            violation: None,
            restrictions,
        }
    }

    #[test]
    fn a_restriction_lasts_until_its_end_and_a_violation_a_week() {
        let mut watch = Watch::default();
        let text = watch.restricted(100, "a", &update(Some(200))).expect("an alarm");
        assert_eq!(text, "WhatsApp says ACCOUNT_RESTRICTION; RESTRICTED_X until 200 (UNIX time)");
        let violation = Some(Violation { kind: "LOW".into(), remedy: Some("Answer.".into()) });
        let violated = AccountUpdate { violation, restrictions: vec![], ..update(None) };
        assert!(watch.restricted(100, "b", &violated).is_some_and(|text| text.ends_with("LOW: Answer.")));
        assert_eq!(watch.expired(199), None);
        assert_eq!((watch.expired(200).as_deref(), watch.expired(200)), (Some("a"), None));
        assert_eq!(watch.expired(99 + WEEK), None);
        assert_eq!(watch.expired(100 + WEEK).as_deref(), Some("b"));
    }

    #[test]
    fn an_update_that_restricts_nothing_or_no_longer_raises_nothing() {
        let mut watch = Watch::default();
        let harmless = AccountUpdate { restrictions: vec![], ..update(None) };
        assert_eq!(watch.restricted(100, "a", &harmless), None);
        assert_eq!(watch.restricted(100, "a", &update(Some(100))), None, "a webhook that comes late");
        assert_eq!(watch.expired(u64::MAX), None);
    }

    #[test]
    fn subjects_are_bounded() {
        let mut watch = Watch::default();
        for at in 0..=MOST {
            assert!(watch.restricted(0, &at.to_string(), &update(Some(9))).is_some());
        }
        assert_eq!(watch.restricted.len(), MOST);
    }
}
