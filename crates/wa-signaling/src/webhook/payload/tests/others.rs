//! What is not a call: permissions, voicemail, settings, restrictions.

use serde_json::json;

use super::*;
use crate::webhook::event::{
    AccountUpdate, CallMedia, CallingUpdate, NumberErrors, PermissionReply, Restriction, SettingsUpdate,
    Violation, Voicemail,
};

/// The events of one change.
fn change(field: &str, value: &Value) -> Vec<WebhookEvent> {
    let body = json!({"object": "whatsapp_business_account",
        "entry": [{"id": "366634483210360", "changes": [{"field": field, "value": value}]}]});
    parse(body.to_string().as_bytes()).expect("an envelope")
}

fn waba() -> Option<String> {
    Some("366634483210360".to_owned())
}

fn messages(messages: &Value) -> Value {
    json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550001234", "phone_number_id": "436666719526789"},
        "contacts": [{"profile": {"name": "Pablo"}, "wa_id": "12015550123"}],
        "messages": messages
    })
}

fn reply() -> Value {
    json!({"from": "12015550123", "id": "wamid.HBgL", "timestamp": "1767168000",
        "context": {"from": "15550001234", "id": "wamid.request"},
        "type": "interactive",
        "interactive": {"type": "call_permission_reply", "call_permission_reply": {"response": "accept",
            "is_permanent": false, "expiration_timestamp": "1768550400", "response_source": "user_action"}}})
}

fn expected_reply() -> PermissionReply {
    PermissionReply {
        number: number(),
        user: Caller { phone: Some("12015550123".into()), name: Some("Pablo".into()), ..Caller::default() },
        accepted: true,
        is_permanent: false,
        expires: Some(1_768_550_400),
        is_automatic: false,
        context: Some("wamid.request".into()),
        timestamp: Some(1_767_168_000),
    }
}

#[test]
fn a_user_permits_calls() {
    let value = messages(&json!([reply()]));
    assert_eq!(change("messages", &value), [WebhookEvent::PermissionReply(expected_reply())]);
    assert_eq!(expected_reply().call(), None);
}

#[test]
fn a_permission_by_a_users_own_call_names_the_call() {
    let mut granted = reply();
    granted["context"]["id"] = json!(WACID);
    granted["interactive"]["call_permission_reply"]["response_source"] = json!("automatic");
    let [WebhookEvent::PermissionReply(reply)] = &change("messages", &messages(&json!([granted])))[..] else {
        panic!("a reply");
    };
    assert_eq!((reply.call(), reply.is_automatic), (Some(call()), true));
}

#[test]
fn whatsapp_takes_a_permission_away_from_a_user_without_a_number() {
    let taken = json!({"from_user_id": "US.134912086553", "from_parent_user_id": "US.ENT.118", "id": "wamid.1",
        "interactive": {"call_permission_reply": {"response": "REJECT", "response_source": "automatic",
            "is_permanent": true}}});
    let mut value = messages(&json!([taken]));
    value["contacts"] = json!([{"profile": {"username": "@pablo"}, "user_id": "US.134912086553"}]);
    let expected = PermissionReply {
        user: Caller {
            bsuid: Some("US.134912086553".into()),
            parent_bsuid: Some("US.ENT.118".into()),
            username: Some("@pablo".into()),
            ..Caller::default()
        },
        accepted: false,
        expires: None,
        is_automatic: true,
        context: None,
        timestamp: None,
        ..expected_reply()
    };
    assert_eq!(change("messages", &value), [WebhookEvent::PermissionReply(expected)]);
}

#[test]
fn replies_that_say_nothing_are_other_and_cost_no_neighbour() {
    let unknown = WebhookEvent::Other { field: "messages".into(), event: None };
    let mut odd = reply();
    odd["interactive"]["call_permission_reply"]["response"] = json!("perhaps");
    assert_eq!(change("messages", &messages(&json!([odd]))), std::slice::from_ref(&unknown));
    let mut nobody = reply();
    nobody.as_object_mut().expect("a message").remove("from");
    let mut value = messages(&json!([nobody]));
    value["contacts"] = json!([]);
    assert_eq!(change("messages", &value), [unknown]);
    let value = messages(&json!([7, odd, {"type": "text", "text": {"body": "hello"}, "from": "1"}, reply()]));
    let events = change("messages", &value);
    let mut expected = expected_reply();
    expected.user.name = Some("Pablo".into());
    assert_eq!(events, [WebhookEvent::PermissionReply(expected)]);
}

#[test]
fn voicemail_is_an_audio_message_under_the_id_of_a_call() {
    let voicemail = json!({"from": "12015550123", "id": WACID, "timestamp": "1767168000", "type": "audio",
        "audio": {"id": "938884519013664", "mime_type": "audio/ogg; codecs=opus"}});
    let expected = Voicemail {
        number: number(),
        wacid: call(),
        user: expected_reply().user,
        media: Some("938884519013664".into()),
        timestamp: Some(1_767_168_000),
    };
    assert_eq!(change("messages", &messages(&json!([voicemail]))), [WebhookEvent::Voicemail(expected)]);
    let mut chat = voicemail;
    chat["id"] = json!("wamid.x");
    let unknown = WebhookEvent::Other { field: "messages".into(), event: None };
    assert_eq!(change("messages", &messages(&json!([chat]))), [unknown]);
}

#[test]
fn recordings_and_transcriptions_lie_ready() {
    let mut value = user_connect();
    value["calls"] = json!([
        {"id": WACID, "event": "call_recording_available", "timestamp": "7", "media": {"id": "1"}},
        {"call_id": WACID, "event": "call_transcription_available"},
        {"event": "call_recording_available"}
    ]);
    let media = |timestamp| CallMedia { number: number(), wacid: call(), timestamp };
    assert_eq!(
        events(&value),
        [
            WebhookEvent::Recording(media(Some(7))),
            WebhookEvent::Transcription(media(None)),
            other(Some("call_recording_available")),
        ]
    );
}

#[test]
fn settings_tell_what_they_tell_and_nothing_more() {
    let update = |calling: Value| {
        let value = json!({"messaging_product": "whatsapp", "timestamp": 1_671_644_824,
            "type": "phone_number_settings",
            "phone_number_settings": {"phone_number_id": "436666719526789", "calling": calling}});
        match &change("account_settings_update", &value)[..] {
            [WebhookEvent::SettingsUpdate(update)] => update.clone(),
            events => panic!("{events:?}"),
        }
    };
    let whole = update(json!({"status": "ENABLED", "call_icon_visibility": "DEFAULT",
        "callback_permission_status": "DISABLED", "sip": {"status": "enabled"},
        "srtp_key_exchange_protocol": "sdes"}));
    let calling = CallingUpdate {
        enabled: Some(true),
        sip: Some(true),
        key_exchange: Some("SDES".into()),
        icon_visibility: Some("DEFAULT".into()),
        callback_permission: Some(false),
    };
    let expected = SettingsUpdate { waba: waba(), number: number(), timestamp: Some(1_671_644_824), calling };
    assert_eq!(whole, expected);
    let calling = CallingUpdate { enabled: Some(false), ..CallingUpdate::default() };
    assert_eq!(update(json!({"status": "DISABLED", "sip": 7, "unheard": {"of": []}})).calling, calling);
}

#[test]
fn settings_of_no_number_are_other() {
    let unknown = WebhookEvent::Other { field: "account_settings_update".into(), event: None };
    for value in [json!({}), json!(7), json!({"phone_number_settings": {"calling": {"status": "ENABLED"}}})] {
        assert_eq!(change("account_settings_update", &value), std::slice::from_ref(&unknown));
    }
}

#[test]
fn violations_and_restrictions() {
    let violation = json!({"phone_number": "+1 (555) 000-1234", "event": "ACCOUNT_VIOLATION",
        "violation_info": {"violation_type": "USER_INITIATED_CALLS_LOW_PICKUP_RATE", "remediation": "Answer."}});
    let mut expected = AccountUpdate {
        waba: waba(),
        phone_number: Some("15550001234".into()),
        event: "ACCOUNT_VIOLATION".into(),
        violation: Some(Violation {
            kind: "USER_INITIATED_CALLS_LOW_PICKUP_RATE".into(),
            remedy: Some("Answer.".into()),
        }),
        restrictions: vec![],
    };
    assert_eq!(change("account_update", &violation), [WebhookEvent::AccountUpdate(expected.clone())]);
    expected.event = "ACCOUNT_RESTRICTION".into();
    expected.violation = None;
    let kind = "RESTRICTED_BUSINESS_INITIATED_CALLING";
    expected.restrictions = vec![Restriction { kind: kind.into(), until: Some(1_641_848_057) }];
    let one = json!({"restriction_type": kind, "expiration": 1_641_848_057});
    for info in [json!([one, {"no": "type"}, 7]), one] {
        let restriction =
            json!({"phone_number": "15550001234", "event": "ACCOUNT_RESTRICTION", "restriction_info": info});
        assert_eq!(change("account_update", &restriction), [WebhookEvent::AccountUpdate(expected.clone())]);
    }
    let unknown = WebhookEvent::Other { field: "account_update".into(), event: None };
    assert_eq!(change("account_update", &json!({"event": 7})), [unknown]);
}

/// 131044: a user calls, and the business has no way to pay.
#[test]
fn errors_of_a_number_stand_alone() {
    let value = json!({"metadata": {"phone_number_id": "436666719526789"},
        "errors": [{"code": 131_044, "title": "Business eligibility payment issue"}]});
    let error = WebhookError {
        code: 131_044,
        title: Some("Business eligibility payment issue".into()),
        details: None,
    };
    let expected =
        WebhookEvent::NumberErrors(NumberErrors { waba: waba(), number: number(), errors: vec![error] });
    assert_eq!(change("calls", &value), std::slice::from_ref(&expected));
    assert_eq!(change("messages", &value), [expected]);
}

#[test]
fn a_status_of_a_user_without_a_number_tells_the_user_ids() {
    let value = json!({"metadata": {"phone_number_id": "436666719526789"}, "statuses": [{"id": WACID,
        "type": "call", "status": "RINGING", "recipient_user_id": "US.13", "recipient_parent_user_id": "US.ENT.1"}]});
    let [WebhookEvent::Status(status)] = &change("calls", &value)[..] else { panic!("a status") };
    let expected =
        Caller { bsuid: Some("US.13".into()), parent_bsuid: Some("US.ENT.1".into()), ..Caller::default() };
    assert_eq!(status.user, expected);
}

#[test]
fn the_end_of_a_call_tells_its_user_with_and_without_a_number() {
    assert_eq!(terminate(&ended(&json!("COMPLETED"))).user.phone.as_deref(), Some("12185552828"));
    let mut value = ended(&json!("COMPLETED"));
    value["calls"][0].as_object_mut().expect("a call").remove("to");
    value["calls"][0]["to_user_id"] = json!("US.13");
    assert_eq!(terminate(&value).user, Caller { bsuid: Some("US.13".into()), ..Caller::default() });
}

#[test]
fn the_fields_of_a_body_are_told() {
    let fields = |body: Value| {
        let batch = read(body.to_string().as_bytes()).expect("an envelope");
        batch.fields.into_iter().collect::<Vec<_>>()
    };
    let change = |field: &str| json!({"field": field, "value": {}});
    let two = json!({"entry": [{"changes": [change("calls"), change("messages")]}, {"changes": [change("calls")]}]});
    assert_eq!(fields(two), ["calls", "messages"]);
    assert_eq!(fields(json!({"object": "page", "entry": [{"messaging": [{}]}]})), [""]);
    assert_eq!(fields(json!({"entry": [{"changes": [{"value": {}}, 7]}]})), [""]);
    assert_eq!(fields(json!({})), [""; 0]);
}
