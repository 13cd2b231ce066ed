//! What can be wrong with the Graph API's replies.

use std::time::Duration;

use serde_json::Value;

use super::peer::{Bridge, LIMIT, Leg, connect_request};
use crate::whatsapp::{Action, ApiError, GraphFault, Operation};

/// A connect request to a number of its own: HTTP status, or the error of the client, and whether a call came of it.
async fn connect(
    bridge: &Bridge,
    offer: &str,
    number: &str,
) -> (Result<(u16, String), reqwest::Error>, bool) {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().unwrap();
    let url = format!("{}/v25.0/106540352242922/calls", bridge.whatsapp.graph_url());
    let request = client.post(url).bearer_auth("sandbox-token").json(&connect_request(number, offer));
    let answer = async {
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    };
    let answer = answer.await;
    let called = bridge.whatsapp.calls().iter().any(|call| call.number() == number);
    (answer, called)
}

#[tokio::test]
async fn a_reply_may_be_missing_cut_or_huge_and_the_request_done_or_not() {
    let bridge = Bridge::start(|_| ()).await;
    let offer = Leg::new(bridge.whatsapp.media_addr(), 440.0).await.sdp("actpass");
    for (index, done) in [false, true].into_iter().enumerate() {
        for (kind, fault) in [
            GraphFault::Hang { done },
            GraphFault::Reset { done },
            GraphFault::HalfAnswer { done },
            GraphFault::Huge { bytes: 5_000_000, done },
            GraphFault::Status { status: 503, retry_after: Some(7), done },
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(fault.works(), done);
            bridge.whatsapp.fault(Action::Connect, &fault, 1);
            let (answer, called) = connect(&bridge, &offer, &format!("49155500{index}{kind}")).await;
            assert_eq!(called, done, "{fault:?}");
            match (&fault, answer) {
                (GraphFault::Hang { .. }, Err(error)) => assert!(error.is_timeout(), "{error:?}"),
                (GraphFault::Reset { .. } | GraphFault::HalfAnswer { .. }, Err(error)) => {
                    assert!(!error.is_timeout(), "{fault:?}: {error:?}");
                }
                (GraphFault::Huge { bytes, .. }, Ok((200, body))) => assert_eq!(body.len(), *bytes),
                (GraphFault::Status { .. }, Ok((503, body))) => assert!(body.starts_with("<html>")),
                (fault, answer) => panic!("{fault:?}: {answer:?}"),
            }
        }
    }
    let statuses: Vec<u16> = bridge.whatsapp.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [0, 0, 200, 200, 503, 0, 0, 200, 200, 503]);
}

#[tokio::test]
async fn an_error_may_come_after_the_deed_and_faults_keep_their_order() {
    let bridge = Bridge::start(|_| ()).await;
    let offer = Leg::new(bridge.whatsapp.media_addr(), 440.0).await.sdp("actpass");
    let error = ApiError::new(500, 131_000, "Something went wrong", "nobody knows what");
    bridge.whatsapp.fault(Action::Connect, &GraphFault::ErrorAfter(error), 1);
    bridge.whatsapp.fault(Action::Terminate, &GraphFault::Hang { done: false }, 1);
    bridge.whatsapp.fault(
        Operation::Call(Action::Connect),
        &GraphFault::Status { status: 429, retry_after: None, done: false },
        1,
    );
    let (answer, called) = connect(&bridge, &offer, "4915550001").await;
    let body: Value = serde_json::from_str(&answer.unwrap().1).unwrap();
    assert_eq!((body["error"]["code"].as_u64(), called), (Some(131_000), true));
    assert_eq!(connect(&bridge, &offer, "4915550002").await.0.unwrap().0, 429);
    assert_eq!(connect(&bridge, &offer, "4915550002").await.0.unwrap().0, 200);
    bridge.whatsapp.clear_faults();
    let call = bridge.whatsapp.calls().pop().unwrap();
    tokio::time::timeout(LIMIT, bridge.act("terminate", call.wacid(), None)).await.unwrap();
}
