use super::*;
use proptest::prelude::*;
use webrtc_util::marshal::{Marshal as _, Unmarshal as _};

const BLOCK: ReportBlock = ReportBlock {
    ssrc: 0x0102_0304,
    fraction_lost: 12,
    cumulative_lost: -2,
    highest: 0x0001_0203,
    jitter: 77,
    last_sr: 0xDEAD_BEEF,
    delay_since_last_sr: 65_536,
};
const INFO: SenderInfo = SenderInfo { ntp: 0xE5A1_0203_8000_0000, rtp: 4711, packets: 250, octets: 40_000 };

fn written(report: Report<'_>) -> Vec<u8> {
    let mut buffer = [0; LONGEST_REPORT];
    let length = report.write(&mut buffer).expect("room");
    buffer[..length].to_vec()
}

fn read(bytes: &[u8]) -> Result<Vec<Packet<'_>>, RtcpError> {
    Compound::parse(bytes).map(|compound| compound.packets().collect())
}

#[test]
fn a_report_is_read_back_as_it_was_written() {
    let report = Report { ssrc: 9, sender: Some(INFO), block: Some(BLOCK), cname: "0a1b2c", goodbye: true };
    let bytes = written(report);
    assert_eq!(bytes.len() % 4, 0);
    let packets = read(&bytes).expect("valid");
    let [Packet::SenderReport { ssrc: 9, info, blocks }, Packet::Other, Packet::Bye] = packets[..] else {
        panic!("{packets:?}");
    };
    assert_eq!(info, INFO);
    assert_eq!(blocks.iter().collect::<Vec<_>>(), [BLOCK]);

    let bytes = written(Report { sender: None, block: None, goodbye: false, ..report });
    let packets = read(&bytes).expect("valid");
    let [Packet::ReceiverReport { ssrc: 9, blocks }, Packet::Other] = packets[..] else {
        panic!("{packets:?}");
    };
    assert_eq!(blocks.iter().count(), 0);
}

#[test]
fn the_rtcp_crate_reads_what_we_write() {
    for (sender, block) in [(Some(INFO), Some(BLOCK)), (None, Some(BLOCK)), (Some(INFO), None), (None, None)]
    {
        for cname in ["", "a", "ab", "abc", "abcd", &"x".repeat(255)] {
            let bytes = written(Report { ssrc: 9, sender, block, cname, goodbye: true });
            let mut reader = &bytes[..];
            let packets = rtcp::packet::unmarshal(&mut reader).expect("valid to the crate");
            let names: Vec<String> = packets.iter().map(|packet| format!("{packet:?}")).collect();
            assert_eq!(names.len(), 3, "{names:?}");
            assert_eq!(names[0].starts_with("SenderReport"), sender.is_some(), "{names:?}");
            if let Some(report) = packets[0].as_any().downcast_ref::<rtcp::sender_report::SenderReport>() {
                assert_eq!((report.ssrc, report.ntp_time, report.rtp_time), (9, INFO.ntp, INFO.rtp));
                assert_eq!((report.packet_count, report.octet_count), (INFO.packets, INFO.octets));
            }
            let description =
                packets[1].as_any().downcast_ref::<rtcp::source_description::SourceDescription>();
            let chunk = &description.expect("SDES").chunks[0];
            assert_eq!((chunk.source, &chunk.items[0].text[..]), (9, cname.as_bytes()));
            let goodbye = packets[2].as_any().downcast_ref::<rtcp::goodbye::Goodbye>().expect("BYE");
            assert_eq!(goodbye.sources, [9]);
        }
    }
}

#[test]
fn we_read_what_the_rtcp_crate_writes() {
    let theirs = rtcp::receiver_report::ReceiverReport {
        ssrc: 3,
        reports: (1..=31)
            .map(|ssrc| rtcp::reception_report::ReceptionReport {
                ssrc,
                fraction_lost: 200,
                total_lost: 70_000,
                last_sequence_number: 5,
                jitter: 6,
                last_sender_report: 7,
                delay: 8,
            })
            .collect(),
        ..Default::default()
    };
    let feedback = rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication::default();
    let bytes = [theirs.marshal().expect("bytes"), feedback.marshal().expect("bytes")].concat();
    let packets = read(&bytes).expect("valid");
    let [Packet::ReceiverReport { ssrc: 3, blocks }, Packet::Other] = packets[..] else {
        panic!("{packets:?}");
    };
    let expected = ReportBlock {
        ssrc: 31,
        fraction_lost: 200,
        cumulative_lost: 70_000,
        highest: 5,
        jitter: 6,
        last_sr: 7,
        delay_since_last_sr: 8,
    };
    assert_eq!(blocks.iter().count(), 31);
    assert_eq!(blocks.iter().last(), Some(expected));
}

#[test]
fn what_rfc_3550_a_2_refuses_is_refused() {
    let report = [0x80, 201, 0, 1, 0, 0, 0, 9];
    assert!(read(&report).is_ok());
    assert_eq!(read(&[]), Err(RtcpError::Length));
    assert_eq!(read(&[0x80, 201, 0, 1, 0, 0, 0]), Err(RtcpError::Length), "cut off");
    assert_eq!(read(&[&report[..], &[0]].concat()), Err(RtcpError::Length), "more than its lengths say");
    assert_eq!(read(&[0x40, 201, 0, 1, 0, 0, 0, 9]), Err(RtcpError::Version));
    assert_eq!(read(&[&report[..], &[0, 203, 0, 0]].concat()), Err(RtcpError::Version), "the second, too");
    assert_eq!(read(&[0x81, 203, 0, 1, 0, 0, 0, 9]), Err(RtcpError::First), "BYE stands behind a report");
    assert_eq!(read(&[0x81, 201, 0, 1, 0, 0, 0, 9]), Err(RtcpError::Length), "a block that is not there");
    assert_eq!(read(&[0x80, 200, 0, 1, 0, 0, 0, 9]), Err(RtcpError::Length), "no sender information");
    let padded = [0xA0, 201, 0, 2, 0, 0, 0, 9, 0, 0, 0, 4];
    assert!(read(&padded).is_ok());
    assert_eq!(read(&[&padded[..], &report[..]].concat()), Err(RtcpError::Padding), "not the last");
    assert_eq!(read(&[0xA0, 201, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0]), Err(RtcpError::Padding));
    assert_eq!(read(&[0xA0, 201, 0, 2, 0, 0, 0, 9, 0, 0, 0, 9]), Err(RtcpError::Padding));
}

#[test]
fn feedback_and_unknown_packets_are_passed_over() {
    let feedback = [0x81, 205, 0, 3, 0, 0, 0, 9, 0, 0, 0, 8, 0, 1, 0, 0];
    assert_eq!(read(&feedback), Ok(vec![Packet::Other]), "alone, by RFC 5506");
    let bytes = [&[0x80, 201, 0, 1, 0, 0, 0, 9][..], &[0x80, 210, 0, 0], &feedback].concat();
    assert_eq!(read(&bytes).map(|packets| packets.len()), Ok(3));
}

#[test]
fn a_report_that_does_not_fit_is_not_written() {
    let report = Report { ssrc: 9, sender: Some(INFO), block: Some(BLOCK), cname: "abcd", goodbye: true };
    let length = written(report).len();
    for room in 0..length {
        assert_eq!(report.write(&mut vec![0; room]), None, "{room}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_what_is_valid_is_read_whole(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..128), kind in 199u8..=208, words in 0u8..32,
    ) {
        if let [flags, second, high, low, ..] = bytes.as_mut_slice() {
            *flags = 0x80 | (*flags & 0x3F);
            (*second, *high, *low) = (kind, 0, words);
        }
        if let Ok(compound) = Compound::parse(&bytes) {
            for packet in compound.packets() {
                if let Packet::SenderReport { blocks, .. } | Packet::ReceiverReport { blocks, .. } = packet {
                    prop_assert!(blocks.iter().count() <= 31);
                }
            }
        }
    }

    #[test]
    fn agrees_with_the_rtcp_crate_on_reports(
        ssrc: u32, fraction_lost: u8, lost in 0u32..0x80_0000, highest: u32, jitter: u32, last_sr: u32, delay: u32,
    ) {
        let theirs = rtcp::reception_report::ReceptionReport {
            ssrc, fraction_lost, total_lost: lost, last_sequence_number: highest, jitter,
            last_sender_report: last_sr, delay,
        };
        let ours = ReportBlock {
            ssrc, fraction_lost, cumulative_lost: lost.cast_signed(), highest, jitter, last_sr,
            delay_since_last_sr: delay,
        };
        let bytes = theirs.marshal().expect("bytes");
        prop_assert_eq!(ReportBlock::read(&bytes), Some(ours));
        let mut buffer = [0; BLOCK_LEN];
        ours.write(&mut Writer { buffer: &mut buffer, length: 0 }).expect("room");
        let mut reader = &buffer[..];
        prop_assert_eq!(rtcp::reception_report::ReceptionReport::unmarshal(&mut reader).expect("read"), theirs);
    }
}
