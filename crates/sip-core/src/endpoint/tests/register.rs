//! REGISTER where a trunk has a registrar.

use std::time::Duration;

use proptest::prelude::*;

use super::auth::{answered_as, demanding};
use super::bench::*;
use super::robust::{mutate, mutation};
use crate::endpoint::*;
use crate::profile::Registrar;
use crate::testing::wire;

const PHONE: &str = "198.51.100.7:40000";

pub(super) fn registrar() -> TrunkProfile {
    let limits = Registrar {
        max_contacts: 2,
        min_expires: Duration::from_secs(60),
        max_expires: Duration::from_secs(600),
    };
    TrunkProfile { registrar: Some(limits), ..TrunkProfile::default() }
}

fn register(branch: &str, cseq: u32, contact: &str) -> String {
    format!(
        "REGISTER sip:192.0.2.2 SIP/2.0
         Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK{branch};rport
         Max-Forwards: 70
         From: <sip:100@192.0.2.2>;tag=phone
         To: <sip:100@192.0.2.2>
         Call-ID: reg-1
         CSeq: {cseq} REGISTER
         {contact}"
    )
}

/// The bindings that the user was told of last.
fn told(bench: &mut Bench) -> Option<Vec<String>> {
    let last = bench.bindings.drain(..).next_back()?;
    Some(last.iter().map(|binding| format!("{} {}", binding.contact, binding.flow.peer)).collect())
}

#[test]
fn a_phone_behind_nat_registers_and_is_forgotten_in_time() {
    let mut bench = Bench::with(registrar());
    bench.receive_from(PHONE, &wire(&register("r1", 1, "Contact: <sip:100@10.0.0.1>;expires=60")));
    let ok = bench.last().response();
    assert_eq!((ok.status, bench.last().to.as_str()), (200, PHONE));
    assert_eq!(ok.headers.get("Contact"), Some("<sip:100@10.0.0.1>;expires=60"));
    assert!(to_tag(&ok).len() > 8);
    assert_eq!(told(&mut bench).unwrap(), [format!("sip:100@10.0.0.1 {PHONE}")]);
    bench.advance(59_999);
    assert_eq!(told(&mut bench), None);
    bench.advance(1);
    assert_eq!(told(&mut bench).unwrap(), [""; 0]);
    bench.assert_forgotten();
}

#[test]
fn a_retransmission_gets_the_same_200() {
    let mut bench = Bench::with(registrar());
    for _ in 0..2 {
        bench.receive(&register("r1", 1, "Contact: <sip:100@10.0.0.1>"));
    }
    assert_eq!(bench.sent[0].bytes, bench.sent[1].bytes);
    assert_eq!(bench.take_sent(), ["200 REGISTER", "200 REGISTER"]);
    bench.receive(&register("r2", 1, "Contact: <sip:100@10.0.0.1>"));
    assert_eq!(bench.take_sent(), ["500 REGISTER"], "the same number in another transaction is late");
}

#[test]
fn a_refresh_says_nothing_new_and_moves_the_expiry() {
    let mut bench = Bench::with(registrar());
    bench.receive(&register("r1", 1, "Contact: <sip:100@10.0.0.1>;expires=100"));
    told(&mut bench).unwrap();
    bench.advance(90_000);
    bench.receive(&register("r2", 2, "Contact: <sip:100@10.0.0.1>;expires=100"));
    assert_eq!(told(&mut bench), None);
    bench.advance(99_999);
    assert_eq!(told(&mut bench), None);
    bench.advance(1);
    assert_eq!(told(&mut bench).unwrap(), [""; 0]);
}

#[test]
fn removal_of_all_and_what_is_refused() {
    let mut bench = Bench::with(registrar());
    let mut cseq = 0;
    let mut status = |bench: &mut Bench, more: &str| {
        cseq += 1;
        bench.receive(&register(&format!("r{cseq}"), cseq, more));
        bench.last().response()
    };
    assert_eq!(status(&mut bench, "Contact: <sip:a@h>, <sip:b@h>").headers.get_all("Contact").count(), 2);
    assert_eq!(status(&mut bench, "Contact: <sip:c@h>").status, 403);
    let brief = status(&mut bench, "Contact: <sip:a@h>;expires=5");
    assert_eq!((brief.status, brief.headers.get("Min-Expires")), (423, Some("60")));
    let unknown = status(&mut bench, "Require: path, outbound");
    assert_eq!((unknown.status, unknown.headers.get("Unsupported")), (420, Some("path")));
    told(&mut bench).unwrap();
    let all = status(&mut bench, "Contact: *\nExpires: 0");
    assert_eq!((all.status, all.headers.get("Contact")), (200, None));
    assert_eq!(told(&mut bench).unwrap(), [""; 0]);
    bench.assert_forgotten();
}

#[test]
fn without_a_registrar_it_is_405() {
    let mut bench = Bench::new();
    bench.receive(&register("r1", 1, "Contact: <sip:a@h>"));
    assert_eq!(bench.take_sent(), ["405 REGISTER"]);
    assert_eq!(told(&mut bench), None);
}

#[test]
fn digest_comes_first_and_says_whose_the_binding_is() {
    let mut bench = Bench::with(TrunkProfile { registrar: registrar().registrar, ..demanding() });
    let asked = register("r1", 1, "Contact: <sip:100@10.0.0.1>");
    bench.receive(&asked);
    let unauthorized = bench.last().response();
    assert_eq!((unauthorized.status, told(&mut bench)), (401, None));
    bench.receive(&answered_as("pbx", "wrong", &asked.replace("r1", "r2"), &unauthorized));
    assert_eq!((bench.last().response().status, told(&mut bench)), (401, None));
    let answer = answered_as("pbx", "right", &asked, &unauthorized);
    for _ in 0..2 {
        bench.receive(&answer);
        assert_eq!(bench.last().response().status, 200, "a retransmission is no replay");
    }
    assert_eq!(told(&mut bench).unwrap().len(), 1);
    bench.receive(&answer.replace("z9hG4bK", "z9hG4bKother"));
    assert_eq!(bench.last().response().status, 401);
}

#[test]
fn each_trunk_has_its_own_bindings() {
    let mut bench = Bench::with(registrar());
    let other = Flow { trunk: TrunkId(1), ..Flow::udp(PHONE.parse().unwrap()) };
    let bytes = wire(&register("r1", 1, "Contact: <sip:100@10.0.0.1>"));
    bench.input(Input::Datagram { flow: other, bytes: &bytes });
    assert_eq!(bench.take_sent(), ["405 REGISTER"], "that one is not configured");
    bench.receive(&register("r2", 1, "Contact: <sip:100@10.0.0.1>"));
    assert_eq!(bench.take_sent(), ["200 REGISTER"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn broken_registers_never_panic_and_never_exceed_the_limit(
        all in prop::collection::vec(prop::collection::vec(mutation(), 0..6), 1..6),
    ) {
        let mut bench = Bench::with(registrar());
        for (cseq, mutations) in (1..).zip(&all) {
            let contact = "Contact: \"A, B\" <sip:100@10.0.0.1;ob>;+sip.instance=\"<urn:uuid:1>\";reg-id=1;q=0.5;expires=60, <sip:b@h>";
            bench.receive_from(PEER, &mutate(wire(&register(&format!("r{cseq}"), cseq, contact)), mutations));
        }
        prop_assert!(bench.bindings.iter().all(|bindings| bindings.len() <= 2));
        bench.advance(600_000);
        prop_assert!(bench.bindings.last().is_none_or(Vec::is_empty), "all have expired");
        bench.assert_forgotten();
    }
}
