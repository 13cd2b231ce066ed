//! A handful of the messages of RFC 4475 and RFC 5118, byte for byte, and what the endpoint answers.

use sip_core::{
    Endpoint, EndpointConfig, Flow, Input, Listener, Message, Output, Timers, Transport, message::parse,
};

macro_rules! torture {
    ($name:literal) => {
        ($name, &include_bytes!(concat!("torture/", $name, ".dat"))[..])
    };
}

/// The status of the one response; `None` for silence.
fn answer(bytes: &[u8]) -> Option<u16> {
    let local = "192.0.2.2:5060".parse().unwrap();
    let config = EndpointConfig {
        listeners: vec![Listener::new(Transport::Udp, local)],
        trunks: Vec::new(),
        user_agent: String::new(),
        seed: [0; 32],
        timers: Timers::default(),
    };
    let mut endpoint = Endpoint::new(config);
    let flow = Flow::udp("192.0.2.99:40000".parse().unwrap());
    endpoint.handle(start(), Input::Datagram { flow, bytes });
    let outputs: Vec<_> = std::iter::from_fn(|| endpoint.poll()).collect();
    match &outputs[..] {
        [] => None,
        [Output::Send { flow: to, bytes, .. }] => {
            assert_eq!(*to, flow);
            match parse::datagram(bytes) {
                Ok(Message::Response(response)) => Some(response.status),
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{other:?}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "virtual time must begin somewhere")]
fn start() -> std::time::Instant {
    std::time::Instant::now()
}

#[test]
fn each_gets_its_answer() {
    for ((name, bytes), status) in [
        (torture!("wsinv"), Some(481)),
        (torture!("intmeth"), Some(501)),
        (torture!("esc02"), Some(501)),
        (torture!("lwsdisp"), Some(200)),
        (torture!("dblreq"), Some(405)),
        (torture!("semiuri"), Some(200)),
        (torture!("mpart01"), Some(405)),
        (torture!("bext01"), Some(420)),
        (torture!("clerr"), Some(400)),
        (torture!("multi01"), Some(400)),
        (torture!("unreason"), None),
        (torture!("ipv6-good"), Some(405)),
        (torture!("port-ambiguous"), Some(405)),
        (torture!("ipv6-bad"), Some(400)),
    ] {
        assert_eq!(answer(bytes), status, "{name}");
    }
}

#[test]
fn a_binary_body_is_kept() {
    let (_, bytes) = torture!("mpart01");
    let Ok(Message::Request(request)) = parse::datagram(bytes) else { panic!() };
    assert!(bytes.ends_with(&request.body) && request.body.contains(&0));
    let length: usize = request.headers.get("Content-Length").unwrap().parse().unwrap();
    assert_eq!(request.body.len(), length);
}
