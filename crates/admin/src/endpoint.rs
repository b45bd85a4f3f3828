//! Where clients reach us: TCP, TLS over TCP, or a Unix socket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::caller::Peer;
use crate::patient::Io;
use crate::socket::Socket;
use crate::tokens::Tokens;

/// From the connection to the end of its TLS handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Where the names of this machine's users are.
const USERS: &str = "/etc/passwd";

/// Where clients reach us.
#[derive(Debug)]
pub enum Endpoint {
    /// Plain HTTP. Only on loopback.
    Tcp(std::net::TcpListener),
    /// HTTPS.
    Tls(std::net::TcpListener, Arc<ServerConfig>),
    /// HTTP over a Unix socket. Whoever can open it may do everything.
    Unix(Socket),
}

/// An endpoint that accepts.
pub(crate) struct Door {
    socket: Listening,
    /// Whether it is TCP on loopback: every program here can reach it, also a browser.
    loopback: bool,
}

enum Listening {
    Tcp(TcpListener),
    Tls(TcpListener, TlsAcceptor),
    Unix {
        listener: UnixListener,
        /// The file goes when this does.
        _socket: Socket,
    },
}

/// A connection that has been accepted, before anything was read.
pub(crate) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Tls(TcpStream, SocketAddr, TlsAcceptor),
    Unix(UnixStream),
}

impl Endpoint {
    /// Begins to accept.
    pub(crate) fn open(self) -> io::Result<Door> {
        let tcp = |listener: std::net::TcpListener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        let socket = match self {
            Self::Tcp(listener) => Listening::Tcp(tcp(listener)?),
            Self::Tls(listener, config) => {
                Listening::Tls(tcp(listener)?, TlsAcceptor::from(config))
            }
            Self::Unix(socket) => {
                let listener = socket.listener()?;
                listener.set_nonblocking(true)?;
                let listener = UnixListener::from_std(listener)?;
                Listening::Unix { listener, _socket: socket }
            }
        };
        let loopback = match &socket {
            Listening::Tcp(listener) | Listening::Tls(listener, _) => {
                listener.local_addr()?.ip().is_loopback()
            }
            Listening::Unix { .. } => false,
        };
        Ok(Door { socket, loopback })
    }
}

impl Door {
    /// Whether it is TCP on loopback.
    pub(crate) fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Why it must not be opened: the network is not to be trusted.
    pub(crate) fn too_open(&self, tokens: &Tokens) -> Option<&'static str> {
        match &self.socket {
            Listening::Unix { .. } => None,
            Listening::Tcp(_) | Listening::Tls(..) if self.loopback => None,
            Listening::Tcp(_) => Some("beyond loopback the admin address needs TLS"),
            Listening::Tls(..) if tokens.is_empty() => {
                Some("beyond loopback the admin address needs a token")
            }
            Listening::Tls(..) => None,
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            Listening::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                Ok(Accepted::Tcp(stream, from))
            }
            Listening::Tls(listener, tls) => {
                let (stream, from) = listener.accept().await?;
                Ok(Accepted::Tls(stream, from, tls.clone()))
            }
            Listening::Unix { listener, .. } => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }
}

impl Accepted {
    /// The connection, ready for HTTP, and who is at its other end.
    pub(crate) async fn greet(self) -> io::Result<(Box<dyn Io>, Peer)> {
        match self {
            Self::Tcp(stream, from) => Ok((Box::new(stream), Peer::Tcp(from))),
            Self::Tls(stream, from, tls) => {
                let stream = timeout(HANDSHAKE_WITHIN, tls.accept(stream)).await??;
                Ok((Box::new(stream), Peer::Tcp(from)))
            }
            Self::Unix(stream) => {
                let credentials = stream.peer_cred()?;
                let user = user_name(credentials.uid()).await.into();
                Ok((Box::new(stream), Peer::Unix { user, pid: credentials.pid() }))
            }
        }
    }
}

/// The name of a user of this machine; the number when it has none in the file.
async fn user_name(user: u32) -> String {
    let users = tokio::fs::read_to_string(USERS).await.unwrap_or_default();
    find_name(&users, user).map_or_else(|| user.to_string(), ToOwned::to_owned)
}

/// From lines of `name:password:number:...`.
fn find_name(users: &str, user: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::find_name;

    #[test]
    fn a_user_is_found_by_number() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\n\n# odd\nops:x:1000:1000::/home/ops:/bin/sh\n";
        assert_eq!(find_name(users, 0), Some("root"));
        assert_eq!(find_name(users, 1000), Some("ops"));
        assert_eq!(find_name(users, 100), None);
    }
}
