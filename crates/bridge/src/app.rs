//! The running bridge: its parts, put together.
#![expect(clippy::disallowed_methods, reason = "the one clock of all calls, and the services' tasks")]

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use media_relay::{Relay, RelayConfig, Side, StartError};
use sip_core::{Command, Flow, LegEvent, LegRecord, Notice, Sip};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info};
use wa_signaling::graph::config::OnChange;
use wa_signaling::webhook::event::Direction;
use wa_signaling::webhook::pass_on::delivery::PassOn;
use wa_signaling::{GraphClient, GraphConfig, WebhookCounters, WebhookEvent};

use crate::alarm::Alarms;
use crate::call::cause::Cause;
use crate::call::event::SipRefusal;
use crate::call::{birth, headers};
use crate::config::{Config, Trunk};
use crate::directory::Directory;
use crate::http::{self, listener::Listener, tls::Certificates};
use crate::journal::{Former, Journal, Later, Locked};
use crate::mark::Instance;
use crate::metrics::Metrics;
use crate::permissions::Permissions;
use crate::random;
use crate::record::Records;
use crate::recovery;
use crate::trunks::{Outcome, Trunks};
use crate::webhooks::{self, Webhooks};

/// What all calls share.
pub(crate) struct Shared {
    /// In force now; a reload puts another in its place.
    config: RwLock<Arc<Config>>,
    pub(crate) instance: Instance,
    pub(crate) alarms: Arc<Alarms>,
    pub(crate) journal: Journal,
    /// Calls that a crash left open are being ended: no new one is taken yet.
    pub(crate) is_recovering: AtomicBool,
    pub(crate) records: Arc<Records>,
    pub(crate) sip: Sip,
    pub(crate) graph: GraphClient,
    pub(crate) relay: Relay,
    pub(crate) directory: Directory,
    pub(crate) metrics: Metrics,
    pub(crate) permissions: Permissions,
    pub(crate) webhooks: Arc<WebhookCounters>,
    pub(crate) pass_on: PassOn,
    pub(crate) trunks: Arc<Trunks>,
    pub(crate) tasks: TaskTracker,
}

impl Shared {
    /// Another configuration is in force from now on.
    pub(crate) fn set_config(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// The configuration in force: whoever needs it for more than a moment keeps this.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The one clock that calls are given.
    pub(crate) fn now(&self) -> Instant {
        Instant::now()
    }

    /// The time of day, since 1970: for what others have stamped.
    pub(crate) fn wall(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// Random bytes.
    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        random::bytes()
    }

    /// A number for the `o=` line of an SDP.
    pub(crate) fn session_id(&self) -> u64 {
        // Some PBXs read it as a signed 64-bit number, some as 53 bits of a double.
        u64::from_be_bytes(random::bytes()) >> 12
    }

    /// Where calls to a trunk go, the best first.
    pub(crate) fn targets(&self, trunk: &Trunk) -> Vec<Flow> {
        self.trunks.targets(self.now(), trunk.id)
    }

    /// The address that the peer of this flow reaches us at.
    pub(crate) fn advertised(&self, flow: Flow) -> SocketAddr {
        self.trunks.advertised(flow)
    }

    /// Our host, as a Warning names it.
    pub(crate) fn agent(&self, flow: Flow) -> String {
        self.advertised(flow).to_string()
    }

    /// A target took no call; `rest` is how long it asked to be left alone.
    pub(crate) fn target_failed(&self, target: Flow, refusal: SipRefusal, rest: Option<Duration>) {
        self.trunks.call_failed(self.now(), target, refusal.into(), rest);
        self.metrics.target_failed();
    }

    /// A user's number or id, as far as the log may have it.
    pub(crate) fn masked(&self, user: &impl ToString) -> String {
        let user = user.to_string();
        if self.config().log.mask_numbers { mask(&user) } else { user }
    }

    /// Takes over the counters that the parts keep themselves.
    pub(crate) fn collect(&self) {
        let sip = self.sip.counters();
        let media = self.relay.counters();
        for (what, value) in sip.all() {
            self.metrics.set("sip", what, value);
        }
        for (what, value) in media.all() {
            self.metrics.set("media", what, value);
        }
        self.metrics.trunks(&self.trunks.read());
        self.metrics.alarms(&self.alarms.active());
        for (what, value) in self.directory.counts() {
            self.metrics.set("directory", what, value);
        }
        for (what, value) in self.records.counts() {
            self.metrics.set("records", what, value);
        }
        for (what, value) in self.webhooks.read().into_iter().chain(self.pass_on.counters().read()) {
            self.metrics.set("webhook", what, value);
        }
    }

    /// What a crash left open is ended, or that was tried: new calls may come.
    async fn take_calls(&self) {
        let was_recovering = self.is_recovering.swap(false, Ordering::Relaxed);
        if was_recovering && !self.metrics.is_draining() {
            self.sip.send(Command::Ready { trunk: None, ready: true }).await;
        }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }
}

/// All but the last three characters hidden.
pub(crate) fn mask(user: &str) -> String {
    let shown = user.chars().count().saturating_sub(3);
    user.chars().enumerate().map(|(at, c)| if at < shown { '*' } else { c }).collect()
}

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
    let (sip, sip_events, driver, sources) = crate::sip::bind(&config).await.map_err(StartFailure::Sip)?;
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
    services.run("sip events", serve_sip(Arc::clone(&shared), sip_events));
    if shared.is_recovering.load(Ordering::Relaxed) {
        shared.sip.send(Command::Ready { trunk: None, ready: false }).await;
    }
    let recovered = recovery::begin(&shared, former).await;
    let app = Arc::clone(&shared);
    services.run("webhook events", async move {
        // New calls wait until those of the former life have been ended, or it was tried.
        recovered.await;
        app.take_calls().await;
        serve_webhooks(app, webhook_queue).await;
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
    let side = |side: &crate::config::MediaSide| Side {
        bind: side.bind,
        advertised: side.advertised,
        ports: side.ports.clone(),
    };
    RelayConfig {
        pbx: side(&config.media.pbx),
        whatsapp: side(&config.media.whatsapp),
        workers: config.media.workers,
        opus_complexity: config.media.opus_complexity,
        port_rest: config.media.port_rest,
    }
}

/// A call that breaks while it begins breaks no other.
async fn contained(birth: impl Future<Output = ()> + Send + 'static) {
    if let Err(broken) = tokio::spawn(birth).await {
        error!(%broken, "a call broke while it began");
    }
}

/// Brings SIP events to their calls, and calls into life.
async fn serve_sip(shared: Arc<Shared>, mut events: mpsc::Receiver<Notice>) {
    while let Some(notice) = events.recv().await {
        let LegEvent { leg, event } = match notice {
            Notice::Leg(event) => event,
            Notice::Reply { id, result } => {
                shared.trunks.outcome(Outcome::Reply(id, result));
                continue;
            }
            Notice::Bindings { trunk, bindings } => {
                shared.trunks.outcome(Outcome::Bindings(trunk, bindings));
                continue;
            }
            Notice::Record { leg, record } => {
                shared.journal.leg(leg, record.as_ref().map(LegRecord::as_bytes));
                continue;
            }
        };
        match event {
            sip_core::Event::Invite { request, flow, replaces: None } => {
                let app = Arc::clone(&shared);
                contained(async move { birth::from_pbx(&app, leg, &request, flow).await }).await;
            }
            sip_core::Event::Invite { request, flow, replaces: Some(replaced) } => {
                if !shared.directory.replace(replaced, leg, request, flow) {
                    let reply = headers::refusal(Cause::NothingToReplace);
                    shared.sip.send(Command::Respond { leg, reply }).await;
                }
            }
            event => shared.directory.sip(leg, event),
        }
    }
}

/// Brings webhooks to their calls, and calls into life.
async fn serve_webhooks(shared: Arc<Shared>, events: mpsc::Receiver<WebhookEvent>) {
    let mut webhooks = Webhooks::new(events);
    while let Some(event) = webhooks.next(&shared).await {
        match event {
            WebhookEvent::Connect(connect) if connect.direction == Direction::UserInitiated => {
                shared.metrics.webhook("connect");
                webhooks.notices.delivered(&shared, &connect.number);
                let app = Arc::clone(&shared);
                contained(async move { birth::from_whatsapp(&app, connect) }).await;
            }
            WebhookEvent::Other { field, event } => {
                shared.metrics.webhook("other");
                tracing::debug!(field, event, "webhook not for calling");
            }
            event => {
                if let Some(event) = webhooks.notices.take(&shared, event) {
                    webhooks::give(&shared, event);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn numbers_are_masked() {
        assert_eq!(mask("14085551234"), "********234");
        assert_eq!(mask("12"), "12");
    }
}
