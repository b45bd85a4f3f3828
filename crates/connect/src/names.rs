//! The addresses behind a backend's name, looked up again while they are in use.
//!
//! A look-up blocks a thread for as long as the name servers like, and cannot be cancelled. So each
//! has a thread of its own, there is one at a time, and nobody waits for it who knows an address that
//! may still do:
//!
//! | what is known | then |
//! |---|---|
//! | addresses, looked up less than 5 s ago | they are used |
//! | addresses, older or in doubt since no connection came about | they are used, and looked up meanwhile |
//! | addresses that for 1 min neither a look-up nor a connection has confirmed | as if there were none |
//! | none, a look-up is under way | it is waited for |
//! | none, a look-up failed less than 1 s ago | that failure is told |
//! | none | looked up, and waited for |
//!
//! So a backend that works stays reachable for as long as it works, whatever becomes of the name
//! servers.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use tokio::sync::Notify;

use crate::error::{ConnectError, at, is_exhaustion};

/// How long addresses are used before the name is looked up again.
const FRESH: Duration = Duration::from_secs(5);
/// How long addresses are used that nothing has confirmed meanwhile.
const USABLE: Duration = Duration::from_secs(60);
/// From the end of a look-up to the next, at least.
const PAUSE: Duration = Duration::from_secs(1);

/// How a name is looked up: host and port to addresses. May block; runs on a thread of its own.
#[derive(Clone)]
#[allow(clippy::type_complexity, reason = "it is written once, and a name would say no more")]
pub struct LookUp(Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>);

impl LookUp {
    /// Asks the system, as `getaddrinfo` does.
    #[must_use]
    pub fn system() -> Self {
        Self::by(|host, port| (host, port).to_socket_addrs().map(Iterator::collect))
    }

    /// Asks `look_up`.
    pub fn by(
        look_up: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(look_up))
    }
}

impl fmt::Debug for LookUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LookUp")
    }
}

/// What is known of the name of one destination, by whoever connects there. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct KnownNames(Arc<OnceLock<Names>>);

impl KnownNames {
    /// That of `host`; whoever comes first says how it is looked up.
    pub(crate) fn of(&self, host: &Arc<str>, port: u16, look_up: LookUp) -> Names {
        self.0.get_or_init(|| Names::new(Arc::clone(host), port, look_up)).clone()
    }
}

/// What is known of one name.
#[derive(Clone, Debug)]
pub(crate) struct Names(Arc<Shared>);

/// Shared with the look-up under way, which may outlive everybody else.
#[derive(Debug)]
struct Shared {
    host: Arc<str>,
    port: u16,
    look_up: LookUp,
    book: Mutex<Book>,
    /// A look-up has ended.
    ended: Notify,
}

impl Names {
    pub(crate) fn new(host: Arc<str>, port: u16, look_up: LookUp) -> Self {
        let (book, ended) = (Mutex::default(), Notify::new());
        Self(Arc::new(Shared { host, port, look_up, book, ended }))
    }

    /// The addresses to try; at least one, and the one that last took a connection first.
    ///
    /// # Errors
    /// [`ConnectError::Resolve`], or [`ConnectError::Exhausted`] when we lack what a look-up takes.
    pub(crate) async fn addresses(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let shared = &self.0;
        loop {
            // Listens before it looks, so that no end is missed.
            let ended = shared.ended.notified();
            match Shared::consult(shared) {
                Advice::Use(addresses) => return Ok(addresses),
                Advice::Fail(failure) => return Err(failure.told(&shared.host)),
                Advice::Wait => ended.await,
            }
        }
    }

    /// `address` took a connection.
    pub(crate) fn worked(&self, address: SocketAddr) {
        self.0.book().worked(address, Instant::now());
    }

    /// No connection came about in time, or at all: the addresses may be old, so they are looked up.
    pub(crate) fn doubt(&self) {
        self.0.book().in_doubt = true;
        Shared::consult(&self.0);
    }
}

impl Shared {
    /// Nothing is ever half written, so a panic of another holder does no harm.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to do now; begins a look-up if it is time for one.
    fn consult(shared: &Arc<Self>) -> Advice {
        let (advice, looks_up) = shared.book().consult(Instant::now());
        if looks_up {
            let own = Arc::clone(shared);
            let begun = thread::Builder::new().name("look-up".to_owned()).spawn(move || {
                let found = (own.look_up.0)(&own.host, own.port);
                own.note(found);
            });
            if let Err(error) = begun {
                shared.note(Err(io::Error::new(io::ErrorKind::OutOfMemory, error)));
            }
        }
        advice
    }

    fn note(&self, found: io::Result<Vec<SocketAddr>>) {
        let mut book = self.book();
        if let Err(error) = &found
            && book.failure.is_none()
        {
            tracing::warn!(host = %self.host, %error, "a name cannot be looked up");
        }
        book.note(found, Instant::now());
        drop(book);
        self.ended.notify_waiters();
    }
}

/// What to do about an address.
#[derive(Debug, PartialEq)]
enum Advice {
    Use(Vec<SocketAddr>),
    Fail(Failure),
    Wait,
}

/// A look-up that failed.
#[derive(Clone, Debug, PartialEq)]
struct Failure {
    kind: io::ErrorKind,
    words: String,
    is_exhaustion: bool,
}

impl Failure {
    fn of(error: &io::Error) -> Self {
        let is_exhaustion = is_exhaustion(error);
        Self { kind: error.kind(), words: error.to_string(), is_exhaustion }
    }

    fn told(self, host: &str) -> ConnectError {
        let error = at(host, &io::Error::new(self.kind, self.words));
        if self.is_exhaustion {
            ConnectError::Exhausted(error)
        } else {
            ConnectError::Resolve(error)
        }
    }
}

/// The rules. Reads no clock and looks nothing up.
#[derive(Debug, Default)]
struct Book {
    addresses: Vec<SocketAddr>,
    /// When the addresses were found.
    found: Option<Instant>,
    /// When a look-up or a connection last confirmed them.
    confirmed: Option<Instant>,
    /// No connection has come about since they were found.
    in_doubt: bool,
    is_looking_up: bool,
    /// When the last look-up ended, and its failure, if it was one.
    ended: Option<Instant>,
    failure: Option<Failure>,
}

impl Book {
    /// What to do, and whether to begin a look-up; the caller does so.
    fn consult(&mut self, now: Instant) -> (Advice, bool) {
        let within = |since: Option<Instant>, limit| {
            since.is_some_and(|since| now.saturating_duration_since(since) < limit)
        };
        let is_fresh = within(self.found, FRESH) && !self.in_doubt;
        let is_usable = !self.addresses.is_empty() && within(self.confirmed, USABLE);
        let rests = within(self.ended, PAUSE);
        let is_needed = !is_fresh || !is_usable;
        let looks_up = is_needed && !rests && !self.is_looking_up;
        self.is_looking_up |= looks_up;
        let advice = match &self.failure {
            _ if is_usable => Advice::Use(self.addresses.clone()),
            Some(failure) if !self.is_looking_up => Advice::Fail(failure.clone()),
            Some(_) | None => Advice::Wait,
        };
        debug_assert!(advice != Advice::Wait || self.is_looking_up, "somebody waits for nothing");
        (advice, looks_up)
    }

    /// A look-up ended.
    fn note(&mut self, found: io::Result<Vec<SocketAddr>>, now: Instant) {
        self.is_looking_up = false;
        self.ended = Some(now);
        let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        match found.and_then(|found| if found.is_empty() { Err(none()) } else { Ok(found) }) {
            Ok(found) => {
                // The one that works stays the first while it is one of them.
                let works = self.addresses.first().copied();
                self.addresses = found;
                if let Some(works) = works {
                    self.prefer(works);
                }
                (self.found, self.confirmed) = (Some(now), Some(now));
                (self.in_doubt, self.failure) = (false, None);
            }
            Err(error) => self.failure = Some(Failure::of(&error)),
        }
    }

    fn worked(&mut self, address: SocketAddr, now: Instant) {
        // It may have been replaced while the connection was opened.
        if self.prefer(address) {
            self.confirmed = Some(now);
        }
    }

    /// Moves `address` to the front. Returns whether it is there at all.
    fn prefer(&mut self, address: SocketAddr) -> bool {
        match self.addresses.iter().position(|known| *known == address) {
            Some(place) => {
                self.addresses[..=place].rotate_right(1);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
