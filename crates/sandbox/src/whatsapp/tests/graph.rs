//! What the Graph API refuses, and how.

use std::time::Duration;

use serde_json::{Value, json};

use super::peer::{Bridge, LIMIT, Leg, code, connect_request, request};
use crate::whatsapp::{Action, ApiError, Behaviour, CallState, GraphFault, Party, UserCall};

fn details(answer: &(u16, Value)) -> &str {
    answer.1["error"]["error_data"]["details"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn requests_are_checked_before_anything_happens() {
    let bridge = Bridge::start(|_| ()).await;
    let leg = Leg::new(bridge.whatsapp.media_addr(), 440.0).await;
    let good = connect_request("4915550001", &leg.sdp("actpass"));
    let path = "v25.0/106540352242922/calls";
    assert_eq!(code(&bridge.graph_at(path, None, good.clone()).await), (401, 190));
    assert_eq!(code(&bridge.graph_at(path, Some("other"), good.clone()).await), (401, 190));
    assert_eq!(code(&bridge.graph_at("v25.0/1/calls", Some("sandbox-token"), good.clone()).await), (400, 33));
    assert_eq!(code(&bridge.graph_at("v25.0/1/call", None, good.clone()).await), (400, 2500));
    assert_eq!(code(&bridge.graph_at("latest/106540352242922/calls", None, good.clone()).await), (400, 2500));
    let changes: [(&str, Value, u64); 8] = [
        ("messaging_product", json!("sms"), 100),
        ("action", json!("dance"), 100),
        ("to", json!("123"), 100),
        ("to", json!("15550783881"), 131_021),
        ("session", json!({ "sdp_type": "answer", "sdp": leg.sdp("actpass") }), 100),
        ("session", json!({ "sdp_type": "offer", "sdp": leg.sdp("passive") }), 138_008),
        ("session", json!({ "sdp_type": "offer", "sdp": leg.sdp("actpass").replace("\r\n", "\n") }), 138_008),
        ("biz_opaque_callback_data", json!("x".repeat(513)), 100),
    ];
    for (field, value, expected) in changes {
        let mut body = good.clone();
        body[field] = value;
        let answer = bridge.graph(body).await;
        assert_eq!(code(&answer), (400, expected), "{field}: {}", answer.1);
        assert_eq!(answer.1["error"]["type"], "OAuthException");
        assert!(answer.1["error"]["fbtrace_id"].is_string());
    }
    assert_eq!(bridge.whatsapp.calls().len(), 0);
    assert_eq!(bridge.graph(good.clone()).await.0, 200);
    assert_eq!(code(&bridge.graph(good).await), (400, 138_003));
    let requests = bridge.whatsapp.requests();
    assert_eq!(
        requests.last().map(|request| (request.action, request.code)),
        Some((Some(Action::Connect), Some(138_003)))
    );
}

#[tokio::test]
async fn scenarios_and_forced_errors_are_what_the_bridge_sees() {
    let bridge = Bridge::start(|_| ()).await;
    let leg = Leg::new(bridge.whatsapp.media_addr(), 440.0).await;
    let offer = leg.sdp("actpass");
    assert_eq!(code(&bridge.graph(connect_request("15550000004", &offer)).await), (401, 138_006));
    assert_eq!(code(&bridge.graph(connect_request("15550000006", &offer)).await), (400, 138_001));
    let busy =
        ApiError { retry_after: Some(5), ..ApiError::new(400, 130_429, "Rate limit hit", "slow down") };
    bridge.whatsapp.fail_next(Action::Connect, 2, &GraphFault::Error(busy));
    for expected in [(400, 130_429), (400, 130_429), (200, 0)] {
        assert_eq!(code(&bridge.graph(connect_request("4915550001", &offer)).await), expected);
    }
    let garbage = GraphFault::Garbage { status: 502, body: "<html>".to_owned() };
    bridge.whatsapp.fail_next(Action::Connect, 1, &garbage);
    assert_eq!(bridge.graph(connect_request("4915550002", &offer)).await, (502, Value::Null));
}

#[tokio::test]
async fn a_call_is_accepted_once_and_with_one_answer() {
    let mut bridge = Bridge::start(|_| ()).await;
    let call = bridge.whatsapp.call_business(UserCall::new("4915550001", "Ada")).unwrap();
    bridge.hook("connect").await;
    let leg = Leg::new(bridge.whatsapp.media_addr(), 440.0).await;
    let answer = leg.sdp("active");
    let refused = bridge.graph(request("accept", call.wacid(), Some(&leg.sdp("actpass")))).await;
    assert_eq!(code(&refused), (400, 138_008));
    assert!(details(&refused).contains("setup"), "{}", refused.1);
    assert_eq!(code(&bridge.graph(request("accept", "wacid.x", Some(&answer))).await), (400, 100));
    bridge.act("pre_accept", call.wacid(), Some(&answer)).await;
    assert_eq!(call.state(), CallState::PreAccepted);
    let other = answer.replace("o=- 1 2", "o=- 1 3");
    let refused = bridge.graph(request("accept", call.wacid(), Some(&other))).await;
    assert!(details(&refused).contains("pre_accept"), "{}", refused.1);
    bridge.act("accept", call.wacid(), Some(&answer)).await;
    assert_eq!(code(&bridge.graph(request("accept", call.wacid(), Some(&answer))).await), (400, 100));
    assert_eq!(code(&bridge.graph(request("reject", call.wacid(), None)).await), (400, 100));
    call.hang_up();
    bridge.hook("terminate").await;
    let refused = bridge.graph(request("terminate", call.wacid(), None)).await;
    assert!(details(&refused).contains("user has already terminated"), "{}", refused.1);
}

#[tokio::test]
async fn a_rejected_call_ends_for_both() {
    let mut bridge = Bridge::start(|_| ()).await;
    let call = bridge.whatsapp.call_business(UserCall::new("4915550001", "Ada")).unwrap();
    bridge.hook("connect").await;
    bridge.act("reject", call.wacid(), None).await;
    let hook = bridge.hook("terminate").await;
    assert!(hook.call()["start_time"].is_null() && hook.call()["duration"].is_null(), "{}", hook.body);
    assert_eq!(call.end().unwrap().by, Party::Business);
    call.wait_for(CallState::Ended, LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_late_reply_is_late_and_its_webhooks_come_after_it() {
    let late = Duration::from_millis(400);
    let mut bridge = Bridge::start(|config| {
        config.directory = std::sync::Arc::new(move |_| Behaviour {
            graph: Some(GraphFault::Delay(late)),
            ..Behaviour::default()
        });
    })
    .await;
    let leg = Leg::new(bridge.whatsapp.media_addr(), 440.0).await;
    let start = std::time::Instant::now();
    assert_eq!(bridge.graph(connect_request("4915550001", &leg.sdp("actpass"))).await.0, 200);
    assert!(start.elapsed() >= late);
    assert!(bridge.hooks.try_recv().is_err(), "a webhook came before the reply");
    bridge.hook("connect").await;
}
