use proptest::prelude::*;
use serde_json::json;

use super::calls::other;
use super::*;
use crate::identity::Caller;
use crate::webhook::event::{CallStatus, Connect, Direction, Session, Status, Terminate};

mod others;
mod shuffled;

const WACID: &str = "wacid.HBgLMTIxODU1NTI4MjgVAgARGCAyODRQIAFRoA";
const OFFER: &str = "v=0\r\no=- 1790963543407 2 IN IP4 127.0.0.1\r\ns=-\r\n";

fn number() -> PhoneNumberId {
    "436666719526789".parse().expect("an id")
}

fn call() -> Wacid {
    WACID.parse().expect("an id")
}

/// One `value` of field `calls` in its envelope.
fn events(value: &Value) -> Vec<WebhookEvent> {
    let body = json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": "366634483210360", "changes": [{"field": "calls", "value": value}]}]
    });
    parse(body.to_string().as_bytes()).expect("an envelope")
}

fn only(value: &Value) -> WebhookEvent {
    let mut events = events(value);
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

fn connect(value: &Value) -> Connect {
    match only(value) {
        WebhookEvent::Connect(connect) => connect,
        event => panic!("{event:?}"),
    }
}

fn terminate(value: &Value) -> Terminate {
    match only(value) {
        WebhookEvent::Terminate(terminate) => terminate,
        event => panic!("{event:?}"),
    }
}

/// The literal form of the documentation, values replaced.
const BUSINESS_CONNECT: &str = r#"{"entry":[{"changes":[{"field":"calls","value":{"calls":[{
    "biz_opaque_callback_data":"TRx334DUDFTI4Mj",
    "session":{"sdp_type":"answer","sdp":"v=0\r\ns=-\r\n"},
    "from":"13175551399",
    "connection":{"webrtc":{"sdp":"{\"sdp\":\"v=0\"}"}},
    "id":"wacid.HBgLMTIxODU1NTI4MjgVAgARGCAyODRQIAFRoA",
    "to":"12185552828","to_user_id":"US.134912086553","to_parent_user_id":"US.ENT.1181579921",
    "event":"connect","timestamp":"1749196895","direction":"BUSINESS_INITIATED"}],
  "contacts":[{"profile":{"name":"Ada Example","username":"@ada.example"},"wa_id":"12185552828",
    "user_id":"US.134912086553","parent_user_id":"US.ENT.1181579921"}],
  "metadata":{"phone_number_id":"436666719526789","display_phone_number":"13175551399"},
  "messaging_product":"whatsapp"}}],"id":"366634483210360"}],"object":"whatsapp_business_account"}"#;

#[test]
fn our_own_call_connects() {
    let expected = Connect {
        number: number(),
        display_number: "13175551399".into(),
        wacid: call(),
        direction: Direction::BusinessInitiated,
        timestamp: Some(1_749_196_895),
        caller: Caller {
            phone: Some("12185552828".into()),
            bsuid: Some("US.134912086553".into()),
            parent_bsuid: Some("US.ENT.1181579921".into()),
            name: Some("Ada Example".into()),
            username: Some("@ada.example".into()),
        },
        to: Some("12185552828".into()),
        session: Some(Session { sdp_type: "answer".into(), sdp: "v=0\r\ns=-\r\n".into() }),
        callback_data: Some("TRx334DUDFTI4Mj".into()),
        cta_payload: None,
        deeplink_payload: None,
    };
    assert_eq!(parse(BUSINESS_CONNECT.as_bytes()), Ok(vec![WebhookEvent::Connect(expected)]));
}

fn user_connect() -> Value {
    json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550001234", "phone_number_id": "436666719526789"},
        "contacts": [{"profile": {"name": "Pablo Morales"}, "wa_id": "12015550123"}],
        "calls": [{
            "id": WACID, "to": "15550001234", "from": "12015550123", "event": "connect",
            "direction": "USER_INITIATED", "timestamp": "1671644824",
            "deeplink_payload": "campaign_id_42", "cta_payload": "support_button_v2",
            "session": {"sdp": OFFER, "sdp_type": "offer"}
        }]
    })
}

#[test]
fn a_user_calls() {
    let connect = connect(&user_connect());
    assert_eq!(connect.direction, Direction::UserInitiated);
    assert_eq!(connect.caller.phone.as_deref(), Some("12015550123"));
    assert_eq!(connect.caller.name.as_deref(), Some("Pablo Morales"));
    assert_eq!(connect.to.as_deref(), Some("15550001234"));
    assert_eq!(connect.cta_payload.as_deref(), Some("support_button_v2"));
    assert_eq!(connect.deeplink_payload.as_deref(), Some("campaign_id_42"));
    assert_eq!(connect.session.map(|session| session.sdp).as_deref(), Some(OFFER));
}

#[test]
fn a_user_with_a_username_has_no_number() {
    let mut value = user_connect();
    value["calls"][0].as_object_mut().expect("a call").remove("from");
    value["calls"][0]["from_user_id"] = json!("US.134912086553");
    value["contacts"] = json!([{"profile": {"username": "@pablo"}, "user_id": "US.134912086553"}]);
    let caller = connect(&value).caller;
    let expected = Caller {
        bsuid: Some("US.134912086553".into()),
        username: Some("@pablo".into()),
        ..Caller::default()
    };
    assert_eq!(caller, expected);
    assert_eq!(caller.user(), Some("US.134912086553"));
}

#[test]
fn what_the_call_leaves_out_the_contact_may_tell() {
    let mut value = user_connect();
    value["calls"][0].as_object_mut().expect("a call").remove("from");
    assert_eq!(connect(&value).caller.phone.as_deref(), Some("12015550123"));
    value.as_object_mut().expect("a value").remove("contacts");
    assert_eq!(connect(&value).caller, Caller::default());
}

#[test]
fn contacts_are_matched_to_their_call() {
    let mut value = user_connect();
    let mut second = value["calls"][0].clone();
    second["id"] = json!("wacid.second");
    second["from"] = json!("12015550199");
    let mut third = second.clone();
    third["id"] = json!("wacid.third");
    third["from"] = json!("12015550177");
    value["calls"].as_array_mut().expect("calls").extend([second, third]);
    value["contacts"] = json!([
        {"profile": {"name": "Second"}, "wa_id": "12015550199"},
        {"profile": {"name": "First"}, "wa_id": "+1 201-555-0123"}
    ]);
    let names: Vec<_> = events(&value)
        .into_iter()
        .map(|event| match event {
            WebhookEvent::Connect(connect) => connect.caller.name,
            event => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(names, [Some("First".to_owned()), Some("Second".to_owned()), None]);
}

/// The documentation's second sample of a business call has the business in
/// `to` and the user in `from`.
#[test]
fn the_business_is_never_taken_for_the_user() {
    let value = json!({
        "metadata": {"display_phone_number": "16315553601", "phone_number_id": "436666719526789"},
        "contacts": [{"profile": {"name": "Ada"}, "wa_id": "16315553602"}],
        "calls": [{"id": WACID, "to": "16315553601", "from": "16315553602", "event": "connect",
            "timestamp": 1_671_644_824, "direction": "BUSINESS_INITIATED",
            "session": {"sdp_type": "answer", "sdp": "v=0\r\n"}}]
    });
    let connect = connect(&value);
    assert_eq!(connect.caller.phone.as_deref(), Some("16315553602"));
    assert_eq!(connect.timestamp, Some(1_671_644_824));
}

#[test]
fn a_missing_direction_follows_from_the_sdp_type() {
    let mut value = user_connect();
    for (sdp_type, direction) in
        [("offer", Direction::UserInitiated), ("ANSWER", Direction::BusinessInitiated)]
    {
        value["calls"][0].as_object_mut().expect("a call").remove("direction");
        value["calls"][0]["session"]["sdp_type"] = json!(sdp_type);
        assert_eq!(connect(&value).direction, direction);
    }
    value["calls"][0].as_object_mut().expect("a call").remove("session");
    assert_eq!(only(&value), other(Some("connect")));
}

fn status(status: &Value) -> Value {
    json!({
        "statuses": [{"id": WACID, "type": "call", "status": status, "timestamp": "1749197000",
            "recipient_id": "12185552828", "recipient_user_id": "US.134912086553",
            "biz_opaque_callback_data": "call-7"}],
        "metadata": {"phone_number_id": "436666719526789", "display_phone_number": "13175551399"},
        "messaging_product": "whatsapp"
    })
}

#[test]
fn statuses_in_any_case_as_string_or_array() {
    let cases = [
        (json!("RINGING"), CallStatus::Ringing),
        (json!("accepted"), CallStatus::Accepted),
        (json!(["REJECTED"]), CallStatus::Rejected),
        (json!("ON_HOLD"), CallStatus::Other("ON_HOLD".into())),
    ];
    let user = Caller {
        phone: Some("12185552828".into()),
        bsuid: Some("US.134912086553".into()),
        ..Caller::default()
    };
    for (word, expected) in cases {
        let expected = Status {
            number: number(),
            wacid: call(),
            status: expected,
            timestamp: Some(1_749_197_000),
            callback_data: Some("call-7".into()),
            user: user.clone(),
        };
        assert_eq!(only(&status(&word)), WebhookEvent::Status(expected));
    }
    assert_eq!(only(&status(&json!(7))), other(Some("status")));
}

#[test]
fn statuses_of_other_things_are_not_calls() {
    let mut value = status(&json!("ACCEPTED"));
    value["statuses"][0]["type"] = json!("message");
    assert_eq!(only(&value), other(Some("message")));
}

fn ended(status: &Value) -> Value {
    json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "13175551399", "phone_number_id": "436666719526789"},
        "calls": [{"id": WACID, "to": "12185552828", "from": "13175551399", "event": "terminate",
            "direction": "BUSINESS_INITIATED", "timestamp": "1749197480", "status": status,
            "biz_opaque_callback_data": "call-7",
            "start_time": "1671644824", "end_time": 1_671_644_944, "duration": 120}]
    })
}

#[test]
fn a_call_ends() {
    let expected = Terminate {
        number: number(),
        wacid: call(),
        direction: Some(Direction::BusinessInitiated),
        completed: true,
        start_time: Some(1_671_644_824),
        end_time: Some(1_671_644_944),
        duration: Some(120),
        errors: vec![],
        callback_data: Some("call-7".into()),
        timestamp: Some(1_749_197_480),
        user: Caller { phone: Some("12185552828".into()), ..Caller::default() },
    };
    for status in [
        json!("COMPLETED"),
        json!("Completed"),
        json!(["Completed"]),
        json!(["Failed", "Completed"]),
        json!(null),
    ] {
        assert_eq!(terminate(&ended(&status)), expected, "{status}");
    }
    assert!(!terminate(&ended(&json!(["Failed"]))).completed);
}

#[test]
fn a_call_never_answered_has_no_duration() {
    let mut value = ended(&json!("COMPLETED"));
    for key in ["start_time", "end_time", "duration", "direction"] {
        value["calls"][0].as_object_mut().expect("a call").remove(key);
    }
    let ended = terminate(&value);
    assert_eq!((ended.completed, ended.duration, ended.direction), (true, None, None));
}

#[test]
fn errors_stand_in_the_call_or_beside_it() {
    let error = json!([{"code": 138_021, "title": "No media", "message": "No media", "href": "https://example.com",
        "error_data": {"details": "No media for a long time."}}]);
    let expected = WebhookError {
        code: 138_021,
        title: Some("No media".into()),
        details: Some("No media for a long time.".into()),
    };
    let mut inside = ended(&json!("FAILED"));
    inside["calls"][0]["errors"] = error.clone();
    let mut beside = ended(&json!("FAILED"));
    beside["errors"] = error.clone();
    let mut both = inside.clone();
    both["errors"] = error;
    for value in [inside, beside, both] {
        let ended = terminate(&value);
        assert_eq!((ended.completed, ended.errors), (false, vec![expected.clone()]));
    }
}

#[test]
fn errors_without_details_or_title() {
    let mut value = ended(&json!(null));
    value["errors"] = json!([{"code": "138019", "message": "Setup failed"}, {"message": "no code"}, 7]);
    let ended = terminate(&value);
    let expected = WebhookError { code: 138_019, title: Some("Setup failed".into()), details: None };
    assert_eq!((ended.completed, ended.errors), (false, vec![expected]));
}

#[test]
fn errors_beside_two_calls_belong_to_neither() {
    let mut value = ended(&json!("COMPLETED"));
    let call = value["calls"][0].clone();
    value["calls"].as_array_mut().expect("calls").push(call);
    value["errors"] = json!([{"code": 138_021}]);
    for event in events(&value) {
        assert!(matches!(event, WebhookEvent::Terminate(Terminate { errors, .. }) if errors.is_empty()));
    }
}

#[test]
fn what_is_not_known_is_other() {
    let mut value = user_connect();
    value["calls"][0]["event"] = json!("call_weather_available");
    assert_eq!(only(&value), other(Some("call_weather_available")));
    assert_eq!(only(&json!({"errors": [{"code": 131_044}]})), other(Some("errors")));
    assert_eq!(only(&json!({})), other(None));
    assert_eq!(only(&json!(7)), other(None));

    let body = br#"{"entry":[{"changes":[{"field":"messages","value":{"statuses":[{"id":"wamid.x"}]}},{"value":{}},7]}]}"#;
    let unknown = |field: &str| WebhookEvent::Other { field: field.into(), event: None };
    assert_eq!(parse(body), Ok(vec![unknown("messages"), unknown(""), unknown("")]));
}

#[test]
fn one_bad_call_does_not_lose_its_neighbours() {
    let mut value = user_connect();
    let good = value["calls"][0].clone();
    let mut without_id = good.clone();
    without_id["id"] = json!("two words");
    value["calls"] = json!([without_id, 7, null, good]);
    value["statuses"] = json!(["x", status(&json!("RINGING"))["statuses"][0]]);
    let events = events(&value);
    assert_eq!(events.len(), 6);
    assert_eq!(events[..3], [other(Some("connect")), other(None), other(None)]);
    assert!(matches!(events[3], WebhookEvent::Connect(_)));
    assert_eq!(events[4], other(Some("status")));
    assert!(matches!(events[5], WebhookEvent::Status(_)));
}

#[test]
fn without_a_business_number_nothing_can_be_done() {
    let mut value = user_connect();
    value["metadata"].as_object_mut().expect("metadata").remove("phone_number_id");
    assert_eq!(only(&value), other(Some("connect")));
}

#[test]
fn numbers_that_are_none_are_not_passed_on() {
    let mut value = user_connect();
    value["contacts"] = json!([]);
    for from in ["sip:x@y", "1201\r\n", "++", "\u{663}\u{663}"] {
        value["calls"][0]["from"] = json!(from);
        assert_eq!(connect(&value).caller.phone, None, "{from:?}");
    }
}

#[test]
fn bodies_that_are_no_webhook() {
    assert!(matches!(parse(b""), Err(PayloadError::Syntax(_))));
    assert!(matches!(parse(b"{\"entry\":[}"), Err(PayloadError::Syntax(_))));
    assert!(matches!(parse(b"{} x"), Err(PayloadError::Syntax(_))));
    assert_eq!(parse(b"[]"), Err(PayloadError::NotAnObject));
    assert_eq!(parse(b"{}"), Ok(vec![]));
    assert_eq!(parse("[".repeat(10_000).as_bytes()), Err(PayloadError::TooDeep));
    assert_eq!(parse(&vec![b' '; MAX_BODY + 1]), Err(PayloadError::TooLarge));
}

/// JSON that is near enough to a webhook to get into every branch.
fn near_webhook() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("-1e400".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        prop::sample::select(vec![
            "connect",
            "terminate",
            "calls",
            "USER_INITIATED",
            "RINGING",
            "call",
            "1",
            "\u{1f600}"
        ])
        .prop_map(|text| format!("{text:?}")),
    ];
    leaf.prop_recursive(8, 64, 6, |inner| {
        let key = prop::sample::select(vec![
            "entry",
            "changes",
            "field",
            "value",
            "calls",
            "statuses",
            "id",
            "event",
            "type",
            "status",
            "metadata",
            "phone_number_id",
            "errors",
            "code",
            "contacts",
            "wa_id",
            "profile",
            "session",
            "sdp",
            "direction",
            "duration",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((key, inner), 0..6).prop_map(|fields| {
                let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = parse(&body);
    }

    #[test]
    fn no_shape_panics(value in near_webhook()) {
        let body = format!(r#"{{"entry":[{{"changes":[{{"field":"calls","value":{value}}}]}}]}}"#);
        let _ = parse(body.as_bytes());
        let _ = parse(value.as_bytes());
    }

    #[test]
    fn no_mutation_panics(at in 0..BUSINESS_CONNECT.len(), byte: u8) {
        let mut body = BUSINESS_CONNECT.as_bytes().to_vec();
        body[at] = byte;
        let _ = parse(&body);
    }
}
