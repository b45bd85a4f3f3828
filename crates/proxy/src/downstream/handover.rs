//! A client's socket on its way from one worker to another.

use std::io;
use std::net::TcpStream as StdTcpStream;
use std::os::unix::net::UnixStream as StdUnixStream;

use connect::Socket;
use tokio::net::{TcpStream, UnixStream};

/// A client's socket on its way from one worker's runtime to another's.
#[derive(Debug)]
pub(crate) enum StdSocket {
    Tcp(StdTcpStream),
    Unix(StdUnixStream),
}

impl StdSocket {
    pub(crate) fn from_tokio(socket: Socket) -> io::Result<Self> {
        Ok(match socket {
            Socket::Tcp(stream) => Self::Tcp(stream.into_std()?),
            Socket::Unix(stream) => Self::Unix(stream.into_std()?),
        })
    }

    pub(crate) fn into_tokio(self) -> io::Result<Socket> {
        Ok(match self {
            Self::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
        })
    }
}
