//! Media benchmarks: our relay beside rtpengine, on the same core, with the same load, in the same minutes.
//!
//! `./x bench media` builds and runs it; docs/performance.md says what the columns mean.

mod codec;
mod end;
mod load;
mod measure;
mod ng;
mod packet;
mod peer;
mod relay;
mod socket;
mod sound;
mod srtp;
mod subject;
mod table;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

use crate::load::Load;
use crate::subject::{Kind, Subject, Work};
use crate::table::Row;

#[derive(Parser)]
#[command(about = "Media benchmarks: our relay beside rtpengine")]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// Few calls, few seconds: about a minute.
    #[arg(long)]
    quick: bool,
    /// Only this work.
    #[arg(long)]
    work: Option<Task>,
    /// Only with so many calls; several with commas.
    #[arg(long, value_delimiter = ',')]
    calls: Vec<usize>,
    /// Only this relay.
    #[arg(long)]
    only: Option<Which>,
    /// Seconds that each run is measured for.
    #[arg(long)]
    seconds: Option<u64>,
    /// Our relay's effort in encoding Opus, 0 to 10; its default if not given.
    #[arg(long)]
    complexity: Option<u8>,
    /// Runs of each row.
    #[arg(long, default_value_t = 1)]
    repeat: usize,
    /// The core of what is measured.
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// The core of the load.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
}

#[derive(Subcommand)]
enum Part {
    /// Our relay, steered over standard input: what the benchmark starts.
    #[command(hide = true)]
    Relay { complexity: Option<u8> },
    /// What SRTP asks for a packet, and libopus for a frame; no relay, no network.
    Costs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Task {
    Pass,
    Transcode,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Ours,
    Rtpengine,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.part {
        Some(Part::Relay { complexity }) => return relay::serve(complexity),
        Some(Part::Costs) => {
            packet::print()?;
            println!();
            return codec::print();
        }
        None => {}
    }
    measure::prepare()?;
    measure::pin(arguments.load_core)?;
    table::head();
    let mut rows = Vec::new();
    for (work, calls, kind) in plan(&arguments) {
        for _ in 0..arguments.repeat {
            let row = run(&arguments, work, calls, kind);
            match &row {
                Ok(row) => println!("{row}"),
                Err(error) => println!("| {} | {calls} | {} | failed: {error:#} |", work.name(), kind.name()),
            }
            rows.extend(row);
        }
    }
    table::ratios(&rows);
    Ok(())
}

/// What is run, in its order: the two relays next to each other.
fn plan(arguments: &Arguments) -> Vec<(Work, usize, Kind)> {
    let quick: &[(Work, usize, bool)] = &[(Work::Pass, 200, true), (Work::Transcode, 40, true)];
    let full: &[(Work, usize, bool)] = &[
        (Work::Pass, 50, true),
        (Work::Pass, 200, true),
        (Work::Pass, 500, true),
        (Work::Pass, 700, true),
        // More than rtpengine carries on a core.
        (Work::Pass, 1000, false),
        (Work::Transcode, 20, true),
        (Work::Transcode, 40, true),
        (Work::Transcode, 100, false),
        (Work::Transcode, 140, false),
    ];
    let mut chosen = if arguments.quick { quick } else { full }.to_vec();
    if !arguments.calls.is_empty() {
        let both = |calls: &usize| [(Work::Pass, *calls, true), (Work::Transcode, *calls, true)];
        chosen = arguments.calls.iter().flat_map(both).collect();
    }
    let wanted = |work| match arguments.work {
        Some(Task::Pass) => work == Work::Pass,
        Some(Task::Transcode) => work == Work::Transcode,
        None => true,
    };
    let mut plan = Vec::new();
    for (work, calls, beside) in chosen.into_iter().filter(|(work, _, _)| wanted(*work)) {
        if arguments.only != Some(Which::Rtpengine) {
            plan.push((work, calls, Kind::Ours));
        }
        if beside && arguments.only != Some(Which::Ours) {
            plan.push((work, calls, Kind::Rtpengine));
        }
    }
    plan
}

fn run(arguments: &Arguments, work: Work, calls: usize, kind: Kind) -> Result<Row> {
    let seconds = arguments.seconds.unwrap_or(if arguments.quick { 6 } else { 10 });
    let mut subject = Subject::start(kind, arguments.complexity, (arguments.core, arguments.load_core))?;
    // It settles before its memory is read.
    std::thread::sleep(Duration::from_millis(300));
    let outcome = Load::new(work)?.run(&mut subject, calls, Duration::from_secs(seconds))?;
    Ok(Row { work, kind, outcome })
}
