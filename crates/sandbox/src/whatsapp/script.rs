//! What WhatsApp and its user do in a call, from the first webhook to the last: one task a call.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use super::call::{Call, CallState, Direction, Party};
use super::codes;
use super::hub::Hub;
use super::media;
use super::scenario::{Failure, Order, Pickup, UserCall};
use super::sdp::{DtlsSetup, Remote};
use super::webhook::deliver;
use crate::ladder::Lane;

async fn connect(hub: &Arc<Hub>, call: &Arc<Call>, sdp: &str) {
    let body = call.connect_webhook(&hub.config, sdp);
    let kind =
        if call.direction == Direction::UserInitiated { "connect (offer)" } else { "connect (answer)" };
    deliver(hub, call, kind, body).await;
}

async fn status(hub: &Arc<Hub>, call: &Arc<Call>, status: &str) {
    let body = call.status_webhook(&hub.config, status);
    deliver(hub, call, status, body).await;
}

async fn terminate(hub: &Arc<Hub>, call: &Arc<Call>) {
    let body = call.terminate_webhook(&hub.config);
    deliver(hub, call, "terminate", body).await;
}

async fn sleep_or_forever(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => pending().await,
    }
}

/// A call of a user to the business.
pub(crate) fn user_initiated(hub: &Arc<Hub>, caller: UserCall) -> Result<Arc<Call>, String> {
    let media = hub.relay.socket.local_addr().map_err(|error| error.to_string())?;
    let over = hub.stop.child_token();
    let to = caller.to.as_ref().unwrap_or(&hub.config.phone_number_id);
    let number = hub.config.number(to).ok_or_else(|| format!("the business has no number {to}"))?;
    if let Some(why) = hub.uncallable(&number) {
        return Err(why.to_owned());
    }
    let (user, behaviour) = (caller.from.clone(), caller.behaviour());
    let mut call = Call::new(Direction::UserInitiated, user, number, behaviour, media, over)?;
    let patience = caller.patience;
    call.caller = Some(caller);
    let call = hub.add(call);
    hub.log(&call, Lane::User, Lane::WhatsApp, "calls the business");
    let (shared, script) = (Arc::clone(hub), Arc::clone(&call));
    hub.spawn(async move { user_script(&shared, &script, patience).await });
    Ok(call)
}

async fn user_script(hub: &Arc<Hub>, call: &Arc<Call>, patience: Option<Duration>) {
    if let Some(code) = call.caller.as_ref().and_then(|caller| caller.undeliverable) {
        hub.end(call, Party::WhatsApp, Some(code), codes::title(code));
        let body = call.error_webhook(&hub.config, code);
        deliver(hub, call, "error", body).await;
        return;
    }
    let offer = call.local.offer(call.behaviour.shape, hub.terms(&call.number));
    if call.behaviour.webhooks.order == Order::TerminateFirst {
        hub.end(call, Party::User, None, "hangs up at once");
        terminate(hub, call).await;
        connect(hub, call, &offer).await;
        return;
    }
    connect(hub, call, &offer).await;
    hub.grant_by_call(&call.number, &call.user, &call.wacid);
    tokio::select! {
        () = call.reached(CallState::Accepted) => talk(hub, call).await,
        () = fails(hub, call, false) => {}
        () = sleep_or_forever(patience) => {
            hub.end(call, Party::User, None, "gives up");
        }
        () = tokio::time::sleep(hub.config.timings.answer_window) => {
            hub.end(call, Party::WhatsApp, None, "not answered in time");
        }
    }
    terminate(hub, call).await;
}

/// A call of the business to a user. `after`: when the Graph reply has gone out.
pub(crate) fn business_initiated(hub: &Arc<Hub>, call: &Arc<Call>, offer: Remote, after: Duration) {
    let (hub, call) = (Arc::clone(hub), Arc::clone(call));
    Arc::clone(&hub).spawn(async move {
        tokio::time::sleep(after).await;
        business_script(&hub, &call, offer).await;
    });
}

async fn business_script(hub: &Arc<Hub>, call: &Arc<Call>, offer: Remote) {
    let setup = call.behaviour.setup;
    let answer = call.local.answer(&offer, setup, call.behaviour.shape);
    if call.behaviour.webhooks.order == Order::TerminateFirst {
        hub.end(call, Party::User, None, "hangs up at once");
        terminate(hub, call).await;
        connect(hub, call, &answer).await;
        return;
    }
    // WhatsApp has processed the offer: the bridge's checks are answered from now on.
    media::begin(hub, call, offer, setup != DtlsSetup::Passive);
    if call.behaviour.webhooks.order == Order::AcceptedFirst {
        hub.log(call, Lane::User, Lane::WhatsApp, "picks up");
        call.accept();
        status(hub, call, "ACCEPTED").await;
        status(hub, call, "RINGING").await;
        connect(hub, call, &answer).await;
        talk(hub, call).await;
    } else {
        connect(hub, call, &answer).await;
        tokio::select! {
            () = call.over.cancelled() => {}
            () = ring_and_talk(hub, call) => {}
        }
    }
    call.reached(CallState::Ended).await;
    terminate(hub, call).await;
    hub.outcome(&call.number, &call.user, call.accepted_at().is_some());
}

async fn ring_and_talk(hub: &Arc<Hub>, call: &Arc<Call>) {
    tokio::time::sleep(hub.config.timings.ringing_after).await;
    hub.log(call, Lane::WhatsApp, Lane::User, "rings");
    call.advance(CallState::Ringing);
    status(hub, call, "RINGING").await;
    let decided = tokio::select! {
        decided = decision(hub, call) => decided,
        () = fails(hub, call, false) => return,
    };
    match decided {
        None => {
            hub.end(call, Party::WhatsApp, None, "not answered in time");
        }
        Some(false) => {
            // The script goes on to REJECTED before it lets the call end.
            hub.log(call, Lane::User, Lane::WhatsApp, "rejects");
            status(hub, call, "REJECTED").await;
            hub.end(call, Party::User, None, "rejected");
        }
        Some(true) => {
            hub.log(call, Lane::User, Lane::WhatsApp, "picks up");
            call.accept();
            status(hub, call, "ACCEPTED").await;
            talk(hub, call).await;
        }
    }
}

/// Whether the user answers; `None` where the call rings out.
async fn decision(hub: &Hub, call: &Call) -> Option<bool> {
    let by_scenario = async {
        match call.behaviour.pickup {
            Pickup::After(time) => {
                tokio::time::sleep(time).await;
                true
            }
            Pickup::Reject(time) => {
                tokio::time::sleep(time).await;
                false
            }
            Pickup::Never | Pickup::ByHand => pending().await,
        }
    };
    let mut hand = call.hand.subscribe();
    tokio::select! {
        answer = by_scenario => Some(answer),
        Ok(by_hand) = hand.wait_for(Option::is_some) => *by_hand,
        () = tokio::time::sleep(hub.config.timings.ring_limit) => None,
    }
}

/// Ends a call that fails by itself; any other is waited for in vain.
async fn fails(hub: &Hub, call: &Call, after_pickup: bool) {
    let failure = call.behaviour.fails.filter(|failure| failure.after_pickup == after_pickup);
    sleep_or_forever(failure.map(|failure| failure.after)).await;
    if let Some(Failure { code, .. }) = failure {
        hub.end(call, Party::WhatsApp, Some(code), codes::title(code));
    }
}

/// After the pickup: digits and hanging up, as the scenario says, until the call is over.
async fn talk(hub: &Hub, call: &Call) {
    let Some(accepted) = call.accepted_at() else { return };
    let digits = async {
        tokio::time::sleep_until((accepted + call.behaviour.digits_after).into()).await;
        if !call.behaviour.digits.is_empty() {
            call.phone().press(&call.behaviour.digits);
            hub.log(call, Lane::User, Lane::WhatsApp, format!("presses {}", call.behaviour.digits));
        }
        pending::<()>().await;
    };
    tokio::select! {
        () = call.reached(CallState::Ended) => {}
        () = digits => {}
        () = fails(hub, call, true) => {}
        () = sleep_or_forever(call.behaviour.hang_up_after) => {
            hub.end(call, Party::User, None, "hangs up");
        }
    }
}
