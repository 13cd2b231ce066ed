//! Whatever comes to a port is counted and dropped, and its call lives on.

use super::*;

/// What strangers and forgers send, and the counter that each must raise.
fn datagrams() -> Vec<(Vec<u8>, &'static str)> {
    let bye = [&[0x81, 203, 0, 1, 0, 0, 0, 5][..], &[7; 16], &[0x80, 0, 0, 1]].concat();
    let check = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[3; 12]].concat();
    vec![
        (Vec::new(), "malformed"),
        (vec![128], "malformed"),
        (vec![255; 40], "malformed"),
        (vec![5; 1400], "malformed"),
        // Cut off by the buffer: longer than any audio.
        (vec![128; 2048], "malformed"),
        (vec![128; 9000], "malformed"),
        (check, "malformed"),
        (bye, "unauthenticated"),
        ([&rtp(111, 1)[..], &[0; 16]].concat(), "unauthenticated"),
    ]
}

fn counted(relay: &Relay, name: &str) -> u64 {
    relay.counters().all().find(|(known, _)| *known == name).map_or(0, |(_, count)| count)
}

#[test]
fn each_foreign_datagram_is_counted_and_the_call_lives_on() {
    let relay = relay(45_600, 10);
    let mut far = Far::up(&relay, DtlsRole::Server);
    far.session().open();
    let port = our_offer(far.session()).candidates[0];
    let stranger = UdpSocket::bind((IpAddr::from([127, 0, 0, 2]), 0)).expect("a socket");
    for (bytes, name) in datagrams() {
        // From the verified address.
        let before = counted(&relay, name);
        far.lite_socket.send_to(&bytes, port).expect("sent");
        let raised = far.play(PATIENCE, |_| counted(&relay, name) == before + 1);
        assert!(raised, "{name} after {} octets: {:?}", bytes.len(), relay.counters());
        // From somewhere else: refused, whatever it is.
        let refused = |relay: &Relay| counted(relay, "stranger") + counted(relay, "malformed");
        let before = refused(&relay);
        stranger.send_to(&bytes, port).expect("sent");
        assert!(far.play(PATIENCE, |_| refused(&relay) == before + 1), "{:?}", relay.counters());
    }
    let heard = far.lite.heard.len();
    far.pbx_says(1);
    assert!(far.play(PATIENCE, |far| far.lite.heard.len() > heard + 3));
    far.lite.speak(&rtp(111, 40));
    let is_heard = |far: &Far| {
        far.events.try_iter().any(|event| matches!(event, MediaEvent::FirstAudio(Party::WhatsApp)))
    };
    assert!(far.play(PATIENCE, is_heard));
    let counters = relay.counters();
    assert_eq!((counters.panics, counters.dtls_failures, counters.consent_lost), (0, 0, 0));
    let summary = far.close();
    assert_eq!(summary.refused, 2 * datagrams().len() as u64);
}
