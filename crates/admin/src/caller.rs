//! Who calls, and what they may do.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use control::Operator;

use crate::dashboard;
use crate::problem::{Kind, Problem};
use crate::tokens::{Access, Tokens, Unknown};
use crate::wire::Whoami;

/// Answered to everybody: whoever starts and stops us has no token.
const OPEN: [&str; 2] = ["/livez", "/readyz"];

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// Over TCP, and from where.
    Tcp(SocketAddr),
    /// Over our Unix socket, which only its owner can open.
    Unix {
        /// The user's name, or number.
        user: Arc<str>,
        /// The process.
        pid: Option<i32>,
    },
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    who: Arc<str>,
    from: Arc<str>,
    access: Access,
    /// Whether tokens are in use here.
    tokens: bool,
}

/// A caller who may change something.
#[derive(Clone, Debug)]
pub(crate) struct Writer(Caller);

impl Caller {
    /// Who it is and what they may do, for themselves.
    pub(crate) fn whoami(&self) -> Whoami {
        let (access, how_to_write) = match self.access {
            Access::Write => ("write", None),
            Access::Read => ("read", Some(self.how_to_write())),
        };
        Whoami {
            who: self.who.to_string(),
            from: self.from.to_string(),
            access: access.to_owned(),
            by_token: self.tokens,
            how_to_write,
        }
    }

    /// What to do for whoever may only read, and wants more.
    fn how_to_write(&self) -> String {
        if self.tokens {
            let who = &self.who;
            return format!("token {who:?} may only read; use one with `access: write`");
        }
        "without tokens this address is for reading; use the Unix socket, or make a token \
         with `understudy token` and put it into the config"
            .to_owned()
    }
}

impl Writer {
    /// Who it is, for the records.
    pub(crate) fn operator(&self, why: Arc<str>) -> Operator {
        Operator { who: self.0.who.clone(), from: self.0.from.clone(), why }
    }
}

impl<S: Sync> FromRequestParts<S> for Writer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().ok_or_else(|| {
            Problem::new(Kind::Failed, "nobody asked who calls; please report this")
        })?;
        match caller.access {
            Access::Write => Ok(Self(caller.clone())),
            Access::Read => Err(Problem::new(Kind::ReadOnly, caller.how_to_write())),
        }
    }
}

/// Lets pass who may read, with a [`Caller`] that says who it is.
pub(crate) async fn recognise(
    State((tokens, peer)): State<(Arc<Tokens>, Peer)>,
    mut request: Request,
    next: Next,
) -> Response {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    let path = request.uri().path();
    if reads && (OPEN.contains(&path) || dashboard::is_open(path, request.headers())) {
        return next.run(request).await;
    }
    match caller(&tokens, &peer, request.headers()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn caller(tokens: &Tokens, peer: &Peer, headers: &HeaderMap) -> Result<Caller, Problem> {
    let address = match peer {
        Peer::Unix { user, pid } => {
            let from = match pid {
                Some(pid) => format!("unix socket, pid {pid}"),
                None => "unix socket".to_owned(),
            };
            let (who, from) = (user.clone(), from.into());
            return Ok(Caller { who, from, access: Access::Write, tokens: false });
        }
        Peer::Tcp(address) => address,
    };
    let from = address.to_string().into();
    if tokens.is_empty() {
        return Ok(Caller { who: "anybody".into(), from, access: Access::Read, tokens: false });
    }
    let secret = bearer(headers)?;
    match tokens.recognise(secret).await {
        Ok(token) => {
            Ok(Caller { who: token.name().clone(), from, access: token.access(), tokens: true })
        }
        Err(Unknown::Wrong) => {
            tracing::warn!(%from, "admin: unknown token");
            let detail = "this token is not one of those in the config";
            Err(Problem::new(Kind::WrongToken, detail))
        }
        Err(Unknown::TooMany) => {
            let detail = "too many unknown tokens just now; try again in a second";
            Err(Problem::new(Kind::TooManyAttempts, detail))
        }
    }
}

/// The token of `Authorization: Bearer` (RFC 6750).
fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let needed = |detail| Problem::new(Kind::NoToken, detail);
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value =
        values.next().ok_or_else(|| needed("send a token: `Authorization: Bearer TOKEN`"))?;
    if values.next().is_some() {
        return Err(needed("send `Authorization` once"));
    }
    let value = value.to_str().map_err(|_| needed("`Authorization` is not text"))?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        Some(_) | None => Err(needed("only `Authorization: Bearer TOKEN` is understood")),
    }
}
