//! The program `wa-bridge`.

mod cli;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use bridge::app::{self, Running};
use bridge::config::{Config, ConfigErrors, LogFormat};
use bridge::reload::{SetLevel, Source};
use bridge::{FAREWELL, SHORT_FAREWELL};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{Level, Metadata, info, warn};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, reload};

/// The bridge that makes WhatsApp an ordinary trunk of a phone system.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the bridge until SIGTERM or SIGINT.
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Reads the configuration, says what is wrong with it, and starts nothing.
    Check {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Asks WhatsApp what is wrong with the set-up, and says what mends it.
    Doctor(cli::Doctor),
    /// Reads and writes the calling settings of a number at WhatsApp.
    CallSettings(cli::CallSettings),
    /// Prints what every error means, in Markdown: docs/errors.md.
    Errors,
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let path = match &command {
        Command::Run { config } | Command::Check { config } => config,
        Command::Doctor(arguments) => &arguments.config,
        Command::CallSettings(arguments) => arguments.config(),
        Command::Errors => {
            print!("{}", bridge::errors::markdown());
            return ExitCode::SUCCESS;
        }
    };
    let (text, config) = match load(path) {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(2);
        }
    };
    match &command {
        Command::Check { .. } => return check(path, &config),
        Command::Doctor(arguments) => return cli::doctor(arguments, &config),
        Command::CallSettings(arguments) => return cli::call_settings(arguments, &config),
        Command::Run { .. } | Command::Errors => {}
    }
    match run(path, text, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wa-bridge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(path: &Path, config: &Config) -> ExitCode {
    print!("{} is good\n{}", path.display(), config.describe());
    config.warnings().iter().for_each(|warning| println!("warning: {warning}"));
    ExitCode::SUCCESS
}

fn load(path: &Path) -> Result<(String, Config), ConfigErrors> {
    let text = Config::read(path)?;
    let config = Config::parse(&text, path, &environment)?;
    Ok((text, config))
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn run(path: &Path, text: String, config: Config) -> anyhow::Result<()> {
    let set_level = start_log(&config)?;
    config.warnings().iter().for_each(|warning| warn!("{warning}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut stop = Stop::new()?;
        let hangup = signal(SignalKind::hangup()).context("SIGHUP")?;
        let bridge = app::start(config).await?;
        let source = Source { path: path.to_owned(), text, env: Box::new(environment), set_level };
        bridge.follow(source, hangup);
        let broken = tokio::select! {
            () = stop.asked() => false,
            () = bridge.broken() => true,
        };
        end(&bridge, &mut stop, broken).await;
        info!("stopped");
        if broken {
            anyhow::bail!("a part of the bridge broke: the log says which");
        }
        Ok(())
    })
}

/// Drains, then ends what is left. Whoever asks a second time does not want to wait.
async fn end(bridge: &Running, stop: &mut Stop, broken: bool) {
    let all = async {
        if !broken {
            bridge.drain().await;
            tokio::select! {
                () = bridge.drained() => {}
                () = bridge.broken() => {}
            }
        }
        bridge.farewell(FAREWELL).await;
    };
    let hurry = tokio::select! {
        () = all => false,
        () = stop.asked() => true,
    };
    if hurry {
        info!("asked again: calls are ended now");
        bridge.farewell(SHORT_FAREWELL).await;
    }
}

/// SIGTERM and SIGINT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
        Ok(Self { terminate, interrupt })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Starts the log; gives what sets its level from then on.
fn start_log(config: &Config) -> anyhow::Result<SetLevel> {
    let chosen = std::env::var("RUST_LOG").ok();
    let filter = chosen.as_ref().unwrap_or(&config.log.level);
    let filter = EnvFilter::try_new(filter).with_context(|| format!("log level {filter:?}"))?;
    let (filter, handle) = reload::Layer::new(filter);
    let log = tracing_subscriber::registry().with(filter).with(filter_fn(keeps_secrets));
    match config.log.format {
        LogFormat::Text => log.with(fmt::layer().with_target(false)).init(),
        // There is one span, the call's: it needs no list.
        LogFormat::Json => log.with(fmt::layer().json().with_span_list(false).with_target(false)).init(),
    }
    Ok(Box::new(move |level| {
        // What the environment says goes before the file, as at the start.
        if chosen.is_none() && handle.reload(EnvFilter::new(level)).is_err() {
            warn!(level, "the level of the log cannot be set");
        }
    }))
}

/// Below debug, the ICE library prints the ice-pwd of the call.
fn keeps_secrets(metadata: &Metadata<'_>) -> bool {
    let is_ice = metadata.target() == "is" || metadata.target().starts_with("is::");
    !(is_ice && *metadata.level() == Level::TRACE)
}
