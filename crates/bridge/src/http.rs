//! The HTTP listeners: webhooks on one, health and metrics on another.

pub(crate) mod listener;
pub(crate) mod tls;
pub(crate) mod webhook;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;
use tracing::error;

use crate::capture::Order;
use crate::shared::Shared;

/// Serves until it is dropped.
pub(crate) async fn serve(listener: impl axum::serve::Listener<Addr = SocketAddr>, router: Router) {
    if let Err(error) = axum::serve(listener, router).await {
        error!(%error, "HTTP listener stopped");
    }
}

/// `/healthz`, `/readyz`, `/metrics` and `/capture`.
pub(crate) fn admin(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/capture", get(captures).post(capture))
        .with_state(shared)
}

/// Whether calls are taken; with a line for each alarm that lasts.
async fn ready(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    let (status, word) = if shared.metrics.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else {
        (StatusCode::OK, "ready")
    };
    let alarms = shared.alarms.active().into_iter();
    let lines = alarms.map(|(alarm, subject, text)| format!("alarm {} {subject}: {text}\n", alarm.label()));
    (status, format!("{word}\n{}", lines.collect::<String>()))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> String {
    shared.collect();
    shared.metrics.text()
}

/// What is still to be captured.
async fn captures(State(shared): State<Arc<Shared>>) -> String {
    let (order, open) = shared.captures.status();
    let Order { calls, trunk, number } = order;
    let (trunk, number) = (trunk.as_deref().unwrap_or("any"), number.as_deref().unwrap_or("any"));
    format!("{open} calls are captured, {calls} are to be: trunk {trunk}, number {number}\n")
}

/// Orders captures of the next calls: `?calls=3&trunk=office&number=491701234567`.
async fn capture(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let order = match Order::parse(&query.unwrap_or_default()) {
        Ok(order) => order,
        Err(problem) => return (StatusCode::BAD_REQUEST, format!("{problem}\n")),
    };
    let config = shared.config();
    let is_known = |name: &String| config.trunks.iter().any(|trunk| trunk.name == *name);
    if let Some(trunk) = order.trunk.as_ref().filter(|name| !is_known(name)) {
        return (StatusCode::BAD_REQUEST, format!("{trunk:?} is no trunk\n"));
    }
    match shared.captures.order(order) {
        Ok(()) => (StatusCode::OK, captures(State(shared)).await),
        Err(problem) => (StatusCode::CONFLICT, format!("{problem}\n")),
    }
}
