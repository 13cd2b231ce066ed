//! The table, in Markdown.

use std::fmt;

use crate::load::Outcome;
use crate::measure::{day, machine};
use crate::subject::{Kind, Work};

/// A generator later than this (99th percentile, milliseconds) has not put the load on that it should have.
const LATE: f64 = 1.0;

/// One run.
pub(crate) struct Row {
    pub(crate) work: Work,
    pub(crate) kind: Kind,
    pub(crate) outcome: Outcome,
}

impl Work {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pass => "Opus passed through",
            Self::Transcode => "PCMU and Opus",
        }
    }
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "wa-bridge",
            Self::Rtpengine => "rtpengine",
        }
    }
}

/// What stands above the rows.
pub(crate) fn head() {
    let command: Vec<_> = std::env::args().skip(1).collect();
    println!("{}, {}, `./x bench media {}`", machine(), day(), command.join(" "));
    println!();
    println!(
        "| work | calls | relay | CPU ms per call-second | core | calls of a core | to WebRTC p50 / p99 ms | to plain \
         p50 / p99 ms | lost | KB per call | set-up CPU ms per call | SRTP | generator: core, late p99 ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { calls, cpu, to_webrtc, to_plain, .. } = &self.outcome;
        let core = cpu * *calls as f64 / 10.0;
        let lost = 100.0 * self.outcome.lost as f64 / self.outcome.sent.max(1) as f64;
        let mark = if self.outcome.late > LATE { " STARVED" } else { "" };
        write!(f, "| {} | {calls} | {} ", self.work.name(), self.kind.name())?;
        write!(f, "| {cpu:.2} | {core:.0} % | {:.0} ", 1000.0 / cpu)?;
        write!(f, "| {:.2} / {:.2} ", to_webrtc.p50, to_webrtc.p99)?;
        write!(f, "| {:.2} / {:.2} ", to_plain.p50, to_plain.p99)?;
        write!(f, "| {lost:.2} % | {:.0} | {:.2} ", self.outcome.kb_per_call, self.outcome.setup)?;
        let (profile, generator) = (&self.outcome.profile, 100.0 * self.outcome.generator);
        write!(f, "| {profile} | {generator:.0} %, {:.2}{mark} |", self.outcome.late)
    }
}

/// Ours over rtpengine's, where both were measured.
pub(crate) fn ratios(rows: &[Row]) {
    let mut told: Vec<(Work, usize)> = Vec::new();
    println!();
    for row in rows {
        let key = (row.work, row.outcome.calls);
        if told.contains(&key) {
            continue;
        }
        told.push(key);
        let of = |kind, value: fn(&Outcome) -> f64| mean(rows, key, kind, value);
        let ratio = |value| of(Kind::Ours, value) / of(Kind::Rtpengine, value);
        let cpu = ratio(|outcome| outcome.cpu);
        if cpu.is_finite() {
            let (memory, setup) = (ratio(|outcome| outcome.kb_per_call), ratio(|outcome| outcome.setup));
            println!(
                "{}, {} calls: {cpu:.2} of rtpengine's CPU, {memory:.2} of its memory, {setup:.2} of its set-up CPU",
                key.0.name(),
                key.1
            );
        }
    }
}

fn mean(rows: &[Row], key: (Work, usize), kind: Kind, value: fn(&Outcome) -> f64) -> f64 {
    let of_it = rows.iter().filter(|row| row.kind == kind && (row.work, row.outcome.calls) == key);
    let values: Vec<f64> = of_it.map(|row| value(&row.outcome)).collect();
    values.iter().sum::<f64>() / values.len() as f64
}
