//! What the bridge tells of itself.

use anyhow::{Result, ensure};
use end_to_end::{PATIENCE, at_rest, desk};

async fn get(address: std::net::SocketAddr, path: &str) -> Result<(u16, String)> {
    let answer = reqwest::get(format!("http://{address}{path}")).await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics() -> Result<()> {
    let desk = desk().await?;
    let admin = desk.bridge.admin_addr();
    ensure!(admin.ip().is_loopback());
    ensure!(get(admin, "/healthz").await?.0 == 200);
    ensure!(get(admin, "/readyz").await?.0 == 200);
    // Health is none of the public listener's business.
    ensure!(get(desk.bridge.webhook_addr(), "/metrics").await?.0 == 404);

    let call = desk.phone.dial("15550000001").await?;
    call.answered(PATIENCE).await?;
    let (_, text) = get(admin, "/metrics").await?;
    let now = "wa_bridge_calls{direction=\"sip_to_wa\",state=\"talking\"} 1";
    ensure!(text.contains(now), "{text}");
    call.hang_up();
    at_rest(&desk).await?;
    let (_, text) = get(admin, "/metrics").await?;
    let ended =
        "wa_bridge_calls_ended_total{cause=\"pbx_hung_up\",direction=\"sip_to_wa\",outcome=\"answered\"} 1";
    ensure!(text.contains(ended), "{text}");
    ensure!(text.contains("wa_bridge_calls{direction=\"sip_to_wa\",state=\"talking\"} 0"), "{text}");
    ensure!(
        text.contains("wa_bridge_calls_heard{heard=\"good\",side=\"pbx\",stream=\"from\"} 0"),
        "no call lives: {text}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn options_are_answered() -> Result<()> {
    let desk = desk().await?;
    ensure!(desk.phone.options(PATIENCE).await? == 200);
    Ok(())
}
