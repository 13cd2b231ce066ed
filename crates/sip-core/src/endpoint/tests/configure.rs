//! Trunks that change while the endpoint runs.

use std::time::Duration;

use super::auth::{answered_as, demanding};
use super::bench::*;
use super::register::registrar;
use super::uac::{outgoing, reply};
use crate::auth::{Credentials, Realm, Secret};
use crate::endpoint::*;
use crate::profile::Registrar;
use crate::testing::wire;

const HERE: TrunkId = TrunkId(0);

fn configure(bench: &mut Bench, trunks: Vec<(TrunkId, TrunkProfile)>) {
    bench.command(Command::Configure { trunks, user_agent: "renamed".into() });
}

/// The answer to an INVITE, which is then cancelled for good.
fn invited(bench: &mut Bench, branch: &str) -> u16 {
    bench.receive(&request("INVITE", branch, "").replace("call-1", branch));
    bench.last().response().status
}

#[test]
fn a_trunk_that_is_added_has_its_manners_at_once_and_a_removed_one_the_default() {
    let mut bench = Bench::new();
    assert_eq!(invited(&mut bench, "open"), 100);
    configure(&mut bench, vec![(HERE, demanding())]);
    assert_eq!(invited(&mut bench, "closed"), 401);
    configure(&mut bench, vec![(TrunkId(1), demanding())]);
    assert_eq!(invited(&mut bench, "gone"), 100, "who may call at all is said elsewhere");
}

#[test]
fn the_call_of_a_removed_trunk_goes_on_and_ends_well() {
    let mut bench = Bench::with(demanding());
    let leg = LegId(2);
    bench.command(Command::Invite { leg, invite: outgoing() });
    let invite = bench.last().request();
    bench.receive(&reply(&invite, 200, "t1", ""));
    assert_eq!(
        (bench.take_sent(), bench.take_events()),
        (vec!["INVITE".into(), "ACK".into()], vec!["answered"])
    );
    configure(&mut bench, Vec::new());
    bench.bye(leg);
    let bye = bench.last().request();
    assert_eq!(bye.headers.get("User-Agent"), Some("renamed"));
    bench.receive(&reply(&bye, 200, "t1", ""));
    assert_eq!((bench.take_sent(), bench.take_events()), (vec!["BYE".into()], vec!["ended"]));
    bench.assert_forgotten();
}

#[test]
fn a_nonce_outlives_a_change_of_other_manners_and_not_one_of_the_password() {
    let mut bench = Bench::with(demanding());
    let asked = request("INVITE", "i1", "");
    bench.receive(&asked);
    let unauthorized = bench.last().response();
    configure(&mut bench, vec![(HERE, TrunkProfile { transfer: true, ..demanding() })]);
    bench.receive(&answered_as("pbx", "right", &asked, &unauthorized));
    assert_eq!(bench.last().response().status, 100);

    let other = Credentials { user: "pbx".into(), password: Secret::new("changed") };
    let realm = Realm::new("bridge", vec![other]);
    configure(&mut bench, vec![(HERE, TrunkProfile { inbound: Some(realm), ..TrunkProfile::default() })]);
    let asked = request("INVITE", "i2", "").replace("call-1", "call-2");
    for (password, status) in [("right", 401), ("changed", 100)] {
        bench.receive(&asked);
        let unauthorized = bench.last().response();
        bench.receive(&answered_as("pbx", password, &asked, &unauthorized));
        assert_eq!(bench.last().response().status, status, "{password}");
    }
}

#[test]
fn bindings_outlive_a_change_and_end_with_their_registrar() {
    let mut bench = Bench::with(registrar());
    let register = "REGISTER sip:192.0.2.2 SIP/2.0
         Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKr1;rport
         Max-Forwards: 70
         From: <sip:100@192.0.2.2>;tag=phone
         To: <sip:100@192.0.2.2>
         Call-ID: reg-1
         CSeq: 1 REGISTER
         Contact: <sip:100@10.0.0.1>;expires=60";
    bench.receive_from(PEER, &wire(register));
    assert_eq!(bench.bindings.drain(..).map(|list| list.len()).collect::<Vec<_>>(), [1]);
    let mut longer = registrar();
    longer.registrar = longer.registrar.map(|one| Registrar { max_expires: Duration::from_secs(900), ..one });
    configure(&mut bench, vec![(HERE, longer)]);
    assert_eq!(bench.bindings, [] as [Vec<_>; 0], "nobody has gone");
    configure(&mut bench, vec![(HERE, TrunkProfile::default())]);
    assert_eq!(bench.bindings.drain(..).map(|list| list.len()).collect::<Vec<_>>(), [0]);
    bench.assert_forgotten();
}
