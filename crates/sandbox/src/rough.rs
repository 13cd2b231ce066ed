//! A rough way to the other end: packets are lost, delayed and overtaken, by a seed.

use std::time::{Duration, Instant};

/// Packets under way; more are lost.
const UNDER_WAY: usize = 256;

/// What becomes of what an end sends.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rough {
    /// Part of the packets that is lost, 0 to 1.
    pub loss: f64,
    /// Each packet is delayed by up to this.
    pub jitter: Duration,
    /// A packet may overtake those before it; else they keep their order.
    pub reorder: bool,
    /// Another seed, other packets.
    pub seed: u64,
}

/// The packets under way.
#[derive(Debug)]
pub struct Road {
    rough: Rough,
    state: u64,
    latest: Option<Instant>,
    packets: Vec<(Instant, Vec<u8>)>,
}

impl Road {
    /// Nothing is under way.
    #[must_use]
    pub fn new(rough: Rough) -> Self {
        Self { rough, state: rough.seed, latest: None, packets: Vec::new() }
    }

    /// A packet is sent.
    pub fn send(&mut self, now: Instant, packet: Vec<u8>) {
        if self.draw() < self.rough.loss || self.packets.len() >= UNDER_WAY {
            return;
        }
        let mut at = now + self.rough.jitter.mul_f64(self.draw());
        if !self.rough.reorder {
            at = self.latest.map_or(at, |latest| at.max(latest));
            self.latest = Some(at);
        }
        self.packets.push((at, packet));
    }

    /// When the next one arrives.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.packets.iter().map(|(at, _)| *at).min()
    }

    /// One that has arrived.
    pub fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        let due = self.packets.iter().enumerate().filter(|(_, (at, _))| *at <= now);
        let (index, _) = due.min_by_key(|(_, (at, _))| *at)?;
        Some(self.packets.remove(index).1)
    }

    /// 0 to 1: `SplitMix64`.
    fn draw(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A packet each 20 ms; when and in what order they arrive.
    fn arrivals(rough: Rough) -> Vec<(Duration, u16)> {
        let (start, mut road, mut arrived) = (Instant::now(), Road::new(rough), Vec::new());
        for ms in 0..21_000_u32 {
            let now = start + MS * ms;
            if ms < 20_000 && ms % 20 == 0 {
                road.send(now, ((ms / 20) as u16).to_be_bytes().to_vec());
            }
            while let Some(packet) = road.poll(now) {
                arrived.push((MS * ms, u16::from_be_bytes([packet[0], packet[1]])));
            }
        }
        assert_eq!(road.deadline(), None);
        arrived
    }

    #[test]
    fn a_smooth_road_delivers_each_at_once() {
        let arrived = arrivals(Rough::default());
        let wanted: Vec<_> = (0..1000).map(|n| (MS * 20 * u32::from(n), n)).collect();
        assert_eq!(arrived, wanted);
    }

    #[test]
    fn as_many_are_lost_and_as_late_as_was_said() {
        let rough = Rough { loss: 0.2, jitter: 60 * MS, reorder: true, seed: 7 };
        let arrived = arrivals(rough);
        assert!((740..860).contains(&arrived.len()), "{} of 1000", arrived.len());
        let late: Vec<Duration> = arrived.iter().map(|(at, n)| *at - MS * 20 * u32::from(*n)).collect();
        assert!(late.iter().all(|late| *late <= 61 * MS) && late.iter().any(|late| *late > 50 * MS));
        assert!(arrived.windows(2).any(|pair| pair[1].1 < pair[0].1), "nothing overtakes");
        assert_eq!(arrived, arrivals(rough), "the same seed, the same road");
        let straight = arrivals(Rough { reorder: false, ..rough });
        assert!(straight.windows(2).all(|pair| pair[0].1 < pair[1].1));
    }
}
