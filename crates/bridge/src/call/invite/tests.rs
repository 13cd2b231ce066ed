#![allow(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]

use std::time::Instant;

use sip_core::message::{Message, Request, parse};
use sip_core::{Command, Endpoint, EndpointConfig, Input, LegId, Listener, Output, Timers, Transport};

use super::super::manners::Manners;
use super::*;

const SDP: &str = "v=0\r\no=- 4503599627370495 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n\
    m=audio 20000 RTP/AVP 96 0 8 101 102\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n\
    a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/48000\r\na=fmtp:101 0-16\r\n\
    a=rtpmap:102 telephone-event/8000\r\na=fmtp:102 0-16\r\na=ptime:20\r\na=sendrecv\r\n";

fn about(name: &str) -> About {
    About {
        user: Caller {
            phone: Some("4915112345678".to_owned()),
            bsuid: Some("DE.13491208655302741918".to_owned()),
            parent_bsuid: Some("DE.ENT.11815799212886844830".to_owned()),
            name: Some(name.to_owned()),
            username: Some("ann".to_owned()),
        },
        wacid: Some("wacid.HBgLMTIxODU1NTI4MjgVAgARGCAyODRQIAFRoABwIAFRoBAA".to_owned()),
        phone_number_id: "106540352242922".to_owned(),
        cta_payload: Some("order 7".to_owned()),
        deeplink_payload: None,
    }
}

fn to(user: &str) -> To<'_> {
    To {
        flow: Flow::udp("10.0.0.5:5060".parse().expect("an address")),
        user,
        local: "192.0.2.10:5060".parse().expect("an address"),
        call_id: "wab-00000000000000000000000000000000",
        silence: Duration::from_secs(4),
    }
}

fn with(about: &About, edit: impl FnOnce(&mut InviteHeaders), refer: Option<&Refer>) -> OutgoingInvite {
    let mut headers = Manners::default().headers;
    edit(&mut headers);
    invite(to("100"), about, &headers, Some(SDP), refer)
}

/// The INVITE as it goes out.
fn sent(invite: OutgoingInvite) -> (usize, Request) {
    let address = "192.0.2.10:5060".parse().expect("an address");
    let mut endpoint = Endpoint::new(EndpointConfig {
        listeners: vec![Listener::new(Transport::Udp, address)],
        trunks: Vec::new(),
        user_agent: "wa-bridge/0.1.0".to_owned(),
        seed: [1; 32],
        timers: Timers::default(),
        record: false,
    });
    let command = Command::Invite { leg: LegId(0), invite: Box::new(invite) };
    endpoint.handle(Instant::now(), Input::Command(command));
    while let Some(output) = endpoint.poll() {
        if let Output::Send { bytes, .. } = output
            && let Ok(Message::Request(request)) = parse::datagram(&bytes)
        {
            return (bytes.len(), request);
        }
    }
    panic!("no INVITE goes out");
}

#[test]
fn the_user_stands_in_from_and_in_the_identity() {
    let (_, request) = sent(with(&about("Ann"), |_| {}, None));
    assert_eq!(request.uri.to_string(), "sip:100@10.0.0.5:5060");
    let from = request.headers.from().expect("From");
    assert_eq!(from.display.as_deref(), Some("Ann"));
    assert_eq!(from.uri.to_string(), "sip:+4915112345678@192.0.2.10:5060");
    assert_eq!(request.headers.get("P-Asserted-Identity"), Some("<sip:+4915112345678@192.0.2.10:5060>"));
    assert_eq!(request.headers.max_forwards(), Some(70));
}

#[test]
fn numbers_go_without_a_plus_by_setting() {
    let (_, request) = sent(with(&about("Ann"), |headers| headers.plus = false, None));
    assert_eq!(request.headers.from().and_then(|from| from.uri.user), Some("4915112345678".to_owned()));
    let identity = request.headers.get("P-Asserted-Identity");
    assert_eq!(identity, Some("<sip:4915112345678@192.0.2.10:5060>"));
}

#[test]
fn a_user_without_a_number_is_its_id_and_vouched_for_by_nobody() {
    let mut about = about("Ann");
    about.user.phone = None;
    let (_, request) = sent(with(&about, |_| {}, None));
    let user = request.headers.from().and_then(|from| from.uri.user);
    assert_eq!(user.as_deref(), Some("DE.13491208655302741918"));
    assert_eq!(request.headers.get("P-Asserted-Identity"), None);
    about.user.bsuid = None;
    let (_, request) = sent(with(&about, |_| {}, None));
    let from = request.headers.from().expect("From").uri;
    assert_eq!(from.user.as_deref(), Some("DE.ENT.11815799212886844830"), "any id is better than none");
    about.user.parent_bsuid = None;
    let (_, request) = sent(with(&about, |_| {}, None));
    assert_eq!(request.headers.from().expect("From").uri.user.as_deref(), Some("anonymous"));
}

#[test]
fn whatsapps_own_headers_are_spelled_as_its_documents_spell_them() {
    let (_, request) = sent(with(&about("Ann"), |_| {}, None));
    for (name, value) in [
        ("x-wa-meta-phone-number-id", "106540352242922"),
        ("x-wa-meta-user-id", "DE.13491208655302741918"),
        ("x-wa-meta-username", "ann"),
        ("x-wa-meta-user-name", "ann"),
        ("x-wa-meta-cta-payload", "order 7"),
    ] {
        assert_eq!(request.headers.get(name), Some(value), "{name}");
    }
    let invite = with(&about("Ann"), |headers| headers.meta = MetaHeaders::One, None);
    assert!(invite.headers.iter().all(|(name, _)| name != "x-wa-meta-user-name"));
    let invite = with(&about("Ann"), |headers| headers.meta = MetaHeaders::Off, None);
    assert!(invite.headers.iter().all(|(name, _)| !name.starts_with("x-wa")));
}

#[test]
fn a_display_name_injects_nothing() {
    for name in [
        "Ann \"x\"\r\nVia: SIP/2.0/UDP evil",
        "\"><sip:evil@example.com>;tag=1",
        "a\\",
        "\u{0}\u{7f}\u{85}x\n\nv=0",
        ";tag=evil",
    ] {
        let (_, request) = sent(with(&about(name), |_| {}, None));
        let from = request.headers.from().expect("From");
        assert_eq!(from.uri.host, "192.0.2.10", "{name:?}");
        assert_ne!(from.tag(), Some("evil"), "{name:?}");
        assert_eq!(request.headers.get_all("Via").count(), 1, "{name:?}");
        assert_eq!(request.body.len(), SDP.len(), "{name:?}");
    }
    let mut about = about("Ann");
    about.user.phone = None;
    about.user.bsuid = Some("x@evil>\r\nVia: y".to_owned());
    about.user.username = Some("x\r\nContact: <sip:evil>".to_owned());
    let (_, request) = sent(with(&about, |_| {}, None));
    assert_eq!(request.headers.from().map(|from| from.uri.host).as_deref(), Some("192.0.2.10"));
    assert_eq!(request.headers.get_all("Contact").count(), 1);
}

#[test]
fn an_invite_stays_in_one_datagram() {
    let mut about = about(&"Ä".repeat(200));
    about.cta_payload = Some("c".repeat(250));
    about.deeplink_payload = Some("d".repeat(240));
    about.user.username = Some("u".repeat(100));
    let add = |headers: &mut InviteHeaders| headers.add = vec![field("X-Tenant", "t".repeat(200))];
    let (size, request) = sent(with(&about, add, None));
    assert!(size <= LARGEST, "{size} bytes");
    assert_eq!(request.headers.get("x-wa-meta-cta-payload"), None, "the longest go first");
    assert!(request.headers.get("x-wa-meta-phone-number-id").is_some(), "the short ones stay");
}

#[test]
fn an_ordinary_invite_leaves_nothing_out() {
    let (size, request) = sent(with(&about("Ann Example"), |_| {}, None));
    let names = request.headers.iter().filter(|(name, _)| name.starts_with("x-wa")).count();
    assert_eq!(names, 8, "{size} bytes");
}

#[test]
fn the_invite_of_a_transfer_says_by_whom_and_in_whose_place() {
    let refer = Request {
        method: sip_core::Method::Refer,
        uri: "sip:bridge@192.0.2.1".parse().expect("a URI"),
        headers: sip_core::Headers::from_iter([
            ("Refer-To", "<sip:201@10.0.0.77?Replaces=1%3Bto-tag%3D2%3Bfrom-tag%3D3>"),
            ("Referred-By", "<sip:100@10.0.0.5>"),
            ("Max-Forwards", "20"),
            ("X-Account", "7"),
        ]),
        body: Vec::new().into(),
    };
    let refer = Refer::read(&refer, &["X-Account".to_owned()]).expect("a transfer");
    let invite = with(&about("Ann"), |_| {}, Some(&refer));
    assert_eq!(invite.max_forwards, 19);
    for wanted in [
        field("Replaces", "1;to-tag=2;from-tag=3"),
        field("Referred-By", "<sip:100@10.0.0.5>"),
        field("X-Account", "7"),
    ] {
        assert!(invite.headers.contains(&wanted), "{wanted:?}");
    }
}
