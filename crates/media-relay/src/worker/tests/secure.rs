//! Sound through a relay whose PBX speaks SRTP: the PBX's side of it is webrtc-srtp.

use super::*;
use crate::codec::g711::Law;
use crate::codec::opus::{Decoder, Encoder, EncoderConfig, MAX_PAYLOAD, MAX_SAMPLES};
use crate::rtp::testing::{amplitude, tone};
use crate::sdp::crypto::{Crypto, MasterKey, Suite};
use crate::sdp::negotiation::Negotiation;
use crate::sdp::pbx::{Codec, Security};
use crate::srtp::sdes;

const THEIRS: f64 = 1000.0;
const USERS: f64 = 700.0;

/// A phone with SRTP, that offers one suite.
struct Phone {
    socket: UdpSocket,
    suite: Suite,
    key: MasterKey,
    srtp: sdes::tests::Far,
    said: u16,
}

impl Phone {
    /// It calls: its offer is answered, and what is agreed reaches the relay.
    fn call(far: &Far, suite: Suite) -> (Self, Negotiation) {
        let socket = UdpSocket::bind((LOOPBACK, 0)).expect("a socket");
        socket.set_nonblocking(true).expect("a flag");
        let key = sdes::tests::key(suite, 0x33);
        let local = far.session().pbx_address();
        let mut ours = Negotiation::new(local, 7, vec![Codec::Pcmu]).with_srtp(Security::Require, [5; 32]);
        let offer = Self::offer(&socket, &Crypto { tag: 7, suite, key: key.clone() });
        let (answer, media) = ours.answer(offer.as_bytes()).expect("agreed");
        far.session().connect_pbx(media);
        let srtp = Self::session(&answer, suite, &key);
        (Self { socket, suite, key, srtp, said: 0 }, ours)
    }

    fn offer(socket: &UdpSocket, crypto: &Crypto) -> String {
        let port = socket.local_addr().expect("bound").port();
        let mut sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/SAVP 0\r\na=crypto:"
        );
        crypto.write(&mut sdp);
        sdp.push_str("\r\n");
        sdp
    }

    /// The keys by what the relay's answer says.
    fn session(answer: &str, suite: Suite, key: &MasterKey) -> sdes::tests::Far {
        let line = answer.lines().find_map(|line| line.strip_prefix("a=crypto:")).expect("a key");
        let ours = Crypto::parse(line).expect("usable");
        assert_eq!((ours.tag, ours.suite), (7, suite));
        sdes::tests::Far::new(suite, &ours.key, key)
    }

    /// It begins anew with another key, as after a re-INVITE of its own.
    fn rekey(&mut self, far: &Far, ours: &mut Negotiation) {
        self.key = sdes::tests::key(self.suite, 0x44);
        let crypto = Crypto { tag: 7, suite: self.suite, key: self.key.clone() };
        let (answer, media) = ours.answer(Self::offer(&self.socket, &crypto).as_bytes()).expect("agreed");
        far.session().connect_pbx(media);
        self.srtp = Self::session(&answer, self.suite, &self.key);
    }

    fn packet(&mut self) -> Vec<u8> {
        let mut packet = vec![0x80, 0];
        packet.extend(self.said.to_be_bytes());
        packet.extend((u32::from(self.said) * 160).to_be_bytes());
        packet.extend([0, 0, 0, 5]);
        let mut coded = [0; 160];
        Law::Mu.encode(&tone(THEIRS, usize::from(self.said) * 160, 160), &mut coded);
        packet.extend(coded);
        self.said += 1;
        packet
    }

    fn speak(&mut self, to: SocketAddr) {
        let packet = self.packet();
        let sealed = self.srtp.sends.encrypt_rtp(&packet).expect("protected");
        self.socket.send_to(&sealed, to).expect("sent");
    }

    /// What it has heard since, and how many packets did not authenticate.
    fn listen(&mut self) -> (Vec<i16>, usize) {
        let (mut buffer, mut heard, mut foreign) = ([0; 2048], Vec::new(), 0);
        while let Ok((len, _)) = self.socket.recv_from(&mut buffer) {
            let Ok(packet) = self.srtp.receives.decrypt_rtp(&buffer[..len]) else {
                foreign += 1;
                continue;
            };
            assert_eq!(packet[1] & 0x7F, 0);
            let mut samples = vec![0; packet.len() - 12];
            Law::Mu.decode(&packet[12..], &mut samples);
            heard.extend(samples);
        }
        (heard, foreign)
    }
}

/// WhatsApp's user, who speaks Opus.
struct User {
    encoder: Encoder,
    said: u16,
}

impl User {
    fn new() -> Self {
        Self { encoder: Encoder::new(&EncoderConfig::whatsapp(8000, 5)).expect("libopus"), said: 0 }
    }

    fn speak(&mut self, far: &mut Far) {
        let mut packet = vec![0x80, 111];
        packet.extend(self.said.to_be_bytes());
        packet.extend((u32::from(self.said) * 960).to_be_bytes());
        packet.extend([0, 0, 0, 9]);
        let mut payload = [0; MAX_PAYLOAD];
        let samples = tone(USERS, usize::from(self.said) * 160, 160);
        packet.extend(&*self.encoder.encode(&samples, &mut payload).expect("opus"));
        far.lite.speak(&packet);
        self.said += 1;
    }
}

/// Half a second of talk, both at once: the level of each in what the other hears.
fn talk(far: &mut Far, phone: &mut Phone, user: &mut User) -> (f64, f64) {
    let (mut begin, mut heard) = (0, Vec::new());
    for turn in 0..25 {
        if turn == 5 {
            begin = far.lite.heard.len();
            phone.listen();
        }
        phone.speak(far.session().pbx_address());
        user.speak(far);
        far.play(Duration::from_millis(20), |_| false);
    }
    let (samples, foreign) = phone.listen();
    heard.extend(samples);
    assert_eq!(foreign, 0, "all that the phone gets authenticates");
    let mut decoder = Decoder::new(8000).expect("libopus");
    let (mut samples, mut by_user) = ([0; MAX_SAMPLES], Vec::new());
    for packet in &far.lite.heard[begin..] {
        by_user.extend_from_slice(decoder.decode(&packet[12..], &mut samples).expect("opus"));
    }
    assert!(heard.len() > 1600 && by_user.len() > 1600, "{} {}", heard.len(), by_user.len());
    (amplitude(&heard, USERS), amplitude(&by_user, THEIRS))
}

#[test]
fn tones_go_both_ways_through_each_suite_and_a_new_key() {
    for (suite, port) in Suite::ALL.into_iter().zip([45_600, 45_620, 45_640, 45_660]) {
        let relay = relay(port, 10);
        let mut far = Far::up(&relay, DtlsRole::Server);
        let (mut phone, mut ours) = Phone::call(&far, suite);
        far.session().open();
        assert!(far.play(PATIENCE, |far| !far.lite.heard.is_empty()));
        let mut user = User::new();
        let (to_phone, to_user) = talk(&mut far, &mut phone, &mut user);
        assert!(to_phone > 3000.0 && to_user > 3000.0, "{suite:?} {to_phone} {to_user}");

        phone.rekey(&far, &mut ours);
        let (to_phone, to_user) = talk(&mut far, &mut phone, &mut user);
        assert!(to_phone > 3000.0 && to_user > 3000.0, "{suite:?} {to_phone} {to_user}");
        far.close();
        assert_eq!(relay.counters().unauthenticated, 0);
    }
}

#[test]
fn plain_packets_and_forged_ones_are_counted_and_not_heard() {
    let relay = relay(45_700, 10);
    let mut far = Far::up(&relay, DtlsRole::Server);
    let (mut phone, _) = Phone::call(&far, Suite::AesCm128HmacSha1_32);
    far.session().open();
    assert!(far.play(PATIENCE, |far| !far.lite.heard.is_empty()));
    let to = far.session().pbx_address();
    // From the phone's own address before it has spoken, and from another port of its host.
    let other = UdpSocket::bind((LOOPBACK, 0)).expect("a socket");
    for _ in 0..6 {
        let mut packet = phone.packet();
        phone.socket.send_to(&packet, to).expect("sent");
        packet.extend([0; 4]);
        other.send_to(&packet, to).expect("sent");
    }
    assert!(far.play(PATIENCE, |_| relay.counters().unauthenticated == 12), "{:?}", relay.counters());
    let mut user = User::new();
    let (to_phone, to_user) = talk(&mut far, &mut phone, &mut user);
    assert!(to_phone > 3000.0 && to_user > 3000.0, "{to_phone} {to_user}");
    let mut buffer = [0; 2048];
    other.set_nonblocking(true).expect("a flag");
    assert!(other.recv_from(&mut buffer).is_err(), "nothing went to the other port");
    let summary = far.close();
    assert_eq!((summary.refused, summary.packets.pbx.received), (12, 25));
}
