//! The program `wa-bridge`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use bridge::app;
use bridge::config::{Config, LogFormat};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{Level, Metadata, info, warn};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

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
    /// Prints what every error means, in Markdown: docs/errors.md.
    Errors,
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let (Command::Run { config: path } | Command::Check { config: path }) = &command else {
        print!("{}", bridge::errors::markdown());
        return ExitCode::SUCCESS;
    };
    let config = match Config::load(path, &|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(2);
        }
    };
    if matches!(command, Command::Check { .. }) {
        print!("{} is good\n{}", path.display(), config.describe());
        config.warnings().iter().for_each(|warning| println!("warning: {warning}"));
        return ExitCode::SUCCESS;
    }
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wa-bridge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    start_log(&config)?;
    config.warnings().iter().for_each(|warning| warn!("{warning}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
        let bridge = app::start(config).await?;
        let broken = tokio::select! {
            _ = terminate.recv() => false,
            _ = interrupt.recv() => false,
            () = bridge.broken() => true,
        };
        info!(calls = bridge.calls(), "stopping: calls are ended on both sides");
        bridge.shutdown().await;
        if broken {
            anyhow::bail!("a part of the bridge broke: the log says which");
        }
        Ok(())
    })
}

fn start_log(config: &Config) -> anyhow::Result<()> {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| config.log.level.clone());
    let filter = EnvFilter::try_new(&filter).with_context(|| format!("log level {filter:?}"))?;
    let log = tracing_subscriber::registry().with(filter).with(filter_fn(keeps_secrets));
    match config.log.format {
        LogFormat::Text => log.with(fmt::layer().with_target(false)).init(),
        LogFormat::Json => log.with(fmt::layer().json().with_target(false)).init(),
    }
    Ok(())
}

/// Below debug, the ICE library prints the ice-pwd of the call.
fn keeps_secrets(metadata: &Metadata<'_>) -> bool {
    let is_ice = metadata.target() == "is" || metadata.target().starts_with("is::");
    !(is_ice && *metadata.level() == Level::TRACE)
}
