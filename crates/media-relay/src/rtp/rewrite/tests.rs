use proptest::prelude::*;

use super::super::testing::{epoch, ms};
use super::*;

const SEED: LineSeed = LineSeed { ssrc: 0xfeed, sequence: 1000, timestamp: 50_000 };

fn stamp(ssrc: u32, sequence: u16, timestamp: u32) -> Stamp {
    Stamp { ssrc, sequence, timestamp }
}

/// Sequence number, timestamp and marker of what was placed.
fn seen(place: Option<Place>) -> Option<(u16, u32, bool)> {
    place.map(|place| {
        assert_eq!(place.ssrc, SEED.ssrc);
        (place.sequence, place.timestamp, place.resumed)
    })
}

#[test]
fn starts_at_the_seed_and_keeps_gaps_order_and_doubles() {
    let start = epoch();
    let mut line = Line::new(SEED, 48_000);
    let mut place = |at, sequence, timestamp| seen(line.place(start + ms(at), stamp(1, sequence, timestamp)));
    assert_eq!(place(0, 65_534, u32::MAX - 959), Some((1000, 50_000, true)));
    assert_eq!(place(20, 65_535, 0), Some((1001, 50_960, false)));
    assert_eq!(place(80, 2, 2880), Some((1004, 53_840, false)));
    assert_eq!(place(81, 1, 1920), Some((1003, 52_880, false)));
    assert_eq!(place(81, 2, 2880), Some((1004, 53_840, false)));
    assert_eq!(place(100, 3, 3840), Some((1005, 54_800, false)));
}

#[test]
fn goes_on_through_another_ssrc_a_restart_and_a_timestamp_that_jumps() {
    let start = epoch();
    let mut line = Line::new(SEED, 48_000);
    let mut place =
        |at, ssrc, sequence, timestamp| seen(line.place(start + ms(at), stamp(ssrc, sequence, timestamp)));
    assert_eq!(place(0, 1, 10, 0), Some((1000, 50_000, true)));
    // Another source, 100 ms later; its own packets from before have no place.
    assert_eq!(place(100, 2, 40_000, 9_999_999), Some((1001, 54_800, true)));
    assert_eq!(place(101, 2, 39_999, 9_999_039), None);
    assert_eq!(place(120, 2, 40_001, 10_000_959), Some((1002, 55_760, false)));
    // The same source anew.
    assert_eq!(place(140, 2, 100, 10_001_919), Some((1003, 56_720, true)));
    // A timestamp that jumps far ahead, one that stands still, one that goes back.
    assert_eq!(place(160, 2, 101, 500_000_000), Some((1004, 57_680, true)));
    assert_eq!(place(180, 2, 102, 500_000_000), Some((1005, 58_640, true)));
    assert_eq!(place(200, 2, 103, 499_000_000), Some((1006, 59_600, true)));
    assert_eq!(place(220, 2, 104, 499_000_960), Some((1007, 60_560, false)));
}

#[test]
fn a_pause_of_the_source_is_a_pause_of_the_line() {
    let start = epoch();
    let mut line = Line::new(SEED, 48_000);
    line.place(start, stamp(1, 10, 0));
    let after = line.place(start + ms(60_000), stamp(1, 11, 48_000 * 60));
    assert_eq!(seen(after), Some((1001, 50_000 + 48_000 * 60, true)));
}

/// Music on hold for a second and a half; its packets were left out.
#[test]
fn the_first_packet_after_a_hold_begins_a_talk_spurt_and_one_after_lost_or_long_ones_does_not() {
    let start = epoch();
    let mut line = Line::new(SEED, 8000);
    let place = |line: &mut Line, at, sequence| {
        seen(line.place(start + ms(at), stamp(1, sequence, u32::from(sequence) * 160)))
    };
    assert_eq!(place(&mut line, 0, 0), Some((1000, 50_000, true)));
    (1..75).for_each(|sequence| line.leave_out(stamp(1, sequence, u32::from(sequence) * 160)));
    assert_eq!(place(&mut line, 1500, 75), Some((1001, 62_000, true)));
    assert_eq!(place(&mut line, 1520, 76), Some((1002, 62_160, false)));
    assert_eq!(place(&mut line, 1920, 96), Some((1022, 65_360, false)));
    let long = line.place(start + ms(2040), stamp(1, 97, 96 * 160 + 480));
    assert_eq!(seen(long), Some((1023, 65_840, false)));
}

#[test]
fn frames_of_our_own_fit_between_the_sources() {
    let start = epoch();
    let mut line = Line::new(SEED, 48_000);
    assert_eq!(seen(Some(line.place_own(start))), Some((1000, 50_000, false)));
    assert_eq!(seen(Some(line.place_own(start + ms(20)))), Some((1001, 50_960, false)));
    // A late timer skips whole frames.
    assert_eq!(seen(Some(line.place_own(start + ms(75)))), Some((1002, 52_880, false)));
    // The source speaks 7 ms after our last frame: its frame follows ours.
    let first = line.place(start + ms(82), stamp(1, 7, 0));
    assert_eq!(seen(first), Some((1003, 53_840, true)));
    let second = line.place(start + ms(102), stamp(1, 8, 960));
    assert_eq!(seen(second), Some((1004, 54_800, false)));
    // It falls silent for 100 ms and comes back on its own timeline.
    line.place_own(start + ms(162));
    line.place_own(start + ms(182));
    assert_eq!(line.place(start + ms(183), stamp(1, 8, 960)), None, "late");
    let back = line.place(start + ms(202), stamp(1, 9, 960 * 6));
    assert_eq!(seen(back), Some((1007, 54_800 + 960 * 5, false)));
    // It comes back with a timestamp that stood still.
    line.place_own(start + ms(262));
    let back = line.place(start + ms(282), stamp(1, 10, 960 * 7));
    assert_eq!(seen(back).map(|(sequence, _, resumed)| (sequence, resumed)), Some((1009, true)));
}

#[test]
fn a_sender_whose_clock_runs_fast_does_not_pull_the_line_away() {
    let start = epoch();
    let mut line = Line::new(SEED, 48_000);
    // 1 % fast for ten minutes: six seconds more of timestamps than of time.
    for index in 0..30_000_u32 {
        let now = start + Duration::from_micros(u64::from(index) * 19_800);
        let placed = line.place(now, stamp(1, index as u16, index * 960)).expect("in order");
        assert_eq!(placed.timestamp, 50_000 + index * 960);
        assert_eq!(placed.resumed, index == 0);
    }
    let silence = line.place_own(start + Duration::from_micros(30_000 * 19_800) + ms(60));
    let step = silence.timestamp - (50_000 + 29_999 * 960);
    assert!((960..=960 * 5).contains(&step), "{step}");
}

#[test]
fn a_new_codec_goes_on_in_its_own_clock() {
    let start = epoch();
    let mut line = Line::new(SEED, 8000);
    assert_eq!(seen(line.place(start, stamp(1, 10, 160))), Some((1000, 50_000, true)));
    assert_eq!(seen(line.place(start + ms(20), stamp(1, 11, 320))), Some((1001, 50_160, false)));
    line.new_source(48_000);
    // Even a number just below the last one is no straggler now.
    assert_eq!(seen(line.place(start + ms(40), stamp(1, 9, 77))), Some((1002, 51_120, true)));
    assert_eq!(seen(line.place(start + ms(60), stamp(1, 10, 77 + 960))), Some((1003, 52_080, false)));
}

#[test]
fn events_stand_on_the_line_of_their_audio_when_they_can() {
    let start = epoch();
    let mut line = Line::new(SEED, 48_000);
    assert_eq!(line.event_timestamp(start, Some(stamp(1, 1, 5))), 50_000);
    line.place(start, stamp(1, 10, 96_000));
    let now = start + ms(20);
    let on_line = stamp(1, 11, 96_960);
    assert_eq!(line.event_timestamp(now, Some(on_line)), 50_960);
    assert_eq!(line.event_timestamp(now, Some(stamp(1, 11, 96_000))), 50_000, "beside audio");
    let elsewhere = [stamp(1, 11, 16_160), stamp(2, 11, 96_960)];
    for stamp in elsewhere {
        assert_eq!(line.event_timestamp(now, Some(stamp)), 50_960);
    }
    assert_eq!(line.event_timestamp(start + ms(49), None), 50_960 + 960);
    // It takes sequence numbers, but does not move the audio's timestamps.
    let event = line.place_event(on_line, 50_960);
    assert_eq!(seen(event), Some((1001, 50_960, false)));
    let audio = line.place(start + ms(40), stamp(1, 12, 96_960));
    assert_eq!(seen(audio), Some((1002, 50_960, false)));
}

proptest! {
    /// Whatever the source does, no two new packets share a number and time never goes back.
    #[test]
    fn the_line_is_continuous(
        steps in proptest::collection::vec(
            (0u64..200, 0u32..3, any::<u16>(), any::<u32>(), 0u8..10), 1..200,
        ),
    ) {
        let mut now = epoch();
        let mut line = Line::new(SEED, 48_000);
        let (mut sequence, mut timestamp) = (0_u16, 0_u32);
        let mut last: Option<Place> = None;
        for (wait, ssrc, jump, leap, kind) in steps {
            now += ms(wait);
            sequence = sequence.wrapping_add(if kind == 0 { jump } else { 1 });
            timestamp = timestamp.wrapping_add(if kind == 1 { leap } else { 960 });
            let place = if kind == 2 {
                Some(line.place_own(now))
            } else {
                line.place(now, stamp(ssrc, sequence, timestamp))
            };
            let Some(place) = place else { continue };
            if let Some(last) = last {
                let ahead = place.sequence.wrapping_sub(last.sequence).cast_signed();
                if ahead > 0 {
                    let later = place.timestamp.wrapping_sub(last.timestamp);
                    prop_assert!((1..=48_000 * 45).contains(&later), "{later}");
                } else {
                    prop_assert!(ahead > -(100 + 200), "{ahead}");
                    continue;
                }
            }
            last = Some(place);
        }
    }
}

/// After a hold the first frame may be one of ours.
#[test]
fn a_frame_of_our_own_after_a_time_without_any_begins_a_talkspurt() {
    let start = epoch();
    let mut line = Line::new(SEED, 8000);
    line.place(start, stamp(1, 10, 0));
    assert_eq!(seen(Some(line.place_own(start + ms(60)))), Some((1001, 50_480, false)), "a gap in a stream");
    assert_eq!(seen(Some(line.place_own(start + ms(4100)))), Some((1002, 82_800, true)));
    assert_eq!(seen(Some(line.place_own(start + ms(4120)))), Some((1003, 82_960, false)));
}
