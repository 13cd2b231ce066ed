//! `kill -9` with calls in every state.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use end_to_end::PATIENCE;
use sandbox::pbx::Ending;
use sandbox::whatsapp::{Action, ApiError, CallState, GraphFault};

use crate::program::Program;
use crate::stage::{Calls, Stage};

/// How long the next life may take to end all at WhatsApp whose id is known.
const LIMIT: Duration = Duration::from_secs(10);
/// How long after its first webhook the call may live that was between `connect` and its reply.
const LIMIT_BY_MARK: Duration = Duration::from_secs(2);
/// Talking, in each direction.
const EACH: usize = 5;
/// Ends of calls with an id: those that talk, and the two that ring.
const ENDS: usize = 2 * EACH + 2;

fn outage() -> GraphFault {
    GraphFault::Error(ApiError::new(500, 131_000, "Something went wrong", "try again"))
}

/// All that WhatsApp must see: each call ended once, the one without an id as soon as a webhook names it.
async fn whatsapp_is_told(stage: &Stage, restarted: Instant) -> Result<()> {
    stage.ended(ENDS, restarted, LIMIT).await?;
    let slow = stage.slow().context("the call that was being connected")?;
    slow.wait_for(CallState::Ended, PATIENCE).await.context("the call without an id lives on")?;
    let of_slow = |wacid: &str| wacid == slow.wacid();
    let webhooks = stage.whatsapp.webhooks();
    let heard = webhooks.iter().find(|webhook| of_slow(&webhook.wacid)).context("no webhook of it")?.at;
    let ended = || {
        let requests = stage.whatsapp.requests().into_iter();
        let mut ends = requests.filter(|request| request.action == Some(Action::Terminate));
        ends.find(|end| end.wacid.as_deref().is_some_and(of_slow)).map(|end| end.at)
    };
    end_to_end::wait_for("its end", || ended().is_some()).await?;
    let took = ended().unwrap_or_default().saturating_sub(heard);
    ensure!(took <= LIMIT_BY_MARK, "the call without an id lived {took:?} after its first webhook");
    for call in stage.whatsapp.calls() {
        call.wait_for(CallState::Ended, PATIENCE).await.context("left open at WhatsApp")?;
        ensure!(call.violations().is_empty(), "WhatsApp complains: {:?}", call.violations());
    }
    Ok(())
}

/// All that the PBX must see: BYE, CANCEL, and a final response to its own INVITEs.
async fn the_pbx_is_told(stage: &Stage, calls: &Calls) -> Result<()> {
    for call in &calls.up {
        let ending = call.ended(PATIENCE).await?;
        ensure!(matches!(ending, Ending::Bye { .. }), "a call that was up ended by {ending:?}");
    }
    let ending = calls.rings_pbx.ended(PATIENCE).await?;
    ensure!(matches!(ending, Ending::Cancelled { .. }), "the call that rang at the PBX ended by {ending:?}");
    for call in [&calls.rings_user, &calls.connecting] {
        let ending = call.ended(PATIENCE).await?;
        ensure!(matches!(ending, Ending::Rejected { status: 503, .. }), "an INVITE ended by {ending:?}");
    }
    ensure!(stage.phone.complaints().is_empty(), "the PBX: {:?}", stage.phone.complaints());
    Ok(())
}

/// One record a call, with the cause.
async fn each_has_its_record(bridge: &Program, wanted: usize) -> Result<()> {
    let records = || bridge.whole_log().matches("\"cause\":\"crash\"").count();
    end_to_end::wait_for("the records", || records() >= wanted).await?;
    ensure!(records() == wanted, "{} records, not {wanted}", records());
    Ok(())
}

/// Nothing is left: another life has nothing to do, and takes calls.
async fn nothing_is_left(stage: &Stage, bridge: Program) -> Result<()> {
    let limit = Instant::now() + PATIENCE;
    while bridge.calls().await? > 0 {
        ensure!(Instant::now() < limit, "the bridge still has calls: {}", bridge.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bridge.kill().await?;
    let restarted = Instant::now();
    let bridge = stage.bridge().await?;
    stage.takes_calls().await?;
    let call = stage.outward("15550000400").await?;
    ensure!(stage.ends_since(restarted).is_empty(), "ended again: {:?}", stage.ends_since(restarted));
    call.hang_up();
    call.ended(PATIENCE).await?;
    bridge.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_every_call_is_ended_on_both_sides() -> Result<()> {
    let stage = Stage::set(Duration::from_secs(6)).await?;
    let bridge = stage.bridge().await?;
    let calls = stage.calls(EACH).await?;
    bridge.kill().await?;
    let restarted = Instant::now();
    let bridge = stage.bridge().await?;
    let log = || format!("the bridge's log ends with\n{}", bridge.log());
    whatsapp_is_told(&stage, restarted).await.with_context(log)?;
    each_has_its_record(&bridge, ENDS + 1).await.with_context(log)?;
    the_pbx_is_told(&stage, &calls).await.with_context(log)?;
    nothing_is_left(&stage, bridge).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_terminate_may_fail_five_times() -> Result<()> {
    let stage = Stage::set(Duration::from_secs(14)).await?;
    let bridge = stage.bridge().await?;
    let calls = stage.calls(EACH).await?;
    // The one that was not accepted is rejected. The fifth try of each comes before the sixth of any.
    stage.whatsapp.fail_next(Action::Terminate, 5 * (ENDS - 1), &outage());
    bridge.kill().await?;
    let restarted = Instant::now();
    let bridge = stage.bridge().await?;
    let log = || format!("the bridge's log ends with\n{}", bridge.log());
    whatsapp_is_told(&stage, restarted).await.with_context(log)?;
    each_has_its_record(&bridge, ENDS + 1).await.with_context(log)?;
    the_pbx_is_told(&stage, &calls).await.with_context(log)?;
    nothing_is_left(&stage, bridge).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_is_killed_while_it_recovers_recovers_in_its_next_life() -> Result<()> {
    let stage = Stage::set(Duration::from_secs(8)).await?;
    let bridge = stage.bridge().await?;
    let calls = stage.calls(2).await?;
    bridge.kill().await?;
    // WhatsApp is out of order in the second life, so that nothing can be ended in it.
    let outages = 1000;
    stage.whatsapp.fail_next(Action::Terminate, outages, &outage());
    stage.whatsapp.fail_next(Action::Reject, outages, &outage());
    let bridge = stage.bridge().await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    bridge.kill().await?;
    stage.whatsapp.mend();
    let restarted = Instant::now();
    let bridge = stage.bridge().await?;
    let log = || format!("the bridge's log ends with\n{}", bridge.log());
    stage.ended(6, restarted, LIMIT).await.with_context(log)?;
    let slow = stage.slow().context("the call that was being connected")?;
    slow.wait_for(CallState::Ended, PATIENCE).await.with_context(log)?;
    the_pbx_is_told(&stage, &calls).await.with_context(log)?;
    nothing_is_left(&stage, bridge).await
}
