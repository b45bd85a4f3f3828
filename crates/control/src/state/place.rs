//! The folder of the state: its lock, what its file turns out to be, and what is done about it.
//!
//! Nothing is ever deleted, and nothing that is found here keeps the process from running, but
//! another process that uses the folder.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::disk::{Disk, Fault, Judged, judge, sync_folder};
use super::ledger::Content;

const FILE: &str = "state.redb";
const LOCK: &str = "state.lock";

/// A file that is larger is not one that we wrote, and is not read into memory.
const LARGEST: u64 = 1 << 30;

/// Once there are this many files set aside, nothing more is: a disk that breaks every file must
/// not be filled with them.
const SET_ASIDE: usize = 20;

/// A folder that is ours alone, for as long as this lives.
///
/// The lock has a file of its own. That of redb goes with the state file, which may have to be
/// set aside, or opened again.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    lock: File,
}

/// What the folder holds.
#[derive(Debug)]
pub(super) struct Found {
    /// What was remembered; `None`: nobody can tell.
    pub(super) content: Option<Content>,
    /// The open file, or why there is none.
    pub(super) disk: Result<Disk, String>,
    /// What an operator should know.
    pub(super) notes: Vec<String>,
    /// A file was there, and is no more in use.
    pub(super) lost: bool,
}

/// How the process may begin.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) found: Found,
    /// `None`: the folder is not ours, and not worth another try.
    pub(super) place: Option<Place>,
}

/// Another process uses the folder.
#[derive(Debug)]
pub(super) struct InUse;

/// How the notes of a first start end.
const NEW_FOLDER: &str = "the folder is new";
const NEW_FILE: &str = "nothing is remembered yet";

/// Whether a note only says that this is a first start: nobody has to do anything about it.
pub(super) fn is_of_first_start(note: &str) -> bool {
    note.ends_with(NEW_FOLDER) || note.ends_with(NEW_FILE)
}

/// Whether `folder` could be used by this user; touches nothing.
///
/// # Errors
/// Why not, in words.
pub(super) fn could_enter(folder: &Path) -> Result<(), String> {
    let may = |path: &Path| access(path, Access::WRITE_OK | Access::EXEC_OK);
    match fs::metadata(folder) {
        Ok(found) if !found.is_dir() => Err("it is not a folder".to_owned()),
        Ok(_) => may(folder).map_err(|error| format!("it cannot be written to: {error}")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = folder.parent().unwrap_or(folder);
            let why = |error| format!("it cannot be made in {}: {error}", parent.display());
            may(parent).map_err(why)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Goes into `folder`, which is made if its parent is there.
pub(super) fn enter(folder: &Path) -> Result<Entered, InUse> {
    let mut notes = Vec::new();
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => notes.push(format!("state_dir {}: {NEW_FOLDER}", folder.display())),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Ok(Entered::in_memory(folder, None, &error.to_string(), notes)),
    }
    let lock = match lock(folder) {
        Ok(lock) => lock,
        Err(TryLockError::WouldBlock) => return Err(InUse),
        Err(TryLockError::Error(error)) => {
            // What was remembered may be there for reading all the same.
            let content = match look(&folder.join(FILE)) {
                Looked::Judged(Judged::Ours(content)) => Some(content),
                Looked::Absent
                | Looked::Empty
                | Looked::Unreadable(_)
                | Looked::Judged(Judged::Newer | Judged::Foreign(_) | Judged::Broken(_)) => None,
            };
            return Ok(Entered::in_memory(folder, content, &error.to_string(), notes));
        }
    };
    let place = Place { folder: folder.to_owned(), lock };
    let mut found = place.open()?;
    notes.append(&mut found.notes);
    if found.lost {
        notes.push(format!(
            "state_dir {}: pins, locks, admin states, scheduled switchovers, events and incidents \
             from before are lost. Epochs go on from the clock. The first eligible backend by \
             priority serves",
            folder.display()
        ));
    }
    if let Err(why) = &found.disk {
        notes.push(will_not_survive(folder, why, found.content.is_some()));
        if found.content.is_some() {
            notes.push(format!("state_dir {}: is tried again every second", folder.display()));
        }
    }
    let place = found.content.is_some().then_some(place);
    Ok(Entered { found: Found { notes, ..found }, place })
}

fn lock(folder: &Path) -> Result<File, TryLockError> {
    let path = folder.join(LOCK);
    let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    // A file that exists can be locked also where nothing can be written.
    let lock = lock.or_else(|error| File::open(&path).map_err(|_| error));
    let lock = lock.map_err(TryLockError::Error)?;
    match lock.try_lock() {
        // No locks here: that of redb is left, which falls back in its own way.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(lock),
        Err(error) => Err(error),
        Ok(()) => Ok(lock),
    }
}

impl Entered {
    fn in_memory(
        folder: &Path,
        content: Option<Content>,
        why: &str,
        mut notes: Vec<String>,
    ) -> Self {
        notes.push(will_not_survive(folder, why, content.is_some()));
        let found = Found { content, disk: Err(why.to_owned()), notes, lost: false };
        Self { found, place: None }
    }
}

fn will_not_survive(folder: &Path, why: &str, read: bool) -> String {
    let read = if read { "" } else { " Nothing that was remembered could be read." };
    format!(
        "state_dir {}: {why}.{read} Decisions, events and incidents are kept in memory and will not \
         survive a restart. Make the folder and what is in it readable and writable for this user, \
         with room on the disk, or set another state_dir",
        folder.display()
    )
}

enum Looked {
    Absent,
    Empty,
    Unreadable(String),
    Judged(Judged),
}

fn look(path: &Path) -> Looked {
    match bytes(path) {
        Ok(bytes) if bytes.is_empty() => Looked::Empty,
        Ok(bytes) => Looked::Judged(guarded(|| judge(&bytes)).unwrap_or_else(Judged::Broken)),
        Err(error) if error.kind() == ErrorKind::NotFound => Looked::Absent,
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            Looked::Judged(Judged::Foreign("it is far too large"))
        }
        Err(error) => Looked::Unreadable(error.to_string()),
    }
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let found = fs::metadata(path)?;
    // A pipe, for one, would keep us waiting.
    if !found.is_file() {
        return Err(io::Error::other(format!("{FILE} is not a file")));
    }
    if found.len() > LARGEST {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Runs what calls redb; a panic in there is an answer like any other.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
        let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
        format!("the database gave up: {}", words.unwrap_or_default())
    })
}

impl Place {
    /// Makes the folder again if it was removed, and locks it anew if it is another one.
    pub(super) fn restore(&mut self) -> Result<(), String> {
        let locked = self.lock.metadata().map_err(|error| error.to_string())?;
        let is_in_place = fs::metadata(self.folder.join(LOCK))
            .is_ok_and(|now| (now.dev(), now.ino()) == (locked.dev(), locked.ino()));
        if is_in_place {
            return Ok(());
        }
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Ok(()) => tracing::warn!("state_dir {}: was made again", self.folder.display()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("the folder is gone and cannot be made: {error}")),
        }
        self.lock = lock(&self.folder).map_err(|error| match error {
            TryLockError::WouldBlock => "another process has the folder".to_owned(),
            TryLockError::Error(error) => error.to_string(),
        })?;
        Ok(())
    }

    /// Opens the file, or makes a new one, after setting aside what is not ours or broken.
    pub(super) fn open(&self) -> Result<Found, InUse> {
        let path = self.folder.join(FILE);
        match look(&path) {
            Looked::Absent => {
                let note = format!("state_dir {}: {NEW_FILE}", self.folder.display());
                self.begin(vec![note])
            }
            Looked::Empty => {
                let note = format!("{}: was empty; nothing is remembered", path.display());
                self.begin(vec![note])
            }
            Looked::Judged(Judged::Ours(content)) => {
                match guarded(|| Disk::open(&path)).unwrap_or_else(|why| Err(Fault::Broken(why))) {
                    Err(Fault::Broken(why)) => self.replace("broken", &why),
                    opened => Found::new(Some(content), opened, Vec::new()),
                }
            }
            Looked::Judged(Judged::Broken(why)) => self.replace("broken", &why),
            Looked::Judged(Judged::Foreign(why)) => self.replace("foreign", why),
            Looked::Judged(Judged::Newer) => Ok(Found::unknown(format!(
                "{FILE} was written by a newer version and stays as it is: move it away, or set \
                 another state_dir"
            ))),
            Looked::Unreadable(why) => Ok(Found::unknown(why)),
        }
    }

    /// Sets the file aside and begins a new one.
    fn replace(&self, kind: &str, why: &str) -> Result<Found, InUse> {
        let path = self.folder.join(FILE);
        match self.set_aside(kind) {
            Ok(aside) => {
                let what = match kind {
                    "broken" => "was broken",
                    _ => "was not ours",
                };
                let note = format!(
                    "{} {what} ({why}). It is {} now, and a new one was begun",
                    path.display(),
                    aside.display()
                );
                Ok(Found { lost: true, ..self.begin(vec![note])? })
            }
            Err(error) => Ok(Found::unknown(format!(
                "{FILE} cannot be used ({why}) and could not be set aside ({error})"
            ))),
        }
    }

    fn set_aside(&self, kind: &str) -> io::Result<PathBuf> {
        let aside = |name: &std::ffi::OsStr| {
            let name = name.to_string_lossy();
            let kinds = [".broken-", ".foreign-"];
            name.strip_prefix(FILE).is_some_and(|rest| kinds.iter().any(|k| rest.starts_with(k)))
        };
        let already = fs::read_dir(&self.folder)?
            .filter(|entry| entry.as_ref().is_ok_and(|entry| aside(&entry.file_name())))
            .count();
        if already >= SET_ASIDE {
            return Err(io::Error::other(format!(
                "{already} files were set aside before: look at the disk, and move them away"
            )));
        }
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let names = (1..=SET_ASIDE + 1).map(|number| match number {
            1 => format!("{FILE}.{kind}-{now}"),
            _ => format!("{FILE}.{kind}-{now}-{number}"),
        });
        // The folder is ours alone: nobody takes the name in between.
        let free = names.map(|name| self.folder.join(name)).find(|path| !path.exists());
        let to = free.ok_or(ErrorKind::AlreadyExists)?;
        let from = self.folder.join(FILE);
        fs::rename(&from, &to)?;
        sync_folder(&from)?;
        Ok(to)
    }

    fn begin(&self, notes: Vec<String>) -> Result<Found, InUse> {
        let path = self.folder.join(FILE);
        let made = guarded(|| Disk::create(&path)).unwrap_or_else(|why| Err(Fault::Broken(why)));
        Found::new(Some(Content::default()), made, notes)
    }
}

impl Drop for Place {
    /// Closing the file would do, but for a process that is being started at this moment: it has
    /// our descriptors until its program runs.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

impl Found {
    fn new(
        content: Option<Content>,
        disk: Result<Disk, Fault>,
        notes: Vec<String>,
    ) -> Result<Self, InUse> {
        match disk {
            Ok(disk) => Ok(Self { content, disk: Ok(disk), notes, lost: false }),
            Err(Fault::InUse) => Err(InUse),
            Err(fault @ (Fault::Disk(_) | Fault::Broken(_))) => {
                Ok(Self { content, disk: Err(fault.to_string()), notes, lost: false })
            }
        }
    }

    fn unknown(why: String) -> Self {
        Self { content: None, disk: Err(why), notes: Vec::new(), lost: false }
    }
}
