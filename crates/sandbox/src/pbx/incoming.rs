//! The called side: the INVITE server transaction (RFC 3261 17.2.1), the 200
//! that is sent until its ACK comes (13.3.1.4), and requests inside a dialog.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::call::{Call, Dialog, Ending};
use super::change::Session;
use super::core::{Core, PATIENCE, T1, T2};
use super::sdp::{self, Remote};
use super::sip::{Message, address_of};
use super::{Policy, check};

/// Methods the phone understands.
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS";

/// Treats a call that has come in as the policy says.
pub(super) async fn serve(call: Arc<Call>, policy: Policy) {
    match policy {
        Policy::Silence => {}
        Policy::Ring => {
            provisional(&call, 100, "Trying").await;
            provisional(&call, 180, "Ringing").await;
            wait_cancel(&call).await;
            give_up(&call).await;
        }
        Policy::Answer { ring } => {
            if rang(&call, ring).await {
                accept(&call).await;
            } else {
                give_up(&call).await;
            }
        }
        Policy::Refuse { ring, status, reason } => {
            if rang(&call, ring).await {
                refuse(&call, status, reason).await;
                call.end(Ending::Refused { status });
            } else {
                give_up(&call).await;
            }
        }
    }
}

/// Rings for so long; false when the call is taken back or the phone hangs up.
async fn rang(call: &Call, ring: Duration) -> bool {
    if ring.is_zero() {
        return true;
    }
    provisional(call, 100, "Trying").await;
    provisional(call, 180, "Ringing").await;
    timeout(ring, wait_cancel(call)).await.is_err()
}

async fn wait_cancel(call: &Call) {
    call.until(|progress| progress.ending.is_some() || progress.hang_up_wanted).await;
}

/// The ringing is over without an answer: 487 after a CANCEL, 486 when the phone hung up.
async fn give_up(call: &Call) {
    if call.is_over() {
        refuse(call, 487, "Request Terminated").await;
    } else {
        refuse(call, 486, "Busy Here").await;
        call.end(Ending::Refused { status: 486 });
    }
}

async fn provisional(call: &Call, status: u16, reason: &str) {
    let mut response = Message::response(&call.invite, status, reason);
    if status > 100 {
        response = response.with_to_tag(&call.local_tag).with("Contact", contact(&call.core));
    }
    respond(call, response).await;
}

async fn refuse(call: &Call, status: u16, reason: &str) {
    let response = Message::response(&call.invite, status, reason).with_to_tag(&call.local_tag);
    if !insist(call, response).await {
        call.core.complaints.add(format!("no ACK for {status}"));
    }
}

async fn accept(call: &Arc<Call>) {
    let remote = match sdp::read(&call.invite.body, &call.codecs, &call.manner) {
        Ok(remote) => remote,
        Err(complaint) => {
            call.core.complaints.add(complaint);
            refuse(call, 488, "Not Acceptable Here").await;
            call.end(Ending::Refused { status: 488 });
            return;
        }
    };
    let ok = Message::response(&call.invite, 200, "OK")
        .with_to_tag(&call.local_tag)
        .with("Contact", contact(&call.core))
        .with("Allow", ALLOW)
        .with_sdp(sdp::answer(&call.ours(), &remote));
    let _ = call.dialog.set(dialog(call, &ok, &remote));
    *call.session.lock().await = Some(Session::new(&ok.body, &call.invite.body, &remote));
    call.connect(remote).await;
    let answered = std::time::Instant::now();
    if insist(call, ok).await {
        call.progress.send_modify(|progress| progress.answered = Some(answered));
        if call.progress.borrow().hang_up_wanted {
            super::outgoing::bye(Arc::clone(call)).await;
        }
    } else {
        call.core.complaints.add("no ACK for 200".to_owned());
        call.end(Ending::Timeout("no ACK"));
    }
}

fn dialog(call: &Call, ok: &Message, remote: &Remote) -> Dialog {
    let target = call.invite.contact().unwrap_or_default().to_owned();
    Dialog {
        local: ok.header("To").unwrap_or_default().to_owned(),
        remote: call.invite.header("From").unwrap_or_default().to_owned(),
        remote_tag: call.invite.tag_of_from().unwrap_or_default().to_owned(),
        address: address_of(&target).unwrap_or(call.peer),
        target,
        contact: ok.header("Contact").unwrap_or_default().to_owned(),
        codec: remote.codec,
    }
}

async fn respond(call: &Call, response: Message) {
    call.progress.send_modify(|p| p.responses.push((std::time::Instant::now(), response.clone())));
    call.core.reply(call.peer, &call.invite, response, &call.key).await;
}

/// Sends a final response until its ACK comes; false when none comes.
async fn insist(call: &Call, response: Message) -> bool {
    respond(call, response.clone()).await;
    let limit = Instant::now() + PATIENCE;
    // Only a 2xx may have to pass more than one connection (RFC 3261 13.3.1.4, 17.2.1).
    let refuses = response.status().is_some_and(|status| status >= 300);
    let mut interval = if refuses { call.core.resend_after() } else { T1 };
    while Instant::now() < limit {
        tokio::select! {
            () = call.until(|progress| progress.acked) => return true,
            () = sleep(interval) => {
                call.core.send(call.peer, &response, &call.key, true).await;
                interval = (interval * 2).min(T2);
            }
            () = call.core.stop.cancelled() => return true,
        }
    }
    false
}

/// CANCEL (RFC 3261 9.2): always answered for itself, then the call is taken back
/// if it is not answered yet.
pub(super) async fn cancelled(core: &Core, call: Option<Arc<Call>>, request: &Message, from: SocketAddr) {
    let call = call.filter(|call| call.invite.branch() == request.branch());
    let Some(call) = call else {
        core.complaints.add("CANCEL of nothing".to_owned());
        let answer = Message::response(request, 481, "Call/Transaction Does Not Exist");
        core.reply(from, request, answer.with_to_tag(&core.token()), "").await;
        return;
    };
    let ok = Message::response(request, 200, "OK").with_to_tag(&call.local_tag);
    core.reply(from, request, ok, &call.key).await;
    if call.progress.borrow().final_status().is_none() {
        call.end(Ending::Cancelled { reason: request.header("Reason").map(str::to_owned) });
    }
}

/// A request inside a dialog, or one that belongs to none.
pub(super) async fn in_dialog(core: &Core, call: Option<Arc<Call>>, request: &Message, from: SocketAddr) {
    let method = request.method().unwrap_or_default();
    let known = call.filter(|call| belongs(call, request));
    let key = known.as_ref().map(|call| call.key.clone()).unwrap_or_default();
    let answer = match (method, &known) {
        ("OPTIONS", _) => Message::response(request, 200, "OK").with("Allow", ALLOW),
        ("BYE", Some(call)) => {
            let reason = request.header("Reason").map(str::to_owned);
            call.end(Ending::Bye { reason });
            Message::response(request, 200, "OK")
        }
        ("NOTIFY", Some(call)) => {
            call.progress.send_modify(|progress| progress.notified.push(request.body.clone()));
            Message::response(request, 200, "OK")
        }
        ("BYE", None) => {
            core.complaints.add("BYE outside any dialog".to_owned());
            Message::response(request, 481, "Call/Transaction Does Not Exist")
        }
        ("INVITE", Some(_)) => Message::response(request, 488, "Not Acceptable Here"),
        ("INVITE", None) => Message::response(request, 481, "Call/Transaction Does Not Exist"),
        _ => Message::response(request, 405, "Method Not Allowed").with("Allow", ALLOW),
    };
    let tag = known.map_or_else(|| core.token(), |call| call.local_tag.clone());
    core.reply(from, request, answer.with_to_tag(&tag), &key).await;
}

/// RFC 3261 12: Call-ID and both tags.
fn belongs(call: &Call, request: &Message) -> bool {
    let dialog = call.dialog.get();
    request.tag_of_to() == Some(&call.local_tag)
        && dialog.is_some_and(|dialog| request.tag_of_from() == Some(&dialog.remote_tag))
}

/// ACK of a final response.
pub(super) fn acknowledged(core: &Core, call: Option<Arc<Call>>, request: &Message) {
    let Some(call) = call.filter(|call| request.tag_of_to() == Some(&call.local_tag)) else {
        core.complaints.add("ACK of nothing".to_owned());
        return;
    };
    let status = call.progress.borrow().final_status().unwrap_or_default();
    let same_branch = request.branch() == call.invite.branch();
    if (status >= 300) != same_branch {
        core.complaints.add(format!("ACK of {status} with the wrong branch"));
    }
    check::request(request).into_iter().for_each(|c| core.complaints.add(c));
    call.progress.send_modify(|progress| progress.acked = true);
}

fn contact(core: &Core) -> String {
    format!("<{}>", core.uri(&core.config.user))
}
