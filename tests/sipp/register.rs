//! REGISTER in both roles (RFC 3261 section 10).

use std::time::Duration;

use anyhow::Result;
use sandbox::whatsapp::Action::{Accept, PreAccept};

use crate::digest::{DEMANDED, OURS};
use crate::sipp::{When, skipped};
use crate::stage::{Stage, target_is_registered, trunk};
use crate::users;

played! {
    a_register_on_a_trunk_that_takes_none_is_405: "register_foreign", options, users::answers(), [];
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pbx_that_has_registered_is_rung_where_it_is() -> Result<()> {
    if skipped("register", When::Always) {
        return Ok(());
    }
    let lines = format!("accept_register = {{}}\n{DEMANDED}");
    let stage = Stage::set_with(users::answers(), target_is_registered(&lines)).await?;
    stage.play("register").await?;
    stage.ring("uas_second", users::hangs_up_after(Duration::from_millis(500))).await?;
    stage.at_rest(&[PreAccept, Accept]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_for_too_short_a_time_is_423() -> Result<()> {
    if skipped("register_brief", When::Always) {
        return Ok(());
    }
    let lines = format!("accept_register = {{}}\n{DEMANDED}");
    let stage = Stage::set_with(users::answers(), target_is_registered(&lines)).await?;
    stage.play("register_brief").await?;
    stage.at_rest(&[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn we_register_at_the_pbx() -> Result<()> {
    if skipped("uas_register", When::Always) {
        return Ok(());
    }
    let lines = format!("register = {{}}\n{OURS}");
    let (stage, sipp) = Stage::set_behind("uas_register", users::answers(), trunk(&lines)).await?;
    stage.ended(sipp, Duration::from_secs(30)).await?;
    stage.at_rest(&[]).await
}
