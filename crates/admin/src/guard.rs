//! What holds for every request, whoever sends it: names, sites, deadlines, fields of answers.

use std::any::Any;
use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::csrf::ProtectionError;

use crate::problem::{Kind, Problem};

/// What every answer says to a browser: keep nothing, guess nothing, show it in no other page.
const FIELDS: [(axum::http::HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];

pub(crate) async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in FIELDS {
        // The dashboard has said itself what little its page may do.
        if name != CONTENT_SECURITY_POLICY || !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// On loopback, refuses requests for any name but ours: a web page elsewhere can point its own name
/// at 127.0.0.1 and have a browser on this machine read the answers (DNS rebinding). Browsers always
/// say the name, so a request without one, such as the health check of a balancer, is harmless.
pub(crate) async fn refuse_foreign_names(request: Request, next: Next) -> Response {
    if request.headers().get_all(HOST).iter().all(is_ours) {
        return next.run(request).await;
    }
    let detail = "this name is not answered on loopback: ask for 127.0.0.1 or localhost, or \
                  configure an address that is not loopback, with `tls` and a token";
    Problem::new(Kind::ForeignName, detail).into_response()
}

fn is_ours(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    host.is_empty()
        || host.parse::<Authority>().is_ok_and(|authority| {
            let name = authority.host().trim_matches(['[', ']']);
            name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
        })
}

/// What a page of another site is told that has a browser send us something.
pub(crate) fn from_another_site(_: ProtectionError) -> Response {
    let detail = "a web page of another site sent this (Origin, Sec-Fetch-Site); nothing was done";
    Problem::new(Kind::CrossSite, detail).into_response()
}

/// Gives up on answers that take too long. What was ordered goes on.
pub(crate) async fn deadline(
    State(within): State<Duration>,
    request: Request,
    next: Next,
) -> Response {
    match tokio::time::timeout(within, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!(
                "no answer within {} s; what was ordered goes on: ask for the status",
                within.as_secs()
            );
            Problem::new(Kind::TookTooLong, detail).into_response()
        }
    }
}

/// What the client is told of a bug of ours.
pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("admin: an answer panicked");
    Problem::new(Kind::Failed, "this is a bug; please report it").into_response()
}

pub(crate) async fn nothing_here() -> Problem {
    Problem::new(Kind::NotFound, "nothing here; try / or /api/v1/openapi.json")
}

pub(crate) async fn wrong_method() -> Problem {
    Problem::new(Kind::WrongMethod, "the field Allow says which methods are answered here")
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
