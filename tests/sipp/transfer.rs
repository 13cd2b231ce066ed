//! Transfer by REFER within a dialog (RFC 3515, 5589), and Replaces (RFC 3891).

use std::time::Duration;

use anyhow::Result;
use sandbox::whatsapp::Action::{self, Connect, Terminate};

use crate::sipp::{When, skipped};
use crate::stage::{Stage, target_is_second};
use crate::users;

played! {
    a_call_of_the_trunk_is_taken_over: "uac_replaces", options, users::answers(), [Connect, Terminate];
    what_replaces_nothing_is_481_and_no_call: "uac_replaces_unknown", options, users::answers(), [];
}

played_with! {
    Always a_trunk_without_transfers_refuses_refer: "uac_refer_off", options, "transfer = false", users::answers(), [Connect, Terminate];
}

/// One SIPp is the phone that transfers, the other is where the call goes.
async fn transferred(phone: &str, target: &str, asked: &[Action]) -> Result<()> {
    if skipped(phone, When::Always) {
        return Ok(());
    }
    let stage = Stage::set_with(users::hangs_up_late(), target_is_second("")).await?;
    let waiting = stage.wait(target, &stage.as_second()).await?;
    stage.play(phone).await?;
    stage.ended(waiting, Duration::from_secs(30)).await?;
    stage.at_rest(asked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blind_transfer_leaves_whatsapp_alone() -> Result<()> {
    transferred("uac_refer", "uas_referred", &[Connect]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_hangs_up_while_the_target_rings_has_transferred() -> Result<()> {
    transferred("uac_refer_leaves", "uas_referred_late", &[Connect]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attended_transfer_passes_replaces_on() -> Result<()> {
    transferred("uac_refer_attended", "uas_referred_replaces", &[Connect]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_to_who_is_busy_comes_back() -> Result<()> {
    transferred("uac_refer_busy", "uas_referred_busy", &[Connect, Terminate]).await
}
