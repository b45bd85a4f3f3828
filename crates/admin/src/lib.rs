//! The admin server: metrics, readiness and status, and the API by which operators are in charge.
//!
//! Talks to control only. Who may do what is settled before anything else; changes carry who made
//! them. A client here can neither slow the traffic down nor hold on to anything for long: connections,
//! request heads, bodies, answers and waiting are bounded.

mod api;
mod caller;
mod dashboard;
mod endpoint;
mod guard;
mod pages;
mod patient;
mod problem;
mod socket;
#[cfg(test)]
mod tests;
mod tokens;
pub mod wire;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Router, middleware};
use control::Control;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::CsrfLayer;

use api::Api;
use endpoint::{Accepted, Door};
use patient::Patient;
use tokens::Tokens;

pub use api::openapi;
pub use endpoint::Endpoint;
pub use socket::{Socket, SocketError};
pub use tokens::{Access, BadHash, NewToken, NoRandomness, Token, token};

/// Open connections of one endpoint; more wait to be accepted. Each has its own, so that nobody from
/// outside can take the Unix socket away from the operator.
const CONNECTIONS: usize = 64;
/// From the connection, or the last answer, to the end of a request head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long a client may take nothing of an answer.
const TAKEN_WITHIN: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 30_000 });
/// How long running answers may take after the stop.
const STOP_WITHIN: Duration = Duration::from_secs(1);
/// After `accept` failed, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who may use it.
#[derive(Debug, Default)]
pub struct Settings {
    /// Without any, TCP is for reading only, and only on loopback. On the Unix socket nobody needs one.
    pub tokens: Vec<Token>,
}

/// One endpoint, and what its requests go through.
struct Front {
    door: Door,
    router: Router,
    tokens: Arc<Tokens>,
}

/// Answers on `endpoints` until `stop`.
///
/// # Errors
/// When an endpoint cannot be used, or is open to the network without TLS and tokens.
pub async fn serve(
    endpoints: Vec<Endpoint>,
    settings: Settings,
    control: Control,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let tokens = Arc::new(Tokens::new(settings.tokens).map_err(io::Error::other)?);
    let (stopping, stopped) = watch::channel(());
    let router = router(control, stopped.clone());
    let mut fronts = JoinSet::new();
    for endpoint in endpoints {
        let front = Front::new(endpoint.open()?, router.clone(), tokens.clone())?;
        fronts.spawn(front.run(stopped.clone()));
    }
    stop.await;
    drop(stopping);
    while fronts.join_next().await.is_some() {}
    Ok(())
}

/// Everything that is answered, whoever asks.
fn router(control: Control, stopped: watch::Receiver<()>) -> Router {
    let pages = pages::router(control.clone())
        .layer(middleware::from_fn_with_state(api::ANSWER_WITHIN, guard::deadline));
    pages
        .merge(api::router(Api::new(control, stopped)))
        .fallback(guard::nothing_here)
        .method_not_allowed_fallback(guard::wrong_method)
}

impl Front {
    fn new(door: Door, router: Router, tokens: Arc<Tokens>) -> io::Result<Self> {
        if let Some(why) = door.too_open(&tokens) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(Self { door, router, tokens })
    }

    async fn run(self, mut stopped: watch::Receiver<()>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        let stopping = stopped.clone();
        loop {
            tokio::select! {
                // An error is the sign: the sender is gone.
                _ = stopped.changed() => break,
                (accepted, place) = self.accept(&places) => {
                    let (router, tokens) = (self.router.clone(), self.tokens.clone());
                    let loopback = self.door.is_loopback();
                    let stopping = stopping.clone();
                    connections.spawn(async move {
                        connection(accepted, router, tokens, loopback, stopping).await;
                        drop(place);
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
        let done = async { while connections.join_next().await.is_some() {} };
        // Those that are not done by then are cut off as the set is dropped.
        let _ = timeout(STOP_WITHIN, done).await;
    }

    /// The next connection, with its place among those that may be open.
    async fn accept(&self, places: &Arc<Semaphore>) -> (Accepted, OwnedSemaphorePermit) {
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                // Nobody closes the semaphore.
                std::future::pending().await
            };
            match self.door.accept().await {
                Ok(accepted) => return (accepted, place),
                Err(error) => {
                    tracing::warn!("admin: cannot accept: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn connection(
    accepted: Accepted,
    router: Router,
    tokens: Arc<Tokens>,
    loopback: bool,
    mut stopped: watch::Receiver<()>,
) {
    let greeted = tokio::select! {
        greeted = accepted.greet() => greeted,
        _ = stopped.changed() => return,
    };
    // No TLS, or gone already: nothing that we could do about.
    let Ok((io, peer)) = greeted else { return };
    let state = (tokens, peer);
    let mut router = router
        .layer(middleware::from_fn_with_state(state, caller::recognise))
        .layer(CsrfLayer::new().with_rejection_response(guard::from_another_site));
    if loopback {
        router = router.layer(middleware::from_fn(guard::refuse_foreign_names));
    }
    let router = router
        .layer(CatchPanicLayer::custom(guard::panicked))
        .layer(middleware::map_response(guard::harden));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(16 * 1024)
        .serve_connection(
            TokioIo::new(Patient::new(io, TAKEN_WITHIN)),
            TowerToHyperService::new(router),
        );
    let mut connection = pin!(connection);
    tokio::select! {
        // The client went away or sent nonsense: nothing that we could do about.
        _ = &mut connection => return,
        // An error is the sign: the sender is gone.
        _ = stopped.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
