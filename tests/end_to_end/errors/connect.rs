//! Codes that `connect` is answered with.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use end_to_end::{PATIENCE, ends_of, requests, wait_for};
use sandbox::desk::Desk;
use sandbox::whatsapp::codes::{self, FAILS, Place};
use sandbox::whatsapp::{Action, ApiError, Behaviour, BusinessNumber, CallState, GraphFault, Party, Pickup};

use super::table::{ANSWERS, Case, OTHER_100};
use super::{Ended, alarmed, desk_with, dial, metrics, numbers, over, refusal};

const DIRECTION: &str = "sip_to_wa";

/// A user for whom `connect` has this fault.
fn user(desk: &Desk, number: &BusinessNumber, fault: GraphFault) -> String {
    let user = format!("15552{}", number.phone_number_id);
    let behaviour = Behaviour { pickup: Pickup::Never, graph: Some(fault), ..Behaviour::default() };
    desk.whatsapp.set_behaviour(&user, behaviour);
    user
}

async fn refused(desk: &Desk, number: &BusinessNumber, dialled: &str, case: &Case) -> Result<()> {
    let call = dial(desk, number, dialled).await?;
    call.final_status(PATIENCE).await?;
    refusal(desk, &call, case)
}

/// Refused, with no call at WhatsApp.
async fn never_began(desk: &Desk, number: &BusinessNumber, dialled: &str, case: &Case) -> Result<()> {
    let connects = requests(desk, Action::Connect);
    let before = Ended::count(desk, case.label, DIRECTION, "unanswered").await?;
    refused(desk, number, dialled, case).await?;
    ensure!(desk.whatsapp.calls().iter().all(|call| call.number() != dialled), "WhatsApp has a call");
    ensure!(requests(desk, Action::Connect) == connects + 1, "connect is never sent twice");
    alarmed(desk, &number.phone_number_id, case).await?;
    if case.is_unclear {
        // The bridge still waits for a webhook of it: the call may have begun.
        let now = Ended::count(desk, case.label, DIRECTION, "unanswered").await?;
        ensure!(now == before, "{now:?}");
        return Ok(());
    }
    before.one_more(desk, case.label, DIRECTION, "unanswered").await
}

/// The error came, and yet the user's phone rings: the PBX hears of the error, and the phone is silenced.
async fn began_all_the_same(desk: &Desk, number: &BusinessNumber, case: &Case) -> Result<()> {
    let before = Ended::count(desk, case.label, DIRECTION, "unanswered").await?;
    let user = user(desk, number, GraphFault::ErrorAfter(ApiError::of(case.code)));
    refused(desk, number, &user, case).await?;
    let call = desk.whatsapp.call_to(&user).await;
    call.wait_for(CallState::Ended, PATIENCE).await.context("left ringing")?;
    ensure!(call.end().context("no end")?.by == Party::Business);
    before.one_more(desk, case.label, DIRECTION, "unanswered").await?;
    ensure!(ends_of(desk, call.wacid()).len() == 1);
    Ok(())
}

async fn met(desk: &Desk, number: &BusinessNumber, case: &Case) -> Result<()> {
    let dialled = match codes::place(case.code) {
        // The scheme has these by webhook.
        Place::Webhook => user(desk, number, GraphFault::Error(ApiError::of(case.code))),
        _ => format!("{FAILS}{:06}", case.code),
    };
    never_began(desk, number, &dialled, case).await?;
    if case.is_unclear {
        began_all_the_same(desk, number, case).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_that_connect_is_refused_with_has_its_answer_to_the_pbx() -> Result<()> {
    let numbers = numbers(ANSWERS.len());
    let desk = desk_with(&numbers, "").await?;
    for (case, number) in ANSWERS.iter().zip(&numbers) {
        met(&desk, number, case).await.with_context(|| format!("code {}", case.code))?;
    }
    // The calls that may have begun are waited for; all others are gone.
    let unclear = ANSWERS.iter().filter(|case| case.is_unclear).count();
    wait_for("no other call", || desk.bridge.calls() == unclear).await?;
    ensure!(desk.whatsapp.calls().iter().all(|call| call.state() == CallState::Ended));
    ensure!(desk.phone.complaints().is_empty(), "{:?}", desk.phone.complaints());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn code_100_means_what_its_text_and_subcode_say() -> Result<()> {
    let numbers = numbers(OTHER_100.len());
    let desk = desk_with(&numbers, "").await?;
    for ((text, subcode, case), number) in OTHER_100.iter().zip(&numbers) {
        let error = ApiError { subcode: *subcode, ..ApiError::new(400, 100, "Invalid parameter", text) };
        let user = user(&desk, number, GraphFault::Error(error));
        never_began(&desk, number, &user, case).await.context(*text)?;
    }
    over(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_and_a_rate_limit_hold_the_next_call_without_a_request() -> Result<()> {
    let held: Vec<_> = ANSWERS
        .iter()
        .filter(|case| matches!(case.alarm, Some("token" | "rate_limit")))
        // The hold after 138005 is that of any rate limit.
        .map(|case| if case.code == 138_005 { (case, 4) } else { (case, case.code) })
        .collect();
    ensure!(held.len() == 6);
    let numbers = numbers(held.len());
    let desk = desk_with(&numbers, "").await?;
    for ((case, as_code), number) in held.iter().zip(&numbers) {
        refused(&desk, number, &format!("{FAILS}{:06}", case.code), case).await?;
        let connects = requests(&desk, Action::Connect);
        let again = super::table::answer(*as_code).context("no case")?;
        refused(&desk, number, "15550000001", again).await.with_context(|| format!("{}", case.code))?;
        ensure!(requests(&desk, Action::Connect) == connects, "{} was sent", case.code);
    }
    over(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn five_outages_in_a_row_are_an_alarm() -> Result<()> {
    const ALARM: &str = "wa_bridge_alarm{alarm=\"graph_outage\",subject=\"\"} 1";
    let numbers = numbers(1);
    let number = &numbers[0];
    let desk = desk_with(&numbers, "").await?;
    for code in [2, 131_016, 2, 131_016, 2] {
        ensure!(!metrics(&desk).await?.contains(ALARM), "too early");
        let case = super::table::answer(code).context("no case")?;
        refused(&desk, number, &format!("{FAILS}{code:06}"), case).await?;
    }
    ensure!(metrics(&desk).await?.contains(ALARM));
    let connects = requests(&desk, Action::Connect);
    let call = dial(&desk, number, "15550000001").await?;
    ensure!(call.final_status(PATIENCE).await? == 503);
    ensure!(call.header_of(503, "Retry-After").as_deref() == Some("5"));
    ensure!(requests(&desk, Action::Connect) == connects, "an API out of order is left alone");
    // One call finds out that it works again.
    let pause = wa_signaling::graph::breaker::PROBE_PAUSE + Duration::from_millis(100);
    tokio::time::sleep(pause).await;
    let call = dial(&desk, number, "15550000001").await?;
    call.answered(PATIENCE).await?;
    ensure!(!metrics(&desk).await?.contains(ALARM), "it is over");
    call.hang_up();
    desk.whatsapp.call_to("15550000001").await.wait_for(CallState::Ended, PATIENCE).await?;
    Ok(())
}
