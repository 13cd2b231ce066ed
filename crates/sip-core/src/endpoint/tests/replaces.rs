//! INVITE with Replaces (RFC 3891).

use super::bench::*;
use super::uac::{LEG, outgoing, reply};
use crate::endpoint::*;
use crate::testing::wire;

fn transferring() -> TrunkProfile {
    TrunkProfile { transfer: true, ..TrunkProfile::default() }
}

/// A bench with two trunks that transfer and a third that does not.
fn bench() -> Bench {
    let mut bench = Bench::with(transferring());
    bench.endpoint.config.trunks = vec![transferring(), transferring(), TrunkProfile::default()];
    bench
}

fn replacing(value: &str) -> String {
    request("INVITE", "r1", value).replacen("call-1", "call-2", 1)
}

/// What the INVITE gets and which leg it names.
fn outcome(bench: &mut Bench, more: &str, trunk: u16) -> (u16, Option<LegId>) {
    bench.sent.clear();
    bench.events.clear();
    let flow = Flow { trunk: TrunkId(trunk), ..Flow::udp(PEER.parse().unwrap()) };
    bench.input(Input::Datagram { flow, bytes: &wire(&replacing(more)) });
    let replaces = match bench.events.first().map(|event| &event.event) {
        Some(Event::Invite { replaces, .. }) => *replaces,
        None => None,
        other => panic!("{other:?}"),
    };
    let status = bench.last().response().status;
    assert_eq!(bench.events.is_empty(), status != 100, "a refusal is never a call");
    (status, replaces)
}

fn of_confirmed(tag: &str) -> String {
    format!("Replaces: call-1;to-tag={tag};from-tag=pbx")
}

#[test]
fn a_confirmed_dialog_of_the_trunk_is_replaced() {
    for more in ["", "\nRequire: replaces"] {
        let mut bench = bench();
        let (leg, tag) = confirmed(&mut bench);
        let more = of_confirmed(&tag) + more;
        assert_eq!(outcome(&mut bench, &more, 0), (100, Some(leg)));
        let new = bench.events[0].leg;
        bench.respond(new, 200);
        let tag = to_tag(&bench.last().response());
        bench.receive(&within("ACK", "a9", 10, &tag, "").replace("call-1", "call-2"));
        bench.bye(leg);
        bench.bye(new);
        bench.assert_forgotten();
    }
}

#[test]
fn what_names_no_dialog_of_the_trunk_is_481() {
    let mut bench = bench();
    let (_, tag) = confirmed(&mut bench);
    let good = of_confirmed(&tag);
    for (more, trunk) in [
        (good.replace("call-1", "call-9"), 0),
        (good.replace("from-tag=pbx", "from-tag=x"), 0),
        (good.replace(&tag, "x"), 0),
        ("Replaces: call-1;to-tag=pbx;from-tag=".to_owned() + &tag, 0),
        (good.clone(), 1),
        (good.clone(), 2),
    ] {
        assert_eq!(outcome(&mut bench, &more, trunk), (481, None), "{more} {trunk}");
    }
}

#[test]
fn exactly_one_readable_header_field() {
    let mut bench = bench();
    let (_, tag) = confirmed(&mut bench);
    let good = of_confirmed(&tag);
    for more in [format!("{good}\n{good}"), "Replaces: call-1".to_owned(), "Replaces:".to_owned()] {
        assert_eq!(outcome(&mut bench, &more, 0), (400, None), "{more}");
    }
    bench.receive(&request("OPTIONS", "o1", &good));
    assert_eq!(bench.last().name(), "400 OPTIONS", "Replaces is for INVITE alone");
}

#[test]
fn a_dialog_that_ends_is_603_and_one_that_has_ended_481() {
    let mut bench = bench();
    let (leg, tag) = confirmed(&mut bench);
    let more = of_confirmed(&tag);
    bench.bye(leg);
    assert_eq!(outcome(&mut bench, &more, 1), (481, None));
    assert_eq!(outcome(&mut bench, &more, 0), (603, None));
    bench.advance(40_000);
    assert_eq!(outcome(&mut bench, &more, 0), (481, None));
    bench.assert_forgotten();
}

#[test]
fn early_only_does_not_take_a_confirmed_dialog() {
    let mut bench = bench();
    let (_, tag) = confirmed(&mut bench);
    let more = of_confirmed(&tag) + ";early-only";
    assert_eq!(outcome(&mut bench, &more, 0), (486, None));
}

#[test]
fn an_early_dialog_is_replaced_only_where_we_began_it() {
    let mut bench = bench();
    bench.receive(&request("INVITE", "i1", ""));
    bench.respond(LegId(1), 180);
    let tag = to_tag(&bench.last().response());
    assert_eq!(outcome(&mut bench, &of_confirmed(&tag), 0), (481, None));

    bench.command(Command::Invite { leg: LEG, invite: outgoing() });
    let invite = bench.last().request();
    bench.receive(&reply(&invite, 180, "t1", ""));
    let tag = invite.headers.from().unwrap().tag().unwrap().to_owned();
    let more = format!("Replaces: out-1;to-tag={tag};from-tag=t1;early-only");
    assert_eq!(outcome(&mut bench, &more, 0), (100, Some(LEG)));
}

#[test]
fn the_tag_0_names_a_peer_without_a_tag() {
    let mut bench = bench();
    bench.receive(&request("INVITE", "i1", "").replace(";tag=pbx", ""));
    bench.respond(LegId(1), 200);
    let tag = to_tag(&bench.last().response());
    let more = format!("Replaces: call-1;to-tag={tag};from-tag=0");
    assert_eq!(outcome(&mut bench, &more, 0), (100, Some(LegId(1))));
}

#[test]
fn a_trunk_that_may_not_transfer_is_not_told_that_it_may() {
    let offered = |profile: TrunkProfile| {
        let mut bench = Bench::with(profile);
        bench.receive(&request("OPTIONS", "o1", ""));
        let ok = bench.last().response();
        ["Allow", "Supported"].map(|name| ok.headers.get(name).unwrap().to_owned())
    };
    let [allow, supported] = offered(transferring());
    assert!(allow.contains("REFER") && supported.contains("replaces"));
    let [allow, supported] = offered(TrunkProfile::default());
    assert!(!allow.contains("REFER") && !supported.contains("replaces"));
    let mut bench = Bench::new();
    bench.receive(&request("INVITE", "i1", "Require: replaces"));
    assert_eq!(bench.last().response().headers.get("Unsupported"), Some("replaces"));
}
