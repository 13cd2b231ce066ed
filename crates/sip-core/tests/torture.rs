//! The messages of RFC 4475 and RFC 5118, byte for byte, and what the endpoint answers.

use std::time::Instant;

use sip_core::{
    Command, Endpoint, EndpointConfig, Event, Flow, Input, LegEvent, LegId, Listener, Load, Message,
    NameAddr, Notice, Output, ParseError, Reply, Timers, Transport, Via, message::parse,
};

#[path = "torture/table.rs"]
mod table;

use table::{Answer, ROWS, Row};

/// More steps than any timer takes to run out.
const STEPS: usize = 1000;

fn endpoint() -> Endpoint {
    let local = "192.0.2.2:5060".parse().unwrap();
    Endpoint::new(EndpointConfig {
        listeners: vec![Listener::new(Transport::Udp, local)],
        trunks: Vec::new(),
        user_agent: String::new(),
        seed: [0; 32],
        timers: Timers::default(),
        record: false,
    })
}

fn flow() -> Flow {
    Flow::udp("192.0.2.99:40000".parse().unwrap())
}

#[expect(clippy::disallowed_methods, reason = "virtual time must begin somewhere")]
fn start() -> Instant {
    Instant::now()
}

/// What came of a message: the responses, and the calls that it began.
#[derive(Debug, Default)]
struct Outcome {
    responses: Vec<Sent>,
    calls: Vec<LegId>,
}

/// A response as it went out: its header fields as lines, since one that repeats a broken Via cannot be parsed.
#[derive(Debug)]
struct Sent {
    status: u16,
    fields: Vec<(String, String)>,
}

impl Sent {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let head = text.split("\r\n\r\n").next().unwrap();
        let (start, fields) = head.split_once("\r\n").unwrap();
        let status = start.strip_prefix("SIP/2.0 ").unwrap().get(..3).unwrap().parse().unwrap();
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        };
        Self { status, fields: fields.split("\r\n").map(field).collect() }
    }

    /// The values under this name or its compact form.
    fn all(&self, name: &str) -> Vec<&str> {
        let compact = match name {
            "Call-ID" => "i",
            _ => name.get(..1).unwrap(),
        };
        let is = |this: &str| this.eq_ignore_ascii_case(name) || this.eq_ignore_ascii_case(compact);
        self.fields.iter().filter(|(this, _)| is(this)).map(|(_, value)| value.as_str()).collect()
    }
}

fn drain(endpoint: &mut Endpoint) -> Outcome {
    let mut outcome = Outcome::default();
    while let Some(output) = endpoint.poll() {
        match output {
            Output::Send { flow: to, bytes, .. } => {
                assert_eq!(to, flow());
                outcome.responses.push(Sent::read(&bytes));
            }
            Output::Notice(Notice::Leg(LegEvent { leg, event: Event::Invite { .. } })) => {
                outcome.calls.push(leg);
            }
            Output::Notice(Notice::Leg(LegEvent { event: Event::Ended, .. })) => {}
            other => panic!("{other:?}"),
        }
    }
    outcome
}

/// The one answer to a message. A call is refused as the bridge refuses what it can route nowhere.
fn answer(endpoint: &mut Endpoint, bytes: &[u8]) -> (Answer, Option<Sent>) {
    let now = start();
    endpoint.handle(now, Input::Datagram { flow: flow(), bytes });
    let Outcome { mut responses, calls } = drain(endpoint);
    if let [leg] = calls[..] {
        assert!(matches!(responses[..], [Sent { status: 100, .. }]), "{responses:?}");
        endpoint.handle(now, Input::Command(Command::Respond { leg, reply: Reply::new(404) }));
        responses = drain(endpoint).responses;
    }
    assert!(responses.len() <= 1, "{responses:?}");
    let answer = match (&responses[..], calls.len()) {
        ([], 0) => Answer::Silence,
        ([response], 0) => Answer::Status(response.status),
        ([response], 1) => Answer::Call(response.status),
        other => panic!("{other:?}"),
    };
    (answer, responses.pop())
}

/// The request as far as it can be read.
fn headers(bytes: &[u8]) -> sip_core::Headers {
    match parse::datagram(bytes) {
        Ok(Message::Request(request)) => request.headers,
        Err(ParseError::BadRequest(bad)) => bad.headers,
        other => panic!("{other:?}"),
    }
}

/// One that cannot be read has its tag at the end.
fn tagged(to: &str) -> bool {
    to.parse::<NameAddr>().map_or(to.contains(";tag="), |to| to.tag().is_some())
}

/// RFC 3261 8.2.6.2: what an answer repeats of its request.
fn repeats(row: &Row, response: &Sent) {
    let (request, file) = (headers(row.bytes), row.file);
    for name in ["From", "Call-ID", "CSeq"] {
        let asked: Vec<_> = request.get_all(name).take(1).collect();
        assert_eq!(response.all(name), asked, "{name} of {file}");
    }
    // Control characters become spaces.
    let asked = request.get("To").unwrap().replace(|c: char| c.is_control(), " ");
    let to = response.all("To");
    assert!(to.len() == 1 && to[0].starts_with(&asked) && tagged(to[0]), "{to:?} of {file}");
    let top = request.list("Via").next().unwrap();
    let answered = response.all("Via").join(",");
    let below = |vias: &str| vias.split(',').skip(1).map(|via| via.trim().to_owned()).collect::<Vec<_>>();
    let asked = request.get_all("Via").collect::<Vec<_>>().join(",");
    assert_eq!(below(&answered), below(&asked), "Vias of {file}");
    // One that cannot be read goes back as it came.
    if top.parse::<Via>().is_ok() {
        assert!(answered.contains(";received=192.0.2.99"), "{answered:?} of {file}");
    }
}

#[test]
fn the_table_lists_all_messages_once() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture");
    let mut files = Vec::new();
    for rfc in ["rfc4475", "rfc5118"] {
        for entry in std::fs::read_dir(folder.join(rfc)).unwrap() {
            files.push(format!("{rfc}/{}", entry.unwrap().file_name().to_str().unwrap()));
        }
    }
    let mut rows: Vec<_> = ROWS.iter().map(|row| row.file.to_owned()).collect();
    files.sort();
    rows.sort();
    assert_eq!(files, rows);
    assert_eq!(rows.len(), 61);
}

#[test]
fn each_gets_its_answer() {
    let mut wrong = Vec::new();
    for row in ROWS {
        let (answer, _) = answer(&mut endpoint(), row.bytes);
        let status = match answer {
            Answer::Status(status) | Answer::Call(status) => Some(status),
            Answer::Silence => None,
        };
        if answer != row.answer || !row.allowed.allows(status) {
            wrong.push(format!(
                "{} ({}): {answer:?}, not {:?} of {:?}",
                row.file, row.section, row.answer, row.allowed
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_answer_repeats_what_the_request_says() {
    for row in ROWS {
        if let (_, Some(response)) = answer(&mut endpoint(), row.bytes) {
            repeats(row, &response);
        }
    }
}

#[test]
fn nothing_is_remembered_of_any_of_them() {
    let mut endpoint = endpoint();
    for row in ROWS {
        let _ = answer(&mut endpoint, row.bytes);
    }
    for _ in 0..STEPS {
        let Some(at) = endpoint.deadline() else {
            break;
        };
        endpoint.handle(at, Input::Timeout);
        let _ = drain(&mut endpoint);
    }
    assert_eq!(endpoint.load(), Load::default());
}

#[test]
fn a_binary_body_is_kept() {
    let row = ROWS.iter().find(|row| row.file.ends_with("mpart01.dat")).unwrap();
    let Ok(Message::Request(request)) = parse::datagram(row.bytes) else { panic!() };
    assert!(row.bytes.ends_with(&request.body) && request.body.contains(&0));
    let length: usize = request.headers.get("Content-Length").unwrap().parse().unwrap();
    assert_eq!(request.body.len(), length);
}
