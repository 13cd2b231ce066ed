//! Calls from a WhatsApp user to the PBX.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use end_to_end::{PATIENCE, at_rest, both_hear, desk, desk_with, ends_of, requests, wait_for};
use sandbox::desk::Desk;
use sandbox::pbx::{Ending, PhoneCall, Policy};
use sandbox::whatsapp::{
    Action, ApiError, CallHandle, CallState, GraphFault, Order, Party, Timings, UserCall, WebhookFaults,
};

const CALLER: &str = "15550000100";
const PBX_HZ: f64 = 440.0;
const USER_HZ: f64 = 700.0;

fn user_call() -> UserCall {
    UserCall { tone_hz: USER_HZ, ..UserCall::new(CALLER, "Ada Lovelace") }
}

fn calls(desk: &Desk, call: UserCall) -> Result<CallHandle> {
    desk.whatsapp.call_business(call).map_err(|error| anyhow!(error))
}

/// The user calls and the PBX answers.
async fn answered(desk: &Desk) -> Result<(PhoneCall, CallHandle)> {
    let user = calls(desk, user_call())?;
    let call = desk.phone.incoming(PATIENCE).await?;
    call.answered(PATIENCE).await?;
    user.wait_for(CallState::Accepted, PATIENCE).await?;
    Ok((call, user))
}

/// INVITEs that the PBX has received, repeats left out.
fn invites(desk: &Desk) -> usize {
    let messages = desk.phone.messages();
    messages.iter().filter(|message| message.starts_with("INVITE ")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn answered_and_hung_up_by_the_user() -> Result<()> {
    let desk = desk().await?;
    let (call, user) = answered(&desk).await?;
    ensure!(call.number() == format!("+{CALLER}"), "{}", call.number());
    ensure!(call.invite_header("X-WA-Meta-WACID").as_deref() == Some(user.wacid()));
    both_hear(&call, &user, PBX_HZ).await?;
    user.send_digits("1234#");
    call.press("1234#").await;
    call.heard_digits("1234#", PATIENCE).await?;
    wait_for("digits at the user", || user.digits() == "1234#").await?;
    user.hang_up();
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Bye { .. }));
    at_rest(&desk).await?;
    ensure!(ends_of(&desk, user.wacid()).is_empty(), "no end for a call that is over");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hung_up_by_the_pbx() -> Result<()> {
    let desk = desk().await?;
    let (call, user) = answered(&desk).await?;
    call.hang_up();
    user.wait_for(CallState::Ended, PATIENCE).await?;
    at_rest(&desk).await?;
    ensure!(user.end().context("no end")?.by == Party::Business);
    ensure!(requests(&desk, Action::Terminate) == 1 && requests(&desk, Action::Reject) == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pbx_is_busy() -> Result<()> {
    let desk = desk().await?;
    let busy = Policy::Refuse { ring: Duration::ZERO, status: 486, reason: "Busy Here" };
    desk.phone.set_policy(busy);
    let user = calls(&desk, user_call())?;
    user.wait_for(CallState::Ended, PATIENCE).await?;
    at_rest(&desk).await?;
    ensure!(requests(&desk, Action::Reject) == 1 && requests(&desk, Action::Accept) == 0);
    ensure!(invites(&desk) == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_gives_up_while_it_rings() -> Result<()> {
    let desk = desk().await?;
    desk.phone.set_policy(Policy::Ring);
    let user = calls(&desk, user_call())?;
    let call = desk.phone.incoming(PATIENCE).await?;
    user.hang_up();
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Cancelled { .. }));
    at_rest(&desk).await?;
    ensure!(ends_of(&desk, user.wacid()).is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers_at_the_pbx() -> Result<()> {
    let edit = |text| format!("{text}\n[calls]\nring_limit_in_s = 2\n");
    let desk = desk_with(edit, Timings::quick()).await?;
    desk.phone.set_policy(Policy::Ring);
    let user = calls(&desk, user_call())?;
    let call = desk.phone.incoming(PATIENCE).await?;
    let Ending::Cancelled { reason } = call.ended(PATIENCE).await? else {
        anyhow::bail!("no CANCEL");
    };
    ensure!(reason.unwrap_or_default().contains("cause=19"));
    user.wait_for(CallState::Ended, PATIENCE).await?;
    at_rest(&desk).await?;
    ensure!(requests(&desk, Action::Reject) == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pbx_is_dead() -> Result<()> {
    let edit = |text| format!("{text}\n[calls]\nring_limit_in_s = 2\n");
    let desk = desk_with(edit, Timings::quick()).await?;
    desk.phone.set_policy(Policy::Silence);
    let user = calls(&desk, user_call())?;
    user.wait_for(CallState::Ended, PATIENCE).await?;
    at_rest(&desk).await?;
    ensure!(ends_of(&desk, user.wacid()).len() == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_target_gives_way_to_the_next() -> Result<()> {
    // A socket that answers nothing: bound, and never read.
    let silent = std::net::UdpSocket::bind("127.0.0.9:5099")?;
    let edit = |text: String| {
        let lines = text.lines().map(|line| match line.strip_prefix("target = ") {
            Some(target) => format!(
                "targets = [{{ uri = \"127.0.0.9:5099\", priority = 1 }}, {{ uri = {target}, priority = 2 }}]"
            ),
            None => line.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    let desk = desk_with(edit, Timings::quick()).await?;
    let (call, user) = answered(&desk).await?;
    silent.set_nonblocking(true)?;
    let mut datagram = [0; 2000];
    let mut asked = false;
    while let Ok(length) = silent.recv(&mut datagram) {
        asked |= datagram[..length].starts_with(b"INVITE ");
    }
    ensure!(asked, "the first target was not asked");
    both_hear(&call, &user, PBX_HZ).await?;
    call.hang_up();
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn terminate_before_connect_rings_nobody() -> Result<()> {
    let desk = desk().await?;
    let webhooks = WebhookFaults { order: Order::TerminateFirst, ..WebhookFaults::default() };
    let user = calls(&desk, UserCall { webhooks, ..user_call() })?;
    user.wait_for(CallState::Ended, PATIENCE).await?;
    wait_for("both webhooks", || desk.whatsapp.webhooks().len() >= 2).await?;
    at_rest(&desk).await?;
    // A call that the PBX can answer shows that the events before it were worked off.
    answered(&desk).await?.1.hang_up();
    at_rest(&desk).await?;
    ensure!(invites(&desk) == 1, "{} INVITEs", invites(&desk));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_webhooks_ring_once() -> Result<()> {
    let desk = desk().await?;
    let webhooks = WebhookFaults { duplicate: true, ..WebhookFaults::default() };
    let user = calls(&desk, UserCall { webhooks, ..user_call() })?;
    let call = desk.phone.incoming(PATIENCE).await?;
    call.answered(PATIENCE).await?;
    both_hear(&call, &user, PBX_HZ).await?;
    user.hang_up();
    call.ended(PATIENCE).await?;
    at_rest(&desk).await?;
    ensure!(invites(&desk) == 1 && requests(&desk, Action::PreAccept) == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_signature_rings_nobody() -> Result<()> {
    let desk = desk().await?;
    let webhooks = WebhookFaults { bad_signature: true, ..WebhookFaults::default() };
    let unheard = calls(&desk, UserCall { webhooks, ..user_call() })?;
    wait_for("its webhook", || !desk.whatsapp.webhooks().is_empty()).await?;
    let results: Vec<_> = desk.whatsapp.webhooks().into_iter().map(|w| w.result).collect();
    ensure!(results.iter().all(|result| *result == Ok(401)), "{results:?}");
    unheard.hang_up();
    answered(&desk).await?.1.hang_up();
    wait_for("no call", || desk.bridge.calls() == 0).await?;
    ensure!(invites(&desk) == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_a_number_is_put_through() -> Result<()> {
    let desk = desk().await?;
    let bsuid = "US.13491208655302741918";
    let user = calls(&desk, UserCall { bsuid: Some(bsuid.to_owned()), ..user_call() })?;
    let call = desk.phone.incoming(PATIENCE).await?;
    call.answered(PATIENCE).await?;
    ensure!(call.number() == bsuid, "{}", call.number());
    user.hang_up();
    call.ended(PATIENCE).await?;
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn accept_is_tried_again_with_the_same_bytes() -> Result<()> {
    let desk = desk().await?;
    let outage = ApiError::new(503, 2, "Service temporarily unavailable", "try again");
    desk.whatsapp.fail_next(Action::Accept, 2, &GraphFault::Error(outage));
    let (call, user) = answered(&desk).await?;
    both_hear(&call, &user, PBX_HZ).await?;
    ensure!(requests(&desk, Action::Accept) == 3);
    call.hang_up();
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_accept_hangs_up_at_the_pbx() -> Result<()> {
    let desk = desk().await?;
    let payment = ApiError::new(400, 131_044, "Business eligibility payment issue", "no credit line");
    desk.whatsapp.fail_next(Action::Accept, 9, &GraphFault::Error(payment));
    let user = calls(&desk, user_call())?;
    let call = desk.phone.incoming(PATIENCE).await?;
    let Ending::Bye { reason } = call.ended(PATIENCE).await? else {
        anyhow::bail!("no BYE");
    };
    ensure!(reason.unwrap_or_default().contains("payment"));
    user.wait_for(CallState::Ended, PATIENCE).await?;
    at_rest(&desk).await
}
