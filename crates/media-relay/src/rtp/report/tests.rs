use super::super::rtcp::LONGEST_REPORT;
use super::super::testing::{epoch, header, ms, packet};
use super::*;

const WALL: Duration = Duration::from_secs(1_790_000_000);
const CLOCK: u32 = 48_000;

/// A side that sends with `ssrc`, and the wall clock it believes in.
struct End {
    reports: Reports,
    ssrc: u32,
    ahead: Duration,
    start: Instant,
}

impl End {
    fn new(start: Instant, ssrc: u32, ahead: Duration) -> Self {
        let mut reports = Reports::new(ssrc, "c".into(), ssrc.into());
        reports.start(start);
        Self { reports, ssrc, ahead, start }
    }

    fn wall(&self, now: Instant) -> Ntp {
        Ntp::from_unix(WALL + self.ahead + now.saturating_duration_since(self.start))
    }

    fn due(&mut self, now: Instant) -> Option<Vec<u8>> {
        let (wall, mut buffer) = (self.wall(now), [0; LONGEST_REPORT]);
        let length = self.reports.handle_timeout(now, wall, &mut buffer)?;
        Some(buffer[..length].to_vec())
    }

    fn speak(&mut self, now: Instant, number: u16) -> Header {
        let header = header(111, self.ssrc, number, 960 * u32::from(number));
        self.reports.sent(now, &packet(header, &[0; 50]), Some(CLOCK));
        header
    }
}

fn blocks(bytes: &[u8]) -> Vec<ReportBlock> {
    let packets: Vec<_> = Compound::parse(bytes).expect("valid").packets().collect();
    match packets[0] {
        Packet::SenderReport { blocks, .. } | Packet::ReceiverReport { blocks, .. } => {
            blocks.iter().collect()
        }
        Packet::Bye | Packet::Other => panic!("no report: {packets:?}"),
    }
}

fn info(bytes: &[u8]) -> Option<SenderInfo> {
    Compound::parse(bytes).expect("valid").packets().find_map(|packet| match packet {
        Packet::SenderReport { info, .. } => Some(info),
        Packet::ReceiverReport { .. } | Packet::Bye | Packet::Other => None,
    })
}

#[test]
fn the_ntp_time_of_1970_is_2208988800_and_a_half_second_is_the_highest_bit() {
    assert_eq!(Ntp::from_unix(Duration::ZERO), Ntp(2_208_988_800 << 32));
    assert_eq!(Ntp::from_unix(ms(500)), Ntp(2_208_988_800 << 32 | 0x8000_0000));
    // The seconds wrap in 2036.
    assert_eq!(Ntp::from_unix(Duration::from_secs((1 << 32) - NTP_TO_UNIX)), Ntp(0));
}

#[test]
fn reports_come_in_random_intervals_around_five_seconds_and_the_first_after_half() {
    let start = epoch();
    let (mut firsts, mut gaps) = (Vec::new(), Vec::new());
    for seed in 0..200 {
        let mut reports = Reports::new(1, "c".into(), seed);
        assert_eq!(reports.deadline(), None);
        reports.start(start);
        let first = reports.deadline().expect("due");
        reports.start(start + ms(1));
        assert_eq!(reports.deadline(), Some(first), "started once");
        firsts.push(first.duration_since(start));
        let wall = Ntp::from_unix(WALL);
        assert_eq!(reports.handle_timeout(first - ms(1), wall, &mut [0; 99]), None);
        assert!(reports.handle_timeout(first, wall, &mut [0; 99]).is_some());
        gaps.push(reports.deadline().expect("due").duration_since(first));
    }
    let between =
        |times: &[Duration], low: u64, high: u64| times.iter().all(|time| (ms(low)..ms(high)).contains(time));
    // RFC 3550 6.3.1: half of the interval to one and a half, by e - 3/2.
    assert!(between(&firsts, 1026, 3079), "{firsts:?}");
    assert!(between(&gaps, 2052, 6158), "{gaps:?}");
    let distinct: std::collections::BTreeSet<_> = gaps.iter().collect();
    assert!(distinct.len() > 150, "spread: {}", distinct.len());
}

#[test]
fn who_has_sent_gives_a_sender_report_and_who_has_not_a_receiver_report() {
    let start = epoch();
    let mut end = End::new(start, 5, Duration::ZERO);
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    assert_eq!(info(&end.due(at(10)).expect("due")), None);
    for number in 0..100 {
        end.speak(at(11) + ms(20 * u64::from(number)), number);
    }
    let told = info(&end.due(at(20)).expect("due")).expect("a sender's");
    assert_eq!((told.packets, told.octets), (100, 5000));
    // The last packet left at 12.98 s with timestamp 95040: 7.02 s later the stream stands there.
    assert_eq!(told.rtp, 95_040 + 7_020 * 48);
    assert_eq!(told.ntp, Ntp::from_unix(WALL + Duration::from_secs(20)).0);
    assert!(info(&end.due(at(30)).expect("due")).is_some(), "in the interval before last");
    assert!(info(&end.due(at(40)).expect("due")).is_none(), "silent for two");
}

#[test]
fn events_do_not_hold_the_streams_clock_back() {
    let start = epoch();
    let mut end = End::new(start, 5, Duration::ZERO);
    end.speak(start, 100);
    for number in 0..10 {
        let now = start + ms(20 * (1 + number));
        end.reports.sent(now, &packet(header(126, 5, 101, 96_960), &[0; 4]), None);
    }
    let told = info(&end.due(start + ms(10_000)).expect("due")).expect("a sender's");
    assert_eq!((told.packets, told.rtp), (11, 96_000 + 10_000 * 48));
}

/// Two ends, 30 ms one way and 50 ms back, whose wall clocks differ by hours.
#[test]
fn the_round_trip_is_told_by_lsr_and_dlsr_whatever_the_clocks_say() {
    let start = epoch();
    let mut ours = End::new(start, 1, Duration::ZERO);
    let mut theirs = End::new(start, 2, Duration::from_secs(7200));
    let (there, back) = (ms(30), ms(50));
    let mut now = start;
    for number in 0..2000_u16 {
        now += ms(20);
        let header = ours.speak(now, number);
        theirs.reports.received(now + there, header, Some(CLOCK));
        let header = theirs.speak(now, number);
        ours.reports.received(now + back, header, Some(CLOCK));
        if let Some(report) = ours.due(now) {
            theirs.reports.handle_rtcp(now + there, &report).expect("valid");
        }
        if let Some(report) = theirs.due(now) {
            ours.reports.handle_rtcp(now + back, &report).expect("valid");
        }
    }
    for end in [&ours, &theirs] {
        let trip = end.reports.round_trip().expect("measured");
        assert!((ms(79)..=ms(81)).contains(&trip), "{trip:?}");
        let reported = end.reports.reported().expect("reported");
        assert_eq!((reported.fraction_lost, reported.lost), (0, 0));
    }
}

#[test]
fn the_other_side_tells_what_it_lost_of_ours() {
    let start = epoch();
    let (mut ours, mut theirs) = (End::new(start, 1, Duration::ZERO), End::new(start, 2, Duration::ZERO));
    for number in 0..100_u16 {
        let now = start + ms(20 * u64::from(number));
        let header = ours.speak(now, number);
        if number % 10 != 5 {
            theirs.reports.received(now, header, Some(CLOCK));
        }
    }
    let report = theirs.due(start + ms(10_000)).expect("due");
    assert_eq!(info(&report), None);
    ours.reports.handle_rtcp(start + ms(10_000), &report).expect("valid");
    let reported = ours.reports.reported().expect("reported");
    assert_eq!((reported.fraction_lost, reported.lost, reported.percent_lost()), (25, 10, 10));
    ours.reports.new_peer();
    assert_eq!((ours.reports.reported(), ours.reports.round_trip()), (None, None));
}

/// A block of the other side, in a report of `ssrc`.
fn told_of(ssrc: u32, sender: Option<SenderInfo>, block: ReportBlock) -> Vec<u8> {
    let report = Report { ssrc, sender, block: Some(block), cname: "", goodbye: false };
    let mut buffer = [0; LONGEST_REPORT];
    let length = report.write(&mut buffer).expect("room");
    buffer[..length].to_vec()
}

const NOTHING: ReportBlock = ReportBlock {
    ssrc: 1,
    fraction_lost: 0,
    cumulative_lost: 0,
    highest: 0,
    jitter: 0,
    last_sr: 0,
    delay_since_last_sr: 0,
};

#[test]
fn the_round_trip_is_told_by_the_sender_report_before_the_last_too_and_the_jitter_in_the_streams_clock() {
    let (start, mut ours) = (epoch(), End::new(epoch(), 1, Duration::ZERO));
    ours.speak(start, 1);
    let first = info(&ours.due(start + ms(10_000)).expect("due")).expect("a sender's");
    ours.speak(start + ms(19_000), 2);
    assert!(ours.due(start + ms(20_000)).is_some());
    let block = ReportBlock { last_sr: middle(first.ntp), jitter: CLOCK / 100, ..NOTHING };
    ours.reports.handle_rtcp(start + ms(20_100), &told_of(2, None, block)).expect("valid");
    assert_eq!(ours.reports.round_trip(), Some(ms(10_100)));
    assert_eq!(ours.reports.reported().map(|reported| reported.jitter), Some(ms(10)));
}

#[test]
fn another_peer_is_told_nothing_of_the_one_before_and_tells_nothing_of_it() {
    let (start, mut ours) = (epoch(), End::new(epoch(), 1, Duration::ZERO));
    ours.speak(start, 1);
    let sent = info(&ours.due(start + ms(10_000)).expect("due")).expect("a sender's");
    let now = start + ms(10_100);
    ours.reports.received(now, header(111, 2, 1, 0), Some(CLOCK));
    let block = ReportBlock { last_sr: middle(sent.ntp), ..NOTHING };
    ours.reports.handle_rtcp(now, &told_of(2, Some(sent), block)).expect("valid");
    assert!(ours.reports.round_trip().is_some() && ours.reports.reported().is_some());
    ours.reports.new_peer();
    assert_eq!((ours.reports.round_trip(), ours.reports.reported()), (None, None));
    assert!(blocks(&ours.due(start + ms(20_000)).expect("due")).is_empty(), "it has sent nothing");
    for (ssrc, at) in [(2, 30_000), (3, 40_000)] {
        ours.reports.received(start + ms(at - 1), header(111, ssrc, 9, 0), Some(CLOCK));
        let block = blocks(&ours.due(start + ms(at)).expect("due"))[0];
        assert_eq!((block.ssrc, block.last_sr, block.delay_since_last_sr), (ssrc, 0, 0));
    }
}

#[test]
fn a_sender_report_of_another_stream_than_the_one_received_is_not_referred_to() {
    for (ssrc, held) in [(2, 1 << 16), (3, 0)] {
        let (start, mut ours) = (epoch(), End::new(epoch(), 1, Duration::ZERO));
        ours.reports.received(start, header(111, 2, 1, 0), Some(CLOCK));
        let sender = SenderInfo { ntp: 5 << 32, rtp: 0, packets: 1, octets: 1 };
        let report = told_of(ssrc, Some(sender), NOTHING);
        ours.reports.handle_rtcp(start + ms(9000), &report).expect("valid");
        let block = blocks(&ours.due(start + ms(10_000)).expect("due"))[0];
        assert_eq!((block.ssrc, block.delay_since_last_sr), (2, held));
    }
}

#[test]
fn the_loss_is_rounded_up_so_that_what_is_above_one_percent_is_seen() {
    let percent = |fraction_lost| Reported { fraction_lost, lost: 0, jitter: Duration::ZERO }.percent_lost();
    assert_eq!([0, 1, 2, 3, 26, 128, 255].map(percent), [0, 1, 1, 2, 11, 50, 100]);
}

#[test]
fn what_is_not_about_our_stream_or_refers_to_no_report_of_ours_tells_nothing() {
    let start = epoch();
    let mut ours = End::new(start, 1, Duration::ZERO);
    ours.speak(start, 1);
    let sent = ours.due(start + ms(10_000)).expect("due");
    let reference = middle(info(&sent).expect("a sender's").ntp);
    let block = |ssrc, last_sr, delay_since_last_sr| {
        let block = ReportBlock {
            ssrc,
            fraction_lost: 9,
            cumulative_lost: -1,
            highest: 0,
            jitter: 0,
            last_sr,
            delay_since_last_sr,
        };
        let report = Report { ssrc: 2, sender: None, block: Some(block), cname: "", goodbye: true };
        let mut buffer = [0; LONGEST_REPORT];
        let length = report.write(&mut buffer).expect("room");
        buffer[..length].to_vec()
    };
    let now = start + ms(10_100);
    ours.reports.handle_rtcp(now, &block(77, reference, 0)).expect("valid");
    assert_eq!((ours.reports.reported(), ours.reports.round_trip()), (None, None), "another stream");
    ours.reports.handle_rtcp(now, &block(1, reference + 1, 0)).expect("valid");
    assert_eq!(ours.reports.round_trip(), None, "no report of ours");
    ours.reports.handle_rtcp(now, &block(1, reference, u32::MAX)).expect("valid");
    assert_eq!(ours.reports.round_trip(), None, "held for longer than it has been away");
    ours.reports.handle_rtcp(now, &block(1, reference, 65_536 / 50)).expect("valid");
    let trip = ours.reports.round_trip().expect("measured");
    assert!((ms(80)..ms(81)).contains(&trip), "{trip:?}");
    assert_eq!(ours.reports.reported().map(|reported| reported.lost), Some(0), "never below zero");
    // Neither a BYE nor our own packet sent back changes anything.
    let before = (ours.reports.reported(), ours.reports.deadline());
    ours.reports.handle_rtcp(now, &sent).expect("valid");
    assert_eq!((ours.reports.reported(), ours.reports.deadline()), before);
    assert!(ours.reports.theirs.is_none());
    assert!(ours.reports.handle_rtcp(now, &[0x80, 203, 0, 0]).is_err());
}

#[test]
fn the_last_report_says_goodbye_and_none_follows() {
    let start = epoch();
    let mut end = End::new(start, 3, Duration::ZERO);
    let (wall, mut buffer) = (end.wall(start), [0; LONGEST_REPORT]);
    let length = end.reports.goodbye(start, wall, &mut buffer).expect("started");
    let packets: Vec<_> = Compound::parse(&buffer[..length]).expect("valid").packets().collect();
    assert_eq!(packets.last(), Some(&Packet::Bye));
    assert_eq!(blocks(&buffer[..length]), []);
    assert_eq!(end.reports.deadline(), None);
    assert_eq!(end.reports.goodbye(start, wall, &mut buffer), None, "once");
}
