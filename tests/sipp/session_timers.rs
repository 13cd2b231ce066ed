//! Session timers in both roles (RFC 4028), and glare (RFC 3261 14.1).

use std::time::Duration;

use anyhow::{Result, ensure};
use sandbox::whatsapp::Action::{Accept, Connect, PreAccept, Terminate};

use crate::sipp::{When, came, skipped, times};
use crate::stage::{Stage, trunk};
use crate::users;

/// The shortest session there is.
const SHORTEST: &str = "session.expires_s = 90";
/// How long a user talks.
const A_WORD: Duration = Duration::from_millis(500);
/// How long one talks over whose call a refresh passes.
const A_MINUTE: Duration = Duration::from_secs(55);

played! {
    too_short_a_session_is_422: "uac_422", options, users::answers(), [];
    a_pbx_that_refreshes_is_answered: "uac_session_timer", options, users::answers(), [Connect, Terminate];
}

played_with! {
    Full we_refresh_where_the_pbx_asks_us_to: "uac_session_timer_ours", long, "", users::answers(), [Connect, Terminate];
    Full a_pbx_that_does_not_refresh_is_hung_up: "uac_session_expires", long, "", users::answers(), [Connect, Terminate];
}

rung! {
    our_invite_asks_for_a_session_timer: "uas_session_timer_asked", options, users::hangs_up_after(A_WORD), [PreAccept, Accept];
}

rung_with! {
    Always a_422_gets_the_interval_it_wants: "uas_422", options, SHORTEST, users::hangs_up_after(A_WORD), [PreAccept, Accept];
    Full we_refresh_a_call_that_we_made: "uas_session_timer", long, SHORTEST, users::hangs_up_after(A_MINUTE), [PreAccept, Accept];
    Full a_481_to_our_refresh_ends_the_call: "uas_refresh_481", long, SHORTEST, users::calls(), [PreAccept, Accept, Terminate];
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_is_491_is_tried_again_in_2_to_4_s() -> Result<()> {
    if skipped("uas_glare", When::Full) {
        return Ok(());
    }
    let stage = Stage::set_with(users::answers(), trunk(SHORTEST)).await?;
    let messages = stage.ring_with("uas_glare", users::hangs_up_after(A_MINUTE), &stage.long()).await?;
    let at = times(came(&messages, "INVITE"));
    ensure!(at.len() == 3, "{at:?}");
    let waited = (at[2] - at[1]).as_secs_f64();
    ensure!((2.0..5.0).contains(&waited), "tried again after {waited} s");
    stage.at_rest(&[PreAccept, Accept]).await
}
