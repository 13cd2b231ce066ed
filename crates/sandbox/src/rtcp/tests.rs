//! Two ends that report to each other.

use super::*;

const MS: Duration = Duration::from_millis(1);
/// 2001-09-09, in NTP's format.
const WALL: Duration = Duration::from_secs(1_000_000_000);

fn ends(now: Instant) -> (Reporter, Reporter) {
    (Reporter::new(now, 1, "one", 8000), Reporter::new(now, 2, "two", 8000))
}

/// Packets of 20 ms from the first end, each tenth of them lost; each way a report takes 30 ms.
#[test]
fn loss_jitter_and_round_trip_are_what_they_are() {
    let start = Instant::now();
    let (mut here, mut there) = ends(start);
    let mut under_way: Vec<(Duration, bool, Vec<u8>)> = Vec::new();
    for n in 0..1000_u32 {
        let after = MS * 20 * n;
        let now = start + after;
        // The sequence numbers begin a cycle on the way.
        let (sequence, timestamp) = ((n as u16).wrapping_add(65_000), 160 * n);
        here.sent(now, 160, Some(timestamp));
        if n % 10 != 9 {
            there.received(now + 5 * MS, 1, sequence, Some(timestamp));
        }
        for (to, report) in
            under_way.extract_if(.., |(at, ..)| *at <= after).map(|(_, to, report)| (to, report))
        {
            if to { there.take(now, &report).unwrap() } else { here.take(now, &report).unwrap() }
        }
        let wall = ntp(WALL + after);
        under_way.extend(here.report(now, wall).map(|report| (after + 30 * MS, true, report)));
        under_way.extend(there.report(now, wall).map(|report| (after + 30 * MS, false, report)));
    }
    let heard = here.reports();
    let last = heard.receptions.last().unwrap();
    assert_eq!((heard.sent, heard.cname.as_deref(), heard.goodbye), (1000, Some("two"), false));
    assert!((96..=99).contains(&last.lost) && (24..=27).contains(&last.fraction_lost), "{last:?}");
    assert_eq!(last.jitter, 0);
    // It came 40 ms (two packets' time) after it left, and was answered when the next second was over.
    assert_eq!((last.delay, last.last_sr), (960 * 65536 / 1000, middle(ntp(WALL + MS * 18_500))));
    assert!(heard.receptions.len() == 20 && heard.senders.is_empty(), "{heard:?}");
    let senders = &there.reports().senders;
    let last = senders.last().unwrap();
    assert_eq!((last.packets, last.octets), (976, 976 * 160));
    assert_eq!(last.ntp >> 32, 1_000_000_019 + NTP_EPOCH);
    assert_eq!((last.rtp, last.ahead), (975 * 160, Some(-320)));
}

#[test]
fn mistakes_are_named() {
    let now = Instant::now();
    let (mut here, mut there) = ends(now);
    let mut stranger = Reporter::new(now, 3, "three", 8000);
    for end in [&mut here, &mut stranger] {
        assert_eq!(end.report(now, ntp(WALL)), None, "not before half a second");
        end.sent(now, 160, Some(0));
    }
    there.received(now, 1, 7, Some(0));
    let good = here.report(now + FIRST, ntp(WALL)).unwrap();
    there.take(now, &good).unwrap();
    let of_a_stranger = stranger.report(now + FIRST, ntp(WALL)).unwrap();
    assert!(there.take(now, &of_a_stranger).unwrap_err().contains("SSRC 3"));
    assert!(there.take(now, &good[28..]).unwrap_err().contains("RTCP"), "a description comes second");
    assert!(there.take(now, &good[..28]).is_err(), "a report without CNAME");
    there.report(now, 0);
    let refers = there.report(now + FIRST, 0).unwrap();
    here.take(now, &refers).unwrap();
    let mut unknown = refers;
    // The LSR of the block in a receiver report.
    unknown[24] ^= 1;
    assert!(here.take(now, &unknown).unwrap_err().contains("was not sent"));
}
