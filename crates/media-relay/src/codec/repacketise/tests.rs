use std::f64::consts::TAU;

use opus::{Application, Bandwidth, Bitrate, Channels, FrameSize, packet};
use proptest::prelude::*;

use super::*;

const RATE: u32 = 48_000;

/// How a source encodes.
#[derive(Debug, Clone, Copy)]
struct Source {
    application: Application,
    channels: Channels,
    ms: usize,
    vbr: bool,
    bitrate: i32,
}

const CELT: Source = Source {
    application: Application::LowDelay,
    channels: Channels::Mono,
    ms: 20,
    vbr: true,
    bitrate: 32_000,
};
/// At so few bits libopus chooses SILK.
const SILK: Source = Source { application: Application::Voip, bitrate: 12_000, ..CELT };

/// A second and a bit of a chirp, packet by packet.
fn packets(source: Source) -> Vec<Vec<u8>> {
    let mut encoder = opus::Encoder::new(RATE, source.channels, source.application).expect("libopus");
    encoder.set_vbr(source.vbr).expect("libopus");
    encoder.set_bitrate(Bitrate::Bits(source.bitrate)).expect("libopus");
    // One kind throughout.
    encoder.set_bandwidth(Bandwidth::Wideband).expect("libopus");
    encoder.set_expert_frame_duration(FrameSize::Arg).expect("libopus");
    let channels = source.channels as usize;
    let sound: Vec<i16> = (0..60 * 960 * channels)
        .map(|index| {
            let time = (index / channels) as f64 / f64::from(RATE);
            (6000.0 * (TAU * (300.0 + 700.0 * time) * time).sin() * (1.0 + (TAU * 3.0 * time).sin()) / 2.0)
                as i16
        })
        .collect();
    sound
        .chunks_exact(source.ms * 48 * channels)
        .map(|frame| encoder.encode_vec(frame, 1500).expect("encodes"))
        .collect()
}

fn decoded(packets: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = opus::Decoder::new(RATE, Channels::Stereo).expect("libopus");
    let mut samples = [0; 2 * 5760];
    let mut heard = Vec::new();
    for packet in packets {
        let length = decoder.decode(packet, &mut samples, false).expect("decodes");
        heard.extend_from_slice(&samples[..2 * length]);
    }
    heard
}

/// What comes out, and whether all came apart.
fn pieces(packets: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let (mut repacketiser, mut pieces) = (Repacketiser::new(), Vec::new());
    for packet in packets {
        repacketiser.push(packet, &mut |piece| pieces.push(piece.to_vec())).ok()?;
    }
    Some(pieces)
}

fn ms(packet: &[u8]) -> usize {
    packet::get_nb_samples(packet, RATE).expect("a packet") / 48
}

#[track_caller]
fn assert_same_sound_in_20_ms(packets: &[Vec<u8>]) {
    let pieces = pieces(packets).expect("comes apart");
    assert_eq!(packets.iter().map(|packet| ms(packet)).sum::<usize>() / 20, pieces.len());
    assert!(pieces.iter().all(|piece| ms(piece) == 20));
    let (ours, whole) = (decoded(&pieces), decoded(packets));
    assert!(ours == whole[..ours.len()], "other sound");
    assert!(whole.iter().any(|sample| *sample > 3000), "no sound");
}

/// So many packets in one, made by libopus.
fn joined(packets: &[Vec<u8>], count: usize) -> Vec<Vec<u8>> {
    let join = |some: &[Vec<u8>]| {
        let some: Vec<&[u8]> = some.iter().map(Vec::as_slice).collect();
        let mut packet = [0; 4000];
        let length = opus::Repacketizer::new().and_then(|mut maker| maker.combine(&some, &mut packet));
        packet[..length.expect("one kind")].to_vec()
    };
    packets.chunks_exact(count).map(join).collect()
}

#[test]
fn two_packets_of_10_ms_become_one_and_sound_the_same() {
    for source in [CELT, SILK] {
        for vbr in [true, false] {
            assert_same_sound_in_20_ms(&packets(Source { ms: 10, vbr, ..source }));
        }
    }
}

#[test]
fn packets_of_40_and_60_ms_of_20_ms_frames_come_apart_and_sound_the_same() {
    for ms in [40, 60, 80, 100, 120] {
        for vbr in [true, false] {
            for channels in [Channels::Mono, Channels::Stereo] {
                assert_same_sound_in_20_ms(&packets(Source { ms, vbr, channels, ..CELT }));
            }
        }
    }
}

#[test]
fn packets_of_every_code_of_silk_and_celt_sound_the_same() {
    for source in [CELT, SILK] {
        for (ms, vbr, count, expected) in [
            (20, true, 1, 0),
            (20, false, 2, 1),
            (20, true, 2, 2),
            (20, false, 3, 3),
            (20, true, 3, 3),
            (10, true, 4, 3),
            (10, true, 3, 3),
            (10, false, 6, 3),
        ] {
            let packets = joined(&packets(Source { ms, vbr, ..source }), count);
            // SILK's frames differ in length at a constant rate too, without their padding.
            if matches!(source.application, Application::LowDelay) {
                let codes: Vec<u8> = packets.iter().map(|packet| packet[0] & 3).collect();
                assert!(codes.contains(&expected), "{codes:?}");
            }
            assert_same_sound_in_20_ms(&packets);
        }
    }
    for ms in [5, 10] {
        assert_same_sound_in_20_ms(&packets(Source { ms, ..CELT }));
    }
}

#[test]
fn padding_is_left_out_where_frames_are_moved() {
    for (ms, add) in [(40, 3), (40, 300), (60, 1), (10, 255)] {
        let padded: Vec<Vec<u8>> = packets(Source { ms, ..CELT })
            .into_iter()
            .map(|mut packet| {
                let before = packet.len();
                packet.resize(before + add, 0);
                packet::pad(&mut packet, before).expect("pads");
                packet
            })
            .collect();
        assert_eq!(padded[0][0] & 3, 3);
        assert_same_sound_in_20_ms(&padded);
        let bytes: usize = pieces(&padded).expect("comes apart").iter().map(Vec::len).sum();
        assert!(bytes + padded.len() * add <= padded.iter().map(Vec::len).sum::<usize>() + padded.len() * 4);
    }
}

#[test]
fn what_has_20_ms_passes_as_it_is() {
    let packets = packets(CELT);
    assert_eq!(pieces(&packets), Some(packets));
}

#[test]
fn a_silk_frame_longer_than_20_ms_does_not_come_apart() {
    for ms in [40, 60] {
        let packets = packets(Source { ms, ..SILK });
        assert!(packets.iter().all(|packet| packet[0] >> 3 < 12 && packet[0] & 3 == 0), "one frame of SILK");
        assert_eq!(Repacketiser::new().push(&packets[0], &mut |_| panic!("nothing")), Err(Unsplittable));
    }
}

#[test]
fn another_kind_sends_off_what_waits() {
    let [celt, silk] = [CELT, SILK].map(|source| packets(Source { ms: 10, ..source }));
    let (mut repacketiser, mut out) = (Repacketiser::new(), Vec::new());
    for packet in [&celt[0], &silk[0], &silk[1], &silk[2], &vec![0xff, 0xff]] {
        let _ = repacketiser.push(packet, &mut |piece| out.push(piece.to_vec()));
    }
    assert_eq!(out.iter().map(|piece| ms(piece)).collect::<Vec<_>>(), [10, 20, 10]);
    assert_eq!((&out[0], &out[2]), (&celt[0], &silk[2]));
    assert_eq!(repacketiser.pending(), 0);
}

#[test]
fn a_half_whose_other_half_is_lost_is_filled_up_and_the_rest_is_concealed_by_the_decoder() {
    let packets = packets(Source { ms: 10, ..CELT });
    let (mut repacketiser, mut out) = (Repacketiser::new(), Vec::new());
    for packet in &packets[..31] {
        repacketiser.push(packet, &mut |piece| out.push(piece.to_vec())).expect("comes apart");
    }
    assert_eq!((out.len(), repacketiser.pending()), (15, 480));
    repacketiser.fill_up(&mut |piece| out.push(piece.to_vec()));
    assert_eq!(repacketiser.pending(), 0);
    assert_eq!(ms(&out[15]), 20);
    let heard = decoded(&out);
    let before = decoded(&packets[..31]);
    assert_eq!(heard[..before.len()], before);
    let made_up = &heard[before.len()..];
    assert!(made_up.iter().any(|sample| sample.abs() > 1000), "concealed, not silent");
    // Nothing waits: nothing to fill.
    repacketiser.fill_up(&mut |_| panic!("nothing"));
    repacketiser.push(&packets[31], &mut |_| panic!("a half")).expect("comes apart");
    repacketiser.clear();
    assert_eq!(repacketiser.pending(), 0);
}

#[test]
fn frames_that_are_too_long_together_go_one_by_one() {
    // CELT of 10 ms, 1000 octets each.
    let frame = |octet: u8| [vec![0xf0], vec![octet; 1000]].concat();
    let mut out = Vec::new();
    let mut repacketiser = Repacketiser::new();
    for octet in 0..3 {
        repacketiser.push(&frame(octet), &mut |piece| out.push(piece.to_vec())).expect("comes apart");
    }
    assert_eq!(out, [frame(0), frame(1)]);
}

#[test]
fn what_rfc_6716_calls_malformed_does_not_come_apart() {
    let too_long = [vec![0xf8], vec![0; 1276]].concat();
    for packet in [
        &[][..],
        // R3: two equal frames of an odd sum; R4: a length beyond the end, or none.
        &[0xf9, 1],
        &[0xfa],
        &[0xfa, 5, 1],
        &[0xfa, 252],
        // R5: no frame, more than 120 ms, no second octet; R6: frames that are not equal.
        &[0xfb],
        &[0xfb, 0],
        &[0xfb, 7],
        &[0xfb, 2, 1],
        // Padding beyond the end.
        &[0xfb, 0x41, 5],
        &[0xfb, 0x41, 255],
        // R7: lengths beyond the end.
        &[0xfb, 0x83, 1],
        &[0xfb, 0x82, 9, 1],
        &too_long,
    ] {
        assert!(packet.is_empty() || packet::parse(packet).is_err(), "{packet:?}");
        assert_eq!(
            Repacketiser::new().push(packet, &mut |_| panic!("nothing")),
            Err(Unsplittable),
            "{packet:?}"
        );
    }
}

#[test]
fn frames_of_each_configuration_are_as_long_as_libopus_says() {
    for configuration in 0..32_u8 {
        let packet = [configuration << 3, 0];
        let length = Kind::of(&packet).map(Kind::length);
        let samples = packet::get_nb_samples(&packet, RATE).expect("a packet");
        assert_eq!(
            length.map(|length| usize::from(length) * TICKS as usize),
            Some(samples),
            "{configuration}"
        );
    }
}

/// Where the length of a frame takes a second octet (RFC 6716 3.2.1).
#[test]
fn frames_of_every_length_are_written_as_they_were() {
    // CELT, 10 ms.
    let kind = 18 << 3;
    for length in [0, 1, 251, 252, 253, 255, 256, 1000, 1023] {
        let (first, second) = (vec![7; length], vec![9; 3]);
        let packets = [[&[kind], &first[..]].concat(), [&[kind], &second[..]].concat()];
        let pieces = pieces(&packets).expect("comes apart");
        let frames = Frames::parse(&pieces[0]).map(|frames| frames.map(<[u8]>::to_vec).collect::<Vec<_>>());
        assert_eq!((pieces.len(), frames), (1, Some(vec![first, second])));
    }
}

proptest! {
    #[test]
    fn frames_are_those_that_libopus_sees(packet in prop::collection::vec(any::<u8>(), 1..200), code in 0..4_u8) {
        let mut packet = packet;
        packet[0] = packet[0] & 0xfc | code;
        let ours = Frames::parse(&packet).map(|frames| frames.map(<[u8]>::to_vec).collect::<Vec<_>>());
        let theirs = packet::parse(&packet).ok();
        let theirs = theirs.map(|packet| packet.frames.iter().map(|frame| frame.to_vec()).collect::<Vec<_>>());
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn any_payloads_come_out_no_longer_than_20_ms_and_are_packets(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
    ) {
        let mut repacketiser = Repacketiser::new();
        for payload in payloads {
            let mut emit = |piece: &[u8]| {
                assert!(packet::get_nb_samples(piece, RATE).expect("a packet") <= 960);
                assert!(packet::parse(piece).is_ok(), "{piece:?}");
            };
            let _ = repacketiser.push(&payload, &mut emit);
            prop_assert!(repacketiser.pending() < 960);
        }
    }
}
