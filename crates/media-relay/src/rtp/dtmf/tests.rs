use super::super::testing::{epoch, header as packet_header, ms};
use super::*;

const FROM_WHATSAPP: Clocks = Clocks { timestamp: 48_000, from: 8000, to: 8000, line: 48_000 };

fn event(code: u8, duration: u16, end: bool) -> Event {
    Event { code, end, volume: 10, duration }
}

fn header(timestamp: u32, marker: bool) -> Header {
    Header { marker, ..packet_header(126, 1, 0, timestamp) }
}

/// Feeds (timestamp, marker, event); gives the digits and (timestamp, duration, marker) out. The
/// n-th event that begins is put at n * 1000.
fn relay(clocks: Clocks, packets: &[(u32, bool, Event)]) -> (String, Vec<(u32, u16, bool)>) {
    let mut relay = Relay::new(clocks);
    let (mut digits, mut out, mut begun) = (String::new(), Vec::new(), 0);
    for (timestamp, marker, event) in packets {
        let start = || {
            begun += 1000;
            begun
        };
        if let Some(relayed) = relay.handle(epoch(), header(*timestamp, *marker), *event, start) {
            assert_eq!(relayed.event.end, event.end);
            assert_eq!(relayed.event.volume, event.volume);
            digits.extend(relayed.told.digit);
            out.push((relayed.timestamp, relayed.event.duration, relayed.told.digit.is_some()));
        }
    }
    (digits, out)
}

/// One key as it is usually sent: every 20 ms, the end three times.
fn key(timestamp: u32, code: u8, ticks: u16) -> Vec<(u32, bool, Event)> {
    let mut packets: Vec<_> =
        (1..=5).map(|step| (timestamp, step == 1, event(code, step * ticks, false))).collect();
    packets.extend([(timestamp, false, event(code, 6 * ticks, true)); 3]);
    packets
}

#[test]
fn payloads_come_back() {
    let bytes = [5, 0x8a, 0x03, 0x20];
    let parsed = Event::parse(&bytes).expect("four bytes");
    assert_eq!(parsed, event(5, 800, true));
    assert_eq!(parsed.to_bytes(), bytes);
    assert_eq!(Event::parse(&bytes[..3]), None);
}

#[test]
fn all_sixteen_keys_once_each() {
    let packets: Vec<_> = (0..16).flat_map(|code| key(u32::from(code) * 9600, code, 160)).collect();
    let (digits, out) = relay(FROM_WHATSAPP, &packets);
    assert_eq!(digits, "0123456789*#ABCD");
    assert_eq!(out.len(), packets.len());
    for (index, chunk) in out.chunks(8).enumerate() {
        let start = (index as u32 + 1) * 1000;
        let durations = [160, 320, 480, 640, 800, 960, 960, 960];
        for (nth, (sent, duration)) in chunk.iter().zip(durations).enumerate() {
            assert_eq!(*sent, (start, duration, nth == 0));
        }
    }
}

#[test]
fn durations_change_their_clock_both_ways() {
    let up = Clocks { to: 48_000, ..FROM_WHATSAPP };
    let (_, out) = relay(up, &key(0, 1, 160));
    assert_eq!(out[0].1, 960);
    assert_eq!(out[7].1, 5760);
    let down = Clocks { timestamp: 48_000, from: 48_000, to: 8000, line: 48_000 };
    let (_, out) = relay(down, &key(0, 1, 960));
    assert_eq!(out[0].1, 160);
    assert_eq!(out[7].1, 960);
    // What does not fit says "at least this long".
    let (_, out) = relay(up, &[(0, true, event(1, 60_000, false))]);
    assert_eq!(out[0].1, u16::MAX);
}

#[test]
fn two_equal_digits_stay_two_and_lost_packets_lose_none() {
    let twice = [key(0, 1, 160), key(9600, 1, 160)].concat();
    assert_eq!(relay(FROM_WHATSAPP, &twice).0, "11");
    // All end packets of the first one lost.
    let lost: Vec<_> = twice
        .iter()
        .enumerate()
        .filter(|(index, _)| !(5..8).contains(index))
        .map(|(_, packet)| *packet)
        .collect();
    assert_eq!(relay(FROM_WHATSAPP, &lost).0, "11");
    // Only one end packet of each arrives.
    let ends = [twice[7], twice[15]];
    let (digits, out) = relay(FROM_WHATSAPP, &ends);
    assert_eq!(digits, "11");
    assert_eq!(out, [(1000, 960, true), (2000, 960, true)]);
}

#[test]
fn an_end_packet_that_comes_after_the_next_key_is_left_out() {
    let mut packets = [key(0, 1, 160), key(9600, 2, 160)].concat();
    let straggler = packets.remove(7);
    packets.insert(9, straggler);
    let (digits, out) = relay(FROM_WHATSAPP, &packets);
    assert_eq!(digits, "12");
    assert_eq!(out.len(), packets.len() - 1);
}

#[test]
fn the_same_key_with_a_timestamp_that_stood_still() {
    let twice = [key(0, 7, 160), key(0, 7, 160)].concat();
    assert_eq!(relay(FROM_WHATSAPP, &twice).0, "77");
}

#[test]
fn a_key_held_longer_than_a_duration_can_say_stays_one() {
    let down = Clocks { timestamp: 48_000, from: 48_000, to: 8000, line: 48_000 };
    let packets = [
        (0, true, event(3, 30_000, false)),
        (0, false, event(3, u16::MAX, false)),
        (65_535, false, event(3, 960, false)),
        (65_535, false, event(3, 9600, true)),
    ];
    let (digits, out) = relay(down, &packets);
    assert_eq!(digits, "3");
    let durations: Vec<u16> = out.iter().map(|sent| sent.1).collect();
    assert_eq!(durations, [5000, 10_922, 10_922 + 160, 10_922 + 1600]);
    assert!(out.iter().all(|sent| sent.0 == 1000));
}

#[test]
fn timestamps_wrap_and_other_events_pass_by() {
    let packets = [key(u32::MAX - 100, 1, 160), key(9500, 2, 160)].concat();
    assert_eq!(relay(FROM_WHATSAPP, &packets).0, "12");
    let tones = [(0, true, event(16, 160, false)), (0, true, event(36, 160, true))];
    assert_eq!(relay(FROM_WHATSAPP, &tones), (String::new(), Vec::new()));
}

/// A key held by a sender that never ends it: its length grew without bound and overflowed.
#[test]
fn a_key_held_for_ever_is_as_long_as_can_be_said() {
    let up = Clocks { to: 48_000, ..FROM_WHATSAPP };
    let held: Vec<_> = (0..12_000_u32)
        .map(|segment| (segment.wrapping_mul(6 * 65_535), segment == 0, event(1, u16::MAX, false)))
        .collect();
    let (digits, out) = relay(up, &held);
    assert_eq!(digits, "1");
    assert!(out.len() == held.len() && out.iter().all(|(_, duration, _)| *duration == u16::MAX));
}

/// What is told of packets that come every 20 ms, and what the time says at the end.
fn told(clocks: Clocks, packets: &[(u32, bool, Event)]) -> (String, Option<Pressed>) {
    let (mut relay, start, mut told) = (Relay::new(clocks), epoch(), String::new());
    let mut now = start;
    for (timestamp, marker, event) in packets {
        if let Some(relayed) = relay.handle(now, header(*timestamp, *marker), *event, || 0) {
            let Told { lost_end, digit, ended } = relayed.told;
            let up = |pressed: Pressed| format!("{}:{} ", pressed.digit, pressed.duration.as_millis());
            told.extend(lost_end.map(up));
            told.extend(digit.map(|digit| format!("+{digit} ")));
            told.extend(ended.map(up));
        }
        now += ms(20);
    }
    let early = relay.handle_timeout(now + END_LOST - ms(21));
    assert_eq!(early, None);
    let late = relay.handle_timeout(now + END_LOST);
    assert_eq!(relay.deadline(), None);
    (told, late)
}

#[test]
fn each_key_is_told_when_it_is_down_and_when_it_is_up_with_its_length() {
    let two = [key(0, 1, 160), key(9600, 2, 160)].concat();
    assert_eq!(told(FROM_WHATSAPP, &two), ("+1 1:120 +2 2:120 ".into(), None));
    let to_opus = Clocks { to: 48_000, ..FROM_WHATSAPP };
    assert_eq!(told(to_opus, &key(0, 1, 160)), ("+1 1:120 ".into(), None));
    assert_eq!(
        told(FROM_WHATSAPP, &key(0, 7, 160)[7..]),
        ("+7 7:120 ".into(), None),
        "only its last packet came"
    );
}

#[test]
fn a_key_whose_end_is_lost_is_over_with_the_next_one_or_after_150_ms() {
    let lost = [&key(0, 1, 160)[..5], &key(9600, 2, 160)[..]].concat();
    assert_eq!(told(FROM_WHATSAPP, &lost), ("+1 1:100 +2 2:120 ".into(), None));
    let pressed = Pressed { digit: '3', duration: ms(100) };
    assert_eq!(told(FROM_WHATSAPP, &key(0, 3, 160)[..5]), ("+3 ".into(), Some(pressed)));
}

#[test]
fn an_end_that_comes_after_the_time_is_told_no_second_time() {
    let (mut relay, start) = (Relay::new(FROM_WHATSAPP), epoch());
    let packets = key(0, 1, 160);
    let handle = |relay: &mut Relay, at, nth: usize| {
        let (timestamp, marker, event) = packets[nth];
        relay.handle(start + ms(at), header(timestamp, marker), event, || 0).expect("a key").told
    };
    handle(&mut relay, 0, 0);
    assert_eq!(relay.deadline(), Some(start + END_LOST));
    assert_eq!(relay.handle_timeout(start + ms(149)), None);
    assert_eq!(relay.handle_timeout(start + ms(150)), Some(Pressed { digit: '1', duration: ms(20) }));
    assert_eq!(handle(&mut relay, 200, 6), Told::default());
}

#[test]
fn a_key_in_segments_is_as_long_as_all_of_them() {
    let clocks = Clocks { timestamp: 8000, from: 8000, to: 8000, line: 8000 };
    let packets = [
        (0, true, event(3, 60_000, false)),
        (0, false, event(3, u16::MAX, false)),
        (65_535, false, event(3, 4465, true)),
    ];
    assert_eq!(told(clocks, &packets), ("+3 3:8750 ".into(), None));
}

#[test]
fn keys_have_their_codes() {
    for (at, digit) in "0123456789*#ABCD".chars().enumerate() {
        assert_eq!(code(digit).map(usize::from), Some(at));
    }
    assert_eq!((code('d'), code('e'), code('\u{661}'), code(' ')), (Some(15), None, None, None));
}
