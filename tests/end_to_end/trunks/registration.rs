//! REGISTER (RFC 3261 10): the bridge at a PBX, and a phone at the bridge.

use anyhow::{Result, ensure};
use end_to_end::{PATIENCE, at_rest, wait_for};
use sandbox::desk::{Desk, DeskConfig};
use sandbox::pbx::{Ending, Login, PhoneConfig, Registered, Transport};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_registers_with_its_password_and_calls_ring_there() -> Result<()> {
    let lines =
        "credentials = { user = \"1001\", password = { env = \"PASSWORD\" } }\nregister = { expires_s = 90 }";
    let desk = desk_of(PhoneConfig { demands: Some(login()), ..phone() }, lines).await?;
    wait_for("a registration", || desk.phone.registered().is_some()).await?;
    let contact = format!("sip:1001@{}", desk.bridge.sip_addr());
    let registered = desk.phone.registered();
    ensure!(registered == Some(Registered { contact, expires: 90 }), "{registered:?}");
    let (call, user) = a_call_from_whatsapp(&desk, &desk.phone).await?;
    user.hang_up();
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Bye { .. }));
    at_rest(&desk).await?;
    ensure!(messages(&desk.phone, "REGISTER ").len() == 2, "once without and once with credentials");
    Ok(())
}

/// Whoever registers is the target.
fn to_the_registered(text: &str) -> String {
    let line = |line: &str| {
        let is_target = line.starts_with("target = ");
        if is_target { "target = \"registered\"\n".to_owned() } else { format!("{line}\n") }
    };
    let lines =
        "auth = { user = [{ name = \"1001\", password = { env = \"PASSWORD\" } }] }\naccept_register = {}";
    on_trunk(&text.lines().map(line).collect::<String>(), lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_registers_gets_the_calls_until_it_takes_itself_out() -> Result<()> {
    let edit = Box::new(|text: String| to_the_registered(&text));
    let phone = PhoneConfig { login: Some(login()), ..phone() };
    let desk = Desk::start(DeskConfig { edit, ..with_password(config(phone)) }).await?;
    a_call_in_vain(&desk).await?;
    ensure!(desk.phone.register(300, PATIENCE).await? == 200);
    let (call, user) = a_call_from_whatsapp(&desk, &desk.phone).await?;
    user.hang_up();
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Bye { .. }));
    let (call, _) = a_call_to_whatsapp(&desk, &desk.phone).await?;
    call.hang_up();
    ensure!(call.ended(PATIENCE).await? == Ending::HungUp);
    ensure!(desk.phone.register(0, PATIENCE).await? == 200);
    a_call_in_vain(&desk).await?;
    at_rest(&desk).await?;
    ensure!(messages(&desk.phone, "INVITE sip:1001@").len() == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_registers_over_tcp_is_called_on_its_connection() -> Result<()> {
    let edit = Box::new(|text: String| to_the_registered(&transports::over(&text, "tcp", "")));
    let phone = PhoneConfig { login: Some(login()), transport: Transport::Tcp, ..phone() };
    let desk = Desk::start(DeskConfig { edit, ..with_password(config(phone)) }).await?;
    ensure!(desk.phone.register(300, PATIENCE).await? == 200);
    // Nobody gets through to it but by the connection that it has made.
    desk.phone.close_door();
    let (call, user) = a_call_from_whatsapp(&desk, &desk.phone).await?;
    user.hang_up();
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Bye { .. }));
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_registers_over_tcp() -> Result<()> {
    let edit = Box::new(|text: String| {
        on_trunk(&transports::over(&text, "tcp", ""), "register = { user = \"1001\" }")
    });
    let phone = PhoneConfig { transport: Transport::Tcp, ..phone() };
    let desk = Desk::start(DeskConfig { edit, ..config(phone) }).await?;
    wait_for("a registration", || desk.phone.registered().is_some()).await?;
    let contact = format!("sip:1001@{};transport=tcp", desk.bridge.sip_addr());
    let registered = desk.phone.registered();
    ensure!(registered == Some(Registered { contact, expires: 300 }), "{registered:?}");
    let (call, user) = a_call_from_whatsapp(&desk, &desk.phone).await?;
    user.hang_up();
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Bye { .. }));
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_with_a_wrong_password_is_not_registered() -> Result<()> {
    let edit = Box::new(|text: String| to_the_registered(&text));
    let wrong = Login { password: "open barley".to_owned(), ..login() };
    let phone = PhoneConfig { login: Some(wrong), ..phone() };
    let desk = Desk::start(DeskConfig { edit, ..with_password(config(phone)) }).await?;
    ensure!(desk.phone.register(300, PATIENCE).await? == 401);
    a_call_in_vain(&desk).await?;
    at_rest(&desk).await?;
    ensure!(messages(&desk.phone, "INVITE ").is_empty());
    Ok(())
}
