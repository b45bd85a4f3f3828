//! The process before us, while it still has requests: it does with them what we say.
//!
//! One thread writes and one reads, for the link blocks.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::link::Link;
use super::{FromNew, FromOld};
use crate::forwarders::Said;

/// A cheap handle; the link ends with the process at the other end.
#[derive(Clone, Debug)]
pub(crate) struct Predecessor {
    shared: Arc<Shared>,
    messages: mpsc::Sender<FromNew>,
}

#[derive(Debug, Default)]
struct Shared {
    last: AtomicU64,
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Option<usize>>>>,
    is_gone: AtomicBool,
    gone: Notify,
}

impl Predecessor {
    pub(super) fn new(link: Link) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (messages, outbox) = mpsc::channel::<FromNew>();
        let out = link.try_clone()?;
        // Ends when the last handle is gone, or the link breaks.
        thread::Builder::new().name("predecessor-out".into()).spawn(move || {
            while let Ok(message) = outbox.recv() {
                if out.send(&message, &[]).is_err() {
                    break;
                }
            }
            out.close();
        })?;
        let heard = Arc::clone(&shared);
        // Ends when the other process does.
        thread::Builder::new().name("predecessor-in".into()).spawn(move || heard.listen(&link))?;
        Ok(Self { shared, messages })
    }

    /// We accept.
    pub(crate) fn serving(&self) {
        // One that is gone does not need to know.
        let _ = self.messages.send(FromNew::Serving);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.shared.is_gone.load(Relaxed)
    }

    /// Returns once it is gone.
    pub(crate) async fn gone(&self) {
        let gone = self.shared.gone.notified();
        if !self.is_gone() {
            gone.await;
        }
    }

    /// Has it do something, and awaits how many requests that concerned; `None`: not done within
    /// `within`, or it is gone.
    pub(crate) async fn tell(
        &self,
        service: &Arc<str>,
        said: Said,
        within: Duration,
    ) -> Option<usize> {
        if self.is_gone() {
            return None;
        }
        let number = self.shared.last.fetch_add(1, Relaxed);
        let (answer, answered) = oneshot::channel();
        self.shared.waiting().insert(number, answer);
        let order = FromNew::Order { number, service: service.clone(), said };
        let sent = self.messages.send(order).is_ok();
        let count = match timeout(within, answered).await {
            Ok(Ok(count)) if sent => count,
            Ok(_) | Err(_) => None,
        };
        self.shared.waiting().remove(&number);
        count
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, oneshot::Sender<Option<usize>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, link: &Link) {
        while let Ok((message, _)) = link.receive::<FromOld>(None) {
            if let FromOld::Acknowledged { number, count } = message
                && let Some(answer) = self.waiting().remove(&number)
            {
                // Whoever asked may have stopped waiting.
                let _ = answer.send(count);
            }
        }
        self.is_gone.store(true, Relaxed);
        // Nobody will answer them.
        self.waiting().clear();
        self.gone.notify_waiters();
    }
}
