//! Trunks of every kind, each with sound after what makes it different.

mod digest;
mod failover;
mod limits;
mod registration;
mod transports;

use anyhow::{Context, Result, anyhow, ensure};
use end_to_end::{PATIENCE, at_rest, both_hear, wait_for};
use sandbox::desk::{Desk, DeskConfig};
use sandbox::ladder::Ladder;
use sandbox::pbx::{DialOptions, Ending, Login, Phone, PhoneCall, PhoneConfig};
use sandbox::whatsapp::{CallHandle, CallState, Timings, UserCall};

/// Who is called by the PBX.
const CALLEE: &str = "15550000001";
/// The phone's tone.
const PBX_HZ: f64 = 620.0;
/// The calling user's tone.
const USER_HZ: f64 = 700.0;

/// A desk with short delays, whose phone is this.
fn config(phone: PhoneConfig) -> DeskConfig {
    let config = DeskConfig::default();
    let mut whatsapp = config.whatsapp;
    whatsapp.timings = Timings::quick();
    let phone = PhoneConfig { codecs: config.phone.codecs, tone_hz: PBX_HZ, ..phone };
    DeskConfig { phone, whatsapp, ..config }
}

fn phone() -> PhoneConfig {
    PhoneConfig::new(Ladder::new())
}

/// The desk with these lines in its trunk.
async fn desk_of(phone: PhoneConfig, lines: &'static str) -> Result<Desk> {
    Desk::start(DeskConfig {
        edit: Box::new(move |text| on_trunk(&text, lines)),
        ..with_password(config(phone))
    })
    .await
}

/// The environment has a password.
fn with_password(config: DeskConfig) -> DeskConfig {
    DeskConfig { secrets: vec![("PASSWORD", "open sesame".to_owned())], ..config }
}

/// The name and password that [`with_password`] tells the bridge.
fn login() -> Login {
    Login::new("1001", "open sesame")
}

/// More lines in the trunk's table.
fn on_trunk(text: &str, lines: &str) -> String {
    text.replacen("\n[[number]]", &format!("{lines}\n\n[[number]]"), 1)
}

/// Another phone than the desk's.
async fn another_phone(config: PhoneConfig) -> Result<Phone> {
    let codecs = DeskConfig::default().phone.codecs;
    Ok(Phone::start(PhoneConfig { codecs, tone_hz: PBX_HZ, ..config }).await?)
}

/// The PBX calls, and both hear each other.
async fn a_call_to_whatsapp(desk: &Desk, phone: &Phone) -> Result<(PhoneCall, CallHandle)> {
    let options = DialOptions { tone_hz: Some(PBX_HZ), ..DialOptions::default() };
    let call = phone.dial_with(CALLEE, options).await?;
    call.answered(PATIENCE).await?;
    let user = desk.whatsapp.call_to(CALLEE).await;
    both_hear(&call, &user, PBX_HZ).await?;
    Ok((call, user))
}

/// A user calls.
fn calling(desk: &Desk) -> Result<CallHandle> {
    let call = UserCall { tone_hz: USER_HZ, ..UserCall::new("15550000100", "Ada Lovelace") };
    desk.whatsapp.call_business(call).map_err(|error| anyhow!(error))
}

/// A user calls, this phone answers, and both hear each other.
async fn a_call_from_whatsapp(desk: &Desk, phone: &Phone) -> Result<(PhoneCall, CallHandle)> {
    let user = calling(desk)?;
    let call = phone.incoming(PATIENCE).await?;
    call.answered(PATIENCE).await?;
    user.wait_for(CallState::Accepted, PATIENCE).await?;
    both_hear(&call, &user, PBX_HZ).await?;
    Ok((call, user))
}

/// A user calls, and nobody can be reached.
async fn a_call_in_vain(desk: &Desk) -> Result<()> {
    let user = calling(desk)?;
    user.wait_for(CallState::Ended, PATIENCE).await?;
    wait_for("no call in the bridge", || desk.bridge.calls() == 0).await?;
    ensure!(end_to_end::ends_of(desk, user.wacid()).len() == 1, "{:?}", desk.whatsapp.requests());
    Ok(())
}

/// A call each way with sound, each ended from one end by BYE; then all is over.
async fn calls_both_ways(desk: &Desk, phone: &Phone) -> Result<()> {
    let (call, user) = a_call_to_whatsapp(desk, phone).await.context("to WhatsApp")?;
    user.hang_up();
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Bye { .. }));
    let (call, _) = a_call_from_whatsapp(desk, phone).await.context("from WhatsApp")?;
    call.hang_up();
    ensure!(call.ended(PATIENCE).await? == Ending::HungUp);
    finished(desk, &[phone]).await
}

/// All is over, and none of the phones complains.
async fn finished(desk: &Desk, phones: &[&Phone]) -> Result<()> {
    at_rest(desk).await?;
    for phone in phones {
        ensure!(phone.complaints().is_empty(), "a phone: {:?}", phone.complaints());
    }
    Ok(())
}

/// Messages that the phone sent or received which begin so.
fn messages(phone: &Phone, start: &str) -> Vec<String> {
    phone.messages().into_iter().filter(|message| message.starts_with(start)).collect()
}
