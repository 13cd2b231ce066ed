//! Everything on one desk: the simulated WhatsApp, the real bridge and the SIP
//! phone that plays the PBX, in one process and wired to each other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use bridge::app::{self, Running};
use bridge::config::Config;

use crate::ladder::Ladder;
use crate::pbx::{Codec, Phone, PhoneConfig};
use crate::whatsapp::{WhatsApp, WhatsAppConfig};

/// The bridge's configuration, with places to fill.
const TEMPLATE: &str = include_str!("sandbox.toml");

/// What may be different from desk to desk.
pub struct DeskConfig {
    /// Address of everything but the bridge's health and metrics.
    pub ip: IpAddr,
    /// The bridge's SIP port; 0 for any.
    pub sip_port: u16,
    /// Addresses that may call the bridge.
    pub sources: Vec<String>,
    /// Where calls from WhatsApp go; the built-in phone if nothing is said.
    pub pbx: Option<SocketAddr>,
    /// The phone; its address and its ladder are the desk's.
    pub phone: PhoneConfig,
    /// The simulated WhatsApp; its address, its ladder and its webhook URL are the desk's.
    pub whatsapp: WhatsAppConfig,
    /// Changes the bridge's configuration file before it is written.
    pub edit: Edit,
    /// More of the environment that the configuration file's secrets come from.
    pub secrets: Vec<(&'static str, String)>,
}

/// A change of the bridge's configuration file.
pub type Edit = Box<dyn FnOnce(String) -> String + Send>;

impl Default for DeskConfig {
    fn default() -> Self {
        let phone = PhoneConfig {
            codecs: vec![Codec::Opus, Codec::Pcma, Codec::Pcmu],
            ..PhoneConfig::new(Ladder::new())
        };
        Self {
            ip: Ipv4Addr::LOCALHOST.into(),
            sip_port: 0,
            sources: vec!["127.0.0.0/8".to_owned()],
            pbx: None,
            phone,
            whatsapp: WhatsAppConfig::new(String::new()),
            edit: Box::new(|text| text),
            secrets: Vec::new(),
        }
    }
}

/// The three, running.
pub struct Desk {
    /// The simulated WhatsApp.
    pub whatsapp: WhatsApp,
    /// The bridge.
    pub bridge: Running,
    /// The phone.
    pub phone: Phone,
    /// What happens in each call, under the WhatsApp user's number.
    pub ladder: Ladder,
    /// With the bridge's configuration file; kept as long as the bridge may look at what is in it.
    folder: Folder,
    secrets: Vec<(&'static str, String)>,
}

impl Desk {
    /// Starts all three and lets WhatsApp verify the webhook.
    ///
    /// # Errors
    /// One of them does not start; the error says which.
    pub async fn start(config: DeskConfig) -> anyhow::Result<Self> {
        let ladder = Ladder::new();
        let meta = WhatsAppConfig { bind: config.ip, ladder: ladder.clone(), ..config.whatsapp };
        let mut secrets = secrets(&meta).to_vec();
        secrets.extend(config.secrets);
        let phone = PhoneConfig { ip: config.ip, ladder: ladder.clone(), ..config.phone };
        let phone = Phone::start(phone).await.context("the SIP phone does not start")?;
        let mut text = TEMPLATE
            .replace("{ip}:0", &SocketAddr::new(config.ip, 0).to_string())
            .replace("{ip}:{sip_port}", &SocketAddr::new(config.ip, config.sip_port).to_string())
            .replace("{ip}", &config.ip.to_string())
            .replace(
                "{sources}",
                &config.sources.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join(", "),
            )
            .replace("{pbx}", &config.pbx.unwrap_or(phone.addr()).to_string())
            .replace("{phone_number_id}", &meta.phone_number_id)
            .replace("{display}", &meta.display_number);
        let whatsapp = WhatsApp::start(meta).await.context("the simulated WhatsApp does not start")?;
        text = (config.edit)(text.replace("{graph}", &whatsapp.graph_url()));
        let folder = Folder::new().context("no temporary folder")?;
        std::fs::write(folder.file(), text).context("the configuration cannot be written")?;
        let config = load(&folder.file(), &secrets)?;
        let bridge = app::start(config).await.context("the bridge does not start")?;
        whatsapp.set_webhook_url(format!("http://{}/webhook", bridge.webhook_addr()));
        phone.set_bridge(bridge.sip_addr());
        whatsapp.verify_webhook().await.context("the bridge's webhook cannot be verified")?;
        Ok(Self { whatsapp, bridge, phone, ladder, folder, secrets })
    }

    /// Changes the bridge's configuration file, and has the bridge take it while it runs.
    ///
    /// # Errors
    /// The bridge refuses it; the old one is in force then.
    pub async fn reload(&self, edit: impl FnOnce(String) -> String) -> anyhow::Result<()> {
        let file = self.folder.file();
        std::fs::write(&file, edit(std::fs::read_to_string(&file)?))?;
        self.bridge.take(load(&file, &self.secrets)?).await.context("the bridge does not take it")
    }

    /// Ends what is running: calls first, then the rest.
    pub async fn shutdown(self) {
        self.bridge.shutdown().await;
        self.whatsapp.shutdown().await;
        self.phone.stop();
    }
}

/// The environment that the configuration file's secrets come from.
fn secrets(meta: &WhatsAppConfig) -> [(&'static str, String); 3] {
    [
        ("SANDBOX_APP_SECRET", meta.app_secret.clone()),
        ("SANDBOX_VERIFY_TOKEN", meta.verify_token.clone()),
        ("SANDBOX_TOKEN", meta.token.clone()),
    ]
}

fn load(file: &Path, secrets: &[(&str, String)]) -> anyhow::Result<Config> {
    let environment =
        |name: &str| secrets.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    Config::load(file, &environment).context("the bridge refuses its configuration")
}

/// A folder that is gone when the desk is.
struct Folder(PathBuf);

impl Folder {
    /// The bridge's configuration file.
    fn file(&self) -> PathBuf {
        self.0.join("wa-bridge.toml")
    }

    fn new() -> std::io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("wa-bridge-sandbox-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
