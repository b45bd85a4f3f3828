//! Texts that are never shown: where they come from, and keeping them out of what is shown.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use config::model::Secret;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// Most bytes of a file with a secret.
const MOST_BYTES: u64 = 64 * 1024;

/// Shorter texts are not taken out of what is shown: they would be found everywhere.
const LEAST_HIDDEN: usize = 4;

/// What is shown in place of a secret.
const HIDDEN: &str = "(not shown)";

/// Parts of names of fields and variables whose values are nobody's business.
const SECRET: [&str; 6] = ["authorization", "cookie", "token", "key", "secret", "password"];

/// Whether nobody is to see the values of a field or variable of that name.
#[must_use]
pub fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

/// The text of a secret. A file is read anew each time, on a thread of its own: one on a file server
/// that is gone holds up nothing but its own try.
///
/// # Errors
/// It is missing, empty or no text, in words that name file or variable; or it did not come by
/// `deadline`.
pub async fn reveal(secret: &Secret, deadline: Instant) -> Result<Arc<str>, String> {
    match secret {
        Secret::Plain(text) => Ok(Arc::clone(text)),
        Secret::Variable(name) => match std::env::var(&**name) {
            Ok(text) if text.is_empty() => Err(format!("the environment variable {name} is empty")),
            Ok(text) => Ok(text.into()),
            Err(error) => Err(format!("the environment variable {name} cannot be used: {error}")),
        },
        Secret::File(path) => {
            let failed = |why: &str| format!("the file {} cannot be used: {why}", path.display());
            let read = timeout_at(deadline, read_aside(path)).await;
            let read = read.map_err(|_| failed("it was not read in time"))?;
            let text = read.map_err(|error| failed(&error.to_string()))?;
            match without_line_break(&text) {
                "" => Err(failed("it is empty")),
                text => Ok(text.into()),
            }
        }
    }
}

async fn read_aside(path: &Path) -> io::Result<String> {
    let path = path.to_owned();
    let (sender, read) = oneshot::channel();
    thread::Builder::new().name("secret".to_owned()).spawn(move || {
        let _ = sender.send(read_file(&path));
    })?;
    read.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
}

fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::other(format!("it is larger than {MOST_BYTES} bytes")));
    }
    Ok(text)
}

fn without_line_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Secrets that have been used, to be kept out of what others write about it.
#[derive(Default)]
pub struct Hidden(Vec<Arc<str>>);

/// Without what is hidden.
impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hidden").finish_non_exhaustive()
    }
}

impl Hidden {
    /// Reveals the value of the field or variable `name`, and remembers it if it is to be hidden: what
    /// stands in the config itself may be an ordinary setting.
    ///
    /// # Errors
    /// See [`reveal`].
    pub async fn reveal(
        &mut self,
        name: &str,
        secret: &Secret,
        deadline: Instant,
    ) -> Result<Arc<str>, String> {
        let text = reveal(secret, deadline).await?;
        let is_hidden = match secret {
            Secret::Plain(_) => sounds_secret(name),
            Secret::File(_) | Secret::Variable(_) => true,
        };
        if is_hidden {
            self.hide(&text);
        }
        Ok(text)
    }

    /// Remembers a text that is to be hidden, and its parts: `Bearer` and the like come before what is
    /// secret itself.
    pub fn hide(&mut self, text: &str) {
        let parts = text.split_whitespace().chain([text]);
        self.0.extend(parts.filter(|part| part.len() >= LEAST_HIDDEN).map(Arc::from));
        // The whole before its parts.
        self.0.sort_by_key(|part| std::cmp::Reverse(part.len()));
    }

    /// `bytes` as text, without what is hidden. They may end within it: only so many are kept.
    #[must_use]
    pub fn shown(&self, bytes: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        let begun = self.0.iter().filter_map(|secret| begun_at_end(&text, secret)).max();
        let end = if begun.is_some() { HIDDEN } else { "" };
        text.truncate(text.len() - begun.unwrap_or(0));
        self.0.iter().fold(text, |text, secret| text.replace(&**secret, HIDDEN)) + end
    }
}

/// How much of `secret`, from its beginning, `text` ends with; `None`: too little to tell.
fn begun_at_end(text: &str, secret: &str) -> Option<usize> {
    let lengths = (LEAST_HIDDEN..secret.len()).rev();
    lengths
        .filter(|&length| secret.is_char_boundary(length))
        .find(|&length| text.ends_with(&secret[..length]))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn revealed(secret: Secret) -> Result<Arc<str>, String> {
        reveal(&secret, Instant::now() + Duration::from_secs(20)).await
    }

    #[tokio::test]
    async fn a_file_is_read_without_one_line_break_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for (written, read) in
            [("a b", "a b"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")]
        {
            std::fs::write(&path, written).unwrap();
            assert_eq!(revealed(Secret::File(path.clone())).await.as_deref(), Ok(read));
        }
        for (written, why) in [
            ("", "it is empty"),
            ("\n", "it is empty"),
            (&*"x".repeat(65_537), "larger than 65536"),
        ] {
            std::fs::write(&path, written).unwrap();
            let words = revealed(Secret::File(path.clone())).await.unwrap_err();
            assert!(words.contains(why) && words.contains("secret"), "{words}");
        }
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let words = revealed(Secret::File("/no/such/file".into())).await.unwrap_err();
        assert!(words.starts_with("the file /no/such/file cannot be used: No such"), "{words}");
        let words = revealed(Secret::Variable("NO_SUCH_VARIABLE".into())).await.unwrap_err();
        assert!(words.starts_with("the environment variable NO_SUCH_VARIABLE"), "{words}");
        let path = revealed(Secret::Variable("PATH".into())).await;
        assert_eq!(path.unwrap(), std::env::var("PATH").unwrap().into());
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_cannot_be_read_holds_up_its_own_try_only() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let words = revealed(Secret::File(pipe.clone())).await.unwrap_err();
        assert!(words.ends_with("it was not read in time"), "{words}");
        // Lets the thread go.
        std::fs::write(&pipe, "").unwrap();
    }

    #[tokio::test]
    async fn what_was_used_is_not_shown() {
        let deadline = Instant::now();
        let mut hidden = Hidden::default();
        for (name, text) in
            [("Authorization", "Bearer hunter2"), ("MODE", "active"), ("API_KEY", "abc")]
        {
            hidden.reveal(name, &Secret::Plain(text.into()), deadline).await.unwrap();
        }
        let shown = hidden.shown(b"Bearer hunter2, hunter2: active abc");
        assert_eq!(shown, "(not shown), (not shown): active abc");
        for (kept, shown) in [
            (&b"it is hunter"[..], "it is (not shown)"),
            (b"Bearer hun", "(not shown)"),
            (b"it is hun", "it is hun"),
        ] {
            assert_eq!(hidden.shown(kept), shown, "cut off");
        }
    }
}
