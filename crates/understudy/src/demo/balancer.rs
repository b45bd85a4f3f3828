//! The balancer itself, as `understudy run` would start it, on a thread of its own.
//!
//! The config is written as a user would write it and goes the same way.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use control::{Control, Inherited, Source};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::backend::HEALTH_PATH;

/// The name of the service.
pub(super) const SERVICE: &str = "demo";
/// What messages about the config call it.
const FILE: &str = "demo.yaml";
/// Where the admin listener is usually found.
const ADMIN_PORT: u16 = 9900;

/// A balancer that runs until dropped.
#[derive(Debug)]
pub(super) struct Balancer {
    /// To ask it.
    pub(super) control: Control,
    /// Where it takes requests.
    pub(super) service: SocketAddr,
    /// Where it is watched.
    pub(super) admin: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread tells once it runs.
struct Running {
    control: Control,
    service: SocketAddr,
    admin: SocketAddr,
}

impl Balancer {
    /// Starts a balancer in front of two backends, the primary first. `interrupted` becomes true
    /// when somebody asks the process to end.
    ///
    /// # Errors
    /// When a port or a thread cannot be had.
    pub(super) fn start(
        backends: [(&'static str, SocketAddr); 2],
        hold_down: Duration,
        interrupted: Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        let admin = bind_admin()?;
        let text = config_text(backends, admin.local_addr()?, hold_down);
        let (report, running) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name("control".into())
            .spawn(move || runtime.block_on(run(text, admin, report, stopped, interrupted)))?;
        let Running { control, service, admin } =
            running.recv().context("the balancer ended before it began")??;
        Ok(Self { control, service, admin, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by the hook.
            let _ = thread.join();
        }
    }
}

/// Binds the usual address of the admin listener, or a free port when that is taken.
fn bind_admin() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, ADMIN_PORT))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
}

fn config_text(
    [(primary, primary_at), (standby, standby_at)]: [(&str, SocketAddr); 2],
    admin: SocketAddr,
    hold_down: Duration,
) -> String {
    let hold_down = hold_down.as_millis();
    format!(
        r#"# Everything that is not said here has its default.
workers: 1
listeners:
  - address: "127.0.0.1:0"
services:
  {SERVICE}:
    backends:
      - {{ name: {primary}, url: "http://{primary_at}" }}
      - {{ name: {standby}, url: "http://{standby_at}" }}
    health:
      http: {{ path: {HEALTH_PATH}, status: 200 }}
    # So short only because nobody wants to wait in a demo, and because it is fun to do it again.
    failback: {{ auto: {{ hold_down: {hold_down}ms, damping_window: 1s }} }}
admin: {{ address: "{admin}", socket: off }}
shutdown_timeout: 300ms
"#
    )
}

/// The thread: starts everything, reports, waits for the end, ends everything.
async fn run(
    text: String,
    admin: TcpListener,
    report: mpsc::SyncSender<anyhow::Result<Running>>,
    stopped: oneshot::Receiver<()>,
    interrupted: Arc<AtomicBool>,
) {
    let started = start(&text, &admin).await;
    let control = started.as_ref().ok().map(|running| running.control.clone());
    // Nobody to tell is nobody to serve.
    let told = report.send(started).is_ok();
    let Some(control) = control else { return };
    if told {
        tokio::select! {
            _ = stopped => {}
            () = watch_signals(&interrupted) => {}
            () = serve_admin(admin, control.clone()) => {}
        }
    }
    control.shut_down().await;
}

/// Answers on the admin listener. Never returns: when the listener breaks, the demo does without.
async fn serve_admin(listener: TcpListener, control: Control) {
    let endpoints = vec![admin::Endpoint::Tcp(listener)];
    let _ = admin::serve(endpoints, admin::Settings::default(), control, pending()).await;
    pending::<()>().await;
}

async fn start(text: &str, admin: &TcpListener) -> anyhow::Result<Running> {
    let loaded = config::load(FILE, text, Path::new(""))?;
    let source = Source { file: FILE.to_owned(), base: PathBuf::new(), path: None };
    let control = Control::start(loaded.config, source, Inherited::default()).await?;
    let listening = control.listening();
    let local = listening.first().and_then(|listening| listening.local.tcp());
    let service = local.context("no listener")?;
    Ok(Running { control, service, admin: admin.local_addr()? })
}

/// Notes when the process is asked to end. Never returns.
async fn watch_signals(interrupted: &AtomicBool) {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hang_up)] = kinds.map(signal) else {
        // Then a signal ends the process at once, as it does without this.
        return pending().await;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        interrupted.store(true, Relaxed);
    }
}
