//! Messages with open sockets between two processes of ours, over a Unix socket.
//!
//! A message is its length, four bytes, and JSON; sockets travel with the length (`SCM_RIGHTS`).
//! Blocking, each step within a deadline. Knows nothing of what the messages mean.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest message: the state of some thousand services.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The most sockets that one message carries; the system takes 253.
pub(super) const MOST_SOCKETS: usize = 128;

/// How long the other side may take to take a message.
const SENT_WITHIN: Duration = Duration::from_secs(5);

/// One end.
#[derive(Debug)]
pub(super) struct Link(UnixStream);

impl Link {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_write_timeout(Some(SENT_WITHIN))?;
        Ok(Self(stream))
    }

    /// Another handle to the same end, so that one thread can read while another writes.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Whether the process at the other end is our own user's, or root's.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn check_peer(&self) -> io::Result<()> {
        let theirs = rustix::net::sockopt::socket_peercred(&self.0)?.uid;
        if theirs == rustix::process::getuid() || theirs.is_root() {
            return Ok(());
        }
        Err(io::Error::other(format!("user {} is neither ours nor root", theirs.as_raw())))
    }

    /// Ends both directions, for all handles.
    pub(super) fn close(&self) {
        // One that is closed already is closed.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }

    pub(super) fn send(
        &self,
        message: &impl Serialize,
        sockets: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let length = u32::try_from(text.len()).map_err(io::Error::other)?.to_be_bytes();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(io::Error::other("too many sockets for one message"));
        }
        let mut sent =
            sendmsg(&self.0, &[IoSlice::new(&length)], &mut ancillary, SendFlags::NOSIGNAL)?;
        // The sockets are with the first byte, whatever becomes of the others.
        while sent < length.len() {
            sent += (&self.0).write(&length[sent..])?;
        }
        (&self.0).write_all(&text)
    }

    /// The next message and its sockets, within `within`, or without a limit.
    ///
    /// # Errors
    /// When none comes in time, when the other end is gone (`UnexpectedEof`), or when it is nonsense.
    pub(super) fn receive<T: DeserializeOwned>(
        &self,
        within: Option<Duration>,
    ) -> io::Result<(T, Vec<OwnedFd>)> {
        self.0.set_read_timeout(within)?;
        let mut length = [0; 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut first = [IoSliceMut::new(&mut length)];
            match recvmsg(self.0.as_fd(), &mut first, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                // A process that was stopped and goes on has missed nothing.
                Err(Errno::INTR) => {}
                received => break received?,
            }
        };
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut sockets = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                sockets.extend(rights);
            }
        }
        (&self.0).read_exact(&mut length[received.bytes..])?;
        let bytes = u32::from_be_bytes(length) as usize;
        if bytes > MOST_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too large"));
        }
        let mut text = vec![0; bytes];
        (&self.0).read_exact(&mut text)?;
        Ok((serde_json::from_slice(&text)?, sockets))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use super::*;

    const DEADLINE: Option<Duration> = Some(Duration::from_secs(10));

    fn pair() -> (Link, Link) {
        let (a, b) = UnixStream::pair().unwrap();
        (Link::new(a).unwrap(), Link::new(b).unwrap())
    }

    #[test]
    fn a_socket_that_was_sent_is_the_same_one() {
        let (old, new) = pair();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        old.send(&"take this", &[listener.as_fd()]).unwrap();
        drop(listener);
        let (text, mut sockets): (String, _) = new.receive(DEADLINE).unwrap();
        assert_eq!((text.as_str(), sockets.len()), ("take this", 1));
        let listener = TcpListener::from(sockets.remove(0));
        let _client = TcpStream::connect(address).unwrap();
        listener.accept().unwrap();
    }

    #[test]
    fn messages_keep_their_order_and_their_sockets() {
        let (old, new) = pair();
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let sockets: Vec<_> = listeners.iter().map(|listener| listener.as_fd()).collect();
        old.send(&1, &sockets).unwrap();
        old.send(&2, &[]).unwrap();
        old.send(&3, &sockets[..1]).unwrap();
        for (number, count) in [(1, 3), (2, 0), (3, 1)] {
            let (text, sockets): (u32, _) = new.receive(DEADLINE).unwrap();
            assert_eq!((text, sockets.len()), (number, count));
        }
    }

    #[test]
    fn silence_ends_in_time_and_a_goodbye_is_told_from_it() {
        let (old, new) = pair();
        let soon = Some(Duration::from_millis(10));
        let silent = new.receive::<u32>(soon).unwrap_err().kind();
        assert!(matches!(silent, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{silent}");
        drop(old);
        let gone = new.receive::<u32>(DEADLINE).unwrap_err().kind();
        assert_eq!(gone, io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn nonsense_is_refused() {
        let (old, new) = pair();
        (&old.0).write_all(&u32::MAX.to_be_bytes()).unwrap();
        assert_eq!(new.receive::<u32>(DEADLINE).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
