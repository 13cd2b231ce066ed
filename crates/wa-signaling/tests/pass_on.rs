//! Webhooks passed on: from a real sender through the listener to a real HTTP server that verifies for itself.
#![expect(clippy::disallowed_methods, reason = "a test runs its own listener and destinations")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, Url};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use wa_signaling::webhook::pass_on::delivery::PassOn;
use wa_signaling::webhook::pass_on::outbox::MOST_LETTERS;
use wa_signaling::webhook::pass_on::{Destination, Fields};
use wa_signaling::webhook::server::router;
use wa_signaling::{Secret, WebhookConfig, WebhookCounters, WebhookEvent};

const SECRET: &str = "app secret";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn sign(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// A chat: with spaces, escapes and a key twice, as no JSON library would write it again.
fn chat(text: &str) -> String {
    format!(
        "{{ \"object\":\"whatsapp_business_account\" ,\"entry\":[{{\"id\":\"1\",\"id\":\"1\",\"changes\":[\n\t{{\"field\":\"messages\",\
         \"value\":{{\"metadata\":{{\"phone_number_id\":\"4366\"}},\"messages\":[{{\"from\":\"1201\",\"type\":\"text\",\
         \"text\":{{\"body\":\"{text} \\u00e9 \\ud83d\\ude00 é 1e2 1.0\"}}}}]}}}}]}}] }}\r\n"
    )
}

fn call() -> &'static str {
    r#"{"entry":[{"id":"1","changes":[{"field":"calls","value":{"metadata":{"phone_number_id":"4366"},
        "statuses":[{"id":"wacid.1","status":"RINGING"}]}}]}]}"#
}

/// A chatbot, say.
struct Crm {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    /// What came, with its headers; only what is signed rightly.
    came: mpsc::UnboundedReceiver<(HeaderMap, Bytes)>,
    /// Each answer takes one.
    may_answer: Arc<Semaphore>,
    task: JoinHandle<()>,
}

impl Crm {
    async fn start(at: &str) -> Self {
        let socket = TcpListener::bind(at).await.expect("a free port");
        let address = socket.local_addr().expect("bound");
        let (sender, came) = mpsc::unbounded_channel();
        let status = Arc::new(AtomicU16::new(200));
        let may_answer = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let (answer, permits) = (Arc::clone(&status), Arc::clone(&may_answer));
        let take = async move |headers: HeaderMap, body: Bytes| {
            permits.acquire().await.expect("never closed").forget();
            if headers.get("x-hub-signature-256").and_then(|value| value.to_str().ok()) != Some(&sign(&body))
            {
                return (StatusCode::UNAUTHORIZED, HeaderMap::new());
            }
            let _ = sender.send((headers, body));
            let mut with = HeaderMap::new();
            with.insert(header::LOCATION, header::HeaderValue::from_static("/elsewhere"));
            (StatusCode::from_u16(answer.load(Ordering::SeqCst)).expect("a status"), with)
        };
        let router = Router::new().route("/hook", post(take));
        let task = tokio::spawn(async move { axum::serve(socket, router).await.expect("it serves") });
        Self { address, status, came, may_answer, task }
    }

    /// One that takes what comes and answers nothing.
    async fn stalled() -> Self {
        let crm = Self::start("127.0.0.1:0").await;
        crm.may_answer.forget_permits(Semaphore::MAX_PERMITS);
        crm
    }

    async fn next(&mut self) -> (HeaderMap, Bytes) {
        timeout(PATIENCE, self.came.recv()).await.expect("it comes").expect("the server lives")
    }

    fn url(&self) -> String {
        format!("http://user:hunter2@{}/hook?key=1", self.address)
    }
}

/// The bridge's side.
struct Bridge {
    address: SocketAddr,
    client: Client,
    events: mpsc::Receiver<WebhookEvent>,
    counters: Arc<WebhookCounters>,
    pass_on: PassOn,
    alarms: Arc<Mutex<Vec<(String, bool)>>>,
}

impl Bridge {
    async fn start(destinations: &[(String, Fields)], queue: usize) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let alarms = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&alarms);
        let on_change = move |label: &str, result: Result<(), String>| {
            let change = (label.to_owned(), result.is_ok());
            assert!(!format!("{result:?}").contains("hunter2"), "{result:?}");
            let mut told = told.lock().expect("no panic");
            if told.last() != Some(&change) {
                told.push(change);
            }
        };
        let destinations = destinations.iter().enumerate().map(|(at, (url, fields))| Destination {
            url: Url::parse(url).expect("a URL"),
            label: format!("d{at}"),
            fields: fields.clone(),
        });
        let pass_on = PassOn::new(destinations.collect(), Arc::new(on_change), || 7).expect("a client");
        tokio::spawn(pass_on.clone().run());
        let (sender, events) = mpsc::channel(queue);
        let counters = Arc::new(WebhookCounters::default());
        let config = WebhookConfig {
            path: "/webhook".into(),
            app_secrets: Arc::new(|| vec![Secret::new(SECRET)]),
            verify_token: Arc::new(|| Secret::new("token")),
            pass_on: Some(pass_on.clone()),
        };
        let router = router(config, sender, Arc::clone(&counters));
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(socket, router).await });
        Self { address, client: Client::new(), events, counters, pass_on, alarms }
    }

    async fn post_with(&self, body: &str, headers: &[(&'static str, &str)]) -> u16 {
        let mut request = self.client.post(format!("http://{}/webhook", self.address)).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.header("X-Hub-Signature-256", sign(body.as_bytes())).send();
        timeout(PATIENCE, answer).await.expect("in time").expect("an answer").status().as_u16()
    }

    async fn post(&self, body: &str) -> u16 {
        self.post_with(body, &[]).await
    }

    /// Waits until all that was taken is delivered or given up.
    async fn emptied(&self) {
        timeout(PATIENCE, self.pass_on.emptied()).await.expect("nothing waits");
    }

    fn counted(&self, name: &str) -> u64 {
        let both = self.counters.read().into_iter().chain(self.pass_on.counters().read());
        both.into_iter().find(|(known, _)| *known == name).expect("a counter").1
    }

    fn alarms(&self) -> Vec<bool> {
        self.alarms.lock().expect("no panic").iter().map(|(_, works)| *works).collect()
    }
}

#[tokio::test]
async fn a_chat_arrives_byte_for_byte_and_its_signature_is_right() {
    let mut crm = Crm::start("127.0.0.1:0").await;
    let bridge = Bridge::start(&[(crm.url(), Fields::default())], 8).await;
    let body = chat("hello");
    let kind = "application/json; charset=\"odd\"";
    assert_eq!(bridge.post_with(&body, &[("content-type", kind), ("x-hub-signature", "sha1=00")]).await, 200);
    // The CRM verifies the signature itself and lets nothing else through.
    let (headers, came) = crm.next().await;
    assert_eq!(came, body.as_bytes());
    assert_eq!(headers["content-type"], kind);
    assert_eq!(
        (&headers["x-hub-signature"], &headers["x-wa-bridge-passed-on"]),
        (&"sha1=00".parse().expect("a value"), &"1".parse().expect("a value"))
    );
    bridge.emptied().await;
    assert_eq!((bridge.counted("passed_on"), bridge.counted("pass_on_retried")), (1, 0));
}

#[tokio::test]
async fn calls_stay_here_and_each_destination_gets_what_it_asked_for() {
    let mut crm = Crm::start("127.0.0.1:0").await;
    let mut second = Crm::start("127.0.0.1:0").await;
    let these = Fields::These(["calls".to_owned()].into());
    let mut bridge = Bridge::start(&[(crm.url(), Fields::default()), (second.url(), these)], 8).await;
    let both = r#"{"entry":[{"changes":[{"field":"calls","value":{}},{"field":"messages","value":{}}]}]}"#;
    for body in [call(), &chat("1"), both] {
        assert_eq!(bridge.post(body).await, 200);
    }
    bridge.emptied().await;
    let (mut at_crm, mut at_second) = (Vec::new(), Vec::new());
    while let Ok((_, body)) = crm.came.try_recv() {
        at_crm.push(body);
    }
    while let Ok((_, body)) = second.came.try_recv() {
        at_second.push(body);
    }
    at_crm.sort();
    at_second.sort();
    let mut expected = [Bytes::from(chat("1")), Bytes::from(both)];
    expected.sort();
    assert_eq!(at_crm, expected);
    let mut expected = [Bytes::from(call()), Bytes::from(both)];
    expected.sort();
    assert_eq!(at_second, expected);
    assert!(matches!(bridge.events.recv().await, Some(WebhookEvent::Status(_))), "the call is ours as well");
}

#[tokio::test]
async fn what_was_passed_on_to_us_is_not_passed_on_again() {
    let mut crm = Crm::start("127.0.0.1:0").await;
    let mut bridge = Bridge::start(&[(crm.url(), Fields::All)], 8).await;
    assert_eq!(bridge.post_with(call(), &[("X-WA-Bridge-Passed-On", "1")]).await, 200);
    assert!(matches!(bridge.events.recv().await, Some(WebhookEvent::Status(_))), "it is read all the same");
    assert_eq!(bridge.post(call()).await, 200);
    crm.next().await;
    bridge.emptied().await;
    assert!(crm.came.try_recv().is_err(), "a loop");
}

#[tokio::test]
async fn what_came_while_a_destination_was_down_arrives_when_it_is_up_again() {
    let first = Crm::start("127.0.0.1:0").await;
    let bridge = Bridge::start(&[(first.url(), Fields::default())], 64).await;
    let address = first.address.to_string();
    first.task.abort();
    assert!(first.task.await.is_err_and(|error| error.is_cancelled()));
    let bodies: Vec<_> = (0..20).map(|at| chat(&at.to_string())).collect();
    for body in &bodies {
        assert_eq!(bridge.post(body).await, 200, "WhatsApp is not asked to wait for it");
    }
    let failed = async {
        while bridge.alarms() != [false] {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, failed).await.expect("an alarm");
    let mut second = Crm::start(&address).await;
    // The oldest is tried alone; the others then come several at a time.
    assert_eq!(second.next().await.1, bodies[0]);
    bridge.emptied().await;
    let mut came: Vec<_> = std::iter::from_fn(|| second.came.try_recv().ok()).map(|(_, body)| body).collect();
    came.sort();
    let mut expected: Vec<_> = bodies[1..].iter().map(|body| Bytes::from(body.clone())).collect();
    expected.sort();
    assert_eq!(came, expected, "each once");
    assert_eq!(bridge.alarms(), [false, true], "the alarm is taken back");
    assert_eq!((bridge.counted("passed_on"), bridge.counted("pass_on_given_up")), (20, 0));
}

#[tokio::test]
async fn what_a_destination_answers_decides_whether_it_is_tried_again() {
    for (status, is_retried) in [
        (400, false),
        (401, false),
        (404, false),
        (408, true),
        (429, true),
        (500, true),
        (503, true),
        (302, true),
    ] {
        let mut crm = Crm::start("127.0.0.1:0").await;
        crm.status.store(status, Ordering::SeqCst);
        let bridge = Bridge::start(&[(crm.url(), Fields::default())], 8).await;
        assert_eq!(bridge.post(&chat("1")).await, 200);
        crm.next().await;
        crm.status.store(204, Ordering::SeqCst);
        bridge.emptied().await;
        let counted = ["passed_on", "pass_on_retried", "pass_on_given_up"].map(|name| bridge.counted(name));
        assert_eq!(counted, if is_retried { [1, 1, 0] } else { [0, 0, 1] }, "{status}");
        assert_eq!(bridge.alarms(), if is_retried { vec![false, true] } else { vec![false] }, "{status}");
    }
}

#[tokio::test]
async fn when_a_destinations_outbox_is_full_whatsapp_hears_503_and_nothing_is_queued() {
    let crm = Crm::stalled().await;
    let mut bridge = Bridge::start(&[(crm.url(), Fields::default())], 2 * MOST_LETTERS).await;
    for _ in 0..MOST_LETTERS {
        assert_eq!(bridge.post(&chat("1")).await, 200);
    }
    let both = chat("2").replace("\"entry\":[", &format!("\"entry\":[{},", &call()[10..call().len() - 2]));
    assert_eq!(bridge.post(&both).await, 503);
    assert_eq!(bridge.counted("pass_on_full"), 1);
    for _ in 0..MOST_LETTERS {
        bridge.events.try_recv().expect("the event of a webhook that was taken");
    }
    assert!(bridge.events.try_recv().is_err(), "an event of the webhook that will come again");
    assert_eq!(bridge.post(call()).await, 200, "calls alone need no room there");
    crm.may_answer.add_permits(1);
    let room = async { while bridge.post(&both).await != 200 {} };
    timeout(PATIENCE, room).await.expect("room for one again");
}

/// Failure mode 15, in the small: nobody takes the events, the destination does not answer, and a thousand
/// webhooks come at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_webhooks_are_answered_while_everything_behind_stalls() {
    let crm = Crm::stalled().await;
    let bridge = Arc::new(Bridge::start(&[(crm.url(), Fields::default())], 600).await);
    let mut posts = JoinSet::new();
    for at in 0..1000 {
        let bridge = Arc::clone(&bridge);
        posts.spawn(async move { bridge.post(&chat(&at.to_string())).await });
    }
    let statuses = timeout(PATIENCE, posts.join_all()).await.expect("all are answered");
    let count = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(200), count(503)), (600, 400), "what found room in the queue of events, and the rest");
    // That none of them waited for anything: nothing has moved behind them.
    assert_eq!((bridge.events.len(), bridge.pass_on.waiting(), bridge.counted("passed_on")), (600, 600, 0));
    assert_eq!(bridge.counted("pass_on_retried"), 0, "not even a time-out has passed");
}
