//! WhatsApp, a phone that plays the PBX, and the bridge as a process of its own.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use end_to_end::PATIENCE;
use sandbox::ladder::Ladder;
use sandbox::pbx::{Codec, Manner, Phone, PhoneCall, PhoneConfig, Policy};
use sandbox::rough::Rough;
use sandbox::whatsapp::{Behaviour, CallState, Pickup, Timings, WhatsApp, WhatsAppConfig};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::noise::Dice;
use crate::program::Program;

const SIP: u16 = 15060;
const WEBHOOK: u16 = 18080;
const ADMIN: u16 = 19090;
/// As in the configuration: below the ports that the system hands out, for the stranger fires at all of them.
const PORTS: [RangeInclusive<u16>; 2] = [20000..=20799, 21000..=21399];
/// How long both ends listen closely: what comes later is counted, so that a small machine plays a hundred calls.
pub(crate) const ATTENTION: Duration = Duration::from_secs(3);
/// What both ends lose and delay of what they send.
pub(crate) const ROUGH: Rough =
    Rough { loss: 0.03, jitter: Duration::from_millis(30), reorder: true, seed: 1 };
/// What the log says of each call.
const LOG: &str = "warn";

/// Who waits for the call of a user to come in at the PBX.
type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<PhoneCall>>>>;

pub(crate) struct Stage {
    pub(crate) whatsapp: WhatsApp,
    pub(crate) phone: Phone,
    pub(crate) bridge: Program,
    ip: IpAddr,
    waiting: Waiting,
    _folder: TempDir,
}

impl Stage {
    pub(crate) async fn set() -> Result<Self> {
        let [.., high, low] = std::process::id().to_be_bytes();
        let ip: IpAddr = Ipv4Addr::new(127, 192 + high % 32, low, 1).into();
        let timings = Timings { media_gap: Duration::from_secs(20), ..Timings::quick() };
        let meta = WhatsAppConfig { bind: ip, timings, directory: Arc::new(user), ..WhatsAppConfig::new("") };
        let whatsapp = WhatsApp::start(meta.clone()).await?;
        whatsapp.set_webhook_url(format!("http://{}/webhook", SocketAddr::new(ip, WEBHOOK)));
        let phone = Phone::start(PhoneConfig { ip, ..PhoneConfig::new(Ladder::new()) }).await?;
        phone.set_bridge(SocketAddr::new(ip, SIP));
        phone.set_policy(Policy::Answer { ring: Duration::from_millis(300) });
        let folder = tempfile::tempdir()?;
        let config = include_str!("bridge.toml")
            .replace("{ip}", &ip.to_string())
            .replace("{graph}", &whatsapp.graph_url())
            .replace("{phone}", &ip.to_string())
            .replace("{pbx}", &phone.addr().to_string())
            .replace("{phone_number_id}", &meta.phone_number_id)
            .replace("{display}", &meta.display_number);
        let admin = SocketAddr::new(ip, ADMIN);
        let log = format!("{LOG},wa_bridge=info,bridge=info");
        let bridge = Program::start_logging(&config, admin, &meta, folder.path(), &log).await?;
        let waiting = Waiting::default();
        tokio::spawn(hand_out(phone.clone(), Arc::clone(&waiting)));
        Ok(Self { whatsapp, phone, bridge, ip, waiting, _folder: folder })
    }

    /// Where the bridge takes sound.
    pub(crate) fn media_ports(&self) -> (IpAddr, Vec<RangeInclusive<u16>>) {
        (self.ip, PORTS.to_vec())
    }

    /// The PBX's end of the call that this user makes.
    pub(crate) fn call_from(&self, user: &str) -> oneshot::Receiver<PhoneCall> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(user.to_owned(), sender);
        receiver
    }

    /// What is left over anywhere, once all calls are over, and what the log tells of panics.
    pub(crate) async fn close(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for call in self.whatsapp.calls() {
            if call.wait_for(CallState::Ended, PATIENCE).await.is_err() {
                faults.push(format!("WhatsApp's call {} is left", call.wacid()));
            }
            let violations = call.violations().into_iter().filter(|what| is_ours(what));
            faults.extend(violations.map(|what| format!("WhatsApp: {what}")));
        }
        let complaints = self.phone.complaints().into_iter().filter(|what| is_ours(what));
        faults.extend(complaints.map(|what| format!("PBX: {what}")));
        let limit = tokio::time::Instant::now() + PATIENCE;
        let mut left = self.bridge.calls().await;
        while !matches!(left, Ok(0)) && tokio::time::Instant::now() < limit {
            tokio::time::sleep(Duration::from_millis(200)).await;
            left = self.bridge.calls().await;
        }
        if !matches!(left, Ok(0)) {
            faults.push(format!("calls left in the bridge: {left:?}"));
        }
        let log = self.bridge.whole_log();
        faults.extend(log.lines().filter(|line| line.contains("panicked")).map(str::to_owned));
        if let Err(error) = self.ends().await {
            faults.push(format!("{error:#}"));
        }
        faults
    }

    /// SIGTERM ends it, and at once, for there is no call.
    async fn ends(&self) -> Result<()> {
        let process = self.bridge.id()?;
        self.bridge.terminate().await?;
        let gone = async {
            // It stays as a zombie until its handle is dropped.
            while is_running(process) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.context("the bridge does not end")
    }
}

/// What loss and reorder make of a key's packets, and of the sound beside them, passes through the bridge, and is not
/// held against it.
pub(crate) fn is_ours(complaint: &str) -> bool {
    !["digit", "duration", "keypad", "event", "timestamp went on"].iter().any(|word| complaint.contains(word))
}

fn is_running(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !matches!(stat.rsplit(')').next().map(str::trim_start), Some(rest) if rest.starts_with('Z') || rest.is_empty())
}

/// What dialled users do: they answer, and speak the tone of their number.
fn user(number: &str) -> Behaviour {
    Behaviour {
        pickup: Pickup::After(Duration::from_millis(300)),
        tone_hz: user_hz(number),
        rough: ROUGH,
        attention: ATTENTION,
        ..Behaviour::default()
    }
}

/// The tone of a user.
pub(crate) fn user_hz(number: &str) -> f64 {
    let last = number.get(number.len().saturating_sub(3)..).and_then(|digits| digits.parse::<u32>().ok());
    400.0 + 20.0 * f64::from(last.unwrap_or_default() % 60)
}

/// Gives each call that comes in to who waits for it, and has the next one taken in another codec.
async fn hand_out(phone: Phone, waiting: Waiting) {
    let mut dice = Dice(3);
    loop {
        let codecs = [Codec::Opus, Codec::Pcmu, Codec::Pcma, Codec::G722];
        phone.set_codecs(vec![codecs[dice.below(4) as usize]]);
        phone.set_manner(manner(&mut dice));
        let Ok(call) = phone.incoming(Duration::from_secs(3600)).await else { continue };
        let waits = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(call.key());
        if let Some(sender) = waits {
            let _ = sender.send(call);
        }
    }
}

/// How the phone sends and takes the sound of a call.
pub(crate) fn manner(dice: &mut Dice) -> Manner {
    Manner { rough: Rough { seed: dice.next().into(), ..ROUGH }, attention: ATTENTION, ..Manner::default() }
}
