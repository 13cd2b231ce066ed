//! The configuration: one TOML file, read once, with every mistake reported at once.
//!
//! `raw` is what the user typed, `valid` what the program uses; docs/configuration.md tells
//! the user of every key.

mod access;
mod announcement;
mod change;
mod describe;
mod dialling;
mod error;
mod file;
mod graph;
mod header;
mod hours;
mod incoming;
mod jitter;
mod journal;
mod life;
mod manners;
mod order;
mod overlap;
mod permission;
mod raw;
mod records;
mod routes;
mod secret;
mod sip;
mod table;
mod targets;
#[cfg(test)]
mod tests;
mod trunk;
mod valid;
mod value;
mod webhook;
mod whatsapp;

use std::path::Path;

use sip_core::TrunkId;

pub use change::Difference;
pub use error::{ConfigError, ConfigErrors};
pub use graph::Graph;
pub use journal::Journal;
pub use life::{Life, NewCalls};
pub use order::Order;
pub use permission::{Asking, Permission};
pub use records::{RecordFormat, Records};
pub use secret::LiveSecret;
pub use sip::{Listener, ListenerTls, Sip, Strangers};
pub use trunk::{
    AcceptRegister, Auth, Credentials, Dtmf, Headers, MetaHeaders, Offer, Register, Ringback, Session,
    Targets, Tls, TlsIdentity, Trunk, User,
};
pub use valid::{Admin, Config, Log, LogFormat, Media, MediaSide, Number};
pub use value::Network;
pub use webhook::{Webhook, WebhookTls};
pub use whatsapp::NumberAudio;

use error::{Place, Report};

impl Config {
    /// The trunk that the SIP endpoint knows by this id.
    #[must_use]
    pub fn trunk(&self, id: TrunkId) -> Option<&Trunk> {
        self.trunks.iter().find(|trunk| trunk.id == id)
    }

    /// Reads a file. `env` gives environment variables; files of secrets are found from the folder
    /// of the configuration file.
    ///
    /// # Errors
    /// Every mistake found, with its line and its remedy.
    pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        Self::parse(&Self::read(path)?, path, env)
    }

    /// The text of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<String, ConfigErrors> {
        std::fs::read_to_string(path).map_err(|error| {
            let mut report = Report::default();
            let place = Place { key: String::new(), line: None };
            report.add(&place, format!("cannot be read: {error}"));
            report.into_errors(path)
        })
    }

    /// Reads the text of a file that is, or would be, at `path`.
    ///
    /// # Errors
    /// Every mistake found, with its line and its remedy.
    pub fn parse(
        text: &str,
        path: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        let mut report = Report::default();
        let folder = path.parent().unwrap_or(Path::new(""));
        let config = raw::Raw::parse(text, &mut report)
            .and_then(|raw| valid::Checker { report: &mut report, env, folder }.config(raw));
        match config {
            Some(config) if report.len() == 0 => Ok(config),
            _ => Err(report.into_errors(path)),
        }
    }
}
