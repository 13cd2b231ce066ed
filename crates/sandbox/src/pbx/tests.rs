//! The phone against itself: what two of them say to each other must be free of complaints.

use std::time::Duration;

use super::*;

const SOON: Duration = Duration::from_secs(5);

/// Two phones; the first one's calls go to the second.
async fn pair(codecs: &[Codec]) -> (Phone, Phone) {
    let mut phones = Vec::new();
    for (user, tone_hz) in [("1001", 440.0), ("2002", 660.0)] {
        let config = PhoneConfig::new(Ladder::new());
        let config = PhoneConfig { user: user.to_owned(), codecs: codecs.to_vec(), tone_hz, ..config };
        phones.push(Phone::start(config).await.unwrap());
    }
    let (second, first) = (phones.remove(1), phones.remove(0));
    first.set_bridge(second.addr());
    (first, second)
}

fn flawless(phones: &[&Phone]) {
    for phone in phones {
        assert_eq!(phone.complaints(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_call_with_sound_and_digits_in_each_codec() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::Opus] {
        let (first, second) = pair(&[codec]).await;
        let call = first.dial("447700900001").await.unwrap();
        let other = second.incoming(SOON).await.unwrap();
        call.answered(SOON).await.unwrap();
        other.answered(SOON).await.unwrap();
        assert_eq!(call.statuses(), [100, 180, 200]);
        assert_eq!((call.codec(), other.codec()), (Some(codec), Some(codec)));
        call.hears(660.0, Duration::from_millis(400), SOON).await.unwrap();
        other.hears(440.0, Duration::from_millis(400), SOON).await.unwrap();
        tokio::join!(call.press("1234#"), other.press("*0A"));
        other.heard_digits("1234#", SOON).await.unwrap();
        call.heard_digits("*0A", SOON).await.unwrap();
        call.hang_up();
        assert_eq!(other.ended(SOON).await.unwrap(), Ending::Bye { reason: None });
        assert_eq!(call.ended(SOON).await.unwrap(), Ending::HungUp);
        flawless(&[&first, &second]);
    }
}

#[tokio::test]
async fn the_called_side_hangs_up() {
    let (first, second) = pair(&[Codec::Pcmu]).await;
    second.set_policy(Policy::Answer { ring: Duration::ZERO });
    let call = first.dial("2002").await.unwrap();
    let other = second.incoming(SOON).await.unwrap();
    other.answered(SOON).await.unwrap();
    other.hang_up();
    assert_eq!(call.ended(SOON).await.unwrap(), Ending::Bye { reason: None });
    assert_eq!(other.ended(SOON).await.unwrap(), Ending::HungUp);
    assert_eq!(call.finals(), [200]);
    flawless(&[&first, &second]);
}

#[tokio::test]
async fn busy_is_told_and_acknowledged() {
    let (first, second) = pair(&[Codec::Pcmu]).await;
    second.set_policy(Policy::Refuse { ring: Duration::from_millis(30), status: 486, reason: "Busy Here" });
    let call = first.dial("2002").await.unwrap();
    let other = second.incoming(SOON).await.unwrap();
    assert_eq!(call.ended(SOON).await.unwrap(), Ending::Rejected { status: 486, reason: None });
    assert_eq!(other.ended(SOON).await.unwrap(), Ending::Refused { status: 486 });
    assert_eq!(first.counters().finals.get(&486), Some(&1));
    assert_eq!(second.counters().retransmitted, 0);
    flawless(&[&first, &second]);
}

#[tokio::test]
async fn a_ringing_call_is_taken_back() {
    let (first, second) = pair(&[Codec::Pcmu]).await;
    second.set_policy(Policy::Ring);
    let call = first.dial("2002").await.unwrap();
    let other = second.incoming(SOON).await.unwrap();
    call.status(180, SOON).await.unwrap();
    call.cancel();
    assert_eq!(call.ended(SOON).await.unwrap(), Ending::Rejected { status: 487, reason: None });
    assert_eq!(other.ended(SOON).await.unwrap(), Ending::Cancelled { reason: None });
    flawless(&[&first, &second]);
}

#[tokio::test]
async fn silence_is_met_with_retransmissions_and_no_cancel() {
    let (first, second) = pair(&[Codec::Pcmu]).await;
    second.set_policy(Policy::Silence);
    let call = first.dial("2002").await.unwrap();
    call.cancel();
    assert!(call.status(100, Duration::from_millis(1700)).await.is_err());
    assert_eq!(first.counters().retransmitted, 2);
    assert!(!first.messages().iter().any(|message| message.starts_with("CANCEL")));
    assert_eq!(second.counters().repeated, 2);
}

#[tokio::test]
async fn options_is_answered() {
    let (first, second) = pair(&[Codec::Pcmu]).await;
    assert_eq!(first.options(SOON).await.unwrap(), 200);
    flawless(&[&first, &second]);
}

#[tokio::test]
async fn the_change_of_a_tone_is_seen_at_the_other_end() {
    let (first, second) = pair(&[Codec::Pcmu]).await;
    let call = first.dial("2002").await.unwrap();
    let other = second.incoming(SOON).await.unwrap();
    call.answered(SOON).await.unwrap();
    other.hears(440.0, Duration::from_millis(200), SOON).await.unwrap();
    let changed = call.change_tone(1000.0).await;
    other.hears(1000.0, Duration::from_millis(700), SOON).await.unwrap_err();
    let onset = other.recording().onset(1000.0, changed - Duration::from_millis(5)).unwrap();
    assert!(onset < changed + Duration::from_millis(200), "{:?}", onset - changed);
    call.hang_up();
}

#[tokio::test]
async fn what_a_wrong_peer_sends_is_held_against_it() {
    let (first, _second) = pair(&[Codec::Pcmu]).await;
    let wrong = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    first.set_bridge(wrong.local_addr().unwrap());
    let call = first.dial("2002").await.unwrap();
    let mut buffer = [0; 4096];
    let (length, from) = wrong.recv_from(&mut buffer).await.unwrap();
    let invite = sip::Message::parse(&buffer[..length]).unwrap();
    let busy = sip::Message::response(&invite, 486, "Busy Here");
    wrong.send_to(busy.to_text().as_bytes(), from).await.unwrap();
    call.final_status(SOON).await.unwrap();
    let declined = sip::Message::response(&invite, 603, "Decline").with_to_tag("x");
    wrong.send_to(declined.to_text().as_bytes(), from).await.unwrap();
    call.status(603, SOON).await.unwrap();
    assert_eq!(call.finals(), [486, 603]);
    let complaints = first.complaints();
    assert_eq!(complaints, ["486 to INVITE: To without tag", "603: a second final response to one INVITE"]);
}

#[tokio::test]
async fn a_refused_change_leaves_the_call_as_it_was() {
    let (first, second) = pair(&[Codec::Pcmu]).await;
    let call = first.dial("2002").await.unwrap();
    let other = second.incoming(SOON).await.unwrap();
    assert!(call.change(Direction::SendOnly).await.is_err(), "nothing to change yet");
    call.answered(SOON).await.unwrap();
    for phone in [&other, &call] {
        phone.answered(SOON).await.unwrap();
        let refused = Change { status: 488, direction: None, version: None };
        assert_eq!(phone.change(Direction::Inactive).await.unwrap(), refused);
    }
    let heard = call.recording().length();
    call.hears(660.0, heard + Duration::from_millis(400), SOON).await.unwrap();
    call.hang_up();
    assert_eq!(call.ended(SOON).await.unwrap(), Ending::HungUp);
    assert!(call.change(Direction::SendRecv).await.is_err(), "nothing to change any more");
    flawless(&[&first, &second]);
}

/// The other end of a call, played by hand.
struct Peer {
    sip: tokio::net::UdpSocket,
    rtp: tokio::net::UdpSocket,
}

impl Peer {
    async fn start() -> Self {
        let bind = || tokio::net::UdpSocket::bind("127.0.0.1:0");
        Self { sip: bind().await.unwrap(), rtp: bind().await.unwrap() }
    }

    async fn take(&self, method: &str) -> (sip::Message, std::net::SocketAddr) {
        let mut buffer = [0; 4096];
        let received = tokio::time::timeout(SOON, self.sip.recv_from(&mut buffer)).await;
        let (length, from) = received.expect(method).unwrap();
        let message = sip::Message::parse(&buffer[..length]).unwrap();
        assert_eq!(message.method(), Some(method));
        (message, from)
    }

    /// Answers an INVITE and takes the ACK.
    async fn accept(&self, invite: &sip::Message, phone: std::net::SocketAddr, sdp: &str) {
        let ok = sip::Message::response(invite, 200, "OK")
            .with_to_tag("peer")
            .with("Contact", format!("<sip:peer@{}>", self.sip.local_addr().unwrap()))
            .with("Allow", "INVITE, ACK, BYE")
            .with_sdp(sdp.to_owned());
        self.sip.send_to(ok.to_text().as_bytes(), phone).await.unwrap();
        let (ack, _) = self.take("ACK").await;
        assert_eq!(ack.cseq().unwrap().0, invite.cseq().unwrap().0);
        assert_ne!(ack.branch(), invite.branch(), "the ACK of a 2xx is a transaction of its own");
    }

    /// A phone in a call with this peer, which said the SDP that is given back.
    async fn call(&self) -> (Phone, PhoneCall, std::net::SocketAddr, String) {
        let (phone, _) = pair(&[Codec::Pcmu]).await;
        phone.set_bridge(self.sip.local_addr().unwrap());
        let call = phone.dial("2002").await.unwrap();
        let (invite, from) = self.take("INVITE").await;
        let remote = sdp::read(&invite.body, &[Codec::Pcmu], &Manner::default()).unwrap();
        let answer = {
            let (local, manner) = (self.rtp.local_addr().unwrap(), Manner::default());
            sdp::answer(&sdp::Ours { local, session: 7, manner: &manner, keys: &[] }, &remote)
        };
        self.accept(&invite, from, &answer).await;
        call.answered(SOON).await.unwrap();
        (phone, call, remote.address, answer)
    }

    async fn hears_a_packet(&self) -> bool {
        let mut buffer = [0; 2048];
        tokio::time::timeout(Duration::from_millis(100), self.rtp.recv(&mut buffer)).await.is_ok()
    }
}

fn change(call: &PhoneCall, direction: Direction) -> tokio::task::JoinHandle<Result<Change, Missed>> {
    let call = call.clone();
    tokio::spawn(async move { call.change(direction).await })
}

#[tokio::test]
async fn a_hold_is_offered_until_it_is_answered_and_the_music_plays_on() {
    let peer = Peer::start().await;
    let (phone, call, address, said) = peer.call().await;
    let hold = change(&call, Direction::SendOnly);
    let (invite, from) = peer.take("INVITE").await;
    let (again, _) = peer.take("INVITE").await;
    assert_eq!(again.to_text(), invite.to_text());
    assert_eq!((invite.cseq(), invite.tag_of_to()), (Some((2, "INVITE")), Some("peer")));
    assert_eq!(sdp::direction(&invite.body), Some(Direction::SendOnly));
    assert_eq!(sdp::origin(&invite.body).unwrap().1, 2);
    let answered = std::time::Instant::now();
    peer.accept(&invite, from, &sdp::revise(&said, Direction::RecvOnly)).await;
    let held = Change { status: 200, direction: Some("recvonly".to_owned()), version: Some(2) };
    assert_eq!(hold.await.unwrap().unwrap(), held);
    while phone.complaints().is_empty() {
        let packet = rtp::Packet {
            marker: true,
            payload_type: 0,
            sequence: 1,
            timestamp: 0,
            ssrc: 1,
            payload: vec![0xFF; 160],
        };
        peer.rtp.send_to(&packet.to_bytes(), address).await.unwrap();
        assert!(peer.hears_a_packet().await, "the music stopped");
    }
    assert!(answered.elapsed() >= Duration::from_millis(500), "packets under way are forgiven");
    let complaints = phone.complaints();
    assert!(complaints[0].ends_with("after the phone said that it receives nothing"), "{complaints:?}");
}

#[tokio::test]
async fn an_inactive_phone_is_silent_and_the_same_offer_has_the_same_version() {
    let peer = Peer::start().await;
    let (phone, call, _, said) = peer.call().await;
    let inactive = sdp::revise(&said, Direction::Inactive);
    for cseq in [2, 3] {
        let hold = change(&call, Direction::Inactive);
        let (invite, from) = peer.take("INVITE").await;
        assert_eq!((invite.cseq().unwrap().0, sdp::origin(&invite.body).unwrap().1), (cseq, 2));
        peer.accept(&invite, from, &inactive).await;
        assert_eq!(hold.await.unwrap().unwrap().version, Some(2));
    }
    let silence = async { while peer.hears_a_packet().await {} };
    tokio::time::timeout(SOON, silence).await.expect("packets of an inactive phone");
    flawless(&[&phone]);
    let back = change(&call, Direction::SendRecv);
    let (invite, from) = peer.take("INVITE").await;
    assert_eq!(sdp::origin(&invite.body).unwrap().1, 3);
    peer.accept(&invite, from, &sdp::revise(&inactive, Direction::SendRecv)).await;
    assert_eq!(back.await.unwrap().unwrap().version, Some(3));
    assert!(peer.hears_a_packet().await, "the phone speaks again");
    flawless(&[&phone]);
}

/// Two phones as these configurations say; the first one's calls go to the second.
async fn pair_of(first: PhoneConfig, second: PhoneConfig) -> (Phone, Phone) {
    let second = Phone::start(PhoneConfig { tone_hz: 660.0, ..second }).await.unwrap();
    let first = Phone::start(first).await.unwrap();
    first.set_bridge(second.addr());
    (first, second)
}

#[tokio::test]
async fn a_call_on_connections_has_sound_and_repeats_nothing() {
    let config = || PhoneConfig { transport: Transport::Tcp, ..PhoneConfig::new(Ladder::new()) };
    let (first, second) = pair_of(config(), config()).await;
    let call = first.dial("2002").await.unwrap();
    let other = second.incoming(SOON).await.unwrap();
    call.hears(660.0, Duration::from_millis(400), SOON).await.unwrap();
    other.hears(440.0, Duration::from_millis(400), SOON).await.unwrap();
    other.hang_up();
    assert_eq!(call.ended(SOON).await.unwrap(), Ending::Bye { reason: None });
    assert_eq!(first.counters().retransmitted + second.counters().retransmitted, 0);
    flawless(&[&first, &second]);
}

#[tokio::test]
async fn a_demanded_password_is_given_for_each_request_and_a_wrong_one_gets_no_call() {
    let config = || PhoneConfig::new(Ladder::new());
    for right in [Login::new("u", "p"), Login::new("u", "p").md5()] {
        let with = |login: &Login| PhoneConfig { login: Some(login.clone()), ..config() };
        let demanding = || PhoneConfig { demands: Some(right.clone()), ..config() };
        let (first, second) = pair_of(with(&right), demanding()).await;
        assert_eq!(first.register(60, SOON).await.unwrap(), 200);
        assert_eq!(second.registered().unwrap().expires, 60);
        let call = first.dial("2002").await.unwrap();
        call.answered(SOON).await.unwrap();
        call.hang_up();
        assert_eq!(call.ended(SOON).await.unwrap(), Ending::HungUp);
        flawless(&[&first, &second]);
        let wrong = Login { password: "q".to_owned(), ..right.clone() };
        let (first, second) = pair_of(with(&wrong), demanding()).await;
        assert_eq!(first.dial("2002").await.unwrap().final_status(SOON).await.unwrap(), 407);
        assert_eq!((first.register(60, SOON).await.unwrap(), second.registered()), (401, None));
    }
}

/// The manners in which two phones speak, and the codec.
async fn speaks(codec: Codec, first: Manner, second: Manner) {
    let config = |manner| PhoneConfig {
        codecs: vec![codec],
        manner,
        policy: Policy::Answer { ring: Duration::ZERO },
        ..PhoneConfig::new(Ladder::new())
    };
    let (caller, called) = pair_of(config(first), config(second)).await;
    let call = caller.dial("1001").await.unwrap();
    call.answered(SOON).await.unwrap();
    let other = called.incoming(SOON).await.unwrap();
    let second = Duration::from_secs(1);
    call.hears(660.0, second, SOON).await.unwrap();
    other.hears(440.0, second, SOON).await.unwrap();
    call.press("12").await;
    other.heard_digits("12", SOON).await.unwrap();
    call.hang_up();
    flawless(&[&caller, &called]);
}

#[tokio::test]
async fn packets_of_any_length_in_each_codec() {
    for ptime in [10, 20, 30, 60] {
        let manner = Manner { ptime, ..Manner::default() };
        for codec in [Codec::Pcma, Codec::G722] {
            speaks(codec, manner.clone(), manner.clone()).await;
        }
    }
}

#[tokio::test]
async fn each_suite_is_spoken_where_both_have_it() {
    for suite in Suite::ALL {
        let required = Manner { security: Security::Required, suites: vec![suite], ..Manner::default() };
        let optional = Manner { security: Security::Optional, feedback: true, ..Manner::default() };
        speaks(Codec::Pcmu, required.clone(), optional.clone()).await;
        speaks(Codec::Pcmu, optional.clone(), optional).await;
    }
}
