//! Hears when files change, however they are replaced: written in place, renamed over, or by a link
//! on the way to them that is pointed elsewhere, as Kubernetes does.
//!
//! Watches folders, not files: a watch on a file would stay with the old one. Reads no file.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, DebouncedEvent, Debouncer, RecommendedCache};
use tokio::sync::Notify;

/// A change is told when the folder has been quiet for this long.
const QUIET: Duration = Duration::from_millis(100);

/// Longer chains of links lead nowhere; Linux gives up here, too.
const MOST_LINKS: usize = 40;

/// Watches some files as long as it lives.
#[derive(Debug)]
pub(crate) struct Watch {
    places: Arc<Mutex<Places>>,
    /// `None` when the system refuses.
    folders: Option<Debouncer<RecommendedWatcher, RecommendedCache>>,
    /// Folders that cannot be watched; said once.
    refused: BTreeSet<PathBuf>,
}

/// Where something must change for a file to change: the file, and each link on the way to it.
type Places = BTreeSet<PathBuf>;

impl Watch {
    /// Watches nothing yet; notifies `changed` when a file changes, or may have.
    ///
    /// A system that allows no watch is no error, as there is SIGHUP, but it is logged.
    pub(crate) fn new(changed: Arc<Notify>) -> Self {
        let places = Arc::new(Mutex::new(Places::new()));
        let watched = Arc::clone(&places);
        let heard = move |result: DebounceEventResult| {
            let places = watched.lock().unwrap_or_else(PoisonError::into_inner);
            let concerned = match result {
                Ok(events) => events.iter().any(|event| concerns(event, &places)),
                // Events may have been missed: look.
                Err(_) => true,
            };
            if concerned {
                changed.notify_one();
            }
        };
        let folders = notify_debouncer_full::new_debouncer(QUIET, None, heard)
            .inspect_err(|error| tracing::warn!("cannot watch files, reload with SIGHUP: {error}"))
            .ok();
        Self { places, folders, refused: BTreeSet::new() }
    }

    /// From now on watches exactly `files`. Returns whether it was watching other places before:
    /// then what is there now may not be what was read.
    pub(crate) fn set(&mut self, files: &[PathBuf]) -> bool {
        let new: Places = files.iter().flat_map(|file| places(file)).collect();
        let old = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *places, new.clone())
        };
        let Some(folders) = &mut self.folders else { return false };
        let new_folders = parents(&new);
        for folder in parents(&old).difference(&new_folders) {
            // It may be gone, and its watch with it.
            let _ = folders.unwatch(folder);
        }
        for folder in &new_folders {
            // Also one that is watched already: another folder may have taken its name.
            match folders.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.refused.remove(folder);
                }
                Err(error) if self.refused.insert(folder.clone()) => {
                    let folder = folder.display();
                    tracing::warn!("cannot watch {folder}, reload with SIGHUP: {error}");
                }
                Err(_) => {}
            }
        }
        new != old
    }
}

fn parents(places: &Places) -> BTreeSet<PathBuf> {
    places.iter().filter_map(|place| place.parent()).map(Path::to_owned).collect()
}

/// The file, and each link on the way to it; the last one is what does not exist, if anything.
fn places(file: &Path) -> Vec<PathBuf> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let parts = |path: &Path| -> Vec<OsString> {
        path.components().map(|part| part.as_os_str().to_owned()).collect()
    };
    let mut ahead = VecDeque::from(parts(&file));
    let mut here = PathBuf::from("/");
    let mut found = Vec::new();
    while let Some(part) = ahead.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::Normal(name)) => here.push(name),
            Some(Component::ParentDir) => {
                here.pop();
                continue;
            }
            Some(Component::RootDir) => {
                here = PathBuf::from("/");
                continue;
            }
            Some(Component::CurDir | Component::Prefix(_)) | None => continue,
        }
        match fs::read_link(&here) {
            Ok(target) if found.len() < MOST_LINKS => {
                found.push(here.clone());
                here.pop();
                for part in parts(&target).into_iter().rev() {
                    ahead.push_front(part);
                }
            }
            Ok(_) | Err(_) => {
                if ahead.is_empty() || !here.exists() {
                    found.push(here);
                    return found;
                }
            }
        }
    }
    found
}

/// Whether an event may have changed what is at one of `places`. Reading is an event too. A folder
/// that is itself moved or removed tells so by its own name.
fn concerns(event: &DebouncedEvent, places: &Places) -> bool {
    let access = event.kind.is_access();
    let ours = |path: &PathBuf| {
        places.contains(path) || places.iter().any(|place| place.parent() == Some(path))
    };
    !access && (event.need_rescan() || event.paths.iter().any(ours))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_on_the_way_is_a_place_where_a_file_can_change() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        fs::create_dir_all(at("..1")).unwrap();
        fs::write(at("..1/tls.crt"), "").unwrap();
        symlink("..1", at("..data")).unwrap();
        symlink("..data/tls.crt", at("tls.crt")).unwrap();
        fs::create_dir_all(at("etc")).unwrap();
        symlink("../", at("etc/certs")).unwrap();

        assert_eq!(places(&at("..1/tls.crt")), [at("..1/tls.crt")]);
        let mounted = [at("tls.crt"), at("..data"), at("..1/tls.crt")];
        assert_eq!(places(&at("tls.crt")), mounted);
        let through_a_folder = places(&at("etc/certs/tls.crt"));
        assert_eq!(through_a_folder[0], at("etc/certs"));
        assert_eq!(through_a_folder[1..], mounted);

        assert_eq!(places(&at("..1/gone")), [at("..1/gone")]);
        assert_eq!(places(&at("gone/also")), [at("gone")]);
        symlink("loop", at("loop")).unwrap();
        assert_eq!(places(&at("loop/x")).len(), MOST_LINKS + 1);
    }
}
