//! Reloads when the config file changes, or on SIGHUP; loads certificates again when theirs change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::handle::{Control, ReloadError};
use crate::watch::Watch;

/// What is told of a reload to whoever wants to know, for example a service manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloading {
    /// It begins.
    Begins,
    /// It is over; how it went is recorded.
    Ended,
}

/// Waits for reasons to reload; see [`follow`].
#[derive(Debug)]
pub struct Follow {
    file: PathBuf,
    /// What the file said when it was last loaded.
    loaded: String,
    hangups: Signal,
    /// The config file has changed.
    changed: Arc<Notify>,
    watch: Watch,
    /// A file that the config names has changed.
    named_changed: Arc<Notify>,
    named_watch: Watch,
    tell: fn(Reloading),
}

/// Begins to listen for SIGHUP and for changes of `file`, which said `loaded` when the config in force
/// was read from it. What changed in between is noticed by [`Follow::run`]. From here on SIGHUP does not end the
/// process. Without a watch (for example because the system's limit is reached) SIGHUP remains.
///
/// # Errors
/// When the signal handler cannot be installed.
pub fn follow(file: &Path, loaded: String) -> io::Result<Follow> {
    let hangups = signal(SignalKind::hangup())?;
    let (changed, named_changed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut watch = Watch::new(Arc::clone(&changed));
    watch.set(&[file.to_owned()]);
    let named_watch = Watch::new(Arc::clone(&named_changed));
    Ok(Follow {
        file: file.to_owned(),
        loaded,
        hangups,
        changed,
        watch,
        named_changed,
        named_watch,
        tell: |_| {},
    })
}

impl Follow {
    /// Has `tell` hear of every reload of the config file, before and after.
    #[must_use]
    pub fn telling(self, tell: fn(Reloading)) -> Self {
        Self { tell, ..self }
    }

    /// Reloads for as long as it is polled. Reasons that come while a reload is under way lead to
    /// one more, which reads the files anew: the newest content wins.
    pub async fn run(mut self, control: Control) {
        let mut named = control.files();
        if self.has_changed().await {
            self.changed.notify_one();
        }
        loop {
            let files = Arc::clone(&named.borrow_and_update());
            // What was there when it was read may not be what is watched from now on.
            if self.named_watch.set(&files) {
                self.named_changed.notify_one();
            }
            tokio::select! {
                Some(()) = self.hangups.recv() => self.reload(&control).await,
                () = self.changed.notified() => self.reload(&control).await,
                () = self.named_changed.notified() => control.load_files_again().await,
                Ok(()) = named.changed() => {}
            }
        }
    }

    async fn reload(&mut self, control: &Control) {
        (self.tell)(Reloading::Begins);
        match tokio::fs::read_to_string(&self.file).await {
            Ok(text) => {
                self.loaded.clone_from(&text);
                // How it went is recorded by control.
                drop(control.reload(text).await);
            }
            Err(source) => control.refuse(&ReloadError::Read { file: self.file.clone(), source }),
        }
        (self.tell)(Reloading::Ended);
        // A link may lead elsewhere by now, to something that was not watched.
        if self.watch.set(std::slice::from_ref(&self.file)) && self.has_changed().await {
            self.changed.notify_one();
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
