//! Calls to WhatsApp: how they are answered, what may happen in them, how they end.

use anyhow::{Result, ensure};
use sandbox::whatsapp::Action::{Connect, Terminate};

use crate::sipp::{When, came, skipped};
use crate::stage::Stage;
use crate::users;

played! {
    a_call_is_answered_and_hung_up: "uac_basic", options, users::answers(), [Connect, Terminate];
    a_user_who_hangs_up_is_a_bye_with_a_reason: "uac_user_hangs_up", options, users::hangs_up(), [Connect];
    a_user_who_rejects_is_a_486_with_a_reason: "uac_busy", every_copy, users::rejects(), [Connect];
    short_header_names_are_read: "uac_compact", options, users::answers(), [Connect, Terminate];
    a_tel_uri_is_dialled: "uac_tel_uri", options, users::answers(), [Connect, Terminate];
    a_refused_stream_has_port_0: "uac_video", options, users::answers(), [Connect, Terminate];
    a_bye_takes_the_recorded_route: "uac_record_route", options, users::hangs_up(), [Connect];
    require_in_an_ack_is_not_looked_at: "uac_ack_with_require", every_copy, users::answers(), [Connect, Terminate];
    the_same_invite_by_two_ways_is_one_call: "uac_merged", options, users::never_answers(), [Connect, Terminate];
    options_in_a_call_are_answered: "options_in_dialog", options, users::answers(), [Connect, Terminate];
    an_unknown_method_in_a_call_is_501: "uac_method_unknown_in_dialog", options, users::answers(), [Connect, Terminate];
    a_bye_with_a_lower_cseq_is_500: "bye_low_cseq", options, users::answers(), [Connect, Terminate];
    a_bye_on_the_early_dialog_is_a_487: "uac_bye_early", options, users::never_answers(), [Connect, Terminate];
    a_second_re_invite_is_500_with_retry_after: "uac_two_reinvites", lenient, users::answers(), [Connect, Terminate];
    hold_by_sendonly_is_absorbed: "uac_hold_sendonly", options, users::answers(), [Connect, Terminate];
    hold_by_inactive_is_absorbed: "uac_hold_inactive", options, users::answers(), [Connect, Terminate];
    hold_by_the_address_0_0_0_0_is_absorbed: "uac_hold_zero_address", options, users::answers(), [Connect, Terminate];
    t38_alone_is_488_and_the_call_stands: "uac_reinvite_refused", options, users::answers(), [Connect, Terminate];
    an_update_is_answered_with_and_without_sdp: "uac_update", options, users::answers(), [Connect, Terminate];
    a_prack_of_no_response_of_ours_is_481: "uac_prack_unknown", options, users::answers(), [Connect, Terminate];
    an_update_on_the_early_dialog_is_answered: "uac_update_early", options, users::never_answers(), [Connect, Terminate];
    another_codec_is_absorbed: "uac_reinvite_codec", options, users::answers(), [Connect, Terminate];
    a_bye_needs_no_ack_before_it: "uac_bye_without_ack", every_copy, users::answers(), [Connect, Terminate];
    our_bye_waits_for_the_ack: "uac_bye_waits_for_ack", every_copy, users::hangs_up_soon(), [Connect];
    a_re_invite_before_the_ack_is_491: "uac_reinvite_before_ack", options, users::answers(), [Connect, Terminate];
    a_re_invite_moves_the_target: "uac_target_refresh", options, users::hangs_up_after_long(), [Connect];
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_offer_gets_the_same_answer() -> Result<()> {
    if skipped("uac_reinvite_same", When::Always) {
        return Ok(());
    }
    let stage = Stage::set(users::answers()).await?;
    let messages = stage.play("uac_reinvite_same").await?;
    let answers: Vec<_> =
        came(&messages, "SIP/2.0 200").filter_map(|ok| ok.text.split_once("\n\n")).collect();
    let bodies: Vec<_> = answers.iter().map(|(_, body)| *body).filter(|body| !body.is_empty()).collect();
    ensure!(bodies.len() == 3 && bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    stage.at_rest(&[Connect, Terminate]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bye_that_comes_again_gets_the_same_bytes() -> Result<()> {
    if skipped("bye_repeated", When::Always) {
        return Ok(());
    }
    let stage = Stage::set(users::answers()).await?;
    let messages = stage.play_with("bye_repeated", &stage.every_copy()).await?;
    let answers: Vec<_> = came(&messages, "SIP/2.0 200").filter(|ok| ok.text.contains(" BYE\n")).collect();
    ensure!(answers.len() == 2 && answers[0].text == answers[1].text, "{answers:?}");
    stage.at_rest(&[Connect, Terminate]).await
}
