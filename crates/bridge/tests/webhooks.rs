//! Webhooks into the running bridge: what is for no call is told in metrics, alarms, and to those that it is for.
#![expect(clippy::disallowed_methods, reason = "a test runs its own destination")]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use bridge::app::{self, Running};
use bridge::config::Config;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

fn sign(secret: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body.as_bytes())))
}

struct Desk {
    bridge: Running,
    client: reqwest::Client,
}

impl Desk {
    async fn start(more: &str) -> Self {
        let text = format!(
            r#"
            sip.bind = "127.0.0.1:0"
            admin.listen = "127.0.0.1:0"
            journal.enabled = false
            media.pbx = {{ bind = "127.0.0.1", ports = "21000-21019" }}
            media.whatsapp = {{ bind = "127.0.0.1", ports = "31000-31019" }}
            [webhook]
            listen = "127.0.0.1:0"
            app_secret = [{{ env = "OLD" }}, {{ env = "NEW" }}]
            verify_token = {{ env = "NEW" }}
            {more}
            [[trunk]]
            name = "office"
            sources = ["127.0.0.1"]
            target = "127.0.0.1:5999"
            [[number]]
            phone_number_id = "1065"
            display = "+15550001234"
            token = {{ env = "NEW" }}
            trunk = "office"
            "#
        );
        let env = |name: &str| Some(name.to_lowercase());
        let config = Config::parse(&text, Path::new("f"), &env).unwrap_or_else(|errors| panic!("{errors}"));
        let bridge = app::start(config).await.expect("it starts");
        Self { bridge, client: reqwest::Client::new() }
    }

    async fn post(&self, secret: &str, body: &str) -> u16 {
        let url = format!("http://{}/webhook", self.bridge.webhook_addr());
        let request = self.client.post(url).header("X-Hub-Signature-256", sign(secret, body));
        request.body(body.to_owned()).send().await.expect("an answer").status().as_u16()
    }

    /// One change of a field.
    async fn change(&self, field: &str, value: &str) {
        let body =
            format!(r#"{{"entry":[{{"id":"77","changes":[{{"field":"{field}","value":{value}}}]}}]}}"#);
        assert_eq!(self.post("new", &body).await, 200);
    }

    /// Waits until a page of the admin listener reads so.
    async fn until(&self, page: &str, reads: impl Fn(&str) -> bool) {
        let url = format!("http://{}/{page}", self.bridge.admin_addr());
        let mut last = String::new();
        let seen = async {
            loop {
                last = self.client.get(&url).send().await.expect("an answer").text().await.expect("text");
                if reads(&last) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let seen = timeout(PATIENCE, seen).await;
        assert!(seen.is_ok(), "{page} reads\n{last}");
    }

    async fn until_alarm(&self, line: &str) {
        self.until("readyz", |text| text.contains(line)).await;
    }

    async fn until_no_alarm(&self) {
        self.until("readyz", |text| text == "ready\n").await;
    }
}

fn settings(calling: &str) -> String {
    format!(
        r#"{{"type":"phone_number_settings","phone_number_settings":{{"phone_number_id":"1065","calling":{calling}}}}}"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_calls_cannot_work_with_raise_an_alarm_until_they_are_mended() {
    let desk = Desk::start("").await;
    desk.change("account_settings_update", &settings(r#"{"sip":{"status":"ENABLED"}}"#)).await;
    desk.until_alarm("alarm settings 1065: SIP mode is switched on").await;
    desk.change("account_settings_update", &settings(r#"{"sip":{"status":"DISABLED"}}"#)).await;
    desk.until_no_alarm().await;
    desk.change("account_settings_update", &settings(r#"{"status":"DISABLED"}"#)).await;
    desk.until_alarm("alarm settings 1065: calling is switched off").await;
    // Another's number is none of our business.
    let other = settings(r#"{"status":"ENABLED"}"#).replace("1065", "1066");
    desk.change("account_settings_update", &other).await;
    desk.change("account_settings_update", &settings(r#"{"status":"ENABLED"}"#)).await;
    desk.until_no_alarm().await;
    desk.bridge.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restrictions_and_errors_of_a_number_raise_alarms() {
    let desk = Desk::start("").await;
    let restriction = r#"{"phone_number":"15550001234","event":"ACCOUNT_RESTRICTION",
        "restriction_info":[{"restriction_type":"RESTRICTED_USER_INITIATED_CALLING","expiration":99999999999}]}"#;
    desk.change("account_update", restriction).await;
    desk.until_alarm("alarm restricted 1065: WhatsApp says ACCOUNT_RESTRICTION; RESTRICTED_USER").await;
    let violation = r#"{"phone_number":"4930","event":"ACCOUNT_VIOLATION",
        "violation_info":{"violation_type":"LOW_USER_INITIATED_CALLING_QUALITY","remediation":"Answer."}}"#;
    desk.change("account_update", violation).await;
    desk.until_alarm("alarm restricted 77: WhatsApp says ACCOUNT_VIOLATION; LOW_USER").await;
    let unpaid = r#"{"metadata":{"phone_number_id":"1065"},"errors":[{"code":131044}]}"#;
    desk.change("calls", unpaid).await;
    desk.until_alarm("alarm number_refused 1065: WhatsApp delivers no calls (131044)").await;
    desk.bridge.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_for_no_call_is_counted_and_never_fatal() {
    let desk = Desk::start("").await;
    let metadata = r#""metadata":{"phone_number_id":"1065"}"#;
    let message = |message: &str| format!(r#"{{{metadata},"messages":[{message}]}}"#);
    desk.change(
        "messages",
        &message(r#"{"from":"12015550123","interactive":{"call_permission_reply":{"response":"accept"}}}"#),
    )
    .await;
    desk.change(
        "messages",
        &message(r#"{"from_user_id":"US.13","type":"audio","id":"wacid.1","audio":{"id":"5"}}"#),
    )
    .await;
    desk.change("messages", &message(r#"{"from":"12015550123","type":"text"}"#)).await;
    let media = format!(
        r#"{{{metadata},"calls":[{{"id":"wacid.1","event":"call_recording_available"}},{{"id":"wacid.1","event":"call_transcription_available"}}]}}"#
    );
    desk.change("calls", &media).await;
    for kind in ["permission_reply", "voicemail", "other", "recording", "transcription"] {
        let line = format!("wa_bridge_webhook_events_total{{kind=\"{kind}\"}} 1\n");
        desk.until("metrics", |text| text.contains(&line)).await;
    }
    desk.bridge.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_app_secrets_sign_and_a_chat_goes_to_the_chatbot() {
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address: SocketAddr = socket.local_addr().expect("bound");
    let (sender, mut came) = mpsc::unbounded_channel();
    let take = async move |headers: HeaderMap, body: Bytes| {
        let _ = sender.send((headers, body));
    };
    let router = Router::new().route("/bot", post(take));
    tokio::spawn(async move { axum::serve(socket, router).await });
    let desk = Desk::start(&format!(r#"pass_on = [{{ url = "http://key:hunter2@{address}/bot" }}]"#)).await;
    let chat = r#"{ "entry" : [{"changes":[{"field":"messages","value":{"messages":[{"type":"text"}]}}]}]}"#;
    for secret in ["old", "new"] {
        assert_eq!(desk.post(secret, chat).await, 200);
        let (headers, body) = timeout(PATIENCE, came.recv()).await.expect("in time").expect("it came");
        assert_eq!(headers["x-hub-signature-256"].as_bytes(), sign(secret, chat).as_bytes());
        assert_eq!(body, chat.as_bytes());
    }
    assert_eq!(desk.post("third", chat).await, 401);
    assert_eq!(desk.post("old", r#"{"entry":[{"changes":[{"field":"calls","value":{}}]}]}"#).await, 200);
    desk.until("metrics", |text| text.contains("what=\"passed_on\"} 2\n")).await;
    desk.bridge.shutdown().await;
    assert!(came.try_recv().is_err(), "a call or a forgery was passed on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_is_down_is_an_alarm_without_its_url() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("bound");
    let desk = Desk::start(&format!(r#"pass_on = [{{ url = "http://key:hunter2@{free}/hunter2" }}]"#)).await;
    desk.change("messages", "{}").await;
    desk.until_alarm(&format!("alarm pass_on http://{free}: webhooks can't be passed on")).await;
    desk.until("readyz", |text| !text.contains("hunter2")).await;
}
