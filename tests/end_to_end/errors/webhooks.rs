//! Codes that end a call by webhook, in both directions, before and after the pickup.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use end_to_end::{PATIENCE, ends_of};
use sandbox::desk::Desk;
use sandbox::pbx::{Ending, PhoneCall, Policy};
use sandbox::whatsapp::codes::{FAILS, FAILS_LATER};
use sandbox::whatsapp::{BusinessNumber, CallState, Failure};

use super::table::{Case, WEBHOOKS};
use super::{Ended, alarmed, desk_with, dial, numbers, over, refusal, user_calls};

/// The call is over at both ends, was counted once, and nobody was told to end it again.
async fn settled(
    desk: &Desk,
    number: &BusinessNumber,
    case: &Case,
    before: Ended,
    labels: [&str; 2],
) -> Result<()> {
    before.one_more(desk, case.label, labels[0], labels[1]).await?;
    // Beside what requests show of the number, which one that works takes back.
    alarmed(desk, &format!("{} (by webhook)", number.phone_number_id), case).await?;
    let calls = desk.whatsapp.calls();
    let call = calls.last().context("no call")?;
    call.wait_for(CallState::Ended, PATIENCE).await?;
    let end = call.end().context("no end")?;
    ensure!(end.failed == Some(case.code), "{end:?}");
    ensure!(ends_of(desk, call.wacid()).is_empty(), "it is over: nothing is left to end");
    Ok(())
}

async fn from_the_pbx(desk: &Desk, number: &BusinessNumber, case: &Case, prefix: &str) -> Result<()> {
    let outcome = if prefix == FAILS { "unanswered" } else { "answered" };
    let labels = ["sip_to_wa", outcome];
    let before = Ended::count(desk, case.label, labels[0], labels[1]).await?;
    let call = dial(desk, number, &format!("{prefix}{:06}", case.code)).await?;
    match call.ended(PATIENCE).await? {
        Ending::Rejected { .. } if prefix == FAILS => {
            ensure!(call.statuses().contains(&180), "it rang: {:?}", call.statuses());
            refusal(desk, &call, case)?;
        }
        Ending::Bye { reason } if prefix == FAILS_LATER => {
            ensure!(reason.as_deref() == Some(&*case.reason()), "{reason:?}");
        }
        other => anyhow::bail!("ended with {other:?}"),
    }
    settled(desk, number, case, before, labels).await
}

async fn every_code_ends_a_call_of_the_pbx(prefix: &str) -> Result<()> {
    let numbers = numbers(WEBHOOKS.len());
    let desk = desk_with(&numbers, "").await?;
    for (case, number) in WEBHOOKS.iter().zip(&numbers) {
        from_the_pbx(&desk, number, case, prefix).await.with_context(|| format!("code {}", case.code))?;
    }
    over(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_while_it_rings_is_the_answer_to_the_pbx() -> Result<()> {
    every_code_ends_a_call_of_the_pbx(FAILS).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_after_the_pickup_is_the_reason_of_the_bye() -> Result<()> {
    every_code_ends_a_call_of_the_pbx(FAILS_LATER).await
}

async fn from_a_user(desk: &Desk, number: &BusinessNumber, case: &Case, after_pickup: bool) -> Result<()> {
    let labels = ["wa_to_sip", if after_pickup { "answered" } else { "unanswered" }];
    let before = Ended::count(desk, case.label, labels[0], labels[1]).await?;
    let failure = Failure { code: case.code, after_pickup, after: Duration::from_millis(500) };
    user_calls(desk, number, |call| call.fails = Some(failure))?;
    let call: PhoneCall = desk.phone.incoming(PATIENCE).await?;
    let reason = match call.ended(PATIENCE).await? {
        Ending::Cancelled { reason } if !after_pickup => reason,
        Ending::Bye { reason } if after_pickup => reason,
        other => anyhow::bail!("ended with {other:?}"),
    };
    ensure!(reason.as_deref() == Some(&*case.reason()), "{reason:?}");
    settled(desk, number, case, before, labels).await
}

async fn every_code_ends_a_call_of_a_user(policy: Policy, after_pickup: bool) -> Result<()> {
    let numbers = numbers(WEBHOOKS.len());
    let desk = desk_with(&numbers, "").await?;
    desk.phone.set_policy(policy);
    for (case, number) in WEBHOOKS.iter().zip(&numbers) {
        let context = || format!("code {}", case.code);
        from_a_user(&desk, number, case, after_pickup).await.with_context(context)?;
    }
    over(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_call_that_fails_stops_ringing_at_the_pbx_with_its_reason() -> Result<()> {
    every_code_ends_a_call_of_a_user(Policy::Ring, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_call_that_fails_after_the_answer_is_hung_up_with_its_reason() -> Result<()> {
    every_code_ends_a_call_of_a_user(Policy::Answer { ring: Duration::ZERO }, true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_whatsapp_does_not_deliver_is_an_alarm_and_rings_nobody() -> Result<()> {
    let numbers = numbers(1);
    let desk = desk_with(&numbers, "").await?;
    user_calls(&desk, &numbers[0], |call| call.undeliverable = Some(131_044))?;
    let case = WEBHOOKS.iter().find(|case| case.code == 131_044).context("no case")?;
    end_to_end::wait_for("its webhook", || !desk.whatsapp.webhooks().is_empty()).await?;
    let limit = tokio::time::Instant::now() + PATIENCE;
    while let Err(error) = alarmed(&desk, &numbers[0].phone_number_id, case).await {
        ensure!(tokio::time::Instant::now() < limit, "{error:#}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let invited = desk.phone.messages().iter().any(|message| message.starts_with("INVITE "));
    ensure!(!invited && desk.bridge.calls() == 0);
    Ok(())
}
