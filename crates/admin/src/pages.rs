//! The pages beside the API: for Prometheus, for orchestrators, for people.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use control::Control;

use crate::wire::Status;

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

const INDEX: &str = "Understudy\n\n\
    /metrics  for Prometheus\n\
    /livez    200 while the process runs\n\
    /readyz   200 when clients are served as well as they can be, else 503 and why\n\
    /status   every service and backend, as JSON\n\
    /api/v1/  everything else; /api/v1/openapi.json describes it\n";

/// All pages.
pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/", get(|| async { page(StatusCode::OK, TEXT, INDEX) }))
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { page(StatusCode::OK, TEXT, "ok\n") }))
        .route("/readyz", get(ready))
        .route("/status", get(status))
        .with_state(control)
}

async fn metrics(State(control): State<Control>) -> Response {
    // Off the control thread: a long page must not make a probe late.
    match tokio::task::spawn_blocking(move || control.metrics().encode()).await {
        Ok(text) => page(StatusCode::OK, PROMETHEUS, text),
        Err(_) => page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the metrics cannot be written\n"),
    }
}

async fn ready(State(control): State<Control>) -> Response {
    match control.ready() {
        Ok(()) => page(StatusCode::OK, TEXT, "ready\n"),
        Err(why) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready: {why}\n")),
    }
}

/// The same as in the API, laid out for people.
async fn status(State(control): State<Control>) -> Response {
    match serde_json::to_string_pretty(&Status::of(&control)) {
        Ok(text) => page(StatusCode::OK, JSON, text + "\n"),
        Err(error) => page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

fn page(status: StatusCode, kind: &'static str, body: impl IntoResponse) -> Response {
    (status, [(CONTENT_TYPE, kind)], body).into_response()
}
