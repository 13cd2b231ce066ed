//! RFC 3261 10.3 rule by rule, and what phones behind NAT need.

use super::*;
use crate::testing::{ms, request, start, wire};

const PHONE: &str = "192.0.2.1:5060";

struct Bench {
    bindings: Bindings,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let limits = Registrar {
            max_contacts: 3,
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(600),
        };
        Self { bindings: Bindings::new(limits), now: start() }
    }

    fn register_as(&mut self, owner: Option<&str>, from: &str, cseq: u32, more: &str) -> Outcome {
        let register = request(&wire(&format!(
            "REGISTER sip:192.0.2.2 SIP/2.0
             Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1
             From: <sip:100@192.0.2.2>;tag=1
             To: <sip:100@192.0.2.2>
             Call-ID: reg
             CSeq: {cseq} REGISTER
             {more}"
        )));
        self.bindings.register(self.now, Flow::udp(from.parse().unwrap()), &register, owner)
    }

    fn register(&mut self, cseq: u32, more: &str) -> Outcome {
        self.register_as(None, PHONE, cseq, more)
    }

    /// The contacts, each with its flow's address.
    fn list(&self) -> Vec<String> {
        let bindings = self.bindings.list();
        bindings.iter().map(|binding| format!("{} {}", binding.contact, binding.flow.peer)).collect()
    }
}

fn contacts(outcome: &Outcome) -> Vec<&str> {
    assert_eq!(outcome.status, 200, "{outcome:?}");
    let contacts = outcome.headers.iter().filter(|(name, _)| *name == "Contact");
    contacts.map(|(_, value)| value.as_str()).collect()
}

#[test]
fn a_binding_remembers_the_flow_it_came_by() {
    let mut bench = Bench::new();
    let granted = bench.register_as(None, "198.51.100.7:40000", 1, "Contact: <sip:100@10.0.0.1>;expires=300");
    assert_eq!(contacts(&granted), ["<sip:100@10.0.0.1>;expires=300"]);
    assert!(granted.changed);
    assert_eq!(bench.list(), ["sip:100@10.0.0.1 198.51.100.7:40000"]);
    assert_eq!(bench.bindings.list()[0].user, "100");
    let refreshed =
        bench.register_as(None, "198.51.100.7:40001", 2, "Contact: <sip:100@10.0.0.1>;expires=300");
    assert!(refreshed.changed, "the NAT has another port for it now");
    assert_eq!(bench.list(), ["sip:100@10.0.0.1 198.51.100.7:40001"]);
}

#[test]
fn the_expiry_is_the_contacts_or_the_requests_or_ours() {
    let mut bench = Bench::new();
    for (cseq, more, granted) in [
        (1, "Contact: <sip:a@h>;expires=120\nExpires: 200", "120"),
        (2, "Contact: <sip:a@h>\nExpires: 200", "200"),
        (3, "Contact: sip:a@h;expires=130", "130"),
        (4, "Contact: <sip:a@h>", "600"),
        (5, "Contact: <sip:a@h>;expires=99999", "600"),
        (6, "Contact: <sip:a@h>;expires=99999999999", "600"),
    ] {
        let outcome = bench.register(cseq, more);
        assert_eq!(contacts(&outcome), [format!("<sip:a@h>;expires={granted}")], "{more}");
    }
}

#[test]
fn too_brief_an_interval_is_423() {
    let mut bench = Bench::new();
    let outcome = bench.register(1, "Contact: <sip:a@h>;expires=59");
    assert_eq!((outcome.status, outcome.headers), (423, vec![("Min-Expires", "60".to_owned())]));
    assert!(!outcome.changed && bench.list().is_empty());
}

#[test]
fn a_binding_expires() {
    let mut bench = Bench::new();
    let began = bench.now;
    bench.register(1, "Contact: <sip:a@h>;expires=60, <sip:b@h>;expires=100");
    assert_eq!(bench.bindings.deadline(), Some(began + ms(60_000)));
    bench.now += ms(30_500);
    assert_eq!(contacts(&bench.register(2, "")), ["<sip:a@h>;expires=30", "<sip:b@h>;expires=70"]);
    assert!(!bench.bindings.expire(began + ms(59_999)));
    assert!(bench.bindings.expire(began + ms(60_000)));
    assert_eq!(bench.list().len(), 1);
    assert!(bench.bindings.expire(began + ms(100_000)));
    assert_eq!(bench.bindings.deadline(), None);
}

#[test]
fn expiry_0_removes_one_and_the_star_removes_all() {
    let mut bench = Bench::new();
    bench.register(1, "Contact: <sip:a@h>, <sip:b@h>, <sip:c@h>");
    let gone = bench.register(2, "Contact: <sip:B@h>;expires=0, <sip:b@H:5060>;expires=0");
    assert_eq!(contacts(&gone).len(), 2, "hosts have no case, users do");
    assert_eq!(bench.register(3, "Contact: *").status, 400);
    assert_eq!(bench.register(3, "Contact: *\nExpires: 10").status, 400);
    assert_eq!(bench.register(3, "Contact: *, <sip:a@h>\nExpires: 0").status, 400);
    assert_eq!(bench.list().len(), 2);
    let all = bench.register(3, "Contact: *\nExpires: 0");
    assert_eq!((contacts(&all).len(), all.changed), (0, true));
}

#[test]
fn a_register_that_comes_late_changes_nothing() {
    let mut bench = Bench::new();
    bench.register(7, "Contact: <sip:a@h>");
    for cseq in [6, 7] {
        let late = bench.register(cseq, "Contact: <sip:b@h>, <sip:a@h>;expires=0");
        assert_eq!((late.status, late.changed), (500, false));
        assert_eq!(bench.register(cseq, "Contact: *\nExpires: 0").status, 500);
    }
    assert_eq!(bench.list().len(), 1);
    let other = bench.register(1, "Contact: <sip:b@h>");
    assert_eq!(contacts(&other).len(), 2, "another contact has its own count");
}

#[test]
fn a_register_without_contact_asks() {
    let mut bench = Bench::new();
    bench.register(1, "Contact: <sip:a@h>");
    let asked = bench.register(2, "");
    assert_eq!((contacts(&asked), asked.changed), (vec!["<sip:a@h>;expires=600"], false));
}

#[test]
fn too_many_contacts_are_403() {
    let mut bench = Bench::new();
    bench.register(1, "Contact: <sip:a@h>, <sip:b@h>");
    let outcome = bench.register(2, "Contact: <sip:c@h>, <sip:d@h>");
    assert_eq!((outcome.status, outcome.changed), (403, false));
    assert_eq!(bench.list().len(), 2, "all of it or nothing");
    assert_eq!(contacts(&bench.register(3, "Contact: <sip:a@h>;expires=0, <sip:c@h>, <sip:d@h>")).len(), 3);
}

#[test]
fn the_order_is_by_q_and_then_the_latest() {
    let mut bench = Bench::new();
    bench.register(1, "Contact: <sip:low@h>;q=0.1, <sip:one@h>, <sip:two@h>;q=1.0");
    let users = |bench: &Bench| -> Vec<_> {
        bench.bindings.list().into_iter().filter_map(|binding| binding.contact.user).collect()
    };
    assert_eq!(users(&bench), ["two", "one", "low"]);
    bench.register(2, "Contact: <sip:one@h>");
    assert_eq!(users(&bench), ["one", "two", "low"]);
    for (q, value) in
        [("1", Some(1000)), ("0.5", Some(500)), (".125", None), ("0.1234", None), ("1.1", None), ("x", None)]
    {
        assert_eq!(thousandths(q), value, "{q}");
    }
}

#[test]
fn the_same_instance_replaces_its_binding() {
    let mut bench = Bench::new();
    let contact = |port: u16, instance: u8| {
        format!(
            "Supported: path, outbound
             Contact: <sip:100@10.0.0.1:{port}>;+sip.instance=\"<urn:uuid:{instance}>\";reg-id=1"
        )
    };
    let granted = bench.register_as(None, "198.51.100.7:1", 1, &contact(5060, 1));
    assert!(granted.headers.contains(&("Require", "outbound".to_owned())));
    bench.register_as(None, "198.51.100.7:2", 2, &contact(5061, 1));
    assert_eq!(bench.list(), ["sip:100@10.0.0.1:5061 198.51.100.7:2"]);
    // Two phones behind two NATs have the same private address, and one phone may have two flows.
    bench.register_as(None, "203.0.113.1:1", 3, &contact(5061, 2));
    bench.register_as(None, "198.51.100.7:3", 4, &contact(5061, 1).replace("reg-id=1", "reg-id=2"));
    assert_eq!(bench.list().len(), 3);
}

#[test]
fn nobody_takes_the_address_of_another_user() {
    let mut bench = Bench::new();
    bench.register_as(Some("ann"), PHONE, 1, "Contact: <sip:a@h>");
    for more in ["Contact: <sip:evil@h>", "Contact: *\nExpires: 0", ""] {
        let outcome = bench.register_as(Some("bob"), PHONE, 2, more);
        assert_eq!((outcome.status, outcome.changed), (403, false), "{more}");
    }
    assert_eq!(bench.register_as(Some("ann"), PHONE, 2, "Contact: *\nExpires: 0").status, 200);
}

#[test]
fn what_is_no_contact_is_400() {
    let mut bench = Bench::new();
    let long = format!("Contact: <sip:{}@h>", "a".repeat(MAX_CONTACT));
    for more in ["Contact: <tel:+4930>", "Contact: <mailto:a@b>", "Contact: sip:", &long] {
        assert_eq!(bench.register(1, more).status, 400, "{more}");
    }
}
