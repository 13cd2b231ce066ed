//! WhatsApp, the bridge and a place for SIPp, on an address of loopback of their own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use end_to_end::{PATIENCE, wait_for};
use sandbox::whatsapp::{
    Action, Behaviour, CallHandle, CallState, Timings, UserCall, WhatsApp, WhatsAppConfig,
};
use tempfile::TempDir;

use crate::program::Program;
use crate::sipp::{Message, Options, Sipp};

/// Whom a scenario dials.
pub(crate) const USER: &str = "15550000101";
/// The ports of `bridge.toml`; none is one that the kernel gives away.
const SIP: u16 = 15060;
const WEBHOOK: u16 = 18080;
const ADMIN: u16 = 19090;
/// SIPp's port.
const PBX: u16 = 15070;
/// The port of a second SIPp.
const SECOND: u16 = 15080;
/// How long a scenario may take that waits for no long timer.
const LIMIT: Duration = Duration::from_secs(30);

/// How long one of the full form may take.
const LONG: Duration = Duration::from_secs(90);

/// What a scenario is played on.
pub(crate) struct Stage {
    pub(crate) whatsapp: WhatsApp,
    pub(crate) bridge: Program,
    /// The bridge's address.
    pub(crate) sip: SocketAddr,
    /// SIPp's address.
    pub(crate) pbx: SocketAddr,
    /// A second SIPp's address.
    pub(crate) second: SocketAddr,
    folder: TempDir,
}

/// Adds lines to the trunk of the bridge's configuration; `{ip}` is the address of all.
pub(crate) fn trunk(lines: &str) -> impl FnOnce(String) -> String {
    let lines = format!("{lines}\nhealth.interval_s = 0\n");
    move |config| config.replace("health.interval_s = 0\n", &lines)
}

/// Both SIPps are targets of the trunk.
pub(crate) fn two_targets(more: &str) -> impl FnOnce(String) -> String {
    let targets = format!("targets = [\"{{ip}}:{PBX}\", \"{{ip}}:{SECOND}\"]\n{more}");
    move |config| trunk(&targets)(without_target(&config))
}

/// The second SIPp alone is the trunk's target.
pub(crate) fn target_is_second(more: &str) -> impl FnOnce(String) -> String {
    let target = format!("target = \"{{ip}}:{SECOND}\"\n{more}");
    move |config| trunk(&target)(without_target(&config))
}

/// The trunk's target is where the PBX has registered from.
pub(crate) fn target_is_registered(more: &str) -> impl FnOnce(String) -> String {
    let target = format!("target = \"registered\"\n{more}");
    move |config| trunk(&target)(without_target(&config))
}

fn without_target(config: &str) -> String {
    config.lines().filter(|line| !line.starts_with("target = ")).map(|line| format!("{line}\n")).collect()
}

impl Stage {
    /// With a WhatsApp user who behaves so when called.
    pub(crate) async fn set(user: Behaviour) -> Result<Self> {
        Self::set_with(user, |text| text).await
    }

    /// The same with changes to the bridge's configuration.
    pub(crate) async fn set_with(user: Behaviour, edit: impl FnOnce(String) -> String) -> Result<Self> {
        Self::set_at(own_address(), tempfile::tempdir()?, user, edit).await
    }

    async fn set_at(
        ip: IpAddr,
        folder: TempDir,
        user: Behaviour,
        edit: impl FnOnce(String) -> String,
    ) -> Result<Self> {
        let directory = Arc::new(move |_: &str| user.clone());
        let meta =
            WhatsAppConfig { bind: ip, timings: Timings::quick(), directory, ..WhatsAppConfig::new("") };
        let whatsapp = WhatsApp::start(meta.clone()).await?;
        let at = |port| SocketAddr::new(ip, port);
        let config = edit(include_str!("bridge.toml").to_owned())
            .replace("{ip}", &ip.to_string())
            .replace("{graph}", &whatsapp.graph_url())
            .replace("{pbx}", &at(PBX).to_string())
            .replace("{phone_number_id}", &meta.phone_number_id)
            .replace("{display}", &meta.display_number);
        let bridge = Program::start(&config, at(ADMIN), &meta, folder.path()).await?;
        whatsapp.set_webhook_url(format!("http://{}/webhook", at(WEBHOOK)));
        whatsapp.verify_webhook().await?;
        Ok(Self { whatsapp, bridge, sip: at(SIP), pbx: at(PBX), second: at(SECOND), folder })
    }

    /// With a PBX that plays this scenario before the bridge is there.
    pub(crate) async fn set_behind(
        scenario: &str,
        user: Behaviour,
        edit: impl FnOnce(String) -> String,
    ) -> Result<(Self, Sipp)> {
        let (ip, folder) = (own_address(), tempfile::tempdir()?);
        let sipp = Sipp::start(scenario, &options(ip), folder.path())?;
        sipp.listens().await?;
        Ok((Self::set_at(ip, folder, user, edit).await?, sipp))
    }

    /// What SIPp is run with: nothing but the usual.
    pub(crate) fn options(&self) -> Options {
        options(self.pbx.ip())
    }

    /// Retransmissions are seen.
    pub(crate) fn every_copy(&self) -> Options {
        Options { every_copy: true, ..self.options() }
    }

    /// What comes between two messages that SIPp sends in a row is passed over.
    pub(crate) fn lenient(&self) -> Options {
        Options { lenient: true, ..self.options() }
    }

    /// Credentials are for the Request-URI of the call: SIPp alone would leave the user out.
    pub(crate) fn with_digest(&self) -> Options {
        let uri = format!("{USER}@{}", self.sip);
        Options { more: vec!["-auth_uri".to_owned(), uri], ..self.options() }
    }

    /// `[keyword]` in the scenario is this.
    pub(crate) fn with(&self, keyword: &str, value: &str) -> Options {
        Options { more: ["-key", keyword, value].map(str::to_owned).into(), ..self.options() }
    }

    /// Waits out timers of the full form, and sees retransmissions.
    pub(crate) fn long(&self) -> Options {
        Options { limit: LONG, ..self.every_copy() }
    }

    /// As the second SIPp.
    pub(crate) fn as_second(&self) -> Options {
        Options { local: self.second, ..self.options() }
    }

    /// By TCP.
    pub(crate) fn by_tcp(&self) -> Options {
        Options { transport: "t1", ..self.options() }
    }

    /// Starts a scenario that waits for its first request.
    pub(crate) async fn wait(&self, scenario: &str, options: &Options) -> Result<Sipp> {
        let sipp = Sipp::start(scenario, options, self.folder.path())?;
        sipp.listens().await?;
        Ok(sipp)
    }

    /// Runs a scenario in which SIPp speaks first.
    pub(crate) async fn play(&self, scenario: &str) -> Result<Vec<Message>> {
        self.play_with(scenario, &self.options()).await
    }

    /// The same in another way.
    pub(crate) async fn play_with(&self, scenario: &str, options: &Options) -> Result<Vec<Message>> {
        let sipp = Sipp::start(scenario, options, self.folder.path())?;
        self.ended(sipp, options.limit).await
    }

    /// Runs a scenario in which SIPp is rung, and lets this user call.
    pub(crate) async fn ring(&self, scenario: &str, user: UserCall) -> Result<Vec<Message>> {
        self.ring_with(scenario, user, &self.options()).await
    }

    /// The same in another way.
    pub(crate) async fn ring_with(
        &self,
        scenario: &str,
        user: UserCall,
        options: &Options,
    ) -> Result<Vec<Message>> {
        let (sipp, _) = self.rung(scenario, user, options).await?;
        self.ended(sipp, options.limit).await
    }

    /// Begins it and leaves the rest to the caller.
    pub(crate) async fn rung(
        &self,
        scenario: &str,
        user: UserCall,
        options: &Options,
    ) -> Result<(Sipp, CallHandle)> {
        let sipp = Sipp::start(scenario, options, self.folder.path())?;
        sipp.listens().await?;
        let call = self.whatsapp.call_business(user).map_err(anyhow::Error::msg)?;
        Ok((sipp, call))
    }

    /// Begins a scenario in which SIPp speaks first, and leaves the rest to the caller.
    pub(crate) fn begin(&self, scenario: &str, options: &Options) -> Result<Sipp> {
        Sipp::start(scenario, options, self.folder.path())
    }

    /// Waits until the bridge has so many calls.
    pub(crate) async fn has_calls(&self, wanted: u64) -> Result<()> {
        let limit = Instant::now() + PATIENCE;
        while self.bridge.calls().await? != wanted {
            ensure!(Instant::now() < limit, "the bridge does not have {wanted} calls");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits for SIPp's end.
    pub(crate) async fn ended(&self, sipp: Sipp, limit: Duration) -> Result<Vec<Message>> {
        let ended = sipp.done(limit).await;
        ended.with_context(|| format!("the bridge's log ends with\n{}", self.bridge.log()))
    }

    /// What the Graph API was asked, in order.
    pub(crate) fn asked(&self) -> Vec<Action> {
        self.whatsapp.requests().iter().filter_map(|request| request.action).collect()
    }

    /// Waits until the bridge has no call, then checks what the Graph API was asked, and that no call is left
    /// open at WhatsApp or was anything but well handled; then the bridge is stopped.
    pub(crate) async fn at_rest(self, asked: &[Action]) -> Result<()> {
        self.rests(asked)
            .await
            .with_context(|| format!("the bridge's log ends with\n{}", self.bridge.log()))?;
        self.bridge.stop().await?;
        self.whatsapp.shutdown().await;
        Ok(())
    }

    /// Waits until the bridge has no call.
    pub(crate) async fn forgets(&self, patience: Duration) -> Result<()> {
        let limit = Instant::now() + patience;
        while self.bridge.calls().await? > 0 {
            ensure!(Instant::now() < limit, "the bridge still has calls after {patience:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn rests(&self, asked: &[Action]) -> Result<()> {
        self.forgets(PATIENCE).await?;
        for call in self.whatsapp.calls() {
            call.wait_for(CallState::Ended, PATIENCE).await.context("left open at WhatsApp")?;
            ensure!(call.violations().is_empty(), "WhatsApp complains: {:?}", call.violations());
        }
        // A request that was one too many may be on its way.
        wait_for("the Graph requests", || self.asked().len() >= asked.len()).await?;
        ensure!(self.asked() == asked, "the Graph API was asked {:?}, not {asked:?}", self.asked());
        Ok(())
    }
}

fn options(ip: IpAddr) -> Options {
    Options {
        local: SocketAddr::new(ip, PBX),
        remote: SocketAddr::new(ip, SIP),
        dialled: USER.to_owned(),
        transport: "u1",
        every_copy: false,
        limit: LIMIT,
        lenient: false,
        more: Vec::new(),
    }
}

/// An address that no other test has, in this process or beside it: all its ports are free.
fn own_address() -> IpAddr {
    static LAST: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    let host = LAST.fetch_add(1, Ordering::Relaxed) % 254 + 1;
    Ipv4Addr::new(127, 64 + high % 64, low, host).into()
}
