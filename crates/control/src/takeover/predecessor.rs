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
    /// Who waits for its word that we are in charge, or for why not.
    word: Mutex<Option<oneshot::Sender<Result<(), String>>>>,
    is_gone: AtomicBool,
    gone: Notify,
}

/// How long it may take to say that we are in charge.
const WORD_WITHIN: Duration = Duration::from_secs(10);

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

    /// Says that we could accept, and waits for its word. From then on it never goes on by itself. One
    /// that is gone leaves everything to us.
    ///
    /// # Errors
    /// Why it goes on itself; then we must end.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        let (word, said) = oneshot::channel();
        *self.shared.word.lock().unwrap_or_else(PoisonError::into_inner) = Some(word);
        let sent = self.messages.send(FromNew::Ready);
        if sent.is_err() || self.is_gone() {
            return Ok(());
        }
        match timeout(WORD_WITHIN, said).await {
            Ok(Ok(word)) => word,
            // It is gone, and had not gone on before.
            Ok(Err(_)) => Ok(()),
            Err(_) => Err("it does not answer".to_owned()),
        }
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

    fn say(&self, word: Result<(), String>) {
        let waiting = self.word.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiting) = waiting {
            // Whoever waited may have given up.
            let _ = waiting.send(word);
        }
    }

    fn listen(&self, link: &Link) {
        while let Ok((message, _)) = link.receive::<FromOld>(None) {
            match message {
                FromOld::Acknowledged { number, count } => {
                    if let Some(answer) = self.waiting().remove(&number) {
                        // Whoever asked may have stopped waiting.
                        let _ = answer.send(count);
                    }
                }
                FromOld::Go => self.say(Ok(())),
                FromOld::Refused { why } => self.say(Err(why)),
                FromOld::Listener { .. } | FromOld::Admin { .. } | FromOld::Aside { .. } => {}
            }
        }
        drop(self.word.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.is_gone.store(true, Relaxed);
        // Nobody will answer them.
        self.waiting().clear();
        self.gone.notify_waiters();
    }
}
