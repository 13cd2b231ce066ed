//! Journals that cannot be written, or are somebody else's.

use anyhow::{Result, ensure};
use end_to_end::PATIENCE;

use crate::stage::{Stage, own_address};

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_written_calls_go_on_with_an_alarm() -> Result<()> {
    let stage = Stage::set(PATIENCE).await?;
    // Not even root may write there.
    let bridge = stage.bridge_at(stage.ip(), "/proc/wa-bridge.redb", stage.folder()).await?;
    let outward = stage.outward("15550000100").await?;
    let inward = stage.inward("15550000200").await?;
    let metrics = bridge.metrics().await?;
    let is_raised =
        |line: &str| line.starts_with("wa_bridge_alarm{alarm=\"journal\"") && line.ends_with(" 1");
    ensure!(metrics.lines().any(is_raised), "no alarm: {metrics}");
    ensure!(bridge.whole_log().contains("journal.path"), "no remedy: {}", bridge.log());
    for call in [&outward, &inward] {
        call.hang_up();
        call.ended(PATIENCE).await?;
    }
    bridge.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_instance_with_the_same_journal_does_not_start() -> Result<()> {
    let stage = Stage::set(PATIENCE).await?;
    let bridge = stage.bridge().await?;
    let journal = stage.folder().join("calls.redb").display().to_string();
    let folder = tempfile::tempdir()?;
    let second = stage.bridge_at(own_address(), &journal, folder.path()).await;
    let Err(refused) = second else { anyhow::bail!("a second instance runs with the same journal") };
    let refused = format!("{refused:#}");
    for part in ["journal.path", "calls.redb", "another process has it open", "journal.path of its own"] {
        ensure!(refused.contains(part), "{part:?} is missing: {refused}");
    }
    // The first one does not mind.
    let call = stage.outward("15550000100").await?;
    call.hang_up();
    call.ended(PATIENCE).await?;
    bridge.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_an_instance_is_the_same_in_its_next_life() -> Result<()> {
    let stage = Stage::set(PATIENCE).await?;
    let mut names = Vec::new();
    for number in ["15550000100", "15550000101"] {
        let bridge = stage.bridge().await?;
        stage.takes_calls().await?;
        stage.outward(number).await?;
        let user = stage.whatsapp.call_to(number).await;
        let mark = user.callback_data().unwrap_or_default();
        names.push(mark.split('/').nth(1).unwrap_or_default().to_owned());
        bridge.kill().await?;
    }
    ensure!(!names[0].is_empty() && names[0] == names[1], "two names: {names:?}");
    Ok(())
}
