//! What is found at which path.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use control::Control;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

const INDEX: &str = "Understudy\n\n\
    /metrics  for Prometheus\n\
    /livez    200 while the process runs\n\
    /readyz   200 when clients are served as well as they can be, else 503 and why\n\
    /status   every service and backend, as JSON\n";

const FOREIGN_NAME: &str = "this name is not answered on loopback: ask for 127.0.0.1 or localhost, \
    or set `allow_remote: true` and an address that is not loopback\n";

/// No request here has a body that anybody reads.
const BODY_BYTES: usize = 4 * 1024;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// All pages, for a listener bound to `address`.
pub(crate) fn router(control: Control, address: SocketAddr) -> Router {
    let router = Router::new()
        .route("/", get(|| async { page(StatusCode::OK, TEXT, INDEX) }))
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { page(StatusCode::OK, TEXT, "ok\n") }))
        .route("/readyz", get(ready))
        .route("/status", get(status))
        .fallback(|| async { page(StatusCode::NOT_FOUND, TEXT, "nothing here; try /\n") })
        .method_not_allowed_fallback(|| async {
            page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n")
        })
        .with_state(control)
        .layer(RequestBodyLimitLayer::new(BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWER_WITHIN));
    let router = if address.ip().is_loopback() {
        router.layer(middleware::from_fn(refuse_foreign_names))
    } else {
        router
    };
    router.layer(middleware::map_response(harden)).layer(CatchPanicLayer::new())
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

async fn status(State(control): State<Control>) -> Response {
    match serde_json::to_string_pretty(&crate::wire::Status::of(&control)) {
        Ok(text) => page(StatusCode::OK, JSON, text + "\n"),
        Err(error) => page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

fn page(status: StatusCode, kind: &'static str, body: impl IntoResponse) -> Response {
    (status, [(CONTENT_TYPE, kind)], body).into_response()
}

async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// On loopback, refuses requests for any name but ours: a web page elsewhere can point its own name
/// at 127.0.0.1 and have a browser on this machine read the answers (DNS rebinding). Browsers always
/// say the name, so a request without one, such as the health check of a balancer, is harmless.
async fn refuse_foreign_names(request: Request, next: Next) -> Response {
    if request.headers().get_all(HOST).iter().all(is_ours) {
        next.run(request).await
    } else {
        page(StatusCode::MISDIRECTED_REQUEST, TEXT, FOREIGN_NAME)
    }
}

fn is_ours(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    host.is_empty()
        || host.parse::<Authority>().is_ok_and(|authority| {
            let name = authority.host().trim_matches(['[', ']']);
            name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
        })
}

#[cfg(test)]
mod tests {
    use super::{HeaderValue, is_ours};

    fn ours(host: &str) -> bool {
        is_ours(&HeaderValue::from_str(host).expect("a field value"))
    }

    #[test]
    fn only_localhost_and_addresses_are_ours_or_no_name_at_all() {
        for host in ["localhost", "LocalHost:9900", "127.0.0.1:9900", "[::1]:9900", "192.0.2.7", ""]
        {
            assert!(ours(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "a b", "ä"]
        {
            assert!(!ours(host), "{host}");
        }
    }
}
