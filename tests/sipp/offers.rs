//! Offers and answers in other places than the INVITE and its 200; digits and ringback.

use std::time::Duration;

use anyhow::{Result, ensure};
use end_to_end::wait_for;
use sandbox::whatsapp::Action::{Accept, Connect, PreAccept, Terminate};
use sandbox::whatsapp::UserCall;

use crate::sipp::{When, came, skipped};
use crate::stage::{Stage, trunk};
use crate::users;

/// The caller hears a tone of ours.
const RINGBACK: &str = "ringback = \"183\"\nringback_country = \"de\"";
/// How long a user talks.
const A_WORD: Duration = Duration::from_millis(500);

played! {
    a_call_without_an_offer_gets_one: "uac_no_sdp", options, users::answers(), [Connect, Terminate];
    an_ack_without_the_answer_is_hung_up: "uac_no_sdp_empty_ack", options, users::answers(), [Connect, Terminate];
    a_re_invite_without_an_offer_gets_one: "uac_reinvite_no_sdp", options, users::answers(), [Connect, Terminate];
    an_invite_that_accepts_no_sdp_is_406: "uac_not_acceptable", options, users::answers(), [];
}

played_with! {
    Always an_offer_on_the_early_dialog_is_answered: "uac_update_early_offer", options, RINGBACK, users::never_answers(), [Connect, Terminate];
}

rung_with! {
    Always our_invite_may_leave_the_offer_to_the_pbx: "uas_delayed", options, "session.offer = \"delayed\"", users::hangs_up_after(A_WORD), [PreAccept, Accept];
    Always a_digit_of_the_user_may_be_an_info: "uas_info_dtmf", options, "dtmf = \"info\"", presses_5(), [PreAccept, Accept];
}

fn presses_5() -> UserCall {
    let digits_after = Duration::from_millis(300);
    UserCall { digits: "5".to_owned(), digits_after, ..users::hangs_up_after(4 * A_WORD) }
}

#[tokio::test(flavor = "multi_thread")]
async fn ringback_of_ours_has_the_answer_of_the_200() -> Result<()> {
    if skipped("uac_ringback", When::Always) {
        return Ok(());
    }
    let stage = Stage::set_with(users::answers(), trunk(RINGBACK)).await?;
    let messages = stage.play("uac_ringback").await?;
    let body = |start| came(&messages, start).next()?.text.split_once("\n\n").map(|(_, body)| body);
    let (early, answer) = (body("SIP/2.0 183"), body("SIP/2.0 200"));
    ensure!(early.is_some() && early == answer, "{early:?} {answer:?}");
    stage.at_rest(&[Connect, Terminate]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digit_in_an_info_is_heard_by_the_user() -> Result<()> {
    if skipped("uac_info_dtmf", When::Always) {
        return Ok(());
    }
    let stage = Stage::set(users::answers()).await?;
    stage.play("uac_info_dtmf").await?;
    let digits = || stage.whatsapp.calls().iter().map(|call| call.digits()).collect::<String>();
    wait_for("57 at the user", || digits() == "57").await?;
    stage.at_rest(&[Connect, Terminate]).await
}
