//! The records of calls.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use end_to_end::{PATIENCE, at_rest, desk_with, wait_for};
use sandbox::desk::Desk;
use sandbox::pbx::{Codec, DialOptions, Ending, Manner, Policy};
use sandbox::rough::Rough;
use sandbox::whatsapp::{CallState, Timings, UserCall};
use serde_json::Value;

const CALLER: &str = "15550000100";
const CALLEE: &str = "15550000001";

/// A desk that writes records into this folder.
async fn desk(folder: &Path) -> Result<Desk> {
    let path = folder.join("calls.jsonl");
    desk_with(move |text| format!("{text}\n[records]\npath = {path:?}\n"), Timings::quick()).await
}

/// So many records, when they are written.
async fn records(folder: &Path, count: usize) -> Result<Vec<Value>> {
    let read = || fs::read_to_string(folder.join("calls.jsonl")).unwrap_or_default();
    wait_for("records", || read().lines().count() >= count).await?;
    let records: Vec<Value> = read().lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(records.len() == count, "{records:#?}");
    Ok(records)
}

/// Checks fields of a record.
fn says(record: &Value, fields: &[(&str, Value)]) -> Result<()> {
    for (name, expected) in fields {
        ensure!(record[name] == *expected, "{name} is {}, not {expected}: {record:#}", record[name]);
    }
    Ok(())
}

fn is_positive(record: &Value, names: &[&str]) -> Result<()> {
    for name in names {
        ensure!(record[name].as_u64().is_some_and(|value| value > 0), "{name}: {record:#}");
    }
    Ok(())
}

/// On loopback nothing is lost and nothing late: the best score that the codec allows, or next to it.
fn was_heard_well(record: &Value) -> Result<()> {
    for side in ["pbx", "whatsapp"] {
        let of = |figure: &str| record[format!("{side}_{figure}")].as_u64();
        ensure!(of("mos_x100").is_some_and(|mos| (380..=450).contains(&mos)), "{side}: {record:#}");
        ensure!(of("mos_min_x100") <= of("mos_x100"), "{side}: {record:#}");
        ensure!(of("jitter_ms").is_some_and(|jitter| jitter < 50), "{side}: {record:#}");
        ensure!(of("lost").is_some_and(|lost| lost < 5), "{side}: {record:#}");
    }
    Ok(())
}

const OF_MEDIA: [&str; 5] = ["talk_ms", "pbx_received", "pbx_sent", "whatsapp_received", "whatsapp_sent"];

#[tokio::test(flavor = "multi_thread")]
async fn a_call_each_way_and_a_refused_one_have_a_record_each() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let desk = desk(folder.path()).await?;
    let call = desk.phone.dial(CALLEE).await?;
    call.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to(CALLEE).await;
    tokio::time::sleep(Duration::from_millis(2200)).await;
    call.hang_up();
    at_rest(&desk).await?;
    let record = records(folder.path(), 1).await?.remove(0);
    says(
        &record,
        &[
            ("version", 1.into()),
            ("wacid", user.wacid().into()),
            ("trunk", "pbx".into()),
            ("direction", "sip_to_wa".into()),
            ("user_phone", CALLEE.into()),
            ("dialled", CALLEE.into()),
            ("ended_by", "pbx".into()),
            ("cause", "pbx_hung_up".into()),
            ("blame", "nobody".into()),
            ("sip_status", 200.into()),
            ("q850", 16.into()),
            ("whatsapp_error", Value::Null),
            ("whatsapp_ended", true.into()),
            ("transfers", 0.into()),
        ],
    )?;
    is_positive(&record, &OF_MEDIA)?;
    was_heard_well(&record)?;
    is_positive(&record, &["whatsapp_duration_s"]).context("WhatsApp told it after the end")?;
    let times = ["began_at", "rang_at", "answered_at", "ended_at"].map(|name| record[name].as_str());
    ensure!(times.is_sorted() && times[0].is_some_and(|time| time.ends_with('Z')), "{times:?}");

    ensure!(matches!(
        desk.phone.dial("reception").await?.ended(PATIENCE).await?,
        Ending::Rejected { status: 404, .. }
    ));
    let record = records(folder.path(), 2).await?.remove(1);
    says(
        &record,
        &[
            ("wacid", Value::Null),
            ("trunk", "pbx".into()),
            ("direction", "sip_to_wa".into()),
            ("dialled", "reception".into()),
            ("answered_at", Value::Null),
            ("talk_ms", Value::Null),
            ("ended_by", "bridge".into()),
            ("cause", "no_route".into()),
            ("sip_status", 404.into()),
            ("targets", 0.into()),
        ],
    )?;
    ensure!(record["sip_call_id"].is_string() && record["call"].is_string(), "{record:#}");

    let user = desk.whatsapp.call_business(UserCall::new(CALLER, "=Ada")).map_err(|error| anyhow!(error))?;
    let call = desk.phone.incoming(PATIENCE).await?;
    call.answered(PATIENCE).await?;
    user.wait_for(CallState::Accepted, PATIENCE).await?;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    user.hang_up();
    at_rest(&desk).await?;
    let record = records(folder.path(), 3).await?.remove(2);
    says(
        &record,
        &[
            ("wacid", user.wacid().into()),
            ("direction", "wa_to_sip".into()),
            ("sip_call_id", record["call"].clone()),
            ("user_phone", CALLER.into()),
            ("user_name", "=Ada".into()),
            ("caller", Value::Null),
            ("ended_by", "user".into()),
            ("cause", "user_hung_up".into()),
            ("sip_status", 200.into()),
            ("targets", 1.into()),
        ],
    )?;
    ensure!(record["dialled"].is_string(), "{record:#}");
    is_positive(&record, &OF_MEDIA)?;
    is_positive(&record, &["whatsapp_duration_s"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_whom_the_pbx_refuses_has_a_record_with_its_status() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let desk = desk(folder.path()).await?;
    desk.phone.set_policy(Policy::Refuse { ring: Duration::ZERO, status: 486, reason: "Busy Here" });
    let user = desk.whatsapp.call_business(UserCall::new(CALLER, "Ada")).map_err(|error| anyhow!(error))?;
    user.wait_for(CallState::Ended, PATIENCE).await?;
    at_rest(&desk).await?;
    let record = records(folder.path(), 1).await?.remove(0);
    says(
        &record,
        &[
            ("ended_by", "pbx".into()),
            ("cause", "pbx_busy".into()),
            ("blame", "pbx".into()),
            ("sip_status", 486.into()),
            ("answered_at", Value::Null),
            ("user_phone", CALLER.into()),
        ],
    )
}

/// A fifth of the PBX's packets is lost on the way to the bridge: live, in the record and in the histograms.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_a_bad_network_says_so_live_in_its_record_and_in_the_metrics() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let desk = desk(folder.path()).await?;
    let rough = Rough { loss: 0.2, jitter: Duration::from_millis(30), reorder: true, seed: 5 };
    let manner = Some(Manner { rough, ..Manner::default() });
    let options = DialOptions { codecs: Some(vec![Codec::Pcmu]), manner, ..DialOptions::default() };
    let call = desk.phone.dial_with(CALLEE, options).await?;
    call.answered(PATIENCE).await?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let heard = |metrics: &str, side: &str, classes: &[&str]| {
        let line = |class: &&str| {
            format!("wa_bridge_calls_heard{{heard=\"{class}\",side=\"{side}\",stream=\"from\"}} 1")
        };
        classes.iter().map(line).any(|line| metrics.contains(&line))
    };
    let live = metrics(&desk).await?;
    ensure!(heard(&live, "pbx", &["poor", "bad"]) && heard(&live, "whatsapp", &["good", "fair"]), "{live}");
    call.hang_up();
    at_rest(&desk).await?;
    let record = records(folder.path(), 1).await?.remove(0);
    let of = |name: &str| record[name].as_u64().unwrap_or_default();
    // 400 packets were sent, and a seed decides which of them are lost.
    let (came, lost) = (of("pbx_received"), of("pbx_lost"));
    let share = lost as f64 / (came + lost) as f64;
    ensure!(came + lost > 300 && (0.13..0.27).contains(&share), "{lost} lost, {came} came: {record:#}");
    ensure!((lost / 2..2 * lost).contains(&of("pbx_concealed")), "{record:#}");
    ensure!((3..60).contains(&of("pbx_reordered")), "{record:#}");
    ensure!((3..60).contains(&of("pbx_jitter_ms")), "{record:#}");
    ensure!((5..=120).contains(&of("pbx_buffer_ms")), "{record:#}");
    ensure!((100..310).contains(&of("pbx_mos_x100")), "{record:#}");
    ensure!(of("pbx_mos_min_x100") <= of("pbx_mos_x100"), "{record:#}");
    ensure!(of("whatsapp_lost") < 5 && of("whatsapp_mos_x100") > 380, "{record:#}");
    let ended = metrics(&desk).await?;
    for (side, most, within) in [("pbx", "0.1", 0), ("whatsapp", "0.1", 1)] {
        let line = format!(
            "wa_bridge_call_loss_ratio_bucket{{side=\"{side}\",stream=\"from\",le=\"{most}\"}} {within}"
        );
        ensure!(ended.contains(&line), "{line}: {ended}");
    }
    Ok(())
}

async fn metrics(desk: &Desk) -> Result<String> {
    Ok(reqwest::get(format!("http://{}/metrics", desk.bridge.admin_addr())).await?.text().await?)
}

/// The end of the program does not lose the records of the calls that it ends.
#[tokio::test(flavor = "multi_thread")]
async fn the_farewell_writes_the_records_of_the_calls_that_it_ends() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let desk = desk(folder.path()).await?;
    let call = desk.phone.dial(CALLEE).await?;
    call.answered(PATIENCE).await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    desk.bridge.farewell(PATIENCE).await;
    let text = fs::read_to_string(folder.path().join("calls.jsonl"))?;
    let record: Value = serde_json::from_str(text.trim_end())?;
    says(&record, &[("ended_by", "bridge".into()), ("cause", "shutting_down".into())])?;
    is_positive(&record, &["talk_ms"])
}
