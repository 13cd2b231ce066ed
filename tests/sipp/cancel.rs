//! CANCEL in both roles (RFC 3261 section 9).

use std::time::Duration;

use anyhow::{Result, ensure};
use sandbox::whatsapp::Action::{Connect, PreAccept, Terminate};

use crate::sipp::{When, came, skipped};
use crate::stage::Stage;
use crate::users;

/// Time for the PBX to ring, and for the user to lose patience.
const A_WHILE: Duration = Duration::from_millis(700);

played! {
    a_cancel_of_nothing_is_481: "cancel_unknown", options, users::answers(), [];
    a_cancel_right_behind_its_invite_ends_it: "uac_cancel_early", lenient, users::is_reached_slowly(A_WHILE), [Connect, Terminate];
    a_cancel_that_crosses_the_200_changes_nothing: "uac_cancel_crosses_200", every_copy, users::answers(), [Connect, Terminate];
    a_cancel_after_the_ack_changes_nothing: "uac_cancel_after_ack", options, users::answers(), [Connect, Terminate];
}

rung! {
    a_user_who_gives_up_is_a_cancel_with_a_reason: "uas_no_answer", options, users::gives_up(A_WHILE), [PreAccept];
    no_cancel_before_a_provisional_response: "uas_no_provisional", options, users::gives_up(A_WHILE), [PreAccept];
    a_200_that_crosses_our_cancel_is_hung_up: "uas_cancel_race", options, users::gives_up(A_WHILE), [PreAccept];
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_has_one_to_tag() -> Result<()> {
    if skipped("uac_cancel", When::Always) {
        return Ok(());
    }
    let stage = Stage::set(users::never_answers()).await?;
    let messages = stage.play_with("uac_cancel", &stage.every_copy()).await?;
    let tags: Vec<_> = ["SIP/2.0 180", "SIP/2.0 200", "SIP/2.0 487"]
        .iter()
        .flat_map(|start| came(&messages, start))
        .map(|message| message.text.lines().find(|line| line.starts_with("To:")))
        .collect();
    ensure!(tags.len() == 3 && tags[0].is_some() && tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
    stage.at_rest(&[Connect, Terminate]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_comes_again_gets_the_same_bytes() -> Result<()> {
    if skipped("uac_cancel_repeated", When::Always) {
        return Ok(());
    }
    let stage = Stage::set(users::never_answers()).await?;
    let messages = stage.play_with("uac_cancel_repeated", &stage.every_copy()).await?;
    let answers: Vec<_> = came(&messages, "SIP/2.0 200").map(|message| &message.text).collect();
    ensure!(answers.len() == 2 && answers[0] == answers[1], "{answers:?}");
    stage.at_rest(&[Connect, Terminate]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn our_cancel_has_the_branch_of_our_invite() -> Result<()> {
    if skipped("uas_no_answer", When::Always) {
        return Ok(());
    }
    let stage = Stage::set(users::answers()).await?;
    let messages = stage.ring("uas_no_answer", users::gives_up(A_WHILE)).await?;
    let top = |start| came(&messages, start).next()?.text.lines().find(|line| line.starts_with("Via:"));
    ensure!(top("INVITE").is_some() && top("INVITE") == top("CANCEL") && top("INVITE") == top("ACK"));
    stage.at_rest(&[PreAccept]).await
}
