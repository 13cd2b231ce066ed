//! The PBX moves its end of a call to another of its phones; WhatsApp hears nothing of it.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use end_to_end::{PATIENCE, at_rest, both_hear, desk, desk_with};
use sandbox::desk::Desk;
use sandbox::pbx::{DialOptions, Direction, Ending, PhoneCall, Policy};
use sandbox::runner::heard_by;
use sandbox::whatsapp::{CallHandle, CallState, Timings, UserCall};

use super::hold::{UNDER_WAY, hears_since, wav};

/// The tone of whom transfers, and of the one to whom.
const PBX_HZ: f64 = 620.0;
const TARGET_HZ: f64 = 1100.0;
/// Longer than the user is listened to meanwhile, on a busy machine as well.
const RINGS: Duration = Duration::from_secs(6);

/// The call goes on with the target: sound both ways, and its BYE is the end.
async fn goes_on_with(desk: &Desk, target: &PhoneCall, user: &CallHandle) -> Result<()> {
    let since = Instant::now() + UNDER_WAY;
    hears_since("PBX", since, user.tone_hz(), || target.recording()).await?;
    hears_since("user", since, TARGET_HZ, || heard_by(&user.heard())).await?;
    ensure!(user.state() != CallState::Ended && desk.bridge.calls() == 1, "the call is over");
    target.hang_up();
    ensure!(target.ended(PATIENCE).await? == Ending::HungUp);
    at_rest(desk).await
}

/// Blind: REFER to a phone's own address, which is somewhere else.
async fn transferred(desk: &Desk, call: &PhoneCall, user: &CallHandle) -> Result<()> {
    both_hear(call, user, PBX_HZ).await?;
    desk.phone.set_tone(TARGET_HZ);
    ensure!(call.refer("sip:201@203.0.113.9:5062;line=1").await? == 202);
    let target = desk.phone.incoming(PATIENCE).await?;
    target.answered(PATIENCE).await?;
    call.notified("SIP/2.0 100", PATIENCE).await?;
    call.notified("SIP/2.0 200", PATIENCE).await?;
    let ending = call.ended(PATIENCE).await?;
    ensure!(
        matches!(&ending, Ending::Bye { reason: Some(reason) } if reason.contains("Transferred")),
        "{ending:?}"
    );
    goes_on_with(desk, &target, user).await
}

async fn to_whatsapp(desk: &Desk) -> Result<(PhoneCall, CallHandle)> {
    let options = DialOptions { tone_hz: Some(PBX_HZ), ..DialOptions::default() };
    let call = desk.phone.dial_with("15550000001", options).await?;
    call.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to("15550000001").await;
    Ok((call, user))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_call_to_whatsapp() -> Result<()> {
    let desk = desk().await?;
    let (call, user) = to_whatsapp(&desk).await?;
    transferred(&desk, &call, &user).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_call_from_whatsapp() -> Result<()> {
    let desk = desk().await?;
    desk.phone.set_tone(PBX_HZ);
    let caller = UserCall { tone_hz: 700.0, ..UserCall::new("15550000100", "Ada Lovelace") };
    let user = desk.whatsapp.call_business(caller).map_err(|error| anyhow!(error))?;
    let call = desk.phone.incoming(PATIENCE).await?;
    call.answered(PATIENCE).await?;
    user.wait_for(CallState::Accepted, PATIENCE).await?;
    transferred(&desk, &call, &user).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_transferor_hangs_up_at_once() -> Result<()> {
    let desk = desk().await?;
    let (call, user) = to_whatsapp(&desk).await?;
    both_hear(&call, &user, PBX_HZ).await?;
    desk.phone.set_tone(TARGET_HZ);
    ensure!(call.refer("sip:201@10.0.0.77").await? == 202);
    call.hang_up();
    ensure!(call.ended(PATIENCE).await? == Ending::HungUp);
    let target = desk.phone.incoming(PATIENCE).await?;
    target.answered(PATIENCE).await?;
    goes_on_with(&desk, &target, &user).await
}

/// While the target rings and the PBX has nothing to play, the user hears the configured recording.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_target_rings_the_user_hears_the_configured_recording() -> Result<()> {
    const RINGING_HZ: f64 = 480.0;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("ringing.wav");
    std::fs::write(&file, wav(RINGING_HZ))?;
    let line = format!("[[trunk]]\nmedia = {{ transfer_sound = {file:?} }}\n");
    let desk = desk_with(move |text| text.replace("[[trunk]]\n", &line), Timings::quick()).await?;
    let (call, user) = to_whatsapp(&desk).await?;
    both_hear(&call, &user, PBX_HZ).await?;
    desk.phone.set_tone(TARGET_HZ);
    desk.phone.set_policy(Policy::Answer { ring: RINGS });
    ensure!(call.refer("sip:201@10.0.0.77").await? == 202);
    let target = desk.phone.incoming(PATIENCE).await?;
    call.change(Direction::Inactive).await?;
    // A PBX that is silent for a second plays nothing.
    let since = Instant::now() + Duration::from_secs(1) + UNDER_WAY;
    hears_since("user", since, RINGING_HZ, || heard_by(&user.heard())).await?;
    target.answered(PATIENCE).await?;
    goes_on_with(&desk, &target, &user).await
}

#[tokio::test(flavor = "multi_thread")]
async fn to_a_busy_phone_comes_back() -> Result<()> {
    let desk = desk().await?;
    let (call, user) = to_whatsapp(&desk).await?;
    both_hear(&call, &user, PBX_HZ).await?;
    let ring = Duration::from_millis(50);
    desk.phone.set_policy(Policy::Refuse { ring, status: 486, reason: "Busy Here" });
    ensure!(call.refer("sip:201@10.0.0.77").await? == 202);
    call.notified("SIP/2.0 486", PATIENCE).await?;
    let since = Instant::now() + UNDER_WAY;
    hears_since("user", since, PBX_HZ, || heard_by(&user.heard())).await?;
    hears_since("PBX", since, user.tone_hz(), || call.recording()).await?;
    call.hang_up();
    ensure!(call.ended(PATIENCE).await? == Ending::HungUp);
    at_rest(&desk).await
}
