//! When messages are sent again, and when that ends (RFC 3261 sections 13.3.1.4 and 17).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sandbox::whatsapp::Action::{Accept, Connect, PreAccept, Reject, Terminate};
use sandbox::whatsapp::CallState;

use crate::sipp::{Message, When, came, skipped, times};
use crate::stage::{Stage, trunk};
use crate::users;

/// A 404, a 200 or a BYE: T1 doubled up to T2 (seconds).
const UP_TO_T2: [f64; 11] = [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5];
/// An INVITE: T1 doubled without end.
pub(crate) const DOUBLED: [f64; 7] = [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5];
/// How much earlier a message may seem to come, because SIPp was late to see the first.
const EARLIER: f64 = 0.2;
/// How much later, on a busy machine.
const LATER: f64 = 0.9;
/// How long a scenario of the full form may take.
const LONG: Duration = Duration::from_secs(60);

/// Were these messages seen at these times, and no others?
pub(crate) fn on_time<'a>(seen: impl Iterator<Item = &'a Message>, due: &[f64]) -> Result<()> {
    let at: Vec<_> = times(seen).iter().map(Duration::as_secs_f64).collect();
    let fits = |(at, due): (&f64, &f64)| (due - EARLIER..due + LATER).contains(at);
    ensure!(at.len() == due.len() && at.iter().zip(due).all(fits), "seen at {at:?}, not at {due:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_hears_100_within_200_ms() -> Result<()> {
    if skipped("uac_100_in_time", When::Always) {
        return Ok(());
    }
    let stage = Stage::set(users::is_reached_slowly(Duration::from_secs(5))).await?;
    let messages = stage.play("uac_100_in_time").await?;
    let waited = times(messages.iter().take(2))[1];
    ensure!(waited < Duration::from_millis(200), "{waited:?}");
    stage.at_rest(&[Connect, Terminate]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_that_comes_again_is_one_call() -> Result<()> {
    if skipped("uac_invite_repeated", When::Always) {
        return Ok(());
    }
    let stage = Stage::set(users::never_answers()).await?;
    let messages = stage.play_with("uac_invite_repeated", &stage.every_copy()).await?;
    let ringing: Vec<_> = came(&messages, "SIP/2.0 180").map(|message| &message.text).collect();
    ensure!(ringing.iter().all(|copy| *copy == ringing[0]), "{ringing:?}");
    stage.at_rest(&[Connect, Terminate]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_404_comes_again_until_its_ack() -> Result<()> {
    if skipped("uac_404_unacknowledged", When::Always) {
        return Ok(());
    }
    let stage = Stage::set(users::answers()).await?;
    let messages = stage.play_with("uac_404_unacknowledged", &stage.every_copy()).await?;
    on_time(came(&messages, "SIP/2.0 404"), &UP_TO_T2[..3])?;
    stage.at_rest(&[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_200_comes_again_until_its_ack() -> Result<()> {
    if skipped("uac_200_repeated", When::Always) {
        return Ok(());
    }
    let stage = Stage::set(users::answers()).await?;
    let messages = stage.play_with("uac_200_repeated", &stage.every_copy()).await?;
    let of_invite = came(&messages, "SIP/2.0 200").filter(|ok| ok.text.contains(" INVITE\n"));
    on_time(of_invite, &UP_TO_T2[..3])?;
    stage.at_rest(&[Connect, Terminate]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_404_without_an_ack_is_given_up_after_32_s() -> Result<()> {
    if skipped("uac_404_never_acknowledged", When::Full) {
        return Ok(());
    }
    let stage = Stage::set(users::answers()).await?;
    let messages = stage.play_with("uac_404_never_acknowledged", &stage.long()).await?;
    on_time(came(&messages, "SIP/2.0 404"), &UP_TO_T2)?;
    stage.at_rest(&[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_an_ack_is_hung_up_after_32_s() -> Result<()> {
    if skipped("uac_no_ack", When::Full) {
        return Ok(());
    }
    let stage = Stage::set(users::answers()).await?;
    let messages = stage.play_with("uac_no_ack", &stage.long()).await?;
    let ends = messages.iter().filter(|message| message.came("SIP/2.0 200") || message.came("BYE"));
    on_time(ends, &[&UP_TO_T2[..], &[32.0]].concat())?;
    stage.at_rest(&[Connect, Terminate]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_pbx_gets_seven_invites() -> Result<()> {
    if skipped("uas_dead", When::Full) {
        return Ok(());
    }
    let stage = Stage::set_with(users::answers(), trunk("failover.silence_s = 32")).await?;
    let messages = stage.ring_with("uas_dead", users::calls(), &stage.long()).await?;
    on_time(came(&messages, "INVITE"), &DOUBLED)?;
    stage.at_rest(&[PreAccept, Reject]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bye_that_nobody_answers_holds_up_nothing() -> Result<()> {
    if skipped("uas_bye_ignored", When::Full) {
        return Ok(());
    }
    let stage = Stage::set(users::answers()).await?;
    let user = users::hangs_up_after(Duration::from_millis(500));
    let (sipp, call) = stage.rung("uas_bye_ignored", user, &stage.long()).await?;
    call.wait_for(CallState::Ended, LONG).await.context("the caller hangs up")?;
    stage.forgets(Duration::from_secs(5)).await?;
    let messages = stage.ended(sipp, LONG).await?;
    on_time(came(&messages, "BYE"), &UP_TO_T2)?;
    stage.at_rest(&[PreAccept, Accept]).await
}
