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
