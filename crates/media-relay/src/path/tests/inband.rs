//! Keys as tones in the PBX's sound, both ways.

use super::keys::{assert_no_gap, events, press};
use super::sound::{Phone, g711, heard_at_whatsapp, law_of};
use super::*;
use crate::codec::g722;
use crate::codec::halfband::Up;
use crate::codec::inband::{Change, Detector, Dial};
use crate::codec::opus::{Decoder, Encoder, EncoderConfig, MAX_PAYLOAD, MAX_SAMPLES};
use crate::rtp::dtmf::Event;
use crate::rtp::testing::{amplitude, tone};

fn without_events() -> [Media; 3] {
    [media(Codec::Pcmu, 0, None), media(Codec::Pcma, 8, None), media(Codec::G722, 9, None)]
}

fn opus_pbx(dtmf: Option<(u8, u32)>) -> Media {
    media(Codec::Opus, 107, dtmf)
}

/// A PBX that speaks a codec: what it says is made at 8 kHz.
struct Speaker {
    media: Media,
    opus: Encoder,
    g722: (Up, g722::Encoder),
    spoken: u16,
}

impl Speaker {
    fn new(media: &Media) -> Self {
        let opus = Encoder::new(&EncoderConfig::whatsapp(8000, 5)).expect("libopus");
        Self { media: media.clone(), opus, g722: (Up::new(), g722::Encoder::new()), spoken: 0 }
    }

    fn say(&mut self, rig: &mut Rig, frame: &[i16]) {
        self.say_or_lose(rig, frame, false);
    }

    fn say_or_lose(&mut self, rig: &mut Rig, frame: &[i16], is_lost: bool) {
        let payload = match self.media.codec {
            Codec::Opus => self.opus.encode(frame, &mut [0; MAX_PAYLOAD]).expect("encodes").to_vec(),
            Codec::Pcmu | Codec::Pcma => g711(law_of(&self.media), frame),
            Codec::G722 => {
                let (mut wide, mut payload) = ([0; 320], vec![0; 160]);
                self.g722.0.run(frame, &mut wide);
                self.g722.1.encode(&wide, &mut payload);
                payload
            }
        };
        let ticks = u32::from(self.spoken) * (self.media.codec.clock() / 50);
        if !is_lost {
            rig.pbx(&packet(header(self.media.payload_type, PBX_SSRC, self.spoken, ticks), &payload));
        }
        self.spoken += 1;
        rig.wait(20);
    }

    fn speak(&mut self, rig: &mut Rig, frames: usize) {
        for _ in 0..frames {
            let at = usize::from(self.spoken) * 160;
            self.say(rig, &tone(500.0, at, 160));
        }
    }

    /// A key of so many frames, over the sound, and three of silence.
    fn dial(&mut self, rig: &mut Rig, keys: &str, frames: usize) {
        for key in keys.chars() {
            let mut dial = Dial::new(key, 8000).expect("a key");
            let mut sound = vec![0; 160 * frames];
            dial.fill(&mut sound);
            sound.extend([0; 480]);
            for frame in sound.chunks(160) {
                self.say(rig, frame);
            }
        }
    }
}

fn open(media: &Media, mode: DigitMode) -> Rig {
    let mut rig = Rig::shut(media);
    rig.path.set_digits(mode);
    rig.path.set_pbx(media).expect("libopus");
    rig.path.open(rig.now);
    rig.wait(20);
    rig.to_whatsapp.clear();
    rig
}

fn told(rig: &mut Rig) -> Vec<PathEvent> {
    let all = rig.events().into_iter();
    all.filter(|event| matches!(event, PathEvent::Digit { .. } | PathEvent::DigitEnded { .. })).collect()
}

/// Keys that were told of, each down and then up after about so long.
fn told_keys(rig: &mut Rig, party: Party, milliseconds: u64) -> String {
    let told = told(rig);
    let pairs = told.chunks(2).map(|pair| match pair {
        [PathEvent::Digit { from, digit }, PathEvent::DigitEnded { from: other, digit: same, duration }] => {
            assert_eq!((from, other, digit), (&party, &party, same));
            assert!(duration.abs_diff(ms(milliseconds)) <= ms(15), "{duration:?}");
            *digit
        }
        other => panic!("{other:?} of {told:?}"),
    });
    pairs.collect()
}

fn sent_to_whatsapp(rig: &Rig) -> Vec<Sent> {
    rig.to_whatsapp.iter().map(|(_, sent)| sent.clone()).collect()
}

fn sound_at_whatsapp(rig: &Rig) -> Vec<i16> {
    let sound: Vec<_> =
        rig.to_whatsapp.iter().filter(|(_, sent)| sent.header.payload_type == OPUS).cloned().collect();
    heard_at_whatsapp(&sound)
}

#[track_caller]
fn assert_keys_are_taken_from_the_sound(media: &Media, mode: DigitMode) {
    let mut rig = open(media, mode);
    let mut speaker = Speaker::new(media);
    speaker.speak(&mut rig, 50);
    speaker.dial(&mut rig, "19##", 5);
    speaker.speak(&mut rig, 50);
    assert_eq!(told_keys(&mut rig, Party::Pbx, 100), "19##", "{}", media.codec);
    let sent = sent_to_whatsapp(&rig);
    let keys = events(&sent, 126);
    assert_eq!(keys.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [1, 9, 11, 11]);
    assert!(keys.iter().all(|(_, duration)| (720..=1200).contains(duration)), "{keys:?}");
    assert_no_gap(&sent);
    let heard = sound_at_whatsapp(&rig);
    let mut detector = Detector::new(8000);
    detector.listen(&heard, &mut |change| panic!("{change:?} is left in the sound"));
    let tail = &heard[heard.len() - 40 * 160..];
    assert!(amplitude(tail, 500.0) > 6000.0, "{} is heard again", media.codec);
    let widest = rig.to_whatsapp.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
    assert!(widest.is_some_and(|widest| widest <= 60), "{widest:?}");
}

#[test]
fn keys_of_a_pbx_without_telephone_event_are_taken_from_its_sound() {
    for media in without_events() {
        for mode in [DigitMode::Events, DigitMode::Off, DigitMode::InBand] {
            assert_keys_are_taken_from_the_sound(&media, mode);
        }
    }
}

#[test]
fn keys_in_opus_are_listened_for_only_where_that_is_said() {
    for dtmf in [None, Some((101, 48_000))] {
        assert_keys_are_taken_from_the_sound(&opus_pbx(dtmf), DigitMode::InBand);
    }
    let media = opus_pbx(None);
    let mut rig = open(&media, DigitMode::Events);
    let mut speaker = Speaker::new(&media);
    speaker.dial(&mut rig, "5", 10);
    assert_eq!(told(&mut rig), []);
    assert!(rig.to_whatsapp.iter().all(|(_, sent)| sent.header.payload_type == OPUS));
}

#[test]
fn tones_of_a_pbx_with_telephone_event_are_left_in_its_sound() {
    let mut rig = open(&pcmu(), DigitMode::Events);
    Speaker::new(&pcmu()).dial(&mut rig, "5", 10);
    assert_eq!(told(&mut rig), []);
    let (mut detector, mut heard) = (Detector::new(8000), Vec::new());
    detector.listen(&sound_at_whatsapp(&rig), &mut |change| heard.push(change));
    assert!(matches!(heard[..], [Change::Down('5'), Change::Up('5', _)]), "{heard:?}");
}

#[test]
fn a_pbx_that_sends_a_key_both_ways_is_taken_by_its_events() {
    let mut rig = open(&pcmu(), DigitMode::InBand);
    let event = |sequence, duration, end| {
        let event = Event { code: 7, end, volume: 10, duration };
        packet(header(101, PBX_SSRC, sequence, 0), &event.to_bytes())
    };
    let mut speaker = Speaker::new(&pcmu());
    rig.pbx(&event(65_000, 160, false));
    rig.pbx(&event(65_001, 320, true));
    speaker.speak(&mut rig, 5);
    speaker.dial(&mut rig, "7", 10);
    assert_eq!(told_keys(&mut rig, Party::Pbx, 40), "7");
}

#[test]
fn a_pbx_that_goes_silent_with_a_key_down_has_let_it_go() {
    let media = media(Codec::Pcmu, 0, None);
    let mut rig = open(&media, DigitMode::Events);
    let mut speaker = Speaker::new(&media);
    let mut dial = Dial::new('0', 8000).expect("a key");
    for _ in 0..8 {
        let mut frame = [0; 160];
        dial.fill(&mut frame);
        speaker.say(&mut rig, &frame);
    }
    assert!(matches!(told(&mut rig)[..], [PathEvent::Digit { digit: '0', .. }]));
    rig.wait(1000);
    let ended = told(&mut rig);
    let [PathEvent::DigitEnded { from: Party::Pbx, digit: '0', duration }] = ended[..] else {
        panic!("{ended:?}");
    };
    assert!((ms(70)..=ms(170)).contains(&duration), "{duration:?}");
    assert_eq!(events(&sent_to_whatsapp(&rig), 126).len(), 1);
    // It speaks again, and its next key counts.
    speaker.speak(&mut rig, 10);
    speaker.dial(&mut rig, "0", 5);
    assert_eq!(told_keys(&mut rig, Party::Pbx, 100), "0");
}

#[test]
fn a_key_that_is_down_when_the_pbx_is_another_one_comes_up() {
    let before = media(Codec::Pcmu, 0, None);
    let mut rig = open(&before, DigitMode::Events);
    let mut dial = Dial::new('4', 8000).expect("a key");
    let mut speaker = Speaker::new(&before);
    for _ in 0..8 {
        let mut frame = [0; 160];
        dial.fill(&mut frame);
        speaker.say(&mut rig, &frame);
    }
    let mut after = pcmu();
    after.remote.set_port(5000);
    rig.path.set_pbx(&after).expect("libopus");
    assert!(matches!(
        told(&mut rig)[..],
        [PathEvent::Digit { digit: '4', .. }, PathEvent::DigitEnded { digit: '4', .. }]
    ));
    rig.wait(500);
    assert_eq!(events(&sent_to_whatsapp(&rig), 126).len(), 1, "its end is sent");
}

#[test]
fn loss_around_keys_in_the_sound_makes_none_and_takes_none() {
    let media = media(Codec::Pcmu, 0, None);
    let mut rig = open(&media, DigitMode::Events);
    let mut speaker = Speaker::new(&media);
    speaker.speak(&mut rig, 20);
    for round in 0..10 {
        speaker.dial(&mut rig, "8", 8);
        speaker.speak(&mut rig, 3);
        speaker.spoken += 1;
        speaker.speak(&mut rig, 4 + round);
    }
    assert_eq!(told_keys(&mut rig, Party::Pbx, 160), "8888888888");
}

/// What is made up for a loss is near enough to the pair of tones, for so many lost in a row. (Opus is
/// distorted for longer after a loss, and is not judged here.)
#[test]
fn loss_inside_a_key_in_the_sound_makes_no_second_one() {
    let lost: [&[u16]; 5] = [&[4], &[7], &[10], &[4, 10], &[6, 7]];
    let all = lost.iter().flat_map(|lost| "19*8D".chars().map(move |key| (key, lost)));
    for (media, (key, lost)) in without_events().iter().flat_map(|media| all.clone().map(move |a| (media, a)))
    {
        let mut rig = open(media, DigitMode::InBand);
        let mut speaker = Speaker::new(media);
        speaker.speak(&mut rig, 20);
        let mut sound = vec![0; 160 * 18];
        Dial::new(key, 8000).expect("a key").fill(&mut sound[..160 * 15]);
        for (nth, frame) in (0..).zip(sound.chunks(160)) {
            speaker.say_or_lose(&mut rig, frame, lost.contains(&nth));
        }
        speaker.speak(&mut rig, 20);
        let told = told(&mut rig);
        let [PathEvent::Digit { digit, .. }, PathEvent::DigitEnded { duration, .. }] = told[..] else {
            panic!("{} {lost:?}: {told:?}", media.codec);
        };
        assert_eq!(digit, key);
        assert!(duration.abs_diff(ms(300)) <= ms(20), "{} {lost:?}: {duration:?}", media.codec);
        assert_eq!(events(&sent_to_whatsapp(&rig), 126).len(), 1);
    }
}

/// What the PBX hears, at 8 or 16 kHz.
fn keys_at_pbx(media: &Media, sent: &[Sent]) -> Vec<Change> {
    let rate = if media.codec == Codec::G722 { 16_000 } else { 8000 };
    let (mut detector, mut changes) = (Detector::new(rate), Vec::new());
    let mut opus = Decoder::new(8000).expect("libopus");
    let mut g722 = g722::Decoder::new();
    for Sent { header, payload } in sent {
        assert_eq!(header.payload_type, media.payload_type, "no telephone event");
        let mut samples = [0; MAX_SAMPLES];
        let length = match media.codec {
            Codec::Opus => opus.decode(payload, &mut samples).expect("opus").len(),
            Codec::G722 => g722.decode(payload, &mut samples),
            Codec::Pcmu | Codec::Pcma => {
                law_of(media).decode(payload, &mut samples);
                payload.len()
            }
        };
        detector.listen(&samples[..length], &mut |change| changes.push(change));
    }
    changes
}

fn digits_of(changes: &[Change]) -> String {
    changes
        .iter()
        .filter_map(|change| if let Change::Down(key) = change { Some(*key) } else { None })
        .collect()
}

fn all_pbxs() -> [Media; 5] {
    let [mu, a, wide] = without_events();
    [mu, a, wide, opus_pbx(None), pcmu()]
}

/// Sound of WhatsApp's phone, and a key of so many packets with three ends, a packet each 20 ms.
fn whatsapp_key(rig: &mut Rig, sequence: &mut u16, code: u8, packets: u16) {
    let mut phone = Phone::new(700.0);
    for nth in 0..10 + packets + 3 {
        let timestamp = u32::from(*sequence) * 960;
        let bytes = if nth < 10 {
            let payload = Sent::new(&phone.packet(nth)).payload;
            packet(header(OPUS, WHATSAPP_SSRC, *sequence, timestamp), &payload)
        } else {
            let nth = nth - 9;
            let event = Event { code, end: nth > packets, volume: 10, duration: nth.min(packets) * 160 };
            let began = timestamp - u32::from(nth - 1) * 960;
            let header = Header { marker: nth == 1, ..header(126, WHATSAPP_SSRC, *sequence, began) };
            packet(header, &event.to_bytes())
        };
        *sequence += 1;
        rig.whatsapp(&bytes);
        rig.wait(20);
    }
}

#[test]
fn whatsapps_keys_are_tones_for_a_pbx_that_wants_them_so() {
    for media in all_pbxs() {
        let mut rig = open(&media, DigitMode::InBand);
        let mut sequence = 100;
        for code in [5, 5, 11, 0] {
            whatsapp_key(&mut rig, &mut sequence, code, 6);
        }
        rig.wait(300);
        assert_eq!(told_keys(&mut rig, Party::WhatsApp, 120), "55#0", "{}", media.codec);
        let changes = keys_at_pbx(&media, &rig.to_pbx);
        assert_eq!(digits_of(&changes), "55#0", "{}", media.codec);
        for change in changes {
            if let Change::Up(_, duration) = change {
                assert!((ms(100)..=ms(150)).contains(&duration), "{}: {duration:?}", media.codec);
            }
        }
        assert_no_gap(&rig.to_pbx);
    }
}

#[test]
fn our_own_keys_are_tones_too_and_none_on_hold() {
    for media in all_pbxs() {
        let mut rig = open(&media, DigitMode::InBand);
        assert!(press(&mut rig, Party::Pbx, "42", 100));
        assert!(!press(&mut rig, Party::Pbx, "x", 100));
        rig.wait(1000);
        assert_eq!(digits_of(&keys_at_pbx(&media, &rig.to_pbx)), "42", "{}", media.codec);
        rig.path.set_pbx(&Media { direction: Direction::RecvOnly, ..media.clone() }).expect("libopus");
        assert!(!press(&mut rig, Party::Pbx, "1", 100));
    }
    let mut rig = Rig::shut(&pcmu());
    rig.path.set_digits(DigitMode::InBand);
    assert!(!press(&mut rig, Party::Pbx, "1", 100), "the call is not answered");
}

#[test]
fn a_tone_ends_when_the_pbx_holds_and_when_keys_go_another_way() {
    let media = media(Codec::Pcmu, 0, None);
    for stop in [true, false] {
        let mut rig = open(&media, DigitMode::InBand);
        press(&mut rig, Party::Pbx, "123", 2000);
        rig.wait(210);
        let sounding = rig.to_pbx.len();
        if stop {
            rig.path.set_pbx(&Media { direction: Direction::Inactive, ..media.clone() }).expect("libopus");
        } else {
            rig.path.set_digits(DigitMode::Events);
        }
        rig.wait(1000);
        let tones = rig.path.counters().pbx.tone;
        assert!((10..=12).contains(&tones), "{tones} {sounding}");
    }
}
