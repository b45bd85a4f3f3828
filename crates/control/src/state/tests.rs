//! The door to the tests of the state, and what they share.

mod faults;
mod kill;
mod places;
mod store;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn open(folder: &Path) -> Opened {
    Store::open(Some(folder)).unwrap()
}

fn file(folder: &Path) -> PathBuf {
    folder.join("state.redb")
}

fn event(number: u64, service: &str) -> Write {
    let json = format!(r#"{{"number":{number},"service":"{service}","kind":"locked"}}"#);
    Write::Event(number, json.into())
}

fn incident(id: u64) -> Write {
    Write::Incident(id, format!(r#"{{"id":{id}}}"#).into())
}

fn service(name: &str, epoch: u64) -> Write {
    Write::Service(name.into(), saved(epoch).into())
}

/// Recognisable by its epoch: another one has another active, too.
fn saved(epoch: u64) -> SavedService {
    let active = Some(Arc::from(format!("b{epoch}")));
    SavedService { active, epoch, pinned: epoch.is_multiple_of(2), ..SavedService::default() }
}

fn numbers(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.number).collect()
}

/// Files that were set aside in `folder`.
fn aside(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_aside = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.contains(".broken-") || name.contains(".foreign-")
    };
    paths.filter(is_aside).collect()
}

/// Remembers, on a disk that may be slow: tests wait for what matters to them, not for the clock.
async fn commit(store: &Store, writes: Vec<Write>) {
    match store.commit(writes).await {
        Ok(()) => {}
        Err(StateError::Behind(_)) => well(store).await,
        Err(error) => panic!("{error}"),
    }
}

async fn well(store: &Store) {
    until("the disk has caught up", || store.health().is_none()).await;
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// This program again, to run one test that finds its task in the environment.
fn again(test: &str, task: &str, value: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(["--exact", &format!("state::tests::{test}"), "--nocapture"]).env(task, value);
    command
}
