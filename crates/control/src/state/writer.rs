//! The thread that owns the file, and what it shares with everybody else.
//!
//! redb blocks, and so may a disk, for ever. So one thread alone touches them, and whoever waits
//! for it waits for a bounded time. What waits goes to the disk in one transaction. What fails is
//! tried again, as it is by then.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::StateError;
use super::disk::Disk;
use super::ledger::{Batch, Ledger};
use super::place::{Place, guarded};

/// How long after a failure the disk is tried again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What writers of the file and everybody else have in common.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) keeping: Keeping,
    /// The disk does not have what it should. While this is so nobody waits for it.
    pub(super) behind: Option<Behind>,
    /// Who waits for the next transaction.
    pub(super) waiting: Vec<oneshot::Sender<Result<(), StateError>>>,
    /// Who waits for the one under way.
    under_way: Vec<oneshot::Sender<Result<(), StateError>>>,
    /// Who waits for the end.
    pub(super) closers: Vec<oneshot::Sender<Result<(), StateError>>>,
}

/// What becomes of what is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    /// The thread brings it to the disk.
    OnDisk,
    /// Memory is what was asked for.
    InMemory,
    /// Memory is all there is, and this is why.
    Makeshift(Arc<str>),
    /// The thread is about to end.
    Closing,
    /// It has ended; the file is free.
    Closed,
}

#[derive(Clone, Debug)]
pub(super) struct Behind {
    pub(super) why: Arc<str>,
    pub(super) since: Instant,
    again_at: Instant,
}

impl Shared {
    pub(super) fn new(ledger: Ledger, keeping: Keeping) -> Self {
        let state = State {
            ledger,
            keeping,
            behind: None,
            waiting: Vec::new(),
            under_way: Vec::new(),
            closers: Vec::new(),
        };
        Self { state: Mutex::new(state), wake: Condvar::new() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is something to do.
    pub(super) fn wake(&self) {
        self.wake.notify_all();
    }

    /// Waits until there is something to write, or a try is due. False: it is the last time.
    fn wait_for_work(&self) -> bool {
        let mut state = self.state();
        loop {
            if state.keeping == Keeping::Closing {
                return false;
            }
            let Some(behind) = &state.behind else {
                if state.has_work() {
                    return true;
                }
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = behind.again_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let waited = self.wake.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn begin(&self, everything: bool) -> Batch {
        let mut state = self.state();
        let waiting = std::mem::take(&mut state.waiting);
        state.under_way.extend(waiting);
        state.ledger.batch(everything)
    }

    fn done(&self, batch: &Batch) {
        let mut state = self.state();
        state.ledger.saved(batch);
        for waiting in std::mem::take(&mut state.under_way) {
            let _ = waiting.send(Ok(()));
        }
        if let Some(behind) = state.behind.take() {
            let seconds = behind.since.elapsed().as_secs();
            tracing::info!("the state on the disk is complete again, after {seconds} s");
        }
    }

    fn closed(&self) {
        let mut state = self.state();
        state.keeping = Keeping::Closed;
        let outcome = match &state.behind {
            Some(behind) => Err(StateError::Behind(behind.why.clone())),
            None => Ok(()),
        };
        for closer in std::mem::take(&mut state.closers) {
            let _ = closer.send(outcome.clone());
        }
    }
}

impl State {
    /// Who waits is answered also if what they wrote is too old to be kept.
    fn has_work(&self) -> bool {
        self.ledger.has_unsaved() || !self.waiting.is_empty()
    }

    /// From now on nobody waits for the disk, until it has everything.
    pub(super) fn fall_behind(&mut self, why: &str) -> StateError {
        let now = Instant::now();
        let since = self.behind.as_ref().map_or(now, |behind| behind.since);
        if self.behind.as_ref().is_none_or(|behind| *behind.why != *why) {
            tracing::warn!("decisions are in memory only, the disk is tried again: {why}");
        }
        let why: Arc<str> = why.into();
        self.behind = Some(Behind { why: why.clone(), since, again_at: now + RETRY_AFTER });
        let under_way = std::mem::take(&mut self.under_way);
        for waiting in under_way.into_iter().chain(std::mem::take(&mut self.waiting)) {
            let _ = waiting.send(Err(StateError::Behind(why.clone())));
        }
        StateError::Behind(why)
    }
}

/// Owns the file.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) place: Place,
    pub(super) disk: Option<Disk>,
    /// The file is not the one that has what the ledger calls saved.
    pub(super) stale: bool,
    /// What was said of the file since it last had everything.
    pub(super) said: Vec<String>,
    /// Called before the disk is touched; an error of it is one of the disk's.
    pub(super) before: super::Before,
}

impl Writer {
    /// Until the store is closed, or nobody has it any more.
    pub(super) fn run(mut self) {
        while self.shared.wait_for_work() {
            self.turn();
        }
        let last = self.shared.state().has_work();
        if last {
            self.turn();
        }
        self.leave();
        drop(self.place);
        self.shared.closed();
    }

    fn turn(&mut self) {
        let outcome = guarded(|| self.write()).unwrap_or_else(Err);
        if let Err(why) = outcome {
            self.shared.state().fall_behind(&why);
            // After an error redb wants the file opened anew.
            self.leave();
        }
    }

    fn write(&mut self) -> Result<(), String> {
        (self.before)()?;
        if self.disk.as_ref().is_some_and(|disk| !disk.is_in_place()) {
            tracing::warn!("the state file was moved away while in use");
            self.leave();
            self.stale = true;
        }
        let disk = match self.disk.take() {
            Some(disk) => disk,
            None => {
                self.place.restore()?;
                let found = self.place.open().map_err(|_| "another process has the file open")?;
                // Said once, not at every try.
                if found.notes != self.said {
                    found.notes.iter().for_each(|note| tracing::warn!("{note}"));
                    self.said = found.notes;
                }
                let disk = found.disk?;
                self.stale |= disk.is_fresh();
                disk
            }
        };
        let disk = self.disk.insert(disk);
        let batch = self.shared.begin(self.stale);
        disk.write(&batch).map_err(|fault| fault.to_string())?;
        self.stale = false;
        self.said.clear();
        self.shared.done(&batch);
        Ok(())
    }

    fn leave(&mut self) {
        let disk = self.disk.take();
        let _ = guarded(|| drop(disk));
    }
}
