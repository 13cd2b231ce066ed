//! What somebody has to see to: alarms, each raised once and taken back when it is over.
//!
//! An alarm is one error line in the log when it begins, one when it is over, a metric
//! (`wa_bridge_alarm`) meanwhile, and a line of `/readyz`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::{error, info};
use wa_signaling::{GraphEvent, PhoneNumberId, Trouble};

/// The most alarms of different subjects at once; more are only logged.
const MOST: usize = 1000;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alarm {
    /// WhatsApp refuses the access token of a number.
    Token,
    /// The token lacks a right, or WhatsApp refuses this business number.
    NumberRefused,
    /// WhatsApp has restricted a number, or is about to.
    Restricted,
    /// The number is set up so that calls can't work: SIP mode, SDES, calling off.
    Settings,
    /// WhatsApp limits how many requests a number may send.
    RateLimit,
    /// The Graph API can't be reached or is out of order.
    GraphOutage,
    /// The journal can't be written: a crash now would leave calls open.
    Journal,
    /// Records of calls can't be written; they wait in memory.
    Records,
    /// Webhooks that are not for calling can't be passed on.
    PassOn,
    /// The configuration file can't be loaded; the old one is in force.
    Configuration,
}

impl Alarm {
    /// The alarm of what the Graph client has noticed.
    #[must_use]
    pub const fn of(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Token => Self::Token,
            Trouble::NumberRefused => Self::NumberRefused,
            Trouble::Settings => Self::Settings,
            Trouble::Restricted => Self::Restricted,
            Trouble::RateLimit => Self::RateLimit,
            Trouble::Outage => Self::GraphOutage,
        }
    }

    /// The word in logs and in the metric's `alarm` label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::NumberRefused => "number_refused",
            Self::Restricted => "restricted",
            Self::Settings => "settings",
            Self::RateLimit => "rate_limit",
            Self::GraphOutage => "graph_outage",
            Self::Journal => "journal",
            Self::Records => "records",
            Self::PassOn => "pass_on",
            Self::Configuration => "configuration",
        }
    }
}

/// The alarms that last.
#[derive(Debug, Default)]
pub struct Alarms {
    active: Mutex<BTreeMap<(Alarm, String), String>>,
}

impl Alarms {
    /// Raises an alarm about a subject (a number's id, a path, nothing); `text` says what is wrong and
    /// what to do. Raised again it says nothing new.
    pub fn raise(&self, alarm: Alarm, subject: &str, text: impl Into<String>) {
        let text = text.into();
        let mut active = self.lock();
        if active.contains_key(&(alarm, subject.to_owned())) {
            return;
        }
        error!(alarm = alarm.label(), subject, "{text}");
        if active.len() < MOST {
            active.insert((alarm, subject.to_owned()), text);
        }
    }

    /// Takes an alarm back.
    pub fn clear(&self, alarm: Alarm, subject: &str) {
        if self.lock().remove(&(alarm, subject.to_owned())).is_some() {
            info!(alarm = alarm.label(), subject, "the alarm is over");
        }
    }

    /// Takes over what the Graph client has noticed.
    pub fn graph(&self, event: GraphEvent) {
        let subject = |number: Option<PhoneNumberId>| number.map(|id| id.to_string()).unwrap_or_default();
        match event {
            GraphEvent::Begun { trouble, number, text } => {
                self.raise(Alarm::of(trouble), &subject(number), text);
            }
            GraphEvent::Over { trouble, number } => self.clear(Alarm::of(trouble), &subject(number)),
        }
    }

    /// Each alarm with its subject and text.
    #[must_use]
    pub fn active(&self) -> Vec<(Alarm, String, String)> {
        let active = self.lock();
        active.iter().map(|((alarm, subject), text)| (*alarm, subject.clone(), text.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Alarm, String), String>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_graph_client_notices_is_an_alarm_until_it_is_over() {
        let alarms = Alarms::default();
        let number: Option<PhoneNumberId> = "106540352242922".parse().ok();
        let text = "Graph error 190".to_owned();
        alarms.graph(GraphEvent::Begun { trouble: Trouble::Token, number: number.clone(), text });
        alarms.graph(GraphEvent::Over { trouble: Trouble::NumberRefused, number: number.clone() });
        let active = alarms.active();
        assert_eq!(active, [(Alarm::Token, "106540352242922".to_owned(), "Graph error 190".to_owned())]);
        alarms.graph(GraphEvent::Over { trouble: Trouble::Token, number });
        assert!(alarms.active().is_empty());
    }

    #[test]
    fn an_alarm_lasts_until_it_is_taken_back() {
        let alarms = Alarms::default();
        alarms.raise(Alarm::Token, "1", "dead");
        alarms.raise(Alarm::Token, "1", "still dead");
        alarms.raise(Alarm::Journal, "", "disk full");
        let texts: Vec<_> = alarms.active().into_iter().map(|(_, _, text)| text).collect();
        assert_eq!(texts, ["dead", "disk full"]);
        alarms.clear(Alarm::Token, "1");
        alarms.clear(Alarm::Token, "2");
        assert_eq!(alarms.active().len(), 1);
    }
}
