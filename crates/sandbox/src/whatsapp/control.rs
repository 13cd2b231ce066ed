//! The control API: what tests in Rust do by methods, by HTTP and JSON. docs/sandbox.md lists it.

mod read;
mod show;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::read::Fields;
use super::call::CallHandle;
use super::faults::json_reply;
use super::hub::{Hub, lock};
use super::permission::Permissions;
use super::{events, script, webhook};

/// What is there, for those who ask for `/`.
const INDEX: &str = "GET /calls /requests /webhooks /settings /permissions /clock; \
    POST /calls /calls/answer /calls/decline /calls/hang_up /calls/press /calls/go_dark /numbers /faults \
    /webhook_faults /token /settings /subscriptions /permissions /permissions/decide /events /clock /verify; \
    DELETE /faults /requests";

/// Why a request is refused: HTTP status and words.
type Refusal = (u16, String);

/// Serves it until the sandbox ends.
pub(crate) fn serve(hub: &Arc<Hub>, listener: TcpListener) -> std::io::Result<SocketAddr> {
    let addr = listener.local_addr()?;
    let router = Router::new().fallback(front).with_state(Arc::clone(hub));
    hub.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the sandbox's control API stopped");
        }
    });
    Ok(addr)
}

async fn front(State(hub): State<Arc<Hub>>, method: Method, uri: Uri, body: Bytes) -> Response {
    match answer(&hub, &method, &uri, &body).await {
        Ok(reply) => json_reply(200, &reply),
        Err((status, error)) => json_reply(status, &json!({ "error": error })),
    }
}

fn bad(text: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST.as_u16(), text.into())
}

fn done() -> Result<Value, Refusal> {
    Ok(json!({ "done": true }))
}

async fn answer(hub: &Arc<Hub>, method: &Method, uri: &Uri, body: &[u8]) -> Result<Value, Refusal> {
    let fields = Fields::read(uri, body).map_err(bad)?;
    let known = match (method.as_str(), uri.path()) {
        ("GET", path) => get(hub, path, &fields),
        ("DELETE", "/faults") => {
            hub.clear_faults();
            Some(done())
        }
        ("DELETE", "/requests") => {
            hub.requests.clear();
            hub.deliveries.clear();
            Some(done())
        }
        ("POST", "/verify") => {
            let verified = webhook::verify(hub, &hub.config.verify_token).await;
            Some(verified.map_err(|error| bad(error.to_string())).and_then(|()| done()))
        }
        ("POST", path) => post(hub, path, &fields),
        _ => None,
    };
    known.unwrap_or_else(|| Err((StatusCode::NOT_FOUND.as_u16(), INDEX.to_owned())))
}

fn get(hub: &Arc<Hub>, path: &str, fields: &Fields) -> Option<Result<Value, Refusal>> {
    Some(match path {
        "/" => Ok(json!({ "api": INDEX })),
        "/calls" => Ok(json!(handles(hub).iter().map(show::call).collect::<Vec<_>>())),
        "/requests" => Ok(json!(hub.requests.all().iter().map(show::request).collect::<Vec<_>>())),
        "/webhooks" => Ok(json!(hub.deliveries.all().iter().map(show::delivery).collect::<Vec<_>>())),
        "/settings" => number(hub, fields).map(|number| hub.settings(&number).calling),
        "/permissions" => permission(hub, fields),
        "/clock" => Ok(json!({ "ahead_s": hub.ahead().as_secs_f64() })),
        _ => return None,
    })
}

fn post(hub: &Arc<Hub>, path: &str, fields: &Fields) -> Option<Result<Value, Refusal>> {
    if let Some(action) = path.strip_prefix("/calls/") {
        return Some(steer(hub, action, fields));
    }
    let result = match path {
        "/calls" => user_calls(hub, fields),
        "/numbers" => fields.behaviour().and_then(|behaviour| {
            let number = fields.need("number")?;
            lock(&hub.numbers).insert(number, behaviour);
            done_text()
        }),
        "/faults" => fields.graph_fault().and_then(|(operation, fault, times)| {
            hub.fault(operation, &fault, times);
            done_text()
        }),
        "/webhook_faults" => webhook_faults(hub, fields),
        "/token" => token(hub, fields),
        "/settings" => settings(hub, fields),
        "/subscriptions" => subscriptions(hub, fields),
        "/permissions" => permissions(hub, fields),
        "/permissions/decide" => decide(hub, fields),
        "/events" => fields.event().and_then(|event| {
            let number = number_text(hub, fields)?;
            Ok(json!({ "sent": events::happen(hub, &number, &event) }))
        }),
        "/clock" => fields.need_seconds("advance_s").map(|time| {
            hub.advance(time);
            json!({ "ahead_s": hub.ahead().as_secs_f64() })
        }),
        _ => return None,
    };
    Some(result.map_err(bad))
}

fn done_text() -> Result<Value, String> {
    Ok(json!({ "done": true }))
}

fn handles(hub: &Arc<Hub>) -> Vec<CallHandle> {
    hub.calls().into_iter().map(|call| CallHandle { call, hub: Arc::clone(hub) }).collect()
}

/// `number`: a phone number id; the first where nothing is said.
fn number_text(hub: &Hub, fields: &Fields) -> Result<super::BusinessNumber, String> {
    let Some(id) = fields.text("number")? else { return Ok(hub.first_number()) };
    hub.config.number(&id).ok_or_else(|| format!("the business has no number {id}"))
}

fn number(hub: &Hub, fields: &Fields) -> Result<super::BusinessNumber, Refusal> {
    number_text(hub, fields).map_err(bad)
}

fn user_calls(hub: &Arc<Hub>, fields: &Fields) -> Result<Value, String> {
    let call = script::user_initiated(hub, fields.user_call()?)?;
    Ok(json!({ "wacid": call.wacid }))
}

/// The latest call with this `wacid`, or of this `user`.
fn steer(hub: &Arc<Hub>, action: &str, fields: &Fields) -> Result<Value, Refusal> {
    let (wacid, user) = (fields.text("wacid").map_err(bad)?, fields.text("user").map_err(bad)?);
    let wanted = |call: &CallHandle| match (&wacid, &user) {
        (Some(wacid), _) => call.wacid() == wacid,
        (None, Some(user)) => call.number() == user,
        (None, None) => false,
    };
    let found = handles(hub).into_iter().rfind(wanted);
    let call = found.ok_or((404, "no such call: wacid or user expected".to_owned()))?;
    match action {
        "answer" => call.answer(),
        "decline" => call.decline(),
        "hang_up" => call.hang_up(),
        "go_dark" => call.go_dark(),
        "press" => call.send_digits(&fields.need("digits").map_err(bad)?),
        _ => return Err((404, INDEX.to_owned())),
    }
    Ok(show::call(&call))
}

fn webhook_faults(hub: &Hub, fields: &Fields) -> Result<Value, String> {
    let mut post = lock(&hub.post);
    if let Some(order) = fields.order()? {
        post.reorder(&order);
    } else if let Some(count) = fields.count("batch")? {
        post.batch(count);
    } else {
        let what = fields.text("what")?.unwrap_or_default();
        let (skip, times) = (fields.count("skip")?.unwrap_or(0), fields.count("times")?.unwrap_or(1));
        post.rule(&what, skip, &fields.webhook_fault()?, times);
    }
    done_text()
}

fn token(hub: &Hub, fields: &Fields) -> Result<Value, String> {
    if let Some(token) = fields.text("token")? {
        hub.set_token(token);
    }
    if let Some(scopes) = fields.texts("scopes")? {
        hub.set_scopes(scopes);
    }
    if let Some(time) = fields.seconds("expires_in_s")? {
        hub.expire_token_in(time);
    }
    done_text()
}

/// `set` holds settings by name; no check, no webhook.
fn settings(hub: &Hub, fields: &Fields) -> Result<Value, String> {
    let number = number_text(hub, fields)?;
    let id = &number.phone_number_id;
    if let Some(restriction) = fields.text("restrict")? {
        hub.restrict(id, Some(&restriction).filter(|kind| !kind.is_empty()).map(String::as_str));
    }
    if let Some(low) = fields.flag("low_limit")? {
        hub.edit_settings(id, |settings| settings.low_limit = low);
    }
    for (name, value) in fields.object("set")? {
        hub.edit_settings(id, |settings| settings.calling[name] = value);
    }
    Ok(hub.settings(&number).calling)
}

fn subscriptions(hub: &Hub, fields: &Fields) -> Result<Value, String> {
    let mut subscriptions = lock(&hub.subscriptions);
    if let Some(apps) = fields.texts("apps")? {
        subscriptions.apps = apps;
    }
    if let Some(names) = fields.texts("fields")? {
        subscriptions.fields = names;
    }
    if let Some(url) = fields.text("webhook_url")? {
        *lock(&hub.webhook_url) = url;
    }
    Ok(json!({
        "apps": subscriptions.apps,
        "fields": subscriptions.fields,
        "webhook_url": *lock(&hub.webhook_url),
    }))
}

fn permissions(hub: &Hub, fields: &Fields) -> Result<Value, String> {
    if let Some(enforced) = fields.flag("enforced")? {
        *lock(&hub.permissions) = if enforced { Permissions::Enforced } else { Permissions::Off };
    }
    if let Some(shape) = fields.permission_shape()? {
        *lock(&hub.permission_shape) = shape;
    }
    if let Some(rate) = fields.count("rate")? {
        *lock(&hub.permission_rate) = rate;
    }
    if let Some(need) = fields.flag("need_conversation")? {
        *lock(&hub.needs_conversation) = need;
    }
    if let (Some(user), Some(answer)) = (fields.text("user")?, fields.permission_answer()?) {
        lock(&hub.answers).insert(user, answer);
    }
    done_text()
}

fn decide(hub: &Arc<Hub>, fields: &Fields) -> Result<Value, String> {
    let answer = fields.permission_answer()?.ok_or("answer is missing")?;
    hub.decide(&number_text(hub, fields)?, &fields.need("user")?, answer, None);
    done_text()
}

/// What `call_permissions` would say about a `user`, and the calls in a row that were not answered.
fn permission(hub: &Hub, fields: &Fields) -> Result<Value, Refusal> {
    let (number, user) = (number(hub, fields)?, fields.need("user").map_err(bad)?);
    let free = hub.permissions() == Permissions::Off;
    let (now, shape) = (hub.clock(), *lock(&hub.permission_shape));
    let mut book = lock(&hub.book);
    let id = number.phone_number_id.as_str();
    let mut reply = book.describe((id, &user), now, free, shape, |time| hub.shown(time));
    reply["unanswered"] = json!(book.unanswered(id, &user));
    Ok(reply)
}

/// Milliseconds.
fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
