//! Pauses: what each side hears while the other sends nothing, and when that is told.

use super::*;
use crate::announcement::Announcement;
use crate::codec::opus::{Decoder, MAX_SAMPLES};
use crate::hold::HoldSound;
use crate::options::MediaTimeouts;
use crate::rtp::testing::amplitude;
use crate::tone::{Sound, Tone};

/// A payload of Opus.
const SOUND: [u8; 4] = [0x48, 1, 2, 3];
/// What an encoder in DTX sends at the beginning of a pause.
const DTX: [u8; 1] = [0x48];

/// A WhatsApp phone whose clock goes on while it sends nothing.
fn speak(rig: &mut Rig, sequence: &mut u16, payload: &[u8], packets: u16) {
    for _ in 0..packets {
        let timestamp = ((rig.now - rig.start).as_millis() * 48) as u32;
        rig.whatsapp(&packet(header(OPUS, WHATSAPP_SSRC, *sequence, timestamp), payload));
        *sequence = sequence.wrapping_add(1);
        rig.wait(20);
    }
}

fn pbxs() -> [Media; 3] {
    [pcmu(), media(Codec::Pcma, 8, None), media(Codec::Opus, 107, Some((101, 48_000)))]
}

fn level(rig: &Rig, from_ms: usize, to_ms: usize, hertz: f64) -> f64 {
    let mut decoder = Decoder::new(8000).expect("libopus");
    let mut samples = [0; MAX_SAMPLES];
    let packets = rig.to_whatsapp.iter();
    let heard: Vec<i16> = packets
        .flat_map(|(_, sent)| decoder.decode(&sent.payload, &mut samples).expect("opus").to_vec())
        .collect();
    amplitude(&heard[from_ms * 8..to_ms * 8], hertz)
}

fn endless(hertz: u16) -> HoldSound {
    HoldSound::Tone(Tone { sound: Sound::One(hertz), cadence: &[] })
}

fn holding(sound: HoldSound) -> SessionOptions {
    SessionOptions { hold_sound: sound, ..SessionOptions::default() }
}

fn open_with(media: &Media, options: SessionOptions) -> Rig {
    let mut rig = Rig::choosing(media, options);
    rig.path.open(rig.now);
    rig.wait(0);
    rig
}

#[test]
fn the_pbx_gets_a_packet_every_20_ms_through_90_s_of_whatsapps_silence_and_loses_nothing_after_it() {
    for media in pbxs() {
        let mut rig = Rig::open(&media);
        let mut sequence = 65_000;
        rig.wait(20);
        speak(&mut rig, &mut sequence, &SOUND, 50);
        let before = rig.to_pbx.len();
        rig.own_to_pbx.clear();
        rig.wait(90_000);
        let mut times = std::mem::take(&mut rig.own_to_pbx);
        // What might have been lost is made up where we decode.
        let made_up = times.iter().take_while(|at| **at < 1020 + 100).count();
        assert_eq!(made_up, if media.codec == Codec::Opus { 0 } else { 3 });
        assert!(times[made_up] <= 1020 + 100 + 200, "{}: {}", media.codec, times[made_up]);
        times.drain(..made_up);
        let before = before + made_up;
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 20), "{}", media.codec);
        assert_eq!(times.len() as u64, rig.path.counters().pbx.silence);
        assert!(*times.last().expect("many") + 20 > 1020 + 90_000);
        speak(&mut rig, &mut sequence, &SOUND, 50);
        assert_eq!(rig.to_pbx.len(), before + times.len() + 50, "{}", media.codec);
        assert_eq!((rig.path.counters().whatsapp.late, rig.path.counters().whatsapp.lost), (0, 0));
        let step = media.codec.clock() / 50;
        for pair in rig.to_pbx.windows(2) {
            let (first, second) = (pair[0].header, pair[1].header);
            assert_eq!(second.ssrc, first.ssrc);
            assert_eq!(second.sequence, first.sequence.wrapping_add(1));
            let steps = second.timestamp.wrapping_sub(first.timestamp) / step;
            assert!((1..=11).contains(&steps), "{}: {steps}", media.codec);
        }
    }
}

#[test]
fn a_pause_that_whatsapps_encoder_announces_is_filled_in_at_once() {
    let mut rig = Rig::open(&media(Codec::Opus, 107, None));
    let mut sequence = 1;
    rig.wait(20);
    speak(&mut rig, &mut sequence, &SOUND, 10);
    // DTX: a frame every 400 ms (RFC 6716 2.1.9).
    for _ in 0..10 {
        speak(&mut rig, &mut sequence, &DTX, 1);
        rig.wait(380);
    }
    speak(&mut rig, &mut sequence, &SOUND, 10);
    let silence = rig.path.counters().pbx.silence;
    assert!((180..=190).contains(&silence), "{silence}");
    assert_eq!(rig.to_pbx.len() as u64, 30 + silence);
    let numbers: Vec<u16> = rig.to_pbx.iter().map(|sent| sent.header.sequence).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
    let steps: Vec<u32> = rig
        .to_pbx
        .windows(2)
        .map(|pair| pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp))
        .collect();
    assert!(steps.iter().all(|step| (960..=1920).contains(step)), "{steps:?}");
}

#[test]
fn a_hiccup_of_whatsapps_network_is_not_filled_in() {
    let mut rig = Rig::open(&media(Codec::Opus, 107, None));
    let mut sequence = 1;
    rig.wait(20);
    speak(&mut rig, &mut sequence, &SOUND, 10);
    rig.wait(150);
    speak(&mut rig, &mut sequence, &SOUND, 10);
    assert_eq!((rig.to_pbx.len(), rig.path.counters().pbx.silence), (20, 0));
}

#[test]
fn a_pbx_on_hold_gets_nothing_and_a_packet_at_once_when_it_comes_back() {
    let held = Media { direction: Direction::Inactive, ..pcmu() };
    let nowhere = Media { remote: SocketAddr::from(([0, 0, 0, 0], 4000)), ..pcmu() };
    for hold in [held, nowhere, Media { direction: Direction::RecvOnly, ..pcmu() }] {
        let mut rig = Rig::open(&pcmu());
        rig.wait(1000);
        rig.path.set_pbx(&hold).expect("libopus");
        let before = rig.to_pbx.len();
        rig.wait(60_000);
        assert_eq!(rig.to_pbx.len(), before);
        rig.path.set_pbx(&pcmu()).expect("libopus");
        rig.wait(980);
        assert_eq!(rig.to_pbx.len(), before + 50);
    }
}

#[test]
fn on_a_hold_without_sound_whatsapp_hears_the_holds_tone() {
    let held = Media { direction: Direction::Inactive, ..pcmu() };
    let opus = media(Codec::Opus, 107, None);
    let nowhere = Media { remote: SocketAddr::from(([0, 0, 0, 0], 4000)), ..opus.clone() };
    for (media, held, wait) in [(pcmu(), held, 0), (opus, nowhere, 1000)] {
        let mut rig = open_with(&media, holding(endless(425)));
        rig.wait(980);
        rig.path.set_pbx(&held).expect("libopus");
        rig.wait(4000);
        rig.path.set_pbx(&media).expect("libopus");
        rig.wait(1000);
        assert_continuous(rig.to_whatsapp.iter().map(|(_, sent)| sent), 960);
        assert!(level(&rig, 0, 980, 425.0) < 50.0, "{}", media.codec);
        assert!(level(&rig, 1200 + wait, 4900, 425.0) > 4000.0, "{}", media.codec);
        assert!(level(&rig, 5200, 5900, 425.0) < 100.0, "{}: the hold is over", media.codec);
    }
}

#[test]
fn a_recording_is_heard_over_and_over_without_a_break() {
    // 310 ms of a tone with whole periods: no frame ends where it does.
    let rate = 8000;
    let samples = (0..rate * 310 / 1000)
        .map(|at| (8000.0 * (f64::from(at) * std::f64::consts::TAU * 500.0 / f64::from(rate)).sin()) as i16);
    let recording = Announcement::new(rate, samples.collect()).expect("a rate");
    let held = Media { direction: Direction::Inactive, ..pcmu() };
    let mut rig = open_with(&held, holding(HoldSound::Recording(recording)));
    rig.wait(5000);
    assert_eq!(rig.path.counters().whatsapp.tone, 251, "from the first packet on");
    for from in (200..4800).step_by(100) {
        let level = level(&rig, from, from + 100, 500.0);
        assert!(level > 6000.0, "{from}: {level}");
    }
    let empty = Announcement::new(8000, Vec::new()).expect("a rate");
    let mut rig = open_with(&held, holding(HoldSound::Recording(empty)));
    rig.wait(100);
    assert_eq!(rig.to_whatsapp.len(), 6, "nothing to play is no reason to send nothing");
    let short = Announcement::new(8000, vec![5000; 3]).expect("a rate");
    let mut rig = open_with(&held, holding(HoldSound::Recording(short)));
    rig.wait(100);
    assert_eq!(rig.path.counters().whatsapp.tone, 6);
}

#[test]
fn the_pbxs_own_music_is_heard_in_place_of_the_holds_sound() {
    let held = Media { direction: Direction::RecvOnly, ..pcmu() };
    let mut rig = open_with(&pcmu(), holding(endless(425)));
    rig.path.set_pbx(&held).expect("libopus");
    rig.wait(500);
    for index in 0..100_u16 {
        rig.pbx(&packet(header(0, PBX_SSRC, index, u32::from(index) * 160), &[0x55; 160]));
        // A pause in the music is short.
        rig.wait(if index == 50 { 600 } else { 20 });
    }
    assert_eq!(rig.path.counters().whatsapp.tone, 0);
    rig.wait(2000);
    assert!(rig.path.counters().whatsapp.tone > 45, "music that has ended is replaced");
}

#[test]
fn while_a_transfer_rings_its_sound_goes_before_that_of_the_hold() {
    let held = Media { direction: Direction::Inactive, ..pcmu() };
    let mut rig = open_with(&held, holding(endless(425)));
    rig.wait(980);
    rig.path.transferring(Some(endless(600)));
    rig.wait(1000);
    rig.path.leave_pbx(rig.now);
    rig.wait(1000);
    rig.path.transferring(None);
    rig.wait(1000);
    assert!(level(&rig, 200, 980, 425.0) > 4000.0);
    assert!(level(&rig, 1100, 2950, 600.0) > 4000.0 && level(&rig, 1100, 2950, 425.0) < 200.0);
    assert!(level(&rig, 3100, 3900, 425.0) > 4000.0 && level(&rig, 3100, 3900, 600.0) < 200.0);
}

fn decibels(rig: &Rig, from_ms: usize, to_ms: usize) -> f64 {
    let mut decoder = Decoder::new(8000).expect("libopus");
    let mut samples = [0; MAX_SAMPLES];
    let heard = rig.to_whatsapp.iter();
    let heard: Vec<i16> = heard
        .flat_map(|(_, sent)| decoder.decode(&sent.payload, &mut samples).expect("opus").to_vec())
        .collect();
    let heard = &heard[from_ms * 8..to_ms * 8];
    let energy: f64 = heard.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    20.0 * ((energy / heard.len() as f64).sqrt().max(0.1) / 32_768.0).log10()
}

/// RFC 3389: a PBX that suppresses silence says once, and now and again, how loud its background is.
#[test]
fn comfort_noise_of_the_pbx_is_heard_at_its_level_until_sound_comes_back() {
    let mut rig = Rig::open(&pcmu());
    rig.wait(20);
    let sound = |index: u16| packet(header(0, PBX_SSRC, index, u32::from(index) * 160), &[0x55; 160]);
    for index in 0..50 {
        rig.pbx(&sound(index));
        rig.wait(20);
    }
    rig.pbx(&packet(header(13, PBX_SSRC, 50, 50 * 160), &[45]));
    rig.wait(2000);
    rig.pbx(&packet(header(13, PBX_SSRC, 51, 150 * 160), &[60, 1, 2]));
    rig.wait(2000);
    for index in 52..102 {
        rig.pbx(&packet(header(0, PBX_SSRC, index, u32::from(index + 198) * 160), &[0x55; 160]));
        rig.wait(20);
    }
    rig.wait(1000);
    let times: Vec<u128> = rig.to_whatsapp.iter().map(|(at, _)| *at).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 60), "{times:?}");
    for pair in rig.to_whatsapp.windows(2) {
        assert_eq!(pair[1].1.header.sequence, pair[0].1.header.sequence.wrapping_add(1));
    }
    let (loud, quiet) = (decibels(&rig, 1500, 2900), decibels(&rig, 3500, 4900));
    // An encoder of speech does not keep noise to the decibel.
    assert!((loud + 45.0).abs() < 5.0, "{loud}");
    assert!((quiet + 60.0).abs() < 6.0, "{quiet}");
    let after = decibels(&rig, 6300, 6900);
    assert!(after < -75.0, "a pause that says nothing of its background is silence: {after}");
    let counters = rig.path.counters();
    assert_eq!((counters.pbx.ignored, counters.pbx.lost, counters.pbx.late), (0, 0, 0));
}

#[test]
fn comfort_noise_that_sound_has_overtaken_makes_no_pause() {
    let mut rig = Rig::open(&pcmu());
    rig.wait(20);
    let before = rig.path.counters().whatsapp.silence;
    for index in 0..50_u16 {
        rig.pbx(&packet(header(0, PBX_SSRC, index + 1, u32::from(index) * 160), &[0x55; 160]));
        rig.pbx(&packet(header(13, PBX_SSRC, index, 0), &[50]));
        rig.wait(20);
    }
    assert_eq!(rig.path.counters().whatsapp.silence, before);
}

fn watching(pbx_s: u64, whatsapp_s: u64) -> SessionOptions {
    let timeouts = MediaTimeouts { pbx: ms(pbx_s * 1000), whatsapp: ms(whatsapp_s * 1000) };
    SessionOptions { timeouts, ..SessionOptions::default() }
}

fn silences(rig: &mut Rig) -> Vec<PathEvent> {
    let mut events = rig.events();
    events.retain(|event| matches!(event, PathEvent::Silent(_) | PathEvent::Heard(_)));
    events
}

#[test]
fn a_pbx_that_sends_nothing_is_told_of_once_and_again_when_it_is_back() {
    let mut rig = open_with(&pcmu(), watching(30, 0));
    rig.wait(10_000);
    rig.pbx(&packet(header(0, PBX_SSRC, 1, 160), &[0x55; 160]));
    rig.wait(29_900);
    assert_eq!(silences(&mut rig), []);
    rig.wait(200);
    assert_eq!(silences(&mut rig), [PathEvent::Silent(Party::Pbx)]);
    rig.wait(120_000);
    assert_eq!(silences(&mut rig), []);
    rig.pbx(&packet(header(0, PBX_SSRC, 2, 320), &[0x55; 160]));
    assert_eq!(silences(&mut rig), [PathEvent::Heard(Party::Pbx)]);
}

#[test]
fn comfort_noise_keys_and_rtcp_are_signs_of_life() {
    let mut rig = open_with(&pcmu(), watching(30, 0));
    for index in 0..10_u16 {
        match index % 3 {
            0 => rig.pbx(&packet(header(13, PBX_SSRC, index, 0), &[60])),
            1 => rig.pbx(&packet(header(101, PBX_SSRC, index, 0), &[5, 10, 3, 192])),
            _ => rig.path.heard_from(rig.now, Party::Pbx),
        }
        rig.wait(29_000);
    }
    assert_eq!(silences(&mut rig), []);
    rig.wait(2000);
    assert_eq!(silences(&mut rig), [PathEvent::Silent(Party::Pbx)]);
}

#[test]
fn a_hold_a_transfer_and_a_pbx_that_only_listens_are_no_silence() {
    let direction = |direction| Media { direction, ..pcmu() };
    let nowhere = Media { remote: SocketAddr::from(([0, 0, 0, 0], 4000)), ..pcmu() };
    let quiet = [Direction::Inactive, Direction::RecvOnly, Direction::SendOnly].map(direction);
    for media in quiet.into_iter().chain([nowhere]) {
        let mut rig = open_with(&pcmu(), watching(30, 0));
        rig.wait(20_000);
        rig.path.set_pbx(&media).expect("libopus");
        rig.wait(90_000);
        assert_eq!(silences(&mut rig), [], "{:?}", media.direction);
        rig.path.set_pbx(&pcmu()).expect("libopus");
        rig.wait(29_000);
        assert_eq!(silences(&mut rig), [], "after the hold it counts anew");
        rig.wait(2000);
        assert_eq!(silences(&mut rig), [PathEvent::Silent(Party::Pbx)]);
    }
    let mut rig = open_with(&pcmu(), watching(30, 0));
    rig.path.transferring(Some(HoldSound::Silence));
    rig.wait(100_000);
    assert_eq!(silences(&mut rig), []);
    rig.path.transferring(None);
    rig.wait(31_000);
    assert_eq!(silences(&mut rig), [PathEvent::Silent(Party::Pbx)]);
}

#[test]
fn each_side_has_a_time_out_of_its_own_and_none_before_the_answer() {
    let mut rig = Rig::choosing(&pcmu(), watching(0, 60));
    rig.wait(100_000);
    assert_eq!(silences(&mut rig), []);
    rig.path.open(rig.now);
    let mut sequence = 1;
    speak(&mut rig, &mut sequence, &SOUND, 50);
    rig.wait(59_900);
    assert_eq!(silences(&mut rig), []);
    rig.wait(200);
    assert_eq!(silences(&mut rig), [PathEvent::Silent(Party::WhatsApp)]);
    let mut rig = open_with(&pcmu(), watching(0, 0));
    rig.wait(180_000);
    assert_eq!(silences(&mut rig), [], "0 is off");
}

/// A rig whose WhatsApp takes G.711, and Opus too where `opus` is so.
fn g711_at_whatsapp(codec: Codec, opus: Option<u8>, options: SessionOptions) -> (Rig, Law) {
    let mut rig = Rig::choosing(&media(codec, 0, None), SessionOptions { untouched: true, ..options });
    rig.path.set_whatsapp(WhatsAppFormats { opus, pcmu: Some(0), pcma: Some(8), ..formats(OPUS, 126) });
    rig.path.open(rig.now);
    rig.wait(0);
    (rig, law(if codec == Codec::Pcmu { codec } else { Codec::Pcma }))
}

fn payload_type(law: Law) -> u8 {
    if law == Law::Mu { 0 } else { 8 }
}

fn heard_in(law: Law, sent: &[(u128, Sent)]) -> Vec<i16> {
    let mut samples = vec![0; 160 * sent.len()];
    for ((_, sent), samples) in sent.iter().zip(samples.chunks_mut(160)) {
        assert_eq!((sent.header.payload_type, sent.payload.len()), (payload_type(law), 160));
        law.decode(&sent.payload, samples);
    }
    samples
}

#[test]
fn where_whatsapp_gets_g711_the_frames_of_our_own_are_g711_and_its_clock_goes_on() {
    for (codec, opus) in [(Codec::Pcmu, Some(OPUS)), (Codec::Pcma, Some(OPUS)), (Codec::G722, None)] {
        let (mut rig, law) = g711_at_whatsapp(codec, opus, SessionOptions::default());
        let source = |rig: &mut Rig, sequence: u16, timestamp: u32| {
            rig.pbx(&packet(header(0, PBX_SSRC, sequence, timestamp), &[0x80; 160]));
        };
        for index in 0..50 {
            source(&mut rig, index, u32::from(index) * 160);
            rig.wait(20);
        }
        rig.wait(2000);
        let paused = rig.to_whatsapp.len();
        for index in 50..100 {
            source(&mut rig, index, 8000 + 16_000 + u32::from(index - 50) * 160);
            rig.wait(20);
        }
        // A pause that was filled ends when the source speaks: nothing overlaps, nothing goes back.
        for pair in rig.to_whatsapp.windows(2) {
            let [before, after] = [pair[0].1.header, pair[1].1.header];
            assert_eq!(after.sequence, before.sequence.wrapping_add(1));
            let step = after.timestamp.wrapping_sub(before.timestamp);
            assert!((160..=480).contains(&step) && step % 160 == 0, "{codec}: {step} at {}", pair[1].0);
        }
        assert!(paused > 140, "{paused}");
        rig.path.play_to_whatsapp(rig.now, endless(1000)).expect("libopus");
        let tone = rig.to_whatsapp.len();
        rig.wait(1000);
        assert!(amplitude(&heard_in(law, &rig.to_whatsapp[tone + 5..]), 1000.0) > 4000.0);
        heard_in(law, &rig.to_whatsapp);
    }
}

#[test]
fn a_recording_is_g711_where_whatsapp_gets_nothing_else() {
    for rate in Announcement::RATES {
        let (mut rig, law) = g711_at_whatsapp(Codec::Opus, None, SessionOptions::default());
        let step = std::f64::consts::TAU * 600.0 / f64::from(rate);
        let samples = (0..rate).map(|at| (8000.0 * (f64::from(at) * step).sin()) as i16).collect();
        let silence = rig.to_whatsapp.len();
        rig.path.announce(rig.now, Announcement::new(rate, samples).expect("a rate")).expect("libopus");
        rig.wait(1500);
        let heard = heard_in(law, &rig.to_whatsapp[silence..]);
        assert!(amplitude(&heard[800..7200], 600.0) > 6500.0, "{rate}");
        assert!(amplitude(&heard[8800..], 600.0) < 50.0, "{rate}");
        assert_eq!(rig.path.counters().whatsapp.tone, 50);
        assert_continuous(rig.to_whatsapp.iter().map(|(_, sent)| sent), 160);
    }
}
