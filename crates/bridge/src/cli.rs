//! The commands that talk to WhatsApp for a person: `doctor` and `call-settings`.

use std::path::PathBuf;
use std::process::ExitCode;

use bridge::call_settings;
use bridge::call_settings::change::{Wanted, WantedHours};
use bridge::config::Config;
use bridge::doctor::run::{self, Options};
use clap::{Args, Subcommand, ValueEnum};
use wa_signaling::graph::settings::KeyExchange;

/// What `doctor` is told.
#[derive(Args)]
pub(crate) struct Doctor {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Looks at this number alone: its id or the number itself.
    #[arg(long, value_name = "ID")]
    number: Option<String>,
    /// Changes at WhatsApp what can be changed, after showing it.
    #[arg(long)]
    fix: bool,
    /// With --fix: does not ask.
    #[arg(long, requires = "fix")]
    yes: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// Which settings, and what becomes of them.
#[derive(Args)]
pub(crate) struct CallSettings {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Prints all of them.
    Get {
        #[command(flatten)]
        whose: Whose,
        /// Prints JSON, in WhatsApp's words.
        #[arg(long)]
        json: bool,
    },
    /// Changes those that are given.
    Set {
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        change: Change,
    },
}

#[derive(Args)]
struct Whose {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The business number: its id or the number itself; may be left out where there is one alone.
    #[arg(long, value_name = "ID")]
    number: Option<String>,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
struct Change {
    /// Whether the number can be called and can call.
    #[arg(long)]
    status: Option<Switch>,
    /// Whether users see the call button.
    #[arg(long)]
    icon: Option<Icon>,
    /// Whether a user who calls may be called back.
    #[arg(long)]
    callback: Option<Switch>,
    /// Codecs beside Opus: pcma, pcmu, both with a comma between, or none.
    #[arg(long, value_delimiter = ',')]
    codecs: Option<Vec<Codec>>,
    /// How the keys of the audio are agreed on; the bridge speaks dtls.
    #[arg(long)]
    key_exchange: Option<Keys>,
    /// When users may call: as number.hours says, or always (off).
    #[arg(long)]
    hours: Option<Hours>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, ValueEnum)]
enum Icon {
    Default,
    #[value(name = "disable_all", alias = "disable-all")]
    DisableAll,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Codec {
    Pcma,
    Pcmu,
    None,
}

#[derive(Clone, Copy, ValueEnum)]
enum Keys {
    Dtls,
    Sdes,
}

#[derive(Clone, Copy, ValueEnum)]
enum Hours {
    Configured,
    Off,
}

impl CallSettings {
    pub(crate) fn config(&self) -> &PathBuf {
        match &self.what {
            What::Get { whose, .. } | What::Set { whose, .. } => &whose.config,
        }
    }
}

impl Change {
    fn wanted(&self) -> Wanted {
        let is_on = |switch: Switch| matches!(switch, Switch::On);
        let codec = |codec: &Codec| match codec {
            Codec::Pcma => Some("PCMA".to_owned()),
            Codec::Pcmu => Some("PCMU".to_owned()),
            Codec::None => None,
        };
        Wanted {
            status: self.status.map(is_on),
            icon: self.icon.map(|icon| match icon {
                Icon::Default => "DEFAULT".to_owned(),
                Icon::DisableAll => "DISABLE_ALL".to_owned(),
            }),
            callback: self.callback.map(is_on),
            codecs: self.codecs.as_ref().map(|codecs| codecs.iter().filter_map(codec).collect()),
            key_exchange: self.key_exchange.map(|keys| match keys {
                Keys::Dtls => KeyExchange::Dtls,
                Keys::Sdes => KeyExchange::Sdes,
            }),
            hours: self.hours.map(|hours| match hours {
                Hours::Configured => WantedHours::Configured,
                Hours::Off => WantedHours::Off,
            }),
        }
    }
}

/// 0 without a fault, 1 with one, 2 where a number is named that is not configured.
pub(crate) fn doctor(arguments: &Doctor, config: &Config) -> ExitCode {
    let number = match arguments.number.as_deref().map(|named| call_settings::number(config, Some(named))) {
        None => None,
        Some(Ok(number)) => Some(number.phone_number_id.clone()),
        Some(Err(problem)) => return unknown(&problem),
    };
    let Doctor { fix, yes, json, .. } = *arguments;
    ended(block_on(run::run(config, &Options { number, fix, yes, json })))
}

/// 0 when done, 1 when WhatsApp refuses, 2 where a number is named that is not configured.
pub(crate) fn call_settings(arguments: &CallSettings, config: &Config) -> ExitCode {
    let (What::Get { whose, .. } | What::Set { whose, .. }) = &arguments.what;
    let number = match call_settings::number(config, whose.number.as_deref()) {
        Ok(number) => number,
        Err(problem) => return unknown(&problem),
    };
    ended(block_on(async {
        match &arguments.what {
            What::Get { json, .. } => call_settings::get(config, number, *json).await?,
            What::Set { change, .. } => call_settings::set(config, number, &change.wanted()).await?,
        }
        Ok(true)
    }))
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

fn unknown(problem: &str) -> ExitCode {
    eprintln!("wa-bridge: {problem}");
    ExitCode::from(2)
}

fn ended(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("wa-bridge: {error:#}");
            ExitCode::FAILURE
        }
    }
}
