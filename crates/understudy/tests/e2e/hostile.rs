//! Clients that do all they can to look like a failing backend. What they send reaches the backend, which
//! breaks off, fails or falls silent as they wish, and yet the service never moves: only probes decide,
//! and nobody else waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use benches::load::{Load, Plan};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::stage::{Stage, assert_none_failed, wait_served};

/// How long they go on.
const LENGTH: Duration = Duration::from_secs(8);
/// The fastest that probes may be made to come.
const CONFIRM: Duration = Duration::from_millis(100);
/// Descriptors are shared by all processes of the test: some of it is left for the others.
const CROWD: usize = 1500;

/// The address that hostile clients come from: bounds on one client's connections are no part of this.
const FROM: &str = "127.0.0.66:0";

#[derive(Clone, Copy, Debug)]
enum Trick {
    /// Leaves while the backend works on the request.
    AbortInTheMiddle,
    /// Sends a head byte by byte and never ends it.
    Drip,
    /// Sends what is no HTTP.
    Nonsense,
    /// Makes the backend answer with an error.
    Errors,
    /// Makes the backend close the connection without an answer.
    NoAnswer,
    /// Makes the backend break off in the middle of a body.
    HalfAnswer,
    /// Makes the backend work for ever.
    Silence,
    /// Uploads without end, and resets.
    Upload,
    /// Opens HTTP/2 streams and resets them at once.
    RapidReset,
}

const TRICKS: [Trick; 9] = [
    Trick::AbortInTheMiddle,
    Trick::Drip,
    Trick::Nonsense,
    Trick::Errors,
    Trick::NoAnswer,
    Trick::HalfAnswer,
    Trick::Silence,
    Trick::Upload,
    Trick::RapidReset,
];

async fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(FROM.parse().expect("an address"))?;
    socket.connect(to).await
}

/// Does it once. Errors are what it came for.
async fn play(trick: Trick, to: SocketAddr, round: u64) -> std::io::Result<()> {
    let mut stream = connect(to).await?;
    let mut sink = [0; 4096];
    let head = |line: &str| format!("{line} HTTP/1.1\r\nhost: a.example\r\n\r\n");
    let pause = Duration::from_millis(20);
    match trick {
        Trick::AbortInTheMiddle => {
            stream.write_all(head("GET /slow?ms=2000").as_bytes()).await?;
            tokio::time::sleep(pause).await;
            stream.set_zero_linger()?;
        }
        Trick::Drip => {
            for byte in head("GET /drip").bytes().take(20) {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(pause).await;
            }
        }
        Trick::Nonsense => {
            let nonsense: [&[u8]; 4] = [
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                b"GET / HTTP/9.9\r\n\r\n",
                b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
                b"\0\0\0\0\r\n\r\n",
            ];
            stream.write_all(nonsense[(round % 4) as usize]).await?;
            let _ = timeout(pause, stream.read(&mut sink)).await;
        }
        Trick::Errors => {
            let status = [500, 502, 503, 504][(round % 4) as usize];
            for _ in 0..10 {
                stream.write_all(head(&format!("GET /status/{status}")).as_bytes()).await?;
                let _ = timeout(pause * 5, stream.read(&mut sink)).await;
            }
        }
        Trick::NoAnswer => {
            let method = if round.is_multiple_of(2) { "GET" } else { "POST" };
            stream.write_all(head(&format!("{method} /abort")).as_bytes()).await?;
            let _ = timeout(pause * 5, stream.read(&mut sink)).await;
        }
        Trick::HalfAnswer => {
            stream.write_all(head("GET /abort?after=5000").as_bytes()).await?;
            let _ = timeout(pause * 5, stream.read(&mut sink)).await;
        }
        Trick::Silence => {
            stream.write_all(head("GET /slow?ms=600000").as_bytes()).await?;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        Trick::Upload => {
            let head = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9999999999\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            for _ in 0..64 {
                let _ = timeout(pause, stream.write_all(&[b'x'; 16 * 1024])).await;
            }
            stream.set_zero_linger()?;
        }
        Trick::RapidReset => return rapid_reset(stream).await,
    }
    Ok(())
}

async fn rapid_reset(stream: TcpStream) -> std::io::Result<()> {
    let (send, connection) = h2::client::handshake(stream).await.map_err(std::io::Error::other)?;
    let driver = tokio::spawn(connection);
    let mut send = send;
    for _ in 0..200 {
        let request =
            http::Request::get("http://a.example/slow?ms=2000").body(()).expect("a request");
        let Ok(ready) = send.ready().await else { break };
        send = ready;
        let Ok((answer, mut stream)) = send.send_request(request, true) else { break };
        stream.send_reset(h2::Reason::CANCEL);
        drop(answer);
        tokio::task::yield_now().await;
    }
    driver.abort();
    Ok(())
}

/// All of them, several at a time, over and over; how often each trick was played.
fn rage(to: SocketAddr) -> thread::JoinHandle<Vec<u64>> {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let until = Instant::now() + LENGTH;
            let counts: Vec<_> = TRICKS.iter().map(|_| Arc::new(AtomicU64::new(0))).collect();
            let mut players = JoinSet::new();
            for (trick, count) in TRICKS.into_iter().zip(&counts) {
                for _ in 0..3 {
                    let count = Arc::clone(count);
                    players.spawn(async move {
                        while Instant::now() < until {
                            let round = count.fetch_add(1, SeqCst);
                            let _ = timeout(LENGTH, play(trick, to, round)).await;
                            // Two cores are shared with whoever must not suffer.
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    });
                }
            }
            let crowd = crowd(to).await;
            while players.join_next().await.is_some() {}
            drop(crowd);
            counts.iter().map(|count| count.load(SeqCst)).collect()
        })
    })
}

/// Connections that say nothing, or half a word.
async fn crowd(to: SocketAddr) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for number in 0..CROWD {
        if let Ok(Ok(mut stream)) = timeout(Duration::from_secs(1), connect(to)).await {
            if number % 3 == 0 {
                let _ = stream.write_all(b"GET /half HT").await;
            }
            crowd.push(stream);
        }
        if number % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    crowd
}

#[test]
fn no_client_can_move_the_service_or_take_it_from_another() {
    let stage = Stage::new(
        "health: { http: { path: /healthz, status: 200 }, interval: 1s, confirm_interval: 100ms }",
    );
    let address = stage.understudy.address();
    let load = Load::start(Plan::gets(address, 50));
    wait_served(&load, "a", 50);
    let probes = |stage: &Stage| stage.metric("understudy_probes_total", &[("backend", "a")]);
    let (before, begun) = (probes(&stage), Instant::now());
    let counts = rage(address).join().expect("no panic");
    wait_served(&load, "a", 50);
    let (made, took) = (probes(&stage) - before, begun.elapsed());
    let report = load.finish();
    let played: Vec<_> = TRICKS.iter().zip(&counts).collect();
    let suspicions = stage.metric("understudy_suspicions_total", &[]);
    eprintln!("{played:?}, {suspicions} suspicions, {made} probes in {took:?}\n{report}");

    assert!(counts.iter().all(|count| *count >= 3), "not all were played: {played:?}");
    assert!(suspicions >= 3, "nothing looked like a failure: the test shows nothing");
    assert_none_failed(&report);
    assert_eq!(report.origins().len(), 1, "{report}");
    // Clients wait for half a minute, and whoever says half a word is heard for ten seconds.
    assert!(report.longest_gap() < Duration::from_secs(8), "others had to wait: {report}");
    // However many of them there are: one probe for each interval of confirmation, and not more.
    let most = took.as_millis() / CONFIRM.as_millis() + 5;
    assert!(u128::from(made) <= most, "{made} probes in {took:?}, not {most}");
    for verdict in ["fail", "inconclusive"] {
        let odd = stage.metric("understudy_probes_total", &[("verdict", verdict)]);
        assert_eq!(odd, 0, "{verdict}");
    }
    let log = stage.understudy.process.stderr();
    let changed = log.lines().filter(|line| line.contains("health changed")).count();
    assert_eq!(changed, 2, "both came up, and nothing more:\n{log}");
    stage.assert_never_moved();
}
