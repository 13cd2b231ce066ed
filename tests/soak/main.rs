//! The soak: a hundred calls standing, coming and going through the bridge as a process of its own, with loss and jitter
//! on both sides and a stranger who fires at its media ports all the time. What it judges stands in `verdict.rs`; the
//! exit code says whether all of it held.

mod calls;
mod noise;
#[path = "../sipp/program.rs"]
#[allow(dead_code, reason = "shared with tests that ask for more")]
mod program;
mod stage;
mod verdict;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::sleep;

use calls::Tally;
use stage::Stage;
use verdict::Sample;

/// Calls that stand at once, unless it says otherwise too.
const CALLS: u64 = 100;
/// Minutes unless the command line says otherwise.
const MINUTES: u64 = 30;
/// Between two looks at the process.
const LOOK: Duration = Duration::from_secs(5);
/// Looks between two lines.
const LOOKS: u32 = 12;

#[tokio::main]
async fn main() -> ExitCode {
    let number = |nth, default| std::env::args().nth(nth).map_or(Ok(default), |text| text.parse::<u64>());
    let (Ok(minutes), Ok(calls)) = (number(1, MINUTES), number(2, CALLS)) else {
        eprintln!("soak [MINUTES [CALLS]]");
        return ExitCode::FAILURE;
    };
    match soak(Duration::from_secs(60 * minutes), calls as usize).await {
        Ok(faults) if faults.is_empty() => {
            println!("good");
            ExitCode::SUCCESS
        }
        Ok(faults) => {
            faults.iter().for_each(|fault| println!("FAULT: {fault}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What was wrong in the end.
async fn soak(length: Duration, count: usize) -> Result<Vec<String>> {
    let stage = Arc::new(Stage::set().await?);
    let (start, tally) = (Instant::now(), Arc::new(Tally::default()));
    let noise = noise::start(stage.media_ports())?;
    let chairs = calls::start(&stage, &tally, count, start + length);
    let mut samples = Vec::new();
    println!("    time       rss  descriptors  calls   made  failed    noise  cpu");
    while start.elapsed() < length {
        for _ in 0..LOOKS {
            samples.push(Sample::take(stage.bridge.id()?, start)?);
            sleep(LOOK).await;
        }
        let last = samples.last().context("no sample")?;
        let (made, failed) = (tally.made(), tally.faults().len());
        let calls = stage.bridge.calls().await?;
        println!(
            "{:>5} min  {:>5} MB  {:>11}  {calls:>5}  {made:>5}  {failed:>6}  {:>7}  {:>3.0} %",
            start.elapsed().as_secs() / 60,
            last.rss / 1024,
            last.descriptors,
            noise.fired(),
            last.cpu_since(&samples) * 100.0,
        );
    }
    chairs.finish().await?;
    drop(noise);
    let mut faults = verdict::of_samples(&samples);
    faults.extend(tally.faults());
    faults.extend(stage.close().await);
    println!("{} calls, {} faults", tally.made(), faults.len());
    Ok(faults)
}
