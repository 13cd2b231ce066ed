//! The Graph API: what every request goes through, from its path to its reply.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::call::Call;
use super::config::BusinessNumber;
use super::faults::{ApiError, GraphFault, Reply, error_reply};
use super::hub::Hub;
use super::operation::{Action, Operation, Target};
use super::random;
use super::wire::Knife;
use super::{actions, messages, settings, subscriptions, token};
use crate::ladder::Lane;

/// Longest request body.
const MAX_BODY: usize = 256 * 1024;

/// One request to the Graph API and its reply.
#[derive(Clone, Debug)]
pub struct GraphRequest {
    /// Time since the sandbox started.
    pub at: Duration,
    /// `None` where it could not be read.
    pub operation: Option<Operation>,
    /// The same where it is an action of a call.
    pub action: Option<Action>,
    /// `GET`, `POST` or `DELETE`.
    pub method: String,
    /// The path, with version and ids.
    pub path: String,
    /// The parameters of its query or form, without the token.
    pub parameters: Vec<(String, String)>,
    /// The call it names, or that it made.
    pub wacid: Option<String>,
    /// The JSON body.
    pub body: Value,
    /// HTTP status of the reply; 0 where none came.
    pub status: u16,
    /// The error code of the reply.
    pub code: Option<u32>,
}

pub(crate) fn router(hub: Arc<Hub>) -> Router {
    Router::new().fallback(front).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(hub)
}

fn unknown_path() -> ApiError {
    let details = "The sandbox knows the calling API only: see docs/sandbox.md";
    ApiError::new(400, 2500, "Unknown path components", details)
}

async fn front(
    State(hub): State<Arc<Hub>>,
    ConnectInfo(knife): ConnectInfo<Knife>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = content_type(&headers).starts_with("application/x-www-form-urlencoded");
    let Some(target) = Target::read(&method, &uri, form, &body) else {
        return error_reply(&unknown_path());
    };
    let (sender, replied) = oneshot::channel();
    let shared = Arc::clone(&hub);
    // In a task of its own: what has begun is done, even where the bridge no longer waits for the reply.
    hub.spawn(async move {
        let _ = sender.send(handle(&shared, target, &headers, body.is_empty()).await);
    });
    match replied.await {
        Ok(reply) => reply.send(&hub, &knife).await,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What a good request led to.
pub(crate) struct Done {
    pub(crate) body: Value,
    pub(crate) call: Option<Arc<Call>>,
    /// A fault of the reply that the call's scenario asks for.
    pub(crate) fault: Option<GraphFault>,
}

impl Done {
    pub(crate) fn reply(body: Value) -> Self {
        Self { body, call: None, fault: None }
    }

    pub(crate) fn success() -> Self {
        Self::reply(json!({ "success": true }))
    }

    /// The request does not work; this is all that is seen of it.
    pub(crate) fn nothing(fault: GraphFault) -> Self {
        Self { body: json!({}), call: None, fault: Some(fault) }
    }
}

async fn handle(hub: &Arc<Hub>, target: Target, headers: &HeaderMap, bare: bool) -> Reply {
    let at = hub.now();
    let delay = random::between(hub.config.timings.graph_delay);
    tokio::time::sleep(delay / 2).await;
    let operation = target.operation();
    let name = operation.map_or("?", Operation::name);
    let forced = operation.and_then(|operation| hub.take_fault(operation));
    let user = user_of(hub, &target);
    hub.config.ladder.log(&user, Lane::Bridge, Lane::WhatsApp, format!("{} {name}", target.method));
    let outcome = match authorize(hub, &target, headers, bare) {
        Err(error) => Err(error),
        Ok(()) => match forced {
            Some(GraphFault::Error(error)) => Err(error),
            Some(fault) if !fault.works() => Ok(Done::nothing(fault)),
            forced => execute(hub, operation, &target)
                .await
                .map(|done| Done { fault: forced.or(done.fault.clone()), ..done }),
        },
    };
    tokio::time::sleep(delay / 2).await;
    let mut record = record(at, target, operation);
    let reply = match outcome {
        Err(error) => {
            (record.status, record.code) = (error.status, Some(error.code));
            let label = format!("{} code {}: {}", error.status, error.code, error.details);
            hub.config.ladder.log(&user, Lane::WhatsApp, Lane::Bridge, label);
            Reply::error(&error)
        }
        Ok(done) => {
            record.wacid = done.call.as_ref().map(|call| call.wacid.clone()).or(record.wacid);
            if let Some(GraphFault::Delay(time)) = done.fault {
                tokio::time::sleep(time).await;
            }
            if let Some(GraphFault::ErrorAfter(error)) = &done.fault {
                record.code = Some(error.code);
            }
            let reply = Reply::good(&done.body, done.fault.as_ref());
            record.status = reply.status();
            let label = match record.status {
                0 => format!("no answer to {name}"),
                status => format!("{status} {name}"),
            };
            hub.config.ladder.log(&user, Lane::WhatsApp, Lane::Bridge, label);
            reply
        }
    };
    hub.requests.add(record);
    reply
}

fn record(at: Duration, target: Target, operation: Option<Operation>) -> GraphRequest {
    let action = match operation {
        Some(Operation::Call(action)) => Some(action),
        _ => None,
    };
    let secret = |name: &str| name == "access_token" || name == "input_token";
    GraphRequest {
        at,
        operation,
        action,
        method: target.method.to_string(),
        path: target.path,
        parameters: target.parameters.into_iter().filter(|(name, _)| !secret(name)).collect(),
        wacid: target.json["call_id"].as_str().map(str::to_owned),
        body: target.json,
        status: 200,
        code: None,
    }
}

/// What must be right before anything happens: the token, the object, the kind of the body.
fn authorize(hub: &Hub, target: &Target, headers: &HeaderMap, bare: bool) -> Result<(), ApiError> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
    let given = bearer.or_else(|| target.parameter("access_token"));
    token::check(hub, target.operation(), given.as_deref())?;
    let json = content_type(headers).starts_with("application/json");
    match target.operation() {
        Some(Operation::SubscribedApps | Operation::SetSubscribedApps) => {
            own(&target.object, &hub.config.waba_id)
        }
        Some(Operation::Subscriptions | Operation::SetSubscriptions) => {
            own(&target.object, &hub.config.app_id)
        }
        Some(Operation::DebugToken) => Ok(()),
        _ if bare || json => number_of(hub, target).map(drop),
        _ => number_of(hub, target).and(Err(ApiError::parameter("The body must be JSON"))),
    }
}

/// There is one WABA and one app.
fn own(asked: &str, known: &str) -> Result<(), ApiError> {
    if asked == known { Ok(()) } else { Err(no_object(asked)) }
}

/// The number that the request is made for.
fn number_of(hub: &Hub, target: &Target) -> Result<BusinessNumber, ApiError> {
    hub.config.number(&target.object).ok_or_else(|| no_object(&target.object))
}

pub(crate) fn no_object(id: &str) -> ApiError {
    let details = format!("Object with ID '{id}' does not exist or cannot be loaded");
    ApiError::new(400, 33, "Unsupported request", &details)
}

async fn execute(hub: &Arc<Hub>, operation: Option<Operation>, target: &Target) -> Result<Done, ApiError> {
    match operation {
        Some(Operation::Call(action)) => act(hub, Some(action), number_of(hub, target)?, &target.json),
        None => act(hub, None, number_of(hub, target)?, &target.json),
        Some(Operation::Settings) => Ok(settings::read(hub, &number_of(hub, target)?, target)),
        Some(Operation::SetSettings) => settings::write(hub, &number_of(hub, target)?, target),
        Some(Operation::CallPermissions) => messages::permission(hub, &number_of(hub, target)?, target),
        Some(Operation::Messages) => messages::send(hub, &number_of(hub, target)?, target),
        Some(Operation::SubscribedApps | Operation::SetSubscribedApps) => {
            Ok(subscriptions::apps(hub, target))
        }
        Some(Operation::Subscriptions) => Ok(subscriptions::read(hub)),
        Some(Operation::SetSubscriptions) => subscriptions::write(hub, target).await,
        Some(Operation::DebugToken) => token::debug(hub, target),
        Some(Operation::Number) => Ok(number(hub, &number_of(hub, target)?, target)),
    }
}

/// `GET /{number}`: all fields, or those that are asked for.
fn number(hub: &Hub, number: &BusinessNumber, target: &Target) -> Done {
    let mut all = hub.number_fields(number);
    let fields = target.parameter("fields").unwrap_or_default();
    let wanted: Vec<&str> = fields.split(',').filter(|field| !field.is_empty()).collect();
    if let (false, Some(object)) = (wanted.is_empty(), all.as_object_mut()) {
        object.retain(|name, _| name == "id" || wanted.contains(&name.as_str()));
    }
    Done::reply(all)
}

/// An action of a call.
fn act(
    hub: &Arc<Hub>,
    action: Option<Action>,
    number: BusinessNumber,
    json: &Value,
) -> Result<Done, ApiError> {
    product(json)?;
    hub.may_call(&number)?;
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

pub(crate) fn product(json: &Value) -> Result<(), ApiError> {
    if json["messaging_product"] == "whatsapp" {
        return Ok(());
    }
    Err(ApiError::parameter("The parameter messaging_product is required and must be 'whatsapp'"))
}

/// Whose call a request is about: the key in the ladder.
fn user_of(hub: &Hub, target: &Target) -> String {
    let json = &target.json;
    let called = json["to"].as_str().or(json["recipient"].as_str()).map(actions::digits);
    let known = || Some(hub.find(json["call_id"].as_str()?)?.user.clone());
    let asked = || target.parameter("user_wa_id").or(target.parameter("recipient"));
    called.or_else(known).or_else(asked).map(|user| actions::digits(&user)).unwrap_or_default()
}
