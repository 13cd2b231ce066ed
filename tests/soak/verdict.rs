//! What flat means.
//!
//! The first five minutes (a third of a shorter soak) are not judged: caches fill, the first hundred calls come. Of the
//! rest the resident memory may neither climb by more than 4 % in the time that is judged, by the straight line through
//! all samples, nor may its highest be more than a third above its lowest; descriptors the same with 10 % and a half,
//! for the calls that stand at a moment differ.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

const WARM: Duration = Duration::from_secs(300);
/// A shorter soak than this proves nothing of slopes, for calls live up to a minute and a half.
const JUDGED: Duration = Duration::from_secs(240);

/// A look at the process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    at: Duration,
    /// KiB resident.
    pub(crate) rss: u64,
    pub(crate) descriptors: u64,
    /// Seconds of CPU so far.
    cpu: f64,
}

impl Sample {
    pub(crate) fn take(process: u32, start: Instant) -> Result<Self> {
        let folder = format!("/proc/{process}");
        let status = fs::read_to_string(format!("{folder}/status")).context("the bridge is gone")?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let rss = rss.trim().trim_end_matches(" kB").parse()?;
        let descriptors = fs::read_dir(format!("{folder}/fd"))?.count() as u64;
        let stat = fs::read_to_string(format!("{folder}/stat"))?;
        // utime and stime, in hundredths, after the name in brackets.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok());
        let cpu = (ticks(11).unwrap_or_default() + ticks(12).unwrap_or_default()) / 100.0;
        Ok(Self { at: start.elapsed(), rss, descriptors, cpu })
    }

    /// Part of a core since a minute ago.
    pub(crate) fn cpu_since(&self, samples: &[Self]) -> f64 {
        let before = samples.iter().rev().nth(11).or(samples.first()).unwrap_or(self);
        let time = self.at.saturating_sub(before.at).as_secs_f64();
        if time > 0.0 { (self.cpu - before.cpu) / time } else { 0.0 }
    }
}

/// What is not flat, a sentence each.
pub(crate) fn of_samples(samples: &[Sample]) -> Vec<String> {
    let length = samples.last().map(|sample| sample.at).unwrap_or_default();
    let judged: Vec<&Sample> = samples.iter().filter(|sample| sample.at >= WARM.min(length / 3)).collect();
    if judged.len() < 2 {
        return vec!["too short to judge".to_owned()];
    }
    let series = |of: fn(&Sample) -> u64| -> Vec<(f64, f64)> {
        judged.iter().map(|sample| (sample.at.as_secs_f64(), of(sample) as f64)).collect()
    };
    let long = length >= JUDGED;
    let rss = flat("resident memory (KiB)", &series(|sample| sample.rss), (0.04, 1.0 / 3.0), long);
    let descriptors = flat("descriptors", &series(|sample| sample.descriptors), (0.1, 0.5), long);
    [rss, descriptors].into_iter().flatten().collect()
}

/// A sentence where a series climbs or spreads by more than these parts of itself.
fn flat(what: &str, series: &[(f64, f64)], (climb, spread): (f64, f64), long: bool) -> Option<String> {
    let count = series.len() as f64;
    let (x, y) = series.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let above: f64 = series.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = series.iter().map(|point| (point.0 - x).powi(2)).sum();
    let length = series.last()?.0 - series.first()?.0;
    let climbed = if below > 0.0 { above / below * length / y } else { 0.0 };
    let values = || series.iter().map(|point| point.1);
    let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    println!("{what}: {least:.0} to {most:.0}, {:+.1} % by the line through {length:.0} s", climbed * 100.0);
    let bad = (long && climbed > climb) || most > least * (1.0 + spread);
    bad.then(|| {
        format!("{what} not flat: {:+.1} % over {length:.0} s, {least:.0} to {most:.0}", climbed * 100.0)
    })
}
