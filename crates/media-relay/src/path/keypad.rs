//! Keys that we press ourselves: the packets of their events (RFC 4733 2.5.1), one after the other.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::rtp::dtmf::{self, Event};
use crate::rtp::rewrite::FRAME;

use super::own::frame_after;

/// Keys that wait to be pressed; beyond it new ones are refused, for those before them count.
const MAX_WAITING: usize = 32;
/// RFC 4733 says nothing; receivers hear no tone shorter than this (ITU-T Q.24).
const SHORTEST: Duration = Duration::from_millis(40);
/// Longer ones are cut: what waits behind them must come out in time.
const LONGEST: Duration = Duration::from_secs(5);
/// After a packet of somebody else's key: more than the usual intervals of its packets.
const REST: Duration = Duration::from_millis(60);
/// RFC 4733 2.5.1.4: the end is sent this often.
const ENDS: u8 = 3;
/// What telephones say, in -dBm0.
const VOLUME: u8 = 10;

/// The keys of one direction.
pub(super) struct Keypad {
    waiting: VecDeque<Key>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
struct Key {
    code: u8,
    /// `None` until it is let go.
    duration: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The next key may go down from then on.
    Up {
        free_at: Option<Instant>,
    },
    Down(Down),
}

#[derive(Debug, Clone, Copy)]
struct Down {
    key: Key,
    since: Instant,
    due: Instant,
    timestamp: u32,
    packets: u32,
    ends: u8,
}

/// A packet of an event of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyPacket {
    pub(super) event: Event,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
}

impl Keypad {
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::with_capacity(MAX_WAITING), state: State::Up { free_at: None } }
    }

    /// Presses a key after those that wait. False when it is none, or too many wait.
    pub(super) fn press(&mut self, now: Instant, digit: char, duration: Duration) -> bool {
        self.add(now, digit, Some(duration.clamp(SHORTEST, LONGEST)))
    }

    /// Presses a key after those that wait, and keeps it down until [`Self::release`].
    pub(super) fn hold(&mut self, now: Instant, digit: char) -> bool {
        self.add(now, digit, None)
    }

    /// Lets go the key that is held, so long after it was pressed.
    pub(super) fn release(&mut self, duration: Duration) {
        let duration = duration.clamp(SHORTEST, LONGEST);
        match &mut self.state {
            // Longer than what was said already: the next packet is its end.
            State::Down(down) if down.key.duration.is_none() => {
                down.key.duration = Some(duration.max(FRAME * (down.packets + 1)));
            }
            State::Down(_) | State::Up { .. } => {
                if let Some(key) = self.waiting.iter_mut().find(|key| key.duration.is_none()) {
                    key.duration = Some(duration);
                }
            }
        }
    }

    fn add(&mut self, now: Instant, digit: char, duration: Option<Duration>) -> bool {
        let Some(code) = dtmf::code(digit).filter(|_| self.waiting.len() < MAX_WAITING) else {
            return false;
        };
        if let (State::Up { free_at }, true) = (&mut self.state, self.waiting.is_empty()) {
            *free_at = Some(free_at.map_or(now, |at| at.max(now)));
        }
        self.waiting.push_back(Key { code, duration });
        true
    }

    /// Somebody else's key is down on the same line: ours wait until it is up, and 40 ms longer.
    pub(super) fn rest(&mut self, now: Instant) {
        if let State::Up { free_at } = &mut self.state {
            let until = now + REST;
            *free_at = Some(free_at.map_or(until, |at| at.max(until)));
        }
    }

    /// Lets everything go: there is nobody to hear it.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.state = State::Up { free_at: None };
    }

    /// Whether a key is down: its packets take the place of sound.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.state, State::Down(_))
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Up { free_at } => free_at.filter(|_| !self.waiting.is_empty()),
            State::Down(down) => Some(down.due),
        }
    }

    /// The packet that is due, its durations in `clock`; `start` gives the timestamp of an event
    /// that begins.
    pub(super) fn next(
        &mut self,
        now: Instant,
        clock: u32,
        start: impl FnOnce() -> u32,
    ) -> Option<KeyPacket> {
        self.deadline().filter(|due| *due <= now)?;
        let mut down = match self.state {
            State::Down(down) => down,
            State::Up { .. } => {
                let key = self.waiting.pop_front()?;
                Down { key, since: now, due: now, timestamp: start(), packets: 0, ends: 0 }
            }
        };
        let packet = down.packet(now, clock);
        self.state = if down.ends == ENDS {
            // 40 ms at least after the end: it was sent for the first time 40 ms ago.
            State::Up { free_at: Some(now + FRAME) }
        } else {
            down.due = frame_after(down.due, now);
            State::Down(down)
        };
        Some(packet)
    }
}

impl Down {
    fn packet(&mut self, now: Instant, clock: u32) -> KeyPacket {
        let lasts = now.saturating_duration_since(self.since) + FRAME;
        let whole = self.key.duration.unwrap_or(LONGEST).min(longest(clock));
        let end = lasts >= whole;
        let ticks = lasts.min(whole).as_micros() * u128::from(clock) / 1_000_000;
        let duration = u16::try_from(ticks).unwrap_or(u16::MAX);
        self.ends += u8::from(end);
        self.packets += 1;
        KeyPacket {
            event: Event { code: self.key.code, end, volume: VOLUME, duration },
            timestamp: self.timestamp,
            marker: self.packets == 1,
        }
    }
}

/// What one duration field can say: 1.36 s at 48 kHz.
fn longest(clock: u32) -> Duration {
    Duration::from_micros(u64::from(u16::MAX) * 1_000_000 / u64::from(clock))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::testing::{epoch, ms};

    /// Every packet with its milliseconds, keys beginning at 1000 times their number.
    fn all(keypad: &mut Keypad, start: Instant, clock: u32) -> Vec<(u128, KeyPacket)> {
        let (mut packets, mut begun) = (Vec::new(), 0);
        while let Some(due) = keypad.deadline() {
            let begin = || {
                begun += 1000;
                begun
            };
            let packet = keypad.next(due, clock, begin).expect("due");
            packets.push(((due - start).as_millis(), packet));
        }
        packets
    }

    #[test]
    fn a_key_grows_and_ends_three_times() {
        let (start, mut keypad) = (epoch(), Keypad::new());
        assert!(keypad.press(start, '5', ms(100)));
        let told: Vec<_> = all(&mut keypad, start, 8000)
            .iter()
            .map(|(at, packet)| (*at, packet.event.duration, packet.event.end, packet.marker))
            .collect();
        assert_eq!(
            told,
            [
                (0, 160, false, true),
                (20, 320, false, false),
                (40, 480, false, false),
                (60, 640, false, false),
                (80, 800, true, false),
                (100, 800, true, false),
                (120, 800, true, false),
            ]
        );
    }

    #[test]
    fn keys_keep_their_order_and_40_ms_between_them() {
        for length in [40, 50, 100, 250, 251] {
            let (start, mut keypad) = (epoch(), Keypad::new());
            for digit in "90*d".chars() {
                assert!(keypad.press(start, digit, ms(length)));
            }
            let packets = all(&mut keypad, start, 8000);
            let codes: Vec<u8> =
                packets.iter().filter(|(_, p)| p.marker).map(|(_, p)| p.event.code).collect();
            assert_eq!(codes, [9, 0, 10, 15]);
            let begins: Vec<u128> = packets.iter().filter(|(_, p)| p.marker).map(|(at, _)| *at).collect();
            for pair in begins.windows(2) {
                let gap = pair[1] - pair[0] - u128::from(length);
                assert!((40..60).contains(&gap), "{length}: {gap}");
            }
            assert_eq!(packets.iter().filter(|(_, packet)| packet.event.end).count(), 12);
            let last = packets.last().expect("packets").1;
            assert_eq!((last.timestamp, u64::from(last.event.duration)), (4000, length * 8));
        }
    }

    #[test]
    fn lengths_are_bounded_by_what_is_heard_and_by_the_field() {
        for (asked, clock, told) in [(0, 8000, 320), (60_000, 8000, 40_000), (5000, 48_000, u16::MAX - 1)] {
            let (start, mut keypad) = (epoch(), Keypad::new());
            keypad.press(start, '1', ms(asked));
            let last = all(&mut keypad, start, clock).last().expect("packets").1;
            assert!(last.event.end && last.event.duration.abs_diff(told) <= 1, "{last:?}");
        }
    }

    #[test]
    fn a_key_is_held_until_it_is_released_and_longer_than_it_was_said_to_be() {
        for (released, told) in [(100, 220), (220, 220), (230, 230)] {
            let (start, mut keypad) = (epoch(), Keypad::new());
            assert!(keypad.hold(start, '5'));
            for nth in 0..10 {
                let packet = keypad.next(start + ms(20 * nth), 8000, || 0).expect("due");
                assert!(!packet.event.end);
            }
            keypad.release(ms(released));
            let rest = all(&mut keypad, start, 8000);
            assert_eq!(rest.iter().filter(|(_, packet)| packet.event.end).count(), 3);
            assert_eq!(u64::from(rest.last().expect("packets").1.event.duration), told * 8);
        }
        // Released while it waits; and held for ever.
        let (start, mut keypad) = (epoch(), Keypad::new());
        keypad.press(start, '1', ms(100));
        keypad.hold(start, '2');
        keypad.release(ms(60));
        keypad.hold(start, '3');
        let packets = all(&mut keypad, start, 8000);
        let ends: Vec<u16> =
            packets.iter().filter(|(_, p)| p.event.end).map(|(_, p)| p.event.duration).collect();
        assert_eq!(ends, [800, 800, 800, 480, 480, 480, 40_000, 40_000, 40_000]);
    }

    #[test]
    fn no_key_and_too_many_keys_are_refused() {
        let (start, mut keypad) = (epoch(), Keypad::new());
        assert!(!keypad.press(start, 'x', ms(100)));
        assert_eq!(keypad.deadline(), None);
        for _ in 0..MAX_WAITING {
            assert!(keypad.press(start, '1', ms(100)));
        }
        assert!(!keypad.press(start, '2', ms(100)));
        keypad.clear();
        assert!(keypad.deadline().is_none() && !keypad.is_down());
    }

    #[test]
    fn a_late_timer_is_no_burst() {
        let (start, mut keypad) = (epoch(), Keypad::new());
        keypad.press(start, '1', ms(1000));
        keypad.next(start, 8000, || 0).expect("the first");
        let late = keypad.next(start + ms(500), 8000, || 0).expect("one");
        assert_eq!(late.event.duration, 520 * 8);
        assert_eq!(keypad.deadline(), Some(start + ms(520)));
    }
}
