//! Reliable provisional responses in both roles (RFC 3262).

use std::time::Duration;

use anyhow::Result;
use sandbox::whatsapp::Action::{Accept, Connect, PreAccept, Terminate};

use crate::sipp::{When, came, skipped};
use crate::stage::Stage;
use crate::timers::{DOUBLED, on_time};
use crate::users;

played! {
    a_180_is_reliable_where_that_is_required: "uac_prack", options, users::answers(), [Connect, Terminate];
    a_prack_that_names_another_response_is_481: "uac_prack_wrong", options, users::never_answers(), [Connect, Terminate];
}

rung! {
    a_reliable_180_gets_a_prack: "uas_prack", options, users::hangs_up_after(Duration::from_millis(500)), [PreAccept, Accept];
}

async fn resent(scenario: &str, when: When, due: &[f64]) -> Result<()> {
    if skipped(scenario, when) {
        return Ok(());
    }
    let stage = Stage::set(users::never_answers()).await?;
    let messages = stage.play_with(scenario, &stage.long()).await?;
    on_time(came(&messages, "SIP/2.0 180"), due)?;
    stage.at_rest(&[Connect, Terminate]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reliable_180_comes_again_until_its_prack() -> Result<()> {
    resent("uac_prack_late", When::Always, &DOUBLED[..3]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_prack_never_comes_is_refused() -> Result<()> {
    resent("uac_prack_never", When::Full, &DOUBLED).await
}
