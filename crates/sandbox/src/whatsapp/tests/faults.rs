//! What goes wrong on purpose, and what the bridge must not do.

use std::sync::Arc;
use std::time::Duration;

use super::peer::{Bridge, LIMIT, Leg, connect_request};
use crate::whatsapp::hub::lock;
use crate::whatsapp::{
    Behaviour, CallState, GraphFault, MediaFault, MediaState, Order, Party, Pickup, UserCall, VerifyError,
    WebhookFaults,
};

fn faulty(webhooks: WebhookFaults) -> UserCall {
    UserCall { webhooks, ..UserCall::new("4915550001", "Ada") }
}

#[tokio::test]
async fn webhooks_twice_unsigned_or_in_the_wrong_order() {
    let mut bridge = Bridge::start(|config| config.timings.webhook_retries = 1).await;
    bridge
        .whatsapp
        .call_business(faulty(WebhookFaults { duplicate: true, ..Default::default() }))
        .unwrap()
        .hang_up();
    for what in ["connect", "connect", "terminate", "terminate"] {
        assert!(bridge.hook(what).await.signed);
    }
    let order = Order::TerminateFirst;
    let call = bridge.whatsapp.call_business(faulty(WebhookFaults { order, ..Default::default() })).unwrap();
    bridge.hook("terminate").await;
    bridge.hook("connect").await;
    assert_eq!(call.end().unwrap().by, Party::User);
    let bad = WebhookFaults { bad_signature: true, ..Default::default() };
    bridge.whatsapp.call_business(faulty(bad)).unwrap();
    assert!(!bridge.hook("connect").await.signed);
}

#[tokio::test]
async fn a_webhook_that_fails_comes_again() {
    let mut bridge = Bridge::start(|_| ()).await;
    lock(&bridge.statuses).extend([200, 503, 500]);
    bridge.whatsapp.call_business(UserCall::new("4915550001", "Ada")).unwrap();
    for _ in 0..3 {
        bridge.hook("connect").await;
    }
    let third = async {
        while bridge.whatsapp.webhooks().len() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, third).await.unwrap();
    let results: Vec<_> =
        bridge.whatsapp.webhooks().into_iter().map(|delivery| (delivery.attempt, delivery.result)).collect();
    assert_eq!(results, [(0, Ok(500)), (1, Ok(503)), (2, Ok(200))]);
}

#[tokio::test]
async fn verification_and_raw_webhooks() {
    let mut bridge = Bridge::start(|_| ()).await;
    bridge.whatsapp.verify_webhook().await.unwrap();
    let refused = bridge.whatsapp.verify_webhook_with("wrong").await;
    assert!(matches!(refused, Err(VerifyError::Answer { status: 403, .. })));
    let body = br#"{"entry":[{"changes":[{"value":{"calls":[{"event":"connect"}]}}]}]}"#.to_vec();
    assert_eq!(bridge.whatsapp.send_raw_webhook(body.clone(), None).await, Ok(200));
    assert!(bridge.hook("connect").await.signed);
    assert_eq!(bridge.whatsapp.send_raw_webhook(body, Some("sha256=00".into())).await, Ok(200));
    assert!(!bridge.hook("connect").await.signed);
}

#[tokio::test]
async fn webhooks_may_come_before_the_graph_reply_and_accepted_before_connect() {
    let mut bridge = Bridge::start(|config| {
        config.directory = Arc::new(|_| Behaviour {
            graph: Some(GraphFault::Delay(LIMIT * 6)),
            webhooks: WebhookFaults { before_reply: true, order: Order::AcceptedFirst, ..Default::default() },
            ..Behaviour::default()
        });
    })
    .await;
    let leg = Leg::new(bridge.whatsapp.media_addr(), 440.0).await;
    let request = connect_request("4915550001", &leg.sdp("actpass"));
    let waiting = bridge.graph(request);
    let limited = tokio::time::timeout(Duration::from_millis(500), waiting).await;
    assert!(limited.is_err(), "the reply came");
    for what in ["ACCEPTED", "RINGING", "connect"] {
        bridge.hook(what).await;
    }
}

#[tokio::test]
async fn rejected_unanswered_and_by_hand() {
    let mut bridge = Bridge::start(|config| {
        config.timings.ring_limit = Duration::from_millis(100);
        config.directory = Arc::new(|number| Behaviour {
            pickup: if number.ends_with('1') { Pickup::Reject(Duration::ZERO) } else { Pickup::ByHand },
            ..Behaviour::default()
        });
    })
    .await;
    let offer = Leg::new(bridge.whatsapp.media_addr(), 440.0).await.sdp("actpass");
    for (number, hooks) in [
        ("4915550001", &["connect", "RINGING", "REJECTED", "terminate"][..]),
        ("4915550002", &["connect", "RINGING", "terminate"]),
    ] {
        assert_eq!(bridge.graph(connect_request(number, &offer)).await.0, 200);
        for what in hooks {
            let hook = bridge.hook(what).await;
            assert!(*what != "terminate" || hook.call()["start_time"].is_null());
        }
    }
    assert_eq!(bridge.graph(connect_request("4915550003", &offer)).await.0, 200);
    bridge.whatsapp.call_to("4915550003").await.answer();
    for what in ["connect", "RINGING", "ACCEPTED"] {
        bridge.hook(what).await;
    }
}

#[tokio::test]
async fn without_media_the_client_gives_up_with_138021() {
    let mut bridge = Bridge::start(|config| config.timings.first_media = Duration::from_millis(600)).await;
    let call = bridge.whatsapp.call_business(UserCall::new("4915550001", "Ada")).unwrap();
    bridge.hook("connect").await;
    let leg = Leg::new(bridge.whatsapp.media_addr(), 440.0).await;
    bridge.act("accept", call.wacid(), Some(&leg.sdp("active"))).await;
    let hook = bridge.hook("terminate").await;
    assert_eq!(
        (&hook.call()["status"], &hook.call()["errors"][0]["code"]),
        (&"FAILED".into(), &138_021.into())
    );
    let end = call.end().unwrap();
    assert_eq!((end.by, end.failed), (Party::WhatsApp, Some(138_021)));
}

#[tokio::test]
async fn media_before_accept_and_media_from_another_calls_port_are_violations() {
    let mut bridge = Bridge::start(|_| ()).await;
    let target = bridge.whatsapp.media_addr();
    let socket = Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let first = bridge.whatsapp.call_business(UserCall::new("4915550001", "Ada")).unwrap();
    let hook = bridge.hook("connect").await;
    let mut leg = Leg::on(Arc::clone(&socket), target, 440.0);
    bridge.act("pre_accept", first.wacid(), Some(&leg.sdp("active"))).await;
    leg.secure(hook.sdp(), true).await.unwrap();
    first.wait_media(MediaState::Secured, LIMIT).await.unwrap();
    leg.speak(Duration::from_millis(100)).await;
    first.wait_media(MediaState::Flowing, LIMIT).await.unwrap();
    assert!(first.violations()[0].contains("before accept"), "{:?}", first.violations());
    assert_eq!(first.sent_packets(), 0, "the user spoke before the call was answered");
    let second = bridge.whatsapp.call_business(UserCall::new("4915550002", "Bob")).unwrap();
    let hook = bridge.hook("connect").await;
    bridge.act("pre_accept", second.wacid(), Some(&leg.sdp("active"))).await;
    assert!(leg.check(hook.sdp(), true).await);
    assert!(second.violations()[0].contains("port of another call"), "{:?}", second.violations());
}

#[tokio::test]
async fn a_wrong_certificate_is_noticed_on_either_side() {
    let mut bridge = Bridge::start(|_| ()).await;
    let target = bridge.whatsapp.media_addr();
    // Ours is wrong.
    let call = bridge.whatsapp.call_business(UserCall::new("4915550001", "Ada")).unwrap();
    let hook = bridge.hook("connect").await;
    let mut leg = Leg::new(target, 440.0).await;
    let stranger = Leg::new(target, 440.0).await.sdp("active");
    bridge.act("pre_accept", call.wacid(), Some(&stranger)).await;
    let _ = leg.secure(hook.sdp(), true).await;
    call.wait_media(MediaState::Failed, LIMIT).await.unwrap();
    assert!(call.violations()[0].contains("fingerprint"), "{:?}", call.violations());
    // WhatsApp's is wrong.
    let caller = UserCall { media: MediaFault::WrongFingerprint, ..UserCall::new("4915550002", "Bob") };
    let call = bridge.whatsapp.call_business(caller).unwrap();
    let hook = bridge.hook("connect").await;
    let mut leg = Leg::new(target, 440.0).await;
    bridge.act("pre_accept", call.wacid(), Some(&leg.sdp("active"))).await;
    assert!(leg.secure(hook.sdp(), true).await.is_err());
    assert_eq!(call.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_dark_call_answers_no_check() {
    let mut bridge = Bridge::start(|_| ()).await;
    let call = bridge.whatsapp.call_business(UserCall::new("4915550001", "Ada")).unwrap();
    let hook = bridge.hook("connect").await;
    let mut leg = Leg::new(bridge.whatsapp.media_addr(), 440.0).await;
    bridge.act("accept", call.wacid(), Some(&leg.sdp("active"))).await;
    assert!(leg.check(hook.sdp(), true).await);
    call.go_dark();
    assert!(!leg.check(hook.sdp(), true).await);
    assert_eq!(call.state(), CallState::Accepted);
}
