//! Who may be called, and what it takes.

use std::time::Duration;

use serde_json::{Value, json};

use super::peer::{Bridge, Hook, Leg, NUMBER, code, connect_request};
use crate::whatsapp::{Behaviour, Event, PermissionAnswer, PermissionShape, Permissions, Pickup, UserCall};

const USER: &str = "4915550001";
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn start(answer: PermissionAnswer) -> Bridge {
    let bridge = Bridge::start(|config| config.permissions = Permissions::Enforced).await;
    bridge.whatsapp.set_answer(USER, answer);
    bridge
}

async fn ask(bridge: &Bridge, message: Value) -> (u16, Value) {
    let mut body = json!({ "messaging_product": "whatsapp", "to": USER });
    body.as_object_mut().unwrap().extend(message.as_object().unwrap().clone());
    bridge.post(&format!("{NUMBER}/messages"), body).await
}

fn free_form() -> Value {
    json!({ "type": "interactive", "interactive": { "type": "call_permission_request",
        "action": { "name": "call_permission_request" }, "body": { "text": "May we call you?" } } })
}

fn template() -> Value {
    json!({ "type": "template", "template": { "name": "ask", "language": { "code": "en" },
        "components": [{ "type": "call_permission_request" }] } })
}

async fn permission(bridge: &Bridge) -> Value {
    bridge.get(&format!("{NUMBER}/call_permissions?user_wa_id={USER}")).await.1
}

fn reply(hook: &Hook) -> &Value {
    &hook.value()["messages"][0]["interactive"]["call_permission_reply"]
}

#[tokio::test]
async fn a_user_is_asked_says_yes_and_is_called_until_it_expires() {
    let mut bridge = start(PermissionAnswer::Temporary).await;
    let offer = Leg::new(bridge.whatsapp.media_addr(), 440.0).await.sdp("actpass");
    assert_eq!(code(&bridge.graph(connect_request(USER, &offer)).await), (401, 138_006));
    assert_eq!(permission(&bridge).await["permission"]["status"], "no_permission");
    let sent = ask(&bridge, free_form()).await;
    let id = sent.1["messages"][0]["id"].as_str().unwrap().to_owned();
    let hook = bridge.hook("call_permission_reply").await;
    assert_eq!(hook.value()["messages"][0]["context"]["id"], id);
    assert_eq!((&reply(&hook)["response"], &reply(&hook)["is_permanent"]), (&json!("accept"), &json!(false)));
    let until: u64 = reply(&hook)["expiration_timestamp"].as_str().unwrap().parse().unwrap();
    assert_eq!(permission(&bridge).await["permission"]["expiration_time"], until);
    bridge.whatsapp.set_permission_shape(PermissionShape::Table);
    assert_eq!(permission(&bridge).await["permission"]["expiration"], until);
    assert_eq!(bridge.graph(connect_request(USER, &offer)).await.0, 200);
    let call = bridge.whatsapp.call_to(USER).await;
    bridge.act("terminate", call.wacid(), None).await;
    bridge.whatsapp.advance(7 * DAY);
    assert_eq!(code(&bridge.graph(connect_request(USER, &offer)).await), (401, 138_006));
}

#[tokio::test]
async fn requests_have_limits_and_a_conversation() {
    let mut bridge = start(PermissionAnswer::Never).await;
    bridge.whatsapp.need_conversation(true);
    assert_eq!(code(&ask(&bridge, free_form()).await), (400, 138_011));
    assert!(bridge.whatsapp.happen(&Event::Chat { from: USER.to_owned(), text: "hello".to_owned() }));
    assert_eq!(bridge.hook("text").await.value()["messages"][0]["text"]["body"], "hello");
    assert_eq!(code(&ask(&bridge, free_form()).await), (200, 0));
    assert_eq!(code(&ask(&bridge, template()).await), (400, 138_009));
    bridge.whatsapp.advance(DAY);
    assert_eq!(code(&ask(&bridge, free_form()).await), (400, 138_011));
    assert_eq!(code(&ask(&bridge, template()).await), (200, 0));
    bridge.whatsapp.advance(2 * DAY);
    assert_eq!(code(&ask(&bridge, template()).await), (400, 138_009));
    bridge.whatsapp.decide(USER, PermissionAnswer::Permanent);
    let hook = bridge.hook("call_permission_reply").await;
    assert!(
        hook.value()["messages"][0]["context"].is_null() && reply(&hook)["expiration_timestamp"].is_null()
    );
    assert_eq!(code(&ask(&bridge, template()).await), (400, 138_017));
    let bad = json!({ "type": "interactive", "interactive": { "type": "call_permission_request",
        "action": { "name": "call_permission_request" } } });
    assert_eq!(code(&ask(&bridge, bad).await), (400, 100));
}

#[tokio::test]
async fn four_unanswered_calls_take_the_permission_away() {
    let mut bridge = start(PermissionAnswer::Never).await;
    let offer = Leg::new(bridge.whatsapp.media_addr(), 440.0).await.sdp("actpass");
    bridge.whatsapp.decide(USER, PermissionAnswer::Permanent);
    bridge.hook("call_permission_reply").await;
    let rejects = Behaviour { pickup: Pickup::Reject(Duration::ZERO), ..Behaviour::default() };
    bridge.whatsapp.set_behaviour(USER, rejects);
    for count in 1..=4 {
        assert_eq!(bridge.graph(connect_request(USER, &offer)).await.0, 200, "call {count}");
        for what in ["connect", "RINGING", "REJECTED", "terminate"] {
            bridge.hook(what).await;
        }
    }
    let hook = bridge.hook("call_permission_reply").await;
    assert_eq!(reply(&hook), &json!({ "response": "reject", "response_source": "automatic" }));
    assert_eq!(code(&bridge.graph(connect_request(USER, &offer)).await), (401, 138_006));
    assert_eq!(bridge.whatsapp.unanswered(USER), 0);
}

#[tokio::test]
async fn a_users_call_gives_permission_where_the_settings_say_so() {
    let mut bridge = start(PermissionAnswer::Never).await;
    let call = bridge.whatsapp.call_business(UserCall::new(USER, "Ada")).unwrap();
    bridge.hook("connect").await;
    let hook = bridge.hook("call_permission_reply").await;
    assert_eq!(reply(&hook)["response_source"], "automatic");
    assert_eq!(hook.value()["messages"][0]["context"]["id"], call.wacid());
    assert_eq!(permission(&bridge).await["permission"]["status"], "temporary");
    bridge.whatsapp.set_setting(NUMBER, "callback_permission_status", json!("DISABLED"));
    bridge.whatsapp.call_business(UserCall::new("4915550002", "Bob")).unwrap();
    bridge.hook("connect").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(bridge.hooks.try_recv().is_err());
}

#[tokio::test]
async fn too_many_questions_are_refused_with_613() {
    let bridge = start(PermissionAnswer::Never).await;
    bridge.whatsapp.set_permission_rate(2);
    let path = format!("{NUMBER}/call_permissions?recipient=US.13491208655302741918");
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(code(&bridge.get(&path).await));
    }
    assert_eq!(codes, [(200, 0), (200, 0), (429, 613)]);
    assert_eq!(code(&bridge.get(&format!("{NUMBER}/call_permissions")).await), (400, 100));
}
