//! Calls from WhatsApp: what the PBX sees, and what becomes of its answers.

use std::time::Duration;

use anyhow::{Result, ensure};
use sandbox::whatsapp::Action::{Accept, PreAccept, Reject, Terminate};

use crate::sipp::{When, came, skipped};
use crate::stage::Stage;
use crate::users;

/// How long a user talks.
const A_WORD: Duration = Duration::from_millis(500);

rung! {
    a_call_from_whatsapp_rings_the_pbx: "uas_basic", options, users::calls(), [PreAccept, Accept, Terminate];
    a_caller_who_hangs_up_is_a_bye_with_a_reason: "uas_user_hangs_up", options, users::hangs_up_after(A_WORD), [PreAccept, Accept];
    a_pbx_that_declines_rejects_the_call: "uas_decline", options, users::calls(), [PreAccept, Reject];
    a_302_out_of_the_trunk_is_not_followed: "uas_redirect_outside", options, users::calls(), [PreAccept, Reject];
    our_ack_and_bye_take_the_recorded_route: "uas_record_route", options, users::hangs_up_after(A_WORD), [PreAccept, Accept];
    the_pbx_holds_a_call_it_was_rung_for: "uas_hold", options, users::calls(), [PreAccept, Accept, Terminate];
    the_answer_of_a_second_fork_is_hung_up: "uas_forked", options, users::hangs_up_after(2 * A_WORD), [PreAccept, Accept];
    an_answer_that_cannot_be_used_is_hung_up: "uas_bad_answer", options, users::calls(), [PreAccept, Reject];
}

#[tokio::test(flavor = "multi_thread")]
async fn a_486_that_comes_again_gets_its_ack_again() -> Result<()> {
    if skipped("uas_busy", When::Always) {
        return Ok(());
    }
    let stage = Stage::set(users::answers()).await?;
    let messages = stage.ring_with("uas_busy", users::calls(), &stage.every_copy()).await?;
    ensure!(came(&messages, "INVITE").count() == 1, "{messages:?}");
    stage.at_rest(&[PreAccept, Reject]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_200_that_comes_again_gets_the_same_ack() -> Result<()> {
    if skipped("uas_200_repeated", When::Always) {
        return Ok(());
    }
    let stage = Stage::set(users::answers()).await?;
    let user = users::hangs_up_after(2 * A_WORD);
    let messages = stage.ring_with("uas_200_repeated", user, &stage.every_copy()).await?;
    let acks: Vec<_> = came(&messages, "ACK").map(|message| &message.text).collect();
    ensure!(acks.len() == 3 && acks.iter().all(|ack| *ack == acks[0]), "{acks:?}");
    stage.at_rest(&[PreAccept, Accept]).await
}
