//! One thread per log that writes what workers hand over. Whoever hands over never waits: what the
//! thread cannot take is dropped and counted.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use config::model::LogTo;
use metrics::LogCounts;

use crate::sink::Sink;

/// Batches that may wait for the disk: with the size of a batch, a few megabytes in all.
const WAITING: usize = 256;

/// How long opening may take; a disk that hangs longer is as good as none.
const OPENED_WITHIN: Duration = Duration::from_secs(5);

/// How often room is looked for when the log is to be flushed.
const LOOK: Duration = Duration::from_millis(5);

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[error("cannot write a log to {to}: {why}")]
pub struct OpenError {
    /// Where to.
    pub to: String,
    /// Why not.
    pub why: io::Error,
}

/// The way to a log's thread. The thread ends, with everything written, when the last one is gone.
pub struct Writer {
    to: LogTo,
    jobs: SyncSender<Job>,
    /// The file was renamed.
    is_moved: Arc<AtomicBool>,
    counts: Arc<LogCounts>,
}

enum Job {
    Write {
        batch: Vec<u8>,
        lines: u64,
    },
    /// Look whether the file was moved.
    Look,
    /// Everything before it is written.
    Flushed(SyncSender<()>),
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("to", &self.to).finish_non_exhaustive()
    }
}

impl Writer {
    /// Opens a log and starts its thread; `counts` are counted there.
    ///
    /// # Errors
    /// When it cannot be opened, or not in time.
    pub fn open(to: &LogTo, counts: Arc<LogCounts>) -> Result<Arc<Self>, OpenError> {
        let failed = |why| OpenError { to: config::show_log_to(to), why };
        let (jobs, inbox) = sync_channel(WAITING);
        let (opened, outcome) = sync_channel(1);
        let is_moved = Arc::new(AtomicBool::new(false));
        let task = Task {
            to: to.clone(),
            name: config::show_log_to(to),
            counts: Arc::clone(&counts),
            is_moved: Arc::clone(&is_moved),
            failing_since: None,
            is_left_behind: false,
            is_overgrown: false,
            has_left_out: false,
        };
        let run = move || task.run(&opened, &inbox);
        thread::Builder::new().name("log".to_owned()).spawn(run).map_err(failed)?;
        match outcome.recv_timeout(OPENED_WITHIN) {
            Ok(Ok(())) => Ok(Arc::new(Self { to: to.clone(), jobs, is_moved, counts })),
            Ok(Err(why)) => Err(failed(why)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(failed(
                io::Error::new(io::ErrorKind::TimedOut, "it could not be opened in time"),
            )),
        }
    }

    /// Where it writes to.
    #[must_use]
    pub fn to(&self) -> &LogTo {
        &self.to
    }

    /// Hands over so many whole `lines`.
    pub fn write(&self, batch: Vec<u8>, lines: u64) {
        match self.jobs.try_send(Job::Write { batch, lines }) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.counts.dropped(lines);
            }
        }
    }

    /// The file was renamed: what follows goes to a new one of its name.
    pub fn reopen(&self) {
        self.is_moved.store(true, Relaxed);
        // When there is no room it is busy, and looks at its next batch.
        let _ = self.jobs.try_send(Job::Look);
    }

    /// Waits until everything handed over before is written, for as long as `within`: whether it is.
    #[must_use]
    pub fn flush(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let (done, flushed) = sync_channel(1);
        let mut job = Job::Flushed(done);
        loop {
            match self.jobs.try_send(job) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) if Instant::now() < deadline => job = back,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return false,
            }
            thread::sleep(LOOK);
        }
        flushed.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok()
    }
}

/// The thread's part.
struct Task {
    to: LogTo,
    name: String,
    counts: Arc<LogCounts>,
    is_moved: Arc<AtomicBool>,
    /// Since when nothing can be written, and how many lines that has cost.
    failing_since: Option<(Instant, u64)>,
    /// The file was renamed, and none of its name can be opened.
    is_left_behind: bool,
    /// The file is too large, and cannot be set aside.
    is_overgrown: bool,
    /// A line was too long for a datagram.
    has_left_out: bool,
}

impl Task {
    fn run(mut self, opened: &SyncSender<io::Result<()>>, inbox: &Receiver<Job>) {
        let mut sink = match Sink::open(&self.to) {
            Ok(sink) => sink,
            Err(error) => {
                let _ = opened.try_send(Err(error));
                return;
            }
        };
        let _ = opened.try_send(Ok(()));
        while let Ok(job) = inbox.recv() {
            if self.is_moved.swap(false, Relaxed) {
                self.reopen(&mut sink);
            }
            match job {
                Job::Write { batch, lines } => self.write(&mut sink, &batch, lines),
                Job::Look => {}
                Job::Flushed(done) => drop(done.try_send(())),
            }
        }
    }

    /// Tried with each batch until it can be. Whatever lasts is said once.
    fn reopen(&mut self, sink: &mut Sink) {
        match sink.reopen() {
            Ok(()) => {
                if self.is_left_behind {
                    tracing::info!(log = self.name, "the log is opened anew");
                }
                (self.is_left_behind, self.is_overgrown) = (false, false);
            }
            Err(error) => {
                self.is_moved.store(true, Relaxed);
                if !self.is_left_behind {
                    tracing::error!(
                        log = self.name,
                        %error,
                        "cannot open the log anew: lines go to the old file until it can be"
                    );
                }
                self.is_left_behind = true;
            }
        }
    }

    fn write(&mut self, sink: &mut Sink, batch: &[u8], lines: u64) {
        let written = sink.write(batch);
        let lost = lines.saturating_sub(written.lines);
        self.counts.written(written.lines);
        self.counts.dropped(lost);
        if written.too_long > 0 && !self.has_left_out {
            tracing::warn!(
                log = self.name,
                "a line is too long for a datagram: it is dropped, and so are others like it"
            );
            self.has_left_out = true;
        }
        match written.set_aside {
            Some(Err(error)) if !self.is_overgrown => {
                tracing::error!(
                    log = self.name,
                    %error,
                    "cannot set the log aside: it grows beyond its size until it can be; no line is lost"
                );
                self.is_overgrown = true;
            }
            Some(Ok(())) if self.is_overgrown => {
                tracing::info!(log = self.name, "the log is set aside again");
                self.is_overgrown = false;
            }
            Some(_) | None => {}
        }
        match (written.error, &mut self.failing_since) {
            (None, None) => {}
            (None, Some((since, lost))) => {
                let after_s = since.elapsed().as_secs();
                tracing::info!(log = self.name, after_s, lost, "the log can be written again");
                self.failing_since = None;
            }
            // Said once; the metric counts them all.
            (Some(error), None) => {
                tracing::error!(
                    log = self.name,
                    %error,
                    "cannot write the log: lines are lost until it can be; traffic goes on"
                );
                self.failing_since = Some((Instant::now(), lost));
            }
            (Some(_), Some((_, so_far))) => *so_far += lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_cannot_be_opened_is_said_with_its_path() {
        let to = LogTo::File { path: "/nowhere/access.log".into(), rotate: None };
        let error = Writer::open(&to, Arc::default()).expect_err("no such folder").to_string();
        assert!(error.contains("/nowhere/access.log") && error.contains("No such file"), "{error}");
    }

    #[test]
    fn what_was_handed_over_is_written_before_a_flush_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let counts = Arc::<LogCounts>::default();
        let to = LogTo::File { path: path.clone(), rotate: None };
        let writer = Writer::open(&to, Arc::clone(&counts)).expect("it opens");
        for number in 0..100 {
            writer.write(format!("{number}\n").into_bytes(), 1);
        }
        assert!(writer.flush(Duration::from_secs(10)));
        assert_eq!(fs::read_to_string(&path).expect("it is there").lines().count(), 100);
        assert_eq!(counts.get(), (100, 0));
    }

    #[test]
    fn a_file_that_cannot_be_opened_anew_is_tried_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, aside) = (folder.path().join("access.log"), folder.path().join("aside"));
        let to = LogTo::File { path: path.clone(), rotate: None };
        let writer = Writer::open(&to, Arc::default()).expect("it opens");
        let write = |line: &str| {
            writer.write(format!("{line}\n").into_bytes(), 1);
            assert!(writer.flush(Duration::from_secs(10)));
        };
        fs::rename(&path, &aside).expect("renamed");
        std::os::unix::fs::symlink(folder.path().join("missing/file"), &path).expect("a link");
        writer.reopen();
        write("one");
        fs::remove_file(&path).expect("removed");
        write("two");
        let read = |path| fs::read_to_string(path).expect("it is there");
        assert_eq!((read(&aside).as_str(), read(&path).as_str()), ("one\n", "two\n"));
    }

    #[test]
    fn a_reader_that_never_reads_costs_lines_and_no_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.is_ok_and(|made| made.success()), "mkfifo");
        let counts = Arc::<LogCounts>::default();
        let to = LogTo::File { path, rotate: None };
        let writer = Writer::open(&to, Arc::clone(&counts)).expect("a FIFO opens at once");
        let batch = format!("{}\n", "x".repeat(32 * 1024)).into_bytes();
        for _ in 0..3 * WAITING {
            writer.write(batch.clone(), 1);
        }
        let (_, dropped) = counts.get();
        assert!(dropped >= WAITING as u64, "only {dropped} were dropped");
        assert!(!writer.flush(Duration::from_millis(50)), "nobody reads");
    }
}
