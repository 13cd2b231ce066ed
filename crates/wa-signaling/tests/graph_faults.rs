//! The Graph client against a server that hangs, breaks, floods, refuses and recovers.
#![expect(clippy::disallowed_methods, reason = "a test runs its own server")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wa_signaling::graph::breaker::{FAILURES, PROBE_PAUSE};
use wa_signaling::graph::settings::{CallingSettings, SettingsChange};
use wa_signaling::permission::Status;
use wa_signaling::{
    Callee, ErrorKind, GraphClient, GraphConfig, GraphError, GraphEvent, PermissionRequest, PhoneNumberId,
    Secret, TimeLimits, Trouble, Wacid,
};

const SDP: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n";
/// Long enough for what answers, short enough for what does not.
const LIMIT: Duration = Duration::from_secs(5);

/// What was asked: method, path with query, body, token.
type Asked = (Method, String, Value, String);
type Answer = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

#[derive(Clone)]
struct Server {
    answer: Answer,
    asked: Arc<Mutex<Vec<Asked>>>,
}

enum Reply {
    Now(u16, Value, Option<&'static str>),
    /// Never.
    Hang,
}

fn ok(body: Value) -> Reply {
    Reply::Now(200, body, None)
}

fn refused(code: u32) -> Reply {
    Reply::Now(400, json!({"error": {"code": code, "message": "A title"}}), None)
}

async fn handle(State(server): State<Server>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    let token = parts.headers["authorization"].to_str().expect("text").to_owned();
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let asked = (parts.method, path, serde_json::from_slice(&body).unwrap_or_default(), token);
    let reply = (server.answer)(&asked);
    server.asked.lock().expect("no panic").push(asked);
    let Reply::Now(status, body, retry_after) = reply else {
        return std::future::pending().await;
    };
    let mut response = Response::builder().status(status);
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    response.body(Body::from(body.to_string())).expect("a response")
}

struct Bench {
    client: GraphClient,
    asked: Arc<Mutex<Vec<Asked>>>,
    events: Arc<Mutex<Vec<(bool, Trouble)>>>,
}

impl Bench {
    async fn new(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let asked = Arc::default();
        let server = Server { answer: Arc::new(answer), asked: Arc::clone(&asked) };
        let router = Router::new().fallback(handle).with_state(server);
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(socket, router).await });
        let (client, events) = client(address, LIMIT);
        Self { client, asked, events }
    }

    async fn connect(&self, token: &str) -> Result<Wacid, ErrorKind> {
        connect(&self.client, token).await
    }

    async fn terminate(&self) -> Result<(), GraphError> {
        let call = "wacid.1".parse().expect("an id");
        self.client.terminate(&number(), &token(), &call).await
    }

    fn asked(&self) -> usize {
        self.asked.lock().expect("no panic").len()
    }

    fn last(&self) -> Asked {
        self.asked.lock().expect("no panic").last().cloned().expect("a request")
    }

    fn events(&self) -> Vec<(bool, Trouble)> {
        std::mem::take(&mut *self.events.lock().expect("no panic"))
    }
}

type Events = Arc<Mutex<Vec<(bool, Trouble)>>>;

fn client(address: SocketAddr, limit: Duration) -> (GraphClient, Events) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let events = Events::default();
    let heard = Arc::clone(&events);
    let mut config = GraphConfig::new(format!("http://{address}"), "v25.0");
    config.limits = TimeLimits::all(limit);
    config.on_change = Some(Arc::new(move |event| {
        let event = match event {
            GraphEvent::Begun { trouble, .. } => (true, trouble),
            GraphEvent::Over { trouble, .. } => (false, trouble),
        };
        heard.lock().expect("no panic").push(event);
    }));
    (GraphClient::new(config).expect("a client"), events)
}

async fn connect(client: &GraphClient, token: &str) -> Result<Wacid, ErrorKind> {
    let reply = client.connect(&number(), &Secret::new(token), &user(), SDP, "mark").await;
    reply.map_err(|error| error.kind())
}

fn number() -> PhoneNumberId {
    "106540352242922".parse().expect("an id")
}

fn user() -> Callee {
    Callee::Phone("14085550100".into())
}

fn token() -> Secret {
    Secret::new("EAAG-token")
}

fn called() -> Value {
    json!({"messaging_product": "whatsapp", "calls": [{"id": "wacid.1"}], "success": true})
}

/// Reads one request whole.
async fn request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        assert_ne!(stream.read_buf(&mut request).await.expect("a request"), 0);
    }
}

/// A server that treats every connection like this, and how many there were.
async fn raw<F>(treat: impl Fn(TcpStream) -> F + Send + 'static) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("bound");
    let count = Arc::new(AtomicUsize::new(0));
    let connections = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(treat(stream));
        }
    });
    (address, count)
}

#[tokio::test]
async fn a_connect_whose_connection_is_reset_is_not_repeated() {
    let (address, connections) = raw(|mut stream| async move {
        request(&mut stream).await;
        stream.set_zero_linger().expect("a socket");
    })
    .await;
    let (client, _) = client(address, LIMIT);
    assert_eq!(connect(&client, "token").await, Err(ErrorKind::Transport));
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn half_an_answer_is_a_transport_error_and_not_repeated() {
    let (address, connections) = raw(|mut stream| async move {
        request(&mut stream).await;
        let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"calls\":[{\"id\":\"wacid.1\"}]";
        stream.write_all(half).await.expect("written");
    })
    .await;
    let (client, _) = client(address, LIMIT);
    assert_eq!(connect(&client, "token").await, Err(ErrorKind::Transport));
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_hang_after_the_headers_ends_at_the_time_limit_and_is_not_repeated() {
    let (address, connections) = raw(|mut stream| async move {
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").await.expect("written");
        std::future::pending::<()>().await;
    })
    .await;
    let (client, _) = client(address, Duration::from_millis(300));
    assert_eq!(connect(&client, "token").await, Err(ErrorKind::Timeout));
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_answer_that_never_ends_is_cut() {
    let (address, _) = raw(|mut stream| async move {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b' '; 4096]).await.is_ok() {}
    })
    .await;
    let (client, _) = client(address, LIMIT);
    assert_eq!(connect(&client, "token").await, Err(ErrorKind::BadResponse));
}

#[tokio::test]
async fn an_answer_nested_too_deep_is_not_read() {
    let (address, _) = raw(|mut stream| async move {
        request(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n";
        stream.write_all(&[&head[..], &[b'['; 10_000]].concat()).await.expect("written");
    })
    .await;
    let (client, _) = client(address, LIMIT);
    let error = client.connect(&number(), &token(), &user(), SDP, "mark").await.expect_err("too deep");
    assert!(error.to_string().contains("nested deeper"), "{error}");
}

#[tokio::test]
async fn connects_that_hang_do_not_delay_a_terminate() {
    let bench = Bench::new(|(_, _, body, _)| match body["action"].as_str() {
        Some("connect") => Reply::Hang,
        _ => ok(json!({"success": true})),
    })
    .await;
    let client = bench.client.clone();
    let hanging: Vec<_> = (0..200)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { connect(&client, "EAAG-token").await })
        })
        .collect();
    while bench.asked() < 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(2), bench.terminate()).await;
    assert_eq!(ended.expect("within two seconds"), Ok(()));
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_dead_token_is_not_sent_again_until_it_is_another_and_ends_still_go_out() {
    let bench = Bench::new(|(.., token)| match token.as_str() {
        "Bearer EAAG-new" => ok(called()),
        _ => Reply::Now(401, json!({"error": {"code": 190, "message": "Expired"}}), None),
    })
    .await;
    assert_eq!(bench.connect("EAAG-token").await, Err(ErrorKind::TokenInvalid));
    assert_eq!(bench.events(), [(true, Trouble::Token)]);
    for _ in 0..10 {
        assert_eq!(bench.connect("EAAG-token").await, Err(ErrorKind::TokenInvalid));
    }
    assert_eq!(bench.asked(), 1, "held");
    assert_eq!(bench.terminate().await.expect_err("refused").kind(), ErrorKind::TokenInvalid);
    assert_eq!(bench.asked(), 2, "an end is tried");
    bench.events();
    assert!(bench.connect("EAAG-new").await.is_ok());
    assert_eq!(bench.events(), [(false, Trouble::Token)]);
}

#[tokio::test]
async fn a_rate_limit_holds_connects_for_its_time_and_no_end() {
    for (retry_after, rest) in [(Some("1"), 1), (None, 5)] {
        let count = AtomicUsize::new(0);
        let bench = Bench::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
            0 => Reply::Now(429, json!({"error": {"code": 130_429, "message": "Slow down"}}), retry_after),
            _ => ok(called()),
        })
        .await;
        assert_eq!(bench.connect("EAAG-token").await, Err(ErrorKind::RateLimited));
        assert_eq!(bench.connect("EAAG-token").await, Err(ErrorKind::RateLimited));
        assert_eq!(bench.asked(), 1, "the second connect was held");
        assert_eq!(bench.terminate().await, Ok(()));
        assert_eq!(bench.asked(), 2);
        tokio::time::sleep(Duration::from_secs(rest)).await;
        assert!(bench.connect("EAAG-token").await.is_ok(), "after {rest} s");
        assert_eq!(bench.events(), [(true, Trouble::RateLimit), (false, Trouble::RateLimit)]);
    }
}

#[tokio::test]
async fn an_outage_lets_one_probe_through_which_ends_it() {
    let (count, failures) = (AtomicUsize::new(0), FAILURES as usize);
    let bench = Bench::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        at if at < failures => Reply::Now(503, json!({"error": {"code": 2, "message": "Later"}}), None),
        _ => ok(called()),
    })
    .await;
    for _ in 0..FAILURES {
        assert_eq!(bench.connect("EAAG-token").await, Err(ErrorKind::Outage));
    }
    for _ in 0..20 {
        assert_eq!(bench.connect("EAAG-token").await, Err(ErrorKind::Unavailable));
    }
    assert_eq!(bench.asked(), failures);
    tokio::time::sleep(PROBE_PAUSE).await;
    let all = futures(&bench.client, 20).await;
    assert_eq!(all.iter().filter(|reply| **reply == Err(ErrorKind::Unavailable)).count(), 19);
    assert_eq!(bench.asked(), failures + 1, "one probe");
    assert!(bench.connect("EAAG-token").await.is_ok());
    assert_eq!(bench.events(), [(true, Trouble::Outage), (false, Trouble::Outage)]);
}

/// So many connects, begun before the first is answered.
async fn futures(client: &GraphClient, count: usize) -> Vec<Result<Wacid, ErrorKind>> {
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { connect(&client, "EAAG-token").await })
        })
        .collect();
    let mut replies = Vec::new();
    for task in tasks {
        replies.push(task.await.expect("no panic"));
    }
    replies
}

#[tokio::test]
async fn missing_rights_are_told_and_hold_nothing() {
    let count = AtomicUsize::new(0);
    let bench = Bench::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => refused(200),
        _ => ok(called()),
    })
    .await;
    assert_eq!(bench.connect("EAAG-token").await, Err(ErrorKind::NotAuthorized));
    assert!(bench.connect("EAAG-token").await.is_ok());
    assert_eq!(bench.events(), [(true, Trouble::NumberRefused), (false, Trouble::NumberRefused)]);
}

#[tokio::test]
async fn settings_are_read_and_changed_one_feature_at_a_time() {
    let bench = Bench::new(|(method, ..)| match *method {
        Method::GET => ok(json!({"calling": {"status": "ENABLED", "sip": {"status": "ENABLED"}}})),
        _ => ok(json!({"success": true})),
    })
    .await;
    let settings: CallingSettings = bench.client.settings(&number(), &token()).await.expect("settings");
    assert!(settings.enabled == Some(true) && settings.sip.is_some_and(|sip| sip.enabled));
    assert_eq!(bench.last().1, "/v25.0/106540352242922/settings");
    let change = SettingsChange::SipMode(false);
    bench.client.set_settings(&number(), &token(), &change).await.expect("changed");
    let (method, path, body, _) = bench.last();
    assert_eq!((method, path.as_str()), (Method::POST, "/v25.0/106540352242922/settings"));
    assert_eq!(body, json!({"calling": {"sip": {"status": "DISABLED"}}}));
}

#[tokio::test]
async fn permissions_are_asked_for_by_number_and_by_bsuid() {
    let bench =
        Bench::new(|_| ok(json!({"permission": {"status": "temporary", "expiration_time": 7}}))).await;
    let (client, number, token) = (&bench.client, number(), token());
    let permission = client.call_permission(&number, &token, &user()).await.expect("a permission");
    assert_eq!((permission.status, permission.expires), (Status::Temporary, Some(7)));
    assert_eq!(bench.last().1, "/v25.0/106540352242922/call_permissions?user_wa_id=14085550100");
    client.call_permission(&number, &token, &Callee::Bsuid("US.1349".into())).await.expect("a permission");
    assert_eq!(bench.last().1, "/v25.0/106540352242922/call_permissions?recipient=US.1349");
}

#[tokio::test]
async fn a_permission_request_is_a_message() {
    let bench = Bench::new(|_| ok(json!({"messages": [{"id": "wamid.1"}]}))).await;
    let request = PermissionRequest::FreeForm { body: "May we call?".into() };
    let id = bench.client.request_permission(&number(), &token(), &user(), &request).await;
    assert_eq!(id.as_deref(), Ok("wamid.1"));
    let (method, path, body, _) = bench.last();
    assert_eq!((method, path.as_str()), (Method::POST, "/v25.0/106540352242922/messages"));
    assert_eq!(body["interactive"]["type"], "call_permission_request");
}

#[tokio::test]
async fn codes_of_messages_and_settings_have_kinds_of_their_own() {
    let bench =
        Bench::new(|(_, path, ..)| refused(if path.contains("messages") { 138_009 } else { 138_015 })).await;
    let request = PermissionRequest::FreeForm { body: "May we call?".into() };
    let error = bench.client.request_permission(&number(), &token(), &user(), &request).await;
    assert_eq!(error.expect_err("refused").kind(), ErrorKind::PermissionRequestLimit);
    let change = SettingsChange::Calling(true);
    let error = bench.client.set_settings(&number(), &token(), &change).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::MessagingLimit);
}

#[tokio::test]
async fn subscriptions_tokens_and_numbers_are_where_graph_has_them() {
    let bench = Bench::new(|(_, path, ..)| match path {
        path if path.contains("debug_token") => ok(json!({"data": {"is_valid": true, "expires_at": 0}})),
        path if path.contains("subscri") => ok(json!({"success": true, "data": []})),
        _ => ok(json!({"display_phone_number": "+1 408-555-0100"})),
    })
    .await;
    let (client, token) = (&bench.client, token());
    let app_token = Secret::new("600100|secret");
    assert!(client.subscribed_apps("7001", &token).await.expect("apps").is_empty());
    assert_eq!(bench.last().1, "/v25.0/7001/subscribed_apps");
    client.subscribe_app("7001", &token).await.expect("subscribed");
    assert_eq!(bench.last().0, Method::POST);
    assert!(client.subscriptions("600100", &app_token).await.expect("subscriptions").is_empty());
    assert_eq!(bench.last().3, "Bearer 600100|secret");
    let (url, verify) = ("https://example.com/hook", Secret::new("verify"));
    client.set_subscription("600100", &app_token, url, &verify, &["calls", "messages"]).await.expect("set");
    let (_, path, body, _) = bench.last();
    assert_eq!(path, "/v25.0/600100/subscriptions");
    assert_eq!((&body["fields"], &body["verify_token"]), (&json!("calls,messages"), &json!("verify")));
    assert!(client.debug_token(&token, &app_token).await.expect("a token").valid);
    assert_eq!(bench.last().1, "/v25.0/debug_token?input_token=EAAG-token");
    let info = client.number(&number(), &token).await.expect("a number");
    assert_eq!(info.display.as_deref(), Some("+1 408-555-0100"));
    assert!(bench.last().1.starts_with("/v25.0/106540352242922?fields=display_phone_number%2C"));
}

#[tokio::test]
async fn a_token_in_an_address_is_in_no_error() {
    let (address, _) = raw(|stream| async move { drop(stream) }).await;
    let (client, _) = client(address, LIMIT);
    let error = client.debug_token(&token(), &Secret::new("app")).await.expect_err("closed");
    assert!(!format!("{error} {error:?}").contains("EAAG"), "{error}");
}
