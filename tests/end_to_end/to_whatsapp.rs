//! Calls from the PBX to a WhatsApp user.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use end_to_end::{PATIENCE, at_rest, both_hear, desk, desk_with, ends_of, requests, wait_for};
use sandbox::desk::Desk;
use sandbox::pbx::{Codec, DialOptions, Ending, PhoneCall};
use sandbox::whatsapp::{Action, CallHandle, CallState, Party, Timings};

/// The phone's tone.
const PBX_HZ: f64 = 620.0;

/// Dials and waits until both ends are in the call.
async fn answered(desk: &Desk, number: &str, codec: Codec) -> Result<(PhoneCall, CallHandle)> {
    let options = DialOptions { codecs: Some(vec![codec]), tone_hz: Some(PBX_HZ), ..DialOptions::default() };
    let call = desk.phone.dial_with(number, options).await?;
    call.status(180, PATIENCE).await?;
    call.answered(PATIENCE).await?;
    Ok((call, desk.whatsapp.call_to(number).await))
}

/// Dials a number whose user never comes into the call; gives the final status and the `Reason`.
async fn refused(desk: &Desk, number: &str) -> Result<(u16, String)> {
    let call = desk.phone.dial(number).await?;
    match call.ended(PATIENCE).await? {
        Ending::Rejected { status, reason } => {
            ensure!(call.finals() == [status], "one final response: {:?}", call.finals());
            Ok((status, reason.unwrap_or_default()))
        }
        other => anyhow::bail!("ended with {other:?}"),
    }
}

async fn answered_with(codec: Codec) -> Result<()> {
    let desk = desk().await?;
    let (call, user) = answered(&desk, "15550000001", codec).await?;
    both_hear(&call, &user, PBX_HZ).await?;
    user.send_digits("1234#");
    call.press("1234#").await;
    call.heard_digits("1234#", PATIENCE).await?;
    wait_for("digits at the user", || user.digits() == "1234#").await?;
    call.hang_up();
    ensure!(call.ended(PATIENCE).await? == Ending::HungUp);
    at_rest(&desk).await?;
    ensure!(ends_of(&desk, user.wacid()).len() == 1);
    ensure!(user.end().context("no end")?.by == Party::Business);
    ensure!(call.header_of(200, "X-WA-Meta-WACID").as_deref() == Some(user.wacid()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn answered_with_pcmu() -> Result<()> {
    answered_with(Codec::Pcmu).await
}

#[tokio::test(flavor = "multi_thread")]
async fn answered_with_pcma() -> Result<()> {
    answered_with(Codec::Pcma).await
}

#[tokio::test(flavor = "multi_thread")]
async fn answered_with_opus() -> Result<()> {
    answered_with(Codec::Opus).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_hangs_up() -> Result<()> {
    let desk = desk().await?;
    let (call, user) = answered(&desk, "15550000001", Codec::Pcmu).await?;
    user.hang_up();
    let Ending::Bye { reason } = call.ended(PATIENCE).await? else {
        anyhow::bail!("no BYE");
    };
    ensure!(reason.unwrap_or_default().contains("cause=16"));
    at_rest(&desk).await?;
    ensure!(ends_of(&desk, user.wacid()).is_empty(), "no end for a call that is over");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected() -> Result<()> {
    let desk = desk().await?;
    let (status, reason) = refused(&desk, "15550000002").await?;
    ensure!(status == 486 && reason.contains("cause=21"), "{status} {reason}");
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_as_603_by_setting() -> Result<()> {
    let edit = |text| format!("{text}\n[calls]\nrejected_as = 603\n");
    let desk = desk_with(edit, Timings::quick()).await?;
    ensure!(refused(&desk, "15550000002").await?.0 == 603);
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn unanswered_until_whatsapp_gives_up() -> Result<()> {
    let timings = Timings { ring_limit: Duration::from_secs(2), ..Timings::quick() };
    let desk = desk_with(|text| text, timings).await?;
    ensure!(refused(&desk, "15550000003").await?.0 == 480);
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn unanswered_until_our_ring_limit() -> Result<()> {
    let edit = |text| format!("{text}\n[calls]\nring_limit_out_s = 2\n");
    let desk = desk_with(edit, Timings::quick()).await?;
    ensure!(refused(&desk, "15550000003").await?.0 == 408);
    at_rest(&desk).await?;
    ensure!(requests(&desk, Action::Terminate) == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_while_it_rings() -> Result<()> {
    let desk = desk().await?;
    let call = desk.phone.dial("15550000003").await?;
    call.status(180, PATIENCE).await?;
    call.cancel();
    ensure!(call.final_status(PATIENCE).await? == 487);
    at_rest(&desk).await?;
    ensure!(requests(&desk, Action::Terminate) == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_before_the_whatsapp_id_is_known() -> Result<()> {
    let desk = desk().await?;
    // The Graph API replies after 5 s only.
    let call = desk.phone.dial("15550000007").await?;
    call.status(100, PATIENCE).await?;
    wait_for("connect", || !desk.whatsapp.calls().is_empty()).await?;
    let cancelled = Instant::now();
    call.cancel();
    ensure!(call.final_status(PATIENCE).await? == 487);
    ensure!(cancelled.elapsed() < Duration::from_secs(3), "487 does not wait for the Graph API");
    at_rest(&desk).await?;
    ensure!(requests(&desk, Action::Terminate) == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_before_the_graph_reply() -> Result<()> {
    let desk = desk().await?;
    let (call, user) = answered(&desk, "15550000010", Codec::Pcmu).await?;
    both_hear(&call, &user, PBX_HZ).await?;
    call.hang_up();
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn terminate_before_connect() -> Result<()> {
    let desk = desk().await?;
    ensure!(refused(&desk, "15550000013").await?.0 == 480);
    at_rest(&desk).await?;
    ensure!(requests(&desk, Action::Terminate) == 0, "no end for a call that is over");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_webhooks() -> Result<()> {
    let desk = desk().await?;
    let (call, user) = answered(&desk, "15550000011", Codec::Pcmu).await?;
    both_hear(&call, &user, PBX_HZ).await?;
    ensure!(call.statuses() == [100, 180, 200], "{:?}", call.statuses());
    user.hang_up();
    call.ended(PATIENCE).await?;
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_before_the_sdp_answer() -> Result<()> {
    let desk = desk().await?;
    let call = desk.phone.dial("15550000012").await?;
    call.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to("15550000012").await;
    call.hears(user.tone_hz(), Duration::from_secs(1), PATIENCE).await?;
    call.hang_up();
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_dtls_role_the_answer_leaves_us() -> Result<()> {
    for number in ["15550000014", "15550000015"] {
        let desk = desk().await?;
        let (call, user) = answered(&desk, number, Codec::Opus).await.context(number)?;
        both_hear(&call, &user, PBX_HZ).await.context(number)?;
        call.hang_up();
        at_rest(&desk).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_graph_api_refuses_has_a_status_of_its_own() -> Result<()> {
    let desk = desk().await?;
    let (status, reason) = refused(&desk, "15550000004").await?;
    ensure!(status == 403 && reason.contains("permission"), "{status} {reason}");
    ensure!(refused(&desk, "15550000006").await?.0 == 404);
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_200_without_sound() -> Result<()> {
    // DTLS never completes; another certificate than announced; no STUN answer.
    for number in ["15550000008", "15550000009", "15550000016"] {
        let desk = desk().await?;
        ensure!(refused(&desk, number).await.context(number)?.0 == 500, "{number}");
        wait_for("no call", || desk.bridge.calls() == 0).await?;
        let user = desk.whatsapp.call_to(number).await;
        user.wait_for(CallState::Ended, PATIENCE).await?;
        ensure!(ends_of(&desk, user.wacid()).len() == 1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_routed_never_reaches_whatsapp() -> Result<()> {
    let edit = |text: String| text.replace(r#"["opus", "pcma", "pcmu"]"#, r#"["pcma"]"#);
    let desk = desk_with(edit, Timings::quick()).await?;
    ensure!(refused(&desk, "reception").await?.0 == 404);
    let only_pcmu = DialOptions { codecs: Some(vec![Codec::Pcmu]), ..DialOptions::default() };
    let call = desk.phone.dial_with("15550000001", only_pcmu).await?;
    ensure!(call.final_status(PATIENCE).await? == 488);
    ensure!(desk.whatsapp.requests().is_empty());
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_bridge_leaves_nothing_open() -> Result<()> {
    let desk = desk().await?;
    let (talking, user) = answered(&desk, "15550000001", Codec::Pcmu).await?;
    let ringing = desk.phone.dial("15550000003").await?;
    ringing.status(180, PATIENCE).await?;
    let other = desk.whatsapp.call_to("15550000003").await;
    desk.bridge.shutdown().await;
    ensure!(matches!(talking.ended(PATIENCE).await?, Ending::Bye { .. }));
    ensure!(ringing.final_status(PATIENCE).await? == 503);
    for call in [user, other] {
        call.wait_for(CallState::Ended, PATIENCE).await?;
    }
    Ok(())
}
