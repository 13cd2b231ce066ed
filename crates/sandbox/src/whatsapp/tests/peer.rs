//! What plays the bridge here: a webhook, a Graph client, and media ends with a socket a call.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use stun::agent::TransactionId;
use stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME, AttrType};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, watch};

use crate::whatsapp::hub::lock;
use crate::whatsapp::scenario::MediaFault;
use crate::whatsapp::sdp::{DtlsSetup, Keyed, Remote, Voice};
use crate::whatsapp::secure::{self, Handshake, Wire};
use crate::whatsapp::user::{Notice, Phone};
use crate::whatsapp::webhook::sign;
use crate::whatsapp::{Timings, WhatsApp, WhatsAppConfig};

pub(super) const LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Hook {
    pub(super) signed: bool,
    pub(super) body: Value,
}

impl Hook {
    pub(super) fn value(&self) -> &Value {
        &self.body["entry"][0]["changes"][0]["value"]
    }

    pub(super) fn call(&self) -> &Value {
        &self.value()["calls"][0]
    }

    pub(super) fn status(&self) -> &Value {
        &self.value()["statuses"][0]
    }

    /// `connect`, `terminate`, `RINGING`, the type of a message, or the field of anything else.
    pub(super) fn what(&self) -> &str {
        let message = &self.value()["messages"][0];
        [&self.call()["event"], &self.status()["status"], &message["interactive"]["type"], &message["type"]]
            .into_iter()
            .find_map(Value::as_str)
            .unwrap_or_else(|| self.body["entry"][0]["changes"][0]["field"].as_str().unwrap())
    }

    pub(super) fn sdp(&self) -> &str {
        self.call()["session"]["sdp"].as_str().unwrap()
    }
}

#[derive(Clone)]
struct Receiver {
    hooks: mpsc::Sender<Hook>,
    secret: String,
    status: Arc<Mutex<Vec<u16>>>,
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let given = headers["X-Hub-Signature-256"].to_str().unwrap();
    let signed = given == sign(&receiver.secret, &body);
    receiver.hooks.send(Hook { signed, body: serde_json::from_slice(&body).unwrap() }).await.unwrap();
    let status = lock(&receiver.status).pop().unwrap_or(200);
    StatusCode::from_u16(status).unwrap()
}

pub(super) struct Bridge {
    pub(super) whatsapp: WhatsApp,
    pub(super) hooks: mpsc::Receiver<Hook>,
    /// Statuses to answer the next webhooks with, last first.
    pub(super) statuses: Arc<Mutex<Vec<u16>>>,
    http: reqwest::Client,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Bridge {
    pub(super) async fn start(change: impl FnOnce(&mut WhatsAppConfig)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = WhatsAppConfig::new(format!("http://{}/webhook", listener.local_addr().unwrap()));
        config.timings = Timings::quick();
        change(&mut config);
        let (sender, hooks) = mpsc::channel(1000);
        let statuses = Arc::new(Mutex::new(Vec::new()));
        let receiver =
            Receiver { hooks: sender, secret: config.app_secret.clone(), status: Arc::clone(&statuses) };
        let verify = |axum::extract::RawQuery(query): axum::extract::RawQuery| async move {
            let query = query.unwrap_or_default();
            let challenge = query.split('&').find_map(|pair| pair.strip_prefix("hub.challenge="));
            if query.contains("hub.verify_token=sandbox-verify-token") {
                (StatusCode::OK, challenge.unwrap_or_default().to_owned())
            } else {
                (StatusCode::FORBIDDEN, String::new())
            }
        };
        let router = Router::new().route("/webhook", post(receive).get(verify)).with_state(receiver);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let whatsapp = WhatsApp::start(config).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { whatsapp, hooks, statuses, http, server }
    }

    pub(super) async fn hook(&mut self, what: &str) -> Hook {
        let hook = tokio::time::timeout(LIMIT, self.hooks.recv()).await.expect(what).unwrap();
        assert_eq!(hook.what(), what, "{}", hook.body);
        hook
    }

    pub(super) async fn graph(&self, body: Value) -> (u16, Value) {
        self.graph_at("v25.0/106540352242922/calls", Some("sandbox-token"), body).await
    }

    pub(super) async fn get(&self, path: &str) -> (u16, Value) {
        self.get_with(path, "sandbox-token").await
    }

    pub(super) async fn get_with(&self, path: &str, token: &str) -> (u16, Value) {
        let request = self.http.get(format!("{}/v25.0/{path}", self.whatsapp.graph_url()));
        let answer = request.bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.graph_at(&format!("v25.0/{path}"), Some("sandbox-token"), body).await
    }

    pub(super) async fn graph_at(&self, path: &str, token: Option<&str>, body: Value) -> (u16, Value) {
        let mut request = self.http.post(format!("{}/{path}", self.whatsapp.graph_url()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    /// `pre_accept`, `accept`, `reject` or `terminate`; panics where it is refused.
    pub(super) async fn act(&self, action: &str, wacid: &str, answer: Option<&str>) {
        let (status, reply) = self.graph(request(action, wacid, answer)).await;
        assert_eq!((status, &reply["success"]), (200, &json!(true)), "{reply}");
    }
}

pub(super) fn request(action: &str, wacid: &str, answer: Option<&str>) -> Value {
    let mut body = json!({ "messaging_product": "whatsapp", "action": action, "call_id": wacid });
    if let Some(sdp) = answer {
        body["session"] = json!({ "sdp_type": "answer", "sdp": sdp });
    }
    body
}

pub(super) fn connect_request(to: &str, offer: &str) -> Value {
    json!({
        "messaging_product": "whatsapp", "to": to, "action": "connect",
        "session": { "sdp_type": "offer", "sdp": offer }, "biz_opaque_callback_data": format!("data of {to}"),
    })
}

fn attribute<'a>(sdp: &'a str, name: &str) -> &'a str {
    let start = format!("a={name}:");
    sdp.split("\r\n").find_map(|line| line.strip_prefix(start.as_str())).unwrap()
}

struct Raw(AttrType, Vec<u8>);

impl Setter for Raw {
    fn add_to(&self, message: &mut Message) -> Result<(), stun::Error> {
        message.add(self.0, &self.1);
        Ok(())
    }
}

pub(super) const NUMBER: &str = "106540352242922";

/// (HTTP status, error code).
pub(super) fn code(answer: &(u16, Value)) -> (u16, u64) {
    (answer.0, answer.1["error"]["code"].as_u64().unwrap_or_default())
}

/// One media end: what the bridge has for one call.
pub(super) struct Leg {
    pub(super) phone: Arc<Mutex<Phone>>,
    pub(super) notices: Arc<Mutex<Vec<Notice>>>,
    socket: Arc<UdpSocket>,
    certificate: dtls::crypto::Certificate,
    fingerprint: [u8; 32],
    target: SocketAddr,
    stun: mpsc::Receiver<Vec<u8>>,
    dtls: Option<mpsc::Receiver<Vec<u8>>>,
    conn: Option<dtls::conn::DTLSConn>,
    pump: tokio::task::JoinHandle<()>,
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

const UFRAG: &str = "ours";
const SSRC: u32 = 4_000_000;

impl Leg {
    pub(super) async fn new(target: SocketAddr, tone_hz: f64) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        Self::on(socket, target, tone_hz)
    }

    pub(super) fn on(socket: Arc<UdpSocket>, target: SocketAddr, tone_hz: f64) -> Self {
        let (certificate, fingerprint) = secure::certificate().unwrap();
        let phone = Arc::new(Mutex::new(Phone::new(SSRC, tone_hz).unwrap()));
        let notices = Arc::new(Mutex::new(Vec::new()));
        let (stun_in, stun) = mpsc::channel(64);
        let (dtls_in, dtls) = mpsc::channel(64);
        let (pumped, hearing, seen) = (Arc::clone(&socket), Arc::clone(&phone), Arc::clone(&notices));
        let pump = tokio::spawn(async move {
            let mut buffer = [0; 2048];
            loop {
                let (length, source) = pumped.recv_from(&mut buffer).await.unwrap();
                assert_eq!(source, target, "all calls have one address and port");
                let datagram = &buffer[..length];
                match datagram[0] {
                    0..=3 => stun_in.send(datagram.to_vec()).await.unwrap(),
                    20..=63 => drop(dtls_in.try_send(datagram.to_vec())),
                    _ => lock(&seen).extend(lock(&hearing).receive(Instant::now(), datagram, true)),
                }
            }
        });
        Self {
            phone,
            notices,
            socket,
            certificate,
            fingerprint,
            target,
            stun,
            dtls: Some(dtls),
            conn: None,
            pump,
        }
    }

    pub(super) fn sdp(&self, setup: &str) -> String {
        let port = self.socket.local_addr().unwrap().port();
        let fingerprint = self.fingerprint.map(|byte| format!("{byte:02X}")).join(":");
        format!(
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE audio\r\n\
             m=audio {port} UDP/TLS/RTP/SAVPF 111 126\r\nc=IN IP4 127.0.0.1\r\n\
             a=candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host\r\na=ice-ufrag:{UFRAG}\r\n\
             a=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}\r\n\
             a=mid:audio\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
             a=rtpmap:126 telephone-event/8000\r\na=maxptime:20\r\na=ptime:20\r\na=ssrc:{SSRC} cname:x\r\n"
        )
    }

    /// One check; whether it was answered rightly within a short time.
    pub(super) async fn check(&mut self, sdp: &str, nominate: bool) -> bool {
        let key = MessageIntegrity::new_short_term_integrity(attribute(sdp, "ice-pwd").to_owned());
        let request = binding_request(attribute(sdp, "ice-ufrag"), &key, nominate);
        self.socket.send_to(&request, self.target).await.unwrap();
        let Ok(Some(reply)) = tokio::time::timeout(Duration::from_millis(300), self.stun.recv()).await else {
            return false;
        };
        let mut answer = Message::new();
        answer.unmarshal_binary(&reply).unwrap();
        answer.typ == BINDING_SUCCESS && key.check(&mut answer).is_ok() && reply[8..20] == request[8..20]
    }

    /// Nominates (again and again, until it is answered) and runs DTLS.
    pub(super) async fn secure(&mut self, sdp: &str, client: bool) -> Result<(), secure::SecureError> {
        let mut nominated = false;
        for _ in 0..20 {
            nominated = nominated || self.check(sdp, true).await;
        }
        assert!(nominated, "no answer to checks");
        let digits = attribute(sdp, "fingerprint").strip_prefix("sha-256 ").unwrap();
        let fingerprint: Vec<u8> =
            digits.split(':').map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
        let peer = watch::Sender::new(Some(self.target));
        let inbox = tokio::sync::Mutex::new(self.dtls.take().unwrap());
        let handshake = Handshake {
            wire: Wire { inbox, socket: Arc::clone(&self.socket), peer: peer.subscribe() },
            certificate: self.certificate.clone(),
            client,
            fingerprint: fingerprint.try_into().unwrap(),
            flight: Duration::from_millis(200),
            profiles: secure::profiles(MediaFault::None),
        };
        let secured = tokio::time::timeout(LIMIT, handshake.run()).await.expect("DTLS in time")?;
        let mut phone = lock(&self.phone);
        phone.expect(&remote(sdp));
        phone.secure(secured.keys);
        drop(phone);
        self.conn = Some(secured.conn);
        Ok(())
    }

    /// Speaks in real time.
    pub(super) async fn speak(&self, time: Duration) {
        let mut frames = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..time.as_millis() / 20 {
            frames.tick().await;
            let datagrams = lock(&self.phone).speak(Instant::now());
            for datagram in datagrams {
                self.socket.send_to(&datagram, self.target).await.unwrap();
            }
        }
    }
}

fn binding_request(ufrag: &str, key: &MessageIntegrity, nominate: bool) -> Vec<u8> {
    let mut message = Message::new();
    let mut setters: Vec<Box<dyn Setter>> = vec![
        Box::new(TransactionId::new()),
        Box::new(BINDING_REQUEST),
        Box::new(Raw(ATTR_USERNAME, format!("{ufrag}:{UFRAG}").into_bytes())),
        Box::new(Raw(ATTR_PRIORITY, vec![0x6e, 0, 1, 0xff])),
        Box::new(Raw(ATTR_ICE_CONTROLLING, vec![1; 8])),
    ];
    if nominate {
        setters.push(Box::new(Raw(ATTR_USE_CANDIDATE, vec![])));
    }
    setters.extend([Box::new(key.clone()) as Box<dyn Setter>, Box::new(FINGERPRINT)]);
    message.build(&setters).unwrap();
    message.raw
}

/// What WhatsApp's SDP promises.
fn remote(sdp: &str) -> Remote {
    Remote {
        keyed: Keyed::Dtls {
            ufrag: attribute(sdp, "ice-ufrag").to_owned(),
            fingerprint: [0; 32],
            setup: DtlsSetup::ActPass,
        },
        voices: vec![Voice::Opus(111)],
        telephone_event: Some(126),
        mid: "audio".to_owned(),
        ssrc: Some(attribute(sdp, "ssrc").split(' ').next().unwrap().parse().unwrap()),
    }
}

/// Level of a frequency in a recording at 16 kHz.
pub(super) fn level(pcm: &[i16], hz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in pcm.iter().enumerate() {
        let angle = std::f64::consts::TAU * hz * n as f64 / 16_000.0;
        re += f64::from(*sample) * angle.cos();
        im += f64::from(*sample) * angle.sin();
    }
    2.0 * re.hypot(im) / pcm.len().max(1) as f64
}
