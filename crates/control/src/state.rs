//! What must not be forgotten: written here before it is announced.
//!
//! With a folder, what [`Store::commit`] has returned for is on the disk. Without one, or if the
//! folder cannot be used, the same store keeps less of it in memory. Queries are answered from
//! memory in both cases. A disk that hangs or fails stops nobody: whoever writes is told within
//! [`WRITE_WITHIN`], and the disk is brought up to date when it answers again.

mod disk;
mod ledger;
mod place;
pub(crate) mod saved;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use ledger::{Content, IN_MEMORY, Ledger, ON_DISK};
use place::{Entered, InUse};
pub(crate) use saved::{
    SavedAdmin, SavedDrill, SavedFailback, SavedGate, SavedJob, SavedMark, SavedService,
    SavedSwitchover, epoch_from,
};
use writer::{Keeping, Shared, Writer};

/// How long [`Store::commit`] waits for the disk.
pub(crate) const WRITE_WITHIN: Duration = Duration::from_secs(1);
/// How long [`Store::close`] waits for it.
pub(crate) const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// How long a file may take to open. After a crash all of it is read and checked, twice.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// How often [`Store::open_within`] looks whether the folder is free.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How many may wait for the disk at once; more are told that it is behind.
const WAITING: usize = 1_024;

/// Whether a note of [`Opened`] only says that this is a first start.
pub(crate) fn is_of_first_start(note: &str) -> bool {
    place::is_of_first_start(note)
}

/// Whether decisions could be kept in `folder`. Touches nothing.
///
/// # Errors
/// Why not, in words.
pub(crate) fn could_use(folder: &Path) -> Result<(), String> {
    place::could_enter(folder)
}

/// Something to remember.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// All that is to be known of a service, in place of what was.
    Service(Arc<str>, Box<SavedService>),
    /// A service that is no more.
    Forget(Arc<str>),
    /// An event by its number (see [`Store::next_event`]), as a JSON object. Which service it
    /// concerns is its field `service`. The newest 10,000 are kept, 1,000 in memory.
    Event(u64, Arc<str>),
    /// An incident by its number (see [`Store::next_incident`]), as JSON; in place of what was.
    /// The newest 1,000 are kept, 100 in memory.
    Incident(u64, Arc<str>),
    /// Of all events up to this number the notifier of that name has told, or will not tell; `None`:
    /// there is no such notifier any more.
    Told(Arc<str>, Option<u64>),
}

/// An event or an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its number.
    pub(crate) number: u64,
    /// As it was written.
    pub(crate) json: Arc<str>,
}

/// Why something is not on the disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StateError {
    /// The folder is another process's. Nothing was opened.
    #[error("another understudy runs on state_dir {}", .0.display())]
    InUse(PathBuf),
    /// It is remembered in memory only, for this reason, and goes to the disk when that answers
    /// again. No reason not to go on.
    #[error("not on the disk yet: {0}")]
    Behind(Arc<str>),
    /// The store was closed before; nothing was remembered.
    #[error("the state is closed")]
    Closed,
}

/// A store, and what it remembers from before.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) store: Store,
    /// By name, also of services that are no longer configured.
    pub(crate) services: BTreeMap<String, SavedService>,
    /// What an operator should know: what was set aside, that nothing will be remembered.
    pub(crate) notes: Vec<String>,
}

/// The state. A cheap handle: clones are the same store.
///
/// When the last one is dropped the thread writes what waits and ends by itself; only
/// [`Store::close`] tells when.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    shared: Arc<Shared>,
    numbers: Arc<Numbers>,
    _end: Arc<EndOnDrop>,
}

#[derive(Debug)]
struct Numbers {
    event: AtomicU64,
    incident: AtomicU64,
}

#[derive(Debug)]
struct EndOnDrop(Arc<Shared>);

/// Called before the disk is touched, to stand in for one that hangs or fails.
type Before = Box<dyn FnMut() -> Result<(), String> + Send>;

impl Store {
    /// Opens the state in `folder`, which is made if its parent is there; `None`: in memory.
    /// Blocks, 10 s at most.
    ///
    /// # Errors
    ///
    /// [`StateError::InUse`] only. Whatever else is wrong leads to a store that works, with a
    /// note that says what was done about it and what follows.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Opened, StateError> {
        Self::open_with(folder, OPEN_WITHIN, Box::new(|| Ok(())))
    }

    /// The same; while another process has the folder, waits for it up to `within`.
    ///
    /// # Errors
    ///
    /// [`StateError::InUse`]: it has not been free.
    pub(crate) fn open_within(
        folder: Option<&Path>,
        within: Duration,
    ) -> Result<Opened, StateError> {
        let until = Instant::now() + within;
        loop {
            match Self::open(folder) {
                Err(StateError::InUse(_)) if Instant::now() < until => thread::sleep(LOOK_EVERY),
                outcome => return outcome,
            }
        }
    }

    fn open_with(
        folder: Option<&Path>,
        within: Duration,
        mut before: Before,
    ) -> Result<Opened, StateError> {
        let Some(folder) = folder else {
            return Ok(Self::makeshift(Keeping::InMemory, Vec::new()));
        };
        let (answer, answered) = mpsc::sync_channel(0);
        let path = folder.to_owned();
        let body = move || {
            let _ = before();
            let entered = place::enter(&path).map(|entered| begin(entered, before));
            let (opened, writer) = match entered {
                Ok((opened, writer)) => (Ok(opened), writer),
                Err(InUse) => (Err(StateError::InUse(path)), None),
            };
            // Nobody waits any more: what was opened is let go.
            if answer.send(opened).is_ok()
                && let Some(writer) = writer
            {
                writer.run();
            }
        };
        let why = match thread::Builder::new().name("state".into()).spawn(body) {
            Ok(_) => match answered.recv_timeout(within) {
                Ok(opened) => return opened,
                Err(error) => match error {
                    mpsc::RecvTimeoutError::Timeout => {
                        format!("the disk has not answered for {} s", within.as_secs())
                    }
                    mpsc::RecvTimeoutError::Disconnected => "reading it failed".to_owned(),
                },
            },
            Err(error) => format!("no thread could be started for it: {error}"),
        };
        let note = format!(
            "state_dir {}: {why}. Nothing is remembered from before; decisions, events and \
             incidents are kept in memory and will not survive a restart",
            folder.display()
        );
        Ok(Self::makeshift(Keeping::Makeshift(why.into()), vec![note]))
    }

    /// A store in the place of one that cannot be used, and why.
    pub(crate) fn without(why: &str) -> Opened {
        Self::makeshift(Keeping::Makeshift(why.into()), vec![format!("state: {why}")])
    }

    /// A store that keeps nothing on a disk.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self::makeshift(Keeping::InMemory, Vec::new()).store
    }

    /// Like [`Store::commit`], without waiting for the disk, or hearing from it.
    pub(crate) fn post(&self, write: Write) {
        let mut state = self.shared.state();
        match &state.keeping {
            Keeping::Closing | Keeping::Closed => {}
            Keeping::OnDisk => {
                state.ledger.apply(vec![write]);
                self.shared.wake();
            }
            Keeping::InMemory | Keeping::Makeshift(_) => {
                state.ledger.apply(vec![write]);
                state.ledger.all_saved();
            }
        }
    }

    fn makeshift(keeping: Keeping, notes: Vec<String>) -> Opened {
        let ledger = Ledger::new(Content::default(), IN_MEMORY);
        Self::with(ledger, keeping).opened(notes)
    }

    fn with(ledger: Ledger, keeping: Keeping) -> Self {
        let (event, incident) = ledger.last_numbers();
        let numbers =
            Numbers { event: AtomicU64::new(event + 1), incident: AtomicU64::new(incident + 1) };
        let shared = Arc::new(Shared::new(ledger, keeping));
        let end = EndOnDrop(shared.clone());
        Self { shared, numbers: Arc::new(numbers), _end: Arc::new(end) }
    }

    fn opened(self, notes: Vec<String>) -> Opened {
        let services = self.shared.state().ledger.services();
        Opened { store: self, services, notes }
    }

    /// Remembers all of `writes`, or, if the process dies meanwhile, maybe none of them; never
    /// some. On the disk when this returns `Ok`, if there is a folder. Dropping the future
    /// changes nothing about it.
    ///
    /// # Errors
    ///
    /// [`StateError::Behind`] within [`WRITE_WITHIN`]; at once while the disk is known to be
    /// behind. [`StateError::Closed`].
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<(), StateError> {
        let mut answer = {
            let mut state = self.shared.state();
            if matches!(state.keeping, Keeping::Closing | Keeping::Closed) {
                return Err(StateError::Closed);
            }
            state.ledger.apply(writes);
            match &state.keeping {
                Keeping::OnDisk => {}
                Keeping::Makeshift(why) => {
                    let error = StateError::Behind(why.clone());
                    state.ledger.all_saved();
                    return Err(error);
                }
                Keeping::InMemory | Keeping::Closing | Keeping::Closed => {
                    state.ledger.all_saved();
                    return Ok(());
                }
            }
            if let Some(behind) = &state.behind {
                return Err(StateError::Behind(behind.why.clone()));
            }
            if state.waiting.len() == WAITING {
                return Err(state.fall_behind("too much waits for the disk"));
            }
            let (sender, answer) = oneshot::channel();
            state.waiting.push(sender);
            self.shared.wake();
            answer
        };
        match tokio::time::timeout(WRITE_WITHIN, &mut answer).await {
            Ok(answered) => answered.unwrap_or(Err(StateError::Closed)),
            Err(_) => {
                let mut state = self.shared.state();
                let late = format!("the disk has not answered for {} s", WRITE_WITHIN.as_secs());
                // The answer may have come since. It is given under this lock.
                answer.try_recv().unwrap_or_else(|_| Err(state.fall_behind(&late)))
            }
        }
    }

    /// Commits what waits and lets go of the folder, for a successor. Later commits fail;
    /// queries are still answered.
    ///
    /// # Errors
    ///
    /// [`StateError::Behind`]: something is not on the disk, or, after [`CLOSE_WITHIN`], the
    /// folder is not free yet.
    pub(crate) async fn close(&self) -> Result<(), StateError> {
        let ended = {
            let mut state = self.shared.state();
            match state.keeping {
                Keeping::OnDisk => state.keeping = Keeping::Closing,
                Keeping::Closing => {}
                Keeping::InMemory | Keeping::Makeshift(_) => {
                    state.keeping = Keeping::Closed;
                    return Ok(());
                }
                Keeping::Closed => return Ok(()),
            }
            let (sender, ended) = oneshot::channel();
            state.closers.push(sender);
            self.shared.wake();
            ended
        };
        let late = || format!("the disk has not answered for {} s", CLOSE_WITHIN.as_secs());
        match tokio::time::timeout(CLOSE_WITHIN, ended).await {
            Ok(answered) => answered.unwrap_or(Err(StateError::Closed)),
            Err(_) => Err(StateError::Behind(late().into())),
        }
    }

    /// What is wrong, in words; `None`: all that was committed is as durable as was asked for.
    pub(crate) fn health(&self) -> Option<String> {
        let state = self.shared.state();
        if let Keeping::Makeshift(why) = &state.keeping {
            return Some(format!("decisions will not survive a restart: {why}"));
        }
        let behind = state.behind.as_ref()?;
        let seconds = behind.since.elapsed().as_secs();
        Some(format!("for {seconds} s decisions have been in memory only: {}", behind.why))
    }

    /// A number for an event, greater than any before, also before a restart.
    pub(crate) fn next_event(&self) -> u64 {
        self.numbers.event.fetch_add(1, Ordering::Relaxed)
    }

    /// A number for an incident, likewise.
    pub(crate) fn next_incident(&self) -> u64 {
        self.numbers.incident.fetch_add(1, Ordering::Relaxed)
    }

    /// The first `limit` events with a greater number than `after`, oldest first; of one service
    /// if it is named. Those that are not on the disk yet are among them: whoever follows is told of
    /// each at once, and whoever begins to follow a moment later must not miss it.
    pub(crate) fn events_after(
        &self,
        after: u64,
        service: Option<&str>,
        limit: usize,
    ) -> Vec<Entry> {
        let later = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        self.shared.state().ledger.events(later, service).take(limit).collect()
    }

    /// The last `limit` events with a smaller number than `before`, likewise oldest first.
    pub(crate) fn events_before(
        &self,
        before: u64,
        service: Option<&str>,
        limit: usize,
    ) -> Vec<Entry> {
        let state = self.shared.state();
        let mut events: Vec<_> = state.ledger.events(..before, service).rev().take(limit).collect();
        events.reverse();
        events
    }

    /// The number of the latest event; 0: there is none.
    pub(crate) fn last_event(&self) -> u64 {
        self.numbers.event.load(Ordering::Relaxed) - 1
    }

    /// One event.
    pub(crate) fn event(&self, number: u64) -> Option<Entry> {
        self.shared.state().ledger.events(number..=number, None).next()
    }

    /// Up to which event each notifier has told, by name.
    pub(crate) fn told(&self) -> BTreeMap<Arc<str>, u64> {
        self.shared.state().ledger.told().clone()
    }

    /// The newest `limit` incidents, newest first.
    pub(crate) fn incidents(&self, limit: usize) -> Vec<Entry> {
        let state = self.shared.state();
        state.ledger.incidents(.., state.behind.is_some()).rev().take(limit).collect()
    }

    /// One incident.
    pub(crate) fn incident(&self, id: u64) -> Option<Entry> {
        let state = self.shared.state();
        state.ledger.incidents(id..=id, state.behind.is_some()).next()
    }
}

fn begin(entered: Entered, before: Before) -> (Opened, Option<Writer>) {
    let Entered { found, place } = entered;
    let content = found.content.unwrap_or_default();
    let (disk, why) = match found.disk {
        Ok(disk) => (Some(disk), None),
        Err(why) => (None, Some(why)),
    };
    let (kept, keeping) = match (&place, &why) {
        (Some(_), _) => (ON_DISK, Keeping::OnDisk),
        (None, why) => {
            let why = why.as_deref().unwrap_or_default();
            (IN_MEMORY, Keeping::Makeshift(why.into()))
        }
    };
    let opened = Store::with(Ledger::new(content, kept), keeping).opened(found.notes);
    let shared = opened.store.shared.clone();
    if let (Some(why), Some(_)) = (&why, &place) {
        shared.state().fall_behind(why);
    }
    let writer = place.map(|place| {
        let said = Vec::new();
        Writer { shared, place, disk, stale: false, said, before }
    });
    (opened, writer)
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if state.keeping == Keeping::OnDisk {
            state.keeping = Keeping::Closing;
        }
        self.0.wake();
    }
}
