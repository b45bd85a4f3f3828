//! The stream of events and states, for as long as somebody listens: begun again when it ends, from
//! where it was.

use std::collections::VecDeque;
use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep, timeout};

use super::sse::{Message, Parser};
use super::{AskError, Client, Exchange};

/// The server says something at least every 15 s, if only that it is there.
const SILENT_FOR: Duration = Duration::from_secs(60);
/// Between two attempts: the first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// After so long without the server it has ended, and not only started again.
const GONE_AFTER: Duration = Duration::from_secs(10 * 60);

/// A stream that is followed.
pub(crate) struct Follow<'a> {
    client: &'a Client,
    path: String,
    open: Option<Open>,
    ready: VecDeque<Message>,
    last_id: Option<String>,
    pause: Duration,
    heard: Instant,
    quiet: bool,
}

/// One connection of it.
struct Open {
    exchange: Exchange,
    parser: Parser,
}

impl<'a> Follow<'a> {
    /// Opens the stream at `path`, after the event `after` if it is given, else from now on.
    ///
    /// # Errors
    /// When it cannot be had at the first attempt.
    pub(super) async fn begin(
        client: &'a Client,
        path: &str,
        after: Option<u64>,
    ) -> Result<Self, AskError> {
        let mut follow = Self {
            client,
            path: path.to_owned(),
            open: None,
            ready: VecDeque::new(),
            last_id: after.map(|after| after.to_string()),
            pause: PAUSE.0,
            heard: Instant::now(),
            quiet: false,
        };
        follow.open().await?;
        Ok(follow)
    }

    /// The next message, also over several connections. Begins its pauses anew when it is dropped and
    /// called again: wait for it in one go.
    ///
    /// # Errors
    /// When the server refuses, or has been gone for long.
    pub(crate) async fn next(&mut self) -> Result<Message, AskError> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                self.last_id = message.id.clone().or(self.last_id.take());
                return Ok(message);
            }
            if self.open.is_none() {
                self.reopen().await?;
            }
            self.read().await;
        }
    }

    /// Takes what comes; at the end of the connection `open` is `None`.
    async fn read(&mut self) {
        let Some(open) = &mut self.open else { return };
        let Ok(Some(Ok(frame))) = timeout(SILENT_FOR, open.exchange.body.frame()).await else {
            self.open = None;
            return;
        };
        let Ok(data) = frame.into_data() else { return };
        match open.parser.take(&data) {
            Ok(messages) => {
                // Only what was said counts as an answer, so that a server that takes connections
                // and drops them is not asked without a pause.
                self.pause = PAUSE.0;
                self.heard = Instant::now();
                self.quiet = false;
                self.ready.extend(messages);
            }
            Err(_) => self.open = None,
        }
    }

    async fn open(&mut self) -> Result<(), AskError> {
        let exchange = self.client.stream(&self.path, self.last_id.as_deref()).await?;
        self.open = Some(Open { exchange, parser: Parser::default() });
        Ok(())
    }

    async fn reopen(&mut self) -> Result<(), AskError> {
        loop {
            // Not all of many clients at once.
            let pause = self.pause.mul_f64(0.5 + fastrand::f64() / 2.0);
            self.pause = (self.pause * 2).min(PAUSE.1);
            sleep(pause).await;
            match self.open().await {
                Ok(()) => return Ok(()),
                Err(error) if error.may_pass() && self.heard.elapsed() < GONE_AFTER => {
                    if !std::mem::replace(&mut self.quiet, true) {
                        eprintln!("understudy: {error}; trying again");
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}
