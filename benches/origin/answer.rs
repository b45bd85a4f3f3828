//! Answers one request as its path says: the catalogue of what an origin can do.
//!
//! | path | answer |
//! |---|---|
//! | `/` | 200, a small body |
//! | `/healthz` | what `PUT /control?health=` said last, perhaps with `health_text=` or `health_drip_ms=` |
//! | `/bytes/N`, `/chunked/N` | N bytes, with a length or in chunks |
//! | `/slow?ms=` | 200 after that time |
//! | `/drip?parts=&size=&ms=` | parts of that size, each after that time |
//! | `/echo` | one line of JSON with the request head, then the request body as it arrives |
//! | `/status/NNN` | that status |
//! | `POST /orders/ID?ms=` | 201 after recording the order, then waiting |
//! | `/ws` | 101, then every byte comes back |
//! | `/sse?ms=&count=` | server-sent events; endless without a count |
//! | `/trailers` | a body and a trailer field |
//! | `/abort?after=` | breaks off after that many body bytes; without a number before the head |
//! | `PUT /control?KEY=VALUE&...` | 204; or the same keys as a JSON object in the body |
//! | `/stats` | JSON: what arrived |

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, UPGRADE};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::body::{self, Body, full};
use crate::order::order;
use crate::state::{Field, State};

static X_ORIGIN: HeaderName = HeaderName::from_static("x-origin");

/// Answers one request; an error closes its connection without an answer.
pub(crate) async fn answer(
    state: Rc<State>,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let path = request.uri().path().to_owned();
    let segment = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let mut response = match segment {
        "healthz" => {
            state.probe();
            let mut response = health(&state);
            add(&mut response, &state.control.health_field);
            response
        }
        "control" => control(&state, request).await,
        "stats" => json_of(&state.stats()),
        _ => {
            let mut response = traffic(&state, segment, &path, request).await?;
            add(&mut response, &state.control.field);
            response
        }
    };
    response.headers_mut().insert(X_ORIGIN.clone(), state.name.clone());
    Ok(response)
}

fn health(state: &State) -> Response<Body> {
    let (status, pause) = (state.control.health.get(), state.control.health_drip.get());
    let text = state.control.health_text.borrow().clone();
    let text = if bodiless(status) { Bytes::new() } else { text };
    let mut response = Response::new(if pause.is_zero() {
        full(text)
    } else {
        body::drops(text.len() as u64, pause, move |index| {
            let at = usize::try_from(index).unwrap_or_default();
            text.slice(at..=at)
        })
    });
    *response.status_mut() = status;
    response
}

/// Everything but health, control and stats: what is counted, recorded, delayed and refused.
async fn traffic(
    state: &State,
    segment: &str,
    path: &str,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    state.request(&format!("/{segment}"), request.headers());
    // Until the answer is ready; what a body still takes is not in it.
    let _stay = state.span(path, request.headers())?;
    if segment != "orders" {
        // Orders record themselves, when their bodies are complete.
        state.record(request.method(), path, "-", None)?;
    }
    let delay = state.control.delay.get();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if let Some(status) = state.control.status.get() {
        return Ok(with_status(status, "as told\n"));
    }
    let rest = path.trim_start_matches('/').strip_prefix(segment).unwrap_or_default();
    let rest = rest.trim_start_matches('/');
    let uri = request.uri();
    let millis = |default| Duration::from_millis(number(uri, "ms").unwrap_or(default));
    Ok(match segment {
        "" => Response::new(full(state.body.clone())),
        "bytes" => sized(rest),
        "chunked" => match rest.parse() {
            Ok(size) => Response::new(body::long(size)),
            Err(_) => with_status(StatusCode::BAD_REQUEST, "how many?\n"),
        },
        "slow" => {
            tokio::time::sleep(millis(100)).await;
            Response::new(full(state.body.clone()))
        }
        "drip" => {
            let size = usize::try_from(number(uri, "size").unwrap_or(1)).unwrap_or(1);
            let piece = Bytes::from(vec![b'.'; size]);
            let parts = number(uri, "parts").unwrap_or(10);
            Response::new(body::drops(parts, millis(100), move |_| piece.clone()))
        }
        "echo" => echo(request),
        "status" => match rest.parse() {
            Ok(status) => with_status(status, "status\n"),
            Err(_) => with_status(StatusCode::BAD_REQUEST, "which?\n"),
        },
        "orders" => order(state, rest, request).await?,
        "ws" => upgrade(request),
        "sse" => events(number(uri, "count").unwrap_or(u64::MAX), millis(100), state),
        "trailers" => {
            let body = body::with_trailer("with a trailer\n", "x-checksum", "17");
            let mut response = Response::new(body);
            response.headers_mut().insert("trailer", HeaderValue::from_static("x-checksum"));
            response
        }
        "abort" => match number(uri, "after") {
            None => return Err(io::Error::other("asked to break off")),
            Some(after) => {
                let mut response = Response::new(body::broken(after));
                response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(after + 1000));
                response
            }
        },
        _ => with_status(StatusCode::NOT_FOUND, "no such path\n"),
    })
}

fn add(response: &mut Response<Body>, field: &RefCell<Option<Field>>) {
    if let Some((name, value)) = &*field.borrow() {
        response.headers_mut().insert(name.clone(), value.clone());
    }
}

fn with_status(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(full(if bodiless(status) { "" } else { text }));
    *response.status_mut() = status;
    response
}

/// Whether answers with this status have no body (RFC 9110, 6.4.1).
fn bodiless(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

fn json_of(value: &Value) -> Response<Body> {
    let mut response = Response::new(full(format!("{value}\n")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn sized(size: &str) -> Response<Body> {
    let Ok(size) = size.parse::<u64>() else {
        return with_status(StatusCode::BAD_REQUEST, "how many?\n");
    };
    let mut response = Response::new(body::long(size));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size));
    response
}

fn echo(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let headers: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| [name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()])
        .collect();
    let line = json!({
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "version": format!("{:?}", head.version),
        "headers": headers,
    });
    Response::new(body::echo(Bytes::from(format!("{line}\n")), body))
}

fn events(count: u64, pause: Duration, state: &State) -> Response<Body> {
    let name = String::from_utf8_lossy(state.name.as_bytes()).into_owned();
    let event = move |index| {
        let mut event = String::new();
        let _ = write!(event, "id: {index}\ndata: {name}\n\n");
        Bytes::from(event)
    };
    let mut response = Response::new(body::drops(count, pause, event));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// Switches to whatever protocol the client asked for; its bytes come back as they are.
fn upgrade(request: Request<Incoming>) -> Response<Body> {
    let Some(protocol) = request.headers().get(UPGRADE).cloned() else {
        return with_status(StatusCode::UPGRADE_REQUIRED, "upgrade to what?\n");
    };
    tokio::task::spawn_local(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
            // Ends with the connection; how it ended is the client's business.
            let _ = tokio::io::copy(&mut read, &mut write).await;
        }
    });
    let mut response = with_status(StatusCode::SWITCHING_PROTOCOLS, "");
    response.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, protocol);
    response
}

/// Settings come as a query or as a JSON object; all are tried, the first wrong one is reported.
async fn control(state: &State, request: Request<Incoming>) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let mut settings: Vec<(String, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    match Limited::new(request.into_body(), 64 * 1024).collect().await.map(|body| body.to_bytes()) {
        Ok(body) if body.is_empty() => {}
        Ok(body) => match serde_json::from_slice(&body) {
            Ok(Value::Object(object)) => settings.extend(object.into_iter().map(|(key, value)| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                (key, text)
            })),
            Ok(_) | Err(_) => return with_status(StatusCode::BAD_REQUEST, "not a JSON object\n"),
        },
        Err(_) => return with_status(StatusCode::BAD_REQUEST, "no whole body\n"),
    }
    for (key, value) in settings {
        if let Err(why) = state.set(&key, &value) {
            let mut response = Response::new(full(format!("{why}\n")));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return response;
        }
    }
    with_status(StatusCode::NO_CONTENT, "")
}

/// A number in the query.
pub(crate) fn number(uri: &Uri, key: &str) -> Option<u64> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(known, _)| *known == key)?.1.parse().ok()
}
