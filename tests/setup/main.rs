//! What a call costs the whole product to begin and end (SIP, Graph, webhooks, ICE, DTLS, journal, record), and what
//! it weighs while it lasts: the program `wa-bridge` as a process, between the simulated WhatsApp and the SIP phone.
//!
//! `./x bench setup` runs it. The figures are those of the program's own process; the simulation is in ours.

#[path = "../sipp/program.rs"]
#[allow(dead_code, reason = "the tests use the rest of it")]
mod program;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use end_to_end::{PATIENCE, wait_for};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use program::Program;
use sandbox::ladder::Ladder;
use sandbox::pbx::{Codec, DialOptions, Phone, PhoneCall, PhoneConfig};
use sandbox::whatsapp::{Behaviour, CallState, Pickup, Timings, WhatsApp, WhatsAppConfig};
use tokio::time::Instant;

/// Calls that are made and ended before anything is counted.
const WARM_UP: u32 = 20;
/// Calls that are counted.
const CALLS: u32 = 200;
/// How many of them at once.
const AT_ONCE: [u32; 2] = [1, 20];
/// Calls that are weighed.
const HELD: u32 = 50;
const SIP: u16 = 15060;
const ADMIN: u16 = 19090;

struct Stage {
    whatsapp: WhatsApp,
    phone: Phone,
    bridge: Program,
    _folder: tempfile::TempDir,
}

#[tokio::main]
async fn main() -> Result<()> {
    let stage = Stage::set().await?;
    stage.end(stage.make((0, WARM_UP), Codec::Opus).await?).await?;
    let mut first = WARM_UP;
    for at_once in AT_ONCE {
        let start = Instant::now();
        let (begun, ended) = stage.cost(first, at_once).await?;
        let took = start.elapsed().as_secs_f64();
        println!(
            "| calls, {at_once} at once | {CALLS} in {took:.1} s | {begun:.2} ms to begin one, {ended:.2} ms to end it |"
        );
        first += CALLS;
    }
    for codec in [Codec::Opus, Codec::Pcmu] {
        println!(
            "| memory, {codec:?} at the PBX | {HELD} at once | {:.0} KB each |",
            stage.weigh(codec).await?
        );
    }
    stage.bridge.stop().await
}

impl Stage {
    async fn set() -> Result<Self> {
        let [.., high, low] = std::process::id().to_be_bytes();
        let ip: IpAddr = Ipv4Addr::new(127, 160 + high % 32, low, 1).into();
        let users = |_: &str| Behaviour { pickup: Pickup::After(Duration::ZERO), ..Behaviour::default() };
        let directory = Arc::new(users);
        let meta =
            WhatsAppConfig { bind: ip, timings: Timings::quick(), directory, ..WhatsAppConfig::new("") };
        let whatsapp = WhatsApp::start(meta.clone()).await?;
        whatsapp.set_webhook_url(format!("http://{ip}:18080/webhook"));
        let phone = Phone::start(PhoneConfig { ip, ..PhoneConfig::new(Ladder::new()) }).await?;
        phone.set_bridge(SocketAddr::new(ip, SIP));
        let folder = tempfile::tempdir()?;
        let config = include_str!("../crash/bridge.toml")
            .replace("[sip]", "[sip]\nmax_calls_per_second = 0")
            .replace("{ip}", &ip.to_string())
            .replace("{graph}", &whatsapp.graph_url())
            .replace("{phone}", &ip.to_string())
            .replace("{pbx}", &phone.addr().to_string())
            .replace("{phone_number_id}", &meta.phone_number_id)
            .replace("{display}", &meta.display_number)
            .replace("{journal}", "calls.redb")
            .replace("[\"pcmu\", \"pcma\"]", "[\"opus\", \"pcmu\"]");
        let admin = SocketAddr::new(ip, ADMIN);
        let bridge = Program::start_logging(&config, admin, &meta, folder.path(), "info").await?;
        Ok(Self { whatsapp, phone, bridge, _folder: folder })
    }

    /// Makes calls from the PBX, so many at once, and ends them. Gives the milliseconds of processor time for the one
    /// and the other, by call.
    async fn cost(&self, first: u32, at_once: u32) -> Result<(f64, f64)> {
        let (mut begun, mut ended) = (0.0, 0.0);
        for first in (first..first + CALLS).step_by(at_once as usize) {
            let idle = self.cpu_ms()?;
            let calls = self.make((first, at_once), Codec::Opus).await?;
            let talking = self.cpu_ms()?;
            begun += talking - idle;
            self.end(calls).await?;
            ended += self.cpu_ms()? - talking;
        }
        Ok((begun / f64::from(CALLS), ended / f64::from(CALLS)))
    }

    /// Calls from the PBX, until each is answered.
    async fn make(&self, (first, count): (u32, u32), codec: Codec) -> Result<Vec<PhoneCall>> {
        let mut calls = Vec::new();
        for number in first..first + count {
            let options = DialOptions { codecs: Some(vec![codec]), ..DialOptions::default() };
            calls.push(self.phone.dial_with(&format!("1555{number:07}"), options).await?);
        }
        for call in &calls {
            call.answered(PATIENCE).await.with_context(|| self.bridge.log())?;
        }
        Ok(calls)
    }

    /// Hangs up, until nothing is left on either side.
    async fn end(&self, calls: Vec<PhoneCall>) -> Result<()> {
        calls.iter().for_each(PhoneCall::hang_up);
        for call in &calls {
            call.ended(PATIENCE).await?;
        }
        wait_for("no call at WhatsApp", || {
            self.whatsapp.calls().iter().all(|call| call.state() == CallState::Ended)
        })
        .await
    }

    /// Kilobytes of resident memory that a call adds.
    async fn weigh(&self, codec: Codec) -> Result<f64> {
        let before = self.resident_kb()?;
        let held = self.make((1000, HELD), codec).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let each = (self.resident_kb()? - before) / f64::from(HELD);
        self.end(held).await?;
        Ok(each)
    }

    /// Milliseconds of processor time of the bridge so far.
    fn cpu_ms(&self) -> Result<f64> {
        let process = Pid::from_raw(self.bridge.id()?.cast_signed());
        Ok(Duration::from(clock_getcpuclockid(process)?.now()?).as_secs_f64() * 1000.0)
    }

    fn resident_kb(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.bridge.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
    }
}
