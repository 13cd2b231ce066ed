//! The program `wa-bridge` as a process of its own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use end_to_end::PATIENCE;
use sandbox::whatsapp::WhatsAppConfig;
use tokio::process::{Child, Command};

/// What the log tells.
const LOG: &str = "info,bridge=debug,sip_core=debug";
/// How much of the log a failure shows.
const SHOWN: usize = 60;

/// A running bridge; it is killed when this is dropped.
pub(crate) struct Program {
    process: Child,
    log: PathBuf,
    /// Where it tells its metrics.
    admin: SocketAddr,
}

impl Program {
    /// Runs the program with this configuration until it says that it is ready.
    pub(crate) async fn start(
        config: &str,
        admin: SocketAddr,
        meta: &WhatsAppConfig,
        folder: &Path,
    ) -> Result<Self> {
        Self::start_logging(config, admin, meta, folder, LOG).await
    }

    /// The same, with this much in the log.
    pub(crate) async fn start_logging(
        config: &str,
        admin: SocketAddr,
        meta: &WhatsAppConfig,
        folder: &Path,
        level: &str,
    ) -> Result<Self> {
        let (file, log) = (folder.join("wa-bridge.toml"), folder.join("wa-bridge.log"));
        fs::write(&file, config)?;
        let mut command = Command::new(program()?);
        command.arg("run").arg("--config").arg(&file).env("RUST_LOG", level);
        command.env("SIPP_APP_SECRET", &meta.app_secret).env("SIPP_VERIFY_TOKEN", &meta.verify_token);
        command
            .env("SIPP_TOKEN", &meta.token)
            .env("SIPP_PASSWORD", "secret")
            .kill_on_drop(true)
            .stdin(Stdio::null());
        command.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        let mut process = command.spawn().context("wa-bridge does not run")?;
        let limit = Instant::now() + PATIENCE;
        while !fs::read_to_string(&log)?.contains("\"ready\"") {
            let said = || fs::read_to_string(&log).unwrap_or_default();
            if let Some(status) = process.try_wait()? {
                bail!("wa-bridge ended with {status}: {}", said());
            }
            ensure!(Instant::now() < limit, "wa-bridge is not ready: {}", said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Self { process, log, admin })
    }

    /// What it counts.
    pub(crate) async fn metrics(&self) -> Result<String> {
        Ok(reqwest::get(format!("http://{}/metrics", self.admin)).await?.text().await?)
    }

    /// How many calls live, by its own metrics.
    pub(crate) async fn calls(&self) -> Result<u64> {
        let text = self.metrics().await?;
        let calls = text.lines().filter(|line| line.starts_with("wa_bridge_calls{"));
        calls.map(|line| Ok(line.rsplit(' ').next().unwrap_or_default().parse::<u64>()?)).sum()
    }

    /// The end of its log.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }

    /// All of its log.
    #[allow(dead_code, reason = "not every target that runs the program asks")]
    pub(crate) fn whole_log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process.
    pub(crate) fn id(&self) -> Result<u32> {
        self.process.id().context("wa-bridge ended too early")
    }

    /// SIGKILL: it has no time for anything.
    #[allow(dead_code, reason = "not every target that runs the program kills it")]
    pub(crate) async fn kill(mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }

    /// Ends it as an operator does.
    pub(crate) async fn stop(self) -> Result<()> {
        self.terminate().await?;
        self.ended().await
    }

    /// SIGTERM.
    pub(crate) async fn terminate(&self) -> Result<()> {
        let id = self.id()?.to_string();
        ensure!(Command::new("kill").args(["-TERM", &id]).status().await?.success());
        Ok(())
    }

    /// Waits until it has ended well.
    pub(crate) async fn ended(mut self) -> Result<()> {
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await.context("SIGTERM")??;
        ensure!(status.success(), "wa-bridge ended with {status}: {}", self.log());
        Ok(())
    }
}

/// The program beside this test, as `cargo test --workspace` builds it; an old one would prove nothing.
pub(crate) fn program() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("no target folder")?;
    let program = folder.join("wa-bridge");
    let remedy = "run `cargo build --package bridge` first";
    let built = fs::metadata(&program).with_context(|| format!("no wa-bridge: {remedy}"))?.modified()?;
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    for part in ["sip-core", "wa-signaling", "media-relay", "bridge"] {
        let changed = last_change(&crates.join(part).join("src"))?;
        ensure!(changed <= built, "{part} is newer than wa-bridge: {remedy}");
    }
    Ok(program)
}

/// When the last of these sources was changed; those of tests are not in the program.
fn last_change(folder: &Path) -> Result<SystemTime> {
    let mut last = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if ["tests", "tests.rs", "testing.rs"].iter().any(|test| entry.file_name() == *test) {
            continue;
        }
        let is_folder = entry.file_type()?.is_dir();
        let changed = if is_folder { last_change(&entry.path())? } else { entry.metadata()?.modified()? };
        last = last.max(changed);
    }
    Ok(last)
}
