//! The file: its tables, reading all of it, and one transaction.
//!
//! The only file that knows `redb`, whose calls block. Which file to open is for `place.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{
    Builder, Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, StorageBackend, TableDefinition, TableError,
};

use super::ledger::{Batch, Content, ON_DISK};

/// The format of what is in the tables. To be raised when an older version could not read, or
/// would misread, what a newer one writes; a new field with a default is no reason.
pub(super) const FORMAT: u64 = 1;
/// Tells our file from other people's.
const MAGIC: &str = "understudy state";

const META: TableDefinition<&str, &str> = TableDefinition::new("meta");
const SERVICES: TableDefinition<&str, &str> = TableDefinition::new("services");
const EVENTS: TableDefinition<u64, &str> = TableDefinition::new("events");
const INCIDENTS: TableDefinition<u64, &str> = TableDefinition::new("incidents");
/// Older versions have made files without it.
const TOLD: TableDefinition<&str, u64> = TableDefinition::new("told");

/// Pages kept in memory, in bytes. The ledger answers all queries, so that few are needed.
const CACHE: usize = 8 << 20;

/// The file's first bytes, and where the two headers of transactions have the version of the
/// format of redb itself (its `header.rs`).
const REDB_MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";
const REDB_VERSIONS: [usize; 2] = [64, 192];
const REDB_FORMAT: u8 = 3;

/// What a file is.
#[derive(Debug)]
pub(super) enum Judged {
    /// Ours, and whole.
    Ours(Content),
    /// Ours, in a format of which this version knows nothing.
    Newer,
    /// Somebody else's.
    Foreign(&'static str),
    /// Ours once.
    Broken(String),
}

/// An open file, and the lock of redb on it.
#[derive(Debug)]
pub(super) struct Disk {
    database: Database,
    path: PathBuf,
    identity: Identity,
    /// Begun by us just now, with nothing in it.
    fresh: bool,
}

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

/// Why a file could not be opened or written.
#[derive(Debug)]
pub(super) enum Fault {
    /// Somebody else has it open.
    InUse,
    /// The disk, or a right on it. The file may be sound.
    Disk(io::Error),
    /// The file.
    Broken(String),
}

/// Judges the bytes of a file, on a copy in memory: a look must not change what it looks at, and
/// opening a database does. May panic: redb trusts what it reads more than we do.
pub(super) fn judge(bytes: &[u8]) -> Judged {
    if !bytes.starts_with(REDB_MAGIC) {
        return Judged::Foreign("it is no database of this kind");
    }
    let newer = |at: &usize| bytes.get(*at).is_some_and(|version| *version > REDB_FORMAT);
    if REDB_VERSIONS.iter().all(newer) {
        return Judged::Newer;
    }
    match copy(bytes) {
        Ok(database) => read(&database).unwrap_or_else(|error| Judged::Broken(error.to_string())),
        Err(DatabaseError::UpgradeRequired(_)) => Judged::Foreign("it is an old database"),
        Err(error) => Judged::Broken(error.to_string()),
    }
}

fn copy(bytes: &[u8]) -> Result<Database, DatabaseError> {
    let backend = InMemoryBackend::new();
    backend.set_len(bytes.len() as u64)?;
    backend.write(0, bytes)?;
    Builder::new()
        .set_cache_size(CACHE)
        .set_check_integrity_on_open(true)
        .create_with_backend(backend)
}

fn read(database: &Database) -> Result<Judged, redb::Error> {
    let reading = database.begin_read()?;
    let meta = match reading.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(error.into()),
        Err(_) => return Ok(Judged::Foreign("it is somebody else's database")),
    };
    if meta.get("magic")?.is_none_or(|magic| magic.value() != MAGIC) {
        return Ok(Judged::Foreign("it is somebody else's database"));
    }
    match meta.get("format")?.and_then(|format| format.value().parse::<u64>().ok()) {
        Some(format) if format > FORMAT => return Ok(Judged::Newer),
        Some(_) => {}
        None => return Ok(Judged::Broken("its format has no number".into())),
    }
    let mut content = Content {
        events: numbered(&reading, EVENTS)?,
        incidents: numbered(&reading, INCIDENTS)?,
        told: told(&reading)?,
        ..Content::default()
    };
    for row in reading.open_table(SERVICES)?.iter()? {
        let (name, json) = row?;
        match serde_json::from_str(json.value()) {
            Ok(saved) => content.services.insert(name.value().into(), saved),
            Err(error) => {
                return Ok(Judged::Broken(format!("service {}: {error}", name.value())));
            }
        };
    }
    Ok(Judged::Ours(content))
}

fn numbered(
    reading: &ReadTransaction,
    table: TableDefinition<u64, &str>,
) -> Result<BTreeMap<u64, Arc<str>>, redb::Error> {
    let mut rows = BTreeMap::new();
    for row in reading.open_table(table)?.iter()? {
        let (number, json) = row?;
        rows.insert(number.value(), json.value().into());
    }
    Ok(rows)
}

fn told(reading: &ReadTransaction) -> Result<BTreeMap<Arc<str>, u64>, redb::Error> {
    let table = match reading.open_table(TOLD) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.into()),
    };
    let mut told = BTreeMap::new();
    for row in table.iter()? {
        let (name, number) = row?;
        told.insert(name.value().into(), number.value());
    }
    Ok(told)
}

impl Disk {
    /// Opens a file that was judged to be ours. May panic, as `judge` may.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let database = Builder::new().set_cache_size(CACHE).open(path)?;
        let identity = Identity::of(path).map_err(Fault::Disk)?;
        Ok(Self { database, path: path.to_owned(), identity, fresh: false })
    }

    /// Makes a new one. It gets its name when it is complete: no crash leaves half a file.
    pub(super) fn create(path: &Path) -> Result<Self, Fault> {
        let unfinished = path.with_extension("redb.new");
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Fault::Disk(error)),
            Ok(()) | Err(_) => {}
        }
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished);
        drop(made.map_err(Fault::Disk)?);
        let database = Builder::new().set_cache_size(CACHE).create(&unfinished)?;
        begin(&database)?;
        fs::rename(&unfinished, path).map_err(Fault::Disk)?;
        sync_folder(path).map_err(Fault::Disk)?;
        let identity = Identity::of(path).map_err(Fault::Disk)?;
        Ok(Self { database, path: path.to_owned(), identity, fresh: true })
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether the file still has its name. Who takes it away takes that only: we would go on
    /// writing, for nobody.
    pub(super) fn is_in_place(&self) -> bool {
        Identity::of(&self.path).is_ok_and(|identity| identity == self.identity)
    }

    /// One transaction, on the disk when this returns. May panic, as `judge` may.
    pub(super) fn write(&self, batch: &Batch) -> Result<(), Fault> {
        write(&self.database, batch).map_err(Fault::from)
    }
}

fn begin(database: &Database) -> Result<(), redb::Error> {
    let mut writing = database.begin_write()?;
    writing.set_durability(Durability::Immediate)?;
    {
        let mut meta = writing.open_table(META)?;
        meta.insert("magic", MAGIC)?;
        meta.insert("format", FORMAT.to_string().as_str())?;
    }
    writing.open_table(SERVICES)?;
    writing.open_table(EVENTS)?;
    writing.open_table(INCIDENTS)?;
    writing.open_table(TOLD)?;
    Ok(writing.commit()?)
}

fn write(database: &Database, batch: &Batch) -> Result<(), redb::Error> {
    let mut writing = database.begin_write()?;
    writing.set_durability(Durability::Immediate)?;
    if batch.everything {
        writing.delete_table(SERVICES)?;
        writing.delete_table(EVENTS)?;
        writing.delete_table(INCIDENTS)?;
        writing.delete_table(TOLD)?;
    }
    {
        let mut services = writing.open_table(SERVICES)?;
        for (name, saved) in &batch.services {
            match saved {
                Some(saved) => {
                    let json = serde_json::to_string(saved)
                        .map_err(|error| redb::Error::Backend(Box::new(error)))?;
                    services.insert(&**name, json.as_str())?;
                }
                None => drop(services.remove(&**name)?),
            }
        }
    }
    {
        let mut told = writing.open_table(TOLD)?;
        for (name, number) in &batch.told {
            match number {
                Some(number) => drop(told.insert(&**name, number)?),
                None => drop(told.remove(&**name)?),
            }
        }
    }
    let numbered =
        [(EVENTS, &batch.events, ON_DISK.events), (INCIDENTS, &batch.incidents, ON_DISK.incidents)];
    for (definition, rows, kept) in numbered {
        let mut table = writing.open_table(definition)?;
        for (number, json) in rows {
            table.insert(number, &**json)?;
        }
        while table.len()? > kept as u64 {
            table.pop_first()?;
        }
    }
    Ok(writing.commit()?)
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self { device: found.dev(), inode: found.ino() })
    }
}

/// Makes what was renamed in the folder of `path` stay so. Some file systems cannot be asked.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    match File::open(folder)?.sync_all() {
        Err(error) if !matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Err(error)
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::InUse,
            redb::Error::Io(error) => match error.kind() {
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                    Self::Broken(error.to_string())
                }
                _ => Self::Disk(error),
            },
            error => Self::Broken(error.to_string()),
        }
    }
}

impl From<DatabaseError> for Fault {
    fn from(error: DatabaseError) -> Self {
        redb::Error::from(error).into()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("another process has the file open"),
            Self::Disk(error) => error.fmt(f),
            Self::Broken(why) => f.write_str(why),
        }
    }
}
