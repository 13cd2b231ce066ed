//! What both ends say of the sound by RTCP: to the bridge, whose record tells it, and of the bridge.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use end_to_end::{PATIENCE, at_rest, desk_with, wait_for};
use sandbox::desk::Desk;
use sandbox::metronome::Metronome;
use sandbox::pbx::{Codec, DialOptions, Manner, Policy, Security};
use sandbox::rough::Rough;
use sandbox::rtcp::Reports;
use sandbox::whatsapp::{Behaviour, CallState, Pickup, Timings, UserCall};
use serde_json::Value;

const CALLEE: &str = "15550000001";
const CALLER: &str = "15550000100";
/// The bridge's first report comes within 3.1 s (RFC 3550 6.2), what an end says of it a second later, and the
/// figures of that second one more.
const TALK: Duration = Duration::from_millis(5500);
/// Between a packet and the report beside it.
const ASTRAY: f64 = 0.2;

/// What is left of a call.
struct Told {
    record: Value,
    pbx: Reports,
    whatsapp: Reports,
    /// The machine stood still for a while.
    is_disturbed: bool,
}

impl Told {
    fn of(&self, field: &str) -> Option<u64> {
        self.record[field].as_u64()
    }

    /// Round trips and reports of both sides stand in the record, as good as loopback is.
    fn is_good_at_both_sides(&self) -> Result<()> {
        // A second in which the machine stood still counts as one with loss.
        let (mean, least) = if self.is_disturbed { (380, 200) } else { (400, 380) };
        for side in ["pbx", "whatsapp"] {
            let within = |field: &str, range: std::ops::Range<u64>| {
                let value = self.of(&format!("{side}_{field}"));
                ensure!(
                    value.is_some_and(|value| range.contains(&value)),
                    "{side}_{field}: {:#}",
                    self.record
                );
                anyhow::Ok(())
            };
            within("round_trip_ms", 0..100)?;
            within("round_trip_max_ms", 0..100)?;
            within("reported_lost", 0..1)?;
            within("reported_jitter_ms", 0..50)?;
            within("lost", 0..1)?;
            for score in ["mos", "reported_mos"] {
                within(&format!("{score}_x100"), mean..451)?;
                within(&format!("{score}_min_x100"), least..451)?;
            }
        }
        Ok(())
    }
}

/// A call to WhatsApp of this length, hung up by the phone.
async fn call(trunk: &str, codec: Codec, manner: Manner, length: Duration) -> Result<Told> {
    let folder = tempfile::tempdir()?;
    let desk = desk(folder.path(), trunk).await?;
    let metronome = Metronome::start();
    let options = DialOptions { codecs: Some(vec![codec]), manner: Some(manner), ..DialOptions::default() };
    let call = desk.phone.dial_with(CALLEE, options).await?;
    call.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to(CALLEE).await;
    tokio::time::sleep(length).await;
    call.hang_up();
    at_rest(&desk).await?;
    let record = record(folder.path()).await?;
    wait_for("BYE at the phone", || call.reports().goodbye).await.context(format!("{:?}", call.reports()))?;
    ensure!(desk.phone.complaints().is_empty(), "{:?}", desk.phone.complaints());
    let is_disturbed = !metronome.pauses().is_empty();
    Ok(Told { record, pbx: call.reports(), whatsapp: user.reports(), is_disturbed })
}

async fn desk(folder: &Path, trunk: &str) -> Result<Desk> {
    let (path, trunk) = (folder.join("calls.jsonl"), format!("[[trunk]]\n{trunk}\n"));
    let edit = move |text: String| {
        format!("{}\n[records]\npath = {path:?}\n", text.replacen("[[trunk]]\n", &trunk, 1))
    };
    desk_with(edit, Timings::quick()).await
}

async fn record(folder: &Path) -> Result<Value> {
    let read = || fs::read_to_string(folder.join("calls.jsonl")).unwrap_or_default();
    wait_for("a record", || read().lines().count() >= 1).await?;
    Ok(serde_json::from_str(read().trim_end())?)
}

/// RFC 3550 6.4.1: the bridge's reports count what it has sent, and their two times are those of one instant.
fn tells_the_truth(end: &str, reports: &Reports) -> Result<()> {
    let context = || format!("{end}: {reports:#?}");
    let [first, .., last] = reports.senders.as_slice() else {
        return Err(anyhow!("less than two sender reports: {}", context()));
    };
    let clock = f64::from(reports.clock);
    let by_ntp = (last.ntp - first.ntp) as f64 / 2_f64.powi(32);
    let by_rtp = f64::from(last.rtp.wrapping_sub(first.rtp)) / clock;
    println!(
        "{end}: {} sent, {} got, {by_ntp:.3} s by NTP, {by_rtp:.3} s by RTP",
        reports.sent, reports.received
    );
    println!("{end}: {last:?} {:?}", reports.receptions.last());
    ensure!(by_ntp > 1.0 && (by_rtp / by_ntp - 1.0).abs() < 0.05, "{by_ntp} s, {by_rtp} s: {}", context());
    let unix = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    ensure!(((last.ntp >> 32) - 2_208_988_800).abs_diff(unix) < 60, "{}", context());
    for sender in &reports.senders {
        let ahead = sender.ahead.map(|ticks| f64::from(ticks) / clock);
        ensure!(ahead.is_some_and(|ahead| ahead.abs() < ASTRAY), "{ahead:?} s: {}", context());
        ensure!(sender.octets > sender.packets, "{}", context());
    }
    ensure!(last.packets.abs_diff(reports.received) <= 5 && first.packets < last.packets, "{}", context());
    ensure!(reports.cname.as_ref().is_some_and(|name| !name.is_empty()), "{}", context());
    let last = reports.receptions.last().with_context(context)?;
    ensure!(last.last_sr != 0 && last.delay < 2 * 65536, "{}", context());
    ensure!(f64::from(last.jitter) / clock < 0.05, "{}", context());
    Ok(())
}

async fn is_told_right(codec: Codec) -> Result<()> {
    let told = call("", codec, Manner::default(), TALK).await?;
    told.is_good_at_both_sides()?;
    for (end, reports) in [("PBX", &told.pbx), ("WhatsApp", &told.whatsapp)] {
        tells_the_truth(end, reports)?;
        ensure!(
            reports.goodbye && reports.receptions.iter().all(|block| block.lost == 0),
            "{end}: {reports:#?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn opus_that_passes_is_reported_to_and_by_both_ends() -> Result<()> {
    is_told_right(Codec::Opus).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pcmu_that_is_transcoded_is_reported_to_and_by_both_ends() -> Result<()> {
    is_told_right(Codec::Pcmu).await
}

/// SRTCP, on the port of SRTP.
#[tokio::test(flavor = "multi_thread")]
async fn reports_of_a_secure_phone_share_the_port_of_its_sound() -> Result<()> {
    let manner = Manner { security: Security::Required, rtcp_mux: true, ..Manner::default() };
    let told = call("srtp = \"require\"", Codec::Opus, manner, TALK).await?;
    told.is_good_at_both_sides()?;
    tells_the_truth("PBX", &told.pbx)
}

/// A tenth of the phone's packets is lost: the bridge says so to the phone and in the record, and to nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn loss_on_the_way_from_the_phone_is_told_to_the_phone_and_in_the_record() -> Result<()> {
    let rough = Rough { loss: 0.1, seed: 10, ..Rough::default() };
    let manner = Manner { rough, ..Manner::default() };
    let told = call("", Codec::Pcmu, manner, Duration::from_secs(8)).await?;
    let last = told.pbx.receptions.last().context("no report")?;
    let (lost, sent) = (last.lost as u32, told.pbx.sent);
    println!("{lost} of {sent} lost; {:?}", told.pbx.receptions);
    ensure!(sent > 350 && (0.06..0.14).contains(&(f64::from(lost) / f64::from(sent))), "{lost} of {sent}");
    // The first interval may be too short to lose any.
    let most = told.pbx.receptions.iter().map(|block| block.fraction_lost).max();
    ensure!(most.is_some_and(|most| (13..64).contains(&most)), "{:?}", told.pbx.receptions);
    let recorded = told.of("pbx_lost").context("no loss")?;
    ensure!(recorded.abs_diff(lost.into()) <= 2, "{recorded}, reported {lost}: {:#}", told.record);
    let mos = |side: &str| told.of(&format!("{side}_mos_x100"));
    ensure!(mos("pbx") < Some(400) && mos("whatsapp") >= Some(400), "{:#}", told.record);
    for unharmed in ["pbx_reported_lost", "whatsapp_lost", "whatsapp_reported_lost"] {
        ensure!(told.of(unharmed) == Some(0), "{unharmed}: {:#}", told.record);
    }
    tells_the_truth("PBX", &told.pbx)
}

/// The user's phone takes any packet for the answer: `at_rest` asks whether WhatsApp saw one, RTCP as well.
#[tokio::test(flavor = "multi_thread")]
async fn no_report_comes_to_whatsapp_before_the_answer() -> Result<()> {
    // Longer than it takes to the first report.
    const RING: Duration = Duration::from_secs(4);
    let desk = desk_with(|text| text, Timings::quick()).await?;
    desk.phone.set_policy(Policy::Answer { ring: RING });
    let user = desk.whatsapp.call_business(UserCall::new(CALLER, "Ada")).map_err(|error| anyhow!(error))?;
    let call = desk.phone.incoming(PATIENCE).await?;
    tokio::time::sleep(RING / 2).await;
    ensure!(
        user.state() < CallState::Accepted
            && user.reports() == Reports { clock: user.reports().clock, ..Reports::default() }
    );
    call.answered(PATIENCE).await?;
    user.wait_for(CallState::Accepted, PATIENCE).await?;
    wait_for("a report at the user", || !user.reports().senders.is_empty()).await?;
    user.hang_up();
    at_rest(&desk).await?;

    let slow = Behaviour { pickup: Pickup::After(RING), ..Behaviour::default() };
    desk.whatsapp.set_behaviour(CALLEE, slow);
    let call = desk.phone.dial(CALLEE).await?;
    call.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to(CALLEE).await;
    wait_for("a report at the user", || !user.reports().senders.is_empty()).await?;
    call.hang_up();
    at_rest(&desk).await
}
