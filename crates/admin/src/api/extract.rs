//! What a request says, or the problem with it.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::IntoParams;

use crate::problem::{Kind, Problem};
use crate::wire::request;

/// From the head of a request to the end of its body.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// No name is longer, in characters.
const NAME_LENGTH: usize = 256;

/// The largest number that every reader of JSON knows exactly (RFC 8259, 6).
const LARGEST: u64 = (1 << 53) - 1;

/// The parts of the path.
pub(super) struct At<T>(pub(super) T);

/// What stands behind the `?`.
pub(super) struct Asked<T>(pub(super) T);

/// The body: JSON, and said to be JSON, which a form of another site cannot do without asking first
/// (CORS). An empty one is `{}`.
pub(super) struct Body<T>(pub(super) T);

/// Why something is undone; a body with `DELETE` would have no meaning (RFC 9110, 9.3.5).
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// Why, for the records.
    #[param(max_length = 500, pattern = r"^[^\x00-\x1f\x7f]*$")]
    pub(super) reason: Option<String>,
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(error) => {
                Err(Problem::new(Kind::Malformed, format!("path: {}", error.body_text())))
            }
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error) => {
                Err(Problem::new(Kind::Malformed, format!("query: {}", error.body_text())))
            }
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "send `Content-Type: application/json`, also with an empty body";
            return Err(Problem::new(Kind::NotJson, detail));
        }
        let bytes = Bytes::from_request(request, state);
        let bytes = match tokio::time::timeout(BODY_WITHIN, bytes).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => return Err(unreadable(&error)),
            Err(_) => {
                let detail = format!("the body must be here within {} s", BODY_WITHIN.as_secs());
                return Err(Problem::new(Kind::SlowBody, detail));
            }
        };
        parse(&bytes).map(Self)
    }
}

fn unreadable(error: &BytesRejection) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("a body may have {} bytes", super::BODY_BYTES);
        return Problem::new(Kind::TooLarge, detail);
    }
    Problem::new(Kind::Malformed, format!("body: {}", error.body_text()))
}

/// Also with parameters, such as a charset; JSON is UTF-8 whatever they say (RFC 8259, 8.1).
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Ok(value) = value.to_str() else { return false };
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let problem = |kind, why: &dyn Display| Problem::new(kind, format!("body: {why}"));
    let value = serde_json::from_slice(bytes).map_err(|error| problem(Kind::Malformed, &error))?;
    // serde would take the values of a structure's fields in order, too.
    if has_list(&value) {
        return Err(problem(Kind::Invalid, &"nothing here is a list"));
    }
    // From the text again, so that a key that is there twice is noticed, and a line can be named.
    serde_json::from_slice(bytes).map_err(|error| problem(Kind::Invalid, &error))
}

fn has_list(value: &Value) -> bool {
    match value {
        Value::Array(_) => true,
        Value::Object(fields) => fields.values().any(has_list),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The name of a service of which something is wanted; it may be one that is gone.
pub(super) fn filter(service: Option<String>) -> Result<Option<String>, Problem> {
    if service.as_ref().is_some_and(|service| service.chars().count() > NAME_LENGTH) {
        let detail = format!("query: service: a name has at most {NAME_LENGTH} characters");
        return Err(Problem::new(Kind::Malformed, detail));
    }
    Ok(service)
}

/// The number of an event.
pub(super) fn number(name: &str, number: Option<u64>) -> Result<Option<u64>, Problem> {
    if number.is_some_and(|number| number > LARGEST) {
        let detail = format!("{name}: no event has a number greater than {LARGEST}");
        return Err(Problem::new(Kind::Malformed, detail));
    }
    Ok(number)
}

/// A reason, fit for one line of a log.
pub(super) fn reason(given: Option<String>) -> Result<Arc<str>, Problem> {
    let given = given.unwrap_or_default();
    if given.chars().count() > request::REASON_LENGTH || given.chars().any(char::is_control) {
        let detail = format!("reason: at most {} characters, on one line", request::REASON_LENGTH);
        return Err(Problem::new(Kind::Invalid, detail));
    }
    Ok(given.into())
}

/// How long a move is watched.
pub(super) fn verify(seconds: Option<f64>) -> Result<Option<Duration>, Problem> {
    seconds
        .map(|seconds| within("verify_seconds", seconds, 0.0, request::VERIFY_SECONDS))
        .transpose()
}

/// How long a drill takes.
pub(super) fn drill_length(seconds: f64) -> Result<Duration, Problem> {
    within("length_seconds", seconds, 1.0, request::DRILL_SECONDS)
}

fn within(name: &str, seconds: f64, least: f64, most: f64) -> Result<Duration, Problem> {
    let fits = (least..=most).contains(&seconds);
    let duration = Duration::try_from_secs_f64(seconds).ok().filter(|_| fits);
    duration.ok_or_else(|| {
        Problem::new(Kind::Invalid, format!("{name}: {seconds} is not from {least} to {most}"))
    })
}

/// The field that tags requests, and its value.
pub(super) fn tag(tag: &request::Tag) -> Result<(HeaderName, Option<HeaderValue>), Problem> {
    let bad = |what: &str| Problem::new(Kind::Invalid, format!("tag: {what}"));
    let header = HeaderName::from_bytes(tag.header.as_bytes())
        .map_err(|_| bad("`header` is not the name of a field"))?;
    let value = tag.value.as_deref().map(HeaderValue::from_str).transpose();
    Ok((header, value.map_err(|_| bad("`value` is not the value of a field"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status<T: std::fmt::Debug>(result: Result<T, Problem>) -> Option<u16> {
        result.err().map(|problem| problem.status)
    }

    #[test]
    fn what_is_not_json_is_malformed_and_what_does_not_fit_is_invalid() {
        let parse = |text: &str| status(parse::<request::Switchover>(text.as_bytes()));
        assert_eq!(parse(r#"{"to": "b"}"#), None);
        let listed =
            super::parse::<request::Drill>(br#"{"length_seconds": 5, "tag": ["X-Drill"]}"#);
        assert_eq!(status(listed), Some(422));
        for malformed in ["{", "{]", "\u{feff}{}", "nothing"] {
            assert_eq!(parse(malformed), Some(400), "{malformed}");
        }
        for invalid in [
            "",
            "{}",
            "[]",
            r#"{"to": 1}"#,
            r#"{"to": "b", "To": "b"}"#,
            r#"{"to": "b", "to": "b"}"#,
            r#"{"to": "b", "at": "soon"}"#,
            r#"{"to": "b", "dry_run": null}"#,
            r#"["b"]"#,
        ] {
            assert_eq!(parse(invalid), Some(422), "{invalid}");
        }
    }

    #[test]
    fn only_json_is_json() {
        let json = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_TYPE, HeaderValue::from_str(value).expect("a value"));
            }
            is_json(&headers)
        };
        assert!(json(&["application/json"]) && json(&["Application/JSON; charset=utf-8"]));
        for other in ["", "text/plain", "application/json+x", "text/plain; application/json"] {
            assert!(!json(&[other]), "{other}");
        }
        assert!(!json(&[]) && !json(&["application/json", "text/plain"]));
    }

    #[test]
    fn bounds_are_kept() {
        assert_eq!(verify(None), Ok(None));
        assert_eq!(verify(Some(300.0)), Ok(Some(Duration::from_secs(300))));
        assert_eq!(verify(Some(0.0)), Ok(Some(Duration::ZERO)));
        for bad in [-0.1, 300.1, 1e300, f64::NAN, f64::INFINITY] {
            assert_eq!(status(verify(Some(bad))), Some(422), "{bad}");
        }
        assert_eq!(status(drill_length(0.9)), Some(422));
        assert_eq!(status(reason(Some("ä".repeat(500)))), None);
        for bad in ["a\nb".to_owned(), "a\u{1b}[2J".to_owned(), "a".repeat(501)] {
            assert_eq!(status(reason(Some(bad))), Some(422));
        }
    }

    #[test]
    fn a_tag_is_a_field() {
        let of = |header: &str, value: Option<&str>| {
            let value = value.map(ToOwned::to_owned);
            status(tag(&request::Tag { header: header.to_owned(), value, backend: None }))
        };
        assert_eq!(of("X-Drill", None), None);
        assert_eq!(of("X-Drill", Some("yes")), None);
        assert_eq!(of("X Drill", None), Some(422));
        assert_eq!(of("", None), Some(422));
        assert_eq!(of("X-Drill", Some("a\r\nb: c")), Some(422));
    }
}
