//! Users who have not permitted calls: what the PBX hears, who is asked, and what their answers change.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use end_to_end::{PATIENCE, at_rest, desk_with, requests, wait_for};
use sandbox::desk::Desk;
use sandbox::whatsapp::{
    Action, ApiError, Behaviour, GraphFault, GraphRequest, Operation, PermissionAnswer, Permissions, Pickup,
    Timings, WebhookFault,
};

/// Who answers calls.
const CALLEE: &str = "15550000001";
/// Who shows no number.
const BSUID: &str = "US.13491208655302741918";
/// Whom WhatsApp refuses to call: no WhatsApp.
const UNCALLABLE: &str = "15550000006";

const CHECK: &str = "permission = \"check\"";
const REQUEST: &str = "permission = \"request\"\npermission_request = { text = \"May we call you?\" }";
const BOTH: &str = "permission = \"request\"\npermission_request = { text = \"May we call you?\", template = \"call_permission\", language = \"en\" }";

const BEING_ASKED: &str = "The user is being asked for it";
const WAS_ASKED: &str = "The user was asked for it";

/// A desk whose WhatsApp wants permissions, and whose number has these lines; nobody answers requests.
async fn desk_of(lines: &'static str) -> Result<Desk> {
    let place = "destination = \"1001\"\n";
    let edit = move |text: String| text.replace(place, &format!("{place}{lines}\n"));
    let desk = desk_with(edit, Timings::quick()).await?;
    desk.whatsapp.set_permissions(Permissions::Enforced);
    desk.whatsapp.set_answer(CALLEE, PermissionAnswer::Never);
    Ok(desk)
}

/// What the PBX hears of a call that comes to nothing.
struct Refusal {
    status: u16,
    reason: String,
    warning: String,
}

async fn refused(desk: &Desk, user: &str) -> Result<Refusal> {
    let call = desk.phone.dial(user).await?;
    let status = call.final_status(PATIENCE).await?;
    ensure!(call.finals() == [status], "one final response: {:?}", call.finals());
    let header = |name| call.header_of(status, name).unwrap_or_default();
    Ok(Refusal { status, reason: header("Reason"), warning: header("Warning") })
}

/// The refusal of a user who has not permitted calls, whose Warning says this.
async fn unpermitted(desk: &Desk, user: &str, warning: &str) -> Result<()> {
    let refusal = refused(desk, user).await?;
    ensure!(refusal.status == 403, "{}", refusal.status);
    let (reason, said) = (refusal.reason, refusal.warning);
    ensure!(reason.contains("SIP;cause=403") && reason.contains("Q.850;cause=21"), "{reason}");
    ensure!(reason.contains("No call permission from the WhatsApp user"), "{reason}");
    ensure!(said.starts_with("399 wa-bridge \"No call permission") && said.contains(warning), "{said}");
    Ok(())
}

async fn goes_through(desk: &Desk, user: &str) -> Result<()> {
    let call = desk.phone.dial(user).await?;
    call.answered(PATIENCE).await?;
    call.hang_up();
    wait_for("no call in the bridge", || desk.bridge.calls() == 0).await
}

fn of(desk: &Desk, operation: Operation) -> Vec<GraphRequest> {
    let all = desk.whatsapp.requests().into_iter();
    all.filter(|request| request.operation == Some(operation)).collect()
}

fn connects(desk: &Desk) -> usize {
    requests(desk, Action::Connect)
}

/// The metric of what happened to permissions.
async fn counted(desk: &Desk, what: &str) -> Result<u32> {
    let text = reqwest::get(format!("http://{}/metrics", desk.bridge.admin_addr())).await?.text().await?;
    let name = format!("wa_bridge_permissions_total{{what=\"{what}\"}} ");
    Ok(text.lines().find_map(|line| line.strip_prefix(&name)).map_or(Ok(0), str::parse)?)
}

async fn wait_until_counted(desk: &Desk, what: &str, count: u32) -> Result<()> {
    let limit = Instant::now() + PATIENCE;
    while counted(desk, what).await? < count {
        ensure!(Instant::now() < limit, "waited for {count} times {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// The user decides, and the bridge has heard of it.
async fn decides(desk: &Desk, user: &str, answer: PermissionAnswer) -> Result<()> {
    let what = if answer == PermissionAnswer::Reject { "denied" } else { "granted" };
    let before = counted(desk, what).await?;
    desk.whatsapp.decide(user, answer);
    wait_until_counted(desk, what, before + 1).await
}

/// Failure mode 7, without any setting: WhatsApp refuses.
#[tokio::test(flavor = "multi_thread")]
async fn failure_07_a_missing_permission_is_403_with_a_reason_and_no_second_try() -> Result<()> {
    let desk = desk_of("").await?;
    unpermitted(&desk, CALLEE, "Ask the user for it with a call permission request").await?;
    ensure!(connects(&desk) == 1 && of(&desk, Operation::CallPermissions).is_empty());
    ensure!(of(&desk, Operation::Messages).is_empty(), "nobody is asked");
    let text = reqwest::get(format!("http://{}/metrics", desk.bridge.admin_addr())).await?.text().await?;
    let ended = "wa_bridge_calls_ended_total{cause=\"graph_no_permission\",direction=\"sip_to_wa\",outcome=\"unanswered\"} 1";
    ensure!(text.contains(ended), "{text}");
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_refuses_without_a_connect_until_the_user_permits() -> Result<()> {
    let desk = desk_of(CHECK).await?;
    for _ in 0..2 {
        unpermitted(&desk, CALLEE, "wait until the user calls").await?;
    }
    ensure!(connects(&desk) == 0, "WhatsApp is not told to call");
    let looks = of(&desk, Operation::CallPermissions);
    ensure!(looks.len() == 1, "the answer is remembered: {looks:?}");
    ensure!(looks[0].parameters.contains(&("user_wa_id".to_owned(), CALLEE.to_owned())), "{looks:?}");
    decides(&desk, CALLEE, PermissionAnswer::Permanent).await?;
    goes_through(&desk, CALLEE).await?;
    decides(&desk, CALLEE, PermissionAnswer::Reject).await?;
    unpermitted(&desk, CALLEE, "wait until the user calls").await?;
    ensure!(connects(&desk) == 1 && of(&desk, Operation::CallPermissions).len() == 1);
    ensure!(of(&desk, Operation::Messages).is_empty(), "nobody is asked");
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_calls_ask_the_user_once_and_a_yes_lets_the_next_through() -> Result<()> {
    let desk = desk_of(REQUEST).await?;
    tokio::try_join!(unpermitted(&desk, CALLEE, "The user"), unpermitted(&desk, CALLEE, "The user"))?;
    wait_until_counted(&desk, "request_sent", 1).await?;
    unpermitted(&desk, CALLEE, WAS_ASKED).await?;
    let asked = of(&desk, Operation::Messages);
    ensure!(asked.len() == 1, "{asked:?}");
    let body = &asked[0].body;
    ensure!(body["to"] == CALLEE && body["interactive"]["body"]["text"] == "May we call you?", "{body}");
    ensure!(connects(&desk) == 0);
    decides(&desk, CALLEE, PermissionAnswer::Temporary).await?;
    goes_through(&desk, CALLEE).await?;
    ensure!(of(&desk, Operation::Messages).len() == 1);
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_a_number_is_looked_up_asked_and_called_by_the_user_id() -> Result<()> {
    let desk = desk_of(REQUEST).await?;
    desk.whatsapp.set_answer(BSUID, PermissionAnswer::Temporary);
    unpermitted(&desk, BSUID, BEING_ASKED).await?;
    wait_until_counted(&desk, "granted", 1).await?;
    let looks = of(&desk, Operation::CallPermissions);
    ensure!(looks[0].parameters.contains(&("recipient".to_owned(), BSUID.to_owned())), "{looks:?}");
    let asked = of(&desk, Operation::Messages);
    ensure!(asked.len() == 1 && asked[0].body["recipient"] == BSUID, "{asked:?}");
    goes_through(&desk, BSUID).await?;
    ensure!(connects(&desk) == 1);
    at_rest(&desk).await
}

/// What is remembered is wrong when the webhook of a user's "no" is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_by_connect_asks_the_user_as_well_and_is_remembered() -> Result<()> {
    let desk = desk_of(REQUEST).await?;
    decides(&desk, CALLEE, PermissionAnswer::Permanent).await?;
    desk.whatsapp.webhook_fault("call_permission_reply", 0, &WebhookFault::Lost, 1);
    desk.whatsapp.decide(CALLEE, PermissionAnswer::Reject);
    unpermitted(&desk, CALLEE, BEING_ASKED).await?;
    wait_until_counted(&desk, "request_sent", 1).await?;
    ensure!(connects(&desk) == 1 && of(&desk, Operation::Messages).len() == 1);
    unpermitted(&desk, CALLEE, WAS_ASKED).await?;
    ensure!(connects(&desk) == 1 && of(&desk, Operation::CallPermissions).is_empty(), "it is known now");
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_goes_out_where_there_is_no_conversation() -> Result<()> {
    let desk = desk_of(BOTH).await?;
    desk.whatsapp.need_conversation(true);
    unpermitted(&desk, CALLEE, BEING_ASKED).await?;
    wait_until_counted(&desk, "request_sent", 1).await?;
    let asked = of(&desk, Operation::Messages);
    ensure!(asked.len() == 2, "{asked:?}");
    ensure!(asked[0].code == Some(138_011) && asked[0].body["type"] == "interactive", "{asked:?}");
    ensure!(asked[1].status == 200 && asked[1].body["template"]["name"] == "call_permission", "{asked:?}");
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_hangs_or_fails_delays_no_refusal() -> Result<()> {
    let desk = desk_of(REQUEST).await?;
    desk.whatsapp.fault(Operation::Messages, &GraphFault::Hang { done: false }, 1);
    let since = Instant::now();
    unpermitted(&desk, CALLEE, BEING_ASKED).await?;
    unpermitted(&desk, CALLEE, BEING_ASKED).await?;
    ensure!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    ensure!(of(&desk, Operation::Messages).len() <= 1, "one at a time");
    desk.whatsapp.set_answer(BSUID, PermissionAnswer::Never);
    desk.whatsapp.need_conversation(true);
    wait_for("the first request", || of(&desk, Operation::Messages).len() == 1).await?;
    unpermitted(&desk, BSUID, BEING_ASKED).await?;
    wait_until_counted(&desk, "request_failed", 1).await?;
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_refused_for_another_reason_asks_nobody() -> Result<()> {
    let desk = desk_of(REQUEST).await?;
    decides(&desk, UNCALLABLE, PermissionAnswer::Permanent).await?;
    let refusal = refused(&desk, UNCALLABLE).await?;
    ensure!(refusal.status == 404, "{}", refusal.status);
    at_rest(&desk).await?;
    ensure!(connects(&desk) == 1 && of(&desk, Operation::Messages).is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_the_day_that_are_used_up_are_403_without_a_connect_or_a_request() -> Result<()> {
    let desk = desk_of(REQUEST).await?;
    // Later than any clock that this runs by.
    let body = r#"{"messaging_product":"whatsapp","permission":{"status":"permanent"},"actions":[
        {"action_name":"start_call","can_perform_action":false,"limits":[{"time_period":"PT24H",
         "max_allowed":100,"current_usage":100,"limit_expiration_time":4102444800}]}]}"#;
    let fault = GraphFault::Garbage { status: 200, body: body.to_owned() };
    desk.whatsapp.fault(Operation::CallPermissions, &fault, 1);
    let refusal = refused(&desk, CALLEE).await?;
    ensure!(refusal.status == 403 && refusal.reason.contains("Daily limit of calls"), "{}", refusal.reason);
    at_rest(&desk).await?;
    ensure!(connects(&desk) == 0 && of(&desk, Operation::Messages).is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_fails_or_hangs_costs_no_call() -> Result<()> {
    let desk = desk_of(CHECK).await?;
    desk.whatsapp.set_permissions(Permissions::Off);
    for fault in [
        GraphFault::Error(ApiError::of(613)),
        GraphFault::Error(ApiError::of(131_016)),
        GraphFault::Hang { done: false },
    ] {
        desk.whatsapp.fault(Operation::CallPermissions, &fault, 1);
        let since = Instant::now();
        goes_through(&desk, CALLEE).await.with_context(|| format!("{fault:?}"))?;
        ensure!(since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
    }
    ensure!(connects(&desk) == 3 && of(&desk, Operation::CallPermissions).len() == 3);
    ensure!(counted(&desk, "check_failed").await? >= 2);
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_while_the_permission_is_looked_at_calls_nobody() -> Result<()> {
    let desk = desk_of(CHECK).await?;
    desk.whatsapp.set_permissions(Permissions::Off);
    desk.whatsapp.fault(Operation::CallPermissions, &GraphFault::Delay(Duration::from_secs(3)), 1);
    let call = desk.phone.dial(CALLEE).await?;
    call.status(100, PATIENCE).await?;
    let since = Instant::now();
    call.cancel();
    ensure!(call.final_status(PATIENCE).await? == 487);
    at_rest(&desk).await?;
    ensure!(since.elapsed() < Duration::from_secs(2), "nothing is waited for");
    // The answer comes all the same, for the next call.
    wait_until_counted(&desk, "permitted", 1).await?;
    ensure!(connects(&desk) == 0);
    goes_through(&desk, CALLEE).await?;
    ensure!(of(&desk, Operation::CallPermissions).len() == 1);
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn unanswered_calls_warn_before_whatsapp_takes_the_permission_back() -> Result<()> {
    let desk = desk_of(CHECK).await?;
    let rejects = Behaviour { pickup: Pickup::Reject(Duration::ZERO), ..Behaviour::default() };
    desk.whatsapp.set_behaviour(CALLEE, rejects);
    decides(&desk, CALLEE, PermissionAnswer::Permanent).await?;
    for (call, warnings) in [(1, 0), (2, 1), (3, 2), (4, 3)] {
        ensure!(refused(&desk, CALLEE).await?.status == 486, "call {call}");
        wait_for("no call in the bridge", || desk.bridge.calls() == 0).await?;
        ensure!(counted(&desk, "unanswered_warning").await? == warnings, "after call {call}");
    }
    wait_until_counted(&desk, "revoked", 1).await?;
    unpermitted(&desk, CALLEE, "wait until the user calls").await?;
    ensure!(connects(&desk) == 4);
    at_rest(&desk).await
}
