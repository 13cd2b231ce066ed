//! Settings, tokens, subscriptions: what the bridge may do at all, and who hears of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::peer::{Bridge, Leg, NUMBER, code, connect_request};
use crate::whatsapp::{GraphFault, MANAGEMENT, MESSAGING, Operation, UserCall};

const APP: &str = "670843887433847";
const APP_TOKEN: &str = "670843887433847|sandbox-app-secret";
const WABA: &str = "102290129340398";

fn settings() -> String {
    format!("{NUMBER}/settings")
}

#[tokio::test]
async fn settings_are_kept_checked_and_told_by_webhook() {
    let mut bridge = Bridge::start(|_| ()).await;
    let (status, before) = bridge.get(&settings()).await;
    assert_eq!((status, &before["calling"]["status"]), (200, &json!("ENABLED")));
    assert!(before["calling"].get("srtp_key_exchange_protocol").is_none(), "{before}");
    let changes = [
        ("srtp_key_exchange_protocol", json!("SDES")),
        ("audio", json!({ "additional_codecs": ["PCMA", "PCMU"] })),
        ("call_icons", json!({ "restrict_to_user_countries": ["DE"] })),
        (
            "call_hours",
            json!({ "status": "ENABLED", "timezone_id": "Europe/Berlin", "weekly_operating_hours":
                [{ "day_of_week": "MONDAY", "open_time": "0800", "close_time": "1700" }],
                "holiday_schedule": [{ "date": "2026-12-25", "start_time": "0000", "end_time": "2359" }] }),
        ),
        ("voicemail", json!({ "status": "ENABLED", "triggers": ["REJECT"] })),
    ];
    for (name, value) in changes {
        let answer = bridge.post(&settings(), json!({ "calling": { (name): value } })).await;
        assert_eq!(answer, (200, json!({ "success": true })), "{name}");
        assert_eq!(bridge.get(&settings()).await.1["calling"][name], value);
    }
    let hook = bridge.hook("account_settings_update").await;
    let told = &hook.value()["phone_number_settings"];
    assert_eq!(told["phone_number_id"], NUMBER);
    assert_eq!(told["calling"]["srtp_key_exchange_protocol"], "SDES");
    assert!(bridge.hooks.try_recv().is_err(), "only what is observed is told");
    // A request without holidays takes them away.
    let hours = json!({ "status": "DISABLED" });
    bridge.post(&settings(), json!({ "calling": { "call_hours": hours } })).await;
    assert!(bridge.get(&settings()).await.1["calling"]["call_hours"]["holiday_schedule"].is_null());
}

#[tokio::test]
async fn wrong_settings_are_refused() {
    let bridge = Bridge::start(|_| ()).await;
    let hours = |open: &str| {
        json!({ "calling": { "call_hours": { "status": "ENABLED", "timezone_id": "UTC",
            "weekly_operating_hours": [{ "day_of_week": "MONDAY", "open_time": open, "close_time": "1700" }] } } })
    };
    for body in [
        json!({ "calling": { "status": "ON" } }),
        json!({ "calling": { "status": "ENABLED", "call_icon_visibility": "DEFAULT" } }),
        json!({ "calling": { "status": "ENABLED" }, "storage_configuration": {} }),
        json!({ "calling": { "colour": "blue" } }),
        json!({ "calling": { "audio": { "additional_codecs": ["G722"] } } }),
        json!({ "calling": {} }),
        json!(["calling"]),
        hours("1800"),
        hours("9"),
    ] {
        assert_eq!(code(&bridge.post(&settings(), body.clone()).await), (400, 100), "{body}");
    }
    assert_eq!(code(&bridge.post(&settings(), hours("0800")).await), (200, 0));
}

#[tokio::test]
async fn calling_off_sip_mode_and_restrictions_refuse_calls() {
    let mut bridge = Bridge::start(|_| ()).await;
    let offer = Leg::new(bridge.whatsapp.media_addr(), 440.0).await.sdp("actpass");
    let connect = connect_request("4915550001", &offer);
    bridge.whatsapp.set_setting(NUMBER, "status", json!("DISABLED"));
    assert_eq!(code(&bridge.graph(connect.clone()).await), (401, 138_000));
    assert!(bridge.whatsapp.call_business(UserCall::new("4915550001", "Ada")).is_err());
    bridge.whatsapp.set_low_limit(NUMBER, true);
    let enable = json!({ "calling": { "status": "ENABLED" } });
    assert_eq!(code(&bridge.post(&settings(), enable.clone()).await), (400, 138_015));
    bridge.whatsapp.set_low_limit(NUMBER, false);
    bridge.whatsapp.set_subscribed_fields(&["messages"]);
    assert_eq!(code(&bridge.post(&settings(), enable.clone()).await), (400, 138_018));
    bridge.whatsapp.set_subscribed_fields(&["calls", "account_settings_update"]);
    assert_eq!(code(&bridge.post(&settings(), enable).await), (200, 0));
    bridge.hook("account_settings_update").await;
    let sip = json!({ "status": "ENABLED", "servers": [{ "hostname": "sip.example.com" }] });
    assert_eq!(code(&bridge.post(&settings(), json!({ "calling": { "sip": sip } })).await), (200, 0));
    bridge.hook("account_settings_update").await;
    assert_eq!(code(&bridge.graph(connect.clone()).await), (400, 131_055));
    let shown = bridge.get(&format!("{}?include_sip_credentials=true", settings())).await.1;
    assert!(shown["calling"]["sip"]["servers"][0]["sip_user_password"].is_string(), "{shown}");
    // In SIP mode nothing is told.
    bridge.whatsapp.call_business(UserCall::new("4915550001", "Ada")).unwrap().hang_up();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(bridge.hooks.try_recv().is_err());
    bridge.whatsapp.set_setting(NUMBER, "sip", json!({ "status": "DISABLED" }));
    bridge.whatsapp.restrict(NUMBER, Some("RESTRICTED_BUSINESS_INITIATED_CALLING"));
    assert_eq!(code(&bridge.graph(connect.clone()).await), (400, 138_014));
    let list = bridge.get(&settings()).await.1["calling"]["restrictions"]["restrictions_list"].clone();
    assert!(list[0]["expiration"].is_u64(), "{list}");
    bridge.whatsapp.restrict(NUMBER, None);
    assert_eq!(code(&bridge.graph(connect).await), (200, 0));
}

#[tokio::test]
async fn a_token_is_changed_expires_and_lacks_rights() {
    let bridge = Bridge::start(|_| ()).await;
    bridge.whatsapp.set_token("second");
    assert_eq!(code(&bridge.get(&settings()).await), (401, 190));
    assert_eq!(bridge.get_with(&settings(), "second").await.0, 200);
    bridge.whatsapp.expire_token_in(Duration::from_secs(3600));
    let debug = bridge.get_with("debug_token?input_token=second", APP_TOKEN).await.1["data"].clone();
    let expires = debug["expires_at"].as_u64().unwrap();
    assert_eq!((&debug["is_valid"], &debug["app_id"]), (&json!(true), &json!(APP)));
    assert!(debug["scopes"].as_array().unwrap().contains(&json!(MESSAGING)), "{debug}");
    bridge.whatsapp.advance(Duration::from_secs(3599));
    assert_eq!(bridge.get_with(&settings(), "second").await.0, 200);
    bridge.whatsapp.advance(Duration::from_secs(2));
    let refused = bridge.get_with(&settings(), "second").await;
    assert_eq!((code(&refused), &refused.1["error"]["error_subcode"]), ((401, 190), &json!(463)));
    let debug = bridge.get_with("debug_token?input_token=second", APP_TOKEN).await.1["data"].clone();
    assert_eq!(debug["is_valid"], false);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(expires > now + 3500 && debug["expires_at"].as_u64().unwrap() <= now, "{expires} {debug}");
    let other = bridge.get_with("debug_token?input_token=other", APP_TOKEN).await.1["data"].clone();
    assert_eq!((&other["is_valid"], &other["error"]["code"]), (&json!(false), &json!(190)));
    bridge.whatsapp.set_token("sandbox-token");
    bridge.whatsapp.set_scopes(&[MESSAGING]);
    assert_eq!(code(&bridge.get(&settings()).await), (403, 200));
    bridge.whatsapp.set_scopes(&[MANAGEMENT]);
    assert_eq!(bridge.get(&settings()).await.0, 200);
    let terminate = super::peer::request("terminate", "wacid.x", None);
    assert_eq!(code(&bridge.graph(terminate).await), (403, 10));
}

#[tokio::test]
async fn without_a_subscription_no_webhook_comes() {
    let mut bridge = Bridge::start(|_| ()).await;
    let apps = format!("{WABA}/subscribed_apps");
    let listed = bridge.get(&apps).await.1;
    assert_eq!(listed["data"][0]["whatsapp_business_api_data"]["id"], APP);
    bridge.whatsapp.set_subscribed_apps(&[]);
    assert_eq!(bridge.get(&apps).await.1, json!({ "data": [] }));
    bridge.whatsapp.call_business(UserCall::new("4915550001", "Ada")).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(bridge.hooks.try_recv().is_err());
    assert_eq!(bridge.post(&apps, json!({})).await, (200, json!({ "success": true })));
    bridge.whatsapp.call_business(UserCall::new("4915550002", "Bob")).unwrap();
    bridge.hook("connect").await;
    assert_eq!(code(&bridge.get("1/subscribed_apps").await), (400, 33));
}

#[tokio::test]
async fn a_subscription_of_the_app_is_verified_at_its_callback() {
    let bridge = Bridge::start(|_| ()).await;
    let path = format!("{APP}/subscriptions");
    assert_eq!(code(&bridge.get(&path).await), (400, 15));
    let before = bridge.get_with(&path, APP_TOKEN).await.1["data"][0].clone();
    let fields: Vec<&str> =
        before["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect();
    assert!(fields.contains(&"calls") && fields.contains(&"messages"), "{before}");
    let url = before["callback_url"].as_str().unwrap().to_owned();
    let body = |url: &str, token: &str, fields: Value| json!({ "object": "whatsapp_business_account", "callback_url": url, "verify_token": token, "fields": fields });
    let post = |body: Value| {
        let path = format!("v25.0/{path}");
        let bridge = &bridge;
        async move { bridge.graph_at(&path, Some(APP_TOKEN), body).await }
    };
    assert_eq!(code(&post(body(&url, "wrong", json!("calls"))).await), (400, 2200));
    assert_eq!(
        code(&post(body("http://127.0.0.1:1/", "sandbox-verify-token", json!("calls"))).await),
        (400, 2200)
    );
    assert_eq!(code(&post(body(&url, "sandbox-verify-token", json!("songs"))).await), (400, 100));
    assert_eq!(code(&post(body(&url, "sandbox-verify-token", json!(["calls"]))).await), (200, 0));
    let after = bridge.get_with(&path, APP_TOKEN).await.1["data"][0]["fields"].clone();
    assert_eq!(after.as_array().map(Vec::len), Some(1), "{after}");
}

#[tokio::test]
async fn a_number_shows_its_fields_and_any_operation_may_fail() {
    let bridge = Bridge::start(|_| ()).await;
    let number = bridge.get(NUMBER).await.1;
    assert_eq!(
        (&number["display_phone_number"], &number["status"]),
        (&json!("+15550783881"), &json!("CONNECTED"))
    );
    let some = bridge.get(&format!("{NUMBER}?fields=verified_name,quality_rating")).await.1;
    assert_eq!(some.as_object().unwrap().len(), 3, "{some}");
    let down = GraphFault::Status { status: 503, retry_after: None, done: false };
    bridge.whatsapp.fault(Operation::Number, &down, 1);
    bridge.whatsapp.fault(Operation::Settings, &down, 1);
    assert_eq!(bridge.get(NUMBER).await.0, 503);
    assert_eq!(bridge.get(&settings()).await.0, 503);
    assert_eq!(bridge.get(NUMBER).await.0, 200);
}
