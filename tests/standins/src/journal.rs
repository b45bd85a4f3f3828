//! What a stand-in writes down: one line of JSON for each thing that happened, with the time.
//!
//! Times are of the monotonic clock, which all processes of a machine share. Each line is written by one
//! system call, so that what was written survives the death of its writer.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// A thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// When: nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// The stand-in's name.
    pub by: String,
    /// The process, which is another one after each start.
    pub process: u32,
    /// What.
    pub what: String,
    /// What more there is to say of it.
    pub more: Value,
}

impl Note {
    /// A text of [`Note::more`]; empty if there is none of this name.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.more[name].as_str().unwrap_or_default()
    }

    /// A number of [`Note::more`].
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.more[name].as_u64()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut line: Value = serde_json::from_str(line).ok()?;
        Some(Self {
            at_ns: line["at"].as_u64()?,
            by: line["by"].as_str()?.to_owned(),
            process: line["process"].as_u64()?.try_into().ok()?,
            what: line["what"].as_str()?.to_owned(),
            more: line["more"].take(),
        })
    }
}

/// Where a stand-in writes.
#[derive(Debug)]
pub struct Journal {
    file: File,
    by: String,
}

impl Journal {
    /// Goes on with this file.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn open(path: &Path, by: &str) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file, by: by.to_owned() })
    }

    /// Writes down that this happened now.
    ///
    /// # Panics
    ///
    /// When it cannot be written: a stand-in that forgets proves nothing.
    #[expect(clippy::needless_pass_by_value, reason = "callers make it on the spot")]
    pub fn note(&self, what: &str, more: Value) {
        let line = json!({
            "at": now_ns(), "by": self.by, "process": std::process::id(), "what": what, "more": more,
        });
        let mut file = &self.file;
        if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
            panic!("the journal of {}: {error}", self.by);
        }
    }
}

/// Reads a whole journal; a missing file is an empty journal.
///
/// # Errors
///
/// When the file cannot be read, or has a line that is not a [`Note`].
pub fn read(path: &Path) -> io::Result<Vec<Note>> {
    let mut reader = Reader::new(path);
    reader.more()?;
    Ok(reader.notes)
}

/// Reads a journal while it is written.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    /// How much of it has been read.
    bytes: u64,
    notes: Vec<Note>,
}

impl Reader {
    /// Of this file, which need not be there yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), bytes: 0, notes: Vec::new() }
    }

    /// All that is in it by now.
    ///
    /// # Panics
    ///
    /// When it cannot be read, or has a line that is not a [`Note`].
    pub fn notes(&mut self) -> &[Note] {
        match self.more() {
            Ok(()) => &self.notes,
            Err(error) => panic!("{}: {error}", self.path.display()),
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        file.seek(SeekFrom::Start(self.bytes))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // The last line may be on its way: what crosses a page is not seen as a whole.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        for line in text[..whole].lines() {
            let note = Note::parse(line);
            self.notes.push(note.ok_or_else(|| io::Error::other(format!("not a note: {line:?}")))?);
        }
        self.bytes += whole as u64;
        Ok(())
    }
}

/// Nanoseconds of the monotonic clock.
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Both count up from the start of the machine.
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
