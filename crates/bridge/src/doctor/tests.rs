//! Every finding, by what is planted in healthy facts.

mod cases;

use serde_json::json as value;
use wa_signaling::graph::account::{NumberInfo, SubscribedApp, Subscription, TokenInfo};
use wa_signaling::graph::error::{ApiError, GraphError};
use wa_signaling::graph::settings::{CallingSettings, KeyExchange};

use media_relay::Keying;
use media_relay::sdp::pbx::Codec;

use super::facts::{App, Facts, Number, Reached, Reply, Step, Unreached, Waba, Webhook};
use super::*;
use crate::config::NumberAudio;
use cases::CASES;

const URL: &str = "https://calls.example.com/webhook";
/// Wednesday, 7 January 2026, 12:00 UTC.
const NOW: i64 = 1_767_787_200;
const DAY: u64 = 24 * 3600;

fn text_of(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn settings() -> CallingSettings {
    CallingSettings { enabled: Some(true), callback_permission: Some(true), ..CallingSettings::default() }
}

/// Nothing is wrong.
fn healthy() -> Facts {
    let fields = ["calls", "messages"].map(str::to_owned).to_vec();
    let subscription = Subscription {
        object: "whatsapp_business_account".to_owned(),
        callback_url: text_of(URL),
        active: true,
        fields,
    };
    let token = TokenInfo {
        valid: true,
        app_id: text_of("67"),
        scopes: ["whatsapp_business_messaging", "whatsapp_business_management"].map(str::to_owned).to_vec(),
        ..TokenInfo::default()
    };
    let info = NumberInfo {
        display: text_of("+1 555-000-1234"),
        verified_name: text_of("Desk"),
        status: text_of("CONNECTED"),
        quality: text_of("GREEN"),
        platform: text_of("CLOUD_API"),
        messaging_limit: text_of("TIER_2K"),
    };
    let right = Reply { status: 200, is_right: true };
    Facts {
        now: NOW,
        graph_url: "https://graph.facebook.com v25.0".to_owned(),
        graph: Ok(Reached { ahead: Some(1) }),
        app: App { id: text_of("67"), secrets: 1, subscriptions: Some(Ok(vec![subscription])) },
        webhook: Webhook {
            url: text_of(URL),
            path: "/webhook".to_owned(),
            listen: "127.0.0.1:8080".to_owned(),
            own_tls: false,
            verification: Some(Ok(right.clone())),
            probes: vec![Ok(right)],
        },
        wabas: vec![Waba {
            id: text_of("10"),
            apps: Some(Ok(vec![SubscribedApp { id: "67".to_owned(), ..SubscribedApp::default() }])),
        }],
        numbers: vec![Number {
            id: "106".to_owned(),
            display: "15550001234".to_owned(),
            waba: text_of("10"),
            audio: NumberAudio::default(),
            token: Some(Ok(token)),
            info: Some(Ok(info)),
            settings: Some(Ok(settings())),
        }],
        ring_limit_s: 55,
    }
}

fn api(code: u32, http_status: u16) -> GraphError {
    GraphError::Api(ApiError {
        http_status,
        code,
        subcode: None,
        message: "refused".to_owned(),
        details: None,
        fbtrace_id: None,
        retry_after: None,
    })
}

fn number(facts: &mut Facts) -> &mut Number {
    facts.numbers.first_mut().expect("a number")
}

fn token(facts: &mut Facts) -> &mut TokenInfo {
    number(facts).token.as_mut().expect("asked").as_mut().expect("answered")
}

fn info(facts: &mut Facts) -> &mut NumberInfo {
    number(facts).info.as_mut().expect("asked").as_mut().expect("answered")
}

fn calling(facts: &mut Facts) -> &mut CallingSettings {
    number(facts).settings.as_mut().expect("asked").as_mut().expect("answered")
}

fn set(facts: &mut Facts, settings: serde_json::Value) {
    let mut whole = value!({ "status": "ENABLED" });
    whole.as_object_mut().expect("an object").extend(settings.as_object().cloned().expect("an object"));
    *calling(facts) = CallingSettings::read(&value!({ "calling": whole }));
}

fn subscription(facts: &mut Facts) -> &mut Subscription {
    let all = facts.app.subscriptions.as_mut().expect("asked").as_mut().expect("answered");
    all.first_mut().expect("one")
}

fn apps(facts: &mut Facts) -> &mut Vec<SubscribedApp> {
    let waba = facts.wabas.first_mut().expect("an account");
    waba.apps.as_mut().expect("asked").as_mut().expect("answered")
}

fn unreached<T>(step: Step, why: &str) -> Result<T, Unreached> {
    Err(Unreached { step, why: why.to_owned() })
}

fn reply(status: u16, is_right: bool) -> Option<Result<Reply, Unreached>> {
    Some(Ok(Reply { status, is_right }))
}

#[test]
fn a_healthy_set_up_has_only_good_findings() {
    let report = judge(&healthy());
    assert!(report.findings().all(|(_, finding)| finding.level == Level::Ok), "{}", text(&report));
    assert!(report.fixes().is_empty());
    assert!(text(&report).ends_with("\nAll is well.\n"));
}

#[test]
fn each_planted_fault_is_found_and_names_its_remedy() {
    for (place, (plant, check, level, what, remedy, fix)) in CASES.iter().enumerate() {
        let mut facts = healthy();
        plant(&mut facts);
        let report = judge(&facts);
        let shown = text(&report);
        let found = report
            .findings()
            .map(|(_, finding)| finding)
            .find(|one| one.check == *check && one.remedy.is_some());
        let found = found.unwrap_or_else(|| panic!("case {place}: no {check} in\n{shown}"));
        assert_eq!(found.level, *level, "case {place}: {found:?}");
        assert!(found.what.contains(what), "case {place}: {found:?}");
        assert!(found.remedy.as_ref().is_some_and(|text| text.contains(remedy)), "case {place}: {found:?}");
        let after = found.fix.as_ref().map(|fix| fix.after.as_str());
        assert_eq!(after, *fix, "case {place}: {found:?}");
        assert!(shown.contains("What to do:"), "{shown}");
    }
}

#[test]
fn every_finding_that_is_not_well_has_a_remedy_and_only_those() {
    for (plant, ..) in CASES {
        let mut facts = healthy();
        plant(&mut facts);
        for (_, finding) in judge(&facts).findings() {
            let is_bad = finding.level >= Level::Warning;
            assert_eq!(is_bad, finding.remedy.is_some(), "{finding:?}");
        }
    }
}

#[test]
fn a_token_that_is_refused_is_found_without_the_app_too() {
    let mut facts = healthy();
    (number(&mut facts).token, number(&mut facts).info) = (None, Some(Err(api(190, 401))));
    number(&mut facts).settings = Some(Err(api(190, 401)));
    let report = judge(&facts);
    let faults: Vec<_> = report.findings().filter(|(_, one)| one.level == Level::Fault).collect();
    assert!(matches!(faults.as_slice(), [(_, Finding { check: "token", .. })]), "{}", text(&report));
}

#[test]
fn calling_is_enabled_after_the_webhooks_come_and_sip_mode_is_off() {
    let mut facts = healthy();
    set(
        &mut facts,
        value!({
            "status": "DISABLED", "sip": { "status": "ENABLED" }, "srtp_key_exchange_protocol": "SDES",
        }),
    );
    apps(&mut facts).clear();
    subscription(&mut facts).fields.clear();
    let report = judge(&facts);
    let order: Vec<_> = report.fixes().into_iter().map(|(_, finding, _)| finding.check).collect();
    assert_eq!(order, ["webhook fields", "subscribed app", "SIP mode", "key exchange", "calling"]);
}

#[test]
fn fields_are_not_set_while_the_url_is_another_programs() {
    let mut facts = healthy();
    subscription(&mut facts).callback_url = text_of("https://crm.example.com/");
    subscription(&mut facts).fields = vec!["messages".to_owned()];
    let report = judge(&facts);
    let fixes = report.fixes();
    let [(_, _, fix)] = fixes.as_slice() else { panic!("{fixes:?}") };
    let Action::Subscribe { fields, takes_over, .. } = &fix.action else { panic!("{fix:?}") };
    assert!(*takes_over && *fields == ["messages", "calls"], "{fix:?}");
}

#[test]
fn a_callback_url_of_another_does_not_matter_where_the_accounts_have_ours() {
    let mut facts = healthy();
    subscription(&mut facts).callback_url = text_of("https://crm.example.com/");
    apps(&mut facts)[0].override_url = text_of(URL);
    assert_eq!(judge(&facts).count(Level::Fault), 0);
}

#[test]
fn restrictions_that_are_over_are_none() {
    let mut facts = healthy();
    set(
        &mut facts,
        value!({ "restrictions": { "restrictions_list": [{ "type": "X", "expiration": NOW - 1 }] } }),
    );
    assert_eq!(judge(&facts).count(Level::Fault), 0);
}

#[test]
fn call_hours_are_those_of_their_wall() {
    let hours = |timezone: &str, holidays: serde_json::Value| {
        let settings = CallingSettings::read(&value!({ "calling": { "call_hours": {
            "status": "ENABLED", "timezone_id": timezone, "holiday_schedule": holidays,
            "weekly_operating_hours": [{ "day_of_week": "WEDNESDAY", "open_time": "1200", "close_time": "1300" }],
        } } }));
        is_open(&settings.call_hours.expect("hours"), NOW)
    };
    assert_eq!(hours("UTC", value!([])), Some(true));
    assert_eq!(hours("Europe/Berlin", value!([])), Some(false));
    assert_eq!(hours("Nowhere/Land", value!([])), None);
    let day = value!([{ "date": "2026-01-07", "start_time": "0000", "end_time": "2359" }]);
    assert_eq!(hours("UTC", day), None);
}

#[test]
fn what_others_say_does_nothing_to_a_terminal() {
    let mut facts = healthy();
    info(&mut facts).verified_name = Some(format!("\u{1b}[2J\n{}", "x".repeat(1000)));
    let shown = text(&judge(&facts));
    assert!(!shown.contains('\u{1b}') && shown.contains("..."), "{shown}");
    assert!(!json(&judge(&facts)).to_string().contains("\\u001b"));
}

#[test]
fn for_programs_there_is_the_same() {
    let mut facts = healthy();
    calling(&mut facts).enabled = Some(false);
    let shown = json(&judge(&facts));
    assert_eq!((&shown["faults"], &shown["warnings"]), (&value!(1), &value!(0)));
    let number = &shown["sections"][4];
    assert_eq!(number["subject"], "Number +15550001234 (106)");
    let findings = number["findings"].as_array().expect("findings");
    let calling = findings.iter().find(|one| one["check"] == "calling").expect("calling");
    assert_eq!((&calling["level"], &calling["fix"]["after"]), (&value!("fault"), &value!("ENABLED")));
}
