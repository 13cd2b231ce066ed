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
use program::Program;
use sandbox::ladder::Ladder;
use sandbox::pbx::{Codec, DialOptions, Phone, PhoneCall, PhoneConfig};
use sandbox::whatsapp::{Behaviour, CallState, Pickup, Timings, WhatsApp, WhatsAppConfig};
use tokio::time::Instant;

/// Calls that are made and ended before anything is counted.
const WARM_UP: u32 = 20;
/// Calls that are counted.
const CALLS: u32 = 200;
/// Calls that are weighed.
const HELD: u32 = 50;
/// The kernel counts processor time in these (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;
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
    stage.make(0, WARM_UP).await?;
    let (before, start) = (stage.cpu_ms()?, Instant::now());
    stage.make(WARM_UP, CALLS).await?;
    let cost = (stage.cpu_ms()? - before) / f64::from(CALLS);
    println!(
        "| whole calls, begun and ended | {CALLS} in {:.1} s | {cost:.2} ms each |",
        start.elapsed().as_secs_f64()
    );
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

    /// Makes calls from the PBX one after the other, each ended as soon as both ends are up.
    async fn make(&self, first: u32, count: u32) -> Result<()> {
        for number in first..first + count {
            let call = self.call(number, Codec::Opus).await?;
            self.end(call).await?;
        }
        wait_for("no call in the bridge", || {
            self.whatsapp.calls().iter().all(|call| call.state() == CallState::Ended)
        })
        .await
    }

    async fn call(&self, number: u32, codec: Codec) -> Result<PhoneCall> {
        let options = DialOptions { codecs: Some(vec![codec]), ..DialOptions::default() };
        let call = self.phone.dial_with(&format!("1555{number:07}"), options).await?;
        call.answered(PATIENCE).await.with_context(|| self.bridge.log())?;
        Ok(call)
    }

    async fn end(&self, call: PhoneCall) -> Result<()> {
        call.hang_up();
        call.ended(PATIENCE).await?;
        Ok(())
    }

    /// Kilobytes of resident memory that a call adds.
    async fn weigh(&self, codec: Codec) -> Result<f64> {
        let before = self.resident_kb()?;
        let mut held = Vec::new();
        for number in 0..HELD {
            held.push(self.call(1000 + number, codec).await?);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let each = (self.resident_kb()? - before) / f64::from(HELD);
        for call in held {
            self.end(call).await?;
        }
        Ok(each)
    }

    /// Milliseconds of processor time of the bridge so far.
    fn cpu_ms(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.bridge.id()?))?;
        // The name may hold anything; what follows its bracket is in fields: utime and stime are the 12th and 13th.
        let (_, fields) = stat.rsplit_once(')').context("no fields")?;
        let ticks: f64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        Ok(ticks / TICKS_PER_SECOND * 1000.0)
    }

    fn resident_kb(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.bridge.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
    }
}
