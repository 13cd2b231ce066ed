//! Codes on what follows a `connect`: `pre_accept`, `accept`, `reject`, `terminate`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use end_to_end::{PATIENCE, ends_of, requests};
use sandbox::desk::Desk;
use sandbox::pbx::{Ending, Policy};
use sandbox::whatsapp::{Action, ApiError, Behaviour, BusinessNumber, CallState, GraphFault, Party, Pickup};
use wa_signaling::graph::codes::{CODES, Operation};

use super::table::{self, Case};
use super::{Ended, alarmed, desk_with, dial, numbers, over, user_calls};

/// How often `accept` is sent at most.
const ACCEPTS: usize = 4;
const DIRECTION: &str = "wa_to_sip";

/// The cases of all codes that an operation may be answered with.
fn cases(operation: Operation) -> Result<Vec<&'static Case>> {
    let met = |code: &&wa_signaling::graph::codes::Code| {
        code.operations.contains(&Operation::Any) || code.operations.contains(&operation)
    };
    let codes = CODES.iter().filter(met);
    codes
        .map(|code| table::answer(code.first).with_context(|| format!("{} has no case", code.first)))
        .collect()
}

fn fail(desk: &Desk, action: Action, case: &Case, times: usize) {
    desk.whatsapp.fault(action, &GraphFault::Error(ApiError::of(case.code)), times);
}

/// A user calls, and the operation is refused: the PBX hears why, and the caller is not left.
async fn refused(
    desk: &Desk,
    number: &BusinessNumber,
    case: &Case,
    action: Action,
    times: usize,
) -> Result<()> {
    let before = Ended::count(desk, case.label, DIRECTION, "unanswered").await?;
    let asked = requests(desk, action);
    fail(desk, action, case, times);
    let user = user_calls(desk, number, |_| {})?;
    let call = desk.phone.incoming(PATIENCE).await?;
    let reason = match (call.ended(PATIENCE).await?, action) {
        (Ending::Cancelled { reason }, Action::PreAccept) | (Ending::Bye { reason }, Action::Accept) => {
            reason
        }
        other => anyhow::bail!("ended with {other:?}"),
    };
    ensure!(reason.as_deref() == Some(&*case.reason()), "{reason:?}");
    user.wait_for(CallState::Ended, PATIENCE).await.context("the caller is left")?;
    ensure!(user.end().context("no end")?.by == Party::Business);
    before.one_more(desk, case.label, DIRECTION, "unanswered").await?;
    ensure!(ends_of(desk, user.wacid()).len() == 1);
    ensure!(requests(desk, action) == asked + times, "{} times", requests(desk, action) - asked);
    // The end of the call has shown already that the token works.
    let alarm = case.alarm.filter(|alarm| *alarm != "token");
    alarmed(desk, &number.phone_number_id, &Case { alarm, ..*case }).await
}

async fn every_code_refuses(action: Action, cases: &[&Case], times: usize, more: &str) -> Result<()> {
    let numbers = numbers(cases.len());
    let desk = desk_with(&numbers, more).await?;
    let answers = action == Action::Accept;
    desk.phone.set_policy(if answers { Policy::Answer { ring: Duration::ZERO } } else { Policy::Ring });
    for (case, number) in cases.iter().zip(&numbers) {
        let context = || format!("code {}", case.code);
        refused(&desk, number, case, action, times).await.with_context(context)?;
    }
    over(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_accept_hangs_up_at_the_pbx_with_its_reason() -> Result<()> {
    let (_, cases): (Vec<_>, Vec<_>) =
        cases(Operation::Answer)?.into_iter().partition(|case| case.may_pass());
    every_code_refuses(Action::Accept, &cases, 1, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accept_that_fails_again_and_again_hangs_up_at_the_pbx() -> Result<()> {
    let cases: Vec<_> = cases(Operation::Answer)?.into_iter().filter(|case| case.may_pass()).collect();
    every_code_refuses(Action::Accept, &cases, ACCEPTS, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_pre_accept_stops_the_ringing_with_its_reason() -> Result<()> {
    let (_, cases): (Vec<_>, Vec<_>) =
        cases(Operation::Answer)?.into_iter().partition(|case| case.may_pass());
    every_code_refuses(Action::PreAccept, &cases, 1, "\n[calls]\ninvite_after = \"webhook\"\n").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pre_accept_that_may_work_later_leaves_the_rest_to_accept() -> Result<()> {
    let cases: Vec<_> = cases(Operation::Answer)?.into_iter().filter(|case| case.may_pass()).collect();
    let numbers = numbers(cases.len());
    let desk = desk_with(&numbers, "").await?;
    desk.phone.set_policy(Policy::Answer { ring: Duration::ZERO });
    cases.iter().for_each(|case| fail(&desk, Action::PreAccept, case, 1));
    let users: Result<Vec<_>> = numbers.iter().map(|number| user_calls(&desk, number, |_| {})).collect();
    for user in users? {
        user.wait_for(CallState::Accepted, PATIENCE).await?;
        user.hang_up();
        user.wait_for(CallState::Ended, PATIENCE).await?;
    }
    ensure!(requests(&desk, Action::PreAccept) == cases.len());
    over(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_reject_becomes_a_terminate() -> Result<()> {
    let cases = cases(Operation::End)?;
    let numbers = numbers(cases.len());
    let desk = desk_with(&numbers, "").await?;
    desk.phone.set_policy(Policy::Refuse { ring: Duration::ZERO, status: 486, reason: "Busy Here" });
    for (case, number) in cases.iter().zip(&numbers) {
        fail(&desk, Action::Reject, case, 1);
        let user = user_calls(&desk, number, |_| {})?;
        user.wait_for(CallState::Ended, PATIENCE).await.with_context(|| format!("code {}", case.code))?;
    }
    over(&desk).await?;
    ensure!(requests(&desk, Action::Reject) == cases.len());
    ensure!(requests(&desk, Action::Terminate) == cases.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminate_is_tried_again_whatever_the_code() -> Result<()> {
    let cases = cases(Operation::End)?;
    let numbers = numbers(cases.len());
    let desk = desk_with(&numbers, "").await?;
    let mut calls = Vec::new();
    for number in &numbers {
        let user = format!("15552{}", number.phone_number_id);
        desk.whatsapp.set_behaviour(&user, Behaviour { pickup: Pickup::Never, ..Behaviour::default() });
        calls.push(dial(&desk, number, &user).await?);
    }
    for call in &calls {
        call.status(180, PATIENCE).await?;
    }
    cases.iter().for_each(|case| fail(&desk, Action::Terminate, case, 1));
    calls.iter().for_each(sandbox::pbx::PhoneCall::cancel);
    for call in &calls {
        ensure!(call.final_status(PATIENCE).await? == 487);
    }
    over(&desk).await?;
    ensure!(requests(&desk, Action::Terminate) == 2 * cases.len());
    Ok(())
}
