//! `wa-bridge doctor`: what is wrong between this configuration and WhatsApp, and what mends it.
//!
//! `ask` gathers facts, `judge` makes findings of them and is pure, `show` writes them down, `run` is the
//! command. No finding holds a secret.

mod account;
pub mod ask;
pub mod facts;
mod hours;
mod judge;
mod probe;
pub mod run;
mod settings;
mod show;
mod subscriptions;
mod token;
mod webhook;

pub use facts::Facts;
pub use hours::{call_hours, describe as describe_hours, is_open};
pub use judge::judge;
pub use show::{clean, json, text};

use wa_signaling::graph::settings::SettingsChange;

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Could not be looked at, because of what another finding says.
    Skipped,
    /// Calls work, but somebody should know.
    Warning,
    /// Calls do not work, or not all of them.
    Fault,
}

/// What one check has found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The check, such as `key exchange`.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What is.
    pub what: String,
    /// What to do; of all that are not ok or skipped.
    pub remedy: Option<String>,
    /// What `--fix` can do.
    pub fix: Option<Fix>,
}

impl Finding {
    fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, what: what.into(), remedy: None, fix: None }
    }

    fn skipped(check: &'static str, what: impl Into<String>) -> Self {
        Self { level: Level::Skipped, ..Self::ok(check, what) }
    }

    fn warning(check: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Warning, remedy: Some(remedy.into()), ..Self::ok(check, what) }
    }

    fn fault(check: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: Level::Fault, ..Self::warning(check, what, remedy) }
    }

    fn with(self, fix: Fix) -> Self {
        Self { fix: Some(fix), ..self }
    }
}

/// A change at WhatsApp that mends something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fix {
    /// As it is.
    pub before: String,
    /// As it will be.
    pub after: String,
    /// What is done.
    pub action: Action,
}

/// One request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Sets one calling setting of the number.
    Setting(SettingsChange),
    /// Has the token's app hear of this WABA's events.
    SubscribeApp {
        /// The WABA.
        waba: String,
    },
    /// Sets where the app's webhooks go, and all its fields.
    Subscribe {
        /// The callback URL.
        url: String,
        /// All fields, the old ones too.
        fields: Vec<String>,
        /// Whether it takes the webhooks away from another URL: only a person may say yes to that.
        takes_over: bool,
    },
}

impl Action {
    /// Its place among the others: calling can be enabled when the webhooks come and SIP mode is off.
    fn order(&self) -> u8 {
        match self {
            Self::Subscribe { .. } => 0,
            Self::SubscribeApp { .. } => 1,
            Self::Setting(SettingsChange::Calling(_)) => 3,
            Self::Setting(_) => 2,
        }
    }
}

/// What the findings of a section are about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The Graph API, at this URL.
    Graph(String),
    /// The app with its webhooks.
    App(Option<String>),
    /// The webhook URL.
    Webhook(Option<String>),
    /// A WhatsApp Business Account.
    Waba(Option<String>),
    /// A business number: digits, and its id.
    Number(String, String),
}

impl Subject {
    /// As a title.
    #[must_use]
    pub fn title(&self) -> String {
        let id = |what: &str, id: &Option<String>| match id {
            Some(id) => format!("{what} {id}"),
            None => what.to_owned(),
        };
        match self {
            Self::Graph(url) => format!("Graph API {url}"),
            Self::App(app) => id("App", app),
            Self::Webhook(url) => id("Webhook", url),
            Self::Waba(waba) => id("WhatsApp Business Account", waba),
            Self::Number(display, number) => format!("Number +{display} ({number})"),
        }
    }
}

/// The findings about one subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    /// What they are about.
    pub subject: Subject,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

/// All findings.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// What there is, by subject.
    pub sections: Vec<Section>,
}

impl Report {
    /// How many findings are of this level.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.findings().filter(|(_, finding)| finding.level == level).count()
    }

    /// Every finding with its subject.
    pub fn findings(&self) -> impl Iterator<Item = (&Subject, &Finding)> {
        self.sections
            .iter()
            .flat_map(|section| section.findings.iter().map(move |finding| (&section.subject, finding)))
    }

    /// What `--fix` can do, in the order in which it works.
    #[must_use]
    pub fn fixes(&self) -> Vec<(&Subject, &Finding, &Fix)> {
        let fixable = |(subject, finding)| {
            let finding: &Finding = finding;
            finding.fix.as_ref().map(|fix| (subject, finding, fix))
        };
        let mut fixes: Vec<_> = self.findings().filter_map(fixable).collect();
        fixes.sort_by_key(|(_, _, fix)| fix.action.order());
        fixes
    }
}

#[cfg(test)]
mod tests;
