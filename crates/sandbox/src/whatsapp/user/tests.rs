//! Two phones that speak to each other.

use std::f64::consts::TAU;

use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;

use super::*;
use crate::whatsapp::sdp::{DtlsSetup, Keyed, Voice};

/// Peak of the tone: -12 dBFS.
const PEAK: f64 = 8_231.0;

fn context(key: u8) -> Context {
    let profile = ProtectionProfile::Aes128CmHmacSha1_80;
    let options = (srtp_replay_protection(64), srtcp_replay_protection(64));
    Context::new(&[key; 16], &[key; 14], profile, Some(options.0), Some(options.1)).unwrap()
}

fn remote(ssrc: u32) -> Remote {
    Remote {
        keyed: Keyed::Dtls { ufrag: "abcd".to_owned(), fingerprint: [0; 32], setup: DtlsSetup::Active },
        voices: vec![Voice::Opus(107)],
        telephone_event: Some(101),
        mid: "audio".to_owned(),
        ssrc: Some(ssrc),
    }
}

/// (speaker, listener)
fn pair(hz: f64) -> (Phone, Phone) {
    pair_in(hz, Voice::Opus(107))
}

fn pair_in(hz: f64, voice: Voice) -> (Phone, Phone) {
    let mut speaker = Phone::new(7, hz).unwrap();
    let mut listener = Phone::new(8, 440.0).unwrap();
    speaker.expect(&Remote { voices: vec![voice], ..remote(8) });
    listener.expect(&Remote { voices: vec![voice], ..remote(7) });
    speaker.secure(Keys { inbound: context(2), outbound: context(1) });
    listener.secure(Keys { inbound: context(1), outbound: context(2) });
    (speaker, listener)
}

fn power(pcm: &[i16], hz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in pcm.iter().enumerate() {
        let angle = TAU * hz * n as f64 / f64::from(RATE);
        re += f64::from(*sample) * angle.cos();
        im += f64::from(*sample) * angle.sin();
    }
    2.0 * re.hypot(im) / pcm.len() as f64
}

#[test]
fn the_tone_is_heard_at_its_frequency_and_level() {
    let (mut speaker, mut listener) = pair(1_000.0);
    let start = Instant::now();
    let mut notices = Vec::new();
    for tick in 0..100 {
        let now = start + Duration::from_millis(20 * tick);
        for datagram in speaker.speak(now) {
            notices.extend(listener.receive(now, &datagram, true));
        }
    }
    assert_eq!(notices, [Notice::Maiden]);
    let heard = listener.recording().tail(1.0);
    let (right, wrong) = (power(heard, 1_000.0), power(heard, 1_150.0));
    assert!((0.7 * PEAK..1.3 * PEAK).contains(&right), "peak {right}");
    assert!(wrong < 0.05 * right, "{wrong} of another tone against {right}");
    assert_eq!(listener.recording().packets.len(), 100);
    assert_eq!(listener.recording().longest_gap(Duration::ZERO), Duration::from_millis(20));
}

#[test]
fn g711_carries_the_tone_and_digits_on_a_clock_of_8_khz() {
    for voice in [Voice::Pcma, Voice::Pcmu] {
        let (mut speaker, mut listener) = pair_in(1_000.0, voice);
        let start = Instant::now();
        speaker.press("5");
        for tick in 0..100 {
            let now = start + Duration::from_millis(20 * tick);
            for datagram in speaker.speak(now) {
                for notice in listener.receive(now, &datagram, true) {
                    assert!(!matches!(notice, Notice::Violation(_)), "{notice:?}");
                }
            }
        }
        let (heard, packets) = (listener.recording().tail(1.0), &listener.recording().packets);
        let (right, wrong) = (power(heard, 1_000.0), power(heard, 1_150.0));
        assert!((0.7 * PEAK..1.3 * PEAK).contains(&right), "{voice:?}: peak {right}");
        assert!(wrong < 0.05 * right, "{voice:?}: {wrong} of another tone against {right}");
        assert_eq!(listener.digits(), "5");
        let last = packets.last().unwrap();
        assert_eq!((last.payload_type, last.samples), (voice.payload_type(), 320));
    }
}

#[test]
fn digits_pass_with_the_negotiated_payload_number() {
    let (mut speaker, mut listener) = pair(440.0);
    let start = Instant::now();
    speaker.press("1234#");
    let mut heard = String::new();
    for tick in 0..70 {
        let now = start + Duration::from_millis(20 * tick);
        for datagram in speaker.speak(now) {
            for notice in listener.receive(now, &datagram, true) {
                match notice {
                    Notice::Digit(digit) => heard.push(digit),
                    Notice::Maiden => {}
                    Notice::Violation(text) => panic!("{text}"),
                }
            }
        }
    }
    assert_eq!((heard.as_str(), listener.digits()), ("1234#", "1234#"));
    assert_eq!(listener.recording().lost, 0);
}

#[test]
fn what_a_client_does_not_bear_is_recorded() {
    let (mut speaker, mut listener) = pair(440.0);
    let now = Instant::now();
    let mut first = speaker.speak(now);
    first.extend(speaker.speak(now + Duration::from_millis(500)).pop());
    assert_eq!(first.len(), 2, "sound and the first report");
    let notices: Vec<Notice> =
        first.iter().flat_map(|datagram| listener.receive(now, datagram, false)).collect();
    let early = |text: &str| Notice::Violation(text.to_owned());
    assert_eq!(notices, [early("media packet before accept"), Notice::Maiden, early("RTCP before accept")]);
    // Replayed, forged, and of a stranger's SSRC.
    assert!(
        matches!(&listener.receive(now, &first[0], true)[..], [Notice::Violation(text)] if text.contains("SRTP refused"))
    );
    let mut forged = speaker.speak(now).remove(0).to_vec();
    forged[20] ^= 1;
    assert!(matches!(&listener.receive(now, &forged, true)[..], [Notice::Violation(_)]));
    speaker.ssrc = 9;
    let stranger = speaker.speak(now).remove(0);
    assert!(
        matches!(&listener.receive(now, &stranger, true)[..], [Notice::Violation(text)] if text.contains("SSRC"))
    );
    assert_eq!(listener.recording().packets.len(), 1);
}

#[test]
fn without_keys_nothing_is_said_or_heard() {
    let mut phone = Phone::new(7, 440.0).unwrap();
    let now = Instant::now();
    assert!(phone.speak(now).is_empty());
    assert_eq!(phone.receive(now, &[0x80; 40], true), []);
    phone.expect(&remote(8));
    assert!(phone.speak(now).is_empty());
}
