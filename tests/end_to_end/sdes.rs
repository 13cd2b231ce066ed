//! Calls whose keys stand in the SDP, without ICE and DTLS; the SRTP profiles of DTLS; G.711 at WhatsApp.

use anyhow::{Result, anyhow, ensure};
use end_to_end::{PATIENCE, at_rest, both_hear, desk_with, wait_for};
use sandbox::desk::Desk;
use sandbox::pbx::{Codec, DialOptions, Ending};
use sandbox::whatsapp::{CallState, MediaFault, MediaState, Timings, UserCall};
use serde_json::json;

const USER: &str = "15550000001";
const PBX_HZ: f64 = 620.0;

/// A desk whose number says so, at the bridge and at WhatsApp.
async fn desk_of(keys: &'static str, settings: &[(&str, serde_json::Value)]) -> Result<Desk> {
    let edit = move |text: String| text.replacen("[[number]]\n", &format!("[[number]]\n{keys}\n"), 1);
    let desk = desk_with(edit, Timings::quick()).await?;
    for (name, value) in settings {
        desk.whatsapp.set_setting("106540352242922", name, value.clone());
    }
    Ok(desk)
}

fn sdes() -> (&'static str, serde_json::Value) {
    ("srtp_key_exchange_protocol", json!("SDES"))
}

async fn to_whatsapp(desk: &Desk, codec: Codec) -> Result<()> {
    let options = DialOptions { codecs: Some(vec![codec]), tone_hz: Some(PBX_HZ), ..DialOptions::default() };
    let call = desk.phone.dial_with(USER, options).await?;
    call.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to(USER).await;
    both_hear(&call, &user, PBX_HZ).await?;
    user.send_digits("1234#");
    call.press("1234#").await;
    call.heard_digits("1234#", PATIENCE).await?;
    wait_for("digits at the user", || user.digits() == "1234#").await?;
    wait_for("a report at the user", || !user.reports().senders.is_empty()).await?;
    call.hang_up();
    ensure!(call.ended(PATIENCE).await? == Ending::HungUp);
    at_rest(desk).await
}

async fn from_whatsapp(desk: &Desk) -> Result<()> {
    from_whatsapp_with(desk, MediaFault::None).await
}

async fn from_whatsapp_with(desk: &Desk, media: MediaFault) -> Result<()> {
    let caller = UserCall { tone_hz: 700.0, media, ..UserCall::new("15550000100", "Ada Lovelace") };
    let user = desk.whatsapp.call_business(caller).map_err(|error| anyhow!(error))?;
    let call = desk.phone.incoming(PATIENCE).await?;
    call.answered(PATIENCE).await?;
    user.wait_for(CallState::Accepted, PATIENCE).await?;
    // The user hears the tone of the phone that answers: 440 Hz.
    both_hear(&call, &user, 440.0).await?;
    ensure!(user.media() == MediaState::Flowing, "{user:?}");
    user.hang_up();
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Bye { .. }));
    at_rest(desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_whatsapp_with_the_keys_in_the_sdp() -> Result<()> {
    let desk = desk_of("srtp = \"sdes\"", &[sdes()]).await?;
    to_whatsapp(&desk, Codec::Pcmu).await?;
    to_whatsapp(&desk, Codec::Opus).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_from_whatsapp_with_the_keys_in_the_sdp() -> Result<()> {
    let desk = desk_of("srtp = \"sdes\"", &[sdes()]).await?;
    from_whatsapp(&desk).await
}

/// Each alone, against another implementation of DTLS and SRTP.
#[tokio::test(flavor = "multi_thread")]
async fn both_srtp_profiles_are_negotiated_by_dtls() -> Result<()> {
    let desk = desk_of("", &[]).await?;
    for missing in [MediaFault::NoAesGcm, MediaFault::NoAesCm] {
        from_whatsapp_with(&desk, missing).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_of_whatsapp_is_answered_in_its_way_whatever_the_configuration_says() -> Result<()> {
    from_whatsapp(&desk_of("srtp = \"dtls\"", &[sdes()]).await?).await?;
    from_whatsapp(&desk_of("srtp = \"sdes\"", &[]).await?).await
}

/// Which is what doctor finds.
#[tokio::test(flavor = "multi_thread")]
async fn an_offer_of_ours_keyed_otherwise_is_refused_by_whatsapp() -> Result<()> {
    for (keys, settings) in [("srtp = \"dtls\"", &[sdes()][..]), ("srtp = \"sdes\"", &[])] {
        let desk = desk_of(keys, settings).await?;
        let call = desk.phone.dial(USER).await?;
        let ended = call.ended(PATIENCE).await?;
        ensure!(matches!(ended, Ending::Rejected { .. }), "{keys}: {ended:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn g711_that_the_number_has_is_negotiated_and_heard() -> Result<()> {
    let both = || ("audio", json!({ "additional_codecs": ["PCMA", "PCMU"] }));
    for prefer in ["opus", "g711"] {
        let keys = match prefer {
            "opus" => "additional_codecs = [\"pcmu\", \"pcma\"]",
            _ => "additional_codecs = [\"pcmu\", \"pcma\"]\nprefer = \"g711\"",
        };
        let desk = desk_of(keys, &[both()]).await?;
        to_whatsapp(&desk, Codec::Pcmu).await?;
        from_whatsapp(&desk).await?;
    }
    Ok(())
}
