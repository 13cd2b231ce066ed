//! What `/metrics` tells (Prometheus text format).

mod quality;

use media_relay::CallQuality;
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::alarm::Alarm;
use crate::call::action::Outcome;
use crate::call::machine::Phase;
use crate::record::Direction;
use quality::Quality;

/// The metrics of the bridge.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    calls: IntGaugeVec,
    ended: IntCounterVec,
    refused: IntCounterVec,
    webhooks: IntCounterVec,
    permissions: IntCounterVec,
    targets_failed: IntCounter,
    trunk_calls: IntGaugeVec,
    trunk_up: IntGaugeVec,
    counters: IntGaugeVec,
    draining: IntGauge,
    alarms: IntGaugeVec,
    quality: Quality,
}

impl Metrics {
    /// # Errors
    /// Only when two metrics share a name, which a test would show.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            calls: IntGaugeVec::new(
                Opts::new("wa_bridge_calls", "Calls now, by direction and state"),
                &["direction", "state"],
            )?,
            ended: IntCounterVec::new(
                Opts::new("wa_bridge_calls_ended_total", "Ended calls, by direction, outcome and cause"),
                &["direction", "outcome", "cause"],
            )?,
            refused: IntCounterVec::new(
                Opts::new("wa_bridge_calls_refused_total", "INVITEs refused before a call began"),
                &["cause"],
            )?,
            webhooks: IntCounterVec::new(
                Opts::new("wa_bridge_webhook_events_total", "Webhook events, by what became of them"),
                &["kind"],
            )?,
            permissions: IntCounterVec::new(
                Opts::new("wa_bridge_permissions_total", "What happened to permissions to call users"),
                &["what"],
            )?,
            targets_failed: IntCounter::new(
                "wa_bridge_targets_failed_total",
                "INVITEs that a target of a trunk took no call for",
            )?,
            trunk_calls: IntGaugeVec::new(
                Opts::new("wa_bridge_trunk_calls", "Calls of a trunk, in both directions"),
                &["trunk"],
            )?,
            trunk_up: IntGaugeVec::new(
                Opts::new(
                    "wa_bridge_trunk_up",
                    "Whether a target of the trunk answers OPTIONS; 1 where none is asked",
                ),
                &["trunk"],
            )?,
            counters: IntGaugeVec::new(
                Opts::new("wa_bridge_traffic_total", "Counters of SIP, webhooks and media"),
                &["part", "what"],
            )?,
            draining: IntGauge::new("wa_bridge_draining", "1 while the bridge takes no calls")?,
            alarms: IntGaugeVec::new(
                Opts::new("wa_bridge_alarm", "1 for each alarm that lasts"),
                &["alarm", "subject"],
            )?,
            quality: Quality::new(&registry)?,
            registry,
        };
        metrics.registry.register(Box::new(metrics.calls.clone()))?;
        metrics.registry.register(Box::new(metrics.ended.clone()))?;
        metrics.registry.register(Box::new(metrics.refused.clone()))?;
        metrics.registry.register(Box::new(metrics.webhooks.clone()))?;
        metrics.registry.register(Box::new(metrics.permissions.clone()))?;
        metrics.registry.register(Box::new(metrics.targets_failed.clone()))?;
        metrics.registry.register(Box::new(metrics.trunk_calls.clone()))?;
        metrics.registry.register(Box::new(metrics.trunk_up.clone()))?;
        metrics.registry.register(Box::new(metrics.counters.clone()))?;
        metrics.registry.register(Box::new(metrics.draining.clone()))?;
        metrics.registry.register(Box::new(metrics.alarms.clone()))?;
        Ok(metrics)
    }

    /// A call moved between phases; `None` is before its begin and after its end.
    pub(crate) fn moved(&self, direction: Direction, from: Option<Phase>, to: Option<Phase>) {
        if from == to {
            return;
        }
        if let Some(phase) = from {
            self.calls.with_label_values(&[direction.label(), state(phase)]).dec();
        }
        if let Some(phase) = to {
            self.calls.with_label_values(&[direction.label(), state(phase)]).inc();
        }
    }

    pub(crate) fn ended(&self, direction: Direction, outcome: &Outcome) {
        let answered = if outcome.answered.is_some() { "answered" } else { "unanswered" };
        self.ended.with_label_values(&[direction.label(), answered, outcome.cause.row().label]).inc();
    }

    /// How a call was heard that is over.
    pub(crate) fn heard(&self, quality: &CallQuality) {
        self.quality.ended(quality);
    }

    /// How those are heard that live, in place of those before.
    pub(crate) fn hearing(&self, qualities: &[CallQuality]) {
        self.quality.live(qualities);
    }

    pub(crate) fn refused(&self, cause: &str) {
        self.refused.with_label_values(&[cause]).inc();
    }

    pub(crate) fn target_failed(&self) {
        self.targets_failed.inc();
    }

    pub(crate) fn webhook(&self, kind: &str) {
        self.webhooks.with_label_values(&[kind]).inc();
    }

    pub(crate) fn permission(&self, what: &str) {
        self.permissions.with_label_values(&[what]).inc();
    }

    pub(crate) fn set_draining(&self) {
        self.draining.set(1);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get() == 1
    }

    /// The alarms that last, in place of those that were.
    pub(crate) fn alarms(&self, active: &[(Alarm, String, String)]) {
        self.alarms.reset();
        for (alarm, subject, _) in active {
            self.alarms.with_label_values(&[alarm.label(), subject]).set(1);
        }
    }

    /// Of each trunk its name, how many calls it has, and whether any of its targets is up.
    pub(crate) fn trunks(&self, trunks: &[(String, u32, bool)]) {
        self.trunk_calls.reset();
        self.trunk_up.reset();
        for (name, calls, is_up) in trunks {
            self.trunk_calls.with_label_values(&[name]).set((*calls).into());
            self.trunk_up.with_label_values(&[name]).set((*is_up).into());
        }
    }

    /// A counter that is kept elsewhere, taken over as it stands.
    pub(crate) fn set(&self, part: &str, what: &str, value: u64) {
        self.counters.with_label_values(&[part, what]).set(i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// The text of `/metrics`.
    pub(crate) fn text(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            return format!("# {error}\n");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn state(phase: Phase) -> &'static str {
    match phase {
        Phase::SettingUp => "setting_up",
        Phase::Talking => "talking",
        Phase::Releasing => "releasing",
    }
}
