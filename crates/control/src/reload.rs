//! Reloads when the config file changes, or on SIGHUP.
//!
//! Watches the folder, not the file: editors and Kubernetes replace a file by renaming another one
//! over it, and a watch on the file would stay with the old one.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, DebouncedEvent, Debouncer, RecommendedCache};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::handle::{Control, ReloadError};

/// A change is acted upon when the folder has been quiet for this long.
const QUIET: Duration = Duration::from_millis(100);

/// The link that Kubernetes points at another folder when it updates a ConfigMap or a Secret.
const KUBERNETES_LINK: &str = "..data";

/// Waits for reasons to reload; see [`follow`].
#[derive(Debug)]
pub struct Follow {
    file: PathBuf,
    /// What the file said when it was loaded.
    loaded: String,
    hangups: Signal,
    changed: Arc<Notify>,
    /// Watches as long as it lives; `None` when the system refuses.
    _watch: Option<Debouncer<RecommendedWatcher, RecommendedCache>>,
}

/// Begins to listen for SIGHUP and for changes of `file`, which said `loaded` when the config in force
/// was read from it. What changed in between is noticed by [`Follow::run`]. From here on SIGHUP does not end the
/// process. Without a watch (for example because the system's limit is reached) SIGHUP remains.
///
/// # Errors
/// When the signal handler cannot be installed.
pub fn follow(file: &Path, loaded: String) -> io::Result<Follow> {
    let hangups = signal(SignalKind::hangup())?;
    let changed = Arc::new(Notify::new());
    let watch = watch(file, changed.clone())
        .inspect_err(|error| {
            tracing::warn!("cannot watch {}, reload with SIGHUP: {error}", file.display());
        })
        .ok();
    Ok(Follow { file: file.to_owned(), loaded, hangups, changed, _watch: watch })
}

impl Follow {
    /// Reloads for as long as it is polled. Reasons that come while a reload is under way lead to
    /// one more, which reads the file anew: the newest content wins.
    pub async fn run(mut self, control: Control) {
        if self.has_changed().await {
            self.changed.notify_one();
        }
        loop {
            tokio::select! {
                Some(()) = self.hangups.recv() => {}
                () = self.changed.notified() => {}
            }
            match tokio::fs::read_to_string(&self.file).await {
                // How it went is recorded by control.
                Ok(text) => drop(control.reload(text).await),
                Err(source) => {
                    control.refuse(&ReloadError::Read { file: self.file.clone(), source });
                }
            }
        }
    }

    /// Whether the file says something else than what was loaded, before it was watched. A file that
    /// is gone by now is none to load; a pipe says everything only once.
    async fn has_changed(&self) -> bool {
        let is_file = tokio::fs::metadata(&self.file).await.is_ok_and(|file| file.is_file());
        let text = tokio::fs::read_to_string(&self.file);
        is_file && text.await.is_ok_and(|text| text != self.loaded)
    }
}

fn watch(
    file: &Path,
    changed: Arc<Notify>,
) -> notify::Result<Debouncer<RecommendedWatcher, RecommendedCache>> {
    // A file that is a link changes in two places: where the link is, and where it leads today.
    let target = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let names = [file, &target].map(|path| path.file_name().unwrap_or_default().to_owned());
    let heard = move |result: DebounceEventResult| match result {
        Ok(events) => {
            if events.iter().any(|event| concerns(event, &names)) {
                changed.notify_one();
            }
        }
        // Events may have been missed: look.
        Err(_) => changed.notify_one(),
    };
    let mut watch = notify_debouncer_full::new_debouncer(QUIET, None, heard)?;
    watch.watch(folder(file), RecursiveMode::NonRecursive)?;
    if folder(&target) != folder(file) {
        watch.watch(folder(&target), RecursiveMode::NonRecursive)?;
    }
    Ok(watch)
}

fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Whether an event may have changed what the file says. Reading it is an event too.
fn concerns(event: &DebouncedEvent, names: &[OsString]) -> bool {
    let access = matches!(event.kind, EventKind::Access(_));
    let ours = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|file| names.iter().any(|name| name == file) || file == KUBERNETES_LINK)
    };
    !access && (event.need_rescan() || event.paths.iter().any(ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_file_with_another_text_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("understudy.yaml");
        let has_changed = async |file: &Path, loaded: &str| {
            follow(file, loaded.to_owned()).unwrap().has_changed().await
        };
        std::fs::write(&file, "new").unwrap();
        assert!(!has_changed(&file, "new").await);
        assert!(has_changed(&file, "old").await);
        assert!(!has_changed(&folder.path().join("gone"), "old").await);
        assert!(!has_changed(Path::new("/dev/null"), "old").await);
    }
}
