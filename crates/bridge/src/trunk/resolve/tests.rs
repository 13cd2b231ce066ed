//! Against a name server of our own, on loopback.

use std::sync::Arc;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, Record};
use sip_core::Transport;
use tokio::net::UdpSocket;

use super::*;

/// What the server says, and what it was asked.
#[derive(Default)]
struct Zone {
    records: Vec<(String, u32, RData)>,
    fails: bool,
    is_silent: bool,
    asked: Vec<String>,
}

struct Bench {
    zone: Arc<Mutex<Zone>>,
    resolver: Resolver,
    start: Instant,
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).expect(text)
}

fn a(last: u8) -> RData {
    RData::A(A::new(10, 0, 0, last))
}

fn srv_record(priority: u16, port: u16, host: &str) -> RData {
    RData::SRV(SRV::new(priority, 0, port, name(host)))
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "the server of a test, and some instant to count from")]
    async fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let server = socket.local_addr().expect("its address");
        let zone = Arc::new(Mutex::new(Zone::default()));
        tokio::spawn(serve(socket, Arc::clone(&zone)));
        let resolver = Resolver::with_server(server).expect("a resolver");
        Self { zone, resolver, start: Instant::now() }
    }

    fn add(&self, owner: &str, ttl: u32, data: RData) {
        self.zone.lock().expect("the zone").records.push((owner.to_owned(), ttl, data));
    }

    fn clear(&self, fails: bool) {
        let mut zone = self.zone.lock().expect("the zone");
        zone.records.clear();
        zone.fails = fails;
    }

    fn silence(&self) {
        self.zone.lock().expect("the zone").is_silent = true;
    }

    /// What the server was asked since it was last looked at.
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut self.zone.lock().expect("the zone").asked);
        asked.sort();
        asked
    }

    async fn find(&self, target: &str, after: u64) -> Vec<String> {
        let mut means = Means::default();
        for transport in [Transport::Udp, Transport::Tcp] {
            means.add(transport, [0, 0, 0, 0].into());
        }
        let now = self.start + Duration::from_secs(after);
        let target = target.parse().expect("a target");
        let found = self.resolver.destinations(now, &target, &means, &mut |_| 0).await;
        found.iter().map(ToString::to_string).collect()
    }
}

async fn serve(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut buffer = [0; 1500];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let Ok(query) = Message::from_vec(&buffer[..length]) else { continue };
        if zone.lock().expect("the zone").is_silent {
            continue;
        }
        let reply = answer(&query, &mut zone.lock().expect("the zone"));
        let _ = socket.send_to(&reply.to_vec().expect("a message"), peer).await;
    }
}

fn answer(query: &Message, zone: &mut Zone) -> Message {
    let question = query.queries[0].clone();
    let (asked, kind) = (question.name().clone(), question.query_type());
    zone.asked.push(format!("{kind} {}", asked.to_ascii().to_lowercase()));
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.add_query(question);
    if zone.fails {
        reply.metadata.response_code = ResponseCode::ServFail;
        return reply;
    }
    for (owner, ttl, data) in &zone.records {
        if name(owner) == asked && data.record_type() == kind {
            reply.add_answer(Record::from_rdata(asked.clone(), *ttl, data.clone()));
        }
    }
    reply
}

#[tokio::test]
async fn a_name_is_followed_from_naptr_to_srv_to_its_addresses() {
    let bench = Bench::new().await;
    let naptr = |order, service: &str, to| {
        let text = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
        RData::NAPTR(NAPTR::new(order, 1, text("s"), text(service), text(""), name(to)))
    };
    bench.add("pbx.example", 60, naptr(2, "SIP+D2U", "_sip._udp.pbx.example"));
    bench.add("pbx.example", 60, naptr(1, "SIP+D2T", "_sip._tcp.pbx.example"));
    bench.add("_sip._tcp.pbx.example", 60, srv_record(2, 5070, "two.pbx.example"));
    bench.add("_sip._tcp.pbx.example", 60, srv_record(1, 5060, "one.pbx.example"));
    bench.add("_sip._udp.pbx.example", 60, srv_record(1, 5060, "two.pbx.example"));
    bench.add("one.pbx.example", 60, a(1));
    bench.add("two.pbx.example", 60, a(2));
    let expected = [
        "tcp 10.0.0.1:5060 (pbx.example)",
        "tcp 10.0.0.2:5070 (pbx.example)",
        "udp 10.0.0.2:5060 (pbx.example)",
    ];
    assert_eq!(bench.find("sip:pbx.example", 0).await, expected);
    assert_eq!(bench.asked().len(), 1 + 2 + 2 * 2);
    assert_eq!(bench.find("sip:pbx.example", 1).await, expected);
    assert_eq!(bench.asked(), [""; 0], "all of it is kept");
}

#[tokio::test]
async fn an_answer_is_kept_for_as_long_as_it_says() {
    let bench = Bench::new().await;
    bench.add("pbx.example", 20, a(1));
    assert_eq!(bench.find("pbx.example:5060", 0).await, ["udp 10.0.0.1:5060 (pbx.example)"]);
    bench.clear(false);
    bench.add("pbx.example", 0, a(2));
    bench.asked();
    assert_eq!(bench.find("pbx.example:5060", 19).await, ["udp 10.0.0.1:5060 (pbx.example)"]);
    assert_eq!(bench.asked(), [""; 0]);
    assert_eq!(bench.find("pbx.example:5060", 20).await, ["udp 10.0.0.2:5060 (pbx.example)"]);
    assert_eq!(bench.asked(), ["A pbx.example.", "AAAA pbx.example."]);
    // A TTL of 0 does not ask for every call.
    bench.find("pbx.example:5060", 24).await;
    assert_eq!(bench.asked(), [""; 0]);
    bench.find("pbx.example:5060", 25).await;
    assert_eq!(bench.asked().len(), 2);
}

#[tokio::test]
async fn the_last_good_answer_stays_when_dns_fails() {
    let bench = Bench::new().await;
    bench.add("_sip._udp.pbx.example", 10, srv_record(1, 5066, "one.pbx.example"));
    bench.add("one.pbx.example", 10, a(1));
    let expected = ["udp 10.0.0.1:5066 (pbx.example)"];
    assert_eq!(bench.find("sip:pbx.example;transport=udp", 0).await, expected);
    bench.clear(true);
    for after in [10, 3600, 86_400] {
        assert_eq!(bench.find("sip:pbx.example;transport=udp", after).await, expected, "{after}");
    }
    bench.asked();
    bench.find("sip:pbx.example;transport=udp", 86_409).await;
    assert_eq!(bench.asked(), [""; 0], "a failing server is not asked for every call");
    // It answers again, and says that the PBX is gone: that counts.
    bench.clear(false);
    assert_eq!(bench.find("sip:pbx.example;transport=udp", 86_410).await, [""; 0]);
}

#[tokio::test]
async fn a_server_that_fails_on_naptr_alone_costs_nothing_but_naptr() {
    let bench = Bench::new().await;
    bench.clear(true);
    assert_eq!(bench.find("pbx.example", 0).await, [""; 0]);
    bench.clear(false);
    bench.add("pbx.example", 10, a(1));
    bench
        .resolver
        .held
        .lock()
        .expect("the answers")
        .retain(|question, _| matches!(question, Question::Naptr(_)));
    assert_eq!(bench.find("pbx.example", 1).await, ["udp 10.0.0.1:5060 (pbx.example)"]);
}

/// No socket answers here, so that time may be virtual.
#[tokio::test(start_paused = true)]
async fn a_silent_server_keeps_a_call_waiting_only_where_nothing_is_known() {
    let bench = Bench::new().await;
    bench.silence();
    let before = tokio::time::Instant::now();
    assert_eq!(bench.find("pbx.example:5060", 0).await, [""; 0]);
    assert!(before.elapsed() <= LONGEST + Duration::from_millis(10), "{:?}", before.elapsed());
    let known = Question::Address("other.example".to_owned());
    let records = Records::Addresses(vec![[10, 0, 0, 1].into()]);
    bench.resolver.keep(bench.start, &known, Ok((records, SHORTEST_TTL)));
    let before = tokio::time::Instant::now();
    assert_eq!(bench.find("other.example:5060", 60).await, ["udp 10.0.0.1:5060 (other.example)"]);
    assert!(before.elapsed() <= IMPATIENT + Duration::from_millis(10), "{:?}", before.elapsed());
}

#[tokio::test]
async fn an_address_asks_nobody() {
    let bench = Bench::new().await;
    bench.clear(true);
    assert_eq!(bench.find("10.0.0.9;transport=tcp", 0).await, ["tcp 10.0.0.9:5060"]);
    assert_eq!(bench.asked(), [""; 0]);
}

#[tokio::test]
async fn what_is_kept_is_bounded() {
    let bench = Bench::new().await;
    for n in 0..MAX_HELD + 10 {
        let question = Question::Address(format!("host{n}.example"));
        let records = Records::Addresses(vec![[10, 0, 0, 1].into()]);
        let ttl = Duration::from_secs(60 + n as u64);
        bench.resolver.keep(bench.start, &question, Ok((records, ttl)));
    }
    let held = bench.resolver.held.lock().expect("the answers");
    assert_eq!(held.len(), MAX_HELD);
    assert!(!held.contains_key(&Question::Address("host0.example".to_owned())));
}
