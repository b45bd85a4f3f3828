//! The pages beside the API: for Prometheus, for orchestrators, for people.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use control::Control;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::dashboard;
use crate::wire::Status;

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// Longer than anything waits for a worker, shorter than probes of orchestrators are usually told to.
const ALIVE_WITHIN: Duration = Duration::from_secs(7);
/// For so long nobody is asked again.
const ALIVE_FOR: Duration = Duration::from_millis(500);

const INDEX: &str = "Understudy\n\n\
    /         in a browser: the dashboard\n\
    /metrics  for Prometheus\n\
    /livez    200 while the process works: all that decides and forwards answers; else 503 and why\n\
    /readyz   200 when clients are served as well as they can be, else 503 and why\n\
    /status   every service and backend, as JSON\n\
    /api/v1/  everything else; /api/v1/openapi.json describes it\n";

/// All pages.
pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(live).with_state(Liveness::new(control.clone())))
        .route("/readyz", get(ready))
        .route("/status", get(status))
        .with_state(control)
        .merge(dashboard::router(|| page(StatusCode::OK, TEXT, INDEX)))
}

async fn metrics(State(control): State<Control>) -> Response {
    // Off the control thread: a long page must not make a probe late.
    match tokio::task::spawn_blocking(move || control.metrics().encode()).await {
        Ok(text) => page(StatusCode::OK, PROMETHEUS, text),
        Err(_) => page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the metrics cannot be written\n"),
    }
}

/// Says nothing of backends: to start this process anew would help none of them.
async fn live(State(liveness): State<Liveness>) -> Response {
    match liveness.ask().await {
        Ok(()) => page(StatusCode::OK, TEXT, "ok\n"),
        Err(stuck) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("stuck: {stuck}\n")),
    }
}

/// When it was asked, and who is stuck.
type Said = (Instant, Result<(), String>);

/// Whether everything moves, asked once for all who want to know at the same time: whoever asks without
/// a token, over and over, must not keep drivers and workers busy.
#[derive(Clone)]
struct Liveness {
    control: Control,
    last: Arc<Mutex<Option<Said>>>,
}

impl Liveness {
    fn new(control: Control) -> Self {
        Self { control, last: Arc::default() }
    }

    async fn ask(&self) -> Result<(), String> {
        let mut last = Arc::clone(&self.last).lock_owned().await;
        if let Some((at, said)) = &*last
            && at.elapsed() < ALIVE_FOR
        {
            return said.clone();
        }
        let control = self.control.clone();
        // A task of its own: it ends by its own deadline, also when the client has left.
        let asked = tokio::spawn(async move {
            let said = control.pulse(ALIVE_WITHIN).await.map_err(|stuck| stuck.to_string());
            *last = Some((Instant::now(), said.clone()));
            said
        });
        asked.await.unwrap_or_else(|_| Err("nobody could be asked".to_owned()))
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
