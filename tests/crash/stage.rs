//! WhatsApp and a phone, on an address of loopback of their own, and a bridge that comes and goes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use end_to_end::PATIENCE;
use sandbox::ladder::Ladder;
use sandbox::pbx::{Phone, PhoneCall, PhoneConfig, Policy};
use sandbox::whatsapp::{
    Action, Behaviour, CallHandle, CallState, GraphFault, GraphRequest, Pickup, Timings, UserCall, WhatsApp,
    WhatsAppConfig,
};
use tempfile::TempDir;

use crate::program::Program;

/// Ring until somebody gives up.
const NEVER: &str = "15550000998";
/// Rings, but WhatsApp is slow to say that it has the call.
const SLOW: &str = "15550000999";
const SIP: u16 = 15060;
const WEBHOOK: u16 = 18080;
const ADMIN: u16 = 19090;

pub(crate) struct Stage {
    pub(crate) whatsapp: WhatsApp,
    pub(crate) phone: Phone,
    meta: WhatsAppConfig,
    ip: IpAddr,
    /// Since when WhatsApp counts time.
    started: Instant,
    folder: TempDir,
}

/// Thirteen calls, each in its own way in the middle of something.
pub(crate) struct Calls {
    /// Talking, both directions.
    pub(crate) up: Vec<PhoneCall>,
    /// The PBX's INVITE rings at the WhatsApp user.
    pub(crate) rings_user: PhoneCall,
    /// The WhatsApp user's call rings at the PBX.
    pub(crate) rings_pbx: PhoneCall,
    /// `connect` has left; its reply has not come.
    pub(crate) connecting: PhoneCall,
}

impl Stage {
    /// WhatsApp replies to the `connect` of the slow number after this time.
    pub(crate) async fn set(slow: Duration) -> Result<Self> {
        let ip = own_address();
        let users = move |number: &str| match number {
            NEVER => Behaviour { pickup: Pickup::Never, ..Behaviour::default() },
            SLOW => Behaviour {
                pickup: Pickup::Never,
                graph: Some(GraphFault::Delay(slow)),
                ..Behaviour::default()
            },
            _ => Behaviour { pickup: Pickup::After(Duration::from_millis(100)), ..Behaviour::default() },
        };
        let timings = Timings { media_gap: Duration::from_secs(120), ..Timings::quick() };
        let meta =
            WhatsAppConfig { bind: ip, timings, directory: Arc::new(users), ..WhatsAppConfig::new("") };
        let started = Instant::now();
        let whatsapp = WhatsApp::start(meta.clone()).await?;
        whatsapp.set_webhook_url(format!("http://{}/webhook", SocketAddr::new(ip, WEBHOOK)));
        let phone = Phone::start(PhoneConfig { ip, ..PhoneConfig::new(Ladder::new()) }).await?;
        phone.set_bridge(SocketAddr::new(ip, SIP));
        Ok(Self { whatsapp, phone, meta, ip, started, folder: tempfile::tempdir()? })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The address of all.
    pub(crate) fn ip(&self) -> IpAddr {
        self.ip
    }

    /// A bridge with this journal, on this address.
    pub(crate) async fn bridge_at(&self, ip: IpAddr, journal: &str, folder: &Path) -> Result<Program> {
        Program::start(&self.config(ip, journal), SocketAddr::new(ip, ADMIN), &self.meta, folder).await
    }

    /// A bridge on this address with more in its configuration, and all its files in this folder.
    pub(crate) async fn bridge_with(&self, ip: IpAddr, folder: &Path, more: &str) -> Result<Program> {
        let config = self.config(ip, "calls.redb") + more;
        Program::start(&config, SocketAddr::new(ip, ADMIN), &self.meta, folder).await
    }

    /// Where a bridge on this address takes webhooks.
    pub(crate) fn webhook_url(&self, ip: IpAddr) -> String {
        format!("http://{}/webhook", SocketAddr::new(ip, WEBHOOK))
    }

    /// From now on the phone calls the bridge on this address.
    pub(crate) fn calls_go_to(&self, ip: IpAddr) {
        self.phone.set_bridge(SocketAddr::new(ip, SIP));
    }

    /// The phone's tone.
    pub(crate) fn phone_hz(&self) -> f64 {
        PhoneConfig::new(Ladder::new()).tone_hz
    }

    /// A bridge with this much in its log.
    pub(crate) async fn bridge_that_logs(&self, level: &str) -> Result<Program> {
        let (config, admin) = (self.config(self.ip, "calls.redb"), SocketAddr::new(self.ip, ADMIN));
        Program::start_logging(&config, admin, &self.meta, self.folder(), level).await
    }

    /// What must be in no log, with its name.
    pub(crate) fn secrets(&self) -> [(&'static str, String); 3] {
        [
            ("access token", self.meta.token.clone()),
            ("app secret", self.meta.app_secret.clone()),
            ("verify token", self.meta.verify_token.clone()),
        ]
    }

    fn config(&self, ip: IpAddr, journal: &str) -> String {
        include_str!("bridge.toml")
            .replace("{ip}", &ip.to_string())
            .replace("{graph}", &self.whatsapp.graph_url())
            .replace("{phone}", &self.ip.to_string())
            .replace("{pbx}", &self.phone.addr().to_string())
            .replace("{phone_number_id}", &self.meta.phone_number_id)
            .replace("{display}", &self.meta.display_number)
            .replace("{journal}", journal)
    }

    /// The bridge, in a new life.
    pub(crate) async fn bridge(&self) -> Result<Program> {
        self.bridge_at(self.ip, "calls.redb", self.folder()).await
    }

    /// Waits until the bridge has tried to end what its former life left: until then OPTIONS get 503.
    pub(crate) async fn takes_calls(&self) -> Result<()> {
        let limit = Instant::now() + PATIENCE;
        while self.phone.options(PATIENCE).await? != 200 {
            ensure!(Instant::now() < limit, "the bridge takes no calls");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// A call that the PBX begins, answered.
    pub(crate) async fn outward(&self, number: &str) -> Result<PhoneCall> {
        let call = self.phone.dial(number).await?;
        call.answered(PATIENCE).await?;
        Ok(call)
    }

    /// A call that a user begins, answered.
    pub(crate) async fn inward(&self, number: &str) -> Result<PhoneCall> {
        self.phone.set_policy(Policy::Answer { ring: Duration::ZERO });
        let user = self.whatsapp.call_business(UserCall::new(number, "Ann")).map_err(anyhow::Error::msg)?;
        let call = self.phone.incoming(PATIENCE).await?;
        call.answered(PATIENCE).await?;
        user.wait_for(CallState::Accepted, PATIENCE).await?;
        Ok(call)
    }

    /// So many calls in each direction, and one in each of the other three states.
    pub(crate) async fn calls(&self, each: usize) -> Result<Calls> {
        let mut up = Vec::new();
        for number in 0..each {
            up.push(self.outward(&format!("1555000010{number}")).await?);
            up.push(self.inward(&format!("1555000020{number}")).await?);
        }
        let rings_user = self.phone.dial(NEVER).await?;
        rings_user.status(180, PATIENCE).await?;
        self.phone.set_policy(Policy::Ring);
        let user = UserCall::new("15550000300", "Bob");
        self.whatsapp.call_business(user).map_err(anyhow::Error::msg)?;
        let rings_pbx = self.phone.incoming(PATIENCE).await?;
        rings_pbx.status(180, PATIENCE).await?;
        let connecting = self.phone.dial(SLOW).await?;
        end_to_end::wait_for("connect", || self.whatsapp.calls().len() == 2 * each + 3).await?;
        Ok(Calls { up, rings_user, rings_pbx, connecting })
    }

    /// The call whose `connect` has no reply yet.
    pub(crate) fn slow(&self) -> Option<CallHandle> {
        self.whatsapp.calls().into_iter().find(|call| call.number() == SLOW)
    }

    /// Ends that WhatsApp has confirmed, since this moment.
    pub(crate) fn ends_since(&self, since: Instant) -> Vec<GraphRequest> {
        let since = since.saturating_duration_since(self.started);
        let is_end = |request: &GraphRequest| {
            matches!(request.action, Some(Action::Reject | Action::Terminate)) && request.at >= since
        };
        self.whatsapp.requests().into_iter().filter(is_end).collect()
    }

    /// Waits for so many confirmed ends since a moment; none of them may come later than the limit.
    pub(crate) async fn ended(&self, wanted: usize, since: Instant, limit: Duration) -> Result<()> {
        let confirmed =
            || self.ends_since(since).into_iter().filter(|end| end.status == 200).collect::<Vec<_>>();
        end_to_end::wait_for("ends at WhatsApp", || confirmed().len() >= wanted).await?;
        let last = confirmed().iter().map(|end| end.at).max().unwrap_or_default();
        let took = last.saturating_sub(since.saturating_duration_since(self.started));
        ensure!(confirmed().len() == wanted, "{} ends, not {wanted}", confirmed().len());
        ensure!(took <= limit, "the last end came after {took:?}");
        Ok(())
    }
}

/// An address that no other test has, in this process or beside it: all its ports are free.
pub(crate) fn own_address() -> IpAddr {
    static LAST: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    let host = LAST.fetch_add(1, Ordering::Relaxed) % 254 + 1;
    Ipv4Addr::new(127, 128 + high % 64, low, host).into()
}
