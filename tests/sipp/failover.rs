//! Several targets of a trunk: when a call goes to the next one (RFC 3263 4.3), and when never.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Result, ensure};
use sandbox::whatsapp::Action::{Accept, PreAccept, Reject};

use crate::sipp::{When, skipped};
use crate::stage::{Stage, two_targets};
use crate::users;

/// How long a user talks.
const A_WORD: Duration = Duration::from_millis(500);

/// The first target plays this, the second takes the call.
async fn next_after(first: &str, more: &str) -> Result<Option<Stage>> {
    if skipped(first, When::Always) {
        return Ok(None);
    }
    let stage = Stage::set_with(users::answers(), two_targets(more)).await?;
    let second = stage.wait("uas_second", &stage.as_second()).await?;
    let (first, _) = stage.rung(first, users::hangs_up_after(A_WORD), &stage.every_copy()).await?;
    let limit = Duration::from_secs(30);
    stage.ended(first, limit).await?;
    stage.ended(second, limit).await?;
    Ok(Some(stage))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_503_goes_to_the_next_target_and_rests() -> Result<()> {
    let Some(stage) = next_after("uas_unavailable", "").await? else { return Ok(()) };
    // For a minute nothing more goes to the first one.
    let resting = UdpSocket::bind(stage.pbx)?;
    let user = users::hangs_up_after(A_WORD);
    stage.ring_with("uas_second", user, &stage.as_second()).await?;
    hears_nothing(&resting)?;
    stage.at_rest(&[PreAccept, Accept, PreAccept, Accept]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_302_within_the_trunk_is_followed_by_setting() -> Result<()> {
    let Some(stage) = next_after("uas_redirect_inside", "redirect = true").await? else { return Ok(()) };
    stage.at_rest(&[PreAccept, Accept]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn four_seconds_of_silence_go_to_the_next_target() -> Result<()> {
    if skipped("uas_second", When::Always) {
        return Ok(());
    }
    let stage = Stage::set_with(users::answers(), two_targets("")).await?;
    let _silent = UdpSocket::bind(stage.pbx)?;
    stage.ring_with("uas_second", users::hangs_up_after(A_WORD), &stage.as_second()).await?;
    stage.at_rest(&[PreAccept, Accept]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_closed_goes_to_the_next_target() -> Result<()> {
    if skipped("uas_second", When::Always) {
        return Ok(());
    }
    let stage = Stage::set_with(users::answers(), two_targets("")).await?;
    stage.ring_with("uas_second", users::hangs_up_after(A_WORD), &stage.as_second()).await?;
    stage.at_rest(&[PreAccept, Accept]).await
}

/// The first target plays this, and the second is not asked.
async fn not_the_next_after(first: &str) -> Result<()> {
    if skipped(first, When::Always) {
        return Ok(());
    }
    let stage = Stage::set_with(users::answers(), two_targets("")).await?;
    let second = UdpSocket::bind(stage.second)?;
    stage.ring_with(first, users::calls(), &stage.every_copy()).await?;
    hears_nothing(&second)?;
    stage.at_rest(&[PreAccept, Reject]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_goes_to_no_other_target() -> Result<()> {
    not_the_next_after("uas_busy").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_503_after_ringing_goes_to_no_other_target() -> Result<()> {
    not_the_next_after("uas_rings_unavailable").await
}

fn hears_nothing(socket: &UdpSocket) -> Result<()> {
    socket.set_nonblocking(true)?;
    let heard = socket.recv(&mut [0; 2000]);
    ensure!(heard.is_err(), "it was sent {heard:?} bytes");
    Ok(())
}
