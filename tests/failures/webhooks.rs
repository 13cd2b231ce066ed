//! Webhooks that come late, twice, or of calls that are not ours.

use std::time::Duration;

use anyhow::{Result, ensure};
use end_to_end::{PATIENCE, at_rest, requests};
use sandbox::pbx::Ending;
use sandbox::whatsapp::{Action, CallState, UserCall, WebhookFault, WebhookFaults};

use super::{desk, nothing_left};

const USER: &str = "15550000001";

#[tokio::test(flavor = "multi_thread")]
async fn failure_10_each_webhook_three_times_is_one_call() -> Result<()> {
    let desk = desk(|text| text).await?;
    desk.whatsapp.webhook_fault("", 0, &WebhookFault::Repeated(3), 100);
    let call = desk.phone.dial(USER).await?;
    call.answered(PATIENCE).await?;
    desk.whatsapp.call_to(USER).await.hang_up();
    call.ended(PATIENCE).await?;
    let user =
        desk.whatsapp.call_business(UserCall::new("15550000100", "Ann")).map_err(anyhow::Error::msg)?;
    let inward = desk.phone.incoming(PATIENCE).await?;
    inward.answered(PATIENCE).await?;
    user.wait_for(CallState::Accepted, PATIENCE).await?;
    inward.hang_up();
    nothing_left(&desk).await?;
    ensure!(desk.phone.messages().iter().filter(|message| message.starts_with("INVITE")).count() == 2);
    ensure!(desk.whatsapp.webhooks().iter().all(|delivery| delivery.result == Ok(200)), "each gets 200");
    at_rest(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_12_a_connect_of_two_minutes_ago_rings_nobody_and_one_of_twenty_seconds_does() -> Result<()> {
    let desk = desk(|text| text).await?;
    let aged = |number: &str, seconds| UserCall {
        webhooks: WebhookFaults { aged: Duration::from_secs(seconds), ..WebhookFaults::default() },
        patience: Some(Duration::from_secs(1)),
        ..UserCall::new(number, "Ann")
    };
    let old = desk.whatsapp.call_business(aged("15550000101", 120)).map_err(anyhow::Error::msg)?;
    old.wait_for(CallState::Ended, PATIENCE).await?;
    ensure!(requests(&desk, Action::PreAccept) == 0, "a dead call is worked on");
    ensure!(desk.phone.messages().iter().all(|message| !message.starts_with("INVITE")), "the PBX rang");
    let late = UserCall { patience: None, ..aged("15550000102", 20) };
    desk.whatsapp.call_business(late).map_err(anyhow::Error::msg)?;
    let call = desk.phone.incoming(PATIENCE).await?;
    call.answered(PATIENCE).await?;
    call.hang_up();
    ensure!(call.ended(PATIENCE).await? == Ending::HungUp);
    nothing_left(&desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_14_a_call_that_another_system_made_with_our_number_is_left_alone() -> Result<()> {
    let desk = desk(|text| text).await?;
    let foreign = |status: &str| {
        let value = serde_json::json!({
            "messaging_product": "whatsapp",
            "metadata": { "phone_number_id": "106540352242922", "display_phone_number": "15550783881" },
            "statuses": [{
                "id": "wacid.foreign", "type": "call", "status": status, "timestamp": "1",
                "recipient_id": "15550000777", "biz_opaque_callback_data": "crm-7",
            }],
        });
        let change = serde_json::json!({ "field": "calls", "value": value });
        let entry = serde_json::json!({ "id": "1", "changes": [change] });
        serde_json::json!({ "object": "whatsapp_business_account", "entry": [entry] }).to_string()
    };
    for status in ["RINGING", "ACCEPTED", "RINGING"] {
        let sent = desk.whatsapp.send_raw_webhook(foreign(status).into_bytes(), None).await;
        ensure!(sent.map_err(anyhow::Error::msg)? == 200);
    }
    let call = desk.phone.dial(USER).await?;
    call.answered(PATIENCE).await?;
    call.hang_up();
    nothing_left(&desk).await?;
    let ended = desk.whatsapp.requests().into_iter().any(|one| one.wacid.as_deref() == Some("wacid.foreign"));
    ensure!(!ended, "somebody else's call was ended");
    Ok(())
}
