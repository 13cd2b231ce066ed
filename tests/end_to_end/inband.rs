//! Keys as tones in the sound, for a trunk that has them so.

use std::time::Duration;

use anyhow::{Result, ensure};
use end_to_end::{PATIENCE, at_rest, both_hear, desk_with, wait_for};
use sandbox::desk::Desk;
use sandbox::pbx::{Codec, DialOptions, PhoneCall};
use sandbox::tone::Sound;
use sandbox::whatsapp::{CallHandle, Timings};

const PBX_HZ: f64 = 620.0;
/// How long a key is held at the PBX, and the pause after it.
const PRESS: Duration = Duration::from_millis(140);
/// The keys 1 and 9.
const ONE: (f64, f64) = (697.0, 1209.0);
const NINE: (f64, f64) = (852.0, 1477.0);

async fn desk() -> Result<Desk> {
    desk_with(|text| text.replace("[[trunk]]\n", "[[trunk]]\ndtmf = \"inband\"\n"), Timings::quick()).await
}

async fn press(call: &PhoneCall, keys: &[(f64, f64)]) {
    for (lower, upper) in keys {
        call.say(Sound::Pair(*lower, *upper)).await;
        tokio::time::sleep(PRESS).await;
        call.change_tone(PBX_HZ).await;
        tokio::time::sleep(PRESS).await;
    }
}

/// The tones of the phone are keys for the user.
async fn from_the_pbx(call: &PhoneCall, user: &CallHandle) -> Result<()> {
    press(call, &[ONE, NINE, NINE]).await;
    wait_for(&format!("keys at the user, who has {:?}", user.digits()), || user.digits().len() >= 3).await?;
    ensure!(user.digits() == "199", "the user heard {:?}", user.digits());
    Ok(())
}

/// The user's keys are tones for the phone, and no telephone events.
async fn from_the_user(call: &PhoneCall, user: &CallHandle) -> Result<()> {
    user.send_digits("19");
    let lasts = |(lower, upper)| call.recording().lasting_pair(lower, upper);
    let long = Duration::from_millis(60);
    wait_for("the tones of 1 and 9", || lasts(ONE) >= long && lasts(NINE) >= long).await?;
    tokio::time::sleep(PRESS * 2).await;
    for key in [ONE, NINE] {
        ensure!(lasts(key) < PRESS, "a key of 100 ms sounds for {:?}", lasts(key));
    }
    ensure!(call.digits().is_empty(), "telephone events came as well: {:?}", call.digits());
    Ok(())
}

async fn both_ways(codec: Codec) -> Result<()> {
    let desk = desk().await?;
    let options = DialOptions { codecs: Some(vec![codec]), tone_hz: Some(PBX_HZ), ..DialOptions::default() };
    let call = desk.phone.dial_with("15550000001", options).await?;
    call.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to("15550000001").await;
    both_hear(&call, &user, PBX_HZ).await?;
    from_the_pbx(&call, &user).await?;
    from_the_user(&call, &user).await?;
    call.hang_up();
    call.ended(PATIENCE).await?;
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_tones_both_ways_with_pcmu() -> Result<()> {
    both_ways(Codec::Pcmu).await
}

/// Opus passes untouched otherwise: here it is listened to, and tones take the place of WhatsApp's.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_tones_both_ways_with_opus() -> Result<()> {
    both_ways(Codec::Opus).await
}

/// A trunk that says nothing of tones and has telephone-event: tones are sound, and stay in it.
#[tokio::test(flavor = "multi_thread")]
async fn tones_beside_telephone_events_are_no_keys() -> Result<()> {
    let desk = desk_with(|text| text, Timings::quick()).await?;
    let options = DialOptions { tone_hz: Some(PBX_HZ), ..DialOptions::default() };
    let options = DialOptions { codecs: Some(vec![Codec::Pcmu]), ..options };
    let call = desk.phone.dial_with("15550000001", options).await?;
    call.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to("15550000001").await;
    both_hear(&call, &user, PBX_HZ).await?;
    press(&call, &[ONE]).await;
    call.press("5").await;
    wait_for("the key at the user", || !user.digits().is_empty()).await?;
    ensure!(user.digits() == "5", "the user heard {:?}", user.digits());
    call.hang_up();
    at_rest(&desk).await
}
