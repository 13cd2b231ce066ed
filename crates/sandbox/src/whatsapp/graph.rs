//! The Graph API: `POST /{version}/{phone number id}/calls` with the five actions of WhatsApp calling.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::actions;
use super::call::Call;
use super::config::BusinessNumber;
use super::hub::{Hub, lock};
use super::random;
use super::scenario::{ApiError, GraphFault};
use crate::ladder::Lane;

/// Longest request body.
const MAX_BODY: usize = 256 * 1024;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Call a user.
    Connect,
    /// Take the media of a user's call before it is answered.
    PreAccept,
    /// Answer it.
    Accept,
    /// Reject it.
    Reject,
    /// Hang up.
    Terminate,
}

impl Action {
    fn read(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "connect" => Some(Self::Connect),
            "pre_accept" => Some(Self::PreAccept),
            "accept" => Some(Self::Accept),
            "reject" => Some(Self::Reject),
            "terminate" => Some(Self::Terminate),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::PreAccept => "pre_accept",
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Terminate => "terminate",
        }
    }
}

/// One request to the Graph API and its reply.
#[derive(Clone, Debug)]
pub struct GraphRequest {
    /// Time since the sandbox started.
    pub at: Duration,
    /// `None` where it could not be read.
    pub action: Option<Action>,
    /// The call it names, or that it made.
    pub wacid: Option<String>,
    /// The JSON body.
    pub body: Value,
    /// HTTP status of the reply.
    pub status: u16,
    /// The error code of the reply.
    pub code: Option<u32>,
}

pub(crate) fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .route("/{version}/{number}/calls", post(calls))
        .fallback(|| async { error_reply(&unknown_path()) })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(hub)
}

fn unknown_path() -> ApiError {
    ApiError::new(
        400,
        2500,
        "Unknown path components",
        "The sandbox knows POST /{version}/{number}/calls only",
    )
}

async fn calls(
    State(hub): State<Arc<Hub>>,
    Path((version, number)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (reply, replied) = oneshot::channel();
    let shared = Arc::clone(&hub);
    // In a task of its own: what has begun is done, even where the bridge no longer waits for the reply.
    hub.spawn(async move {
        let _ = reply.send(handle(&shared, &version, &number, &headers, &body).await);
    });
    replied.await.unwrap_or_else(|_| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

/// What a good request led to.
pub(crate) struct Done {
    pub(crate) body: Value,
    pub(crate) call: Arc<Call>,
    /// A fault of the reply that the call's scenario asks for.
    pub(crate) fault: Option<GraphFault>,
}

async fn handle(hub: &Arc<Hub>, version: &str, number: &str, headers: &HeaderMap, body: &[u8]) -> Response {
    let at = hub.now();
    let delay = random::between(hub.config.timings.graph_delay);
    tokio::time::sleep(delay / 2).await;
    let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let action = json["action"].as_str().and_then(Action::read);
    let forced = action.and_then(|action| take_fault(hub, action));
    let user = user_of(hub, &json);
    let ladder = &hub.config.ladder;
    ladder.log(&user, Lane::Bridge, Lane::WhatsApp, format!("POST {}", name(action)));
    let outcome = match (authorize(hub, version, number, headers), &forced) {
        (Err(error), _) => Err(error),
        (Ok(_), Some(GraphFault::Error(error))) => Err(error.clone()),
        (Ok(number), _) => act(hub, action, number, &json),
    };
    tokio::time::sleep(delay / 2).await;
    let mut record = GraphRequest {
        at,
        action,
        wacid: json["call_id"].as_str().map(str::to_owned),
        body: json,
        status: 200,
        code: None,
    };
    let response = match outcome {
        Err(error) => {
            (record.status, record.code) = (error.status, Some(error.code));
            let label = format!("{} code {}: {}", error.status, error.code, error.details);
            ladder.log(&user, Lane::WhatsApp, Lane::Bridge, label);
            error_reply(&error)
        }
        Ok(done) => {
            record.wacid = Some(done.call.wacid.clone());
            let response = good_reply(&done, forced.or(done.fault.clone())).await;
            record.status = response.status().as_u16();
            hub.log(&done.call, Lane::WhatsApp, Lane::Bridge, format!("{} {}", record.status, name(action)));
            response
        }
    };
    hub.requests.add(record);
    response
}

async fn good_reply(done: &Done, fault: Option<GraphFault>) -> Response {
    match fault {
        Some(GraphFault::Delay(time)) => tokio::time::sleep(time).await,
        Some(GraphFault::Garbage { status, body }) => {
            return (StatusCode::from_u16(status).unwrap_or(StatusCode::OK), body).into_response();
        }
        Some(GraphFault::Error(_)) | None => {}
    }
    json_reply(200, &done.body)
}

fn name(action: Option<Action>) -> &'static str {
    action.map_or("?", Action::name)
}

fn take_fault(hub: &Hub, action: Action) -> Option<GraphFault> {
    let mut faults = lock(&hub.faults);
    let index = faults.iter().position(|(of, _)| *of == action)?;
    Some(faults.remove(index).1)
}

/// The number that the request is made for.
fn authorize(
    hub: &Hub,
    version: &str,
    number: &str,
    headers: &HeaderMap,
) -> Result<BusinessNumber, ApiError> {
    let numbered = version.strip_prefix('v').and_then(|rest| rest.split_once('.'));
    if !numbered.is_some_and(|(major, minor)| major.parse::<u8>().is_ok() && minor.parse::<u8>().is_ok()) {
        return Err(unknown_path());
    }
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match given.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) if token == hub.config.token => {}
        Some(_) => {
            return Err(ApiError::new(401, 190, "Invalid OAuth access token", "Cannot parse access token"));
        }
        None => {
            return Err(ApiError::new(
                401,
                190,
                "An access token is required",
                "No bearer token in the request",
            ));
        }
    }
    let number = hub.config.number(number).ok_or_else(|| {
        let details = format!("Object with ID '{number}' does not exist or cannot be loaded");
        ApiError::new(400, 33, "Unsupported post request", &details)
    })?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/json") {
        Ok(number)
    } else {
        Err(ApiError::parameter("The body must be JSON"))
    }
}

fn act(
    hub: &Arc<Hub>,
    action: Option<Action>,
    number: BusinessNumber,
    json: &Value,
) -> Result<Done, ApiError> {
    if json["messaging_product"] != "whatsapp" {
        return Err(ApiError::parameter(
            "The parameter messaging_product is required and must be 'whatsapp'",
        ));
    }
    let known = json["call_id"].as_str().and_then(|wacid| hub.find(wacid));
    if known.is_some_and(|call| call.number != number) {
        return Err(ApiError::parameter("The call is not one of this number"));
    }
    match action {
        Some(Action::Connect) => actions::connect(hub, number, json),
        Some(Action::PreAccept) => actions::pre_accept(hub, json),
        Some(Action::Accept) => actions::accept(hub, json),
        Some(Action::Reject) => actions::reject(hub, json),
        Some(Action::Terminate) => actions::terminate(hub, json),
        None => Err(ApiError::parameter("The parameter action is missing or unknown")),
    }
}

/// Whose call a request is about: the key in the ladder.
fn user_of(hub: &Hub, json: &Value) -> String {
    let called = json["to"].as_str().or(json["recipient"].as_str()).map(actions::digits);
    let known = || Some(hub.find(json["call_id"].as_str()?)?.user.clone());
    called.or_else(known).unwrap_or_default()
}

fn json_reply(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json; charset=UTF-8")], body.to_string()).into_response()
}

/// Meta's error envelope.
fn error_reply(error: &ApiError) -> Response {
    let mut inner = json!({
        "message": format!("(#{}) {}", error.code, error.message),
        "type": "OAuthException",
        "code": error.code,
        "error_data": { "messaging_product": "whatsapp", "details": error.details },
        "fbtrace_id": random::base64(&random::bytes::<9>()),
    });
    if let Some(subcode) = error.subcode {
        inner["error_subcode"] = json!(subcode);
    }
    let mut response = json_reply(error.status, &json!({ "error": inner }));
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
