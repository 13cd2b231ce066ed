//! Digest in both roles (RFC 3261 section 22, RFC 7616).

use std::time::Duration;

use anyhow::{Context, Result};
use sandbox::whatsapp::Action::{Accept, Connect, PreAccept, Reject, Terminate};

use crate::sipp::{When, skipped};
use crate::stage::{Stage, trunk};
use crate::users;

/// The PBX must pass a digest; this SIPp knows MD5 alone.
pub(crate) const DEMANDED: &str =
    "auth = { algorithms = [\"md5\"], user = [{ name = \"desk\", password = { env = \"SIPP_PASSWORD\" } }] }";
/// What the PBX knows us by.
pub(crate) const OURS: &str =
    "credentials = { user = \"bridge\", realm = \"pbx\", password = { env = \"SIPP_PASSWORD\" } }";

played_with! {
    Always a_call_passes_with_its_digest: "uac_digest", with_digest, DEMANDED, users::answers(), [Connect, Terminate];
    Always credentials_for_another_uri_call_nobody: "uac_digest_wrong_uri", options, DEMANDED, users::answers(), [];
    Always a_wrong_password_calls_nobody: "uac_digest_wrong", with_digest, DEMANDED, users::answers(), [];
}

rung_with! {
    Always a_challenge_of_the_pbx_is_answered: "uas_digest", options, OURS, users::hangs_up_after(Duration::from_millis(500)), [PreAccept, Accept];
    Always a_foreign_realm_gets_no_credentials: "uas_digest_foreign_realm", every_copy, OURS, users::calls(), [PreAccept, Reject];
}

/// SIPp counts its credentials up, so the copy is made of what the first call sent.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_good_once() -> Result<()> {
    if skipped("uac_digest_replayed", When::Always) {
        return Ok(());
    }
    let stage = Stage::set_with(users::answers(), trunk(DEMANDED)).await?;
    let messages = stage.play_with("uac_digest", &stage.with_digest()).await?;
    let mut sent = messages.iter().filter(|message| message.sent).flat_map(|message| message.text.lines());
    let credentials = sent.find(|line| line.starts_with("Authorization:")).context("no credentials")?;
    stage.play_with("uac_digest_replayed", &stage.with("credentials", credentials)).await?;
    stage.at_rest(&[Connect, Terminate]).await
}
