//! What is not let in: strangers, emergency numbers, one call too many; and what a caller is called.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Result;
use sandbox::whatsapp::Action::{Accept, Connect, PreAccept, Terminate};

use crate::sipp::{Options, Sipp, When, skipped};
use crate::stage::{Stage, trunk};
use crate::users;

played! {
    an_emergency_number_is_for_another_route: "uac_emergency", options, users::answers(), [];
}

played_with! {
    Always a_number_that_the_trunk_may_not_call_is_403: "uac_refused_prefix", options, "dial.refused = [\"+1555\"]", users::answers(), [];
    Always a_call_lasts_as_long_as_its_trunk_allows: "uac_longest_call", options, "limits.longest_call_s = 1", users::answers(), [Connect, Terminate];
}

rung! {
    the_caller_has_a_name_a_number_and_whatsapps_headers: "uas_identity", options, users::hangs_up_after(Duration::from_millis(1200)), [PreAccept, Accept];
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_too_many_is_503_with_retry_after() -> Result<()> {
    if skipped("uac_full", When::Always) {
        return Ok(());
    }
    let stage = Stage::set_with(users::answers(), trunk("limits.calls = 1")).await?;
    let standing: Sipp = stage.begin("uac_long", &stage.options())?;
    stage.has_calls(1).await?;
    stage.play_with("uac_full", &stage.as_second()).await?;
    stage.ended(standing, Duration::from_secs(30)).await?;
    stage.at_rest(&[Connect, Terminate]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_may_hear_403_by_setting() -> Result<()> {
    if skipped("uac_stranger_403", When::Always) {
        return Ok(());
    }
    let edit = |config: String| config.replace("[sip]\n", "[sip]\nstrangers = \"403\"\n");
    let stage = Stage::set_with(users::answers(), edit).await?;
    let local = UdpSocket::bind(SocketAddr::from(([127, 63, 0, 1], 0)))?.local_addr()?;
    let options = Options { local, ..stage.options() };
    stage.play_with("uac_stranger_403", &options).await?;
    stage.at_rest(&[]).await
}
