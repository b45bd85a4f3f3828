//! A request that waits for a full socket when the traffic leaves.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream as StdUnixStream;

use connect::{Socket, Stream};
use http::Request;
use tokio::net::UnixStream;

use super::*;
use crate::upstream::http2;

/// Begins a request on a connection whose socket is full: the connection, the request, and the other
/// end, at which so many bytes have come so far.
async fn waiting() -> (Rc<Connection>, Box<http2::Stream>, StdUnixStream, usize) {
    let (ours, theirs) = StdUnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("a socket");
    let mut behind = ours.try_clone().expect("a duplicate");
    let stream = UnixStream::from_std(ours).expect("a socket");
    let stream = Stream::Plain(Socket::Unix(stream));
    // The backend says nothing, which is not waited for long.
    let connection = Connection::begin(stream, Duration::from_millis(2)).await.expect("a hello");
    let mut sent = connection.driver.outgoing.written() as usize;
    let full = loop {
        match behind.write(&[0]) {
            Ok(written) => sent += written,
            Err(error) => break error.kind(),
        }
    };
    assert_eq!(full, ErrorKind::WouldBlock);
    let mut exchange = http2::Stream::new(&connection);
    exchange.begin(Request::get("http://h/").body(()).expect("a request"), None);
    let polled = poll_fn(|context| Poll::Ready(exchange.poll_head(context, |_| {}))).await;
    assert!(polled.is_pending() && exchange.has_sent_nothing());
    (connection, exchange, theirs, sent)
}

fn run(test: impl Future<Output = ()>) {
    let options = tokio::runtime::LocalOptions::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(options);
    runtime.expect("a runtime").block_on(test);
}

/// Whether its request still waits for its answer, or has been given up: it does not leave, although
/// there is room before anybody is polled again.
#[test]
fn it_does_not_leave_any_more() {
    for is_given_up in [false, true] {
        run(async {
            let (connection, exchange, mut theirs, sent) = waiting().await;
            let kept = if is_given_up { None } else { Some(exchange) };
            connection.abandon_waiting();
            assert!(connection.is_over());
            let mut there = vec![0; sent + 1];
            theirs.set_nonblocking(true).expect("a socket");
            let mut come = 0;
            // The end, or nothing more while the connection is kept open by its duplicate.
            while let Ok(read @ 1..) = theirs.read(&mut there[come..]) {
                come += read;
                tokio::task::yield_now().await;
            }
            assert_eq!(come, sent, "given up: {is_given_up}");
            drop(kept);
        });
    }
}

/// What has begun to leave before is let finish.
#[test]
fn what_has_begun_to_leave_goes_on() {
    run(async {
        let (connection, exchange, mut theirs, sent) = waiting().await;
        let mut there = vec![0; sent];
        theirs.read_exact(&mut there).expect("what was sent");
        let (mut head, moment) = ([0; 9], Duration::from_millis(1));
        theirs.set_nonblocking(true).expect("a socket");
        while theirs.read(&mut head).is_err() {
            tokio::time::sleep(moment).await;
        }
        connection.abandon_waiting();
        assert!(!connection.is_over() && !exchange.has_sent_nothing());
        connection.abandon_unsent();
        assert!(!connection.is_over(), "nothing waits");
    });
}

#[test]
fn nothing_that_waits_leaves_when_no_request_is_there() {
    run(async {
        let (connection, _exchange, _theirs, _) = waiting().await;
        connection.abandon_unsent();
        assert!(connection.is_over());
    });
}
