//! One endpoint registers with another that demands digest, in virtual time and over a network that loses every fifth
//! datagram: an hour of it, and its end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip_core::auth::{Account, Credentials, Realm, Secret};
use sip_core::registration::{Binding, Input as Registering, Output as Registered, Registration, Status};
use sip_core::{
    Command, Endpoint, EndpointConfig, Flow, Input, Listener, Method, Notice, OutgoingRequest, Output,
    OwnRequestId, Registrar, Timers, Transport, TrunkProfile, Uri,
};

const US: &str = "192.0.2.1:5060";
const PBX: &str = "192.0.2.2:5060";
/// One in so many datagrams is lost.
const LOSS: u32 = 5;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn credentials() -> Credentials {
    Credentials { user: "us".into(), password: Secret::new("password") }
}

fn endpoint(local: &str, profile: TrunkProfile) -> Endpoint {
    Endpoint::new(EndpointConfig {
        listeners: vec![Listener::new(Transport::Udp, address(local))],
        trunks: vec![profile],
        user_agent: String::new(),
        seed: [7; 32],
        timers: Timers::default(),
        record: false,
    })
}

struct World {
    now: Instant,
    us: Endpoint,
    pbx: Endpoint,
    registration: Registration,
    sent: u32,
    registers: u32,
    told: Vec<Status>,
    bindings: Vec<Binding>,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "virtual time must begin somewhere")]
    fn new(password: &str) -> Self {
        let realm = Realm::new("pbx", vec![credentials()]);
        let registrar = Some(Registrar { max_expires: Duration::from_secs(300), ..Registrar::default() });
        let demanding = TrunkProfile { inbound: Some(realm), registrar, ..TrunkProfile::default() };
        let with = Credentials { password: Secret::new(password), ..credentials() };
        let account = Account { credentials: with, realm: Some("pbx".into()) };
        let answering = TrunkProfile { outbound: Some(account), ..TrunkProfile::default() };
        let contact = Uri::sip(Some("us"), address(US));
        Self {
            now: Instant::now(),
            us: endpoint(US, answering),
            pbx: endpoint(PBX, demanding),
            registration: Registration::new(contact, 600),
            sent: 0,
            registers: 0,
            told: Vec::new(),
            bindings: Vec::new(),
        }
    }

    fn registering(&mut self, input: Registering<'_>) {
        self.registration.handle(self.now, input);
        while let Some(output) = self.registration.poll() {
            match output {
                Registered::SendRegister { expires, cseq } => self.register(expires, cseq),
                Registered::Changed(status) => self.told.push(status),
            }
        }
    }

    fn register(&mut self, expires: u32, cseq: u32) {
        self.registers += 1;
        let address_of_record = "<sip:us@192.0.2.2>";
        let request = OutgoingRequest {
            id: OwnRequestId(cseq.into()),
            flow: Flow::udp(address(PBX)),
            method: Method::Register,
            request_uri: "sip:192.0.2.2".parse().unwrap(),
            from: address_of_record.parse().unwrap(),
            to: address_of_record.parse().unwrap(),
            call_id: "registration".into(),
            cseq,
            headers: vec![
                ("Contact".into(), format!("<sip:us@{US}>")),
                ("Expires".into(), expires.to_string()),
            ],
        };
        self.us_input(Input::Command(Command::Send(Box::new(request))));
    }

    fn us_input(&mut self, input: Input<'_>) {
        self.us.handle(self.now, input);
        while let Some(output) = self.us.poll() {
            match output {
                Output::Send { bytes, .. } if self.gets_through() => {
                    let flow = Flow::udp(address(US));
                    self.pbx_input(Input::Datagram { flow, bytes: &bytes });
                }
                Output::Send { .. } => {}
                Output::Notice(Notice::Reply { result: Ok(response), .. }) => {
                    self.registering(Registering::Response { response: &response, jitter: 128 });
                }
                Output::Notice(Notice::Reply { .. }) => self.registering(Registering::NoAnswer),
                Output::Notice(other) => panic!("{other:?}"),
            }
        }
    }

    fn pbx_input(&mut self, input: Input<'_>) {
        self.pbx.handle(self.now, input);
        while let Some(output) = self.pbx.poll() {
            match output {
                Output::Send { bytes, .. } if self.gets_through() => {
                    let flow = Flow::udp(address(PBX));
                    self.us_input(Input::Datagram { flow, bytes: &bytes });
                }
                Output::Send { .. } => {}
                Output::Notice(Notice::Bindings { bindings, .. }) => self.bindings = bindings,
                Output::Notice(other) => panic!("{other:?}"),
            }
        }
    }

    fn gets_through(&mut self) -> bool {
        self.sent += 1;
        !self.sent.is_multiple_of(LOSS)
    }

    fn run(&mut self, seconds: u64, mut check: impl FnMut(&Self)) {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            let deadlines = [self.us.deadline(), self.pbx.deadline(), self.registration.deadline()];
            let Some(next) = deadlines.into_iter().flatten().min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            self.us_input(Input::Timeout);
            self.pbx_input(Input::Timeout);
            self.registering(Registering::Timeout);
            check(self);
        }
        self.now = end;
    }
}

#[test]
fn an_hour_of_registration_with_digest_over_a_lossy_network() {
    let mut world = World::new("password");
    world.registering(Registering::Start);
    world.run(60, |_| {});
    world.run(3600, |world| assert_eq!(world.bindings.len(), 1, "reachable all the time"));
    assert_eq!(world.told, [Status::Registered]);
    assert_eq!((world.bindings[0].user.as_str(), world.bindings[0].flow.peer), ("us", address(US)));
    let refreshes = world.registers;
    assert!((3600 / 270..=3600 / 150).contains(&refreshes), "{refreshes} REGISTERs in an hour");

    world.registering(Registering::Stop);
    world.run(60, |_| {});
    assert!(world.bindings.is_empty());
    assert_eq!(world.told.len(), 2);
    assert_eq!((world.us.deadline(), world.registration.deadline()), (None, None));
}

#[test]
fn with_a_wrong_password_it_is_tried_ever_more_slowly() {
    let mut world = World::new("wrong");
    world.registering(Registering::Start);
    world.run(3600, |world| assert!(world.bindings.is_empty()));
    assert!(matches!(world.told[..], [Status::Lost(_)]), "{:?}", world.told);
    assert!((12..=16).contains(&world.registers), "{} REGISTERs in an hour", world.registers);
}
