//! A recording of ours, judged by ear.

use super::*;
use crate::announcement::Announcement;
use crate::codec::opus::{Decoder, MAX_SAMPLES};
use crate::rtp::testing::amplitude;

/// So many milliseconds of a sine.
fn recording(rate: u32, hertz: f64, milliseconds: u32) -> Announcement {
    let step = std::f64::consts::TAU * hertz / f64::from(rate);
    let samples = (0..rate / 1000 * milliseconds).map(|at| (8000.0 * (f64::from(at) * step).sin()) as i16);
    Announcement::new(rate, samples.collect()).expect("a rate")
}

/// A path without a PBX: a caller who is put through to nobody.
fn alone() -> Rig {
    let mut rig = Rig::shut(&pcmu());
    rig.path = AudioPath::new(config());
    rig.path.set_whatsapp(formats(OPUS, 126));
    rig
}

fn heard(rig: &Rig) -> Vec<i16> {
    let mut decoder = Decoder::new(8000).expect("libopus");
    let mut samples = [0; MAX_SAMPLES];
    let packets = rig.to_whatsapp.iter();
    packets
        .flat_map(|(_, sent)| decoder.decode(&sent.payload, &mut samples).expect("opus").to_vec())
        .collect()
}

fn announced(rig: &mut Rig) -> usize {
    std::iter::from_fn(|| rig.path.poll()).filter(|event| *event == PathEvent::Announced).count()
}

#[test]
fn a_recording_of_every_rate_is_heard_once_and_told_of_at_its_end() {
    for rate in Announcement::RATES {
        let mut rig = alone();
        rig.path.open(rig.now);
        rig.wait(500);
        rig.path.announce(rig.now, recording(rate, 600.0, 1010)).expect("libopus");
        rig.wait(1010);
        assert_eq!(announced(&mut rig), 0, "the last frame is still to come");
        rig.wait(500);
        assert_eq!(announced(&mut rig), 1);
        rig.wait(1000);
        assert_eq!(announced(&mut rig), 0);
        assert_eq!(rig.path.counters().whatsapp.tone, 51, "50 frames and a half");
        assert_continuous(rig.to_whatsapp.iter().map(|(_, sent)| sent), 960);
        let heard = heard(&rig);
        let level = |from: usize, to: usize| amplitude(&heard[from * 8..to * 8], 600.0);
        assert!(level(0, 450) < 50.0, "silence before");
        assert!(level(600, 1450) > 6500.0, "{rate}: {}", level(600, 1450));
        assert!(level(1700, 2400) < 50.0, "silence after");
    }
}

#[test]
fn before_the_answer_nothing_is_heard_and_the_recording_begins_with_it() {
    let mut rig = alone();
    rig.path.announce(rig.now, recording(8000, 600.0, 400)).expect("libopus");
    rig.wait(2000);
    assert!(rig.to_whatsapp.is_empty());
    rig.path.open(rig.now);
    rig.wait(420);
    assert_eq!((rig.path.counters().whatsapp.tone, announced(&mut rig)), (20, 1));
}

#[test]
fn a_recording_that_is_stopped_is_not_told_of() {
    let mut rig = alone();
    rig.path.open(rig.now);
    rig.path.announce(rig.now, recording(48_000, 600.0, 2000)).expect("libopus");
    rig.wait(1000);
    rig.path.stop_tone();
    rig.wait(2000);
    assert_eq!(announced(&mut rig), 0);
    assert!(rig.path.counters().whatsapp.tone <= 51);
}

#[test]
fn the_pbx_is_not_heard_while_a_recording_plays() {
    let mut rig = Rig::open(&pcmu());
    rig.path.announce(rig.now, recording(16_000, 600.0, 1000)).expect("libopus");
    for index in 0..50_u16 {
        let header = Header {
            marker: false,
            payload_type: 0,
            sequence: index,
            timestamp: u32::from(index) * 160,
            ssrc: PBX_SSRC,
        };
        rig.pbx(&packet(header, &[0x80; 160]));
        rig.wait(20);
    }
    assert_continuous(rig.to_whatsapp.iter().map(|(_, sent)| sent), 960);
    assert_eq!(rig.path.counters().whatsapp.tone, 50);
}
