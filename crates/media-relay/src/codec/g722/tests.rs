use proptest::prelude::*;

use super::*;

/// Made by spandsp 0.0.6 (`g722_encode` and `g722_decode` at 64 kbit/s, no options) from
/// [`speech_like`], [`loud`], half of that and [`any_octets`]: every 16th of the octets, every 32nd
/// of the samples, and a checksum of all. What is louder than full scale is left out: there that
/// decoder wraps where the recommendation saturates.
const VECTORS: &str = include_str!("tests/spandsp.txt");

/// The generator of the vectors: Numerical Recipes' linear congruence, upper bits.
fn noise(state: &mut u32) -> i32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    i32::from((*state >> 16) as i16)
}

/// One second: noise through a swept resonance, loud and soft by turns, integers only.
fn speech_like() -> Vec<i16> {
    let (mut state, mut one, mut two) = (1, 0, 0);
    (0..16_000)
        .map(|index| {
            let loud = [1, 8, 30, 3][index as usize / 1000 % 4];
            let turn = (index % 4000) * 7 - 14_000;
            let next = (noise(&mut state) >> 4) * loud / 16 + ((turn * one) >> 14) - ((15_000 * two) >> 14);
            (one, two) = (next, one);
            next.clamp(-32_768, 32_767) as i16
        })
        .collect()
}

/// A quarter of a second of what overloads every part: full scale, and steps between its ends.
fn loud() -> Vec<i16> {
    let mut state = 7;
    (0..4000)
        .map(|index| match index / 1000 {
            0 => noise(&mut state) as i16,
            1 => [i16::MIN, i16::MAX][index / 8 % 2],
            2 => [i16::MIN, i16::MAX][index % 2],
            _ => i16::MAX,
        })
        .collect()
}

/// What no encoder would make.
fn any_octets() -> Vec<u8> {
    let mut state = 99;
    (0..500).map(|_| noise(&mut state) as u8).collect()
}

fn encoded(samples: &[i16]) -> Vec<u8> {
    let mut payload = vec![0; samples.len() / 2];
    let mut encoder = Encoder::new();
    // In pieces, as packets are.
    let octets = samples.chunks(320).zip(payload.chunks_mut(160));
    assert_eq!(octets.map(|(from, to)| encoder.encode(from, to)).sum::<usize>(), samples.len() / 2);
    payload
}

fn decoded(payload: &[u8]) -> Vec<i16> {
    let mut samples = vec![0; payload.len() * 2];
    let mut decoder = Decoder::new();
    let decoded = payload.chunks(160).zip(samples.chunks_mut(320));
    assert_eq!(decoded.map(|(from, to)| decoder.decode(from, to)).sum::<usize>(), payload.len() * 2);
    samples
}

fn fletcher(octets: impl IntoIterator<Item = u8>) -> u32 {
    let (mut a, mut b) = (0u32, 0u32);
    for octet in octets {
        a = (a + u32::from(octet)) % 65_535;
        b = (b + a) % 65_535;
    }
    (b << 16) | a
}

fn octet_line(name: &str, octets: &[u8]) -> String {
    let some: String = octets.iter().step_by(16).map(|octet| format!("{octet:02x}")).collect();
    format!("{name} {:08x} {some}", fletcher(octets.iter().copied()))
}

fn sample_line(name: &str, samples: &[i16]) -> String {
    let some: String =
        samples.iter().step_by(32).map(|sample| format!("{:04x}", sample.cast_unsigned())).collect();
    format!("{name} {:08x} {some}", fletcher(samples.iter().flat_map(|sample| sample.to_le_bytes())))
}

#[test]
fn encoder_and_decoder_are_bit_exact_to_another_implementation() {
    let [speech, loud] = [speech_like(), loud()];
    let half: Vec<i16> = loud.iter().map(|sample| sample / 2).collect();
    let [speech, loud, half] = [speech, loud, half].map(|sound| encoded(&sound));
    let ours = vec![
        octet_line("speech-encoded", &speech),
        sample_line("speech-decoded", &decoded(&speech)),
        octet_line("loud-encoded", &loud),
        octet_line("half-encoded", &half),
        sample_line("half-decoded", &decoded(&half)),
        sample_line("any-decoded", &decoded(&any_octets())),
    ];
    let theirs: Vec<&str> = VECTORS.lines().collect();
    assert_eq!(ours, theirs);
}

/// Root mean square.
fn level(samples: &[i16]) -> f64 {
    (samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
}

#[test]
fn a_tone_of_either_band_keeps_its_level_and_comes_22_samples_later() {
    for frequency in [440.0, 1000.0, 3000.0, 5500.0] {
        let sound: Vec<i16> = (0..8000)
            .map(|index| {
                (8000.0 * (std::f64::consts::TAU * frequency * f64::from(index) / 16_000.0).sin()) as i16
            })
            .collect();
        let heard = decoded(&encoded(&sound));
        let original = &sound[4000 - 22..7000 - 22];
        let missed: Vec<i16> = heard[4000..7000].iter().zip(original).map(|(a, b)| a - b).collect();
        assert!(level(&missed) < level(original) / 10.0, "{frequency}: {}", level(&missed));
    }
}

#[test]
fn what_is_too_loud_is_held_at_full_scale_and_never_turns_over() {
    let square: Vec<i16> = (0..4000).map(|index| [i16::MIN, i16::MAX][index / 80 % 2]).collect();
    let heard = decoded(&encoded(&square));
    let mut held = 0;
    // Away from the edges, which ring.
    for index in (1000..3900).filter(|index| (30..70).contains(&((index - 22) % 80))) {
        assert_eq!(heard[index] > 0, square[index - 22] > 0, "{index}: {}", heard[index]);
        held += u32::from(heard[index] == i16::MAX || heard[index] == i16::MIN);
    }
    assert!(held > 100, "{held}");
}

#[test]
fn silence_stays_silence() {
    let heard = decoded(&encoded(&[0; 3200]));
    assert!(heard.iter().all(|sample| sample.abs() < 16), "{:?}", heard.iter().max());
}

#[test]
fn the_shorter_of_both_ends_it() {
    assert_eq!(Encoder::new().encode(&[1; 5], &mut [0; 10]), 2);
    assert_eq!(Encoder::new().encode(&[1; 8], &mut [0; 3]), 3);
    assert_eq!(Decoder::new().decode(&[1; 5], &mut [0; 7]), 6);
    assert_eq!(Decoder::new().decode(&[], &mut [0; 7]), 0);
}

proptest! {
    #[test]
    fn any_octets_and_any_samples_are_taken(octets: Vec<u8>, samples: Vec<i16>) {
        let mut heard = vec![0; octets.len() * 2];
        prop_assert_eq!(Decoder::new().decode(&octets, &mut heard), octets.len() * 2);
        let mut payload = vec![0; samples.len()];
        prop_assert_eq!(Encoder::new().encode(&samples, &mut payload), samples.len() / 2);
    }
}
