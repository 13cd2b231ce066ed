//! What our SRTP asks for a packet, by suite.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use media_relay::measuring::{SUITES, SrtpPair};

/// Packets of a round.
const PACKETS: u32 = 60_000;
/// Rounds; the fastest counts, as what slows a round down is not ours.
const ROUNDS: usize = 7;
/// Payloads: Opus at 20 kbit/s, and G.711.
const PAYLOADS: [usize; 2] = [50, 160];

/// Prints the table.
pub(crate) fn print() -> Result<()> {
    println!("| SRTP | payload | protect us | unprotect us |\n|---|---|---|---|");
    for suite in SUITES {
        for payload in PAYLOADS {
            let mut best = (Duration::MAX, Duration::MAX);
            for _ in 0..ROUNDS {
                let (protect, unprotect) = round(suite, payload)?;
                best = (best.0.min(protect), best.1.min(unprotect));
            }
            let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(PACKETS);
            println!("| {suite} | {payload} | {:.2} | {:.2} |", each(best.0), each(best.1));
        }
    }
    Ok(())
}

fn round(suite: &str, payload: usize) -> Result<(Duration, Duration)> {
    let mut pair = SrtpPair::new(suite).context("no suite of ours")?;
    let (mut protecting, mut opening) = (Duration::ZERO, Duration::ZERO);
    for index in 0..PACKETS {
        let start = Instant::now();
        let len = pair.protect(index as u16, payload).context("not protected")?;
        let sealed = Instant::now();
        pair.unprotect(len).context("not opened")?;
        opening += sealed.elapsed();
        protecting += sealed - start;
    }
    Ok((protecting, opening))
}
