//! What the worker sends without being sent to: tones, digits, silence between two legs.

use super::*;
use crate::tone::ringback;

/// Header and payload type of each packet the PBX gets within `limit`.
fn heard_by_pbx(pbx: &UdpSocket, limit: Duration) -> Vec<Vec<u8>> {
    let end = Instant::now() + limit;
    let (mut buffer, mut heard) = ([0; 2048], Vec::new());
    while Instant::now() < end {
        if let Ok((len, _)) = pbx.recv_from(&mut buffer) {
            heard.push(buffer[..len].to_vec());
        }
    }
    heard
}

fn sequence(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

#[test]
fn ringback_needs_no_packet_to_wake_the_worker_and_ends_with_the_answer() {
    let relay = relay(45_000, 10);
    let mut far = Far::up(&relay, DtlsRole::Server);
    far.session().play_to_pbx(ringback("de").expect("listed"));
    let heard = heard_by_pbx(&far.pbx, Duration::from_millis(410));
    // About 21; a machine under load may skip some.
    assert!((5..=24).contains(&heard.len()), "{}", heard.len());
    assert!(heard.iter().all(|packet| packet[1] == 107), "the PBX's number");
    assert!(heard.windows(2).all(|two| sequence(&two[1]) == sequence(&two[0]).wrapping_add(1)));
    far.play(Duration::from_millis(50), |_| false);
    assert_eq!(far.kinds.iter().filter(|kind| is_media(kind)).count(), 0, "nothing to WhatsApp");

    far.session().open();
    assert!(far.play(PATIENCE, |far| !far.lite.heard.is_empty()));
    heard_by_pbx(&far.pbx, Duration::from_millis(50));
    assert_eq!(heard_by_pbx(&far.pbx, Duration::from_millis(100)).len(), 0);
    let summary = far.close();
    assert!(summary.packets.pbx.tone >= 5);
    assert_eq!(summary.packets.whatsapp.tone, 0);
}

#[test]
fn keys_are_pressed_and_let_go_over_the_sockets() {
    let relay = relay(45_100, 10);
    let mut far = Far::up(&relay, DtlsRole::Server);
    far.session().open();
    assert!(far.play(PATIENCE, |far| !far.lite.heard.is_empty()));
    assert!(!far.session().send_digit(Party::WhatsApp, 'x', 100));
    assert!(far.session().send_digit(Party::WhatsApp, '5', 100));
    let key_is_up = |far: &Far| {
        let ends = |packet: &&Vec<u8>| packet[1] & 0x7F == 126 && packet[12] == 5 && packet[13] & 0x80 != 0;
        far.lite.heard.iter().filter(ends).count() == 3
    };
    assert!(far.play(PATIENCE, key_is_up));

    // WhatsApp's key, its end lost: told all the same.
    far.session().set_digits(DigitMode::Off);
    let mut key = rtp(126, 1)[..12].to_vec();
    key.extend([7, 10, 3, 32]);
    far.lite.speak(&key);
    far.play(Duration::from_millis(1), |_| false);
    assert!(matches!(far.next(), MediaEvent::Digit { from: Party::WhatsApp, digit: '7' }));
    let up = far.next();
    let MediaEvent::DigitEnded { from: Party::WhatsApp, digit: '7', duration } = up else {
        panic!("{up:?}");
    };
    assert_eq!(duration, Duration::from_millis(100));
}
