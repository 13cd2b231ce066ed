//! Events that cross, in many shifts of time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use end_to_end::{PATIENCE, at_rest};
use sandbox::desk::Desk;
use sandbox::pbx::{Ending, Policy};
use sandbox::whatsapp::{Behaviour, GraphFault, UserCall};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{desk, nothing_left, picks_up};

fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// Waits for what each call found, and for the end of all.
async fn all_over(desk: &Desk, mut calls: JoinSet<Result<()>>) -> Result<()> {
    while let Some(call) = calls.join_next().await {
        call??;
    }
    nothing_left(desk).await?;
    at_rest(desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_16_a_cancel_while_connect_is_in_flight_leaves_nothing_ringing() -> Result<()> {
    let desk = Arc::new(desk(|text| text).await?);
    let mut calls = JoinSet::new();
    for step in 0..=20_u64 {
        let number = format!("155500020{step:02}");
        let slow = Behaviour { graph: Some(GraphFault::Delay(ms(500))), ..picks_up(ms(5_000)) };
        desk.whatsapp.set_behaviour(&number, slow);
        let desk = Arc::clone(&desk);
        calls.spawn(async move {
            let call = desk.phone.dial(&number).await?;
            sleep(ms(step * 50)).await;
            call.cancel();
            let ending = call.ended(PATIENCE).await?;
            ensure!(matches!(ending, Ending::Rejected { status: 487, .. }), "after {step} steps: {ending:?}");
            Ok(())
        });
    }
    all_over(&desk, calls).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_17_a_cancel_that_crosses_the_pickup_has_one_winner_and_no_call_left() -> Result<()> {
    let desk = Arc::new(desk(|text| text).await?);
    let mut calls = JoinSet::new();
    for step in 0..40_u64 {
        let number = format!("155500021{step:02}");
        desk.whatsapp.set_behaviour(&number, picks_up(ms(300)));
        let desk = Arc::clone(&desk);
        calls.spawn(async move {
            let call = desk.phone.dial(&number).await?;
            call.status(180, PATIENCE).await?;
            sleep(ms(200 + step * 5)).await;
            call.cancel();
            call.hang_up();
            let ending = call.ended(PATIENCE).await?;
            let finals = call.finals();
            ensure!(finals.len() == 1, "{step}: {finals:?}");
            let is_one = match ending {
                Ending::Rejected { status, .. } => status == 487 && finals == [487],
                Ending::HungUp | Ending::Bye { .. } => finals == [200],
                Ending::Cancelled { .. } | Ending::Refused { .. } | Ending::Timeout(_) => false,
            };
            ensure!(is_one, "{step}: {ending:?} after {finals:?}");
            Ok(())
        });
    }
    all_over(&desk, calls).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_17_both_hang_up_at_once() -> Result<()> {
    let desk = Arc::new(desk(|text| text).await?);
    let mut calls = JoinSet::new();
    for step in 0..20_u64 {
        let number = format!("155500022{step:02}");
        desk.whatsapp.set_behaviour(&number, picks_up(ms(10)));
        let desk = Arc::clone(&desk);
        calls.spawn(async move {
            let call = desk.phone.dial(&number).await?;
            call.answered(PATIENCE).await?;
            let user = desk.whatsapp.call_to(&number).await;
            user.hang_up();
            sleep(ms(step)).await;
            call.hang_up();
            let ending = call.ended(PATIENCE).await?;
            ensure!(matches!(ending, Ending::HungUp | Ending::Bye { .. }), "{step}: {ending:?}");
            Ok(())
        });
    }
    all_over(&desk, calls).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_19_a_user_who_gives_up_while_the_pbx_rings_is_a_cancel_there() -> Result<()> {
    let desk = desk(|text| text).await?;
    desk.phone.set_policy(Policy::Ring);
    for (number, patience) in [("15550002301", 0), ("15550002302", 100), ("15550002303", 2_000)] {
        let user = UserCall { patience: Some(ms(patience)), ..UserCall::new(number, "Ann") };
        let user = desk.whatsapp.call_business(user).map_err(anyhow::Error::msg)?;
        if patience > 0 {
            let call = desk.phone.incoming(PATIENCE).await?;
            let ending = call.ended(PATIENCE).await?;
            ensure!(matches!(ending, Ending::Cancelled { .. }), "after {patience} ms: {ending:?}");
        }
        nothing_left(&desk).await?;
        ensure!(user.end().is_some());
    }
    at_rest(&desk).await
}
