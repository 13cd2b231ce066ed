//! What is offered, answered and read.

use super::super::Suite;
use super::*;

const ALL: [Codec; 3] = [Codec::Opus, Codec::Pcma, Codec::Pcmu];

fn offer(local: SocketAddr, session: u64, codecs: &[Codec]) -> String {
    super::offer(&Ours { local, session, manner: &Manner::default(), keys: &[] }, codecs)
}

fn answer(local: SocketAddr, session: u64, remote: &Remote) -> String {
    super::answer(&Ours { local, session, manner: &Manner::default(), keys: &[] }, remote)
}

fn read(sdp: &str, codecs: &[Codec]) -> Result<Remote, String> {
    super::read(sdp, codecs, &Manner::default())
}

fn local() -> SocketAddr {
    "127.0.0.1:4000".parse().unwrap()
}

#[test]
fn an_offer_is_read_and_answered_with_its_numbers() {
    let offered = offer(local(), 7, &ALL);
    assert!(offered.contains("m=audio 4000 RTP/AVP 111 8 0 101 102\r\n"), "{offered}");
    let remote = read(&offered, &[Codec::Opus]).unwrap();
    assert_eq!(remote, Remote { events: Some(102), ..Remote::plain(local(), Codec::Opus, 111) });
    let remote = read(&offered, &[Codec::Pcmu]).unwrap();
    assert_eq!(remote, Remote { events: Some(101), ..Remote::plain(local(), Codec::Pcmu, 0) });
    let answered = answer("127.0.0.1:4002".parse().unwrap(), 8, &remote);
    assert_eq!(read(&answered, &ALL).unwrap().payload, 0);
    assert!(answered.contains("m=audio 4002 RTP/AVP 0 101\r\n"), "{answered}");
}

#[test]
fn static_numbers_need_no_rtpmap() {
    let sdp =
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9000 RTP/AVP 8\r\n";
    assert_eq!(read(sdp, &ALL).unwrap().codec, Codec::Pcma);
}

#[test]
fn mistakes_are_named() {
    let good = answer(local(), 1, &Remote::plain(local(), Codec::Pcmu, 0));
    let broken = [
        (good.replace("\r\n", "\n"), "CRLF"),
        (good.replace("4000", "0"), "no usable address"),
        (good.replace("RTP/AVP", "RTP/SAVP"), "unexpected profile"),
        (good.replace("v=0", "v=1"), "v=0"),
        (good.replace("t=0 0\r\n", ""), "one t="),
        (good.replace("PCMU", "G729"), "no codec"),
        (good.replace("a=ptime:20", "ptime"), "malformed line"),
        (good.replace("AVP 0", "AVP 200"), "payload number"),
    ];
    for (sdp, complaint) in broken {
        let error = read(&sdp, &ALL).unwrap_err();
        assert!(error.contains(complaint), "{error} for {complaint}");
    }
}

#[test]
fn a_description_is_revised_with_its_version() {
    let first = offer(local(), 1, &[Codec::Pcmu]);
    assert_eq!(revise(&first, Direction::SendRecv), first);
    let held = revise(&first, Direction::SendOnly);
    assert_eq!(held, first.replace(" 1 1 IN", " 1 2 IN").replace("sendrecv", "sendonly"));
    assert_eq!(origin(&revise(&held, Direction::Inactive)).unwrap().1, 3);
}

#[test]
fn mistakes_in_a_changed_answer_are_named() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let first = offer(local(), 1, &[Codec::Pcmu]);
    let second = revise(&first, RecvOnly);
    let none: [&str; 0] = [];
    assert_eq!(changed(&first, &first, SendRecv), none);
    assert_eq!(changed(&first, &second, SendOnly), none);
    assert_eq!(changed(&first, &revise(&first, Inactive), SendOnly), none);
    let mistakes = [
        (&first, offer(local(), 2, &[Codec::Pcmu]), SendRecv, "o= was phone 1"),
        (&second, first.clone(), SendRecv, "version 1 after 2"),
        (&first, first.replace("sendrecv", "recvonly"), SendRecv, "version 1 again"),
        (&first, first.replace("o=phone 1 1", "o=phone 1"), SendRecv, "malformed o="),
        (&first, first.clone(), SendOnly, "sendrecv is no answer to sendonly"),
        (&first, second.clone(), RecvOnly, "recvonly is no answer to recvonly"),
        (&first, second.clone(), Inactive, "recvonly is no answer to inactive"),
    ];
    for (before, answer, offered, complaint) in mistakes {
        let complaints = changed(before, &answer, offered);
        assert!(complaints.len() == 1 && complaints[0].contains(complaint), "{complaints:?}");
    }
}

fn keys() -> Vec<Crypto> {
    let mut drawn = 0;
    let mut draw = || {
        drawn += 1;
        drawn
    };
    (1..).zip(Suite::ALL).map(|(tag, suite)| Crypto::new(tag, suite, &mut draw)).collect()
}

#[test]
fn keys_are_offered_and_one_is_taken_with_its_tag() {
    let keys = keys();
    let manner =
        |security, suites: &[Suite]| Manner { security, suites: suites.to_vec(), ..Manner::default() };
    for (security, profile) in [(Security::Required, "RTP/SAVP 0"), (Security::Optional, "RTP/AVP 0")] {
        let theirs = manner(security, &Suite::ALL);
        let offered =
            super::offer(&Ours { local: local(), session: 1, manner: &theirs, keys: &keys }, &[Codec::Pcmu]);
        assert!(offered.contains(profile), "{offered}");
        let ours = manner(Security::Optional, &[Suite::Gcm256]);
        let remote = super::read(&offered, &ALL, &ours).unwrap();
        let here = Ours { local: local(), session: 2, manner: &ours, keys: &keys[3..] };
        let (_, taken) = pair(&here, &remote).unwrap();
        assert_eq!(taken.suite, Suite::Gcm256);
        let answered = super::answer(&here, &remote);
        assert!(answered.contains("a=crypto:4 AEAD_AES_256_GCM inline:"), "{answered}");
        assert!(answered.contains(profile), "{answered}");
        let back = super::read(&answered, &ALL, &theirs).unwrap();
        let there = Ours { local: local(), session: 1, manner: &theirs, keys: &keys };
        assert_eq!(pair(&there, &back).unwrap().0.tag, 4);
        assert!(super::read(&offered, &ALL, &Manner::default()).is_err() == (security == Security::Required));
    }
}

#[test]
fn avpf_mux_and_packet_times_are_said() {
    let manner = Manner { ptime: 60, feedback: true, rtcp_mux: true, ..Manner::default() };
    let sdp = super::offer(&Ours { local: local(), session: 1, manner: &manner, keys: &[] }, &[Codec::G722]);
    for line in ["RTP/AVPF 9 101\r\n", "a=rtcp-mux\r\n", "a=ptime:60\r\n", "a=rtpmap:9 G722/8000\r\n"] {
        assert!(sdp.contains(line), "{sdp}");
    }
    let remote = super::read(&sdp, &[Codec::G722], &manner).unwrap();
    assert_eq!((remote.profile.as_str(), remote.rtcp_mux), ("RTP/AVPF", true));
}
