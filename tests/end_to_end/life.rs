//! Draining, ending and reloading with calls up: nobody is cut off, and nobody is left behind.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use bridge::{FAREWELL, SHORT_FAREWELL};
use end_to_end::{PATIENCE, at_rest, both_hear, desk, desk_with, ends_of, requests, wait_for};
use sandbox::desk::Desk;
use sandbox::pbx::{DialOptions, Ending, PhoneCall, Policy};
use sandbox::whatsapp::{Action, ApiError, CallHandle, CallState, GraphFault, Timings, UserCall};

const CALLEE: &str = "15550000001";
/// Another who answers.
const OTHER: &str = "15550000200";
const PBX_HZ: f64 = 440.0;
const USER_HZ: f64 = 700.0;

fn user_call() -> UserCall {
    UserCall { tone_hz: USER_HZ, ..UserCall::new("15550000100", "Ada Lovelace") }
}

fn calls(desk: &Desk) -> Result<CallHandle> {
    desk.whatsapp.call_business(user_call()).map_err(|error| anyhow!(error))
}

/// The PBX calls and the user answers.
async fn a_call(desk: &Desk) -> Result<(PhoneCall, CallHandle)> {
    let options = DialOptions { tone_hz: Some(PBX_HZ), ..DialOptions::default() };
    let call = desk.phone.dial_with(CALLEE, options).await?;
    call.answered(PATIENCE).await?;
    Ok((call, desk.whatsapp.call_to(CALLEE).await))
}

/// The user calls and the PBX rings.
async fn ringing(desk: &Desk, policy: Policy) -> Result<(PhoneCall, CallHandle)> {
    desk.phone.set_policy(policy);
    let user = calls(desk)?;
    Ok((desk.phone.incoming(PATIENCE).await?, user))
}

/// INVITEs that the PBX has received.
fn invites(desk: &Desk) -> usize {
    desk.phone.messages().iter().filter(|message| message.starts_with("INVITE sip:1001@")).count()
}

async fn desk_of(lines: &'static str) -> Result<Desk> {
    desk_with(move |text| format!("{text}\n{lines}\n"), Timings::quick()).await
}

/// Failure mode 29.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lets_calls_live_and_a_ringing_one_be_answered() -> Result<()> {
    let desk = desk().await?;
    let (call, user) = a_call(&desk).await?;
    let (incoming, caller) = ringing(&desk, Policy::Answer { ring: Duration::from_secs(2) }).await?;
    desk.bridge.drain().await;

    // What was sent at the same moment may have been read before.
    while desk.phone.options(PATIENCE).await? != 503 {}
    let refused = desk.phone.dial(OTHER).await?;
    ensure!(refused.final_status(PATIENCE).await? == 503);
    ensure!(refused.header_of(503, "Retry-After").is_some());
    let rejected = calls(&desk)?;
    rejected.wait_for(CallState::Ended, PATIENCE).await?;
    ensure!(ends_of(&desk, rejected.wacid()).iter().all(|end| end.action == Some(Action::Reject)));
    ensure!(invites(&desk) == 1, "it rang nobody");

    incoming.answered(PATIENCE).await?;
    caller.wait_for(CallState::Accepted, PATIENCE).await?;
    both_hear(&call, &user, PBX_HZ).await?;
    let drained = desk.bridge.drained();
    tokio::pin!(drained);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut drained).await;
    ensure!(early.is_err(), "calls live");
    call.hang_up();
    caller.hang_up();
    drained.await;
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_come_during_a_drain_are_left_to_another_instance() -> Result<()> {
    let desk = desk_of("[life]\nnew_calls = \"leave\"").await?;
    let (call, user) = a_call(&desk).await?;
    desk.bridge.drain().await;
    let before = desk.whatsapp.webhooks().len();
    let other = calls(&desk)?;
    wait_for("its webhook", || desk.whatsapp.webhooks().len() > before).await?;
    let result = desk.whatsapp.webhooks().pop().context("a webhook")?.result;
    ensure!(result == Ok(200), "{result:?}");
    both_hear(&call, &user, PBX_HZ).await?;
    ensure!(other.state() != CallState::Ended && ends_of(&desk, other.wacid()).is_empty());
    ensure!(invites(&desk) == 0);
    // And when the program ends, its own calls alone are ended.
    desk.bridge.farewell(FAREWELL).await;
    user.wait_for(CallState::Ended, PATIENCE).await?;
    ensure!(other.state() != CallState::Ended && ends_of(&desk, other.wacid()).is_empty());
    other.hang_up();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_the_drain_ends_both_sides() -> Result<()> {
    let desk = desk_of("[life]\ndrain_limit_s = 1").await?;
    let (call, user) = a_call(&desk).await?;
    let (incoming, caller) = ringing(&desk, Policy::Ring).await?;
    desk.bridge.drain().await;
    let since = Instant::now();
    desk.bridge.drained().await;
    ensure!(since.elapsed() >= Duration::from_secs(1) && call.ended(Duration::ZERO).await.is_err());
    desk.bridge.farewell(FAREWELL).await;
    ensure!(since.elapsed() < Duration::from_secs(6), "nobody has to be waited for");
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Bye { .. }));
    ensure!(matches!(incoming.ended(PATIENCE).await?, Ending::Cancelled { .. }));
    user.wait_for(CallState::Ended, PATIENCE).await?;
    caller.wait_for(CallState::Ended, PATIENCE).await?;
    ensure!(requests(&desk, Action::Terminate) == 1 && requests(&desk, Action::Reject) == 1);
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_outage_does_not_keep_the_program_from_ending() -> Result<()> {
    let desk = desk().await?;
    let (call, _user) = a_call(&desk).await?;
    let outage = ApiError::new(503, 2, "Service temporarily unavailable", "try again");
    desk.whatsapp.fail_next(Action::Terminate, 100, &GraphFault::Error(outage));
    let since = Instant::now();
    desk.bridge.farewell(SHORT_FAREWELL).await;
    ensure!(since.elapsed() < SHORT_FAREWELL + Duration::from_secs(1));
    ensure!(matches!(call.ended(PATIENCE).await?, Ending::Bye { .. }), "the PBX was told");
    Ok(())
}

/// Another trunk, of nobody here, in place of that of the phone.
fn without_the_trunk(text: String) -> String {
    let line = |line: &str| match line.split_once(" = ").map(|(key, _)| key) {
        Some("name") => "name = \"elsewhere\"\n".to_owned(),
        Some("sources") => "sources = [\"127.0.0.9\"]\n".to_owned(),
        Some("target") => "target = \"127.0.0.9:5099\"\nhealth = { interval_s = 0 }\n".to_owned(),
        Some("trunk") => "trunk = \"elsewhere\"\n".to_owned(),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calls_of_a_removed_trunk_go_on_and_end_well() -> Result<()> {
    let desk = desk().await?;
    let (call, user) = a_call(&desk).await?;
    let (incoming, caller) = ringing(&desk, Policy::Answer { ring: Duration::ZERO }).await?;
    incoming.answered(PATIENCE).await?;
    caller.wait_for(CallState::Accepted, PATIENCE).await?;
    desk.reload(without_the_trunk).await?;
    both_hear(&call, &user, PBX_HZ).await?;
    ensure!(desk.phone.options(PATIENCE).await? == 503);
    let refused = desk.phone.dial(OTHER).await?;
    ensure!(refused.final_status(PATIENCE).await? == 404, "it takes no more");
    call.hang_up();
    user.wait_for(CallState::Ended, PATIENCE).await?;
    ensure!(call.ended(PATIENCE).await? == Ending::HungUp, "its BYE was heard");
    caller.hang_up();
    ensure!(matches!(incoming.ended(PATIENCE).await?, Ending::Bye { .. }), "and it hears ours");
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_limit_holds_for_the_next_call_and_touches_none() -> Result<()> {
    let limit = |text: String, calls: u32| {
        text.replace("codecs = ", &format!("limits = {{ calls = {calls} }}\ncodecs = "))
    };
    let desk = desk_with(move |text| limit(text, 1), Timings::quick()).await?;
    let (call, user) = a_call(&desk).await?;
    let refused = desk.phone.dial(OTHER).await?;
    ensure!(refused.final_status(PATIENCE).await? == 503);
    ensure!(desk.phone.options(PATIENCE).await? == 503);
    desk.reload(|text| text.replace("calls = 1", "calls = 2")).await?;
    // The endpoint is told a moment after the trunk.
    let limit = Instant::now() + PATIENCE;
    while desk.phone.options(PATIENCE).await? != 200 {
        ensure!(Instant::now() < limit, "OPTIONS is still refused");
    }
    let second = desk.phone.dial(OTHER).await?;
    second.answered(PATIENCE).await?;
    both_hear(&call, &user, PBX_HZ).await?;
    call.hang_up();
    second.hang_up();
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_added_is_put_through_at_once() -> Result<()> {
    let config = sandbox::whatsapp::WhatsAppConfig::new(String::new());
    let id = format!("phone_number_id = \"{}\"", config.phone_number_id);
    let (is, was) = (id.clone(), "phone_number_id = \"4711\"");
    let desk = desk_with(move |text| text.replace(&is, was), Timings::quick()).await?;
    let lost = calls(&desk)?;
    wait_for("its webhook", || !desk.whatsapp.webhooks().is_empty()).await?;
    lost.hang_up();
    desk.reload(|text| text.replace(was, &id)).await?;
    let (incoming, caller) = ringing(&desk, Policy::Answer { ring: Duration::ZERO }).await?;
    incoming.answered(PATIENCE).await?;
    ensure!(invites(&desk) == 1, "the call before rang nobody");
    caller.hang_up();
    incoming.ended(PATIENCE).await?;
    wait_for("no call", || desk.bridge.calls() == 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_no_longer_wanted_is_taken_back() -> Result<()> {
    let lines =
        "credentials = { user = \"1001\", password = { env = \"SANDBOX_TOKEN\" } }\nregister = {}\ncodecs = ";
    let desk = desk_with(move |text| text.replace("codecs = ", lines), Timings::quick()).await?;
    wait_for("a registration", || desk.phone.registered().is_some()).await?;
    let (call, user) = a_call(&desk).await?;
    let registers =
        || desk.phone.messages().iter().filter(|message| message.starts_with("REGISTER ")).count();
    desk.reload(|text| text).await?;
    ensure!(desk.phone.options(PATIENCE).await? == 200 && registers() == 1, "nothing has changed");
    desk.reload(|text| text.replace("register = {}\n", "")).await?;
    wait_for("its end", || desk.phone.registered().is_none()).await?;
    both_hear(&call, &user, PBX_HZ).await?;
    call.hang_up();
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_changes_nothing() -> Result<()> {
    let desk = desk().await?;
    let (call, user) = a_call(&desk).await?;
    let error = desk.reload(|text| text.replace("[[trunk]]", "[[trunks]]")).await.err().context("taken")?;
    ensure!(format!("{error:#}").contains("did you mean \"trunk\"?"), "{error:#}");
    both_hear(&call, &user, PBX_HZ).await?;
    let second = desk.phone.dial(OTHER).await?;
    second.answered(PATIENCE).await?;
    call.hang_up();
    second.hang_up();
    at_rest(&desk).await
}
