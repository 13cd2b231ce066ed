use super::*;

fn documented() -> Value {
    json!({"calling": {
        "status": "ENABLED",
        "call_icon_visibility": "DEFAULT",
        "call_icons": {"restrict_to_user_countries": ["DE", "AT"]},
        "call_hours": {
            "status": "ENABLED", "timezone_id": "Europe/Berlin",
            "weekly_operating_hours": [
                {"day_of_week": "MONDAY", "open_time": "0800", "close_time": "1200"},
                {"day_of_week": "MONDAY", "open_time": "1300", "close_time": "1700"}],
            "holiday_schedule": [{"date": "2026-12-25", "start_time": "0000", "end_time": "2359"}]},
        "callback_permission_status": "DISABLED",
        "srtp_key_exchange_protocol": "SDES",
        "sip": {"status": "ENABLED", "webhook_delivery": "ENABLED", "servers": [
            {"hostname": "sip.example.com", "port": 5061, "request_uri_user_params": {"tgrp": "x"},
             "sip_user_password": "not to be kept"}]},
        "audio": {"additional_codecs": ["PCMA", "PCMU"]},
        "voicemail": {"status": "ENABLED", "triggers": ["REJECT", "TIMEOUT"],
            "audio": {"default": {"announcement_media_id": 7, "timeout_seconds": 20}}},
        "restrictions": {"restrictions_list": [
            {"type": "RESTRICTED_USER_INITIATED_CALLING", "reason": "quality", "expiration": 1_754_072_386}]},
        "video": {"status": "DISABLED"},
        "ip_addresses": {"default": ["192.0.2.1"]},
        "something_new": {"status": "ENABLED"}
    }, "other": 1})
}

#[test]
fn every_documented_setting_is_read() {
    let settings = CallingSettings::read(&documented());
    assert_eq!(settings.enabled, Some(true));
    assert_eq!(settings.call_icon_visibility.as_deref(), Some("DEFAULT"));
    assert_eq!(settings.call_icon_countries, ["DE", "AT"]);
    let hours = settings.call_hours.as_ref().expect("call hours");
    assert!(hours.enabled && hours.timezone == "Europe/Berlin");
    assert_eq!((hours.weekly.len(), hours.weekly[1].open.as_str()), (2, "1300"));
    assert_eq!(hours.holidays[0].date, "2026-12-25");
    assert_eq!(settings.callback_permission, Some(false));
    assert_eq!(settings.key_exchange, Some(KeyExchange::Sdes));
    let sip = settings.sip.as_ref().expect("sip");
    assert!(sip.enabled && sip.webhook_delivery == Some(true));
    assert_eq!(sip.servers, [("sip.example.com".to_owned(), Some(5061))]);
    assert_eq!(settings.additional_codecs, ["PCMA", "PCMU"]);
    let voicemail = settings.voicemail.as_ref().expect("voicemail");
    assert_eq!((voicemail.triggers.len(), voicemail.timeout_s), (2, Some(20)));
    assert_eq!(settings.restrictions[0].expires, Some(1_754_072_386));
    assert_eq!((settings.video, settings.ip_addresses.len()), (Some(false), 1));
    assert!(!format!("{settings:?}").contains("not to be kept"));
}

#[test]
fn absent_and_odd_settings_say_nothing() {
    for value in [
        json!({}),
        json!({"calling": {}}),
        json!({"calling": []}),
        json!({"calling": {"status": "PENDING", "sip": "x", "audio": [], "call_hours": null, "video": 7,
            "srtp_key_exchange_protocol": "MIKEY", "restrictions": {"restrictions_list": {}}}}),
    ] {
        assert_eq!(CallingSettings::read(&value), CallingSettings::default(), "{value}");
    }
}

#[test]
fn a_list_that_never_ends_is_cut() {
    let codecs: Vec<_> = (0..2000).map(|at| at.to_string()).collect();
    let settings = CallingSettings::read(&json!({"calling": {"audio": {"additional_codecs": codecs}}}));
    assert_eq!(settings.additional_codecs.len(), MOST);
}

#[test]
fn a_change_has_one_feature() {
    let hours = CallingSettings::read(&documented()).call_hours.expect("call hours");
    let changes = [
        (SettingsChange::Calling(true), json!({"status": "ENABLED"})),
        (
            SettingsChange::CallIconVisibility("DISABLE_ALL".into()),
            json!({"call_icon_visibility": "DISABLE_ALL"}),
        ),
        (
            SettingsChange::CallIconCountries(vec!["DE".into()]),
            json!({"call_icons": {"restrict_to_user_countries": ["DE"]}}),
        ),
        (SettingsChange::CallbackPermission(false), json!({"callback_permission_status": "DISABLED"})),
        (SettingsChange::KeyExchange(KeyExchange::Dtls), json!({"srtp_key_exchange_protocol": "DTLS"})),
        (SettingsChange::SipMode(false), json!({"sip": {"status": "DISABLED"}})),
        (SettingsChange::AdditionalCodecs(vec![]), json!({"audio": {"additional_codecs": []}})),
        (SettingsChange::Video(false), json!({"video": {"status": "DISABLED"}})),
        (SettingsChange::CallHours(hours), json!({"call_hours": documented()["calling"]["call_hours"]})),
    ];
    for (change, calling) in changes {
        assert_eq!(change.json(), json!({ "calling": calling }), "{change:?}");
    }
}
