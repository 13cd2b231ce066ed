//! Each pair of codecs over networks that lose, reorder, double, delay and drift, judged by ear.

use super::*;
use crate::codec::g722;
use crate::rtp::testing::{amplitude, tone};

/// Whole periods in 20 ms, so that frames may be repeated.
const PBX_HERTZ: f64 = 600.0;
const PHONE_HERTZ: f64 = 850.0;
/// Packets are repeated after a second.
const LOOP: usize = 50;

/// How a PBX codes its sound: the codec, milliseconds of a packet, and whether Opus has one frame in it.
#[derive(Debug, Clone, Copy)]
struct Coded(Codec, usize, bool);

const PBXS: [Coded; 10] = [
    Coded(Codec::Pcmu, 20, true),
    Coded(Codec::Pcmu, 10, true),
    Coded(Codec::Pcma, 20, true),
    Coded(Codec::Pcma, 60, true),
    Coded(Codec::G722, 20, true),
    Coded(Codec::G722, 30, true),
    Coded(Codec::Opus, 20, true),
    Coded(Codec::Opus, 10, true),
    Coded(Codec::Opus, 40, true),
    Coded(Codec::Opus, 60, true),
];

/// A network: what becomes of packet n, in milliseconds it takes; none: it is lost.
#[derive(Clone, Copy)]
struct Net {
    delays: fn(u32) -> Option<u64>,
    doubles: fn(u32) -> bool,
    /// The sender's clock, in millionths fast.
    ppm: i64,
}

const GOOD: Net = Net { delays: |_| Some(0), doubles: |_| false, ppm: 0 };

/// A number below `range` without rhyme.
fn random(seed: u32, range: u32) -> u32 {
    let mut x = u64::from(seed).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (((x ^ (x >> 27)) >> 20) % u64::from(range)) as u32
}

fn at_16k(hertz: f64, from: usize, samples: usize) -> Vec<i16> {
    let step = std::f64::consts::TAU * hertz / 16_000.0;
    (from..from + samples).map(|index| (8000.0 * (step * index as f64).sin()) as i16).collect()
}

/// A second of a sine in packets.
fn packets(Coded(codec, milliseconds, one_frame): Coded, hertz: f64) -> Vec<Vec<u8>> {
    let count = (LOOP * 20 * 3).div_ceil(milliseconds);
    let mut opus =
        ::opus::Encoder::new(16_000, ::opus::Channels::Mono, ::opus::Application::Voip).expect("libopus");
    opus.set_bitrate(::opus::Bitrate::Bits(20_000)).expect("libopus");
    opus.set_inband_fec(true).expect("libopus");
    opus.set_packet_loss_perc(20).expect("libopus");
    let mut wide = g722::Encoder::new();
    (0..count)
        .map(|index| match codec {
            Codec::Pcmu | Codec::Pcma => {
                let samples = tone(hertz, index * milliseconds * 8, milliseconds * 8);
                sound::g711(law(codec), &samples)
            }
            Codec::G722 => {
                let mut coded = vec![0; milliseconds * 8];
                wide.encode(&at_16k(hertz, index * milliseconds * 16, milliseconds * 16), &mut coded);
                coded
            }
            Codec::Opus if one_frame => {
                let samples = at_16k(hertz, index * milliseconds * 16, milliseconds * 16);
                opus.encode_vec(&samples, 1000).expect("encodes")
            }
            Codec::Opus => {
                let parts: Vec<Vec<u8>> = (0..milliseconds / 20)
                    .map(|part| {
                        let from = (index * milliseconds + part * 20) * 16;
                        opus.encode_vec(&at_16k(hertz, from, 320), 1000).expect("encodes")
                    })
                    .collect();
                let mut whole = vec![0; 1000];
                let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                let mut repacketizer = ::opus::Repacketizer::new().expect("libopus");
                let length = repacketizer.combine(&parts, &mut whole).expect("combines");
                whole.truncate(length);
                whole
            }
        })
        .collect()
}

/// What is heard at 8 kHz of packets, in their order; a missing one is silence.
fn heard(codec: Codec, sent: &[&Sent]) -> Vec<i16> {
    let mut opus = ::opus::Decoder::new(8000, ::opus::Channels::Mono).expect("libopus");
    let mut wide = g722::Decoder::new();
    let mut heard = Vec::new();
    let mut sent: Vec<&Sent> = sent.to_vec();
    let first = sent[0].header.sequence;
    sent.sort_by_key(|sent| sent.header.sequence.wrapping_sub(first).cast_signed());
    sent.dedup_by_key(|sent| sent.header.sequence);
    let mut next: Option<u16> = None;
    let mut samples = vec![0; 1920];
    for sent in sent {
        let missing = next.map_or(0, |next| sent.header.sequence.wrapping_sub(next));
        heard.extend(std::iter::repeat_n(0, usize::from(missing.min(50)) * 160));
        next = Some(sent.header.sequence.wrapping_add(1));
        match codec {
            Codec::Opus => {
                let length = opus.decode(&sent.payload, &mut samples, false).expect("opus");
                heard.extend_from_slice(&samples[..length]);
            }
            Codec::G722 => {
                let length = wide.decode(&sent.payload, &mut samples);
                heard.extend(samples[..length].chunks(2).map(|pair| pair[0] / 2 + pair[1] / 2));
            }
            Codec::Pcmu | Codec::Pcma => {
                law(codec).decode(&sent.payload, &mut samples[..sent.payload.len()]);
                heard.extend_from_slice(&samples[..sent.payload.len()]);
            }
        }
    }
    heard
}

/// What a listener has to say.
#[derive(Debug)]
struct Opinion {
    /// The longest stretch without sound, in milliseconds.
    gap: usize,
    /// Of 1000 parts of 20 ms, those with the tone at 40 % of its level at least.
    kept: usize,
    /// The tone, of all power, in percent.
    purity: f64,
}

fn judge(heard: &[i16], hertz: f64) -> Opinion {
    let heard = &heard[1600..heard.len() - 800];
    let silent: Vec<bool> = heard.chunks_exact(80).map(|part| part.iter().all(|s| s.abs() < 400)).collect();
    let runs = silent.chunk_by(|a, b| a == b).filter(|run| run[0]).map(|run| run.len() * 10);
    let parts: Vec<f64> = heard.chunks_exact(160).map(|part| amplitude(part, hertz)).collect();
    let kept = parts.iter().filter(|level| **level > 3200.0).count() * 1000 / parts.len();
    let (mut tone, mut power) = (0.0, 0.0);
    for part in heard.chunks_exact(400) {
        tone += amplitude(part, hertz).powi(2) / 2.0;
        power += part.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / part.len() as f64;
    }
    Opinion { gap: runs.max().unwrap_or(0), kept, purity: 100.0 * tone / power }
}

/// A call of so many seconds.
struct Talk {
    rig: Rig,
    to_whatsapp: Opinion,
    to_pbx: Opinion,
}

fn pbx_media(coded: Coded) -> Media {
    let payload_type = match coded.0 {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
        Codec::Opus => 107,
    };
    Media { ptime_ms: coded.1 as u32, ..media(coded.0, payload_type, None) }
}

/// Both speak over the same kind of network.
fn talk(coded: Coded, phone: Codec, options: &SessionOptions, net: Net, seconds: usize) -> Talk {
    let media = pbx_media(coded);
    let mut rig = Rig::shut(&media);
    rig.path = AudioPath::new(PathConfig { options: options.clone(), ..config() });
    let both = WhatsAppFormats { pcmu: Some(0), pcma: Some(8), ..formats(OPUS, 126) };
    let plain = options.additional_codecs.is_empty();
    rig.path.set_whatsapp(if plain { formats(OPUS, 126) } else { both });
    rig.path.set_pbx(&media).expect("libopus");
    rig.path.open(rig.now);
    rig.wait(40);
    (rig.to_whatsapp, rig.to_pbx) = (Vec::new(), Vec::new());
    rig.to_pbx_at.clear();
    let speech = [packets(coded, PBX_HERTZ), packets(Coded(phone, 20, true), PHONE_HERTZ)];
    let start = rig.now;
    for (at, side, index) in schedule(&[coded.1, 20], net, seconds) {
        rig.wait_until(start + Duration::from_micros(at));
        let payload = &speech[side][index as usize % speech[side].len()];
        let (sequence, codec, length) = match side {
            0 => (60_000_u16, coded.0, coded.1),
            _ => (65_000, phone, 20),
        };
        let number = if side == 0 { media.payload_type } else { whatsapp_number(phone) };
        let ssrc = if side == 0 { PBX_SSRC } else { WHATSAPP_SSRC };
        let timestamp = index.wrapping_mul(length as u32 * codec.clock() / 1000);
        let header = header(number, ssrc, sequence.wrapping_add(index as u16), timestamp);
        let bytes = packet(header, payload);
        if side == 0 {
            rig.pbx(&bytes);
        } else {
            rig.whatsapp(&bytes);
        }
    }
    rig.wait(30);
    let to_whatsapp: Vec<&Sent> = rig.to_whatsapp.iter().map(|(_, sent)| sent).collect();
    let spoken = match to_whatsapp[0].header.payload_type {
        0 => Codec::Pcmu,
        8 => Codec::Pcma,
        _ => Codec::Opus,
    };
    let to_whatsapp = judge(&heard(spoken, &to_whatsapp), PBX_HERTZ);
    let to_pbx = judge(&heard(coded.0, &rig.to_pbx.iter().collect::<Vec<_>>()), PHONE_HERTZ);
    Talk { rig, to_whatsapp, to_pbx }
}

fn whatsapp_number(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::Opus | Codec::G722 => OPUS,
    }
}

/// Microseconds, side and number of each packet that arrives, in the order of arrival.
fn schedule(lengths: &[usize], net: Net, seconds: usize) -> Vec<(u64, usize, u32)> {
    let mut arrivals = Vec::new();
    for (side, length) in lengths.iter().enumerate() {
        for index in 0..(seconds * 1000 / length) as u32 {
            let sent = u64::from(index) * *length as u64 * (1_000_000 - net.ppm).unsigned_abs() / 1000;
            let Some(delay) = (net.delays)(index) else { continue };
            arrivals.push((sent + delay * 1000, side, index));
            if (net.doubles)(index) {
                arrivals.push((sent + delay * 1000 + 7000, side, index));
            }
        }
    }
    arrivals.sort_unstable();
    arrivals
}

fn judged(what: &str, coded: Coded, talk: &Talk, gap: usize, kept: usize, purity: f64) {
    for (to, opinion) in [("whatsapp", &talk.to_whatsapp), ("pbx", &talk.to_pbx)] {
        let good = opinion.gap <= gap && opinion.kept >= kept && opinion.purity >= purity;
        assert!(good, "{what}, {coded:?} to {to}: {opinion:?}");
    }
}

/// Which directions of a call with this PBX are decoded by us: a listener conceals in the others.
fn decodes(coded: Coded) -> bool {
    coded.0 != Codec::Opus
}

#[test]
fn each_pair_of_codecs_is_heard_both_ways() {
    for coded in PBXS {
        let talk = talk(coded, Codec::Opus, &SessionOptions::default(), GOOD, 6);
        judged("good", coded, &talk, 0, 990, 90.0);
        // An encoder that changes its mode leaves a frame of 10 ms alone.
        if coded.1 != 10 || coded.0 != Codec::Opus {
            assert_continuous(talk.rig.to_whatsapp.iter().map(|(_, sent)| sent), 960);
        }
        let ms = if coded.0 == Codec::Opus { 20 } else { coded.1 as u32 };
        assert_continuous(&talk.rig.to_pbx, ms * (coded.0.clock() / 1000));
        let counters = talk.rig.path.counters();
        assert_eq!((counters.pbx.lost, counters.pbx.late, counters.whatsapp.lost), (0, 0, 0));
        assert_eq!(counters.whatsapp.silence, 3, "{coded:?}: before the first word");
    }
}

const LOSES_5: Net = Net { delays: |index| (random(index, 100) >= 5).then_some(0), ..GOOD };
const LOSES_20: Net = Net { delays: |index| (random(index, 100) >= 20).then_some(0), ..GOOD };
/// Two in ten, always together.
const LOSES_BURSTS: Net = Net { delays: |index| (random(index / 2, 100) >= 20).then_some(0), ..GOOD };

/// What we decode is concealed: no silence, and the tone stays where it was. A listener who gets Opus
/// untouched conceals by himself.
#[test]
fn five_percent_of_loss_is_concealed() {
    for coded in PBXS.into_iter().filter(|coded| decodes(*coded)) {
        let talk = talk(coded, Codec::Opus, &SessionOptions::default(), LOSES_5, 10);
        // What is made up for 60 ms fades, and two in a row are more than may be made up.
        let long = coded.1 == 60;
        judged("5 %", coded, &talk, if long { 100 } else { 20 }, 950, 90.0);
        let counters = talk.rig.path.counters();
        for side in [counters.pbx, counters.whatsapp] {
            assert!(side.concealed * 10 >= side.lost * 8, "{coded:?}: {side:?}");
            assert!(side.lost > 5 && (long || side.concealed == side.lost), "{coded:?}: {side:?}");
        }
    }
}

#[test]
fn twenty_percent_of_loss_leaves_no_hole_of_more_than_a_syllable() {
    let nets = [(LOSES_20, "20 %", (40, 870)), (LOSES_BURSTS, "bursts of 40 ms", (160, 800))];
    for (net, what, (gap, kept)) in nets {
        // Two packets of more than 20 ms are too much to make up.
        for coded in PBXS.into_iter().filter(|coded| decodes(*coded) && coded.1 <= 20) {
            let talk = talk(coded, Codec::Opus, &SessionOptions::default(), net, 10);
            judged(what, coded, &talk, gap, kept, 92.0);
            let counters = talk.rig.path.counters();
            for side in [counters.pbx, counters.whatsapp] {
                assert!(side.concealed * 10 >= side.lost * 8, "{coded:?}: {side:?}");
            }
            assert!(counters.whatsapp.silence < 15, "{coded:?}: after what is made up, and never before");
        }
    }
}

/// Six in ten packets are up to 60 ms late, some overtake others, and some come twice.
const UNSTEADY: Net = Net {
    delays: |index| Some(u64::from(random(index, 61))),
    doubles: |index| random(index, 100) < 5,
    ppm: 0,
};

#[test]
fn jitter_of_60_ms_and_doubles_leave_the_sound_whole() {
    for coded in PBXS.into_iter().filter(|coded| decodes(*coded)) {
        let talk = talk(coded, Codec::Opus, &SessionOptions::default(), UNSTEADY, 30);
        judged("jitter", coded, &talk, 80, 950, 85.0);
        let counters = talk.rig.path.counters();
        for (party, side) in [(Party::Pbx, counters.pbx), (Party::WhatsApp, counters.whatsapp)] {
            assert!(side.duplicated > 10, "{coded:?}: {side:?}");
            // 60 ms of jitter bring no packets of 60 ms out of order.
            assert!(side.reordered > 10 || coded.1 == 60, "{coded:?}: {side:?}");
            let delay = talk.rig.path.buffer_delay(party);
            assert!((ms(40)..=ms(120)).contains(&delay), "{coded:?}: {delay:?}");
        }
        // The PBX gets an even stream.
        let late =
            talk.rig.to_pbx_at[200..].windows(2).filter(|pair| pair[1] - pair[0] > 2 * coded.1 as u128);
        assert!(late.count() < 20, "{coded:?}");
    }
}

/// Milliseconds from a packet's arrival to its leaving, at the beginning and at the end.
fn delays(coded: Coded, ppm: i64, seconds: usize) -> (u128, u128) {
    let net = Net { ppm, ..GOOD };
    let options = SessionOptions::default();
    let media = pbx_media(coded);
    let mut rig = Rig::shut(&media);
    rig.path = AudioPath::new(PathConfig { opus_complexity: 0.into(), options, ..config() });
    rig.path.set_whatsapp(formats(OPUS, 126));
    rig.path.set_pbx(&media).expect("libopus");
    rig.path.open(rig.now);
    rig.wait(40);
    let speech = [packets(coded, PBX_HERTZ), packets(Coded(Codec::Opus, 20, true), PHONE_HERTZ)];
    let start = rig.now;
    let (mut worst, mut first) = ([0; 2], None);
    let mut last: [Option<Header>; 2] = [None; 2];
    for (at, side, index) in schedule(&[coded.1, 20], net, seconds) {
        rig.wait_until(start + Duration::from_micros(at));
        (rig.to_whatsapp, rig.to_pbx) = (Vec::new(), Vec::new());
        let payload = &speech[side][index as usize % speech[side].len()];
        let (codec, length) = if side == 0 { (coded.0, coded.1) } else { (Codec::Opus, 20) };
        let (number, ssrc) = if side == 0 { (media.payload_type, PBX_SSRC) } else { (OPUS, WHATSAPP_SSRC) };
        let timestamp = index.wrapping_mul(length as u32 * codec.clock() / 1000);
        let bytes = packet(header(number, ssrc, index as u16, timestamp), payload);
        if side == 0 {
            rig.pbx(&bytes);
        } else {
            rig.whatsapp(&bytes);
        }
        let sent = if side == 0 { rig.to_whatsapp.last().map(|(_, sent)| sent) } else { rig.to_pbx.last() };
        let Some(Sent { header, .. }) = sent else {
            worst[side] += 1;
            continue;
        };
        if let Some(last) = last[side] {
            assert_eq!(header.ssrc, last.ssrc);
            assert!(header.sequence.wrapping_sub(last.sequence).cast_signed() > 0, "rollover included");
        }
        last[side] = Some(*header);
        if index == 200 {
            first = Some(worst);
        }
    }
    let first = first.expect("long enough");
    assert!(worst.iter().zip(first).all(|(now, then)| *now <= then + 5), "{coded:?} {ppm}: {worst:?}");
    let held = [Party::Pbx, Party::WhatsApp].map(|party| rig.path.buffer_delay(party).as_millis());
    (held[0], held[1])
}

#[test]
fn ten_minutes_at_a_clock_200_ppm_slow_add_no_delay() {
    assert_eq!(delays(Coded(Codec::Pcmu, 20, true), -200, 600), (0, 0));
}

/// 75,000 packets each way: more than sequence numbers have.
#[test]
fn a_call_of_25_minutes_for_each_pair() {
    for coded in [
        Coded(Codec::Pcma, 20, true),
        Coded(Codec::G722, 20, true),
        Coded(Codec::Opus, 20, true),
        Coded(Codec::Opus, 40, false),
    ] {
        assert_eq!(delays(coded, 0, 1500), (0, 0), "{coded:?}");
    }
}

#[test]
fn two_hours_at_a_clock_200_ppm_fast_add_no_delay() {
    assert_eq!(delays(Coded(Codec::Pcmu, 20, true), 200, 7200), (0, 0));
}

/// What both sides have passes as it came, and either law is heard where only one side has it.
#[test]
fn g711_passes_untouched_where_whatsapp_has_it_and_that_is_wanted() {
    let options =
        SessionOptions { untouched: true, additional_codecs: vec![Codec::Pcmu], ..SessionOptions::default() };
    for (coded, phone) in [
        (Coded(Codec::Pcmu, 20, true), Codec::Pcmu),
        (Coded(Codec::Pcma, 20, true), Codec::Pcma),
        (Coded(Codec::Pcmu, 20, true), Codec::Pcma),
        (Coded(Codec::Pcma, 20, true), Codec::Opus),
        (Coded(Codec::Pcmu, 60, true), Codec::Pcmu),
        (Coded(Codec::G722, 20, true), Codec::Pcma),
        (Coded(Codec::Opus, 20, true), Codec::Pcmu),
    ] {
        let talk = talk(coded, phone, &options, GOOD, 6);
        judged("g711", coded, &talk, 0, 980, 90.0);
        let number = talk.rig.to_whatsapp[0].1.header.payload_type;
        let expected = match coded.0 {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
            Codec::Opus | Codec::G722 => OPUS,
        };
        assert_eq!(number, expected, "{coded:?}");
        assert_continuous(
            talk.rig.to_whatsapp.iter().map(|(_, sent)| sent),
            if number == OPUS { 960 } else { 160 },
        );
        if coded.0 == phone && coded.1 == 20 {
            let own = packets(coded, PBX_HERTZ);
            assert!(talk.rig.to_whatsapp.iter().zip(own).all(|((_, sent), own)| sent.payload == own));
        }
    }
}

/// RFC 7587 6.1: what the far end asks of our encoder, and redundancy while it loses.
#[test]
fn the_encoder_obeys_the_bitrate_asked_for_and_adds_redundancy_when_packets_are_lost() {
    let octets = |bitrate: u32, loss: u8| {
        let mut rig = Rig::shut(&pcmu());
        let fmtp = OpusFmtp { max_average_bitrate: bitrate, ..OpusFmtp::default() };
        rig.path.set_whatsapp(WhatsAppFormats { fmtp, ..formats(OPUS, 126) });
        rig.path.open(rig.now);
        rig.path.set_reported_loss(loss);
        for (index, payload) in packets(Coded(Codec::Pcmu, 20, true), PBX_HERTZ).iter().enumerate() {
            rig.pbx(&packet(header(0, PBX_SSRC, index as u16, index as u32 * 160), payload));
            rig.wait(20);
        }
        let has_redundancy = |(_, sent): &&(u128, Sent)| ::opus::packet::get_bandwidth(&sent.payload).is_ok();
        rig.to_whatsapp.iter().filter(has_redundancy).map(|(_, sent)| sent.payload.len()).sum::<usize>()
    };
    let (narrow, plain) = (octets(8000, 0), octets(20_000, 0));
    assert!(narrow * 3 < plain * 2, "{narrow} {plain}");
    assert_ne!(octets(20_000, 1), octets(20_000, 20), "above 1 % payloads are others");
    assert_eq!(plain, octets(20_000, 1));
}
