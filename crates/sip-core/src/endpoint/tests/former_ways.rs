//! The ways of a former life in this one: listeners, trunks and connections may have changed.

use std::net::IpAddr;

use super::bench::*;
use super::former::{AGAIN, recover};
use super::uac::{LEG, outgoing};
use crate::endpoint::*;
use crate::transport::{ListenerId, TrunkId};

fn listeners(all: &[(Transport, &str)]) -> Vec<Listener> {
    all.iter().map(|(transport, local)| Listener::new(*transport, local.parse().unwrap())).collect()
}

/// A life with these listeners and trunks.
fn life(seed: u8, all: &[(Transport, &str)], trunks: &[&str]) -> Bench {
    let mut bench = Bench::at(LOCAL, seed);
    let profile = |name: &&str| TrunkProfile { name: (*name).into(), ..TrunkProfile::default() };
    bench.endpoint = Endpoint::new(EndpointConfig {
        listeners: listeners(all),
        trunks: trunks.iter().map(profile).collect(),
        ..bench.endpoint.config.clone()
    });
    bench
}

fn of_address(bench: &mut Bench, trunk_of: fn(IpAddr) -> Option<TrunkId>) {
    bench.endpoint.set_trunk_of(TrunkOf(Arc::new(trunk_of)));
}

/// Sends an INVITE by this way; gives the record of it.
fn invited(bench: &mut Bench, flow: Flow) -> LegRecord {
    bench.command(Command::Invite { leg: LEG, invite: Box::new(OutgoingInvite { flow, ..*outgoing() }) });
    bench.record(LEG)
}

/// The way of the last message that went out.
fn recovered(bench: &mut Bench, record: LegRecord) -> Vec<Flow> {
    let headers = Vec::new();
    bench.endpoint.handle(bench.now, Input::Command(Command::Recover { leg: AGAIN, record, headers }));
    let mut flows = Vec::new();
    while let Some(output) = bench.endpoint.poll() {
        match output {
            Output::Send { flow, .. } => flows.push(flow),
            Output::Notice(Notice::Record { leg, record }) => bench.records.push((leg, record)),
            Output::Notice(other) => panic!("{other:?}"),
        }
    }
    flows
}

const UDP4: (Transport, &str) = (Transport::Udp, LOCAL);
const UDP6: (Transport, &str) = (Transport::Udp, "[2001:db8::2]:5060");
const TCP4: (Transport, &str) = (Transport::Tcp, LOCAL);

#[test]
fn the_listener_is_found_by_transport_and_ip_version() {
    let mut bench = life(7, &[UDP4, TCP4, UDP6], &[""]);
    let peer = "[2001:db8::1]:5060".parse().unwrap();
    let record = invited(&mut bench, Flow { listener: ListenerId(2), ..Flow::udp(peer) });
    let mut next = life(8, &[TCP4, UDP6, UDP4], &[""]);
    let flows = recovered(&mut next, record);
    assert_eq!(flows, [Flow { listener: ListenerId(1), ..Flow::udp(peer) }]);
    next.assert_forgotten();
}

#[test]
fn without_a_listener_for_it_there_is_no_way() {
    let mut bench = life(7, &[UDP6], &[""]);
    let record = invited(&mut bench, Flow::udp("[2001:db8::1]:5060".parse().unwrap()));
    let mut next = life(8, &[UDP4], &[""]);
    assert_eq!(recovered(&mut next, record), []);
    assert_eq!(next.take_records(AGAIN), ["-"]);
    next.assert_forgotten();
}

#[test]
fn the_trunk_is_that_of_the_address() {
    let mut bench = life(7, &[UDP4], &["office", "carrier"]);
    let flow = Flow { trunk: TrunkId(1), ..Flow::udp(PEER.parse().unwrap()) };
    let record = invited(&mut bench, flow);
    let mut next = life(8, &[UDP4], &["new", "office", "carrier"]);
    of_address(&mut next, |ip| (ip.to_string() == "192.0.2.1").then_some(TrunkId(2)));
    assert_eq!(recovered(&mut next, record)[0].trunk, TrunkId(2));
}

#[test]
fn else_the_trunk_is_that_of_the_name() {
    let mut bench = life(7, &[UDP4], &["office", "carrier"]);
    let flow = Flow { trunk: TrunkId(1), ..Flow::udp(PEER.parse().unwrap()) };
    let record = invited(&mut bench, flow);
    let mut next = life(8, &[UDP4], &["new", "office", "carrier"]);
    of_address(&mut next, |_| None);
    assert_eq!(recovered(&mut next, record.clone())[0].trunk, TrunkId(2), "its address is not known yet");
    let mut other = life(8, &[UDP4], &["new"]);
    of_address(&mut other, |_| None);
    assert_eq!(recovered(&mut other, record), [], "there is no such trunk any more");
    assert_eq!(other.take_records(AGAIN), ["-"]);
    other.assert_forgotten();
}

#[test]
fn over_tcp_the_bye_goes_by_a_new_connection_to_the_peer() {
    let mut bench = life(7, &[UDP4, TCP4], &[""]);
    let peer = "192.0.2.1:40000".parse().unwrap();
    let flow = Flow { transport: Transport::Tcp, listener: ListenerId(1), ..Flow::udp(peer) };
    let tcp = |text: String| crate::testing::wire(&text.replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
    bench.input(Input::Datagram { flow, bytes: &tcp(request("INVITE", "i1", "")) });
    bench.respond(LegId(1), 200);
    let tag = to_tag(&bench.last().response());
    bench.input(Input::Datagram { flow, bytes: &tcp(within("ACK", "a1", 10, &tag, "")) });
    let record = bench.record(LegId(1));
    let mut next = life(8, &[TCP4, UDP4], &[""]);
    let flows = recovered(&mut next, record.clone());
    let expected = Flow { listener: ListenerId(0), ..flow };
    assert_eq!(flows, [expected], "whose connection is gone: sending opens one, to the Contact first");
    next.advance(20_000);
    assert_eq!(next.take_sent(), [""; 0], "TCP repeats what it loses");
    let mut unreachable = life(8, &[TCP4], &[""]);
    recover(&mut unreachable, record);
    let origin = unreachable.last().origin;
    unreachable.input(Input::TransportError { origin });
    assert_eq!(unreachable.take_records(AGAIN), ["dialog", "-"], "there is nobody to tell");
    unreachable.assert_forgotten();
}

#[test]
fn a_large_invite_that_went_by_tcp_is_cancelled_there_and_its_answer_hung_up_by_udp() {
    let profile = TrunkProfile { tcp_for_large: true, ..TrunkProfile::default() };
    let mut bench = life(7, &[UDP4, TCP4], &[""]);
    let configure =
        || Command::Configure { trunks: vec![(TrunkId(0), profile.clone())], user_agent: String::new() };
    bench.command(configure());
    let mut invite = outgoing();
    invite.headers.push(("Subject".into(), "x".repeat(1500)));
    bench.command(Command::Invite { leg: LEG, invite });
    let sent = bench.last().request();
    let mut next = life(8, &[UDP4, TCP4], &[""]);
    next.command(configure());
    let flows = recovered(&mut next, bench.record(LEG));
    assert_eq!(flows.len(), 1, "the INVITE itself is not sent again");
    assert_eq!((flows[0].transport, flows[0].listener), (Transport::Tcp, ListenerId(1)));
    let flow = flows[0];
    let ok = super::uac::reply(&sent, 200, "t1", "").replace("192.0.2.1:5080", "pbx.example");
    next.input(Input::Datagram { flow, bytes: &crate::testing::wire(&ok) });
    assert_eq!(next.take_sent(), ["ACK", "BYE"]);
    next.assert_forgotten();
}
