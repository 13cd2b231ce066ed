#![expect(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]

use media_relay::{CallQuality, Figure, PathCounters, SideCounters, SideQuality};
use serde_json::Value;
use wa_signaling::ErrorKind;

use super::*;
use crate::id::CallId;
use crate::mark::Instance;

const PAGE: &str = include_str!("../../../../../docs/records.md");
/// 2026-11-22T05:25:58.123Z.
const WALL: Duration = Duration::from_millis(1_795_325_158_123);

fn facts(direction: Direction, sip_call_id: Option<&str>) -> Facts {
    let mark = Mark {
        call: CallId::from_bytes([7; 16]),
        instance: Instance::from_bytes([1; 4]),
        sip_call_id: sip_call_id.map(ToOwned::to_owned),
    };
    Facts {
        trunk: Some("office".to_owned()),
        phone_number_id: Some("106540352242922".to_owned()),
        display: Some("15550001234".to_owned()),
        user: Caller {
            phone: Some("4915112345678".to_owned()),
            bsuid: Some("DE.13491208655302741918".to_owned()),
            parent_bsuid: Some("DE.ENT.11815799212886844830".to_owned()),
            name: Some("Ada".to_owned()),
            username: None,
        },
        dialled: Some("004915112345678".to_owned()),
        caller: Some("1001".to_owned()),
        ..Facts::new(mark, direction, WALL, Instant::now())
    }
}

fn answered(facts: &Facts, cause: Cause) -> Outcome {
    let at = |seconds| facts.began + Duration::from_secs(seconds);
    Outcome {
        cause,
        began: facts.began,
        rang: Some(at(2)),
        answered: Some(at(7)),
        ended: at(67),
        whatsapp_ended: true,
    }
}

fn figure(values: &[f32]) -> Figure {
    let mut figure = Figure::default();
    for value in values {
        figure.take(*value);
    }
    figure
}

/// A side that lost so many packets, with this opinion score for some time.
fn heard(lost: u64, mos: f32) -> SideQuality {
    SideQuality {
        lost,
        jitter_ms: figure(&[2.0, 5.4]),
        round_trip_ms: figure(&[40.0]),
        buffer_ms: figure(&[20.0, 30.0]),
        mos: figure(&[mos, 1.0]),
        reported_lost: Some(2),
        reported_jitter_ms: figure(&[1.0]),
        reported_mos: figure(&[4.2]),
        ..SideQuality::default()
    }
}

/// A record with every field.
fn full() -> Record {
    let facts = facts(Direction::SipToWa, Some("a84b4c76e66710@pc33"));
    let terminate = WhatsAppEnd { start: Some(1_795_325_165), end: Some(1_795_325_225), duration: Some(60) };
    let tally = Tally { targets: 1, transfers: 2, whatsapp: Some(terminate), ..Tally::default() };
    let pbx = SideCounters { received: 1, sent: 2, lost: 3, late: 4, ..SideCounters::default() };
    let whatsapp = SideCounters { received: 5, sent: 6, lost: 7, late: 8, ..SideCounters::default() };
    let packets = PathCounters { pbx, whatsapp };
    let quality = CallQuality { pbx: heard(3, 4.41), whatsapp: heard(7, 3.6) };
    let media = Summary { packets, refused: 9, setup: Some(Duration::from_millis(310)), quality };
    let outcome = answered(&facts, Cause::WhatsAppFailed(138_021));
    let wacid = "wacid.A".parse().ok();
    Record::of(&facts, wacid.as_ref(), &tally, &outcome, Some(&media))
}

fn json(record: &Record) -> serde_json::Map<String, Value> {
    match serde_json::to_value(record).expect("JSON") {
        Value::Object(fields) => fields,
        other => panic!("{other}"),
    }
}

/// The rows of the page: name and type of each field.
fn rows() -> Vec<(&'static str, &'static str)> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| {
        let (name, rest) = row.split_once("` | ")?;
        Some((name, rest.split_once(" | ")?.0))
    })
    .collect()
}

#[test]
fn the_page_names_every_field_in_order_with_the_type_that_it_has() {
    let record = full();
    let line = serde_json::to_string(&record).expect("JSON");
    let places: Vec<_> =
        Record::FIELDS.iter().map(|name| line.find(&format!("\"{name}\":")).expect(name)).collect();
    assert!(places.is_sorted(), "the order of JSON is another: {line}");
    let names: Vec<_> = rows().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, Record::FIELDS);
    let fields = json(&record);
    for (name, kind) in rows() {
        let value = &fields[name];
        let fits = match kind {
            "text" => value.is_string(),
            "time" => value.as_str().is_some_and(|text| text.len() == 24 && text.ends_with('Z')),
            "integer" => value.is_u64(),
            "flag" => value.is_boolean(),
            other => panic!("{name} has the unknown type {other}"),
        };
        assert!(fits, "{name} is {value}, and no {kind}");
    }
}

/// What the page says is always there is so, even of a call of which next to nothing is known.
#[test]
fn what_is_always_there_is_there_and_the_rest_may_be_missing() {
    let mark = facts(Direction::SipToWa, None).mark;
    let facts = Facts::new(mark, Direction::SipToWa, WALL, Instant::now());
    let outcome = facts.unanswered(facts.began, Cause::Crash, true);
    let record = json(&Record::of(&facts, None, &Tally::default(), &outcome, None));
    for line in PAGE.lines().filter(|line| line.starts_with("| `")) {
        let name = line.split('`').nth(1).expect("a name");
        let always = line.contains(" | always there | ");
        assert_eq!(!record[name].is_null(), always, "{line}");
    }
}

#[test]
fn an_answered_call_of_the_pbx_has_its_times_and_what_ended_it() {
    let record = full();
    assert_eq!(record.began_at, "2026-11-22T05:25:58.123Z");
    assert_eq!(record.answered_at.as_deref(), Some("2026-11-22T05:26:05.123Z"));
    assert_eq!(record.ended_at, "2026-11-22T05:27:05.123Z");
    assert_eq!((record.setup_ms, record.ringing_ms, record.talk_ms), (2000, Some(5000), Some(60_000)));
    assert_eq!((record.ended_by, record.cause), ("whatsapp", "wa_no_media_received"));
    assert_eq!((record.sip_status, record.q850, record.whatsapp_error), (Some(200), 102, Some(138_021)));
    assert_eq!(record.whatsapp_start.as_deref(), Some("2026-11-22T05:26:05.000Z"));
    assert_eq!(record.sip_call_id.as_deref(), Some("a84b4c76e66710@pc33"));
}

#[test]
fn how_a_call_was_heard_is_told_by_its_means_and_its_worst_second() {
    let record = full();
    assert_eq!((record.pbx_lost, record.whatsapp_lost), (Some(3), Some(7)));
    assert_eq!((record.pbx_jitter_ms, record.pbx_jitter_max_ms), (Some(4), Some(5)));
    assert_eq!((record.pbx_mos_x100, record.pbx_mos_min_x100), (Some(271), Some(100)));
    assert_eq!((record.whatsapp_mos_x100, record.whatsapp_buffer_ms), (Some(230), Some(25)));
    assert_eq!((record.whatsapp_reported_lost, record.pbx_reported_mos_x100), (Some(2), Some(420)));
}

#[test]
fn the_status_is_what_the_pbx_got_or_what_it_said() {
    let of = |facts: &Facts, tally: &Tally, cause| {
        let outcome = facts.unanswered(facts.began, cause, true);
        Record::of(facts, None, tally, &outcome, None)
    };
    let out = facts(Direction::SipToWa, Some("1@pc33"));
    let permission = Cause::Graph(ErrorKind::NoCallPermission);
    let record = of(&out, &Tally { graph_error: Some(138_006), ..Tally::default() }, permission);
    assert_eq!((record.sip_status, record.whatsapp_error), (Some(403), Some(138_006)));
    let overcome = of(&out, &Tally { graph_error: Some(138_006), ..Tally::default() }, Cause::PbxCancelled);
    assert_eq!((overcome.sip_status, overcome.whatsapp_error), (Some(487), None));
    let lost = facts(Direction::SipToWa, None);
    assert_eq!(of(&lost, &Tally::default(), Cause::Crash).sip_status, None, "no INVITE was answered");

    let incoming = facts(Direction::WaToSip, None);
    let tally = Tally { targets: 2, pbx_status: Some(486), ..Tally::default() };
    let record = of(&incoming, &tally, Cause::PbxRefused(486));
    assert_eq!((record.sip_status, record.ended_by, record.targets), (Some(486), "pbx", 2));
    assert_eq!(record.sip_call_id.as_deref(), Some(incoming.mark.call.as_str()));
    let turned = of(&incoming, &Tally::default(), Cause::ClosedHours);
    assert_eq!((turned.sip_status, turned.sip_call_id), (None, None));
}

/// What a crash left is ended by a machine that begins then, and the call began long before.
#[test]
fn a_call_of_a_former_life_began_when_it_began() {
    let facts = facts(Direction::SipToWa, Some("1@pc33"));
    let restart = facts.began + Duration::from_secs(90);
    let outcome = Outcome { began: restart, ..facts.unanswered(restart, Cause::Crash, true) };
    let record = Record::of(&facts, None, &Tally::default(), &outcome, None);
    assert_eq!(record.ended_at, "2026-11-22T05:27:28.123Z");
    assert_eq!((record.setup_ms, record.cause, record.ended_by), (90_000, "crash", "bridge"));
}

#[test]
fn masked_records_name_nobody() {
    let record = full().masked();
    assert_eq!(record.user_phone.as_deref(), Some("**********678"));
    assert_eq!(record.dialled.as_deref(), Some("************678"));
    assert_eq!(record.user_name, None);
    assert_eq!(record.display.as_deref(), Some("15550001234"), "a business number is nobody's secret");
    let text = serde_json::to_string(&record).expect("JSON");
    assert!(!text.contains("4915112345678") && !text.contains("13491208655302741918"), "{text}");
}

#[test]
fn a_text_that_anybody_wrote_is_cut() {
    let mut facts = facts(Direction::SipToWa, Some(&"x".repeat(60_000)));
    facts.user.name = Some("é".repeat(60_000));
    facts.caller = Some(String::new());
    let outcome = facts.unanswered(facts.began, Cause::NoRoute, true);
    let record = Record::of(&facts, None, &Tally::default(), &outcome, None);
    assert_eq!(record.user_name.map(|name| name.chars().count()), Some(LONGEST_TEXT));
    assert_eq!(record.sip_call_id.map(|id| id.len()), Some(LONGEST_TEXT));
    assert_eq!(record.caller, None);
}
