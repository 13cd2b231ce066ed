//! How much a trunk takes, and whose calls go where.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, anyhow, ensure};
use end_to_end::{PATIENCE, at_rest, both_hear, wait_for};
use sandbox::desk::{Desk, DeskConfig};
use sandbox::pbx::{Ending, PhoneConfig};
use sandbox::whatsapp::{BusinessNumber, UserCall};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_too_many_is_503_with_retry_after_and_the_first_keeps_its_sound() -> Result<()> {
    let desk = desk_of(phone(), "limits = { calls = 1 }").await?;
    ensure!(desk.phone.options(PATIENCE).await? == 200);
    let (call, user) = a_call_to_whatsapp(&desk, &desk.phone).await?;
    let second = desk.phone.dial("15550000003").await?;
    ensure!(second.final_status(PATIENCE).await? == 503);
    let after = second.header_of(503, "Retry-After").context("no Retry-After")?;
    ensure!(after.parse::<u32>().is_ok_and(|seconds| seconds > 0), "{after}");
    ensure!(desk.phone.options(PATIENCE).await? == 503, "full");
    both_hear(&call, &user, PBX_HZ).await?;
    call.hang_up();
    ensure!(call.ended(PATIENCE).await? == Ending::HungUp);
    at_rest(&desk).await?;
    ensure!(desk.phone.options(PATIENCE).await? == 200, "room again");
    let (call, _) = a_call_to_whatsapp(&desk, &desk.phone).await?;
    call.hang_up();
    at_rest(&desk).await
}

/// A second trunk with a phone and a number of its own.
fn second_trunk(text: &str, target: SocketAddr) -> String {
    format!(
        "{text}\n\n[[trunk]]\nname = \"branch\"\nsources = [\"127.0.0.2\"]\ntarget = \"{target}\"\n\n\
         [[number]]\nphone_number_id = \"7\"\ndisplay = \"+15550000077\"\n\
         token = {{ env = \"SANDBOX_TOKEN\" }}\ntrunk = \"branch\"\ndestination = \"77\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_two_trunks_with_two_numbers_go_where_they_belong() -> Result<()> {
    let branch = another_phone(PhoneConfig { ip: Ipv4Addr::new(127, 0, 0, 2).into(), ..phone() }).await?;
    let target = branch.addr();
    let mut config =
        DeskConfig { edit: Box::new(move |text: String| second_trunk(&text, target)), ..config(phone()) };
    let number = BusinessNumber { phone_number_id: "7".to_owned(), display_number: "15550000077".to_owned() };
    config.whatsapp.more_numbers.push(number);
    let desk = Desk::start(config).await?;
    branch.set_bridge(desk.bridge.sip_addr());
    // One call at each number, at the same time.
    let caller =
        UserCall { to: Some("7".to_owned()), tone_hz: USER_HZ, ..UserCall::new("15550000200", "Bob") };
    let bob = desk.whatsapp.call_business(caller).map_err(|error| anyhow!(error))?;
    let at_branch = branch.incoming(PATIENCE).await?;
    at_branch.answered(PATIENCE).await?;
    let (at_office, ada) = a_call_from_whatsapp(&desk, &desk.phone).await?;
    both_hear(&at_branch, &bob, PBX_HZ).await?;
    ensure!(messages(&branch, "INVITE sip:77@").len() == 1, "{:?}", messages(&branch, "INVITE "));
    ensure!(messages(&desk.phone, "INVITE sip:1001@").len() == 1);
    for (call, user) in [(&at_branch, &bob), (&at_office, &ada)] {
        user.hang_up();
        ensure!(matches!(call.ended(PATIENCE).await?, Ending::Bye { .. }));
    }
    // And one from each.
    for (phone, number) in [(&branch, "15550000077"), (&desk.phone, "15550783881")] {
        let (call, user) = a_call_to_whatsapp(&desk, phone).await?;
        ensure!(user.business_number() == number, "{}", user.business_number());
        call.hang_up();
        ensure!(call.ended(PATIENCE).await? == Ending::HungUp);
        wait_for("no call", || desk.bridge.calls() == 0).await?;
    }
    finished(&desk, &[&branch]).await
}
