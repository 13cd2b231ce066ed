//! The calling side: the INVITE client transaction (RFC 3261 17.1.1) with the
//! phone's own duties on top (13.2.2), CANCEL (9.1) and BYE (15.1.1).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::call::{Call, Dialog, Ending};
use super::change::Session;
use super::core::{Core, PATIENCE};
use super::sip::{Message, address_of};
use super::{check, sdp};

/// Where the INVITE stands.
enum Stage {
    /// No response yet; it is sent again.
    Calling { resend: Instant, interval: Duration },
    /// A provisional response has come.
    Proceeding { cancelled: bool },
    /// The final response has come; its repeats are acknowledged until then.
    Done { until: Instant },
}

/// Runs an INVITE from its first sending to the last repeat of its final response.
pub(super) async fn invite(call: Arc<Call>) {
    let mut responses = call.core.open(&call.invite);
    let started = Instant::now();
    call.core.send(call.peer, &call.invite, &call.key, false).await;
    let mut stage = {
        let interval = call.core.resend_after();
        Stage::Calling { resend: started + interval, interval }
    };
    loop {
        stage = match stage {
            Stage::Calling { resend, interval } => {
                tokio::select! {
                    Some(response) = responses.recv() => heard(&call, response, false).await,
                    () = sleep_until(resend.min(started + PATIENCE)) => {
                        if started.elapsed() >= PATIENCE {
                            call.end(Ending::Timeout("no response to INVITE"));
                            break;
                        }
                        call.core.send(call.peer, &call.invite, &call.key, true).await;
                        Stage::Calling { resend: Instant::now() + interval * 2, interval: interval * 2 }
                    }
                }
            }
            Stage::Proceeding { cancelled } => {
                tokio::select! {
                    Some(response) = responses.recv() => heard(&call, response, cancelled).await,
                    () = call.until(|p| p.cancel_wanted || p.hang_up_wanted), if !cancelled => {
                        tokio::spawn(cancel(Arc::clone(&call)));
                        Stage::Proceeding { cancelled: true }
                    }
                }
            }
            Stage::Done { until } => {
                tokio::select! {
                    response = next_until(&mut responses, until) => match response {
                        Some(response) => { repeated(&call, &response).await; Stage::Done { until } }
                        None => break,
                    },
                    () = call.core.stop.cancelled() => break,
                }
            }
        };
    }
    call.core.close(&call.invite);
}

pub(super) async fn next_until(responses: &mut mpsc::Receiver<Message>, until: Instant) -> Option<Message> {
    tokio::time::timeout_at(until, responses.recv()).await.ok().flatten()
}

/// A response before or at the final one.
async fn heard(call: &Arc<Call>, response: Message, cancelled: bool) -> Stage {
    check::response(&response, &call.invite).into_iter().for_each(|c| call.core.complaints.add(c));
    same_dialog(call, &response);
    let status = response.status().unwrap_or_default();
    let news = !call.progress.borrow().statuses().contains(&status);
    if news {
        call.progress.send_modify(|p| p.responses.push((std::time::Instant::now(), response.clone())));
    }
    if status < 200 {
        return Stage::Proceeding { cancelled };
    }
    *call.core.book().counters.finals.entry(status).or_default() += 1;
    if status < 300 {
        accepted(call, &response, cancelled).await;
    } else {
        acknowledge(call, &call.invite, call.peer, &response).await;
        let reason = response.header("Reason").map(str::to_owned);
        call.end(Ending::Rejected { status, reason });
    }
    Stage::Done { until: Instant::now() + PATIENCE }
}

/// Nobody forks between the phone and the bridge: all To tags are one.
fn same_dialog(call: &Call, response: &Message) {
    let tag = response.tag_of_to().map(str::to_owned);
    let other = call.progress.borrow().responses.iter().any(|(_, earlier)| {
        earlier.tag_of_to().is_some_and(|given| tag.as_deref().is_some_and(|tag| tag != given))
    });
    if other {
        call.core.complaints.add(format!("{}: the To tag changed", response.title()));
    }
}

/// A 2xx: ACK, sound, and BYE at once if the call is no longer wanted.
async fn accepted(call: &Arc<Call>, response: &Message, cancelled: bool) {
    let remote = sdp::read(&response.body, &call.codecs, &call.manner);
    let target = response.contact().unwrap_or_default().to_owned();
    let _ = call.dialog.set(Dialog {
        local: call.invite.header("From").unwrap_or_default().to_owned(),
        remote: response.header("To").unwrap_or_default().to_owned(),
        remote_tag: response.tag_of_to().unwrap_or_default().to_owned(),
        address: address_of(&target).unwrap_or(call.peer),
        target,
        contact: call.invite.header("Contact").unwrap_or_default().to_owned(),
        codec: remote.as_ref().map_or(super::Codec::Pcmu, |remote| remote.codec),
    });
    acknowledge(call, &call.invite, call.peer, response).await;
    match remote {
        Ok(remote) => {
            let session = Session::new(&call.invite.body, &response.body, &remote);
            *call.session.lock().await = Some(session);
            call.connect(remote).await;
        }
        Err(complaint) => call.core.complaints.add(complaint),
    }
    // What is wanted from here on finds the call answered.
    let mut unwanted = cancelled;
    call.progress.send_modify(|p| {
        p.answered = Some(std::time::Instant::now());
        unwanted |= p.cancel_wanted || p.hang_up_wanted;
    });
    if unwanted {
        bye(Arc::clone(call)).await;
    }
}

/// Final responses after the first: the same one again, or a mistake.
async fn repeated(call: &Arc<Call>, response: &Message) {
    let Some(status) = response.status().filter(|status| *status >= 200) else {
        call.core.complaints.add(format!("{} after the final response", response.title()));
        return;
    };
    if call.progress.borrow().final_status() == Some(status) {
        call.core.book().counters.repeated += 1;
    } else {
        call.core.complaints.add(format!("{status}: a second final response to one INVITE"));
        call.progress.send_modify(|p| p.responses.push((std::time::Instant::now(), response.clone())));
    }
    acknowledge(call, &call.invite, call.peer, response).await;
}

/// ACK: of a 2xx a request of its own to the Contact (13.2.2.4), else part of the
/// transaction, with the INVITE's branch and the response's To (17.1.1.3).
pub(super) async fn acknowledge(call: &Call, invite: &Message, sent_to: SocketAddr, response: &Message) {
    if response.status().is_none_or(|status| status >= 300) {
        return acknowledge_refusal(&call.core, invite, sent_to, response, &call.key).await;
    }
    let target = response.contact().unwrap_or_default();
    let address = address_of(target).unwrap_or(sent_to);
    let ack = ack(invite, response, target, call.core.via());
    call.core.send(address, &ack, &call.key, false).await;
}

/// ACK of a final response from 300 on.
pub(super) async fn acknowledge_refusal(
    core: &Core,
    invite: &Message,
    to: SocketAddr,
    response: &Message,
    key: &str,
) {
    let uri = invite.start.split(' ').nth(1).unwrap_or_default();
    let via = invite.header("Via").unwrap_or_default().to_owned();
    core.send(to, &ack(invite, response, uri, via), key, false).await;
}

fn ack(invite: &Message, response: &Message, uri: &str, via: String) -> Message {
    let number = invite.cseq().map_or(1, |(number, _)| number);
    Message::request("ACK", uri)
        .with("Via", via)
        .with("From", invite.header("From").unwrap_or_default())
        .with("To", response.header("To").unwrap_or_default())
        .with("Call-ID", invite.call_id())
        .with("CSeq", format!("{number} ACK"))
}

async fn cancel(call: Arc<Call>) {
    let uri = call.invite.start.split(' ').nth(1).unwrap_or_default();
    let mut request = Message::request("CANCEL", uri);
    for name in ["Via", "From", "To", "Call-ID"] {
        request = request.with(name, call.invite.header(name).unwrap_or_default());
    }
    let number = call.invite.cseq().map_or(1, |(number, _)| number);
    let request = request.with("CSeq", format!("{number} CANCEL"));
    match call.core.request(call.peer, request, &call.key).await.and_then(|response| response.status()) {
        Some(200) => {}
        Some(status) => call.core.complaints.add(format!("{status} to CANCEL")),
        None => call.core.complaints.add("no response to CANCEL".to_owned()),
    }
}

/// Ends an answered call, whoever placed it.
pub(super) async fn bye(call: Arc<Call>) {
    let Some(dialog) = call.dialog.get() else { return };
    if call.is_over() {
        return;
    }
    let request = call.request(dialog, "BYE");
    match call.core.request(dialog.address, request, &call.key).await.and_then(|response| response.status()) {
        Some(200) => call.end(Ending::HungUp),
        // The other end's BYE was quicker, and is what the call ended by.
        Some(481) if call.is_over() => {}
        Some(status) => {
            call.core.complaints.add(format!("{status} to BYE"));
            call.end(Ending::HungUp);
        }
        None => call.end(Ending::Timeout("no response to BYE")),
    }
}
