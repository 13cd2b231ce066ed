//! Webhooks on their way.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::peer::{Bridge, Leg, connect_request};
use crate::whatsapp::{Event, UserCall, WebhookFault, WebhookFaults};

fn call(bridge: &Bridge) {
    bridge.whatsapp.call_business(UserCall::new("4915550001", "Ada")).unwrap().hang_up();
}

#[tokio::test]
async fn a_webhook_is_lost_repeated_or_late() {
    let mut bridge = Bridge::start(|_| ()).await;
    bridge.whatsapp.webhook_fault("connect", 0, &WebhookFault::Lost, 1);
    call(&bridge);
    bridge.hook("terminate").await;
    bridge.whatsapp.webhook_fault("connect", 0, &WebhookFault::Repeated(5), 1);
    call(&bridge);
    for _ in 0..5 {
        bridge.hook("connect").await;
    }
    bridge.hook("terminate").await;
    bridge.whatsapp.webhook_fault("", 0, &WebhookFault::Late(Duration::from_millis(200)), 1);
    call(&bridge);
    bridge.hook("terminate").await;
    bridge.hook("connect").await;
    // The second of three.
    bridge.whatsapp.webhook_fault("terminate", 1, &WebhookFault::Lost, 1);
    for hooks in [&["connect", "terminate"][..], &["connect"], &["connect", "terminate"]] {
        call(&bridge);
        for what in hooks {
            bridge.hook(what).await;
        }
    }
}

#[tokio::test]
async fn webhooks_are_reordered_batched_and_signed_by_another_app() {
    let mut bridge = Bridge::start(|_| ()).await;
    let offer = Leg::new(bridge.whatsapp.media_addr(), 440.0).await.sdp("actpass");
    bridge.whatsapp.reorder_webhooks(&[2, 0, 1]);
    assert_eq!(bridge.graph(connect_request("4915550001", &offer)).await.0, 200);
    for what in ["ACCEPTED", "connect", "RINGING"] {
        bridge.hook(what).await;
    }
    bridge.whatsapp.batch_webhooks(2);
    call(&bridge);
    let hook = bridge.hook("connect").await;
    let entries = hook.body["entry"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[1]["changes"][0]["value"]["calls"][0]["event"], "terminate");
    assert!(hook.signed);
    bridge.whatsapp.webhook_fault("connect", 0, &WebhookFault::Secret("other".to_owned()), 1);
    bridge.whatsapp.webhook_fault("terminate", 0, &WebhookFault::BadSignature, 1);
    call(&bridge);
    assert!(!bridge.hook("connect").await.signed);
    assert!(!bridge.hook("terminate").await.signed);
    bridge.whatsapp.webhook_fault("", 0, &WebhookFault::Lost, 99);
    bridge.whatsapp.clear_faults();
    call(&bridge);
    assert!(bridge.hook("connect").await.signed);
}

#[tokio::test]
async fn other_events_come_where_somebody_is_subscribed_to_them() {
    let mut bridge = Bridge::start(|_| ()).await;
    let wacid = "wacid.x".to_owned();
    let user = "4915550001".to_owned();
    for (event, what) in [
        (Event::Chat { from: user.clone(), text: "hi".to_owned() }, "text"),
        (Event::Voicemail { from: "DE.abc".to_owned(), wacid: wacid.clone() }, "audio"),
        (Event::Recording { wacid: wacid.clone() }, "call_recording_available"),
        (Event::Transcription { wacid: wacid.clone() }, "call_transcription_available"),
        (Event::Violation { kind: "LOW_USER_INITIATED_CALLING_QUALITY".to_owned() }, "account_update"),
        (
            Event::Restriction {
                kind: "RESTRICTED_USER_INITIATED_CALLING".to_owned(),
                expiration: 1_900_000_000,
            },
            "account_update",
        ),
        (Event::Raw { field: "account_alerts".to_owned(), value: json!({}) }, "nothing"),
        (Event::Raw { field: "messages".to_owned(), value: json!({ "odd": true }) }, "messages"),
    ] {
        assert_eq!(bridge.whatsapp.happen(&event), what != "nothing", "{event:?}");
        if what != "nothing" {
            bridge.hook(what).await;
        }
    }
    let webhooks = WebhookFaults { aged: Duration::from_secs(120), ..WebhookFaults::default() };
    bridge.whatsapp.call_business(UserCall { webhooks, ..UserCall::new(user, "Ada") }).unwrap();
    let stamp: u64 = bridge.hook("connect").await.call()["timestamp"].as_str().unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((115..=125).contains(&(now - stamp)), "{stamp} {now}");
}

/// A server that takes one request by TLS and answers 200; its authority's certificate, and where it is.
async fn secure_server() -> (String, std::net::SocketAddr, tokio::task::JoinHandle<String>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let chain = vec![params.signed_by(&key, &issuer).unwrap().der().clone()];
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
        let mut request = vec![0; 64 * 1024];
        let length = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (issuer.pem(), addr, server)
}

#[tokio::test]
async fn a_webhook_by_tls_trusts_the_authority_that_is_given() {
    let (authority, addr, server) = secure_server().await;
    let bridge = Bridge::start(|config| {
        config.webhook_authority = Some(authority);
        config.webhook_url = format!("https://{addr}/webhook");
    })
    .await;
    assert_eq!(bridge.whatsapp.send_raw_webhook(b"{}".to_vec(), None).await, Ok(200));
    assert!(server.await.unwrap().starts_with("POST /webhook HTTP/1.1"));
}
