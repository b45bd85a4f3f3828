//! Names with several addresses, with new ones, and with none.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use config::model::{BackendUrl, Scheme};
use connect::{ConnectError, Connector, LookUp, Socket, Stream};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::{
    DEADLINE, SHORT, Silent, at, closed, destination, listener, named, open, talk,
};

/// Where the other end of a connection is.
#[track_caller]
fn end_of(opened: Result<connect::Connected, ConnectError>) -> SocketAddr {
    match opened.unwrap().stream {
        Stream::Plain(Socket::Tcp(stream)) => stream.peer_addr().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_address_is_connected_to() {
    let (listener, address) = listener().await;
    let mut connected = open(&Connector::new(at(address))).await.unwrap();
    assert!(!connected.is_http2);
    assert_eq!(connected.stream.certificate_expires(), None);
    talk(&mut connected.stream, &mut listener.accept().await.unwrap().0).await;
}

#[tokio::test]
async fn an_ipv6_address_is_connected_to() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await else {
        return; // A host without IPv6.
    };
    let address = listener.local_addr().unwrap();
    assert_eq!(end_of(open(&Connector::new(at(address))).await), address);
}

#[tokio::test]
async fn a_name_needs_one_family_that_listens() {
    for ip in ["127.0.0.1", "::1"] {
        let Ok(listener) = TcpListener::bind((ip, 0)).await else { continue };
        let address = listener.local_addr().unwrap();
        let has_name = tokio::net::lookup_host(("localhost", address.port())).await.unwrap();
        if !has_name.into_iter().any(|found| found == address) {
            continue; // This family does not go by the name of localhost here.
        }
        let url = BackendUrl::tcp(Scheme::Http, "localhost", address.port());
        assert_eq!(end_of(open(&Connector::new(destination(url))).await), address);
    }
}

#[tokio::test]
async fn a_silent_address_delays_the_next_and_does_not_hide_it() {
    let silent = Silent::new();
    let (_listener, address) = listener().await;
    let connector = named(&[silent.address, address]);
    let began = Instant::now();
    assert_eq!(end_of(open(&connector).await), address);
    assert!(began.elapsed() >= Duration::from_millis(250), "the first had no chance");
    assert!(began.elapsed() < DEADLINE / 2, "the first was waited for");

    // From now on the one that works is the first.
    let began = Instant::now();
    for _ in 0..8 {
        assert_eq!(end_of(open(&connector).await), address);
    }
    let eight_delays = Duration::from_millis(8 * 250);
    assert!(began.elapsed() < eight_delays, "{:?}", began.elapsed());
}

#[tokio::test]
async fn refused_addresses_do_not_delay_the_next() {
    let closed: Vec<_> = (0..7).map(|_| closed()).collect();
    let (_listener, address) = listener().await;
    let addresses: Vec<_> = closed.iter().map(|(_, address)| *address).chain([address]).collect();
    let began = Instant::now();
    assert_eq!(end_of(open(&named(&addresses)).await), address);
    let seven_delays = Duration::from_millis(7 * 250);
    assert!(began.elapsed() < seven_delays, "{:?}", began.elapsed());
}

#[tokio::test]
async fn no_more_than_eight_are_tried() {
    let closed: Vec<_> = (0..8).map(|_| closed()).collect();
    let (_listener, address) = listener().await;
    let addresses: Vec<_> = closed.iter().map(|(_, address)| *address).chain([address]).collect();
    let refused = open(&named(&addresses)).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Refused(_)), "{refused}");
}

#[tokio::test]
async fn what_every_address_said_is_told() {
    let [(_one, first), (_two, second)] = [closed(), closed()];
    match open(&named(&[first, second])).await.unwrap_err() {
        ConnectError::Refused(error) => {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            let words = error.to_string();
            assert!(words.starts_with(&format!("{first}: Connection refused")), "{words}");
            assert!(words.contains(&format!("; {second}: Connection refused")), "{words}");
        }
        other => panic!("{other}"),
    }
    let words = open(&Connector::new(at(first))).await.unwrap_err().to_string();
    assert!(words.starts_with(&format!("cannot connect: {first}: Connection refused")), "{words}");
}

#[tokio::test]
async fn silence_ends_with_the_time() {
    let silent = Silent::new();
    let (_closed, closed) = closed();
    for connector in [Connector::new(at(silent.address)), named(&[closed, silent.address])] {
        let began = Instant::now();
        let late = connector.reach(SHORT).await.unwrap_err();
        assert!(matches!(late, ConnectError::Timeout(SHORT)), "{late}");
        assert!(began.elapsed() >= SHORT && began.elapsed() < DEADLINE / 2);
    }
}

#[tokio::test]
async fn a_name_that_moves_is_followed() {
    let (old, old_address) = listener().await;
    let (_new, new_address) = listener().await;
    let now = Arc::new(Mutex::new(old_address));
    let told = Arc::clone(&now);
    let look_up = LookUp::by(move |_, _| Ok(vec![*told.lock().unwrap()]));
    let url = BackendUrl::tcp(Scheme::Http, "web.example", 80);
    let connector = Connector::with_look_up(destination(url), look_up);
    assert_eq!(end_of(open(&connector).await), old_address);

    *now.lock().unwrap() = new_address;
    drop(old);
    let followed = async {
        loop {
            match open(&connector).await {
                Ok(connected) => break end_of(Ok(connected)),
                Err(ConnectError::Refused(_)) => tokio::time::sleep(SHORT / 40).await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    // Less than the 5 s for which addresses are not doubted: no connection came about.
    let followed = timeout(Duration::from_secs(4), followed).await.expect("it is looked up again");
    assert_eq!(followed, new_address);
}

#[tokio::test]
async fn name_servers_that_fail_do_no_harm_to_what_works() {
    let (listener, address) = listener().await;
    let is_broken = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_broken);
    let look_up = LookUp::by(move |_, _| {
        if told.load(Ordering::SeqCst) {
            Err(io::Error::other("no answer"))
        } else {
            Ok(vec![address])
        }
    });
    let url = BackendUrl::tcp(Scheme::Http, "web.example", 80);
    let connector = Connector::with_look_up(destination(url), look_up);
    assert_eq!(end_of(open(&connector).await), address);
    is_broken.store(true, Ordering::SeqCst);
    drop(listener);
    let refused = open(&connector).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Refused(_)), "{refused}");
    // It is back at its old address, of which there is no news.
    let _back = TcpListener::bind(address).await.unwrap();
    assert_eq!(end_of(open(&connector).await), address);
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_no_address() {
    let url = BackendUrl::tcp(Scheme::Http, "web.example", 80);
    let nobody = LookUp::by(|_, _| Err(io::Error::other("never heard of it")));
    let connector = Connector::with_look_up(destination(url), nobody);
    match open(&connector).await.unwrap_err() {
        ConnectError::Resolve(error) => {
            assert_eq!(error.to_string(), "web.example: never heard of it");
        }
        other => panic!("{other}"),
    }
    let none = open(&named(&[])).await.unwrap_err();
    assert!(none.to_string().contains("has no address"), "{none}");
}

#[tokio::test]
async fn a_name_server_that_hangs_takes_no_more_than_the_time() {
    let (_keep, hang) = mpsc::channel::<()>();
    let hang = Mutex::new(hang);
    let look_up = LookUp::by(move |_, _| {
        let _ = hang.lock().unwrap().recv();
        Ok(Vec::new())
    });
    let url = BackendUrl::tcp(Scheme::Http, "web.example", 80);
    let connector = Connector::with_look_up(destination(url), look_up);
    let late = connector.reach(SHORT).await.unwrap_err();
    assert!(matches!(late, ConnectError::Timeout(SHORT)), "{late}");
}
