//! The running bridge: its parts, put together.
#![expect(clippy::disallowed_methods, reason = "the services' tasks")]

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use media_relay::{Relay, RelayConfig, Side, StartError};
use sip_core::Command;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info};
use wa_signaling::graph::config::OnChange;
use wa_signaling::{GraphClient, GraphConfig, WebhookCounters};

use crate::alarm::Alarms;
use crate::capture::Captures;
use crate::config::Config;
use crate::directory::Directory;
use crate::dispatch;
use crate::http::{self, listener::Listener, tls::Certificates};
use crate::journal::{Former, Journal, Later, Locked};
use crate::mark::Instance;
use crate::metrics::Metrics;
use crate::permissions::Permissions;
use crate::random;
use crate::record::Records;
use crate::recovery;
use crate::shared::Shared;
use crate::trunks::Trunks;

/// Why the bridge did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFailure {
    /// A listener could not be bound.
    #[error("{key} = {address:?} can't be bound: {source}")]
    Bind {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// A SIP listener could not be bound, or its certificate not be read.
    #[error("sip.bind or [[sip.listener]] can't be listened on: {0}")]
    Sip(io::Error),
    /// The media workers could not start.
    #[error("media: {0}")]
    Media(#[from] StartError),
    /// Another instance has the journal.
    #[error(transparent)]
    Journal(#[from] Locked),
    /// The HTTP client could not be built.
    #[error("graph: {0}")]
    Graph(String),
    /// The HTTP client of pass-on could not be built.
    #[error("webhook.pass_on: {0}")]
    PassOn(String),
    /// The certificate of HTTPS can't be used.
    #[error("webhook.tls: {0}")]
    Certificate(io::Error),
    /// The thread that writes captures could not start.
    #[error("capture: {0}")]
    Capture(io::Error),
    /// Two metrics share a name.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// A bridge that runs. Dropping it stops it without farewell.
pub struct Running {
    pub(crate) shared: Arc<Shared>,
    pub(crate) services: Services,
    sip: SocketAddr,
    webhook: SocketAddr,
    admin: SocketAddr,
}

/// Starts the bridge.
///
/// # Errors
/// When a listener can't be bound or the media workers can't start.
pub async fn start(config: Config) -> Result<Running, StartFailure> {
    // Two providers are compiled in by different libraries; rustls wants to be told.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let captures = Captures::new(config.capture.clone()).map_err(StartFailure::Capture)?;
    let bound = crate::sip::bind(&config, captures.sip_tap()).await;
    let (sip, sip_events, driver, sources) = bound.map_err(StartFailure::Sip)?;
    let webhook = listen("webhook.listen", config.webhook.listen).await?;
    let tls =
        config.webhook.tls.clone().map(Certificates::new).transpose().map_err(StartFailure::Certificate)?;
    let admin = listen("admin.listen", config.admin.listen).await?;
    let (webhook_events, webhook_queue) = mpsc::channel(wa_signaling::webhook::server::QUEUE);
    let alarms = Arc::new(Alarms::default());
    let (journal, former, later) = open_journal(&config, &alarms).await?;
    let pass_on = http::webhook::pass_on(&config, &alarms).map_err(StartFailure::PassOn)?;
    let graph = graph_config(&config, &alarms);
    let (trunks, trunk_service) = Trunks::new(&config, sip.clone(), sources);
    let shared = Arc::new(Shared {
        trunks,
        graph: GraphClient::new(graph).map_err(|error| StartFailure::Graph(error.to_string()))?,
        relay: Relay::start(relay_config(&config))?,
        directory: Directory::default(),
        metrics: Metrics::new()?,
        permissions: Permissions::default(),
        webhooks: Arc::new(WebhookCounters::default()),
        tasks: TaskTracker::new(),
        pass_on: pass_on.clone(),
        instance: journal.instance().clone(),
        records: Records::new(config.records.clone(), Arc::clone(&alarms)),
        captures,
        alarms,
        journal,
        is_recovering: AtomicBool::new(former.has_ends()),
        sip,
        config: RwLock::new(Arc::new(config)),
    });
    let services = Services { stop: CancellationToken::new(), broken: CancellationToken::new() };
    let running = Running {
        sip: shared.sip.local_addr(),
        webhook: local(&webhook, "webhook.listen")?,
        admin: local(&admin, "admin.listen")?,
        shared: Arc::clone(&shared),
        services: services.clone(),
    };
    let router = http::webhook::router(&shared, webhook_events);
    services.run("sip", async move {
        if let Err(error) = driver.run().await {
            error!(%error, "the SIP socket failed");
        }
    });
    services.run("trunks", trunk_service.run());
    services.run("sip events", dispatch::sip(Arc::clone(&shared), sip_events));
    if shared.is_recovering.load(Ordering::Relaxed) {
        shared.sip.send(Command::Ready { trunk: None, ready: false }).await;
    }
    let recovered = recovery::begin(&shared, former).await;
    let app = Arc::clone(&shared);
    services.run("webhook events", async move {
        // New calls wait until those of the former life have been ended, or it was tried.
        recovered.await;
        app.take_calls().await;
        dispatch::webhooks(app, webhook_queue).await;
    });
    if let Some(later) = later {
        tokio::spawn(recovery::late(Arc::downgrade(&shared), later));
    }
    services.run("pass-on", pass_on.run());
    services.run("records", Arc::clone(&shared.records).run());
    services.run("webhook listener", http::serve(Listener::new(webhook, tls), router));
    services.run("admin listener", http::serve(admin, http::admin(shared)));
    info!(sip = %running.sip, webhook = %running.webhook, admin = %running.admin, "ready");
    Ok(running)
}

impl Running {
    /// Where SIP listens.
    #[must_use]
    pub fn sip_addr(&self) -> SocketAddr {
        self.sip
    }

    /// Where webhooks are taken.
    #[must_use]
    pub fn webhook_addr(&self) -> SocketAddr {
        self.webhook
    }

    /// Where health and metrics are told.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// How many calls live.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.shared.directory.len()
    }

    /// Comes when a part of the bridge has broken, so that it had better be started anew.
    pub async fn broken(&self) {
        self.services.broken.cancelled().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.services.stop.cancel();
    }
}

/// The tasks that run as long as the bridge.
#[derive(Clone)]
pub(crate) struct Services {
    stop: CancellationToken,
    /// One ended although none was told to: without it the bridge is deaf on one side.
    broken: CancellationToken,
}

impl Services {
    pub(crate) fn run(&self, name: &'static str, service: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        // Dropped by a panic as well.
        let broken = self.broken.clone().drop_guard();
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => { broken.disarm(); }
                () = service => error!(name, "a service of the bridge has ended"),
            }
        });
    }
}

async fn open_journal(
    config: &Config,
    alarms: &Arc<Alarms>,
) -> Result<(Journal, Former, Option<Later>), Locked> {
    let fresh = Instance::from_bytes(random::bytes());
    let crate::config::Journal { path, instance } = config.journal.clone();
    let Some(path) = path else {
        return Ok((Journal::none(instance.unwrap_or(fresh)), Former::default(), None));
    };
    let (journal, former, later) = Journal::open(path, instance, fresh, Arc::clone(alarms)).await?;
    Ok((journal, former, Some(later)))
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartFailure> {
    TcpListener::bind(address).await.map_err(|source| StartFailure::Bind { key, address, source })
}

fn local(listener: &TcpListener, key: &'static str) -> Result<SocketAddr, StartFailure> {
    let address = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.local_addr().map_err(|source| StartFailure::Bind { key, address, source })
}

fn graph_config(config: &Config, alarms: &Arc<Alarms>) -> GraphConfig {
    let alarms = Arc::clone(alarms);
    let on_change: OnChange = Arc::new(move |event| alarms.graph(event));
    let mut graph = GraphConfig::new(config.graph.url.clone(), config.graph.version.clone());
    graph.limits = config.graph.limits;
    graph.on_change = Some(on_change);
    graph
}

fn relay_config(config: &Config) -> RelayConfig {
    let pbx = &config.media.pbx;
    RelayConfig {
        pbx: Side { bind: pbx.bind, advertised: pbx.advertised, ports: pbx.ports.clone() },
        whatsapp: config.media.whatsapp.clone(),
        workers: config.media.workers,
        opus_complexity: config.media.opus_complexity,
        port_rest: config.media.port_rest,
    }
}
