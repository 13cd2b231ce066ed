//! How well calls are heard: of those that live how many well and how many badly, of those that are
//! over what their means were. Pure.

use media_relay::{CallQuality, Figure, SideQuality};
use prometheus::{HistogramOpts, HistogramVec, IntGaugeVec, Opts, Registry};

/// Upper ends of the buckets.
const MOS: &[f64] = &[1.5, 2.0, 2.6, 3.1, 3.6, 3.8, 4.0, 4.2, 4.3, 4.4];
const JITTER: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5];
const LOSS: &[f64] = &[0.0, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2];
const ROUND_TRIP: &[f64] = &[0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0];

/// The lowest score of each class, and its name: what users are said to be (ITU-T G.109) at R of 80,
/// 70 and 60.
const CLASSES: [(f32, &str); 4] = [(4.02, "good"), (3.6, "fair"), (3.1, "poor"), (0.0, "bad")];

/// Which of a side's two streams: what it sends, and what it gets from us, by its reports.
const FROM: &str = "from";
const TO: &str = "to";

#[derive(Debug)]
pub(super) struct Quality {
    live: IntGaugeVec,
    mos: HistogramVec,
    jitter: HistogramVec,
    loss: HistogramVec,
    round_trip: HistogramVec,
}

impl Quality {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str, labels: &[&str], buckets: &[f64]| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)
        };
        let streams = ["side", "stream"];
        let metrics = Self {
            live: IntGaugeVec::new(
                Opts::new(
                    "wa_bridge_calls_heard",
                    "Calls now, by how the sound from or to a side was in the last seconds",
                ),
                &["side", "stream", "heard"],
            )?,
            mos: histogram(
                "wa_bridge_call_mos",
                "Mean opinion score (E-model) of ended calls",
                &streams,
                MOS,
            )?,
            jitter: histogram(
                "wa_bridge_call_jitter_seconds",
                "Mean interarrival jitter of ended calls",
                &streams,
                JITTER,
            )?,
            loss: histogram(
                "wa_bridge_call_loss_ratio",
                "Share of lost packets of ended calls",
                &streams,
                LOSS,
            )?,
            round_trip: histogram(
                "wa_bridge_call_round_trip_seconds",
                "Mean round trip of ended calls, from the bridge",
                &["side"],
                ROUND_TRIP,
            )?,
        };
        registry.register(Box::new(metrics.live.clone()))?;
        registry.register(Box::new(metrics.mos.clone()))?;
        registry.register(Box::new(metrics.jitter.clone()))?;
        registry.register(Box::new(metrics.loss.clone()))?;
        registry.register(Box::new(metrics.round_trip.clone()))?;
        Ok(metrics)
    }

    /// The calls that live now, in place of those before.
    pub(super) fn live(&self, calls: &[CallQuality]) {
        for (side, of) in SIDES {
            for (stream, figure) in [(FROM, mos_from as fn(&SideQuality) -> Figure), (TO, mos_to)] {
                for (_, class) in CLASSES {
                    let scores = calls.iter().filter_map(|call| figure(of(call)).last());
                    let count = scores.filter(|score| class_of(*score) == class).count();
                    let count = i64::try_from(count).unwrap_or(i64::MAX);
                    self.live.with_label_values(&[side, stream, class]).set(count);
                }
            }
        }
    }

    /// A call is over.
    pub(super) fn ended(&self, call: &CallQuality) {
        for (side, of) in SIDES {
            let quality = of(call);
            let observe = |metric: &HistogramVec, labels: &[&str], value: Option<f64>| {
                if let Some(value) = value {
                    metric.with_label_values(labels).observe(value);
                }
            };
            let seconds = |figure: Figure| figure.mean().map(|mean| f64::from(mean) / 1000.0);
            let score = |figure: Figure| figure.mean().map(f64::from);
            observe(&self.mos, &[side, FROM], score(quality.mos));
            observe(&self.mos, &[side, TO], score(quality.reported_mos));
            observe(&self.jitter, &[side, FROM], seconds(quality.jitter_ms));
            observe(&self.jitter, &[side, TO], seconds(quality.reported_jitter_ms));
            let loss = (quality.expected > 0).then(|| quality.lost as f64 / quality.expected as f64);
            observe(&self.loss, &[side, FROM], loss);
            let reported = quality.reported_loss.mean().map(|percent| f64::from(percent) / 100.0);
            observe(&self.loss, &[side, TO], reported);
            observe(&self.round_trip, &[side], seconds(quality.round_trip_ms));
        }
    }
}

type Of = fn(&CallQuality) -> &SideQuality;

const SIDES: [(&str, Of); 2] = [("pbx", |call| &call.pbx), ("whatsapp", |call| &call.whatsapp)];

fn mos_from(side: &SideQuality) -> Figure {
    side.mos
}

fn mos_to(side: &SideQuality) -> Figure {
    side.reported_mos
}

fn class_of(score: f32) -> &'static str {
    let class = CLASSES.iter().find(|(least, _)| score >= *least);
    class.map_or("bad", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder as _, TextEncoder};

    use super::*;

    fn figure(value: f32) -> Figure {
        let mut figure = Figure::default();
        figure.take(value);
        figure
    }

    fn text(registry: &Registry) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).expect("encoded");
        String::from_utf8(text).expect("UTF-8")
    }

    #[test]
    fn live_calls_are_counted_by_how_they_are_heard_now() {
        let registry = Registry::new();
        let quality = Quality::new(&registry).expect("registered");
        let call = |mos| CallQuality {
            pbx: SideQuality { mos: figure(mos), ..SideQuality::default() },
            ..CallQuality::default()
        };
        quality.live(&[call(4.4), call(4.1), call(3.7), call(2.0), CallQuality::default()]);
        let found = text(&registry);
        let line = |heard: &str, count: u8| {
            format!("wa_bridge_calls_heard{{heard=\"{heard}\",side=\"pbx\",stream=\"from\"}} {count}")
        };
        for (heard, count) in [("good", 2), ("fair", 1), ("poor", 0), ("bad", 1)] {
            assert!(found.contains(&line(heard, count)), "{heard}: {found}");
        }
        quality.live(&[]);
        assert!(text(&registry).contains(&line("good", 0)));
    }

    #[test]
    fn an_ended_call_is_observed_where_something_was_measured() {
        let registry = Registry::new();
        let quality = Quality::new(&registry).expect("registered");
        quality.ended(&CallQuality::default());
        assert!(!text(&registry).contains("_count{"), "nothing was measured");
        let whatsapp = SideQuality {
            expected: 1000,
            lost: 20,
            mos: figure(4.25),
            jitter_ms: figure(7.0),
            round_trip_ms: figure(80.0),
            ..SideQuality::default()
        };
        quality.ended(&CallQuality { whatsapp, ..CallQuality::default() });
        let found = text(&registry);
        for line in [
            "wa_bridge_call_mos_sum{side=\"whatsapp\",stream=\"from\"} 4.25",
            "wa_bridge_call_loss_ratio_sum{side=\"whatsapp\",stream=\"from\"} 0.02",
            "wa_bridge_call_jitter_seconds_bucket{side=\"whatsapp\",stream=\"from\",le=\"0.01\"} 1",
            "wa_bridge_call_round_trip_seconds_bucket{side=\"whatsapp\",le=\"0.05\"} 0",
            "wa_bridge_call_round_trip_seconds_bucket{side=\"whatsapp\",le=\"0.1\"} 1",
        ] {
            assert!(found.contains(line), "{line}: {found}");
        }
        assert!(!found.contains("side=\"pbx\""), "{found}");
    }
}
