//! The HTTP listeners: webhooks on one, health and metrics on another.

pub(crate) mod listener;
pub(crate) mod tls;
pub(crate) mod webhook;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tracing::error;

use crate::shared::Shared;

/// Serves until it is dropped.
pub(crate) async fn serve(listener: impl axum::serve::Listener<Addr = SocketAddr>, router: Router) {
    if let Err(error) = axum::serve(listener, router).await {
        error!(%error, "HTTP listener stopped");
    }
}

/// `/healthz`, `/readyz` and `/metrics`.
pub(crate) fn admin(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
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
