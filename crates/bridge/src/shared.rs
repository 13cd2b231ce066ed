//! What all calls share.
#![expect(clippy::disallowed_methods, reason = "the one clock of all calls")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use media_relay::Relay;
use sip_core::{Command, Flow, Sip};
use tokio_util::task::TaskTracker;
use wa_signaling::webhook::pass_on::delivery::PassOn;
use wa_signaling::{GraphClient, WebhookCounters};

use crate::alarm::Alarms;
use crate::call::event::SipRefusal;
use crate::config::{Config, Trunk};
use crate::directory::Directory;
use crate::journal::Journal;
use crate::mark::Instance;
use crate::metrics::Metrics;
use crate::permissions::Permissions;
use crate::random;
use crate::record::Records;
use crate::trunks::Trunks;

/// What all calls share.
pub(crate) struct Shared {
    /// In force now; a reload puts another in its place.
    pub(crate) config: RwLock<Arc<Config>>,
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
        self.metrics.hearing(&self.relay.qualities());
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
    pub(crate) async fn take_calls(&self) {
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

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn numbers_are_masked() {
        assert_eq!(mask("14085551234"), "********234");
        assert_eq!(mask("12"), "12");
    }
}
