//! The PBX changes a call that is up: hold with music, hold without, and back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use end_to_end::{GAP, LISTEN, PATIENCE, at_rest, both_hear, desk, desk_with, no_gaps, wait_for};
use sandbox::desk::Desk;
use sandbox::metronome::Metronome;
use sandbox::pbx::{Change, Codec, DialOptions, Direction, Ending, PhoneCall};
use sandbox::runner::heard_by;
use sandbox::tone::Recording;
use sandbox::whatsapp::{CallHandle, CallState, Timings, UserCall};

/// The phone's tone.
const PBX_HZ: f64 = 620.0;
/// What was under way at a change has arrived by then.
pub(super) const UNDER_WAY: Duration = Duration::from_millis(200);

/// Offers a direction, and checks the one in the answer.
async fn change(call: &PhoneCall, offered: Direction, wanted: &str) -> Result<Change> {
    let change = call.change(offered).await?;
    ensure!(change.status == 200, "{offered} got {}", change.status);
    ensure!(change.direction.as_deref() == Some(wanted), "{offered} got {change:?}");
    Ok(change)
}

/// Waits until so much has been heard since then, and judges whether it is this tone without a gap.
pub(super) async fn hears_since(
    who: &str,
    since: Instant,
    hz: f64,
    heard: impl Fn() -> Recording,
) -> Result<()> {
    let metronome = Metronome::start();
    let part = || heard().between(since, Instant::now());
    wait_for(&format!("sound at the {who}"), || part().length() >= LISTEN).await?;
    let heard = part().judged(GAP).await.with_context(|| format!("the {who} heard silence"))?;
    ensure!(heard.is_tone(hz), "the {who} heard {:.0} Hz ({:.2}), not {hz}", heard.hz, heard.share);
    no_gaps(who, &heard, &metronome)
}

/// The user gets packets for as long as we listen, with nothing in them.
async fn user_hears_silence(user: &CallHandle) -> Result<()> {
    let since = Instant::now() + UNDER_WAY;
    let until = since + LISTEN;
    wait_for("packets at the user", || user.heard().packets.last().is_some_and(|p| p.at >= until)).await?;
    let heard = user.heard();
    let first = heard.first_at().context("no packets")?;
    let gaps = heard.gaps(since - first, GAP);
    ensure!(gaps.is_empty(), "gaps at the user: {gaps:?}");
    let sound = heard_by(&heard).between(since, until).first_sound();
    ensure!(
        sound.is_none(),
        "sound from a phone that sends none, {:?} into the hold",
        sound.map(|at| at - since)
    );
    Ok(())
}

/// Hold with music, the same again, hold without music, and back; then the PBX hangs up.
async fn held_and_taken_back(desk: &Desk, call: &PhoneCall, user: &CallHandle) -> Result<()> {
    both_hear(call, user, PBX_HZ).await?;
    let at_user = || heard_by(&user.heard());

    let held = change(call, Direction::SendOnly, "recvonly").await?;
    hears_since("user", Instant::now(), PBX_HZ, at_user).await?;
    let again = change(call, Direction::SendOnly, "recvonly").await?;
    ensure!(again.version == held.version, "{held:?}, then {again:?} to the same offer");

    change(call, Direction::Inactive, "inactive").await?;
    let packets = call.recording().packets();
    user_hears_silence(user).await?;
    ensure!(call.recording().packets() == packets, "the PBX hears something on hold");
    ensure!(user.state() != CallState::Ended && desk.bridge.calls() == 1, "the call is over");

    let back = change(call, Direction::SendRecv, "sendrecv").await?;
    ensure!(back.version > held.version, "{held:?}, then {back:?}");
    let since = Instant::now() + UNDER_WAY;
    hears_since("PBX", since, user.tone_hz(), || call.recording()).await?;
    hears_since("user", since, PBX_HZ, at_user).await?;

    call.hang_up();
    ensure!(call.ended(PATIENCE).await? == Ending::HungUp);
    at_rest(desk).await
}

async fn on_a_call_to_whatsapp(codec: Codec) -> Result<()> {
    let desk = desk().await?;
    let options = DialOptions { codecs: Some(vec![codec]), tone_hz: Some(PBX_HZ), ..DialOptions::default() };
    let call = desk.phone.dial_with("15550000001", options).await?;
    call.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to("15550000001").await;
    held_and_taken_back(&desk, &call, &user).await
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_call_to_whatsapp_with_pcmu() -> Result<()> {
    on_a_call_to_whatsapp(Codec::Pcmu).await
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_call_to_whatsapp_with_opus() -> Result<()> {
    on_a_call_to_whatsapp(Codec::Opus).await
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_call_from_whatsapp() -> Result<()> {
    let desk = desk().await?;
    desk.phone.set_tone(PBX_HZ);
    let caller = UserCall { tone_hz: 700.0, ..UserCall::new("15550000100", "Ada Lovelace") };
    let user = desk.whatsapp.call_business(caller).map_err(|error| anyhow!(error))?;
    let call = desk.phone.incoming(PATIENCE).await?;
    call.answered(PATIENCE).await?;
    user.wait_for(CallState::Accepted, PATIENCE).await?;
    held_and_taken_back(&desk, &call, &user).await
}

/// A second of this tone.
pub(super) fn wav(hz: f64) -> Vec<u8> {
    let samples: Vec<u8> = (0..8000_u32)
        .flat_map(|at| {
            let level = (f64::from(at) * hz * std::f64::consts::TAU / 8000.0).sin();
            ((level * 8000.0) as i16).to_le_bytes()
        })
        .collect();
    let mut file = b"RIFF".to_vec();
    let sizes = [36 + 16_000_u32, 16, 8000, 16_000].map(u32::to_le_bytes);
    file.extend([&sizes[0][..], b"WAVEfmt ", &sizes[1], &[1, 0, 1, 0], &sizes[2], &sizes[3]].concat());
    file.extend([&[2, 0, 16, 0][..], b"data", &16_000_u32.to_le_bytes(), &samples].concat());
    file
}

/// On a hold without music the user hears the configured recording, over and over.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_without_music_plays_the_configured_recording() -> Result<()> {
    const HOLD_HZ: f64 = 480.0;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("hold.wav");
    std::fs::write(&file, wav(HOLD_HZ))?;
    let line = format!("[[trunk]]\nmedia = {{ hold_sound = {file:?} }}\n");
    let desk = desk_with(move |text| text.replace("[[trunk]]\n", &line), Timings::quick()).await?;
    let options = DialOptions { tone_hz: Some(PBX_HZ), ..DialOptions::default() };
    let call = desk.phone.dial_with("15550000001", options).await?;
    call.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to("15550000001").await;
    both_hear(&call, &user, PBX_HZ).await?;
    let at_user = || heard_by(&user.heard());
    change(&call, Direction::Inactive, "inactive").await?;
    hears_since("user", Instant::now() + UNDER_WAY, HOLD_HZ, at_user).await?;
    change(&call, Direction::SendOnly, "recvonly").await?;
    hears_since("user", Instant::now() + UNDER_WAY, PBX_HZ, at_user).await?;
    change(&call, Direction::SendRecv, "sendrecv").await?;
    hears_since("user", Instant::now() + UNDER_WAY, PBX_HZ, at_user).await?;
    call.hang_up();
    at_rest(&desk).await
}

/// The phone dies with its dialog alive: after the time-out both sides are over.
#[tokio::test(flavor = "multi_thread")]
async fn failure_20_a_pbx_that_falls_silent_ends_the_call_and_one_that_holds_does_not() -> Result<()> {
    const LINE: &str = "[[trunk]]\nmedia = { timeout_s = 10 }\n";
    let desk = desk_with(|text| text.replace("[[trunk]]\n", LINE), Timings::quick()).await?;
    let call = desk.phone.dial("15550000001").await?;
    call.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to("15550000001").await;
    change(&call, Direction::Inactive, "inactive").await?;
    tokio::time::sleep(Duration::from_secs(12)).await;
    ensure!(user.state() != CallState::Ended && desk.bridge.calls() == 1, "a hold is no silence");
    change(&call, Direction::SendRecv, "sendrecv").await?;
    call.fall_silent().await;
    let ending = call.ended(PATIENCE).await?;
    let Ending::Bye { reason: Some(reason) } = &ending else {
        return Err(anyhow!("{ending:?}"));
    };
    ensure!(reason.contains("No audio from the PBX"), "{reason}");
    at_rest(&desk).await
}
