//! What is read off the system: processor time, memory, the place on a core; and what is made of many delays.

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

/// The kernel counts processor time in these (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;
/// Sockets of a thousand calls on rtpengine's side, with room.
const DESCRIPTORS: u64 = 16_384;

/// Puts this thread, and what it starts, on one core.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("core {core}"))
}

/// Lets children open enough sockets, and lets us sleep to the microsecond.
pub(crate) fn prepare() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS.min(hard), hard)?;
    // A wish: it makes the generator late by 50 us where it is refused.
    let _ = std::fs::write("/proc/self/timerslack_ns", "1000");
    Ok(())
}

/// Milliseconds of processor time of a process so far, user and system.
pub(crate) fn cpu_ms(process: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).context("the process is gone")?;
    // The name may hold anything; what follows its bracket is in fields: utime and stime are the 12th and 13th.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).context("no fields")?;
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_PER_SECOND * 1000.0)
}

/// Kilobytes of resident memory of a process.
pub(crate) fn resident_kb(process: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).context("the process is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

/// The machine, in a line.
pub(crate) fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()))
        .unwrap_or("an unknown processor");
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    format!("{cores} x {model}, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}

/// The day, by the system's clock (UTC).
pub(crate) fn day() -> String {
    let output = std::process::Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// The value that `share` of them do not exceed, in milliseconds. Sorts them.
pub(crate) fn percentile_ms(nanoseconds: &mut [u64], share: f64) -> f64 {
    nanoseconds.sort_unstable();
    let place = ((nanoseconds.len() as f64 * share).ceil() as usize).saturating_sub(1);
    nanoseconds.get(place).map_or(f64::NAN, |value| *value as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let mut delays: Vec<u64> = (1..=100).rev().map(|ms| ms * 1_000_000).collect();
        assert_eq!(percentile_ms(&mut delays, 0.5), 50.0);
        assert_eq!(percentile_ms(&mut delays, 0.99), 99.0);
        assert_eq!(percentile_ms(&mut delays[..1], 0.99), 1.0);
        assert!(percentile_ms(&mut [], 0.5).is_nan());
    }

    #[test]
    fn a_process_knows_its_own_cost() {
        let me = std::process::id();
        assert!(resident_kb(me).expect("VmRSS") > 100.0);
        assert!(cpu_ms(me).expect("stat") >= 0.0);
    }
}
