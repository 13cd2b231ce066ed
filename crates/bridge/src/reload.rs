//! Another configuration while calls live: on SIGHUP, or when the file has changed.
//!
//! A file that cannot be loaded changes nothing: the old configuration stays in force, and an alarm says what is wrong
//! with the new one until it is mended.

mod look;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::alarm::Alarm;
use crate::app::Running;
use crate::config::{Config, ConfigErrors, Difference};
use crate::shared::Shared;
use crate::sip;
use look::Look;

/// How often the file is looked at. What is found twice in a row is loaded: a file that is being written is not.
const LOOK: Duration = Duration::from_secs(2);

/// Why a good configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The program is about to end.
    #[error("the bridge is draining")]
    Draining,
    /// There are ids for 65535.
    #[error("there are too many trunks")]
    Trunks,
    /// A TLS file cannot be used.
    #[error("TLS: {0}")]
    Tls(#[from] io::Error),
}

/// Gives the value of an environment variable.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Sets the level of the log.
pub type SetLevel = Box<dyn Fn(&str) + Send + Sync>;

/// Where configurations come from.
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// What the file said at the start.
    pub text: String,
    /// Gives environment variables.
    pub env: Environment,
    /// Sets the level of the log.
    pub set_level: SetLevel,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Running {
    /// Takes another configuration: numbers, trunks, limits, certificates, secrets. No call is dropped; what can only be
    /// set at the start stays as it was.
    ///
    /// # Errors
    /// Why it is not taken; nothing has changed then.
    pub async fn take(&self, config: Config) -> Result<(), Refused> {
        take(&self.shared, config).await
    }

    /// Loads the file again on each `hangup`, and when it has changed where the configuration says so.
    pub fn follow(&self, source: Source, hangup: Signal) {
        let follower = Follower::new(Arc::clone(&self.shared), source);
        self.services.run("configuration", follower.run(hangup));
    }
}

async fn take(shared: &Arc<Shared>, config: Config) -> Result<(), Refused> {
    if shared.metrics.is_draining() {
        return Err(Refused::Draining);
    }
    let config = config.succeeding(&shared.config(), &shared.trunks.known()).ok_or(Refused::Trunks)?;
    let gone = shared.trunks.gone_with(&config);
    shared.sip.reconfigure(sip::change(&config, &gone)).await?;
    // Whoever is heard is known: a call of a new trunk finds all of it.
    shared.trunks.change(&config);
    shared.set_config(config);
    shared.trunks.listen();
    Ok(())
}

/// Keeps the configuration in force as the file says.
struct Follower {
    shared: Arc<Shared>,
    source: Source,
    /// What the file said when the last good one was loaded, and at the start.
    in_force: String,
    look: Look,
    /// What the alarm says, as long as the file is broken.
    complaint: Option<String>,
}

impl Follower {
    fn new(shared: Arc<Shared>, source: Source) -> Self {
        let (in_force, look) = (source.text.clone(), Look::new(&source.text));
        Self { shared, source, in_force, look, complaint: None }
    }

    async fn run(mut self, mut hangup: Signal) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_asked = tokio::select! {
                Some(()) = hangup.recv() => true,
                _ = looks.tick() => false,
            };
            if self.shared.metrics.is_draining() || !(is_asked || self.shared.config().life.watch) {
                continue;
            }
            let text = Config::read(&self.source.path);
            let is_due = self.look.at(text.as_deref().ok());
            if is_asked || is_due {
                self.load(text, is_asked).await;
            }
        }
    }

    async fn load(&mut self, text: Result<String, ConfigErrors>, is_asked: bool) {
        let seen = text.as_deref().ok().map(ToOwned::to_owned);
        let loaded = match text.and_then(|text| Ok((self.parse(&text)?, text))) {
            Err(errors) => Err(errors.to_string()),
            Ok((config, text)) => {
                self.take(config, text, is_asked).await.map_err(|refused| refused.to_string())
            }
        };
        self.look.tried(seen, loaded.is_ok());
        match loaded {
            Ok(()) => self.content(),
            Err(complaint) => self.complain(complaint),
        }
    }

    fn parse(&self, text: &str) -> Result<Config, ConfigErrors> {
        Config::parse(text, &self.source.path, &self.source.env)
    }

    async fn take(&mut self, config: Config, text: String, is_asked: bool) -> Result<(), Refused> {
        let (level, warnings) = (config.log.level.clone(), config.warnings());
        take(&self.shared, config).await?;
        (self.source.set_level)(&level);
        let taken = Difference::of(&self.in_force, &text).taken;
        // Against what the program was started with: it is that which still holds.
        let restart = Difference::of(&self.source.text, &text).restart;
        if is_asked || !taken.is_empty() {
            info!(changed = ?taken, "the configuration was loaded again");
            warnings.iter().for_each(|warning| warn!("{warning}"));
        }
        if !restart.is_empty() && text != self.in_force {
            warn!(keys = ?restart, "these keys need a restart: what they said at the start stays in force");
        }
        self.in_force = text;
        Ok(())
    }

    fn complain(&mut self, complaint: String) {
        if self.complaint.as_ref() == Some(&complaint) {
            return;
        }
        self.content();
        let text = format!("the configuration is not loaded, the old one stays in force:\n{complaint}");
        self.shared.alarms.raise(Alarm::Configuration, &self.subject(), text);
        self.complaint = Some(complaint);
    }

    /// The file is good.
    fn content(&mut self) {
        if self.complaint.take().is_some() {
            self.shared.alarms.clear(Alarm::Configuration, &self.subject());
        }
    }

    fn subject(&self) -> String {
        self.source.path.display().to_string()
    }
}
