//! The gate, and the silence that is filled in.

use super::*;

/// A payload of Opus.
const SOUND: [u8; 4] = [0x48, 1, 2, 3];

fn sound(sequence: u16) -> Vec<u8> {
    packet(header(0, PBX_SSRC, sequence, u32::from(sequence) * 160), &[0x55; 160])
}

fn answer(sequence: u16) -> Vec<u8> {
    let header = header(OPUS, WHATSAPP_SSRC, sequence, u32::from(sequence) * 960);
    packet(header, &opus::SILENCE)
}

#[test]
fn nothing_passes_before_the_call_is_answered_but_is_told() {
    let mut rig = Rig::shut(&pcmu());
    assert_eq!(rig.path.deadline(), None);
    for sequence in 0..50 {
        rig.pbx(&sound(sequence));
        rig.whatsapp(&answer(sequence));
        rig.pbx(&packet(header(101, PBX_SSRC, 90, 0), &[1, 10, 0, 160]));
        rig.wait(20);
    }
    assert!(rig.to_whatsapp.is_empty() && rig.to_pbx.is_empty());
    assert_eq!(rig.path.poll(), Some(PathEvent::FirstAudio(Party::Pbx)));
    assert_eq!(rig.path.poll(), Some(PathEvent::FirstAudio(Party::WhatsApp)));
    assert_eq!(rig.path.poll(), None);
}

#[test]
fn the_first_packet_leaves_when_the_gate_opens() {
    let mut rig = Rig::shut(&pcmu());
    rig.path.set_whatsapp(formats(96, 97));
    rig.path.open(rig.now);
    assert_eq!(rig.path.deadline(), Some(rig.now));
    rig.wait(0);
    assert_eq!(rig.path.counters().whatsapp.silence, 1);
    let (at, first) = &rig.to_whatsapp[0];
    assert_eq!(*at, 0);
    assert_eq!(
        first.header,
        Header {
            payload_type: 96,
            ..header(96, TO_WHATSAPP.ssrc, TO_WHATSAPP.sequence, TO_WHATSAPP.timestamp)
        }
    );
    rig.path.open(rig.now);
    rig.wait(19);
    assert_eq!(rig.to_whatsapp.len(), 1, "opening twice changes nothing");
}

#[test]
fn a_pbx_that_speaks_already_is_the_first_packet() {
    let mut rig = Rig::shut(&pcmu());
    rig.pbx(&sound(1));
    rig.wait(10);
    rig.path.open(rig.now);
    rig.wait(10);
    rig.pbx(&sound(2));
    assert_eq!(rig.to_whatsapp.len(), 1);
    assert_eq!(rig.path.counters().whatsapp.silence, 0);
}

#[test]
fn a_silent_pbx_is_filled_in_every_20_ms() {
    let mut rig = Rig::open(&pcmu());
    rig.wait(980);
    let times: Vec<u128> = rig.to_whatsapp.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, (0..50).map(|index| index * 20).collect::<Vec<_>>());
    assert_continuous(rig.to_whatsapp.iter().map(|(_, sent)| sent), 960);
    assert_eq!(rig.path.counters().whatsapp.silence, 50);
}

#[test]
fn hold_is_filled_in_after_60_ms_until_sound_resumes() {
    let mut rig = Rig::open(&media(Codec::Opus, OPUS, None));
    let mut sequence = 0;
    let mut speak = |rig: &mut Rig, packets| {
        for _ in 0..packets {
            // The PBX's own timeline goes on while it is silent.
            let timestamp = ((rig.now - rig.start).as_millis() * 48) as u32;
            rig.pbx(&packet(header(OPUS, PBX_SSRC, sequence, timestamp), &SOUND));
            sequence += 1;
            rig.wait(20);
        }
    };
    rig.now += ms(20);
    rig.to_whatsapp.clear();
    speak(&mut rig, 10);
    rig.wait(390);
    speak(&mut rig, 10);
    let sent: Vec<(u128, bool)> =
        rig.to_whatsapp.iter().map(|(at, sent)| (*at, sent.payload != SOUND)).collect();
    // The last sound left at 200 ms; the silence fills from 260 ms on.
    let silent: Vec<u128> = sent.iter().filter(|sent| sent.1).map(|sent| sent.0).collect();
    assert_eq!(silent, (13..=30).map(|index| index * 20).collect::<Vec<_>>());
    assert_eq!(sent.len(), 20 + silent.len());
    // Sequence numbers without a gap, timestamps as the clock says.
    let (first_at, first) = &rig.to_whatsapp[0];
    for (index, (at, sent)) in rig.to_whatsapp.iter().enumerate() {
        let expected = first.header.sequence.wrapping_add(index as u16);
        assert_eq!(sent.header.sequence, expected);
        let elapsed = sent.header.timestamp.wrapping_sub(first.header.timestamp);
        assert_eq!(u128::from(elapsed), (at - first_at) * 48, "{index}");
    }
}

#[test]
fn a_pbx_timeline_that_stood_still_goes_on_after_the_silence() {
    let mut rig = Rig::open(&pcmu());
    rig.wait(20);
    rig.pbx(&sound(1));
    rig.wait(500);
    let before = rig.to_whatsapp.last().expect("silence").1.header;
    rig.pbx(&sound(2));
    rig.wait(20);
    rig.pbx(&sound(3));
    let after: Vec<Header> =
        rig.to_whatsapp.iter().rev().take(2).rev().map(|(_, sent)| sent.header).collect();
    assert_eq!(after[0].timestamp, before.timestamp.wrapping_add(960));
    assert!(after[0].marker && !after[1].marker);
    assert_eq!(after[1].timestamp, after[0].timestamp.wrapping_add(960));
    assert_eq!(after[1].sequence, before.sequence.wrapping_add(2));
}

#[test]
fn long_packets_are_no_silence() {
    let mut rig = Rig::open(&pcmu());
    for index in 0..50 {
        let header = header(0, PBX_SSRC, index, u32::from(index) * 480);
        rig.pbx(&packet(header, &[0x55; 480]));
        // 60 ms with 25 ms of jitter.
        rig.wait(if index % 2 == 0 { 85 } else { 35 });
    }
    assert_eq!(rig.path.counters().whatsapp.silence, 1, "the first one");
}

#[test]
fn a_late_timer_sends_one_frame_and_skips_the_rest() {
    let mut rig = Rig::open(&pcmu());
    rig.now += ms(1010);
    let (now, mut sent) = (rig.now, Vec::new());
    rig.path.handle_timeout(now, &mut |to, bytes: &[u8]| {
        if to == Party::WhatsApp {
            sent.push(Sent::new(bytes));
        }
    });
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].header.timestamp, TO_WHATSAPP.timestamp.wrapping_add(50 * 960));
    assert!(rig.path.deadline().is_some_and(|due| due > now));
}

/// Packets of a few samples made no frame for seconds, and each put the silence off.
#[test]
fn packets_that_make_no_frame_put_no_silence_off() {
    let mut rig = Rig::open(&pcmu());
    for index in 0..100 {
        let header = header(0, PBX_SSRC, index, u32::from(index));
        rig.pbx(&packet(header, &[0x55]));
        rig.wait(20);
    }
    let times: Vec<u128> = rig.to_whatsapp.iter().map(|(at, _)| *at).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 20), "{times:?}");
}

#[test]
fn before_a_pbx_is_known_silence_in_g711_counts_at_8_khz() {
    let mut rig = Rig::shut(&pcmu());
    rig.path = AudioPath::new(config());
    rig.path.set_whatsapp(WhatsAppFormats { opus: None, pcma: Some(8), ..WhatsAppFormats::default() });
    rig.path.open(rig.now);
    rig.wait(1000);
    assert!(rig.to_whatsapp.len() >= 50);
    let sent = || rig.to_whatsapp.iter().map(|(_, sent)| sent);
    assert!(sent().all(|sent| sent.header.payload_type == 8 && sent.payload.len() == 160));
    assert_continuous(sent(), 160);
}
