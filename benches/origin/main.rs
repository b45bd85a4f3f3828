//! origin: the backend of the end-to-end tests and of the comparisons.
//!
//! Answers quickly and always the same, unless a path or the control endpoint asks for trouble. Not a
//! web server: it trusts everybody and serves no files.

mod answer;
mod body;
mod order;
mod state;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{LocalSet, spawn_local};

use crate::state::State;

/// A backend that can be told to misbehave.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen; port 0 lets the system choose. Printed as `listening on ADDRESS`.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Sent in every answer as `x-origin`.
    #[arg(long, default_value = "a")]
    name: String,
    /// Where to record every request of the traffic.
    #[arg(long)]
    journal: Option<PathBuf>,
    /// Where to record when each request of the traffic came and when its answer was ready.
    #[arg(long)]
    spans: Option<PathBuf>,
    /// The size of the answer to `GET /`.
    #[arg(long, default_value_t = 128)]
    body_bytes: usize,
    /// Where to listen for TLS as well. Printed as `TLS on ADDRESS`.
    #[arg(long, requires_all = ["tls_certificate", "tls_key"])]
    tls_listen: Option<SocketAddr>,
    /// The certificate chain, a PEM file.
    #[arg(long)]
    tls_certificate: Option<PathBuf>,
    /// Its key, a PEM file.
    #[arg(long)]
    tls_key: Option<PathBuf>,
}

fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run(arguments))
}

async fn run(arguments: Arguments) -> std::io::Result<()> {
    let (journal, spans) = (arguments.journal.as_deref(), arguments.spans.as_deref());
    let state = State::new(&arguments.name, arguments.body_bytes, journal, spans)?;
    let state = Rc::new(state);
    if let (Some(address), Some(certificate), Some(key)) =
        (arguments.tls_listen, &arguments.tls_certificate, &arguments.tls_key)
    {
        println!("TLS on {}", tls::open(address, certificate, key, &state)?);
    }
    let mut listener = listen(arguments.listen)?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connection(stream, Rc::clone(&state)),
                // Out of descriptors, or the client has gone already: the next one may do better.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            pause = state.refusal() => {
                drop(listener);
                tokio::time::sleep(pause).await;
                listener = listen(address)?;
            }
        }
    }
}

/// Listens with room for many connections that nobody accepts yet: with the usual 128, a stopped origin
/// would let the system drop the next ones, and their clients would try again a whole second later.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}

fn connection(stream: TcpStream, state: Rc<State>) {
    let _ = stream.set_nodelay(true);
    state.connection();
    spawn_local(serve(stream, state));
}

/// Serves one connection until it ends; its errors are the client's business.
async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, state: Rc<State>) {
    let service = service_fn(move |request| answer::answer(Rc::clone(&state), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let _ = connection.with_upgrades().await;
}
