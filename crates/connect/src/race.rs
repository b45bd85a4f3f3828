//! TCP to the first of several addresses that takes a connection (Happy Eyeballs, RFC 8305).
//!
//! Families take turns. The next attempt begins a quarter of a second after the last, or at once when
//! one has failed, and the attempts that have begun go on: an address that is silent delays the next
//! one and does not hide it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::error::{ConnectError, at, is_exhaustion};

/// From one attempt to the next (RFC 8305 section 5: 250 ms).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// However many addresses a name has, one connection tries no more than these.
const MOST_ATTEMPTS: usize = 8;

/// Connects to the first of `addresses` that takes a connection; the family of the first address
/// begins. Knows no deadline: whoever calls drops it, and with it all attempts.
///
/// # Errors
/// [`ConnectError::Refused`] with what every address said; [`ConnectError::Exhausted`] when nothing
/// was said but that we lack something. An address of a family that this host does not have at all
/// counts as such; what another address says counts for more.
pub(crate) async fn connect(
    addresses: &[SocketAddr],
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let mut waiting = in_turn(addresses).into_iter().take(MOST_ATTEMPTS);
    let mut running = FuturesUnordered::new();
    let mut failed = Vec::new();
    loop {
        match waiting.next() {
            Some(address) => running.push(attempt(address)),
            None if running.is_empty() => return Err(failure(failed)),
            None => {}
        }
        let ended = tokio::select! {
            biased;
            Some(ended) = running.next() => ended,
            () = sleep(ATTEMPT_DELAY), if waiting.len() > 0 => continue,
        };
        match ended {
            Ok(opened) => return Ok(opened),
            Err(error) => failed.push(error),
        }
    }
}

async fn attempt(address: SocketAddr) -> Result<(TcpStream, SocketAddr), (SocketAddr, io::Error)> {
    let opened = TcpStream::connect(address).await.and_then(not_ourselves);
    opened.map(|stream| (stream, address)).map_err(|error| (address, error))
}

/// TCP lets a socket connect to itself when its own port, which the system chooses, happens to be the
/// one it looks for on this host. Nobody listens there then; but it would look alive, and keep the
/// backend that belongs there from starting.
fn not_ourselves(stream: TcpStream) -> io::Result<TcpStream> {
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// The order of the attempts: families take turns, each in the order given (RFC 8305 section 4).
fn in_turn(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let (first, second): (Vec<SocketAddr>, Vec<_>) =
        addresses.iter().partition(|address| address.is_ipv4() == addresses[0].is_ipv4());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(first.next());
        order.extend(second.next());
    }
    order
}

/// What all attempts together say.
fn failure(failed: Vec<(SocketAddr, io::Error)>) -> ConnectError {
    let (ours, theirs): (Vec<_>, Vec<_>) =
        failed.into_iter().partition(|(_, error)| is_exhaustion(error));
    let told = |failed: Vec<(SocketAddr, io::Error)>| {
        // One address that refuses shows that we are not cut off, whatever the others say.
        let refused = failed.iter().find(|(_, error)| is_refusal(error));
        let kind = refused.or(failed.last()).map_or(io::ErrorKind::NotFound, |(_, e)| e.kind());
        let words: Vec<_> =
            failed.iter().map(|(place, error)| at(place, error).to_string()).collect();
        io::Error::new(kind, words.join("; "))
    };
    if theirs.is_empty() && !ours.is_empty() {
        ConnectError::Exhausted(told(ours))
    } else {
        ConnectError::Refused(told(theirs))
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<SocketAddr> {
        text.split_whitespace().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_the_first_begins() {
        for (given, expected) in [
            ("", ""),
            ("1.1.1.1:1", "1.1.1.1:1"),
            ("[::1]:1 [::2]:1 1.1.1.1:1 1.1.1.2:1", "[::1]:1 1.1.1.1:1 [::2]:1 1.1.1.2:1"),
            ("1.1.1.1:1 1.1.1.2:1 1.1.1.3:1 [::1]:1", "1.1.1.1:1 [::1]:1 1.1.1.2:1 1.1.1.3:1"),
        ] {
            assert_eq!(in_turn(&addresses(given)), addresses(expected));
        }
    }

    #[test]
    fn what_a_backend_says_counts_for_more_than_what_we_lack() {
        let [one, two] = [addresses("[::1]:1")[0], addresses("127.0.0.1:1")[0]];
        let lack = || io::Error::from(io::ErrorKind::AddrNotAvailable);
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        for failed in [vec![(one, lack()), (two, refused())], vec![(two, refused()), (one, lack())]]
        {
            match failure(failed) {
                ConnectError::Refused(error) => {
                    assert_eq!(error.to_string(), "127.0.0.1:1: connection refused");
                }
                other => panic!("{other}"),
            }
        }
        for kind in [io::ErrorKind::HostUnreachable, io::ErrorKind::NetworkUnreachable] {
            match failure(vec![(one, refused()), (two, kind.into())]) {
                ConnectError::Refused(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
                }
                other => panic!("{other}"),
            }
        }
        let all = failure(vec![(one, lack()), (two, lack())]);
        assert!(matches!(all, ConnectError::Exhausted(_)), "{all}");
        let both = failure(vec![(one, refused()), (two, refused())]).to_string();
        assert!(both.contains("[::1]:1: ") && both.contains("; 127.0.0.1:1: "), "{both}");
    }

    #[tokio::test]
    async fn a_socket_that_met_itself_has_met_nobody() {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let own = socket.local_addr().unwrap();
        let stream = socket.connect(own).await.unwrap();
        let error = not_ourselves(stream).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
