//! The Graph client against a small server that answers what it is told.
#![expect(clippy::disallowed_methods, reason = "a test runs its own server")]

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, Response, Uri};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wa_signaling::{
    Callee, ErrorKind, GraphClient, GraphConfig, GraphError, PhoneNumberId, Secret, TimeLimits, Wacid,
};

const SUCCESS: &str = r#"{"messaging_product":"whatsapp","success":true}"#;
const SDP: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n";

type Answer = fn() -> Response<Body>;

#[derive(Default)]
struct Seen {
    requests: Vec<(Method, Uri, HeaderMap, serde_json::Value)>,
    peers: HashSet<SocketAddr>,
}

#[derive(Clone)]
struct Graph {
    answer: Answer,
    seen: Arc<Mutex<Seen>>,
}

async fn handle(
    State(graph): State<Graph>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let mut seen = graph.seen.lock().expect("no panic");
    seen.peers.insert(peer);
    let body = serde_json::from_slice(&body).unwrap_or_default();
    seen.requests.push((method, uri, headers, body));
    (graph.answer)()
}

/// A client whose server answers everything with `answer`.
async fn graph(answer: Answer) -> (GraphClient, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let router = Router::new().fallback(handle).with_state(Graph { answer, seen: Arc::clone(&seen) });
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("bound");
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(socket, service).await });
    (client(&format!("http://{address}/"), Duration::from_secs(20)), seen)
}

fn client(base_url: &str, limit: Duration) -> GraphClient {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut config = GraphConfig::new(base_url, "v25.0");
    config.limits = TimeLimits::all(limit);
    GraphClient::new(config).expect("a client")
}

fn number() -> PhoneNumberId {
    "106540352242922".parse().expect("an id")
}

fn call() -> Wacid {
    "wacid.ABGGFjFVU2AfAgo6V".parse().expect("an id")
}

fn token() -> Secret {
    Secret::new("EAAG-token")
}

fn reply(status: u16, body: impl Into<Body>) -> Response<Body> {
    Response::builder().status(status).body(body.into()).expect("a response")
}

async fn terminate(client: &GraphClient) -> Result<(), GraphError> {
    client.terminate(&number(), &token(), &call()).await
}

#[tokio::test]
async fn connect_asks_and_gets_a_call_id() {
    let (client, seen) = graph(|| {
        reply(200, r#"{"messaging_product":"whatsapp","calls":[{"id":"wacid.ABGGFjFVU2AfAgo6V"}]}"#)
    })
    .await;
    let to = Callee::Phone("14085551234".into());
    let wacid = client.connect(&number(), &token(), &to, SDP, "call-7").await;
    assert_eq!(wacid, Ok(call()));

    let seen = seen.lock().expect("no panic");
    let (method, uri, headers, body) = &seen.requests[0];
    assert_eq!((method, uri.path()), (&Method::POST, "/v25.0/106540352242922/calls"));
    assert_eq!(headers["authorization"], "Bearer EAAG-token");
    assert_eq!(headers["content-type"], "application/json");
    let expected = serde_json::json!({
        "messaging_product": "whatsapp", "to": "14085551234", "action": "connect",
        "session": {"sdp_type": "offer", "sdp": SDP}, "biz_opaque_callback_data": "call-7"
    });
    assert_eq!(*body, expected);
}

#[tokio::test]
async fn the_other_operations_send_their_action() {
    let (client, seen) = graph(|| reply(200, SUCCESS)).await;
    let (number, token, call) = (number(), token(), call());
    client.pre_accept(&number, &token, &call, SDP).await.expect("success");
    client.accept(&number, &token, &call, SDP, "call-7").await.expect("success");
    client.reject(&number, &token, &call).await.expect("success");
    client.terminate(&number, &token, &call).await.expect("success");
    let seen = seen.lock().expect("no panic");
    let actions: Vec<_> =
        seen.requests.iter().map(|(.., body)| body["action"].as_str().unwrap_or_default()).collect();
    assert_eq!(actions, ["pre_accept", "accept", "reject", "terminate"]);
    assert!(seen.requests.iter().all(|(.., body)| body["call_id"] == "wacid.ABGGFjFVU2AfAgo6V"));
    assert_eq!(seen.peers.len(), 2, "one connection for ends, one for the rest, both used again");
}

#[tokio::test]
async fn an_error_envelope_comes_back_typed() {
    let (client, _) = graph(|| {
        let body = r#"{"error":{"message":"(#138006) No permission","type":"OAuthException","code":138006,
            "error_data":{"messaging_product":"whatsapp","details":"No approved call permission."},"fbtrace_id":"Az8"}}"#;
        let mut response = reply(401, body);
        response.headers_mut().insert("retry-after", "7".parse().expect("a value"));
        response
    })
    .await;
    let Err(error) = terminate(&client).await else {
        panic!("an error");
    };
    assert_eq!(error.kind(), ErrorKind::NoCallPermission);
    let GraphError::Api(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.http_status, 401);
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(error.fbtrace_id.as_deref(), Some("Az8"));
}

#[tokio::test]
async fn a_gateway_page_is_a_bad_response() {
    let (client, _) = graph(|| reply(502, "<html><h1>Bad Gateway</h1></html>")).await;
    let error = terminate(&client).await.expect_err("502");
    assert_eq!(error.kind(), ErrorKind::BadResponse);
    assert!(error.to_string().contains("HTTP 502"), "{error}");
}

#[tokio::test]
async fn ten_megabytes_are_not_read() {
    let (client, _) = graph(|| reply(200, vec![b' '; 10 * 1024 * 1024])).await;
    let error = terminate(&client).await.expect_err("too long");
    assert_eq!(error, GraphError::BadResponse("longer than 65536 bytes".into()));
}

#[tokio::test]
async fn the_longest_answer_allowed_is_read() {
    let (client, _) = graph(|| reply(200, format!("{SUCCESS}{}", " ".repeat(65_536 - SUCCESS.len())))).await;
    assert_eq!(terminate(&client).await, Ok(()));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (client, seen) = graph(|| {
        let mut response = reply(307, "");
        response.headers_mut().insert("location", "/elsewhere".parse().expect("a value"));
        response
    })
    .await;
    assert_eq!(terminate(&client).await.expect_err("a redirect").kind(), ErrorKind::BadResponse);
    assert_eq!(seen.lock().expect("no panic").requests.len(), 1);
}

/// The server accepts, and says nothing, or half of it.
#[tokio::test]
async fn a_stall_ends_at_the_time_limit() {
    for half in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"] {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("bound");
        let server = tokio::spawn(async move {
            let (mut stream, _) = socket.accept().await?;
            let mut request = Vec::new();
            // An answer before the request would be a broken one, not a slow one.
            while !request.ends_with(b"}") {
                stream.read_buf(&mut request).await?;
            }
            stream.write_all(half.as_bytes()).await?;
            std::future::pending::<()>().await;
            Ok::<_, std::io::Error>(stream)
        });
        let client = client(&format!("http://{address}"), Duration::from_millis(300));
        assert_eq!(terminate(&client).await, Err(GraphError::Timeout), "{half:?}");
        server.abort();
    }
}

#[tokio::test]
async fn a_closed_port_is_a_transport_error() {
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("bound");
    drop(socket);
    let error =
        terminate(&client(&format!("http://{address}"), Duration::from_secs(20))).await.expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(!error.to_string().contains("106540352242922"), "{error}");
}

#[tokio::test]
async fn a_token_that_is_no_header_is_not_shown() {
    let (client, seen) = graph(|| reply(200, SUCCESS)).await;
    let result = client.terminate(&number(), &Secret::new("EAAG\r\nX: y"), &call()).await;
    let error = result.expect_err("not sendable");
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(!format!("{error} {error:?} {client:?}").contains("EAAG"));
    assert!(seen.lock().expect("no panic").requests.is_empty());
}

#[test]
fn a_base_url_is_one_of_http() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    for wrong in ["", "graph.facebook.com", "ftp://graph.facebook.com", "http://"] {
        assert!(GraphClient::new(GraphConfig::new(wrong, "v25.0")).is_err(), "{wrong}");
    }
    assert!(GraphClient::new(GraphConfig::new("https://graph.facebook.com", "v25.0")).is_ok());
}
