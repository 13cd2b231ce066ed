//! A new version beside the old one, as docs/operation.md says.

use std::time::Instant;

use anyhow::{Result, ensure};
use end_to_end::{PATIENCE, both_hear, wait_for};
use sandbox::pbx::Ending;
use sandbox::whatsapp::CallState;

use crate::stage::{Stage, own_address};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_instance_takes_the_calls_while_the_old_one_drains() -> Result<()> {
    let stage = Stage::set(PATIENCE).await?;
    let leave = "\n[life]\nnew_calls = \"leave\"\n";
    let old = stage.bridge_with(stage.ip(), stage.folder(), leave).await?;
    let outward = stage.outward("15550000100").await?;
    let user = stage.whatsapp.call_to("15550000100").await;

    let (ip, folder) = (own_address(), tempfile::tempdir()?);
    let on =
        format!("\n[[webhook.pass_on]]\nurl = \"{}\"\nfields = [\"calls\"]\n", stage.webhook_url(stage.ip()));
    let new = stage.bridge_with(ip, folder.path(), &on).await?;
    stage.whatsapp.set_webhook_url(stage.webhook_url(ip));
    old.terminate().await?;
    // The signal takes a moment to be heard.
    let limit = Instant::now() + PATIENCE;
    while stage.phone.options(PATIENCE).await? != 503 {
        ensure!(Instant::now() < limit, "the old one takes calls");
    }

    // New calls, both ways, by the new one.
    stage.calls_go_to(ip);
    ensure!(stage.phone.options(PATIENCE).await? == 200);
    let again = stage.outward("15550000101").await?;
    let inward = stage.inward("15550000200").await?;
    ensure!(new.calls().await? == 2, "{} calls at the new one", new.calls().await?);

    // The call of the old one lives on, and what WhatsApp says of it gets there.
    both_hear(&outward, &user, stage.phone_hz()).await?;
    user.hang_up();
    ensure!(matches!(outward.ended(PATIENCE).await?, Ending::Bye { .. }), "no BYE from the old one");
    old.ended().await?;
    for call in [&again, &inward] {
        call.hang_up();
        ensure!(call.ended(PATIENCE).await? == Ending::HungUp);
    }
    wait_for("no call at WhatsApp", || stage.whatsapp.calls().iter().all(|call| call.end().is_some()))
        .await?;
    user.wait_for(CallState::Ended, PATIENCE).await?;
    new.stop().await
}
