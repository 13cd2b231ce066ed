use super::*;
use crate::rtp::rtcp::{Compound, LONGEST_REPORT, Packet};
use crate::rtp::testing::{epoch, header, ms, packet};
use crate::sdp::pbx::{Direction, OfferedAs};

fn reports() -> CallReports {
    let side = |ssrc: u32| Reports::new(ssrc, "c".into(), ssrc.into());
    CallReports::new(side(1), side(2), Arc::default())
}

fn media(codec: Codec, payload_type: u8) -> Media {
    Media {
        remote: "192.0.2.1:4000".parse().expect("an address"),
        rtcp: None,
        codec,
        payload_type,
        dtmf: Some((101, 8000)),
        offered_as: OfferedAs { audio: Some(96), dtmf: None },
        ptime_ms: 20,
        direction: Direction::SendRecv,
        secure: None,
        rtcp_mux: false,
        comfort_noise: false,
    }
}

#[test]
fn whatsapp_is_due_no_report_before_the_call_is_answered() {
    let (mut reports, start, wall) = (reports(), epoch(), WallClock::read());
    reports.set_pbx(start, &media(Codec::Opus, 107));
    let mut buffer = [0; LONGEST_REPORT];
    for second in 0..600 {
        let now = start + Duration::from_secs(second);
        reports.heard(now, Party::WhatsApp, &packet(header(111, 9, second as u16, 0), &[0; 9]));
        assert_eq!(reports.due(now, wall, Party::WhatsApp, &mut buffer), None, "{second}");
        reports.due(now, wall, Party::Pbx, &mut buffer);
    }
    let answered = start + Duration::from_secs(600);
    assert_eq!(reports.goodbye(answered, wall, Party::WhatsApp, &mut buffer), None, "nor a last one");
    reports.start(answered, Party::WhatsApp);
    let len = reports.due(answered + ms(3100), wall, Party::WhatsApp, &mut buffer).expect("a report");
    let first = Compound::parse(&buffer[..len]).expect("valid").packets().next();
    assert!(matches!(first, Some(Packet::ReceiverReport { ssrc: 2, .. })), "{first:?}");
}

#[test]
fn reports_keep_coming_for_as_long_as_the_call_is_open() {
    let (mut reports, start, wall) = (reports(), epoch(), WallClock::read());
    reports.start(start, Party::WhatsApp);
    let (mut count, mut buffer) = (0, [0; LONGEST_REPORT]);
    for tick in 0..36_000 {
        let now = start + ms(100 * tick);
        count += u32::from(reports.due(now, wall, Party::WhatsApp, &mut buffer).is_some());
    }
    // An hour of 5 s, compensated by 1.218 (RFC 3550 6.3.1).
    assert!((800..=960).contains(&count), "{count}");
}

#[test]
fn payload_types_tell_the_clock_and_events_have_none() {
    let mut reports = reports();
    reports.set_pbx(epoch(), &media(Codec::Opus, 107));
    let clock = |party, number| reports.formats.clock(party, number);
    assert_eq!(
        [107, 96, 101, 13, 9].map(|number| clock(Party::Pbx, number)),
        [Some(48_000), Some(48_000), None, None, Some(8000)]
    );
    assert_eq!([111, 126, 0].map(|number| clock(Party::WhatsApp, number)), [Some(48_000), None, Some(8000)]);
}
