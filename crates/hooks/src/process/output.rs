//! What a program writes: its beginning is kept, the rest is read and thrown away.

use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::time::{Instant, sleep, timeout_at};

/// How much is read at a time.
const BUFFER_BYTES: usize = 16 * 1024;

/// From one read to the next once nothing is kept any more: a program that writes without end is not
/// to keep us from everything else.
const PAUSE: Duration = Duration::from_millis(1);

/// How long the pipe may stay open when the program has ended: whoever left its process group may
/// still hold it, and nobody waits for that.
const LINGER: Duration = Duration::from_millis(50);

/// The end of the pipe that we read.
#[derive(Debug)]
pub(super) struct Output {
    pipe: Receiver,
    kept: Vec<u8>,
    most: usize,
}

impl Output {
    /// Keeps the first `most` bytes.
    pub(super) fn new(pipe: PipeReader, most: usize) -> io::Result<Self> {
        Ok(Self { pipe: Receiver::from_owned_fd(OwnedFd::from(pipe))?, kept: Vec::new(), most })
    }

    /// Reads until nobody holds the other end any more. May be dropped at any time.
    pub(super) async fn read(&mut self) {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let Ok(length @ 1..) = self.pipe.read(&mut buffer).await else { return };
            let room = self.most - self.kept.len();
            self.kept.extend_from_slice(&buffer[..length.min(room)]);
            if length >= room {
                sleep(PAUSE).await;
            }
        }
    }

    /// Reads what was written before the program ended, until `deadline` at the latest.
    pub(super) async fn last_words(&mut self, deadline: Instant) {
        if self.kept.len() < self.most {
            let _ = timeout_at(deadline.min(Instant::now() + LINGER), self.read()).await;
        }
    }

    /// What was kept.
    pub(super) fn kept(&self) -> &[u8] {
        &self.kept
    }
}
