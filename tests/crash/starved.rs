//! The program runs out of file descriptors.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use end_to_end::PATIENCE;
use sandbox::pbx::Ending;
use tokio::process::Command;

use crate::program::Program;
use crate::stage::Stage;

/// So many more than it has open now. The limit is on their numbers, and the lowest that is free is given first.
async fn allow(bridge: &Program, more: usize) -> Result<()> {
    let id = bridge.id()?;
    let folder = std::fs::read_dir(format!("/proc/{id}/fd"))?;
    let open: BTreeSet<usize> =
        folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    let free = (0..).find(|number| !open.contains(number)).unwrap_or_default();
    let limit = format!("--nofile={}:", free + more);
    let set = Command::new("prlimit").args(["--pid", &id.to_string(), &limit]).status().await;
    ensure!(set.context("prlimit")?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_31_without_descriptors_new_calls_get_503_and_the_old_one_goes_on() -> Result<()> {
    let stage = Stage::set(PATIENCE).await?;
    let bridge = stage.bridge().await?;
    let up = stage.outward("15550000100").await?;
    allow(&bridge, 1).await?;
    for _ in 0..3 {
        let call = stage.phone.dial("15550000101").await?;
        let ending = call.ended(PATIENCE).await?;
        ensure!(matches!(ending, Ending::Rejected { status: 503, .. }), "{ending:?}");
    }
    let user = stage.whatsapp.call_to("15550000100").await;
    ensure!(user.end().is_none(), "the old call is gone");
    allow(&bridge, 100).await?;
    let again = stage.outward("15550000102").await?;
    for call in [&up, &again] {
        call.hang_up();
        ensure!(call.ended(PATIENCE).await? == Ending::HungUp);
    }
    bridge.stop().await
}
