//! What nobody agreed on, and what no one would send.

use proptest::prelude::*;

use super::*;
use crate::tone::ringback;

#[test]
fn comfort_noise_and_unknown_payload_types_are_counted_and_lose_nothing() {
    let mut rig = Rig::open(&pcmu());
    rig.wait(20);
    rig.to_whatsapp.clear();
    let mut sequence = 0;
    for index in 0..20_u32 {
        for (payload_type, payload) in [(0, &[0x55; 160][..]), (13, &[40][..]), (99, &[1, 2][..])] {
            rig.pbx(&packet(header(payload_type, PBX_SSRC, sequence, index * 160), payload));
            sequence += 1;
        }
        rig.whatsapp(&packet(header(13, WHATSAPP_SSRC, index as u16, 0), &[40]));
        rig.wait(20);
    }
    let counters = rig.path.counters();
    assert_eq!((counters.pbx.ignored, counters.pbx.lost), (20, 0));
    assert_eq!(counters.whatsapp.ignored, 20);
    assert_eq!(rig.to_whatsapp.len(), 20);
    assert_continuous(rig.to_whatsapp.iter().map(|(_, sent)| sent), 960);
    assert_eq!(rig.to_pbx.len() as u64, counters.pbx.silence, "and nothing of it goes to the PBX");
}

#[test]
fn comfort_noise_alone_is_filled_in() {
    let mut rig = Rig::open(&pcmu());
    for index in 0..50_u16 {
        rig.pbx(&packet(header(13, PBX_SSRC, index, 0), &[40]));
        rig.wait(20);
    }
    assert_eq!(rig.path.counters().whatsapp.silence, 51);
}

#[test]
fn rtcp_empty_payloads_and_garbage_are_counted() {
    let mut rig = Rig::open(&pcmu());
    let report = [0x80, 201, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    for bytes in [&report[..], b"", b"garbage", &[0; 40]] {
        rig.pbx(bytes);
        rig.whatsapp(bytes);
    }
    rig.pbx(&packet(header(0, PBX_SSRC, 1, 0), &[]));
    rig.whatsapp(&packet(header(OPUS, WHATSAPP_SSRC, 1, 0), &[]));
    rig.whatsapp(&packet(header(OPUS, WHATSAPP_SSRC, 2, 0), &[0xff, 0xff]));
    rig.whatsapp(&packet(header(126, WHATSAPP_SSRC, 3, 0), &[1, 2]));
    let counters = rig.path.counters();
    assert_eq!((counters.pbx.malformed, counters.pbx.ignored), (4, 1));
    assert_eq!((counters.whatsapp.malformed, counters.whatsapp.ignored), (5, 1));
    assert!(rig.to_pbx.is_empty());
    assert_eq!(rig.to_whatsapp.len(), 1);
}

#[test]
fn no_pbx_yet_is_silence_for_whatsapp() {
    let start = epoch();
    let mut path = AudioPath::new(config());
    path.open(start);
    let mut sent = 0;
    path.handle_timeout(start, &mut |_, _: &[u8]| sent += 1);
    path.from_pbx(start, &packet(header(0, 1, 1, 0), &[0; 160]), &mut |_: &[u8]| sent += 10);
    path.from_whatsapp(start, &packet(header(111, 1, 1, 0), &[0; 16]), &mut |_: &[u8]| sent += 10);
    assert_eq!(sent, 1);
}

#[derive(Debug, Clone)]
enum Step {
    Pbx(u8, u32, u16, u32, Vec<u8>),
    WhatsApp(u8, u32, u16, u32, Vec<u8>),
    Raw(bool, Vec<u8>),
    Wait(u64),
    Renegotiate(usize),
    Open,
    Leave,
    Play(Party),
    Stop,
    Key(Party, char, u64),
    Digits(DigitMode),
}

fn step() -> impl Strategy<Value = Step> {
    let payload = || proptest::collection::vec(any::<u8>(), 0..400);
    let fields = |types: &'static [u8]| {
        let near = prop_oneof![0u16..200, any::<u16>()];
        let stamp = prop_oneof![0u32..200_000, any::<u32>()];
        (proptest::sample::select(types), 0u32..3, near, stamp, payload())
    };
    prop_oneof![
        fields(&[0, 8, 13, 101, 107]).prop_map(|(a, b, c, d, e)| Step::Pbx(a, b, c, d, e)),
        fields(&[111, 126, 0]).prop_map(|(a, b, c, d, e)| Step::WhatsApp(a, b, c, d, e)),
        (any::<bool>(), payload()).prop_map(|(pbx, bytes)| Step::Raw(pbx, bytes)),
        (0u64..300).prop_map(Step::Wait),
        (0usize..4).prop_map(Step::Renegotiate),
        own_step(),
    ]
}

fn own_step() -> impl Strategy<Value = Step> {
    let party = || proptest::sample::select(&[Party::Pbx, Party::WhatsApp]);
    prop_oneof![
        Just(Step::Open),
        Just(Step::Leave),
        party().prop_map(Step::Play),
        Just(Step::Stop),
        (party(), any::<char>(), 0..300_u64).prop_map(|(to, key, length)| Step::Key(to, key, length)),
        (party(), 0..300_u64).prop_map(|(to, length)| Step::Key(to, '5', length)),
        proptest::sample::select(&[DigitMode::Events, DigitMode::Off]).prop_map(Step::Digits),
    ]
}

impl Rig {
    fn take(&mut self, step: Step, medias: &[Media]) {
        let now = self.now;
        match step {
            Step::Pbx(pt, ssrc, seq, ts, payload) => self.pbx(&packet(header(pt, ssrc, seq, ts), &payload)),
            Step::WhatsApp(pt, ssrc, seq, ts, payload) => {
                self.whatsapp(&packet(header(pt, ssrc, seq, ts), &payload));
            }
            Step::Raw(true, bytes) => self.pbx(&bytes),
            Step::Raw(false, bytes) => self.whatsapp(&bytes),
            Step::Wait(milliseconds) => self.wait(milliseconds),
            Step::Renegotiate(which) => self.path.set_pbx(&medias[which]).expect("libopus"),
            Step::Open => self.path.open(now),
            Step::Leave => self.path.leave_pbx(now),
            Step::Play(Party::Pbx) => {
                self.path.play_to_pbx(now, ringback("gb").expect("listed")).expect("libopus");
            }
            Step::Play(Party::WhatsApp) => {
                self.path.play_to_whatsapp(now, ringback("jp").expect("listed")).expect("libopus");
            }
            Step::Stop => self.path.stop_tone(),
            Step::Key(to, key, length) => {
                self.path.send_digit(now, to, key, ms(length));
            }
            Step::Digits(mode) => self.path.set_digits(mode),
        }
        while self.path.poll().is_some() {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// No bytes and no commands in any order panic; WhatsApp gets nothing before the answer and is
    /// never starved after it; no new packet takes the number of another.
    #[test]
    fn nothing_breaks_the_path(steps in proptest::collection::vec(step(), 1..60)) {
        let medias = [
            pcmu(),
            media(Codec::Opus, 107, Some((101, 48_000))),
            media(Codec::Pcma, 8, None),
            Media { direction: Direction::RecvOnly, ..pcmu() },
        ];
        let mut rig = Rig::shut(&pcmu());
        for step in steps {
            rig.take(step, &medias);
            prop_assert!(rig.path.is_open() || rig.to_whatsapp.is_empty());
        }
        rig.path.open(rig.now);
        rig.wait(1000);
        let times: Vec<u128> = rig.to_whatsapp.iter().map(|(at, _)| *at).collect();
        prop_assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 160), "{times:?}");
        let mut newest = rig.to_whatsapp[0].1.header.sequence;
        for (_, sent) in &rig.to_whatsapp[1..] {
            let ahead = sent.header.sequence.wrapping_sub(newest).cast_signed();
            prop_assert!((-200..=3200).contains(&ahead), "{ahead}");
            if ahead > 0 {
                newest = sent.header.sequence;
            }
        }
    }
}

/// RFC 3264 6.1: a PBX that answers with numbers of its own may send with those of our offer.
#[test]
fn a_pbx_that_sends_the_numbers_of_our_offer_is_heard() {
    let offered_as = OfferedAs { audio: Some(107), dtmf: Some(102) };
    let answered = Media { offered_as, ..media(Codec::Opus, 96, Some((97, 48_000))) };
    let mut rig = Rig::open(&answered);
    rig.wait(20);
    rig.to_whatsapp.clear();
    for (sequence, number) in [(1, 96), (2, 107)] {
        rig.pbx(&packet(header(number, PBX_SSRC, sequence, u32::from(sequence) * 960), &opus::SILENCE));
        rig.wait(20);
    }
    assert_eq!(rig.to_whatsapp.len(), 2);
    rig.pbx(&packet(header(102, PBX_SSRC, 3, 2880), &[5, 10, 3, 192]));
    assert_eq!(rig.digits(), "5");
}

/// RFC 8285: a header extension belongs to what two sides have agreed on; the other knows nothing of it.
#[test]
fn header_extensions_are_stripped_both_ways_whether_the_sound_passes_or_is_transcoded() {
    let extended = |header: Header, payload: &[u8]| {
        let mut bytes = packet(header, payload);
        bytes[0] |= 0x10;
        bytes.splice(12..12, [0xbe, 0xde, 0, 1, 0x10, 0x55, 0, 0]);
        bytes
    };
    for media in [pcmu(), media(Codec::Opus, 107, None), media(Codec::G722, 9, None)] {
        let mut rig = Rig::open(&media);
        let speech = opus::SILENCE;
        let of_pbx = if media.codec == Codec::Opus { speech.to_vec() } else { vec![0x55; 160] };
        for index in 0..10_u16 {
            let ticks = u32::from(index) * media.codec.clock() / 50;
            let from_pbx = extended(header(media.payload_type, PBX_SSRC, index, ticks), &of_pbx);
            let from_phone = header(OPUS, WHATSAPP_SSRC, index, u32::from(index) * 960);
            let from_phone = extended(from_phone, &speech);
            let (mut sent, mut plain) = (0, true);
            let mut check = |bytes: &[u8]| {
                sent += 1;
                plain &= bytes[0] == 0x80 && !bytes.windows(2).any(|pair| pair == [0xbe, 0xde]);
            };
            rig.path.from_pbx(rig.now, &from_pbx, &mut check);
            rig.path.from_whatsapp(rig.now, &from_phone, &mut check);
            assert!(sent == 2 && plain, "{} {index}", media.codec);
            rig.wait(20);
        }
        assert_eq!(rig.path.counters().pbx.malformed + rig.path.counters().whatsapp.malformed, 0);
    }
}
