//! Requests that belong to no call, and what keeps an INVITE from becoming one.

use std::net::SocketAddr;

use anyhow::{Result, ensure};

use crate::sipp::{Options, When, came, skipped};
use crate::stage::Stage;
use crate::users;

played! {
    options_of_no_call_are_answered: "options_ping", options, users::answers(), [];
    options_that_require_the_unknown_are_420: "options_require_unknown", options, users::answers(), [];
    an_answer_goes_to_where_the_request_came_from: "uac_rport", options, users::answers(), [];
    overload_parameters_change_nothing: "uac_overload_parameters", options, users::answers(), [];
    an_unknown_method_is_501: "method_unknown", options, users::answers(), [];
    a_method_that_we_do_not_take_is_405: "method_not_allowed", options, users::answers(), [];
    another_version_of_sip_is_505: "version_unknown", options, users::answers(), [];
    a_refer_of_no_call_calls_nobody: "refer_out_of_dialog", options, users::answers(), [];
    stray_responses_are_met_with_silence: "stray_responses", every_copy, users::answers(), [];
    a_bye_of_no_dialog_is_481: "bye_unknown", options, users::answers(), [];
    a_re_invite_of_no_dialog_is_481_and_no_call: "reinvite_unknown", options, users::answers(), [];
    an_update_of_no_dialog_is_481: "update_unknown", options, users::answers(), [];
    a_prack_of_nothing_is_481: "prack_unknown", options, users::answers(), [];
    an_info_of_no_dialog_is_481: "info_unknown", options, users::answers(), [];
    an_invite_that_requires_the_unknown_is_420: "uac_require_unknown", options, users::answers(), [];
    a_body_of_an_unknown_kind_is_415: "uac_ctype_unknown", options, users::answers(), [];
    a_compressed_body_is_415: "uac_gzip", options, users::answers(), [];
    a_request_uri_of_an_unknown_scheme_is_416: "uac_uri_scheme_unknown", options, users::answers(), [];
    a_call_without_a_hop_left_is_483: "uac_max_forwards_0", options, users::answers(), [];
    an_offer_without_a_common_codec_is_488: "uac_no_codec", options, users::answers(), [];
    a_user_part_that_is_no_number_is_404: "uac_unroutable", options, users::answers(), [];
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_options_thrice_get_the_same_bytes() -> Result<()> {
    if skipped("options_repeated", When::Always) {
        return Ok(());
    }
    let stage = Stage::set(users::answers()).await?;
    let messages = stage.play_with("options_repeated", &stage.every_copy()).await?;
    let answers: Vec<_> = came(&messages, "SIP/2.0 200").map(|message| &message.text).collect();
    ensure!(answers.len() == 3 && answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    stage.at_rest(&[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_hears_nothing() -> Result<()> {
    if skipped("uac_stranger", When::Always) {
        return Ok(());
    }
    let stage = Stage::set(users::answers()).await?;
    // Another address of the same machine, which the trunk does not name.
    let stranger = SocketAddr::from(([127, 63, 0, 1], 0));
    let local = std::net::UdpSocket::bind(stranger)?.local_addr()?;
    let options = Options { local, ..stage.options() };
    let messages = stage.play_with("uac_stranger", &options).await?;
    ensure!(messages.iter().all(|message| message.sent), "{messages:?}");
    stage.at_rest(&[]).await
}
