use super::super::testing::{epoch, header, ms};
use super::*;

const CLOCK: u32 = 8000;

/// 20 ms packets of one source, each heard `late(n)` ms after its time.
fn hear(reception: &mut Reception, sequences: &[u16], late: impl Fn(usize) -> u64) {
    let start = epoch();
    for (at, sequence) in sequences.iter().enumerate() {
        let timestamp = u32::from(*sequence) * 160;
        let now = start + ms(20 * at as u64 + late(at));
        reception.hear(now, header(0, 7, *sequence, timestamp), Some(CLOCK));
    }
}

fn totals(sequences: &[u16]) -> Totals {
    let mut reception = Reception::default();
    hear(&mut reception, sequences, |_| 0);
    reception.totals()
}

#[test]
fn a_packet_is_lost_reordered_or_doubled_and_counts_as_one_of_them() {
    let clean = totals(&[1, 2, 3, 4]);
    assert_eq!(clean, Totals { packets: 4, expected: 4, ..Totals::default() });
    let lost = totals(&[1, 2, 5, 6, 8]);
    assert_eq!(lost, Totals { packets: 5, expected: 8, lost: 3, gaps: 2, ..Totals::default() });
    let swapped = totals(&[1, 3, 2, 4]);
    assert_eq!(swapped, Totals { packets: 4, expected: 4, reordered: 1, gaps: 1, ..Totals::default() });
    let doubled = totals(&[1, 2, 2, 1, 4]);
    assert_eq!(
        doubled,
        Totals { packets: 5, expected: 4, lost: 1, duplicated: 2, gaps: 1, ..Totals::default() }
    );
}

#[test]
fn the_extended_sequence_number_counts_the_wraps() {
    let sequences: Vec<u16> = (0..140_000_u32).map(|number| number as u16).collect();
    let mut reception = Reception::default();
    hear(&mut reception, &sequences, |_| 0);
    assert_eq!(reception.totals().expected, 140_000);
    assert_eq!(reception.totals().lost, 0);
    assert_eq!(reception.report().expect("a source").highest, 139_999);
}

#[test]
fn one_packet_far_off_is_no_new_start_and_two_in_a_row_are() {
    let stray = totals(&[1, 2, 40_000, 3, 4]);
    assert_eq!(stray, Totals { packets: 4, expected: 4, ..Totals::default() });
    let mut reception = Reception::default();
    hear(&mut reception, &[1, 2, 40_000, 40_001, 40_002], |_| 0);
    let totals = reception.totals();
    assert_eq!((totals.packets, totals.expected, totals.restarts), (4, 4, 1));
}

#[test]
fn up_to_2999_packets_ahead_and_100_behind_have_their_place() {
    for (first, second, placed) in [(1, 3000, true), (1, 3001, false), (101, 1, true), (101, 0, false)] {
        let totals = totals(&[first, second]);
        assert_eq!((totals.packets == 2, totals.restarts), (placed, 0), "{first} {second}");
    }
    let apart = totals(&[1, 2, 40_000, 3, 40_001, 4]);
    assert_eq!(apart, Totals { packets: 4, expected: 4, ..Totals::default() }, "they are not in a row");
}

#[test]
fn the_reported_loss_keeps_to_24_bits() {
    let mut reception = Reception::default();
    let sequences: Vec<u16> = (0..3000_u16).map(|number| number.wrapping_mul(2999)).collect();
    hear(&mut reception, &sequences, |_| 0);
    assert!(reception.totals().lost > 0x7F_FFFF);
    assert_eq!(reception.report().map(|block| block.cumulative_lost), Some(0x7F_FFFF));
}

#[test]
fn another_ssrc_begins_anew_and_the_sums_go_on() {
    let mut reception = Reception::default();
    hear(&mut reception, &[1, 2, 4], |_| 0);
    reception.hear(epoch(), header(0, 8, 9000, 0), Some(CLOCK));
    reception.hear(epoch(), header(0, 8, 9002, 320), Some(CLOCK));
    let totals = reception.totals();
    assert_eq!((totals.packets, totals.expected, totals.lost, totals.restarts), (5, 7, 2, 1));
    let block = reception.report().expect("a source");
    assert_eq!((block.ssrc, block.highest, block.cumulative_lost), (8, 9002, 1));
}

#[test]
fn jitter_follows_rfc_3550_a_8() {
    let mut reception = Reception::default();
    hear(&mut reception, &[1, 2, 3, 4], |_| 5);
    assert_eq!(reception.jitter(), Some(Duration::ZERO), "a steady delay is none");

    // Each packet is 10 ms nearer or farther than the one before: the estimate goes there by 1/16 a packet.
    let sequences: Vec<u16> = (1..=200).collect();
    hear(&mut reception, &sequences, |at| if at % 2 == 0 { 0 } else { 10 });
    let jitter = reception.jitter().expect("measured");
    assert!((ms(9)..=ms(10)).contains(&jitter), "{jitter:?}");

    let mut one = Reception::default();
    hear(&mut one, &[1, 2], |at| 16 * at as u64);
    assert_eq!(one.jitter(), Some(ms(1)), "a sixteenth of one difference");
    assert_eq!(one.report().map(|block| block.jitter), Some(CLOCK / 1000), "and so it is reported");
}

#[test]
fn events_and_timestamps_that_begin_anew_are_no_jitter() {
    let (mut reception, now) = (Reception::default(), epoch());
    for number in 0..100_u16 {
        let at = now + ms(20 * u64::from(number));
        let timestamp = 160 * u32::from(number);
        // A key of ten packets in between: all have the timestamp of its beginning.
        let (timestamp, clock) =
            if (40..50).contains(&number) { (6400, None) } else { (timestamp, Some(CLOCK)) };
        // The PBX comes back from hold with other timestamps.
        let timestamp = if number >= 70 { timestamp.wrapping_add(3_000_000_000) } else { timestamp };
        reception.hear(at, header(0, 7, number, timestamp), clock);
    }
    assert_eq!(reception.jitter(), Some(Duration::ZERO));
}

#[test]
fn another_clock_is_no_jitter() {
    let (mut reception, now) = (Reception::default(), epoch());
    for number in 0..50_u16 {
        // Its timestamps count from elsewhere, too: 100 ms on.
        let (clock, step, from) = if number < 25 { (8000, 160, 0) } else { (48_000, 960, 4800) };
        let at = now + ms(20 * u64::from(number));
        reception.hear(at, header(0, 7, number, from + step * u32::from(number)), Some(clock));
    }
    assert_eq!(reception.jitter(), Some(Duration::ZERO));
}

#[test]
fn the_fraction_lost_is_of_the_time_since_the_report_before() {
    let mut reception = Reception::default();
    assert_eq!(reception.report(), None);
    let every_fourth_lost: Vec<u16> = (0..100).filter(|number| number % 4 != 2).collect();
    hear(&mut reception, &every_fourth_lost, |_| 0);
    let block = reception.report().expect("a source");
    assert_eq!((block.fraction_lost, block.cumulative_lost, block.highest), (64, 25, 99));
    let whole: Vec<u16> = (100..200).collect();
    hear(&mut reception, &whole, |_| 0);
    let block = reception.report().expect("a source");
    assert_eq!((block.fraction_lost, block.cumulative_lost, block.highest), (0, 25, 199));
    let block = reception.report().expect("a source");
    assert_eq!(block.fraction_lost, 0, "nothing came: no division by nothing");
}

#[test]
fn doubled_packets_can_bring_the_reported_loss_below_zero() {
    let mut reception = Reception::default();
    hear(&mut reception, &[1, 1, 2, 2, 2], |_| 0);
    let block = reception.report().expect("a source");
    assert_eq!((block.fraction_lost, block.cumulative_lost), (0, -3));
    assert_eq!(reception.totals().lost, 0);
}
