//! Why a request was not carried out, as `application/problem+json` (RFC 9457).

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use control::{CommandError, Refusal, ReloadError};

pub(crate) use crate::wire::Problem;

/// The media type of a problem.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// What kinds of problems there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Malformed,
    NoToken,
    WrongToken,
    ReadOnly,
    CrossSite,
    NotFound,
    WrongMethod,
    SlowBody,
    Refused,
    TooLarge,
    NotJson,
    ForeignName,
    Invalid,
    TooManyAttempts,
    Failed,
    Busy,
    TookTooLong,
    Stopping,
}

impl Kind {
    /// Its word for programs, its status, and its words for people.
    fn facts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::Malformed => ("malformed", StatusCode::BAD_REQUEST, "Not understood"),
            Self::NoToken => ("token-needed", StatusCode::UNAUTHORIZED, "A token is needed"),
            Self::WrongToken => ("token-unknown", StatusCode::UNAUTHORIZED, "Unknown token"),
            Self::ReadOnly => ("read-only", StatusCode::FORBIDDEN, "Reading only"),
            Self::CrossSite => ("cross-site", StatusCode::FORBIDDEN, "Sent by another site"),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "Not found"),
            Self::WrongMethod => {
                ("wrong-method", StatusCode::METHOD_NOT_ALLOWED, "Not done by this method")
            }
            Self::SlowBody => ("slow-body", StatusCode::REQUEST_TIMEOUT, "The body took too long"),
            Self::Refused => ("refused", StatusCode::CONFLICT, "Refused"),
            Self::TooLarge => ("too-large", StatusCode::PAYLOAD_TOO_LARGE, "Too large"),
            Self::NotJson => ("not-json", StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not JSON"),
            Self::ForeignName => ("foreign-name", StatusCode::MISDIRECTED_REQUEST, "Not our name"),
            Self::Invalid => ("invalid", StatusCode::UNPROCESSABLE_ENTITY, "Cannot be done"),
            Self::TooManyAttempts => {
                ("too-many-attempts", StatusCode::TOO_MANY_REQUESTS, "Too many attempts")
            }
            Self::Failed => ("failed", StatusCode::INTERNAL_SERVER_ERROR, "Failed"),
            Self::Busy => ("busy", StatusCode::SERVICE_UNAVAILABLE, "Busy"),
            Self::TookTooLong => {
                ("took-too-long", StatusCode::SERVICE_UNAVAILABLE, "Took too long")
            }
            Self::Stopping => ("stopping", StatusCode::SERVICE_UNAVAILABLE, "Stopping"),
        }
    }
}

impl Problem {
    /// A problem of a kind; `detail` says what is wrong this time, and what to do about it.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (word, _, _) = kind.facts();
        Self::named(kind, word, detail)
    }

    /// The same under a word of its own.
    fn named(kind: Kind, word: &str, detail: impl Into<String>) -> Self {
        let (_, status, title) = kind.facts();
        Self {
            kind: format!("urn:understudy:problem:{word}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            let how = HeaderValue::from_static("Bearer realm=\"understudy\"");
            headers.insert(WWW_AUTHENTICATE, how);
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let kind = match &error {
            CommandError::UnknownService(_)
            | CommandError::UnknownBackend(_)
            | CommandError::UnknownJob(_) => Kind::NotFound,
            CommandError::Refused(_)
            | CommandError::DualActive(_)
            | CommandError::CalledOff(_)
            | CommandError::Returned(_) => Kind::Refused,
            CommandError::Impossible(_) => Kind::Invalid,
            CommandError::Stopping => Kind::Stopping,
        };
        let advice = match &error {
            CommandError::UnknownService(_) => "; `status` lists them",
            CommandError::UnknownBackend(_) => "; `status` lists them",
            CommandError::UnknownJob(_) => "; `job list` lists them",
            CommandError::Refused(Refusal::NotEligible) => "; a dry run of the move says why",
            CommandError::Refused(_)
            | CommandError::DualActive(_)
            | CommandError::CalledOff(_)
            | CommandError::Returned(_)
            | CommandError::Impossible(_)
            | CommandError::Stopping => "",
        };
        Self::named(kind, error.word(), format!("{error}{advice}"))
    }
}

impl From<ReloadError> for Problem {
    fn from(error: ReloadError) -> Self {
        let (kind, word) = match &error {
            ReloadError::Config(_) => (Kind::Invalid, "bad-config"),
            ReloadError::Build(_) => (Kind::Invalid, "cannot-be-built"),
            ReloadError::Read { .. } => (Kind::Refused, "file-unreadable"),
            ReloadError::NoFile => (Kind::Refused, "no-file"),
            ReloadError::Stopping => (Kind::Stopping, "stopping"),
            ReloadError::Lost(_) | ReloadError::Unfinished { .. } => {
                (Kind::Failed, "reload-incomplete")
            }
        };
        let why = std::error::Error::source(&error).map(|why| format!(": {why}"));
        // A config's problems say themselves where they are, over several lines.
        let why = why.filter(|_| matches!(error, ReloadError::Read { .. })).unwrap_or_default();
        Self::named(kind, word, format!("{error}{why}"))
    }
}
