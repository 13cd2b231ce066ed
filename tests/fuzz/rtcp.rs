//! Reports of whoever it may be, beside the packets that they tell of.

use std::time::{Duration, Instant};

use media_relay::fuzzing::Told;

use crate::choices::Choices;

const OURS: u32 = 0x0102_0304;
/// Packet types: those that mean something, and others.
const TYPES: [u8; 8] = [200, 201, 202, 203, 204, 205, 207, 72];

/// One input is one side's history. Nothing that they report is more than all, our own reports are such that we take
/// them ourselves, and one that comes back as an echo tells nothing.
pub(crate) fn rtcp(data: &[u8]) {
    let mut choices = Choices(data);
    let start = Instant::now();
    let (mut now, mut told) = (start, Told::new(start, OURS));
    let mut sequence = choices.word();
    while !choices.is_over() {
        match choices.byte() % 8 {
            0 => {
                now += Duration::from_millis(u64::from(choices.byte()) * 40);
            }
            1 | 2 => {
                sequence = match choices.byte() {
                    0..200 => sequence.wrapping_add(1),
                    200..240 => sequence.wrapping_add(u16::from(choices.byte())),
                    _ => choices.word(),
                };
                told.received(now, &packet(&mut choices, 9, sequence));
            }
            3 => told.sent(now, &packet(&mut choices, OURS, sequence)),
            4 => {
                let length = usize::from(choices.byte());
                told.hear(now, choices.bytes(length));
            }
            _ => {
                let compound = compound(&mut choices);
                told.hear(now, &compound);
            }
        }
        assert!(told.loss().is_none_or(|percent| percent <= 100));
        let mut buffer = [0; 512];
        let unix = Duration::from_secs(1_800_000_000) + now.saturating_duration_since(start);
        if let Some(length) = told.handle_timeout(now, unix, &mut buffer) {
            let report = &buffer[..length];
            assert!(length % 4 == 0 && matches!(report[1], 200 | 201), "{report:?}");
            let before = told.loss();
            assert!(told.hear(now, report), "our own report: {report:?}");
            assert_eq!(told.loss(), before, "an echo");
            assert!(told.deadline().is_none_or(|due| due > now), "the next one is later");
        }
    }
}

fn packet(choices: &mut Choices<'_>, ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(choices.word()) << 8).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x55; 20]);
    packet
}

/// Packets whose lengths are mostly right.
fn compound(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut compound = Vec::new();
    for _ in 0..1 + choices.byte() % 3 {
        let (kind, count) = (choices.of(&TYPES), choices.byte() % 32);
        let words = match kind {
            200 => 6 + 6 * usize::from(count % 4),
            201 => 1 + 6 * usize::from(count % 4),
            _ => usize::from(choices.byte() % 16),
        };
        let count = if kind < 202 { count % 4 } else { count };
        let said = if choices.byte() < 240 { words } else { words + 1 };
        compound.extend([0x80 | count, kind, 0, u8::try_from(said).unwrap_or(u8::MAX)]);
        let mut body = choices.bytes(4 * words).to_vec();
        body.resize(4 * words, 0);
        if let (true, Some(ssrc)) = (kind == 201 && choices.coin(), body.get_mut(4..8)) {
            ssrc.copy_from_slice(&OURS.to_be_bytes());
        }
        compound.extend(body);
    }
    compound
}
