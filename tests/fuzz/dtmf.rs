//! Telephone events from one clock to another.

use std::time::{Duration, Instant};

use media_relay::fuzzing::{Key, KeyRelay};

use crate::choices::Choices;

/// Clocks of timestamps and durations in, and of durations out.
const CLOCKS: [(u32, u32, u32); 4] =
    [(48_000, 8000, 8000), (8000, 8000, 8000), (48_000, 48_000, 8000), (48_000, 8000, 48_000)];
const DURATIONS: [u16; 8] = [0, 160, 320, 800, 960, 8000, 65_280, u16::MAX];
const STEPS: [u32; 8] = [0, 160, 960, 800, 65_280, 4_800_000, u32::MAX, 65_535];

/// One input is one direction's events. Each key that is told as down is told as up once, before the next one goes
/// down and in the end by the clock alone; what goes out is an event of a key, where it was begun.
pub(crate) fn dtmf(data: &[u8]) {
    let mut choices = Choices(data);
    let (clock, from, to) = choices.of(&CLOCKS);
    let mut keys = KeyRelay::new(clock, from, to);
    let mut now = Instant::now();
    let mut timestamp = u32::from(choices.word()) << 16;
    let (mut down, mut begun) = (None, 0_u32);
    while !choices.is_over() {
        let what = choices.byte();
        if what & 0x80 != 0 {
            now += Duration::from_millis(u64::from(what & 0x7f) * 4);
            if let Some(digit) = keys.handle_timeout(now) {
                assert_eq!(down.take(), Some(digit), "up without down");
            }
            continue;
        }
        if what & 0x40 != 0 {
            timestamp = timestamp.wrapping_add(choices.of(&STEPS));
        }
        let payload = payload(&mut choices);
        let key = keys.handle(now, (timestamp, what & 1 != 0), &payload, begun + 1);
        let Some(Key { timestamp: place, payload: sent, lost_end, down: pressed, up }) = key else {
            continue;
        };
        if let Some(digit) = lost_end {
            assert_eq!(down.take(), Some(digit), "lost its end without a beginning");
        }
        if let Some(digit) = pressed {
            assert_eq!(down.replace(digit), None, "down twice");
            begun += 1;
        }
        if let Some(digit) = up {
            assert_eq!(down.take(), Some(digit), "up without down");
        }
        // Its segments follow one another (RFC 4733 2.5.1.3).
        assert_eq!(place % u32::from(u16::MAX), begun, "the place of the event that goes on");
        assert!(sent[0] < 16 && sent[0] == payload[0] && sent[1] & 0xbf == payload[1] & 0xbf, "{sent:?}");
    }
    while let Some(at) = keys.deadline() {
        let digit = keys.handle_timeout(at).expect("its time has come");
        assert_eq!(down.take(), Some(digit), "up without down");
    }
    assert_eq!(down, None, "down for ever");
}

/// Mostly an event as they are; too short or too long now and then.
fn payload(choices: &mut Choices<'_>) -> Vec<u8> {
    let [high, low] = choices.of(&DURATIONS).to_be_bytes();
    let what = choices.byte();
    let mut payload = vec![what % 17, (what & 0x80) | 10, high, low];
    match choices.byte() {
        255 => payload.truncate(3),
        254 => payload.resize(1400, 0x55),
        253 => payload = choices.bytes(4).to_vec(),
        _ => {}
    }
    payload
}
