//! The Graph API fails.

use std::time::Duration;

use anyhow::{Result, ensure};
use end_to_end::{PATIENCE, at_rest, ends_of, requests, wait_for};
use sandbox::desk::{Desk, DeskConfig};
use sandbox::pbx::Ending;
use sandbox::whatsapp::{Action, ApiError, GraphFault, Timings, UserCall, WebhookFault, WhatsAppConfig};
use serde_json::json;

use super::{admin, alarm, desk, none_open, nothing_left, refused, with_graph};

const USER: &str = "15550000001";
/// Never picks up.
const OTHER: &str = "15550000003";

#[tokio::test(flavor = "multi_thread")]
async fn failure_03_a_connect_without_a_reply_is_not_repeated_and_a_late_call_is_ended() -> Result<()> {
    let desk = desk(with_graph("connect_limit_s = 1")).await?;
    desk.whatsapp.fault(Action::Connect, &GraphFault::Hang { done: true }, 1);
    desk.whatsapp.webhook_fault("", 0, &WebhookFault::Late(Duration::from_secs(2)), 10);
    let call = desk.phone.dial(USER).await?;
    let status = refused(&call).await?;
    ensure!(status == 504, "{status}");
    ensure!(requests(&desk, Action::Connect) == 1, "asked again");
    // Its webhooks come all the same: the user must not ring for nobody.
    nothing_left(&desk).await?;
    ensure!(ends_of(&desk, desk.whatsapp.call_to(USER).await.wacid()).len() == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_03_a_connect_whose_reply_is_lost_is_put_through_by_its_webhooks() -> Result<()> {
    let desk = desk(with_graph("connect_limit_s = 1")).await?;
    desk.whatsapp.fault(Action::Connect, &GraphFault::Hang { done: true }, 1);
    let call = desk.phone.dial(USER).await?;
    call.answered(PATIENCE).await?;
    ensure!(requests(&desk, Action::Connect) == 1, "asked again");
    call.hang_up();
    nothing_left(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_03_a_connect_that_fails_with_500_is_503_and_not_repeated() -> Result<()> {
    let desk = desk(|text| text).await?;
    let fault = GraphFault::Status { status: 500, retry_after: None, done: false };
    desk.whatsapp.fault(Action::Connect, &fault, 1);
    let status = refused(&desk.phone.dial(USER).await?).await?;
    ensure!([500, 502, 503].contains(&status), "{status}");
    ensure!(requests(&desk, Action::Connect) == 1, "asked again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_04_an_end_is_tried_until_it_works() -> Result<()> {
    let desk = desk(|text| text).await?;
    let call = desk.phone.dial(USER).await?;
    call.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to(USER).await;
    let fault = GraphFault::Status { status: 503, retry_after: None, done: false };
    desk.whatsapp.fault(Action::Terminate, &fault, 3);
    desk.whatsapp.fault(Action::Terminate, &GraphFault::Reset { done: false }, 2);
    call.hang_up();
    nothing_left(&desk).await?;
    let ends = ends_of(&desk, user.wacid());
    ensure!(ends.len() == 6, "{} requests", ends.len());
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_06_a_rate_limit_is_503_with_retry_after_and_holds_no_end() -> Result<()> {
    let desk = desk(|text| text).await?;
    let up = desk.phone.dial(USER).await?;
    up.answered(PATIENCE).await?;
    let limited = ApiError { retry_after: Some(3), ..ApiError::of(130_429) };
    desk.whatsapp.fault(Action::Connect, &GraphFault::Error(limited), 1);
    for _ in 0..3 {
        let call = desk.phone.dial("15550000004").await?;
        ensure!(refused(&call).await? == 503);
        ensure!(call.header_of(503, "Retry-After").is_some(), "no Retry-After");
    }
    ensure!(requests(&desk, Action::Connect) == 2, "WhatsApp is asked while it asks to be left alone");
    up.hang_up();
    nothing_left(&desk).await?;
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_08_a_dead_token_fails_calls_at_once_and_a_new_one_ends_what_waits() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    let whatsapp = WhatsAppConfig { timings: Timings::quick(), ..WhatsAppConfig::new(String::new()) };
    std::fs::write(&file, &whatsapp.token)?;
    let path = file.display().to_string();
    let edit = Box::new(move |text: String| {
        text.replace("{ env = \"SANDBOX_TOKEN\" }", &format!("{{ file = {path:?} }}"))
    });
    let desk = Desk::start(DeskConfig { edit, whatsapp, ..DeskConfig::default() }).await?;
    let up = desk.phone.dial(USER).await?;
    up.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to(USER).await;

    desk.whatsapp.set_token("another-token");
    for _ in 0..3 {
        ensure!(refused(&desk.phone.dial("15550000004").await?).await? == 503);
    }
    ensure!(requests(&desk, Action::Connect) == 2, "a dead token is shown once");
    alarm(&desk, "token", true).await?;
    ensure!(admin(&desk, "readyz").await?.contains("alarm token"), "readiness does not say so");
    up.hang_up();
    ensure!(up.ended(PATIENCE).await? == Ending::HungUp);
    wait_for("an end that fails", || !ends_of(&desk, user.wacid()).is_empty()).await?;
    ensure!(user.end().is_none());

    std::fs::write(&file, "another-token")?;
    nothing_left(&desk).await?;
    let again = desk.phone.dial(USER).await?;
    again.answered(PATIENCE).await?;
    alarm(&desk, "token", false).await?;
    again.hang_up();
    nothing_left(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_09_what_graph_breaks_ends_that_call_and_no_other() -> Result<()> {
    let desk = desk(with_graph("connect_limit_s = 2")).await?;
    let up = desk.phone.dial(USER).await?;
    up.answered(PATIENCE).await?;
    let huge = GraphFault::Huge { bytes: 10_000_000, done: false };
    let garbage = GraphFault::Garbage { status: 200, body: "<html>".to_owned() };
    let faults = [GraphFault::Reset { done: false }, GraphFault::HalfAnswer { done: false }, huge, garbage];
    for fault in faults {
        desk.whatsapp.fault(Action::Connect, &fault, 1);
        let status = refused(&desk.phone.dial(OTHER).await?).await?;
        ensure!((500..600).contains(&status), "{fault:?}: {status}");
    }
    up.hang_up();
    // The bridge itself waits longer: the calls may have begun, and their webhooks may come.
    none_open(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_40_a_number_in_sip_mode_is_503_with_an_alarm_until_it_is_switched_back() -> Result<()> {
    let desk = desk(|text| text).await?;
    let id = WhatsAppConfig::new(String::new()).phone_number_id;
    desk.whatsapp.set_setting(&id, "sip", json!({ "status": "ENABLED" }));
    for _ in 0..2 {
        ensure!(refused(&desk.phone.dial(USER).await?).await? == 503);
    }
    alarm(&desk, "settings", true).await?;
    ensure!(requests(&desk, Action::Connect) == 2, "repeated");
    desk.whatsapp.set_setting(&id, "sip", json!({ "status": "DISABLED" }));
    let call = desk.phone.dial(USER).await?;
    call.answered(PATIENCE).await?;
    alarm(&desk, "settings", false).await?;
    call.hang_up();
    nothing_left(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_05_an_accept_that_never_works_hangs_up_at_the_pbx_with_a_reason() -> Result<()> {
    let desk = desk(|text| text).await?;
    let fault = GraphFault::Status { status: 503, retry_after: None, done: false };
    desk.whatsapp.fault(Action::Accept, &fault, 10);
    let user =
        desk.whatsapp.call_business(UserCall::new("15550000100", "Ann")).map_err(anyhow::Error::msg)?;
    let call = desk.phone.incoming(PATIENCE).await?;
    let Ending::Bye { reason } = call.ended(PATIENCE).await? else {
        anyhow::bail!("no BYE");
    };
    ensure!(reason.unwrap_or_default().contains("Q.850"), "no Reason");
    nothing_left(&desk).await?;
    ensure!(user.end().is_some());
    Ok(())
}
