//! What the worker sends without being sent to: tones, digits, silence between two legs.

use super::*;
use crate::codec::g711::Law;
use crate::codec::opus::{Decoder, MAX_SAMPLES};
use crate::rtp::testing::{amplitude, tone};
use crate::tone::{Sound, Tone, ringback};

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

/// A leg of the PBX that speaks G.711 from a socket of its own.
struct Leg {
    socket: UdpSocket,
    hertz: f64,
    said: u16,
}

impl Leg {
    fn new(hertz: f64) -> Self {
        Self { socket: UdpSocket::bind((LOOPBACK, 0)).expect("a socket"), hertz, said: 0 }
    }

    fn media(&self) -> pbx::Media {
        pbx::Media {
            remote: self.socket.local_addr().expect("bound"),
            rtcp: None,
            codec: pbx::Codec::Pcmu,
            payload_type: 0,
            dtmf: None,
            offered_as: pbx::OfferedAs::default(),
            ptime_ms: 20,
            direction: pbx::Direction::SendRecv,
            secure: None,
            rtcp_mux: false,
            comfort_noise: false,
        }
    }

    fn speak(&mut self, to: SocketAddr) {
        let samples = tone(self.hertz, usize::from(self.said) * 160, 160);
        let mut packet = vec![0x80, 0];
        packet.extend(self.said.to_be_bytes());
        packet.extend((u32::from(self.said) * 160).to_be_bytes());
        packet.extend((self.hertz as u32).to_be_bytes());
        let mut coded = [0; 160];
        Law::Mu.encode(&samples, &mut coded);
        packet.extend(coded);
        self.socket.send_to(&packet, to).expect("sent");
        self.said += 1;
    }
}

/// The first `speaking` legs speak; how loud each is in what WhatsApp hears, and how many packets
/// that is.
fn listen(far: &mut Far, legs: &mut [Leg; 2], speaking: usize, decoder: &mut Decoder) -> (f64, f64, usize) {
    let mut begin = 0;
    for turn in 0..30 {
        // What was on its way before is not judged.
        if turn == 5 {
            begin = far.lite.heard.len();
        }
        for leg in &mut legs[..speaking] {
            leg.speak(far.session().pbx_address());
        }
        far.play(Duration::from_millis(20), |_| false);
    }
    let mut samples = [0; MAX_SAMPLES];
    let mut heard = Vec::new();
    for packet in &far.lite.heard[begin..] {
        heard.extend_from_slice(decoder.decode(&packet[12..], &mut samples).expect("opus"));
    }
    let level = |leg: &Leg| amplitude(&heard, leg.hertz);
    (level(&legs[0]), level(&legs[1]), far.lite.heard.len() - begin)
}

/// Both legs on one host, as with a media server: only the port tells them apart.
#[test]
fn after_a_transfer_only_the_new_leg_is_heard_though_the_old_one_goes_on_sending() {
    let relay = relay(45_200, 10);
    let mut far = Far::up(&relay, DtlsRole::Server);
    let mut legs = [Leg::new(1000.0), Leg::new(700.0)];
    let mut decoder = Decoder::new(8000).expect("libopus");
    far.session().connect_pbx(legs[0].media());
    far.session().open();
    assert!(far.play(PATIENCE, |far| !far.lite.heard.is_empty()));

    let (old, new, _) = listen(&mut far, &mut legs, 2, &mut decoder);
    assert!(old > 3000.0 && new < 300.0, "{old} {new}");

    far.session().connect_pbx(legs[1].media());
    let (old, _, packets) = listen(&mut far, &mut legs, 1, &mut decoder);
    assert!(old < 100.0 && packets > 10, "the new one is silent yet: {old} {packets}");
    let (old, new, _) = listen(&mut far, &mut legs, 2, &mut decoder);
    assert!(old < 300.0 && new > 3000.0, "{old} {new}");

    // The new one hangs up, too: silence goes on.
    far.session().disconnect_pbx();
    let (old, new, packets) = listen(&mut far, &mut legs, 2, &mut decoder);
    assert!(old < 100.0 && new < 100.0 && packets > 10, "{old} {new} {packets}");

    far.session().play_to_whatsapp(Tone { sound: Sound::One(700), cadence: &[] });
    let (old, tone, packets) = listen(&mut far, &mut legs, 2, &mut decoder);
    assert!(old < 100.0 && tone > 2000.0 && packets > 10, "{old} {tone} {packets}");

    // Back to the first.
    far.session().stop_tone();
    far.session().connect_pbx(legs[0].media());
    let (old, new, _) = listen(&mut far, &mut legs, 2, &mut decoder);
    assert!(old > 3000.0 && new < 300.0, "{old} {new}");

    let heard = &far.lite.heard;
    assert!(heard.windows(2).all(|two| two[0][8..12] == two[1][8..12]), "a single SSRC");
    assert!(heard.windows(2).all(|two| sequence(&two[1]) == sequence(&two[0]).wrapping_add(1)), "no gap");
}

/// Hold by 0.0.0.0 was a new address for the latch, and the music from the old one a stranger's.
#[test]
fn music_is_heard_on_hold_by_an_address_of_zeros() {
    let relay = relay(45_300, 10);
    let mut far = Far::up(&relay, DtlsRole::Server);
    let mut legs = [Leg::new(1000.0), Leg::new(700.0)];
    let mut decoder = Decoder::new(8000).expect("libopus");
    far.session().connect_pbx(legs[0].media());
    far.session().open();
    assert!(far.play(PATIENCE, |far| !far.lite.heard.is_empty()));
    legs[0].speak(far.session().pbx_address());
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 4000));
    let direction = pbx::Direction::RecvOnly;
    far.session().connect_pbx(pbx::Media { remote: nowhere, direction, ..legs[0].media() });
    let (music, stranger, _) = listen(&mut far, &mut legs, 2, &mut decoder);
    assert!(music > 3000.0 && stranger < 300.0, "{music} {stranger}");
}
