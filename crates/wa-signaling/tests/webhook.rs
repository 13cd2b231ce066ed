//! The webhook listener over a real socket.
#![expect(clippy::disallowed_methods, reason = "a test runs its own listener")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, Response};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use wa_signaling::webhook::server::router;
use wa_signaling::{Secret, WebhookConfig, WebhookCounters, WebhookEvent};

const STATUS: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"3666","changes":[{"field":"calls","value":{
    "metadata":{"phone_number_id":"4366","display_phone_number":"13175551399"},
    "statuses":[{"id":"wacid.one","type":"call","status":"RINGING"},{"id":"wacid.two","type":"call","status":"ACCEPTED"}]}}]}]}"#;

struct Listener {
    address: SocketAddr,
    events: mpsc::Receiver<WebhookEvent>,
    counters: Arc<WebhookCounters>,
    app_secret: Arc<Mutex<&'static str>>,
    client: Client,
}

impl Listener {
    async fn start(queue: usize) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (sender, events) = mpsc::channel(queue);
        let counters = Arc::new(WebhookCounters::default());
        let app_secret = Arc::new(Mutex::new("app secret"));
        let current = Arc::clone(&app_secret);
        let config = WebhookConfig {
            path: "/webhook".into(),
            app_secrets: Arc::new(move || {
                vec![Secret::new(*current.lock().expect("no panic")), Secret::new("of another app")]
            }),
            verify_token: Arc::new(|| Secret::new("to&ken=1 ")),
            pass_on: None,
        };
        let router = router(config, sender, Arc::clone(&counters));
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(socket, router).await });
        Self { address, events, counters, app_secret, client: Client::new() }
    }

    fn url(&self) -> String {
        format!("http://{}/webhook", self.address)
    }

    async fn post(&self, signature: Option<String>, body: impl Into<reqwest::Body>) -> u16 {
        let mut request = self.client.post(self.url()).body(body);
        if let Some(signature) = signature {
            request = request.header("X-Hub-Signature-256", signature);
        }
        request.send().await.expect("an answer").status().as_u16()
    }

    async fn post_signed(&self, body: &str) -> u16 {
        self.post(Some(sign("app secret", body)), body.to_owned()).await
    }

    async fn get(&self, query: &str) -> Response {
        self.client.get(format!("{}?{query}", self.url())).send().await.expect("an answer")
    }

    /// The counters that are not zero.
    fn counted(&self) -> Vec<(&'static str, u64)> {
        self.counters.read().into_iter().filter(|(_, value)| *value > 0).collect()
    }
}

fn sign(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn signed_events_reach_the_queue() {
    let mut listener = Listener::start(8).await;
    assert_eq!(listener.post_signed(STATUS).await, 200);
    for wacid in ["wacid.one", "wacid.two"] {
        let Some(WebhookEvent::Status(status)) = listener.events.recv().await else {
            panic!("a status");
        };
        assert_eq!(status.wacid.as_str(), wacid);
    }
    assert_eq!(listener.counted(), [("accepted", 1), ("events", 2)]);
}

#[tokio::test]
async fn a_wrong_or_missing_signature_gets_401() {
    let mut listener = Listener::start(8).await;
    let reserialised = STATUS.replace(' ', "");
    let wrong = [
        None,
        Some(String::new()),
        Some(sign("another secret", STATUS)),
        Some(sign("app secret", &reserialised)),
        Some(sign("app secret", STATUS).replace("sha256", "sha1")),
        Some(sign("app secret", STATUS).replace("sha256=", "")),
    ];
    let count = wrong.len() as u64;
    for signature in wrong {
        assert_eq!(listener.post(signature.clone(), STATUS).await, 401, "{signature:?}");
    }
    assert_eq!(listener.counted(), [("bad_signature", count)]);
    assert!(listener.events.try_recv().is_err());
}

#[tokio::test]
async fn a_broken_body_is_judged_by_its_signature_first() {
    let listener = Listener::start(8).await;
    assert_eq!(listener.post(Some(sign("wrong", "{")), "{").await, 401);
    for body in ["{", "", "[]", &"[".repeat(1000)] {
        assert_eq!(listener.post_signed(body).await, 400, "{body}");
    }
    assert_eq!(listener.counted(), [("bad_signature", 1), ("bad_json", 4)]);
}

#[tokio::test]
async fn a_body_over_3_mib_gets_413() {
    let listener = Listener::start(8).await;
    let padded = format!("{STATUS}{}", " ".repeat(3 * 1024 * 1024 - STATUS.len()));
    assert_eq!(listener.post_signed(&padded).await, 200);
    assert_eq!(listener.post_signed(&format!("{padded} ")).await, 413);
    assert_eq!(listener.counted(), [("accepted", 1), ("events", 2), ("too_big", 1)]);
}

/// Without a length in front the cap has to hold while reading.
#[tokio::test]
async fn a_chunked_body_is_cut_off_at_the_cap() {
    let listener = Listener::start(8).await;
    let mut socket = TcpStream::connect(listener.address).await.expect("listening");
    let head = "POST /webhook HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: sha256=00\r\nTransfer-Encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.expect("sent");
    let (mut reader, mut writer) = socket.into_split();
    let sender = tokio::spawn(async move {
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        // Endless: the listener is the one who stops it.
        while writer.write_all(chunk.as_bytes()).await.is_ok() {}
    });
    let mut answer = [0; 12];
    reader.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 413");
    sender.abort();
}

#[tokio::test]
async fn a_full_queue_gets_503_and_nothing_of_the_batch_goes_in() {
    let mut listener = Listener::start(3).await;
    assert_eq!(listener.post_signed(STATUS).await, 200);
    assert_eq!(listener.post_signed(STATUS).await, 503);
    assert_eq!(listener.counted(), [("accepted", 1), ("events", 2), ("queue_full", 1)]);
    assert!(listener.events.recv().await.is_some() && listener.events.recv().await.is_some());
    assert!(listener.events.try_recv().is_err(), "half a batch was queued");
    assert_eq!(listener.post_signed(STATUS).await, 200);
}

#[tokio::test]
async fn nobody_listening_gets_503() {
    let mut listener = Listener::start(8).await;
    listener.events.close();
    assert_eq!(listener.post_signed(STATUS).await, 503);
}

#[tokio::test]
async fn a_new_app_secret_counts_at_once() {
    let listener = Listener::start(8).await;
    assert_eq!(listener.post_signed(STATUS).await, 200);
    *listener.app_secret.lock().expect("no panic") = "new secret";
    assert_eq!(listener.post_signed(STATUS).await, 401);
    assert_eq!(listener.post(Some(sign("new secret", STATUS)), STATUS).await, 200);
    *listener.app_secret.lock().expect("no panic") = "";
    assert_eq!(listener.post(Some(sign("", STATUS)), STATUS).await, 401);
}

#[tokio::test]
async fn each_of_several_app_secrets_may_sign() {
    let listener = Listener::start(8).await;
    for secret in ["app secret", "of another app"] {
        assert_eq!(listener.post(Some(sign(secret, STATUS)), STATUS).await, 200, "{secret}");
    }
    assert_eq!(listener.post(Some(sign("of a third app", STATUS)), STATUS).await, 401);
}

/// Failure mode 10, as far as it is the listener's: the same webhook again is taken again, for it is the call
/// that knows what it has seen.
#[tokio::test]
async fn a_webhook_that_comes_three_times_gets_200_each_time() {
    let mut listener = Listener::start(8).await;
    let post = || listener.post_signed(STATUS);
    assert_eq!(tokio::join!(post(), post(), post()), (200, 200, 200));
    let first = (listener.events.recv().await, listener.events.recv().await);
    for _ in 0..2 {
        assert_eq!((listener.events.recv().await, listener.events.recv().await), first);
    }
}

/// Failure mode 13.
#[tokio::test]
async fn spoofed_webhooks_get_401_and_no_work_is_done() {
    let mut listener = Listener::start(8).await;
    let deep = "[".repeat(10_000);
    let flipped = STATUS.replacen("RINGING", "RINGINH", 1);
    let upper = format!("sha256={}", sign("app secret", STATUS)["sha256=".len()..].to_uppercase());
    let spoofs = [
        (sign("app secret", STATUS), flipped.as_str()),
        (sign("another app's secret", STATUS), STATUS),
        (sign("", ""), ""),
        (format!("sha1={}", &sign("app secret", STATUS)["sha256=".len()..][..40]), STATUS),
        (sign("wrong", &deep), &deep),
        (format!("{} ", &upper[..70]), STATUS),
    ];
    for (signature, body) in &spoofs {
        assert_eq!(listener.post(Some(signature.clone()), (*body).to_owned()).await, 401, "{signature}");
    }
    assert_eq!(listener.counted(), [("bad_signature", spoofs.len() as u64)], "none was parsed");
    assert!(listener.events.try_recv().is_err());
    assert_eq!(listener.post(Some(upper), STATUS).await, 200, "hex may be in capitals");
    // The right secret opens no other way in.
    assert_eq!(listener.post_signed(&deep).await, 400);
    assert_eq!(listener.post_signed(&"x".repeat(3 * 1024 * 1024 + 1)).await, 413);
}

/// Those who send slowly hold room; who comes on top is asked to come again, and is welcome when there is room.
#[tokio::test]
async fn bodies_beyond_what_is_read_at_once_get_503() {
    let listener = Listener::start(8).await;
    let head = format!(
        "POST /webhook HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: sha256=00\r\nContent-Length: {}\r\n\r\n",
        3 * 1024 * 1024
    );
    let mut slow = Vec::new();
    for _ in 0..64 {
        let mut socket = TcpStream::connect(listener.address).await.expect("listening");
        socket.write_all(head.as_bytes()).await.expect("sent");
        slow.push(socket);
    }
    // Wrongly signed: 401 as long as there is room to read it.
    let until = async |status| while listener.post(Some(sign("wrong", STATUS)), STATUS).await != status {};
    let limit = std::time::Duration::from_secs(9);
    tokio::time::timeout(limit, until(503)).await.expect("no room at last");
    drop(slow);
    tokio::time::timeout(limit, until(401)).await.expect("room again");
}

#[tokio::test]
async fn the_challenge_goes_to_who_knows_the_token() {
    let listener = Listener::start(8).await;
    let answer =
        listener.get("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=to%26ken%3D1+").await;
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.text().await.expect("text"), "1158201444");
    assert_eq!(listener.counted(), [("verified", 1)]);
}

#[tokio::test]
async fn every_other_verification_gets_403() {
    let listener = Listener::start(8).await;
    let wrong = [
        "",
        "hub.challenge=1",
        "hub.mode=subscribe&hub.challenge=1",
        "hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
        "hub.mode=subscribe&hub.challenge=1&hub.verify_token=token",
        "hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=to%26ken%3D1+",
        "hub.challenge=1&hub.verify_token=to%26ken%3D1+",
        "%ff%fe&&==&hub.mode",
    ];
    for query in wrong {
        let answer = listener.get(query).await;
        assert_eq!(answer.status().as_u16(), 403, "{query}");
        assert_eq!(answer.text().await.expect("text"), "");
    }
    assert_eq!(listener.counted(), [("verify_refused", wrong.len() as u64)]);
}

#[tokio::test]
async fn other_paths_and_methods_are_not_ours() {
    let listener = Listener::start(8).await;
    let other = listener.client.get(format!("http://{}/", listener.address)).send().await.expect("an answer");
    assert_eq!(other.status().as_u16(), 404);
    let put = listener.client.put(listener.url()).send().await.expect("an answer");
    assert_eq!(put.status().as_u16(), 405);
}
