//! How much a trunk takes, and whose calls go where.

use anyhow::{Context, Result, ensure};
use end_to_end::{PATIENCE, at_rest, both_hear};
use sandbox::pbx::Ending;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_too_many_is_503_with_retry_after_and_the_first_keeps_its_sound() -> Result<()> {
    let desk = desk_of(phone(), "limits = { calls = 1 }").await?;
    ensure!(desk.phone.options(PATIENCE).await? == 200);
    let (call, user) = a_call_to_whatsapp(&desk, &desk.phone).await?;
    let second = desk.phone.dial("15550000003").await?;
    ensure!(second.final_status(PATIENCE).await? == 503);
    let after = second.header_of(503, "Retry-After").context("no Retry-After")?;
    ensure!(after.parse::<u32>().is_ok_and(|seconds| seconds > 0), "{after}");
    ensure!(desk.phone.options(PATIENCE).await? == 503, "full");
    both_hear(&call, &user, PBX_HZ).await?;
    call.hang_up();
    ensure!(call.ended(PATIENCE).await? == Ending::HungUp);
    at_rest(&desk).await?;
    ensure!(desk.phone.options(PATIENCE).await? == 200, "room again");
    let (call, _) = a_call_to_whatsapp(&desk, &desk.phone).await?;
    call.hang_up();
    at_rest(&desk).await
}
