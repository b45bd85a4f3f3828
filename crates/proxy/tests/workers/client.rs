//! Clients of HTTP/1.1.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::rig::PATIENCE;

/// An answer as a client sees it.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A client on one connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, input: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the proxy takes it");
    }

    pub(crate) fn send_get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n"));
    }

    /// A whole request with a body; `fields` end with CRLF.
    pub(crate) fn send_body(&mut self, method: &str, fields: &str, body: &[u8]) {
        let length = body.len();
        let mut bytes = format!(
            "{method} /body HTTP/1.1\r\nhost: h\r\n{fields}content-length: {length}\r\n\r\n"
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        self.send(bytes);
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send_get(path);
        self.answer()
    }

    /// The next answer, which must be complete and have a length.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("a complete answer")
    }

    /// The next answer, or `None` when the connection ends before its end.
    #[track_caller]
    pub(crate) fn try_answer(&mut self) -> Option<Answer> {
        let end = loop {
            match self.input.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.fill()?,
            }
        };
        let head = String::from_utf8(self.input.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
            })
            .unwrap_or(0);
        while self.input.len() < length {
            self.fill()?;
        }
        let body = String::from_utf8(self.input.drain(..length).collect()).unwrap();
        Some(Answer { status, head, body })
    }

    #[track_caller]
    fn fill(&mut self) -> Option<()> {
        let mut space = [0; 16 * 1024];
        match self.stream.read(&mut space) {
            Ok(0) => None,
            Ok(read) => {
                self.input.extend_from_slice(&space[..read]);
                Some(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// What comes, through `end`.
    #[track_caller]
    pub(crate) fn read_until(&mut self, end: &str) -> String {
        loop {
            let found = self.input.windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let bytes: Vec<u8> = self.input.drain(..at + end.len()).collect();
                return String::from_utf8_lossy(&bytes).into_owned();
            }
            self.fill().expect("more to come");
        }
    }

    /// What has come already.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }

    /// Whether the connection ends without another byte.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) -> bool {
        self.input.is_empty() && self.fill().is_none()
    }

    pub(crate) fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

/// The body of a 200.
#[track_caller]
pub(crate) fn served(answer: &Answer) -> &str {
    assert_eq!(answer.status, 200, "{answer:?}");
    &answer.body
}
