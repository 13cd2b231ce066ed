//! Digits as WhatsApp carries them: RFC 4733 events on the audio's SSRC, sequence and 48 kHz time line, with
//! durations in 8 kHz units.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const KEYS: &str = "0123456789*#ABCD";
/// Length of a press and of the pause after it, in packets of 20 ms.
const PRESS: u16 = 5;
const PAUSE: u16 = 4;
/// 20 ms at 8 kHz.
const STEP: u16 = 160;
const VOLUME: u8 = 10;
const END: u8 = 0x80;
/// The last packet of an event goes out three times (RFC 4733, 2.5.1.4).
const LAST_COPIES: usize = 3;
/// Digits waiting to be pressed; more are refused.
const MAX_WAITING: usize = 64;
/// Events remembered, to know late copies again.
const REMEMBERED: usize = 8;
/// How far an event's duration may run ahead of the clock before its unit is doubted.
const DURATION_SLACK: Duration = Duration::from_millis(250);
/// How far an event may start from the last audio packet on the 48 kHz line: 1 s.
const LINE_SLACK: u32 = 48_000;

/// One event packet to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EventPacket {
    pub(crate) payload: [u8; 4],
    pub(crate) marker: bool,
    pub(crate) timestamp: u32,
}

/// The user's dial pad: what is still to be pressed.
#[derive(Default)]
pub(crate) struct Keypad {
    waiting: VecDeque<u8>,
    press: Option<Press>,
    pause: u16,
}

struct Press {
    key: u8,
    timestamp: u32,
    packets: u16,
}

impl Keypad {
    /// Queues digits; what is no key, or too much, is left out.
    pub(crate) fn press(&mut self, digits: &str) {
        for digit in digits.chars() {
            if let (Some(key), true) =
                (KEYS.find(digit.to_ascii_uppercase()), self.waiting.len() < MAX_WAITING)
            {
                self.waiting.push_back(key as u8);
            }
        }
    }

    /// The next 20 ms: event packets that take the place of sound, or nothing.
    pub(crate) fn tick(&mut self, timestamp: u32) -> Vec<EventPacket> {
        if self.press.is_none() {
            if self.pause > 0 {
                self.pause -= 1;
                return Vec::new();
            }
            self.press = self.waiting.pop_front().map(|key| Press { key, timestamp, packets: 0 });
        }
        let Some(press) = &mut self.press else { return Vec::new() };
        press.packets += 1;
        let (duration, last) = (press.packets * STEP, press.packets == PRESS);
        let [high, low] = duration.to_be_bytes();
        let payload = [press.key, if last { END | VOLUME } else { VOLUME }, high, low];
        let (marker, timestamp) = (press.packets == 1, press.timestamp);
        if last {
            self.press = None;
            self.pause = PAUSE;
        }
        let copies = if last { LAST_COPIES } else { 1 };
        (0..copies).map(|_| EventPacket { payload, marker, timestamp }).collect()
    }
}

/// What the user hears of the business's digits, each once.
#[derive(Default)]
pub(crate) struct Digits {
    heard: String,
    recent: VecDeque<u32>,
    started: Option<Instant>,
}

/// One event packet received.
#[derive(Clone, Copy)]
pub(crate) struct Arrived<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) marker: bool,
    pub(crate) timestamp: u32,
    /// Timestamp of the last audio packet.
    pub(crate) audio: Option<u32>,
}

impl Digits {
    pub(crate) fn as_str(&self) -> &str {
        &self.heard
    }

    /// A new digit, and what is wrong with the packet.
    pub(crate) fn receive(&mut self, now: Instant, packet: Arrived<'_>) -> (Option<char>, Option<String>) {
        let [key, flags, high, low] = *packet.payload else {
            return (None, Some(format!("telephone-event of {} bytes", packet.payload.len())));
        };
        if self.recent.contains(&packet.timestamp) {
            return (None, self.check_duration(now, flags, u16::from_be_bytes([high, low])));
        }
        let Some(digit) = KEYS.chars().nth(usize::from(key)) else {
            return (None, Some(format!("telephone-event {key} is no key")));
        };
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(packet.timestamp);
        self.started = Some(now);
        self.heard.push(digit);
        let off = packet.audio.is_some_and(|audio| {
            packet.timestamp.wrapping_sub(audio).min(audio.wrapping_sub(packet.timestamp)) > LINE_SLACK
        });
        let wrong = if off {
            Some(format!("digit {digit}: timestamp is not on the audio's 48 kHz line"))
        } else if !packet.marker {
            Some(format!("digit {digit}: no marker on its first packet"))
        } else {
            None
        };
        (Some(digit), wrong)
    }

    fn check_duration(&self, now: Instant, flags: u8, duration: u16) -> Option<String> {
        let passed = now.saturating_duration_since(self.started?);
        let said = Duration::from_micros(u64::from(duration) * 125);
        (flags & END != 0 && said > passed + DURATION_SLACK)
            .then(|| format!("event duration {duration} is not in 8 kHz units: {passed:?} have passed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_press_is_five_steps_and_three_last_packets_with_one_timestamp() {
        let mut keypad = Keypad::default();
        keypad.press("x1");
        let ticks: Vec<Vec<EventPacket>> = (0..12).map(|tick| keypad.tick(1000 + tick * 960)).collect();
        let lengths: Vec<usize> = ticks.iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 1, 1, 1, 3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(ticks[0][0], EventPacket { payload: [1, 10, 0, 160], marker: true, timestamp: 1000 });
        assert_eq!(ticks[1][0], EventPacket { payload: [1, 10, 1, 64], marker: false, timestamp: 1000 });
        assert_eq!(ticks[4][2], EventPacket { payload: [1, 0x8a, 3, 32], marker: false, timestamp: 1000 });
    }

    #[test]
    fn equal_digits_are_two_events_and_each_is_heard_once() {
        let (mut keypad, mut digits) = (Keypad::default(), Digits::default());
        keypad.press("11#a");
        let mut now = Instant::now();
        for tick in 0..60 {
            now += Duration::from_millis(20);
            for event in keypad.tick(tick * 960) {
                let EventPacket { payload, marker, timestamp } = event;
                let (_, wrong) = digits
                    .receive(now, Arrived { payload: &payload, marker, timestamp, audio: Some(tick * 960) });
                assert_eq!(wrong, None);
            }
        }
        assert_eq!(digits.as_str(), "11#A");
    }

    #[test]
    fn wrong_clocks_are_seen() {
        let now = Instant::now();
        let mut digits = Digits::default();
        let event = |payload: &'static [u8], timestamp| Arrived {
            payload,
            marker: true,
            timestamp,
            audio: Some(10_000_000),
        };
        let (digit, wrong) = digits.receive(now, event(&[5, 10, 0, 160], 1_666_666));
        assert_eq!(digit, Some('5'));
        assert!(wrong.unwrap().contains("48 kHz line"));
        // 100 ms counted in 48 kHz units.
        let (digit, wrong) =
            digits.receive(now + Duration::from_millis(100), event(&[5, 0x8a, 0x12, 0xc0], 1_666_666));
        assert_eq!(digit, None);
        assert!(wrong.unwrap().contains("8 kHz units"));
        assert!(digits.receive(now, event(&[5, 10], 3)).1.is_some());
    }
}
