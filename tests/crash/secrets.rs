//! What the log must not hold.

use anyhow::{Result, ensure};
use end_to_end::PATIENCE;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn failure_41_no_secret_is_in_the_log_even_at_trace() -> Result<()> {
    let stage = Stage::set(PATIENCE).await?;
    let bridge = stage.bridge_that_logs("trace").await?;
    let outward = stage.outward("15550000100").await?;
    let inward = stage.inward("15550000200").await?;
    for call in [&outward, &inward] {
        call.hang_up();
        call.ended(PATIENCE).await?;
    }
    let over = || stage.whatsapp.calls().iter().all(|call| call.end().is_some());
    end_to_end::wait_for("the end of both calls", over).await?;
    // A token that is refused is a likely thing to be written down.
    stage.whatsapp.set_token("another-token");
    stage.phone.dial("15550000101").await?.ended(PATIENCE).await?;
    let log = bridge.whole_log();
    let is_all = log.contains("\"level\":\"TRACE\"") && log.contains("terminate");
    ensure!(is_all, "too little is logged to prove anything: {} lines", log.lines().count());
    for (name, secret) in stage.secrets() {
        ensure!(!log.contains(&secret), "the log holds the {name}");
    }
    bridge.stop().await
}
