//! What the actions of the Graph API do to calls, and what they refuse.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::call::{Call, CallState, Direction, Party};
use super::config::BusinessNumber;
use super::faults::{ApiError, GraphFault};
use super::graph::Done;
use super::hub::Hub;
use super::media;

use super::script;
use super::sdp;

/// Longest `biz_opaque_callback_data`.
const MAX_CALLBACK_DATA: usize = 512;

/// A number's digits; a BSUID stays as it is.
pub(crate) fn digits(number: &str) -> String {
    number.trim_start_matches('+').to_owned()
}

/// `connect`: the business calls a user.
pub(crate) fn connect(hub: &Arc<Hub>, number: BusinessNumber, json: &Value) -> Result<Done, ApiError> {
    let user = callee(json)?;
    hub.may_begin(&number)?;
    let offer = sdp::read_offer(session(json, "offer")?, hub.terms(&number))
        .map_err(|error| ApiError::sdp(&error))?;
    let callback_data = callback_data(json)?;
    if user == number.display_number {
        return Err(ApiError::new(
            400,
            131_021,
            "Recipient cannot be sender",
            "Sender and recipient are the same",
        ));
    }
    let busy = |call: &Arc<Call>| call.user == user && call.state() < CallState::Ended;
    if hub.calls().iter().any(busy) {
        let details = "There is already an active call with this user";
        return Err(ApiError::new(400, 138_003, "Duplicate call", details));
    }
    hub.may_ring(&number, &user)?;
    let behaviour = hub.behaviour(&user);
    match behaviour.graph.clone() {
        Some(GraphFault::Error(error)) => return Err(error),
        Some(fault) if !fault.works() => return Ok(Done::nothing(fault)),
        _ => {}
    }
    let broken = |error: String| ApiError::new(500, 131_000, "Something went wrong", &error);
    let media = hub.relay.socket.local_addr().map_err(|error| broken(error.to_string()))?;
    let fault = behaviour.graph.clone();
    let reply_after = match fault {
        Some(GraphFault::Delay(time)) if !behaviour.webhooks.before_reply => time,
        _ => Duration::ZERO,
    };
    let over = hub.stop.child_token();
    let call =
        Call::new(Direction::BusinessInitiated, user, number, behaviour, media, over).map_err(broken)?;
    call.facts().callback_data = callback_data;
    let call = hub.add(call);
    script::business_initiated(hub, &call, offer, reply_after + hub.config.timings.graph_delay.1);
    let body = json!({ "messaging_product": "whatsapp", "calls": [{ "id": call.wacid }], "success": true });
    Ok(Done { body, call: Some(call), fault })
}

/// `pre_accept`: media may be set up.
pub(crate) fn pre_accept(hub: &Arc<Hub>, json: &Value) -> Result<Done, ApiError> {
    let call = incoming(hub, json)?;
    if call.state() >= CallState::PreAccepted {
        return Err(ApiError::parameter("The call has been accepted already"));
    }
    take_answer(hub, &call, json)?;
    call.advance(CallState::PreAccepted);
    Ok(success(call))
}

/// `accept`: the call is answered.
pub(crate) fn accept(hub: &Arc<Hub>, json: &Value) -> Result<Done, ApiError> {
    let call = incoming(hub, json)?;
    if call.state() >= CallState::Accepted {
        return Err(ApiError::parameter("The call is already in progress"));
    }
    let callback_data = callback_data(json)?;
    take_answer(hub, &call, json)?;
    call.facts().callback_data = callback_data;
    call.accept();
    Ok(success(call))
}

/// `reject`: a user's call is not taken.
pub(crate) fn reject(hub: &Arc<Hub>, json: &Value) -> Result<Done, ApiError> {
    let call = incoming(hub, json)?;
    if call.state() >= CallState::Accepted {
        return Err(ApiError::parameter("The call is already in progress: it cannot be rejected"));
    }
    hub.end(&call, Party::Business, None, "rejected by the business");
    Ok(success(call))
}

/// `terminate`: the business hangs up.
pub(crate) fn terminate(hub: &Arc<Hub>, json: &Value) -> Result<Done, ApiError> {
    let call = running(hub, json)?;
    hub.end(&call, Party::Business, None, "terminated by the business");
    Ok(success(call))
}

fn success(call: Arc<Call>) -> Done {
    let body = json!({ "messaging_product": "whatsapp", "success": true });
    Done { body, call: Some(call), fault: None }
}

/// The SDP answer of `pre_accept` or `accept`: both must be the same bytes.
fn take_answer(hub: &Arc<Hub>, call: &Arc<Call>, json: &Value) -> Result<(), ApiError> {
    let answer = session(json, "answer")?;
    let before = call.facts().answer.clone();
    if let Some(before) = before {
        return if before == answer {
            Ok(())
        } else {
            Err(ApiError::sdp("The SDP of accept is not the SDP of pre_accept"))
        };
    }
    let remote = sdp::read_answer(answer, hub.terms(&call.number)).map_err(|error| ApiError::sdp(&error))?;
    call.facts().answer = Some(answer.to_owned());
    // The bridge is active (it was checked): we are the DTLS server.
    media::begin(hub, call, remote, false);
    Ok(())
}

/// A call that is not over.
fn running(hub: &Hub, json: &Value) -> Result<Arc<Call>, ApiError> {
    let wacid =
        json["call_id"].as_str().ok_or_else(|| ApiError::parameter("The parameter call_id is required"))?;
    let call = hub.find(wacid).ok_or_else(|| ApiError::parameter("Invalid call-id: no such call"))?;
    let end = call.facts().end.clone();
    match end.map(|end| end.by) {
        None => Ok(call),
        Some(Party::User) => Err(ApiError::parameter("The WhatsApp user has already terminated the call")),
        Some(Party::Business | Party::WhatsApp) => {
            Err(ApiError::parameter("The call has already been terminated"))
        }
    }
}

/// A user's call that is not over.
fn incoming(hub: &Hub, json: &Value) -> Result<Arc<Call>, ApiError> {
    let call = running(hub, json)?;
    if call.direction == Direction::UserInitiated {
        Ok(call)
    } else {
        Err(ApiError::parameter("The action is not allowed on a business-initiated call"))
    }
}

fn session<'a>(json: &'a Value, kind: &str) -> Result<&'a str, ApiError> {
    let session = &json["session"];
    if !session["sdp_type"].as_str().is_some_and(|given| given.eq_ignore_ascii_case(kind)) {
        return Err(ApiError::parameter(&format!("session.sdp_type must be '{kind}'")));
    }
    session["sdp"].as_str().ok_or_else(|| ApiError::parameter("session.sdp is required"))
}

/// `to` wins over `recipient`.
pub(crate) fn callee(json: &Value) -> Result<String, ApiError> {
    let phone = json["to"].as_str().map(digits);
    if let Some(phone) = phone {
        let good = (6..=15).contains(&phone.len()) && phone.bytes().all(|byte| byte.is_ascii_digit());
        return if good {
            Ok(phone)
        } else {
            Err(ApiError::parameter("The parameter to is no phone number"))
        };
    }
    let bsuid =
        json["recipient"].as_str().ok_or_else(|| ApiError::parameter("The parameter to is required"))?;
    match bsuid.split_once('.') {
        Some((country, id)) if country.len() == 2 && !id.is_empty() && id.len() <= 132 => {
            Ok(bsuid.to_owned())
        }
        _ => Err(ApiError::parameter("The parameter recipient is no business-scoped user id")),
    }
}

fn callback_data(json: &Value) -> Result<Option<String>, ApiError> {
    match &json["biz_opaque_callback_data"] {
        Value::Null => Ok(None),
        Value::String(data) if data.chars().count() <= MAX_CALLBACK_DATA => Ok(Some(data.clone())),
        _ => Err(ApiError::parameter("biz_opaque_callback_data must be a string of at most 512 characters")),
    }
}
