//! Many calls at once through WhatsApp's one media port.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use end_to_end::{PATIENCE, at_rest};
use sandbox::desk::{Desk, DeskConfig};
use sandbox::pbx::{Codec, DialOptions};
use sandbox::runner::heard_by;
use sandbox::tone::Heard;
use sandbox::whatsapp::{Behaviour, Pickup, Timings, WhatsAppConfig};

const CALLS: u32 = 50;
/// How long each listens.
const LISTEN: Duration = Duration::from_secs(2);

fn number(call: u32) -> String {
    format!("1666000{call:04}")
}

/// The user's tone of a call; no two calls share one.
fn user_hz(call: u32) -> f64 {
    400.0 + 45.0 * f64::from(call)
}

/// The phone's tone of a call, beside all of the users'.
fn pbx_hz(call: u32) -> f64 {
    422.0 + 45.0 * f64::from(call)
}

/// Whether the tone is this call's: nearer to it than to any other's, and most of the sound. On a
/// machine that 50 calls fill, pauses that Opus takes a while to forget are no fault.
fn is_own(heard: &Heard, hz: f64) -> bool {
    (heard.hz - hz).abs() < 11.0 && heard.share > 0.5
}

fn behaviour(dialled: &str) -> Behaviour {
    let call = dialled.get(7..).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    Behaviour {
        pickup: Pickup::After(Duration::from_millis(200)),
        tone_hz: user_hz(call),
        ..Behaviour::default()
    }
}

async fn one(desk: &Desk, call: u32) -> Result<()> {
    let options = DialOptions {
        codecs: Some(vec![if call.is_multiple_of(2) { Codec::Pcmu } else { Codec::Opus }]),
        tone_hz: Some(pbx_hz(call)),
        ..DialOptions::default()
    };
    let phone = desk.phone.dial_with(&number(call), options).await?;
    phone.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to(&number(call)).await;
    let heard = phone.hears(user_hz(call), LISTEN, PATIENCE).await?;
    ensure!(is_own(&heard, user_hz(call)), "the PBX heard {heard:?}");
    let at_user = heard_by(&user.heard()).judged(LISTEN).await.context("the user heard silence")?;
    ensure!(is_own(&at_user, pbx_hz(call)), "the user heard {at_user:?}");
    phone.hang_up();
    phone.ended(PATIENCE).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_each_hear_their_own_tone_and_no_other() -> Result<()> {
    let config = DeskConfig::default();
    let whatsapp =
        WhatsAppConfig { timings: Timings::quick(), directory: Arc::new(behaviour), ..config.whatsapp };
    let desk = Arc::new(Desk::start(DeskConfig { whatsapp, ..config }).await?);
    let mut calls = tokio::task::JoinSet::new();
    for call in 0..CALLS {
        let desk = Arc::clone(&desk);
        calls.spawn(async move { one(&desk, call).await.with_context(|| format!("call {call}")) });
    }
    while let Some(call) = calls.join_next().await {
        call??;
    }
    at_rest(&desk).await
}
