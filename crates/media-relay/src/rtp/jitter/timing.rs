//! When a packet is to be played: the least transit of the last seconds, and a target above it.

use std::time::{Duration, Instant};

use crate::options::JitterLimits;

/// The least transit is that of this many buckets: what drifts by 200 ppm moves 1.6 ms in them.
const BUCKETS: usize = 4;
const BUCKET: i64 = 2_000_000;
/// Jitter below this is the receiver's business: half a packet.
const TOLERATED: i64 = 10_000;
const BIN: i64 = 5_000;
/// Up to [`JitterLimits::HIGHEST`], and one for all above.
const BINS: usize = 40;
/// Of 100 packets so many may come after the target.
const LATE_OF_100: u32 = 1;
/// The target falls by a microsecond in so many.
const SHRINK: i64 = 50;
/// A packet later than this did not meet jitter: its source had paused without its timestamps.
const RESYNC: i64 = 400_000;
/// A packet is missed when the next has not come by so long after its own time either. Before that
/// it might be concealed by what the next brings of it.
const PATIENCE: i64 = 10_000;
/// Of a longer packet nothing is waited for longer: it would be heard as a hole.
const LONGEST_WAIT: i64 = 20_000;
/// What comes within the target comes before this after it.
const BEYOND_TARGET: i64 = 5_000;

/// Of one source. Times are microseconds since its first packet.
#[derive(Debug)]
pub(super) struct Timing {
    least: i64,
    most: i64,
    clock: i64,
    start: Option<Start>,
    /// The least transit of each of the last buckets, the present one first.
    minima: [i64; BUCKETS],
    turned: i64,
    /// Packets by their delay above the least transit: of the present two buckets, and of those before.
    bins: [u16; BINS],
    bins_before: [u16; BINS],
    turns: u8,
    target: i64,
    /// When the target was last looked at, and when the last packet came.
    heard: i64,
    came: i64,
}

#[derive(Debug, Clone, Copy)]
struct Start {
    at: Instant,
    /// The newest timestamp, and the ticks since the first.
    timestamp: u32,
    ticks: i64,
}

impl Timing {
    pub(super) fn new(limits: JitterLimits, clock: u32) -> Self {
        let most = limits.most.min(JitterLimits::HIGHEST);
        let (least, most) = (micros(limits.least.min(most)), micros(most));
        Self {
            least,
            most,
            clock: i64::from(clock.max(1)),
            start: None,
            minima: [i64::MAX; BUCKETS],
            turned: 0,
            bins: [0; BINS],
            bins_before: [0; BINS],
            turns: 0,
            target: least,
            heard: 0,
            came: 0,
        }
    }

    /// The target above the least transit.
    pub(super) fn target(&self) -> Duration {
        Duration::from_micros(self.target.unsigned_abs())
    }

    /// Another source, whose clock has nothing to do with the one before.
    pub(super) fn restart(&mut self) {
        self.start = None;
        self.target = self.least;
        self.bins = [0; BINS];
        self.bins_before = [0; BINS];
    }

    /// Notes when a packet came. `fresh` is the first after a silence: what it waited for is not known.
    pub(super) fn arrive(&mut self, now: Instant, timestamp: u32, fresh: bool) {
        let Some(start) = &mut self.start else {
            self.start = Some(Start { at: now, timestamp, ticks: 0 });
            self.minima = [0; BUCKETS];
            (self.turned, self.heard, self.came) = (0, 0, 0);
            return;
        };
        let at = micros(now.saturating_duration_since(start.at));
        self.came = at;
        let step = i64::from(timestamp.wrapping_sub(start.timestamp).cast_signed());
        if step > 0 {
            (start.timestamp, start.ticks) = (timestamp, start.ticks.saturating_add(step));
        }
        let transit = at - self.media(timestamp);
        let delay = transit - self.base();
        if fresh {
            self.minima = [transit; BUCKETS];
            return;
        }
        self.turn(at);
        if let Some(minimum) = self.minima.first_mut() {
            *minimum = transit.min(*minimum);
        }
        self.learn(at, delay.max(0));
    }

    /// The packet of this timestamp was missed when it came: the target grows at once, if that helps.
    pub(super) fn missed(&mut self, now: Instant, timestamp: u32) {
        let Some(start) = &self.start else {
            return;
        };
        let at = micros(now.saturating_duration_since(start.at));
        let delay = at - self.media(timestamp) - self.base();
        if delay <= self.most {
            self.target = self.target.max(delay + BIN).min(self.most);
        }
    }

    /// Whether a packet's source had paused without its timestamps.
    pub(super) fn is_pause(&self, now: Instant, timestamp: u32) -> bool {
        self.start.is_some_and(|start| {
            let at = micros(now.saturating_duration_since(start.at));
            at - self.media(timestamp) - self.base() > RESYNC
        })
    }

    /// When the packet of this timestamp, so many ticks long, is missed, if it is not there.
    pub(super) fn missed_at(&self, timestamp: u32, ticks: u32) -> Option<Instant> {
        let start = self.start?;
        let length = i64::from(ticks) * 1_000_000 / self.clock;
        let wait = (self.target + BEYOND_TARGET).max(length.min(LONGEST_WAIT) + PATIENCE);
        let at = self.media(timestamp) + self.base() + wait;
        Some(start.at + Duration::from_micros(u64::try_from(at).unwrap_or(0)))
    }

    /// When the packet of this timestamp is to be played, or one so many ticks before it.
    pub(super) fn due(&self, timestamp: u32, ticks_before: u32) -> Option<Instant> {
        let start = self.start?;
        let before = i64::from(ticks_before) * 1_000_000 / self.clock;
        // What is here waits for the target and no more, whatever the timestamps after it say.
        let due = (self.media(timestamp) + self.base()).min(self.came) + self.target - before;
        Some(start.at + Duration::from_micros(u64::try_from(due).unwrap_or(0)))
    }

    /// A timestamp as time since the first.
    fn media(&self, timestamp: u32) -> i64 {
        let Some(start) = &self.start else {
            return 0;
        };
        let step = timestamp.wrapping_sub(start.timestamp).cast_signed();
        start.ticks.saturating_add(step.into()).saturating_mul(1_000_000) / self.clock
    }

    fn base(&self) -> i64 {
        self.minima.iter().copied().min().unwrap_or(0)
    }

    /// Forgets what is older than the buckets.
    fn turn(&mut self, at: i64) {
        let buckets = (at - self.turned).max(0) / BUCKET;
        if buckets == 0 {
            return;
        }
        self.turned += buckets * BUCKET;
        for _ in 0..buckets.min(BUCKETS as i64) {
            self.minima.rotate_right(1);
            if let Some(minimum) = self.minima.first_mut() {
                *minimum = i64::MAX;
            }
        }
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(2) {
            self.bins_before = std::mem::replace(&mut self.bins, [0; BINS]);
        }
    }

    /// The target follows the delays: up at once, down slowly.
    fn learn(&mut self, at: i64, delay: i64) {
        let bin = usize::try_from((delay - TOLERATED).div_euclid(BIN) + 1).unwrap_or(0).min(BINS - 1);
        if let Some(count) = self.bins.get_mut(bin) {
            *count = count.saturating_add(1);
        }
        if bin == 0 && self.target == self.least {
            self.heard = at;
            return;
        }
        let wanted = self.wanted();
        let passed = (at - self.heard).max(0);
        self.heard = self.heard.max(at);
        self.target = if wanted >= self.target { wanted } else { wanted.max(self.target - passed / SHRINK) };
    }

    /// The delay that all but a few packets keep to.
    fn wanted(&self) -> i64 {
        let counts = || self.bins.iter().zip(&self.bins_before).map(|(a, b)| u32::from(*a) + u32::from(*b));
        let mut allowed = counts().sum::<u32>() * LATE_OF_100 / 100;
        let mut bin = BINS - 1;
        for count in counts().rev() {
            if count > allowed || bin == 0 {
                break;
            }
            allowed -= count;
            bin -= 1;
        }
        let edge = if bin == 0 { 0 } else { TOLERATED + BIN * bin as i64 };
        edge.clamp(self.least, self.most)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
