//! Keys as tones for a PBX that takes no telephone events: frames of 20 ms, one key after the other.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::codec::inband::Dial;
use crate::codec::{FRAME_SAMPLES, Frame};
use crate::rtp::rewrite::FRAME;

use super::own::frame_after;

/// Keys that wait; beyond it new ones are dropped, for those before them count.
const MAX_WAITING: usize = 32;
/// In frames. Receivers hear no tone shorter than 40 ms and no pause shorter than that (ITU-T Q.24); the
/// first and the last frame swell and fade.
const SHORTEST: u32 = 4;
const PAUSE: u32 = 3;
/// 5 s: what waits behind a key must come out in time.
const LONGEST: u32 = 250;
const RATE: u32 = 8000;

/// The keys that the PBX is to hear.
pub(super) struct Dialler {
    waiting: VecDeque<Key>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
struct Key {
    digit: char,
    /// In frames; `None` until it is let go.
    frames: Option<u32>,
}

enum State {
    Quiet,
    /// The next frame is due.
    Sounding {
        due: Instant,
        key: Key,
        dial: Dial,
        frames: u32,
    },
    /// So many frames of silence follow.
    Pausing {
        due: Instant,
        left: u32,
    },
}

impl Dialler {
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::with_capacity(MAX_WAITING), state: State::Quiet }
    }

    /// A key of a known length after those before. False when it is none, or too many wait.
    pub(super) fn press(&mut self, now: Instant, digit: char, duration: Duration) -> bool {
        self.add(now, Key { digit, frames: Some(frames(duration)) })
    }

    /// A key goes down, after those before.
    pub(super) fn down(&mut self, now: Instant, digit: char) {
        self.add(now, Key { digit, frames: None });
    }

    /// The key that went down last comes up, after so long.
    pub(super) fn up(&mut self, digit: char, duration: Duration) {
        let sounding = match &mut self.state {
            State::Sounding { key, .. } => Some(key),
            State::Quiet | State::Pausing { .. } => None,
        };
        let mut keys = sounding.into_iter().chain(&mut self.waiting);
        if let Some(key) = keys.find(|key| key.digit == digit && key.frames.is_none()) {
            key.frames = Some(frames(duration));
        }
    }

    /// Lets everything go: there is nobody to hear it.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.state = State::Quiet;
    }

    /// Whether its frames take the place of sound.
    pub(super) fn sounds(&self) -> bool {
        !matches!(self.state, State::Quiet)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Quiet => None,
            State::Sounding { due, .. } | State::Pausing { due, .. } => Some(due),
        }
    }

    /// The frame that is due.
    pub(super) fn next(&mut self, now: Instant) -> Option<Frame> {
        self.deadline().filter(|due| *due <= now)?;
        let mut frame = [0; FRAME_SAMPLES];
        let over = match &mut self.state {
            State::Quiet => false,
            State::Sounding { due, key, dial, frames } => {
                *due = frame_after(*due, now);
                *frames += 1;
                if *frames < key.frames.unwrap_or(LONGEST) {
                    dial.fill(&mut frame);
                } else {
                    let (sound, end) = frame.split_at_mut(FRAME_SAMPLES / 2);
                    dial.fill(sound);
                    dial.finish(end);
                    self.state = State::Pausing { due: *due, left: PAUSE };
                }
                false
            }
            State::Pausing { due, left } => {
                *due = frame_after(*due, now);
                *left -= 1;
                *left == 0
            }
        };
        if over {
            let due = self.deadline().unwrap_or(now);
            self.state = State::Quiet;
            self.begin(due);
        }
        Some(frame)
    }

    fn add(&mut self, now: Instant, key: Key) -> bool {
        let is_key = Dial::new(key.digit, RATE).is_some();
        if !is_key || self.waiting.len() >= MAX_WAITING {
            return false;
        }
        self.waiting.push_back(key);
        if !self.sounds() {
            self.begin(now);
        }
        true
    }

    fn begin(&mut self, due: Instant) {
        let next = self.waiting.pop_front();
        let next = next.and_then(|key| Some((key, Dial::new(key.digit, RATE)?)));
        if let Some((key, dial)) = next {
            self.state = State::Sounding { due, key, dial, frames: 0 };
        }
    }
}

fn frames(duration: Duration) -> u32 {
    let frames = duration.as_millis().div_ceil(FRAME.as_millis());
    u32::try_from(frames).unwrap_or(LONGEST).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::inband::{Change, Detector};
    use crate::rtp::testing::{epoch, ms};

    /// Lets time pass; gives what was due, with its milliseconds.
    fn run(dialler: &mut Dialler, start: Instant, to: u64) -> Vec<(u64, Frame)> {
        let mut all = Vec::new();
        while let Some(due) = dialler.deadline().filter(|due| *due < start + ms(to)) {
            let at = (due - start).as_millis() as u64;
            all.push((at, dialler.next(due).expect("due")));
        }
        all
    }

    fn heard(frames: &[(u64, Frame)]) -> Vec<Change> {
        let (mut detector, mut changes) = (Detector::new(RATE), Vec::new());
        for (_, frame) in frames {
            detector.listen(frame, &mut |change| changes.push(change));
        }
        detector.listen(&[0; 800], &mut |change| changes.push(change));
        changes
    }

    fn digits(frames: &[(u64, Frame)]) -> String {
        let down = |change| if let Change::Down(key) = change { Some(key) } else { None };
        heard(frames).into_iter().filter_map(down).collect()
    }

    #[test]
    fn keys_sound_one_after_the_other_each_20_ms_with_pauses() {
        let (start, mut dialler) = (epoch(), Dialler::new());
        for digit in "55#a".chars() {
            assert!(dialler.press(start, digit, ms(100)));
        }
        let frames = run(&mut dialler, start, 10_000);
        // Five frames and three of pause each.
        assert_eq!(
            frames.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
            (0..32).map(|n| n * 20).collect::<Vec<_>>()
        );
        assert_eq!(digits(&frames), "55#A");
        assert!(!dialler.sounds());
        assert_eq!(dialler.deadline(), None);
    }

    #[test]
    fn a_key_sounds_until_it_is_let_go() {
        let (start, mut dialler) = (epoch(), Dialler::new());
        dialler.down(start, '7');
        let mut frames = run(&mut dialler, start, 300);
        dialler.up('7', ms(310));
        frames.extend(run(&mut dialler, start, 1000));
        let [Change::Down('7'), Change::Up('7', lasted)] = heard(&frames)[..] else {
            panic!("{:?}", heard(&frames));
        };
        assert!((300..=330).contains(&lasted.as_millis()), "{lasted:?}");
    }

    #[test]
    fn a_key_that_was_short_is_long_enough_and_one_without_an_end_ends() {
        let (start, mut dialler) = (epoch(), Dialler::new());
        dialler.down(start, '1');
        dialler.up('1', ms(5));
        // Let go before its turn has come.
        dialler.down(start, '2');
        dialler.up('2', ms(60));
        let frames = run(&mut dialler, start, 1000);
        assert_eq!(digits(&frames), "12");
        assert_eq!(frames.len(), 2 * (4 + 3));
        dialler.down(start + ms(1000), '3');
        let frames = run(&mut dialler, start, 20_000);
        assert_eq!(frames.len(), 250 + 3);
    }

    #[test]
    fn too_many_keys_what_is_no_key_and_nobody_to_hear_them() {
        let (start, mut dialler) = (epoch(), Dialler::new());
        assert!(!dialler.press(start, 'x', ms(100)));
        let taken = (0..50).filter(|_| dialler.press(start, '1', ms(100))).count();
        assert_eq!(taken, MAX_WAITING + 1, "one sounds");
        dialler.clear();
        assert_eq!((dialler.deadline(), dialler.next(start)), (None, None));
        dialler.up('1', ms(10));
    }
}
