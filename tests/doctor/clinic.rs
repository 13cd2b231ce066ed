//! WhatsApp, the bridge as a program, and `wa-bridge doctor` beside it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result, ensure};
use sandbox::whatsapp::{Timings, WhatsApp, WhatsAppConfig};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::program::{Program, program};

/// What the program has printed and how it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: i32,
    pub(crate) text: String,
}

impl Outcome {
    /// The line of a check.
    pub(crate) fn line(&self, check: &str) -> Option<&str> {
        let is_it = |line: &&str| {
            let mut words = line.strip_prefix("  ").unwrap_or_default().splitn(2, "  ").map(str::trim);
            words.next().is_some() && words.next().is_some_and(|rest| rest.starts_with(check))
        };
        self.text.lines().find(is_it)
    }
}

pub(crate) struct Clinic {
    pub(crate) whatsapp: WhatsApp,
    pub(crate) meta: WhatsAppConfig,
    pub(crate) ip: IpAddr,
    bridge: Option<Program>,
    folder: TempDir,
    config: String,
}

impl Clinic {
    /// A set-up in which nothing is wrong.
    pub(crate) async fn open() -> Result<Self> {
        Self::open_with(|text, _| Ok(text)).await
    }

    /// With changes to the configuration, which may put files into the folder.
    pub(crate) async fn open_with(edit: impl FnOnce(String, &TempDir) -> Result<String>) -> Result<Self> {
        let (ip, folder) = (own_address(), tempfile::tempdir()?);
        let meta = WhatsAppConfig { bind: ip, timings: Timings::quick(), ..WhatsAppConfig::new("") };
        let whatsapp = WhatsApp::start(meta.clone()).await?;
        let config = include_str!("bridge.toml")
            .replace("{ip}", &ip.to_string())
            .replace("{graph}", &whatsapp.graph_url())
            .replace("{app_id}", &meta.app_id)
            .replace("{waba_id}", &meta.waba_id)
            .replace("{phone_number_id}", &meta.phone_number_id)
            .replace("{display}", &meta.display_number);
        let config = edit(config, &folder)?;
        let bridge = Program::start(&config, SocketAddr::new(ip, 19090), &meta, folder.path()).await?;
        whatsapp.set_webhook_url(format!("http://{ip}:18080/webhook"));
        Ok(Self { whatsapp, meta, ip, bridge: Some(bridge), folder, config })
    }

    /// Runs `wa-bridge` with its configuration.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<Outcome> {
        self.run_with(arguments, &self.config, &[], "").await
    }

    /// The same with another configuration, other secrets, and what a person types.
    pub(crate) async fn run_with(
        &self,
        arguments: &[&str],
        config: &str,
        secrets: &[(&str, &str)],
        typed: &str,
    ) -> Result<Outcome> {
        let file = self.folder.path().join("doctor.toml");
        fs::write(&file, config)?;
        let mut command = Command::new(program()?);
        command.args(arguments).arg("--config").arg(&file).kill_on_drop(true);
        command.env("SIPP_APP_SECRET", &self.meta.app_secret);
        command.env("SIPP_VERIFY_TOKEN", &self.meta.verify_token).env("SIPP_TOKEN", &self.meta.token);
        command.envs(secrets.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        child.stdin.take().context("stdin")?.write_all(typed.as_bytes()).await.ok();
        let output = child.wait_with_output().await?;
        let text = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
        for secret in [&self.meta.app_secret, &self.meta.verify_token, &self.meta.token] {
            ensure!(!text.contains(secret), "a secret is in\n{text}");
        }
        Ok(Outcome { status: output.status.code().context("killed")?, text })
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> &str {
        &self.config
    }

    /// Its configuration with some text in place of another.
    pub(crate) fn edited(&self, from: &str, to: &str) -> Result<String> {
        ensure!(self.config.contains(from), "{from:?} is not in the configuration");
        Ok(self.config.replace(from, to))
    }

    /// Stops the bridge.
    pub(crate) async fn stop_bridge(&mut self) -> Result<()> {
        self.bridge.take().context("it is stopped")?.stop().await
    }
}

/// An address that no other test has, in this process or beside it: all its ports are free.
fn own_address() -> IpAddr {
    static LAST: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    let host = LAST.fetch_add(1, Ordering::Relaxed) % 254 + 1;
    Ipv4Addr::new(127, 64 + high % 64, low, host).into()
}
