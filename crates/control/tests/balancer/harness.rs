//! Backends that can be broken, a balancer in front of them, and waiting with a deadline.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use config::model::ListenAddress;
use control::{Command, CommandError, Control, Done, Inherited, Kind, Operator, Source, Status};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far more than anything here takes, so that only a hang runs into it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// In place of a status: no answer.
const SILENT: u16 = 0;

/// A server that answers every request with its name, until it is broken.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    name: &'static str,
    status: Arc<AtomicU16>,
    /// Whether the next answer is a 503 all the same.
    sick: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Backend {
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let status = Arc::new(AtomicU16::new(200));
        let sick = Arc::default();
        let task = tokio::spawn(answer(listener, name, status.clone(), Arc::clone(&sick)));
        Self { address, name, status, sick, task }
    }

    /// Its next answer is a 503, whoever asks.
    pub(crate) fn be_sick_once(&self) {
        self.sick.store(true, Relaxed);
    }

    /// From now on it answers with this status.
    pub(crate) fn answer_with(&self, status: u16) {
        self.status.store(status, Relaxed);
    }

    /// From now on it takes requests and says nothing.
    pub(crate) fn hang(&self) {
        self.status.store(SILENT, Relaxed);
    }

    /// From now on nobody listens there.
    pub(crate) async fn kill(&mut self) {
        self.task.abort();
        // It ends as told.
        let _ = (&mut self.task).await;
    }

    pub(crate) async fn revive(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("its port");
        self.task =
            tokio::spawn(answer(listener, self.name, self.status.clone(), self.sick.clone()));
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request per connection: nothing to keep alive, nothing to be surprised by.
async fn answer(
    listener: TcpListener,
    name: &'static str,
    status: Arc<AtomicU16>,
    sick: Arc<AtomicBool>,
) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let status = if sick.swap(false, Relaxed) { 503 } else { status.load(Relaxed) };
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            if status == SILENT {
                return std::future::pending().await;
            }
            let length = name.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{name}"
            );
            // A probe that has its answer may be gone already.
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}

/// A config for the service `web`. `backends` in priority order; `more` are further keys of the
/// service, as `key: value` in flow style.
pub(crate) fn config(backends: &[&Backend], more: &str) -> String {
    config_on(&["127.0.0.1:0".to_owned()], backends, more)
}

pub(crate) fn config_on(listeners: &[String], backends: &[&Backend], more: &str) -> String {
    let listeners: String =
        listeners.iter().map(|address| format!("  - address: \"{address}\"\n")).collect();
    let backends: String = backends
        .iter()
        .map(|b| format!("      - {{ name: {}, url: \"http://{}\" }}\n", b.name, b.address))
        .collect();
    let health = "{ http: { path: / }, interval: 50ms, timeout: 1s, confirm_interval: 10ms }";
    let health =
        if more.contains("health:") { String::new() } else { format!("    health: {health}\n") };
    let more = if more.is_empty() { String::new() } else { format!("    {more}\n") };
    format!(
        "workers: 1\nlisteners:\n{listeners}services:\n  web:\n    backends:\n{backends}{health}{more}"
    )
}

pub(crate) async fn start(text: &str) -> Control {
    let loaded = config::load("test.yaml", text, &PathBuf::new());
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    let source = Source { file: "test.yaml".into(), ..Source::default() };
    Control::start(loaded.config, source, Inherited::default()).await.expect("it starts")
}

/// Starts a balancer and waits until `active` has the traffic.
pub(crate) async fn start_on(text: &str, active: &str) -> Control {
    let control = start(text).await;
    wait_for_active(&control, active).await;
    control
}

/// Waits until the status is as `wanted` says.
pub(crate) async fn wait_for(
    control: &Control,
    what: &str,
    wanted: impl FnMut(&Arc<Status>) -> bool,
) {
    let mut changes = control.subscribe();
    let met = timeout(PATIENCE, changes.wait_for(wanted)).await.map(|met| met.map(drop));
    assert!(matches!(met, Ok(Ok(()))), "{what}: {:#?}", control.status());
}

pub(crate) async fn wait_for_active(control: &Control, name: &str) {
    let active = |status: &Arc<Status>| web(status).active.as_deref() == Some(name);
    wait_for(control, &format!("{name} is not active"), active).await;
}

pub(crate) fn web(status: &Status) -> &control::ServiceStatus {
    status.service("web").expect("the service `web`")
}

/// Asks the first listener; the status and the body.
pub(crate) async fn get(control: &Control) -> (u16, String) {
    get_at(&control.listening()[0].local).await
}

pub(crate) async fn get_at(address: &ListenAddress) -> (u16, String) {
    let answer = async {
        let mut stream = TcpStream::connect(address.tcp().expect("IP")).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(PATIENCE, answer).await.expect("an answer in time").expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.expect("a status"), body.expect("a body"))
}

/// The moves so far, as `from->to reason`.
pub(crate) fn moves(control: &Control) -> Vec<String> {
    let name = |backend: &Option<Arc<str>>| backend.as_deref().unwrap_or("-").to_owned();
    let events = control.events(0).into_iter().filter_map(|event| match event.kind {
        Kind::ActiveChanged { from, to, reason, .. } => {
            Some(format!("{}->{} {reason:?}", name(&from), name(&to)))
        }
        Kind::CalledOff { .. }
        | Kind::Verified { .. }
        | Kind::DrillBegan { .. }
        | Kind::DrillEnded { .. }
        | Kind::Ordered { .. }
        | Kind::State { .. }
        | Kind::StreamsSettled { .. }
        | Kind::HealthChanged { .. }
        | Kind::AdminChanged { .. }
        | Kind::Locked { .. }
        | Kind::Unlocked
        | Kind::ClaimChanged { .. }
        | Kind::DualActive { .. }
        | Kind::DualActiveCleared { .. }
        | Kind::StandbyReady { .. }
        | Kind::StandbyNotReady { .. }
        | Kind::NoVerdict { .. }
        | Kind::VerdictsAgain { .. }
        | Kind::GateEnded { .. }
        | Kind::GateInDoubt { .. }
        | Kind::Barred { .. }
        | Kind::JobEnded { .. }
        | Kind::Stale { .. }
        | Kind::Fresh { .. }
        | Kind::NotToldOf { .. }
        | Kind::CutOff { .. }
        | Kind::Reconnected { .. }
        | Kind::Reloaded { .. }
        | Kind::FilesLoaded { .. }
        | Kind::FileRefused { .. }
        | Kind::ReloadFailed { .. } => None,
    });
    events.collect()
}

/// Has an operator ask for something.
pub(crate) async fn order(control: &Control, command: Command) -> Result<Done, CommandError> {
    control.command("web", command, Operator::local("test")).await
}

pub(crate) fn switchover(to: &str) -> Command {
    Command::Switchover { to: to.to_owned(), verify: None }
}
