//! Watches the machine, so that its own pauses are not held against the bridge.
//!
//! A thread that wants to wake every 5 ms and wakes late has been kept from its
//! core, and so may everybody else have been: a gap at that time proves nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::tone::Gap;

const BEAT: Duration = Duration::from_millis(5);
/// Later than this is a pause.
const LATE: Duration = Duration::from_millis(15);
/// Pauses kept; later ones are not.
const PAUSES: usize = 10_000;

/// The watching thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Metronome {
    pauses: Arc<Mutex<Vec<Gap>>>,
    stop: Arc<AtomicBool>,
}

impl Metronome {
    /// Starts to watch.
    #[must_use]
    pub fn start() -> Self {
        let (pauses, stop) = (Arc::<Mutex<Vec<Gap>>>::default(), Arc::<AtomicBool>::default());
        let (list, over) = (Arc::clone(&pauses), Arc::clone(&stop));
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let at = Instant::now();
                thread::sleep(BEAT);
                let length = at.elapsed();
                let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
                if length > BEAT + LATE && list.len() < PAUSES {
                    list.push(Gap { at, length });
                }
            }
        });
        Self { pauses, stop }
    }

    /// The pauses seen.
    #[must_use]
    pub fn pauses(&self) -> Vec<Gap> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Metronome {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What remains of a gap when the machine's pauses in it are taken off.
#[must_use]
pub fn without(gap: Gap, pauses: &[Gap]) -> Duration {
    let (start, end) = (gap.at, gap.at + gap.length);
    let paused: Duration = pauses
        .iter()
        .map(|pause| (pause.at + pause.length).min(end).saturating_duration_since(pause.at.max(start)))
        .sum();
    gap.length.saturating_sub(paused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_common_time_is_taken_off() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let gap = |at, length| Gap { at: start + ms(at), length: ms(length) };
        assert_eq!(without(gap(100, 80), &[]), ms(80));
        assert_eq!(without(gap(100, 80), &[gap(0, 100), gap(180, 50)]), ms(80));
        assert_eq!(without(gap(100, 80), &[gap(90, 30), gap(170, 30)]), ms(50));
        assert_eq!(without(gap(100, 80), &[gap(0, 900)]), ms(0));
    }
}
