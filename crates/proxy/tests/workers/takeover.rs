//! Sockets that outlive their process: one set of workers takes over from another, and no client
//! notices.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use std::{fs, io, process, thread};

use config::model::ListenAddress;
use proxy::{Bound, Leave, bind};
use socket2::{Domain, Protocol, Socket, Type};

use crate::backend::{Backend, Gate};
use crate::http2::Http2Client;
use crate::rig::{Client, PATIENCE, Plan, Rig, served, until};

fn loopback() -> ListenAddress {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()
}

fn plan(workers: usize) -> Plan {
    Plan { workers, ..Plan::default() }
}

/// Whether the connection goes on: a client that is told that the connection ends opens another.
fn goes_on(answer: &crate::rig::Answer) -> bool {
    !answer.head.to_ascii_lowercase().contains("connection: close")
}

/// Ten times in a row, with more and with fewer workers than before, under a load of clients that keep
/// their connection and of others that open one for each request: not a single one fails.
#[test]
fn a_successor_takes_over_under_load() {
    const TAKEOVERS: usize = 10;
    const KEEPING: usize = 6;
    const OPENING: usize = 6;
    let a = Backend::named("a");
    let bound = bind(&loopback(), 2).unwrap();
    let address = bound.local.tcp().unwrap();
    let mut shared = bound.share().unwrap();
    assert_eq!(shared.len(), 2);
    let mut rig = Rig::start_on(bound, plan(2), &[a.address]);
    rig.activate(1, Leave::Finish);
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for index in 0..KEEPING + OPENING {
            let (stop, answered) = (&stop, &answered);
            scope.spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(SeqCst) {
                    let answer = client.get("/");
                    assert_eq!(served(&answer), "a");
                    answered.fetch_add(1, SeqCst);
                    if index >= KEEPING || !goes_on(&answer) {
                        client = Client::connect(address);
                    }
                }
            });
        }
        for takeover in 0..TAKEOVERS {
            let before = answered.load(SeqCst);
            until("answers", || answered.load(SeqCst) >= before + 150);
            let workers = [1, 3, 2][takeover % 3];
            let adopted = Bound::adopt(loopback(), shared, workers).unwrap();
            shared = adopted.share().unwrap();
            assert_eq!(shared.len(), 2, "the same two");
            let mut successor = Rig::start_on(adopted, plan(workers), &[a.address]);
            successor.activate(1, Leave::Finish);
            let predecessor = std::mem::replace(&mut rig, successor);
            assert_eq!(predecessor.retire(PATIENCE / 2, PATIENCE), 0);
        }
        stop.store(true, SeqCst);
    });
    assert!(answered.load(SeqCst) >= 1000, "{answered:?}");
    assert_eq!(a.journal.count(), answered.load(SeqCst), "each request was carried out once");
    rig.at_rest();
}

/// What waits in the kernel's queue is not lost with the one who goes.
#[test]
fn who_waits_in_the_queue_is_served_by_the_successor() {
    let a = Backend::named("a");
    let bound = bind(&loopback(), 1).unwrap();
    let (address, shared) = (bound.local.tcp().unwrap(), bound.share().unwrap());
    let mut full = plan(1);
    full.limits.connections = 1;
    let mut rig = Rig::start_on(bound, full, &[a.address]);
    rig.activate(1, Leave::Finish);
    let mut first = Client::connect(address);
    assert_eq!(served(&first.get("/")), "a");
    let mut waiting: Vec<_> = (0..5).map(|_| Client::connect(address)).collect();
    for client in &mut waiting {
        client.send_get("/");
    }
    rig.await_metric("listener_connections_over_limit_total", 1.0);
    let begun = Instant::now();
    assert_eq!(rig.retire(Duration::ZERO, PATIENCE), 0);
    assert!(begun.elapsed() < PATIENCE / 2, "with nobody left, it does not linger");
    assert!(first.is_closed());
    // Nobody accepts for a while.
    let adopted = Bound::adopt(loopback(), shared, 2).unwrap();
    let mut successor = Rig::start_on(adopted, plan(2), &[a.address]);
    successor.activate(1, Leave::Finish);
    for client in &mut waiting {
        assert_eq!(served(&client.answer()), "a");
    }
    successor.at_rest();
}

/// Whoever is idle may send one more request, and is told that it was the last. Who does not is let go
/// at the end.
#[test]
fn idle_clients_have_time_for_one_more_request() {
    let gate = Gate::default();
    let a = {
        let gate = gate.clone();
        Backend::start(move |exchange| {
            if exchange.head.contains(" /slow ") {
                gate.pass();
            }
            exchange.answer("a")
        })
    };
    let rig = Rig::active(plan(1), &[a.address]);
    let address = rig.address;
    let (mut idle, mut fresh, mut silent) = (rig.client(), rig.client(), rig.client());
    assert_eq!(served(&idle.get("/")), "a");
    assert_eq!(served(&silent.get("/")), "a");
    let mut slow = rig.client();
    slow.send_get("/slow");
    let mut http2 = Http2Client::connect(address);
    assert_eq!(http2.get("/").status, 200);
    let stream = http2.send_get("/slow");
    a.journal.await_requests(5);
    rig.await_metric("listener_connections", 5.0);
    let (begun, linger) = (Instant::now(), Duration::from_secs(2));
    let retiring = thread::spawn(move || rig.retire(linger, 6 * PATIENCE));
    until("the socket to be closed", || TcpStream::connect(address).is_err());
    until("GOAWAY", || http2.is_sent_away());
    for client in [&mut idle, &mut fresh] {
        let answer = client.get("/");
        assert_eq!(served(&answer), "a");
        assert!(!goes_on(&answer), "{answer:?}");
        assert!(client.is_closed());
    }
    assert!(silent.is_closed());
    assert!(begun.elapsed() >= linger, "it could have been about to send");
    assert!(!retiring.is_finished(), "what runs finishes");
    gate.open();
    let answer = slow.answer();
    assert_eq!(served(&answer), "a");
    assert_eq!(stream.whole().status, 200);
    assert_eq!(retiring.join().unwrap(), 0);
}

#[test]
fn a_retirement_ends_at_its_deadline() {
    let a = Backend::silent();
    let rig = Rig::active(plan(2), &[a.address]);
    let mut client = rig.client();
    client.send_get("/");
    a.journal.await_requests(1);
    assert_eq!(rig.retire(6 * PATIENCE, Duration::from_millis(300)), 1);
    assert!(client.is_closed());
}

/// A path of this test alone; removed with this.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("takeover-{}-{}", process::id(), COUNT.fetch_add(1, SeqCst));
        Self(std::env::temp_dir().join(name))
    }

    fn address(&self) -> ListenAddress {
        ListenAddress::Unix(self.0.as_path().into())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn ask(place: &Place) -> io::Result<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = UnixStream::connect(&place.0)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The one who goes leaves the file; the last one removes it.
#[test]
fn the_file_of_a_unix_socket_goes_with_its_last_owner() {
    let (a, place) = (Backend::named("a"), Place::new());
    let bound = bind(&place.address(), 2).unwrap();
    let shared = bound.share().unwrap();
    assert_eq!(shared.len(), 1, "it is one for all workers");
    let mut rig = Rig::start_on(bound, plan(2), &[a.address]);
    rig.activate(1, Leave::Finish);
    let mut adopted = Bound::adopt(place.address(), shared, 2).unwrap();
    adopted.own_file().unwrap();
    let mut successor = Rig::start_on(adopted, plan(2), &[a.address]);
    successor.activate(1, Leave::Finish);
    assert_eq!(rig.retire(Duration::from_millis(50), PATIENCE), 0);
    for _ in 0..10 {
        assert!(ask(&place).unwrap().ends_with("\r\n\r\na"));
    }
    assert_eq!(successor.shut_down(PATIENCE), 0);
    assert!(!place.0.exists());

    // What another has bound is not ours to remove.
    let theirs = UnixListener::bind(&place.0).unwrap();
    let handed = vec![OwnedFd::from(theirs.try_clone().unwrap())];
    let adopted = Bound::adopt(place.address(), handed, 1).unwrap();
    let mut rig = Rig::start_on(adopted, plan(1), &[a.address]);
    rig.activate(1, Leave::Finish);
    assert!(ask(&place).unwrap().ends_with("\r\n\r\na"));
    assert_eq!(rig.shut_down(PATIENCE), 0);
    assert!(place.0.exists());
}

fn tcp(address: &str) -> TcpListener {
    TcpListener::bind(address).unwrap()
}

#[test]
fn only_listening_sockets_of_the_address_are_adopted() {
    let place = Place::new();
    let any = tcp("0.0.0.0:0");
    let port = any.local_addr().unwrap().port();
    let at = |host: &str, port: u16| -> ListenAddress {
        format!("{host}:{port}").parse::<SocketAddr>().unwrap().into()
    };
    let adopt = |configured: &ListenAddress, sockets: Vec<OwnedFd>| {
        Bound::adopt(configured.clone(), sockets, 2).map_err(|error| error.to_string())
    };
    let one = |socket: &TcpListener| vec![OwnedFd::from(socket.try_clone().unwrap())];

    let bound = adopt(&at("0.0.0.0", 0), one(&any)).unwrap();
    assert_eq!(bound.configured, at("0.0.0.0", 0));
    assert_eq!(bound.local, at("0.0.0.0", port));
    adopt(&at("0.0.0.0", port), one(&any)).unwrap();
    // As systemd binds `ListenStream=80`.
    let both = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).unwrap();
    both.set_only_v6(false).unwrap();
    both.bind(&"[::]:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    both.listen(1).unwrap();
    let both = TcpListener::from(both);
    adopt(&at("0.0.0.0", 0), one(&both)).unwrap();
    adopt(&at("[::]", 0), one(&both)).unwrap();

    let connected = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let only_bound = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    only_bound.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let ipv6 = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).unwrap();
    ipv6.set_only_v6(true).unwrap();
    ipv6.bind(&"[::]:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    ipv6.listen(1).unwrap();
    let file = fs::File::open("/dev/null").unwrap();
    let unix = UnixListener::bind(&place.0).unwrap();
    let elsewhere = Place::new();
    let _other = UnixListener::bind(&elsewhere.0).unwrap();
    let refused: [(ListenAddress, Vec<OwnedFd>); 10] = [
        (at("0.0.0.0", 0), Vec::new()),
        (at("0.0.0.0", port.wrapping_add(1).max(1)), one(&any)),
        (at("127.0.0.1", port), one(&any)),
        (at("0.0.0.0", 0), vec![connected.into()]),
        (at("127.0.0.1", 0), vec![only_bound.into()]),
        (at("127.0.0.1", 0), vec![UdpSocket::bind("127.0.0.1:0").unwrap().into()]),
        (at("127.0.0.1", 0), vec![tcp("127.0.0.1:0").into(), tcp("127.0.0.1:0").into()]),
        (at("0.0.0.0", 0), vec![ipv6.into()]),
        (elsewhere.address(), vec![unix.try_clone().unwrap().into()]),
        (at("0.0.0.0", 0), vec![unix.try_clone().unwrap().into()]),
    ];
    for (index, (configured, sockets)) in refused.into_iter().enumerate() {
        adopt(&configured, sockets).expect_err(&format!("case {index}"));
    }
    adopt(&at("0.0.0.0", 0), vec![file.into()]).expect_err("no socket at all");
    adopt(&place.address(), one(&any)).expect_err("no Unix socket");
    adopt(&place.address(), vec![unix.into()]).unwrap();
}

/// With more sockets than workers, each is accepted from.
#[test]
fn one_worker_accepts_from_several_sockets() {
    let a = Backend::named("a");
    let bound = bind(&loopback(), 4).unwrap();
    let (address, shared) = (bound.local.tcp().unwrap(), bound.share().unwrap());
    drop(bound);
    let adopted = Bound::adopt(loopback(), shared, 1).unwrap();
    let mut rig = Rig::start_on(adopted, plan(1), &[a.address]);
    rig.activate(1, Leave::Finish);
    // The kernel spreads them over all four.
    for _ in 0..40 {
        assert_eq!(served(&Client::connect(address).get("/")), "a");
    }
    assert_eq!(rig.metric("listener_connections_accepted_total"), 40.0);
    rig.at_rest();
}
