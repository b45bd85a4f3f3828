//! The admin listener: metrics, liveness, readiness and status over HTTP.
//!
//! Reads only, and talks to control only. A client here can neither slow the traffic down nor hold
//! on to anything for long: connections, request heads, bodies and answers are bounded.

mod pages;
pub mod wire;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use control::Control;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Open connections; more wait to be accepted.
const CONNECTIONS: usize = 64;
/// From the connection, or the last answer, to the end of a request head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long running answers may take after the stop.
const STOP_WITHIN: Duration = Duration::from_secs(1);
/// After `accept` failed, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers on `listener` until `stop`.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve(
    listener: std::net::TcpListener,
    control: Control,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let router = pages::router(control, listener.local_addr()?);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            stream = accept(&listener, &places) => {
                let (stream, place) = stream;
                let (router, stopped) = (router.clone(), stopped.clone());
                connections.spawn(async move {
                    connection(stream, router, stopped).await;
                    drop(place);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(stopping);
    let done = async { while connections.join_next().await.is_some() {} };
    // Those that are not done by then are cut off as the set is dropped.
    let _ = timeout(STOP_WITHIN, done).await;
    Ok(())
}

/// The next connection, with its place among those that may be open.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, tokio::sync::OwnedSemaphorePermit) {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            // Nobody closes the semaphore.
            std::future::pending().await
        };
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                tracing::warn!("admin: cannot accept: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: axum::Router, mut stopped: watch::Receiver<()>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
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
