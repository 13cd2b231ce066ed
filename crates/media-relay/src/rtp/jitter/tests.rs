use proptest::prelude::*;

use super::*;
use crate::rtp::testing::{epoch, header, ms};

const SSRC: u32 = 7;
/// Of 20 ms at 8 kHz.
const TICKS: u32 = 160;

/// What was played: a packet by its first octet, a lost one, a gap; with the milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Out {
    Packet(u16),
    Gap(u16, u16),
    Lost,
    /// With the packet after it at hand.
    LostBefore(u16),
    Missing,
    WereLost(u16),
}

struct Rig {
    buffer: JitterBuffer,
    start: Instant,
    now: Instant,
    out: Vec<(u64, Out)>,
}

impl Rig {
    fn new(least: u64, most: u64) -> Self {
        let limits = JitterLimits { least: ms(least), most: ms(most) };
        let start = epoch();
        Self { buffer: JitterBuffer::new(limits, 8000), start, now: start, out: Vec::new() }
    }

    fn until(&mut self, at: u64) {
        let end = self.start + ms(at);
        while let Some(due) = self.buffer.deadline().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            let (out, at) = (&mut self.out, (self.now - self.start).as_millis() as u64);
            self.buffer.play_due(self.now, &mut |played| note(out, at, played));
        }
        self.now = end.max(self.now);
    }

    /// A packet of the regular stream, so many milliseconds after the start.
    fn at(&mut self, at: u64, sequence: u16) -> Heard {
        self.raw(at, header(0, SSRC, sequence, u32::from(sequence).wrapping_mul(TICKS)))
    }

    fn raw(&mut self, at: u64, header: Header) -> Heard {
        self.until(at);
        let [high, low] = header.sequence.to_be_bytes();
        let payload = [high, low, 0];
        let packet = Packet { header, payload: &payload };
        let (out, at) = (&mut self.out, (self.now - self.start).as_millis() as u64);
        self.buffer.push(self.now, packet, TICKS, &mut |played| note(out, at, played))
    }

    fn played(&self) -> Vec<Out> {
        self.out.iter().map(|(_, out)| out.clone()).collect()
    }
}

fn note(out: &mut Vec<(u64, Out)>, at: u64, played: Played<'_>) {
    let number = |packet: Packet<'_>| {
        let number = u16::from_be_bytes([packet.payload[0], packet.payload[1]]);
        assert_eq!(number, packet.header.sequence, "the payload is its own");
        number
    };
    out.push((
        at,
        match played {
            Played::Packet { packet, lost: 0, .. } => Out::Packet(number(packet)),
            Played::Packet { packet, lost, .. } => Gap(lost, number(packet)),
            Played::Lost { ticks, next } => {
                assert_eq!(ticks, TICKS);
                next.map_or(Lost, |packet| LostBefore(number(packet)))
            }
            Played::Missing { ticks } => {
                assert_eq!(ticks, TICKS);
                Missing
            }
            Played::WereLost(packets) => WereLost(packets),
        },
    ));
}

use Out::{Gap, Lost, LostBefore, Missing, WereLost};

#[test]
fn in_order_packets_are_played_on_arrival_without_a_timer() {
    let mut rig = Rig::new(0, 120);
    for index in 0..500_u16 {
        rig.at(u64::from(index) * 20 + u64::from(index % 5), 65_300_u16.wrapping_add(index));
        // A timer would ring only if the next did not come.
        let next = rig.start + ms(u64::from(index) * 20 + 20);
        assert!(rig.buffer.deadline().is_some_and(|at| at >= next + ms(20)));
    }
    assert!(rig.out.iter().zip(0..).all(|((at, out), index)| {
        *at == index * 20 + index % 5 && *out == Out::Packet(65_300_u16.wrapping_add(index as u16))
    }));
    assert_eq!(rig.buffer.delay(), Duration::ZERO);
}

#[test]
fn a_missing_packet_is_given_as_lost_with_the_one_after_it() {
    let mut rig = Rig::new(0, 120);
    for index in [0, 1, 3, 6, 7, 8] {
        rig.at(u64::from(index) * 20, index);
    }
    let p = Out::Packet;
    assert_eq!(
        rig.played(),
        [p(0), p(1), LostBefore(3), p(3), Missing, WereLost(1), LostBefore(6), p(6), p(7), p(8)]
    );
    let at = |nth: usize| rig.out[nth].0;
    assert_eq!(at(2), 60, "known when the next came");
    assert_eq!((at(4), at(6)), (110, 120), "or missed when the one after it was not there either");
}

#[test]
fn of_more_than_60_ms_the_rest_is_a_gap() {
    let mut rig = Rig::new(0, 120);
    for index in [0, 6, 7] {
        rig.at(u64::from(index) * 20, index);
    }
    assert_eq!(rig.played()[..6], [Out::Packet(0), Missing, Missing, Missing, WereLost(3), Gap(2, 6)]);
    assert_eq!(rig.out[1..4].iter().map(|(at, _)| *at).collect::<Vec<_>>(), [50, 70, 90]);
    let mut early = Rig::new(0, 120);
    early.at(0, 0);
    early.at(10, 4);
    assert_eq!(early.played(), [Out::Packet(0), Lost, Lost, LostBefore(4), Out::Packet(4)]);
    early.at(20, 9);
    assert_eq!(early.played()[5..], [Missing, Missing, Missing, WereLost(3), Gap(1, 9)]);
}

#[test]
fn lost_packets_are_concealed_at_their_own_time() {
    let mut rig = Rig::new(60, 120);
    for index in [0, 1, 2, 5, 6] {
        rig.at(u64::from(index) * 20, index);
    }
    rig.until(199);
    let times: Vec<u64> = rig.out.iter().map(|(at, _)| *at).collect();
    // The first of a source is played at once: nothing is known of its transit.
    assert_eq!(times, [0, 80, 100, 120, 140, 160, 180]);
    assert_eq!(rig.played()[3..5], [Lost, LostBefore(5)]);
}

#[test]
fn what_is_reordered_or_doubled_is_counted_once_and_played_in_order() {
    let mut rig = Rig::new(40, 120);
    rig.at(0, 10);
    rig.at(20, 11);
    rig.at(40, 13);
    assert!(rig.at(45, 12).reordered);
    assert!(rig.at(46, 12).duplicated);
    assert!(rig.at(47, 13).duplicated);
    rig.at(60, 14);
    rig.until(120);
    assert_eq!(rig.played(), (10..15).map(Out::Packet).collect::<Vec<_>>());
    assert!(rig.at(121, 12).duplicated, "and when it was played");
}

#[test]
fn a_packet_that_comes_too_late_makes_the_target_grow_at_once() {
    let mut rig = Rig::new(0, 120);
    for index in 0..10 {
        rig.at(u64::from(index) * 20, index);
    }
    rig.at(220, 11);
    let heard = rig.at(230, 10);
    assert_eq!(heard, Heard { late: true, reordered: true, duplicated: false });
    assert!(rig.at(231, 10).duplicated);
    assert_eq!(rig.buffer.delay(), ms(35), "30 would have done");
    // The same again does no harm.
    rig.at(240, 12);
    rig.at(280, 14);
    rig.at(290, 13);
    rig.until(330);
    let p = Out::Packet;
    assert_eq!(rig.played()[10..], [LostBefore(11), p(11), p(12), p(13), p(14)]);
}

#[test]
fn a_straggler_beyond_the_limit_does_not_move_the_target() {
    let mut rig = Rig::new(0, 60);
    for index in [0, 1, 2, 3, 5, 6, 7, 8, 9, 10] {
        rig.at(u64::from(index) * 20, index);
    }
    assert!(rig.at(220, 4).late);
    assert_eq!(rig.buffer.delay(), Duration::ZERO);
}

/// Milliseconds by which a stream's packets are late, a fixed pattern without rhyme.
fn jitter(index: u16, most: u64) -> u64 {
    u64::from(index).wrapping_mul(2_654_435_761).rotate_left(7) % (most + 1)
}

/// A packet that comes after something was made up for it would be heard twice.
#[test]
fn a_packet_that_was_made_up_for_is_dropped_when_it_comes_and_was_lost_all_the_same() {
    let mut rig = Rig::new(0, 120);
    for index in 0..10 {
        rig.at(u64::from(index) * 20, index);
    }
    // Two are late, one of them with its number still open, and the next is on time.
    assert_eq!(rig.at(255, 10), Heard { late: true, reordered: false, duplicated: false });
    assert!(rig.at(256, 10).duplicated);
    assert!(rig.at(257, 11).late);
    rig.at(258, 12);
    rig.until(400);
    assert_eq!(rig.played()[10..15], [Missing, Missing, WereLost(1), WereLost(1), Out::Packet(12)]);
    assert_eq!(rig.out[10..12].iter().map(|(at, _)| *at).collect::<Vec<_>>(), [230, 250]);
}

/// Each packet was missed again, for seconds, and three of four were dropped.
#[test]
fn a_source_that_falls_behind_for_good_loses_60_ms_and_no_more() {
    for behind in [35, 90, 150, 390] {
        let mut rig = Rig::new(0, 120);
        for index in 0..200 {
            rig.at(u64::from(index) * 20 + if index < 100 { 0 } else { behind }, index);
        }
        rig.until(6000);
        let dropped = rig.played().iter().filter(|out| **out == WereLost(1)).count();
        assert!((1..=3).contains(&dropped), "{behind}: {dropped}");
        let last = rig.out.iter().filter(|(_, out)| matches!(out, Out::Packet(_))).count();
        assert_eq!(last, 200 - dropped, "{behind}");
    }
}

/// 5 % slow: no clock, but a machine that has no time.
#[test]
fn a_source_that_is_slower_than_its_timestamps_keeps_nearly_all_its_packets() {
    let mut rig = Rig::new(0, 120);
    for index in 0..500 {
        rig.at(u64::from(index) * 21, index);
    }
    let packets = rig.out.iter().filter(|(_, out)| matches!(out, Out::Packet(_))).count();
    assert!(packets > 450, "{packets}");
}

#[test]
fn a_pause_that_was_announced_or_begins_with_something_else_is_not_missed() {
    let mut rig = Rig::new(0, 120);
    for index in 0..10 {
        rig.at(u64::from(index) * 20, index);
    }
    assert_eq!(rig.buffer.leave_out(header(13, SSRC, 10, 10 * TICKS)), LeftOut::Noted);
    assert_eq!(rig.buffer.deadline(), None, "comfort noise, or a key");
    rig.at(1000, 11);
    assert!(rig.buffer.deadline().is_some());
    rig.now += ms(20);
    let packet = Packet { header: header(0, SSRC, 12, 12 * TICKS), payload: &[8] };
    rig.buffer.push(rig.now, packet, TICKS, &mut |_| {});
    assert_eq!(rig.buffer.deadline(), None, "DTX");
    assert!(!rig.buffer.ran_dry());
}

/// The waiting packet's time was that of before the pause, seconds ahead.
#[test]
fn what_waits_when_timestamps_jump_back_is_played_at_once() {
    let mut rig = Rig::new(20, 120);
    rig.raw(0, header(0, SSRC, 0, 0));
    rig.raw(1, header(0, SSRC, 33, 5440));
    rig.raw(2, header(0, SSRC, 34, 2_147_489_088));
    assert!(rig.played().contains(&Gap(29, 33)), "{:?}", rig.played());
    assert_eq!(rig.buffer.first().map(|first| first.header.sequence), Some(34));
    assert!(rig.buffer.deadline().is_some_and(|at| at <= rig.now + ms(20)));
}

/// It is so old that it looked like one after a pause: what waited was played at once, and then the
/// number was too far back to be known.
#[test]
fn an_old_double_neither_plays_what_waits_nor_turns_the_numbers_back() {
    let mut rig = Rig::new(120, 120);
    let play = |rig: &mut Rig, numbers: std::ops::Range<u16>| {
        for sequence in numbers {
            rig.at(u64::from(sequence) * 20, sequence);
        }
    };
    play(&mut rig, 0..200);
    let played = rig.played();
    let next = played.len() as u16;
    assert!((190..197).contains(&next), "some wait: {next}");
    assert!(rig.at(3985, next - 98).duplicated);
    assert_eq!(rig.played(), played);
    play(&mut rig, 200..300);
    assert!(rig.played().into_iter().eq((0..rig.out.len() as u16).map(Out::Packet)));
}

#[test]
fn jitter_is_evened_out_and_never_by_more_than_the_limit() {
    let mut rig = Rig::new(0, 120);
    let mut arrivals: Vec<(u64, u16)> = (0..3000).map(|i| (u64::from(i) * 20 + jitter(i, 60), i)).collect();
    arrivals.sort_unstable();
    let came: std::collections::HashMap<u16, u64> = arrivals.iter().map(|(at, i)| (*i, *at)).collect();
    for (at, index) in arrivals {
        rig.at(at, index);
    }
    rig.until(100_000);
    let settled = &rig.out[500..];
    let missed = settled.iter().filter(|(_, out)| !matches!(out, Out::Packet(_))).count();
    assert!(missed * 100 <= settled.len(), "{missed}");
    for (at, out) in settled {
        if let Out::Packet(number) = out {
            assert!(at - came[number] <= 120);
        }
    }
    let uneven = settled.windows(2).filter(|pair| pair[1].0.abs_diff(pair[0].0 + 20) > 5).count();
    assert!(uneven * 100 <= settled.len() * 3, "{uneven} of {}", settled.len());
    assert!((ms(40)..=ms(70)).contains(&rig.buffer.delay()), "{:?}", rig.buffer.delay());
}

#[test]
fn the_target_falls_when_the_jitter_is_over() {
    let mut rig = Rig::new(0, 120);
    let mut sent = 0;
    for index in 0..500 {
        rig.at(sent * 20 + jitter(index, 19) * 3, index);
        sent += 1;
    }
    let high = rig.buffer.delay();
    assert!(high >= ms(30), "{high:?}");
    for index in 500..2000 {
        rig.at(sent * 20 + 60, index);
        sent += 1;
    }
    assert_eq!(rig.buffer.delay(), Duration::ZERO, "30 s later");
}

#[test]
fn the_target_never_falls_below_the_least_and_another_source_begins_with_that() {
    for again in [false, true] {
        let mut rig = Rig::new(20, 120);
        for index in 0..500 {
            rig.at(u64::from(index) * 20 + jitter(index, 19) * 3, index);
        }
        assert!(rig.buffer.delay() >= ms(30), "{:?}", rig.buffer.delay());
        if again {
            rig.raw(10_000, header(0, 8, 500, 0));
        } else {
            for index in 500..3000 {
                rig.at(u64::from(index) * 20 + 60, index);
            }
        }
        assert_eq!(rig.buffer.delay(), ms(20));
    }
}

/// What a marked packet waited for is not known: a source whose timestamps lost 100 ms in a pause was
/// taken for late.
#[test]
fn the_first_packet_of_a_talk_spurt_moves_the_least_transit_and_not_the_target() {
    let mut rig = Rig::new(0, 200);
    for index in 0..50 {
        rig.at(u64::from(index) * 20, index);
    }
    rig.buffer.pause();
    for index in 50..100_u16 {
        let at = 2000 + u64::from(index) * 20;
        let timestamp = (1900 + u32::from(index) * 20) * 8;
        rig.raw(at, Header { marker: index == 50, ..header(0, SSRC, index, timestamp) });
        assert_eq!(rig.out.last(), Some(&(at, Out::Packet(index))), "on arrival");
    }
    assert_eq!(rig.buffer.delay(), Duration::ZERO);
}

#[test]
fn a_packet_after_a_long_one_is_missed_30_ms_after_its_time() {
    for (packet_ms, wait) in [(20, 30), (60, 30), (10, 20)] {
        let mut rig = Rig::new(0, 120);
        let packet = Packet { header: header(0, SSRC, 1, 0), payload: &[0; 3] };
        rig.buffer.push(rig.start, packet, packet_ms * 8, &mut |_| {});
        assert_eq!(rig.buffer.deadline(), Some(rig.start + ms(u64::from(packet_ms) + wait)), "{packet_ms}");
    }
}

#[test]
fn a_packet_100_back_is_an_old_one_and_one_further_back_a_start_anew() {
    let mut rig = Rig::new(0, 120);
    for index in 1000..1200 {
        rig.at(u64::from(index) * 20, index);
    }
    let before = rig.out.len();
    assert!(rig.at(24_000, 1100).duplicated);
    assert_eq!(rig.out.len(), before);
    assert_eq!(rig.at(24_000, 1099), Heard::default());
    assert_eq!(rig.played().last(), Some(&Out::Packet(1099)));
}

#[test]
fn what_is_no_sound_is_none_of_the_packets_of_a_gap() {
    let mut rig = Rig::new(0, 120);
    rig.at(0, 0);
    assert_eq!(rig.buffer.leave_out(header(101, SSRC, 3, 160)), LeftOut::Noted);
    rig.at(200, 10);
    assert_eq!(rig.played(), [Out::Packet(0), Gap(8, 10)]);
}

#[test]
fn an_hour_of_drift_adds_no_delay() {
    for ppm in [-200_i64, 200] {
        let mut rig = Rig::new(0, 120);
        let packets = 3600 * 50_u64;
        for index in 0..packets {
            let at = index * 20_000 * (1_000_000 + ppm).unsigned_abs() / 1_000_000;
            let now = rig.start + Duration::from_micros(at);
            rig.now = now;
            let header = header(0, SSRC, index as u16, (index as u32).wrapping_mul(TICKS));
            let packet = Packet { header, payload: &[0; 3] };
            let mut played = 0;
            rig.buffer.push(now, packet, TICKS, &mut |_| played += 1);
            assert_eq!(played, 1, "on arrival");
        }
        assert_eq!(rig.buffer.delay(), Duration::ZERO);
    }
}

#[test]
fn another_source_or_a_far_jump_begins_anew_and_nothing_is_lost() {
    let mut rig = Rig::new(40, 120);
    rig.at(0, 10);
    rig.at(20, 11);
    rig.raw(25, header(0, 8, 40_000, 5));
    rig.raw(45, header(0, 8, 40_001, 165));
    rig.raw(65, header(0, 8, 1000, 325));
    rig.until(100);
    assert_eq!(rig.played(), [10, 11, 40_000, 40_001, 1000].map(Out::Packet));
}

#[test]
fn a_pause_with_and_without_timestamps_delays_nothing_after_it() {
    let mut rig = Rig::new(0, 120);
    for index in 0..50 {
        rig.at(u64::from(index) * 20, index);
    }
    // 10 s of silence that the timestamps count, then as much that they do not.
    for (index, at) in (50..100_u16).zip(0..) {
        rig.raw(11_000 + at * 20, header(0, SSRC, index, 11_000 * 8 + at as u32 * TICKS));
    }
    for (index, at) in (100..150_u16).zip(0..) {
        rig.raw(22_000 + at * 20, header(0, SSRC, index, 12_000 * 8 + at as u32 * TICKS));
        assert_eq!(rig.out.last(), Some(&(rig.out[rig.out.len() - 1].0, Out::Packet(index))), "on arrival");
    }
    let (made_up, played): (Vec<_>, Vec<_>) = rig.played().into_iter().partition(|out| *out == Missing);
    assert_eq!(played, (0..150).map(Out::Packet).collect::<Vec<_>>());
    assert_eq!(made_up.len(), 6, "60 ms of each pause");
    assert_eq!(rig.buffer.delay(), Duration::ZERO);
}

#[test]
fn numbers_of_what_is_no_sound_are_not_missed() {
    let mut rig = Rig::new(0, 120);
    rig.at(0, 65_534);
    assert_eq!(rig.buffer.leave_out(header(101, SSRC, 65_535, 160)), LeftOut::Noted);
    assert_eq!(rig.buffer.leave_out(header(101, SSRC, 65_535, 160)), LeftOut::Late);
    assert_eq!(rig.buffer.leave_out(header(101, SSRC, 1, 160)), LeftOut::Noted);
    assert_eq!(rig.buffer.leave_out(header(101, SSRC, 0, 160)), LeftOut::Noted);
    rig.raw(80, header(0, SSRC, 2, 65_534 * TICKS + 4 * TICKS));
    assert_eq!(rig.played(), [Out::Packet(65_534), Out::Packet(2)]);
    assert_eq!(rig.buffer.leave_out(header(101, 9, 1, 0)), LeftOut::Start);
}

#[test]
fn a_full_buffer_plays_its_first_early() {
    let mut rig = Rig::new(200, 200);
    // As good as one instant for all.
    for index in 0..60 {
        rig.raw(0, header(0, SSRC, index, index.into()));
    }
    assert_eq!(rig.out.len(), 60 - SLOTS);
    let far = SLOTS as u16 + 100;
    rig.raw(1, header(0, SSRC, far, far.into()));
    rig.until(201);
    let last = rig.played().pop();
    assert_eq!(last, Some(Gap(far - 60, far)));
}

#[test]
fn a_payload_too_long_to_wait_is_played_with_what_is_before_it() {
    let mut rig = Rig::new(60, 120);
    rig.at(0, 1);
    rig.at(20, 2);
    let (mut lengths, long) = (Vec::new(), [9; SLOT_BYTES + 1]);
    let packet = Packet { header: header(0, SSRC, 3, 3 * TICKS), payload: &long };
    rig.buffer.push(rig.now, packet, TICKS, &mut |played| {
        if let Played::Packet { packet, .. } = played {
            lengths.push(packet.payload.len());
        }
    });
    assert_eq!(lengths, [3, SLOT_BYTES + 1]);
}

proptest! {
    /// Whatever comes in whatever order: each number is played once at most, in order, in bounded
    /// time, and the buffer is empty after the longest delay.
    #[test]
    fn nothing_breaks_it(
        steps in proptest::collection::vec(
            (0u64..60, 0u32..2, prop_oneof![0u16..80, any::<u16>()], 0u8..12, any::<u32>(), 1u32..2000), 1..300,
        ),
        least in 0u64..300, most in 0u64..300,
    ) {
        let limits = JitterLimits { least: ms(least), most: ms(most) };
        let mut buffer = JitterBuffer::new(limits, 8000);
        let (mut now, mut base) = (epoch(), 0_u16);
        let mut last: Option<(u32, u16)> = None;
        let mut check = |played: Played<'_>| {
            if let Played::Packet { packet, start, .. } = played {
                let header = packet.header;
                if let (Some((ssrc, before)), false) = (last, start) {
                    assert_eq!(header.ssrc, ssrc);
                    assert!(header.sequence.wrapping_sub(before).cast_signed() > 0);
                }
                last = Some((header.ssrc, header.sequence));
            }
        };
        for (wait, ssrc, jump, kind, leap, ticks) in steps {
            now += ms(wait);
            base = base.wrapping_add(1);
            let sequence = base.wrapping_add(jump);
            let timestamp = if kind == 0 { leap } else { u32::from(sequence).wrapping_mul(160) };
            let header = header(0, ssrc, sequence, timestamp);
            buffer.play_due(now, &mut check);
            if kind == 1 {
                if buffer.leave_out(header) == LeftOut::Start {
                    buffer.begin_without_sound(header);
                }
            } else {
                buffer.push(now, Packet { header, payload: &[1] }, ticks, &mut check);
            }
            prop_assert!(buffer.delay() <= limits.most.min(JitterLimits::HIGHEST));
        }
        buffer.play_due(now + limits.most.min(JitterLimits::HIGHEST) + ms(101), &mut check);
        prop_assert_eq!(buffer.deadline(), None);
    }
}
