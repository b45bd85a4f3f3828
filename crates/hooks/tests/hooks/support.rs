//! What hooks are about, and servers that behave as a test wants.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::model::{
    At, BackendUrl, ExecAction, HttpAction, Scheme, StatusSet, Tries, UpstreamProtocol,
};
use connect::{Destination, KnownNames};
use hooks::{About, Call, Ended, Party};
use http::Method;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// No test waits longer than this for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// One try, with time enough.
pub(crate) const ONCE: Tries =
    Tries { deadline: DEADLINE, retries: 0, back_off: Duration::from_millis(1) };

/// The first moves to the second; it is about the first.
pub(crate) fn about() -> About {
    let a = party("a", "127.0.0.1:9".parse().unwrap());
    let b = party("b", "127.0.0.1:10".parse().unwrap());
    About {
        service: "s".into(),
        hook: "fence".into(),
        kind: "gate",
        from: Some(a.clone()),
        to: Some(b),
        backend: Some(a),
        reason: "failover",
        epoch: 41,
        id: "s-41-fence-a".into(),
    }
}

pub(crate) fn party(name: &str, address: SocketAddr) -> Party {
    Party { name: name.into(), destination: to(address), protocol: UpstreamProtocol::Auto }
}

pub(crate) fn to(address: SocketAddr) -> Destination {
    Destination {
        url: BackendUrl::tcp(Scheme::Http, &address.ip().to_string(), address.port()),
        tls: None,
        proxy_protocol: None,
        names: KnownNames::default(),
    }
}

pub(crate) fn exec(command: &[&str]) -> ExecAction {
    ExecAction {
        command: command.iter().map(|&argument| argument.into()).collect(),
        environment: Vec::new(),
        directory: None,
        output_bytes: 4096,
    }
}

pub(crate) fn script(script: &str) -> Call {
    Call::Exec(exec(&["/bin/sh", "-c", script]))
}

/// `POST /` to the backend that it is about; any 2xx is a success.
pub(crate) fn post() -> HttpAction {
    HttpAction {
        method: Method::POST,
        at: At::Backend,
        path: "/".into(),
        headers: Vec::new(),
        body: "".into(),
        status: StatusSet(vec![200..=299]),
        output_bytes: 4096,
    }
}

pub(crate) fn call(request: HttpAction) -> Call {
    Call::Http { request, elsewhere: None }
}

/// Once, and in time.
pub(crate) async fn run(call: &Call, about: &About) -> Ended {
    timeout(2 * DEADLINE, hooks::run(call, about, &ONCE, false)).await.expect("it ends in time")
}

/// Serves each connection with `serve`, which gets its number, from 1.
pub(crate) async fn server<F>(serve: impl Fn(usize, TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 1.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(number, stream));
        }
    });
    address
}

/// Where nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// Reads a request with its body.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    head + &String::from_utf8(body).unwrap()
}

/// Waits until the other side has closed.
pub(crate) async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut sink = [0; 1024];
    while matches!(stream.read(&mut sink).await, Ok(1..)) {}
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let holds = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, holds).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// What each request to a server was, in order.
pub(crate) type Seen = Arc<std::sync::Mutex<Vec<String>>>;

/// Answers each connection with the next of `answers`, then with the last one again.
pub(crate) async fn answering(answers: &'static [&'static str]) -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    let address = server(move |number, mut stream| {
        let seen = Arc::clone(&kept);
        async move {
            let request = read_request(&mut stream).await;
            seen.lock().unwrap().push(request);
            let answer = answers[(number - 1).min(answers.len() - 1)];
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await;
        }
    })
    .await;
    (address, seen)
}
