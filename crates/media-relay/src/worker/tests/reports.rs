//! Reports (RTCP) over the sockets, and the figures that they make.

use super::*;
use crate::rtp::rtcp::{Compound, LONGEST_REPORT, Packet, Report, ReportBlock};
use crate::sdp::crypto::Suite;
use crate::sdp::pbx::Secure;
use crate::srtp::sdes::tests::key;
use crate::srtp::{SrtpSession, TRAILER};

/// The first report is due within this (RFC 3550 6.3.1: half of 5 s, by 1.5 / 1.218).
const FIRST_REPORT: Duration = Duration::from_millis(3200);

fn ssrc(rtp: &[u8]) -> u32 {
    u32::from_be_bytes([rtp[8], rtp[9], rtp[10], rtp[11]])
}

/// What the far end says of the stream `about`, with BYE.
fn report(about: u32, fraction_lost: u8, (last_sr, delay_since_last_sr): (u32, u32)) -> Vec<u8> {
    let block = ReportBlock {
        ssrc: about,
        fraction_lost,
        cumulative_lost: 3,
        highest: 9,
        jitter: 480,
        last_sr,
        delay_since_last_sr,
    };
    let report = Report { ssrc: 77, sender: None, block: Some(block), cname: "far", goodbye: true };
    let mut buffer = [0; LONGEST_REPORT];
    let len = report.write(&mut buffer).expect("room");
    buffer[..len].to_vec()
}

/// What the far end answers to a sender report.
fn answer(sender_report: &[u8], fraction_lost: u8) -> Vec<u8> {
    let first = Compound::parse(sender_report).expect("valid").packets().next();
    let Some(Packet::SenderReport { ssrc, info, .. }) = first else {
        panic!("no sender report: {first:?}");
    };
    report(ssrc, fraction_lost, ((info.ntp >> 16) as u32, 0))
}

fn says_goodbye(rtcp: &[u8]) -> bool {
    Compound::parse(rtcp).expect("valid").packets().any(|packet| packet == Packet::Bye)
}

/// A call whose PBX receives RTP on a port and RTCP on the one above.
fn up(relay: &Relay) -> (Far, UdpSocket) {
    let mut far = Far::open(relay, DtlsRole::Server);
    let pair = |_| {
        let rtp = UdpSocket::bind((LOOPBACK, 0)).ok()?;
        let above = rtp.local_addr().ok()?.port().checked_add(1)?;
        Some((rtp, UdpSocket::bind((LOOPBACK, above)).ok()?))
    };
    let (rtp, rtcp) = (0..100).find_map(pair).expect("two ports");
    for socket in [&rtp, &rtcp] {
        socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a time-out");
    }
    far.pbx = rtp;
    far.connect(DtlsRole::Server);
    far.wait_connected();
    (far, rtcp)
}

fn receive(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; 2048];
    let (len, source) = socket.recv_from(&mut buffer).ok()?;
    Some((buffer[..len].to_vec(), source))
}

#[test]
fn both_sides_get_reports_and_whatsapp_none_before_the_call_is_answered() {
    let relay = relay(45_600, 10);
    let (mut far, rtcp) = up(&relay);
    let mut to_pbx = Vec::new();
    far.play(FIRST_REPORT, |_| {
        to_pbx.extend(receive(&rtcp));
        false
    });
    assert!(!to_pbx.is_empty(), "the PBX has its reports from the beginning");
    let port_above = SocketAddr::new(LOOPBACK, far.session().pbx_address().port() + 1);
    assert!(to_pbx.iter().all(|(_, source)| *source == port_above));
    assert_eq!(far.kinds.iter().filter(|kind| is_media(kind)).count(), 0, "neither RTP nor RTCP");

    far.session().open();
    let mut sequence = 0_u16;
    let reported = far.play(PATIENCE, |far| {
        sequence = sequence.wrapping_add(1);
        if sequence % 10 != 0 {
            far.pbx_says(sequence);
        }
        !far.lite.reports.is_empty()
    });
    assert!(reported);
    let first = far.lite.reports[0].clone();
    assert_eq!(ssrc(&far.lite.heard[0]), u32::from_be_bytes([first[4], first[5], first[6], first[7]]));
    assert_eq!(first[1], 200, "a sender's report");

    // WhatsApp answers it; that tells loss and round trip. Its BYE ends nothing.
    let answer = answer(&first, 26);
    far.lite.report(&answer);
    let told = |far: &Far| far.session().quality().whatsapp.reported_loss.last();
    assert!(far.play(PATIENCE, |far| {
        far.pbx_says(sequence);
        sequence = sequence.wrapping_add(1);
        told(far).is_some()
    }));
    let quality = far.session().quality();
    assert!(told(&far).is_some_and(|percent| (10.0..10.4).contains(&percent)));
    assert_eq!(quality.whatsapp.reported_lost, Some(3));
    assert_eq!(quality.whatsapp.reported_jitter_ms.last(), Some(10.0));
    assert!(quality.whatsapp.round_trip_ms.last().is_some_and(|trip| trip < 2000.0));
    assert!(quality.pbx.lost > 0 && quality.pbx.mos.last().is_some_and(|mos| mos > 1.0));

    let heard = far.lite.heard.len();
    assert!(far.play(PATIENCE, |far| far.lite.heard.len() > heard + 5), "the call lives on");
    let listed = relay.qualities();
    assert!(matches!(listed[..], [one] if one.whatsapp.reported_loss.last().is_some()), "{listed:?}");
    // At the end both are told.
    while receive(&rtcp).is_some() {}
    far.session = None;
    assert!(far.play(PATIENCE, |far| far.lite.reports.last().is_some_and(|last| says_goodbye(last))));
    let (last, _) = receive(&rtcp).expect("the PBX's, too");
    assert!(says_goodbye(&last));
    assert!(far.play(PATIENCE, |_| relay.counters().reports_sent >= 4), "{:?}", relay.counters());
    assert_eq!(relay.counters().whatsapp_rtcp, 1);
    assert!(far.play(PATIENCE, |_| relay.qualities().is_empty()));
}

#[test]
fn a_forged_bye_ends_nothing_and_reports_of_strangers_are_counted() {
    let relay = relay(45_700, 10);
    let (mut far, rtcp) = up(&relay);
    far.session().open();
    assert!(far.play(PATIENCE, |far| !far.lite.heard.is_empty()));
    let ours = far.session().pbx_address();
    let port_above = SocketAddr::new(ours.ip(), ours.port() + 1);
    let stranger = UdpSocket::bind((IpAddr::from([127, 0, 0, 2]), 0)).expect("a socket");
    let goodbye = report(5, 0, (0, 0));
    stranger.send_to(&goodbye, port_above).expect("sent");
    stranger.send_to(&goodbye, ours).expect("sent");
    rtcp.send_to(&goodbye, port_above).expect("sent");
    rtcp.send_to(&[0x80, 203, 0, 0], port_above).expect("sent");
    far.pbx.send_to(&goodbye, ours).expect("sent");
    let counted = |relay: &Relay| {
        let counters = relay.counters();
        (counters.stranger, counters.malformed, counters.pbx_rtcp)
    };
    assert!(far.play(PATIENCE, |_| counted(&relay) == (2, 1, 2)), "{:?}", relay.counters());
    let before = far.lite.heard.len();
    assert!(far.play(PATIENCE, |far| far.lite.heard.len() > before + 5));
    assert!(
        far.events.try_iter().all(|event| !matches!(event, MediaEvent::Closed(_) | MediaEvent::Failed(_)))
    );
    assert_eq!(far.close().refused, 3);
}

#[test]
fn with_rtcp_mux_reports_use_the_port_of_rtp_both_ways() {
    let relay = relay(45_900, 10);
    let (mut far, rtcp) = up(&relay);
    far.session().connect_pbx(pbx::Media { rtcp_mux: true, ..far.media() });
    let ours = far.session().pbx_address();
    let mut report_of_ours = None;
    assert!(far.play(PATIENCE, |far| {
        assert_eq!(receive(&rtcp), None);
        report_of_ours = receive(&far.pbx).filter(|(packet, _)| packet[1] >= 200);
        report_of_ours.is_some()
    }));
    assert_eq!(report_of_ours.map(|(_, source)| source), Some(ours));
    far.pbx.send_to(&report(5, 0, (0, 0)), ours).expect("sent");
    assert!(far.play(PATIENCE, |_| relay.counters().pbx_rtcp == 1));
}

#[test]
fn reports_to_a_pbx_with_srtp_are_srtcp_and_plain_ones_from_it_are_refused() {
    let relay = relay(46_000, 10);
    let (mut far, rtcp) = up(&relay);
    let suite = Suite::AesCm128HmacSha1_80;
    let (ours, theirs) = (key(suite, 0x11), key(suite, 0x22));
    let mut phone = SrtpSession::from_sdes(suite, &theirs, &ours).expect("keys");
    far.session().connect_pbx(pbx::Media { secure: Some(Secure { suite, ours, theirs }), ..far.media() });
    let mut report_of_ours = None;
    assert!(far.play(PATIENCE, |_| {
        report_of_ours = receive(&rtcp);
        report_of_ours.is_some()
    }));
    let (mut packet, _) = report_of_ours.expect("a report");
    let len = phone.unprotect_rtcp(&mut packet).expect("ours");
    assert!(len < packet.len() && Compound::parse(&packet[..len]).is_ok());

    let port_above = SocketAddr::new(LOOPBACK, far.session().pbx_address().port() + 1);
    let plain = report(5, 0, (0, 0));
    rtcp.send_to(&plain, port_above).expect("sent");
    let mut buffer = [0; LONGEST_REPORT + TRAILER];
    buffer[..plain.len()].copy_from_slice(&plain);
    let len = phone.protect_rtcp(&mut buffer, plain.len()).expect("protected");
    rtcp.send_to(&buffer[..len], port_above).expect("sent");
    let refused = |counters: RelayCounters| counters.malformed + counters.unauthenticated;
    let done = far.play(PATIENCE, |_| (refused(relay.counters()), relay.counters().pbx_rtcp) == (1, 1));
    assert!(done, "{:?}", relay.counters());
}

#[test]
fn a_port_whose_neighbour_is_somebody_elses_is_skipped() {
    let _other = UdpSocket::bind((LOOPBACK, 45_801)).expect("a socket");
    let relay = relay(45_800, 2);
    let session = relay.open(&SessionOptions::default(), Box::new(|_| {})).expect("a session");
    assert_eq!(session.pbx_address().port(), 45_802);
    assert_eq!(
        UdpSocket::bind((LOOPBACK, 45_803)).map_err(|error| error.kind()).err(),
        Some(io::ErrorKind::AddrInUse)
    );
}
