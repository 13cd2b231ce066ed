use super::*;

/// A zone in a few words: `naptr ORDER PREFERENCE SERVICE NAME`, `srv PRIORITY WEIGHT PORT HOST`,
/// `a ADDRESS`, each behind its name.
const ZONE: &[&str] = &[
    "example.com naptr 20 10 SIP+D2T _sip._tcp.example.com.",
    "example.com naptr 10 50 SIP+D2U _sip._udp.EXAMPLE.com",
    "example.com naptr 10 60 SIPS+D2T _sips._tcp.example.com",
    "example.com naptr 5 10 E2U+sip _x.example.com",
    "_sip._udp.example.com srv 2 0 5062 b.example.com",
    "_sip._udp.example.com srv 1 0 5061 a.example.com",
    "_sip._tcp.example.com srv 1 0 5070 a.example.com",
    "_sips._tcp.example.com srv 1 0 5071 a.example.com",
    "a.example.com a 10.0.0.1",
    "a.example.com a 2001:db8::1",
    "b.example.com a 10.0.0.2",
    "_sip._tcp.srv.lan srv 1 0 5080 b.example.com",
    "plain.lan a 10.0.0.9",
    "_sip._udp.closed.lan srv 0 0 0 .",
    "closed.lan a 10.0.0.8",
];

fn answer(question: &Question) -> Records {
    let lines = |name: &str, kind: &str| -> Vec<Vec<String>> {
        let words = ZONE.iter().map(|line| line.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>());
        words.filter(|words| words[0] == name && words[1] == kind).collect()
    };
    let number = |word: &String| word.parse().expect("a number");
    match question {
        Question::Naptr(name) => Records::Naptr(
            lines(name, "naptr")
                .iter()
                .map(|words| Naptr {
                    order: number(&words[2]),
                    preference: number(&words[3]),
                    flags: "S".to_owned(),
                    service: words[4].clone(),
                    replacement: words[5].clone(),
                })
                .collect(),
        ),
        Question::Srv(name) => Records::Srv(
            lines(name, "srv")
                .iter()
                .map(|words| Srv {
                    priority: number(&words[2]),
                    weight: number(&words[3]),
                    port: number(&words[4]),
                    target: words[5].clone(),
                })
                .collect(),
        ),
        Question::Address(name) => Records::Addresses(
            lines(name, "a").iter().map(|words| words[2].parse().expect("an address")).collect(),
        ),
    }
}

fn means(list: &[(Transport, &str)]) -> Means {
    let mut means = Means::default();
    for (transport, bind) in list {
        means.add(*transport, bind.parse().expect("an address"));
    }
    means
}

fn all() -> Means {
    means(&[(Transport::Udp, "0.0.0.0"), (Transport::Tcp, "0.0.0.0"), (Transport::Tls, "0.0.0.0")])
}

/// What is found, and in how many rounds.
fn found(text: &str, means: &Means) -> (Vec<String>, usize) {
    let target = text.parse().expect(text);
    let mut answers = Answers::new();
    for round in 0..5 {
        match locate(&target, means, &answers, &mut |_| 0) {
            Located::Found(found) => return (found.iter().map(ToString::to_string).collect(), round),
            Located::Ask(questions) => {
                answers.extend(questions.into_iter().map(|question| {
                    let records = answer(&question);
                    (question, records)
                }));
            }
        }
    }
    panic!("it asks for ever: {text}");
}

#[test]
fn naptr_says_the_transports_and_srv_the_servers() {
    let (destinations, rounds) = found("sip:example.com", &all());
    let expected = [
        "udp 10.0.0.1:5061 (example.com)",
        "udp 10.0.0.2:5062 (example.com)",
        "tls 10.0.0.1:5071 (example.com)",
        "tcp 10.0.0.1:5070 (example.com)",
    ];
    assert_eq!((destinations, rounds), (expected.map(ToOwned::to_owned).to_vec(), 3));
}

#[test]
fn a_transport_or_a_port_leaves_questions_out() {
    let cases = [
        // A transport: no NAPTR. A port: no SRV either.
        ("sip:example.com;transport=tcp", "tcp 10.0.0.1:5070 (example.com)", 2),
        ("sips:example.com", "tls 10.0.0.1:5071 (example.com)", 2),
        ("sip:a.example.com:5099", "udp 10.0.0.1:5099 (a.example.com)", 1),
        ("sips:a.example.com:5099", "tls 10.0.0.1:5099 (a.example.com)", 1),
        ("10.0.0.7:5066", "udp 10.0.0.7:5066", 0),
    ];
    for (text, expected, rounds) in cases {
        assert_eq!(found(text, &all()), (vec![expected.to_owned()], rounds), "{text}");
    }
}

#[test]
fn without_naptr_the_srv_records_of_each_transport_are_asked() {
    assert_eq!(found("sip:srv.lan", &all()), (vec!["tcp 10.0.0.2:5080 (srv.lan)".to_owned()], 3));
}

#[test]
fn without_srv_the_host_is_asked_at_the_default_port() {
    assert_eq!(found("plain.lan", &all()).0, ["udp 10.0.0.9:5060 (plain.lan)"]);
    assert_eq!(found("sips:plain.lan", &all()).0, ["tls 10.0.0.9:5061 (plain.lan)"]);
    let only_tcp = means(&[(Transport::Tcp, "0.0.0.0")]);
    assert_eq!(found("plain.lan", &only_tcp).0, ["tcp 10.0.0.9:5060 (plain.lan)"]);
    assert_eq!(found("nowhere.lan", &all()).0, [""; 0]);
}

#[test]
fn a_service_that_is_not_there_is_not_looked_for_elsewhere() {
    assert_eq!(found("sip:closed.lan;transport=udp", &all()).0, [""; 0]);
}

#[test]
fn only_what_can_be_sent_by_is_found() {
    let six = means(&[(Transport::Udp, "2001:db8::9")]);
    assert_eq!(found("example.com", &six).0, ["udp [2001:db8::1]:5061 (example.com)"]);
    let both = means(&[(Transport::Tcp, "::")]);
    let expected = ["tcp 10.0.0.1:5070 (example.com)", "tcp [2001:db8::1]:5070 (example.com)"];
    assert_eq!(found("example.com", &both).0, expected);
    assert_eq!(found("10.0.0.1", &six).0, [""; 0]);
    assert_eq!(found("10.0.0.1;transport=tls", &both).0, [""; 0]);
}

#[test]
fn an_answer_of_another_kind_is_none() {
    let target = "example.com".parse().expect("a target");
    let wrong = [(Question::Naptr("example.com".to_owned()), Records::Addresses(Vec::new()))];
    let asked = locate(&target, &all(), &Answers::from(wrong), &mut |_| 0);
    assert!(matches!(asked, Located::Ask(questions) if questions.len() == 3));
}

#[test]
fn a_flood_of_records_is_cut() {
    let target: Target = "big.lan:5060".parse().expect("a target");
    let addresses = (0..=255).map(|n| IpAddr::from([10, 0, 0, n])).collect();
    let answers = Answers::from([(Question::Address("big.lan".to_owned()), Records::Addresses(addresses))]);
    let Located::Found(found) = locate(&target, &all(), &answers, &mut |_| 0) else {
        panic!("all is answered")
    };
    assert_eq!(found.len(), MAX_RECORDS);
}
