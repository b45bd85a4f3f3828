//! What becomes of responses under way when the traffic moves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use control::{Control, Kind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::harness::{Backend, PATIENCE, config, order, start_on, switchover, wait_for_active};

/// From one byte of a slow response to the next.
const PACE: Duration = Duration::from_millis(10);

/// A server that says `.` for ever to whoever asks for `/slow`, and 200 or 503 to everybody else.
struct Slow {
    address: SocketAddr,
    sick: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Slow {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let sick = Arc::new(AtomicBool::new(false));
        let is_sick = Arc::clone(&sick);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, is_sick.load(Relaxed)));
            }
        });
        Self { address, sick, task }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, is_sick: bool) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    if head.starts_with(b"GET /slow") {
        stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 1000000\r\n\r\n").await?;
        loop {
            stream.write_all(b".").await?;
            sleep(PACE).await;
        }
    }
    let status = if is_sick { 503 } else { 200 };
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await
}

/// Two backends, the first of them slow, and what becomes of streams.
async fn start(slow: &Slow, standby: &Backend, streams: &str) -> Control {
    let more = format!("failback: manual\n    streams: {streams}");
    let text = config(&[standby], &more);
    let first = format!("    backends:\n      - {{ name: a, url: \"http://{}\" }}\n", slow.address);
    start_on(&text.replace("    backends:\n", &first), "a").await
}

/// A response under way.
struct Download(TcpStream);

impl Download {
    /// Begins one, and waits for the first bytes.
    async fn start(control: &Control) -> Self {
        let address = control.listening()[0].local.tcp().expect("an IP address");
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("it is taken");
        let mut download = Self(stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n.") {
            head.push(download.next().await.expect("a response"));
        }
        download
    }

    /// The next byte; `None` when it has ended.
    async fn next(&mut self) -> Option<u8> {
        let next = timeout(PATIENCE, self.0.read_u8()).await;
        next.expect("a byte or the end in time").ok()
    }

    async fn end(&mut self) {
        while self.next().await.is_some() {}
    }
}

/// Moves the service back to `a`; refused until its probes have passed.
async fn move_back(control: &Control) {
    let ordered = async {
        while order(control, switchover("a")).await.is_err() {
            sleep(PACE).await;
        }
    };
    timeout(PATIENCE, ordered).await.expect("a moves back in time");
}

/// Waits for what became of streams: the place of their move among all moves, how many there were, how
/// many were closed.
async fn settled(control: &Control) -> (u64, usize, u64) {
    let event = async {
        loop {
            let figures = control.events(0).into_iter().find_map(|event| {
                let Kind::StreamsSettled { epoch, left, closed } = event.kind else { return None };
                Some((epoch - before_first_move(control), left, closed))
            });
            match figures {
                Some(figures) => return figures,
                None => sleep(Duration::from_millis(5)).await,
            }
        }
    };
    timeout(PATIENCE, event).await.unwrap_or_else(|_| panic!("{:#?}", control.events(0)))
}

/// The epoch of the time before this process.
fn before_first_move(control: &Control) -> u64 {
    let first = control.events(0).into_iter().find_map(|event| {
        let Kind::ActiveChanged { epoch, .. } = event.kind else { return None };
        Some(epoch)
    });
    first.expect("a move") - 1
}

/// How many streams the latest move left behind.
fn left(control: &Control) -> usize {
    let left = control.events(0).into_iter().rev().find_map(|event| {
        let Kind::ActiveChanged { streams, .. } = event.kind else { return None };
        Some(streams)
    });
    left.expect("a move")
}

#[tokio::test]
async fn a_failover_closes_what_has_not_ended_by_its_deadline_and_writes_it_down() {
    let (a, b) = (Slow::start().await, Backend::start("b").await);
    let drain = "{ failover: { drain: { deadline: 300ms, window: 100ms } }, failback: keep }";
    let control = start(&a, &b, drain).await;
    let mut downloads = Vec::new();
    for _ in 0..3 {
        downloads.push(Download::start(&control).await);
    }
    a.sick.store(true, Relaxed);
    wait_for_active(&control, "b").await;
    assert_eq!(left(&control), 3);
    for download in &mut downloads {
        assert_eq!(download.next().await, Some(b'.'), "there was time");
        download.end().await;
    }
    assert_eq!(settled(&control).await, (2, 3, 3));
    let metrics = control.metrics().encode();
    assert!(metrics.contains("understudy_streams_closed_total{service=\"web\"} 3\n"), "{metrics}");
}

#[tokio::test]
async fn what_is_kept_goes_on_after_a_failover_and_an_ordered_move_closes_it() {
    let (a, b) = (Slow::start().await, Backend::start("b").await);
    let control = start(&a, &b, "{ failover: keep, failback: { close: { window: 0s } } }").await;
    let mut kept = Download::start(&control).await;
    a.sick.store(true, Relaxed);
    wait_for_active(&control, "b").await;
    assert_eq!(left(&control), 1);
    for _ in 0..50 {
        assert_eq!(kept.next().await, Some(b'.'));
    }
    a.sick.store(false, Relaxed);
    move_back(&control).await;
    let mut closed = Download::start(&control).await;
    order(&control, switchover("b")).await.unwrap();
    closed.end().await;
    let (place, left, closed) = settled(&control).await;
    assert_eq!((place, left, closed), (4, 2, 2), "the one that was kept is at `a`, too");
    kept.end().await;
}

#[tokio::test]
async fn streams_at_a_backend_that_is_active_again_go_on() {
    let (a, b) = (Slow::start().await, Backend::start("b").await);
    let drain = "{ failover: { drain: { deadline: 1s, window: 0s } }, failback: keep }";
    let control = start(&a, &b, drain).await;
    let mut download = Download::start(&control).await;
    a.sick.store(true, Relaxed);
    wait_for_active(&control, "b").await;
    a.sick.store(false, Relaxed);
    move_back(&control).await;
    let goes_on = async {
        loop {
            assert_eq!(download.next().await, Some(b'.'));
        }
    };
    // Written down once the time that it had is over.
    tokio::select! {
        () = goes_on => {}
        figures = settled(&control) => assert_eq!(figures, (2, 1, 0)),
    }
    assert_eq!(download.next().await, Some(b'.'));
}
