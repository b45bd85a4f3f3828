//! A client that sends exactly the bytes it is given and shows exactly what comes back.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a client waits for the next byte.
const PATIENCE: Duration = Duration::from_secs(8);

pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection was closed before a whole head.
    Closed,
    /// Nothing came, and the connection stayed open.
    Silent,
}

/// A response, as far as it came.
#[derive(Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The content, without framing.
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// Whether the body ended as its framing says, not by a broken connection.
    pub(crate) complete: bool,
    /// The statuses of interim responses before it.
    pub(crate) interim: Vec<u16>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        let (interim, end) = (&self.interim, if self.complete { "whole" } else { "cut short" });
        write!(f, "{} {:?} {body:?} {:?}", self.status, self.headers, self.trailers)?;
        write!(f, " ({end}; before it {interim:?})")
    }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the proxy listens");
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        Self { stream, received: Vec::new() }
    }

    /// Sends in one piece. A proxy that has already refused may have closed: that is no error here.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write_all(bytes.as_ref());
        self
    }

    /// Sends every byte by itself.
    pub(crate) fn send_in_bytes(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        for byte in bytes.as_ref() {
            if self.stream.write_all(&[*byte]).is_err() {
                break;
            }
            // Lets the proxy's thread see the byte alone; not needed for the test to be right.
            std::thread::yield_now();
        }
        self
    }

    /// Says that nothing more will be sent.
    pub(crate) fn half_close(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).expect("half-close");
        self
    }

    /// The next response to anything but HEAD.
    pub(crate) fn response(&mut self) -> Result<Response, End> {
        self.read_response(Content::AsFramed)
    }

    /// The next response, to a HEAD request.
    pub(crate) fn response_to_head(&mut self) -> Result<Response, End> {
        self.read_response(Content::None)
    }

    /// The next interim response, or the final one if it comes first.
    pub(crate) fn interim_or_final(&mut self) -> Result<Response, End> {
        let response = self.read_head()?;
        if response.status < 200 {
            Ok(response)
        } else {
            self.read_body(response, Content::AsFramed)
        }
    }

    /// Whether the proxy closes the connection without sending anything more.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.received.is_empty() && self.more() == Err(End::Closed)
    }

    /// The next bytes, as many as asked for if so many come.
    pub(crate) fn take(&mut self, size: usize) -> Vec<u8> {
        while self.received.len() < size && self.more().is_ok() {}
        let there = self.received.len().min(size);
        self.received.drain(..there).collect()
    }

    /// Everything until the connection is closed.
    fn rest(&mut self) -> Vec<u8> {
        while self.more().is_ok() {}
        std::mem::take(&mut self.received)
    }

    fn read_response(&mut self, content: Content) -> Result<Response, End> {
        let mut interim = Vec::new();
        loop {
            let response = self.read_head()?;
            if response.status < 200 && response.status != 101 {
                interim.push(response.status);
                continue;
            }
            let response = Response { interim, ..response };
            return self.read_body(response, content);
        }
    }

    fn read_head(&mut self) -> Result<Response, End> {
        let end = loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head: Vec<u8> = self.received.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let (line, fields) = head.split_once("\r\n").expect("a line end");
        let mut words = line.split(' ');
        let status = words.nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status line: {line:?}"));
        Ok(Response {
            status,
            headers: fields_of(fields),
            body: Vec::new(),
            trailers: Vec::new(),
            complete: true,
            interim: Vec::new(),
        })
    }

    fn read_body(&mut self, mut response: Response, content: Content) -> Result<Response, End> {
        let bodiless = matches!(response.status, 101 | 204 | 304);
        if bodiless || content == Content::None {
            return Ok(response);
        }
        let chunked = response.header("transfer-encoding") == Some("chunked");
        let length = response.header("content-length").and_then(|length| length.parse().ok());
        response.complete = match (chunked, length) {
            (true, _) => self.chunked(&mut response).is_some(),
            (false, Some(length)) => {
                while self.received.len() < length && self.more().is_ok() {}
                let there = self.received.len().min(length);
                response.body = self.received.drain(..there).collect();
                there == length
            }
            (false, None) => {
                response.body = self.rest();
                true
            }
        };
        Ok(response)
    }

    fn chunked(&mut self, response: &mut Response) -> Option<()> {
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
            if size == 0 {
                break;
            }
            while self.received.len() < size + 2 {
                if self.more().is_err() {
                    response.body.append(&mut self.received);
                    return None;
                }
            }
            response.body.extend(self.received.drain(..size));
            self.received.drain(..2);
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(());
            }
            response.trailers.extend(fields_of(&line));
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.received.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.received.drain(..at + 2).collect();
                return Some(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.more().ok()?;
        }
    }

    fn more(&mut self) -> Result<(), End> {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(End::Closed),
            Ok(size) => {
                self.received.extend_from_slice(&buffer[..size]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(End::Silent),
            Err(_) => Err(End::Closed),
        }
    }
}

/// Whether a response may have content at all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    AsFramed,
    None,
}

fn fields_of(text: &str) -> Vec<(String, String)> {
    text.split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect()
}
