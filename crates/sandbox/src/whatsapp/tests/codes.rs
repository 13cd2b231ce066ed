//! Every error code by the number that is dialled.

use std::time::Duration;

use serde_json::json;

use super::peer::{Bridge, Leg, NUMBER, code, connect_request};
use crate::whatsapp::codes::{self, Place};
use crate::whatsapp::{ApiError, Failure, GraphFault, Party, UserCall};

#[tokio::test]
async fn every_code_can_be_had_where_it_belongs() {
    let bridge = Bridge::start(|_| ()).await;
    let offer = Leg::new(bridge.whatsapp.media_addr(), 440.0).await.sdp("actpass");
    for (wanted, place) in codes::all() {
        let number = format!("15559{wanted:06}");
        let answer = match place {
            Place::Any | Place::Calls => bridge.graph(connect_request(&number, &offer)).await,
            Place::CallPermissions => {
                bridge.get(&format!("{NUMBER}/call_permissions?user_wa_id={number}")).await
            }
            Place::Messages => {
                let template = json!({ "name": "call_permission", "language": { "code": "en" } });
                let body = json!({ "messaging_product": "whatsapp", "to": number, "type": "template",
                    "template": template });
                bridge.post(&format!("{NUMBER}/messages"), body).await
            }
            Place::Settings => {
                bridge.whatsapp.fault(place.operation(), &GraphFault::Error(ApiError::of(wanted)), 1);
                let body = json!({ "calling": { "status": "ENABLED" } });
                bridge.post(&format!("{NUMBER}/settings"), body).await
            }
            Place::Webhook => continue,
        };
        assert_eq!(code(&answer), (ApiError::of(wanted).status, u64::from(wanted)));
    }
    assert_eq!(bridge.whatsapp.calls().len(), 0);
}

#[tokio::test]
async fn codes_of_webhooks_come_with_the_terminate_before_or_after_the_pickup() {
    let mut bridge = Bridge::start(|_| ()).await;
    let offer = Leg::new(bridge.whatsapp.media_addr(), 440.0).await.sdp("actpass");
    for (number, wanted, hooks) in [
        ("15559138020", 138_020, &["connect", "RINGING"][..]),
        ("15559138007", 138_007, &["connect", "RINGING"]),
        ("15558138022", 138_022, &["connect", "RINGING", "ACCEPTED"]),
        ("15558131044", 131_044, &["connect", "RINGING", "ACCEPTED"]),
    ] {
        assert_eq!(bridge.graph(connect_request(number, &offer)).await.0, 200);
        for what in hooks {
            bridge.hook(what).await;
        }
        let hook = bridge.hook("terminate").await;
        assert_eq!(hook.call()["status"], "FAILED");
        assert_eq!(hook.call()["errors"][0]["code"], wanted, "{number}");
        assert_eq!(hook.value()["errors"][0]["code"], wanted, "{number}");
        assert_eq!(hook.call()["start_time"].is_null(), hooks.len() == 2);
    }
}

#[tokio::test]
async fn a_users_call_fails_by_itself_or_never_reaches_the_business() {
    let mut bridge = Bridge::start(|_| ()).await;
    let fails = Some(Failure { code: 138_019, after_pickup: false, after: Duration::from_millis(50) });
    let call =
        bridge.whatsapp.call_business(UserCall { fails, ..UserCall::new("4915550001", "Ada") }).unwrap();
    bridge.hook("connect").await;
    assert_eq!(bridge.hook("terminate").await.call()["errors"][0]["code"], 138_019);
    assert_eq!(call.end().unwrap().by, Party::WhatsApp);
    let undeliverable = Some(131_044);
    bridge.whatsapp.call_business(UserCall { undeliverable, ..UserCall::new("4915550002", "Bob") }).unwrap();
    let hook = bridge.hook("calls").await;
    assert_eq!(hook.value()["errors"][0]["code"], 131_044);
    assert!(hook.value()["calls"].is_null());
}
