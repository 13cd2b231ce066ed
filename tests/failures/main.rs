//! Failure modes, each by its number in docs/failures.md, played over the real bridge between the
//! simulated WhatsApp and the SIP phone.

mod graph;
mod races;
mod webhooks;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use end_to_end::{PATIENCE, wait_for};
use sandbox::desk::{Desk, DeskConfig};
use sandbox::pbx::{Ending, PhoneCall};
use sandbox::whatsapp::{Behaviour, Pickup, Timings, WhatsAppConfig};

/// A user who picks up so long after the ringing.
fn picks_up(after: Duration) -> Behaviour {
    Behaviour { pickup: Pickup::After(after), ..Behaviour::default() }
}

/// A desk with short delays, and this change of the bridge's configuration.
async fn desk(edit: impl FnOnce(String) -> String + Send + 'static) -> Result<Desk> {
    let whatsapp = WhatsAppConfig { timings: Timings::quick(), ..WhatsAppConfig::new(String::new()) };
    Desk::start(DeskConfig { edit: Box::new(edit), whatsapp, ..DeskConfig::default() }).await
}

/// With this line in the table of the Graph API.
fn with_graph(line: &'static str) -> impl FnOnce(String) -> String + Send + 'static {
    move |text| text.replace("[graph]\n", &format!("[graph]\n{line}\n"))
}

/// The final status of an INVITE that is refused.
async fn refused(call: &PhoneCall) -> Result<u16> {
    match call.ended(PATIENCE).await? {
        Ending::Rejected { status, .. } => Ok(status),
        other => anyhow::bail!("not refused: {other:?}"),
    }
}

/// What an address of the bridge's health listener tells.
async fn admin(desk: &Desk, path: &str) -> Result<String> {
    let url = format!("http://{}/{path}", desk.bridge.admin_addr());
    Ok(reqwest::get(url).await?.text().await?)
}

/// Waits until the bridge shows this alarm, or shows it no longer.
async fn alarm(desk: &Desk, name: &str, lasts: bool) -> Result<()> {
    let limit = tokio::time::Instant::now() + PATIENCE;
    let line = format!("wa_bridge_alarm{{alarm=\"{name}\"");
    while admin(desk, "metrics").await?.contains(&line) != lasts {
        ensure!(tokio::time::Instant::now() < limit, "alarm {name}: not {lasts}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Waits until nothing of any call is left, here or at WhatsApp.
async fn nothing_left(desk: &Desk) -> Result<()> {
    wait_for("no call in the bridge", || desk.bridge.calls() == 0).await?;
    none_open(desk).await
}

/// Waits until no call is open at WhatsApp.
async fn none_open(desk: &Desk) -> Result<()> {
    let ended = || desk.whatsapp.calls().iter().all(|call| call.end().is_some());
    wait_for("no call at WhatsApp", ended).await.context("left open at WhatsApp")
}
