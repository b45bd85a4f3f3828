//! A program beside ours: started, listened to, and never left behind.
//!
//! It gets no shell, no input, and of our environment only `PATH`. Neither it nor what it starts
//! outlives its [`Process`], unless that leaves its process group on purpose. What its end means is
//! for others to say.

use std::borrow::Cow;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::thread;

use rustix::io::Errno;
use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::words::first_line;
use output::Output;
use running::Running;

mod output;
mod running;

/// Where programs are looked for when we were not told either.
pub(crate) const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is run, with nothing left to fill in. May hold secrets.
#[derive(Clone)]
pub struct Program<'a> {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Its environment beside `PATH`; of two variables of one name the later counts.
    pub environment: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Its working directory.
    pub directory: &'a Path,
    /// Most bytes of output that are kept; the rest is read and thrown away.
    pub output_bytes: usize,
}

/// Without what may be secret.
impl Debug for Program<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("program", &self.name()).finish_non_exhaustive()
    }
}

/// Why there is no program that runs, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotStarted {
    /// We have run out of processes, descriptors or memory.
    Exhausted(String),
    /// Somebody installs another one at this moment.
    BeingWritten(String),
    /// It is not there, is not for us, or is no program.
    Impossible(String),
}

/// A program that runs. Dropped, it is killed with its whole process group, and seen off. It keeps
/// its `permit` until it is gone: one that hangs in the kernel cannot be killed, and such must not
/// pile up.
#[derive(Debug)]
pub struct Process<P: Debug + Send + 'static> {
    running: Running<P>,
    output: Output,
}

impl Program<'_> {
    /// Starts it, on a thread of its own: the kernel says only then that it is started when it has
    /// found and opened it, which takes for ever on a file server that is gone. Dropped meanwhile,
    /// it is killed as soon as it has started.
    ///
    /// # Errors
    /// See [`NotStarted`].
    pub async fn start<P: Debug + Send + 'static>(
        &self,
        permit: P,
    ) -> Result<Process<P>, NotStarted> {
        let started = self.start_aside(permit).await;
        started.map_err(|error| not_started(self.name(), self.directory, &error))
    }

    async fn start_aside<P: Debug + Send + 'static>(&self, permit: P) -> io::Result<Process<P>> {
        let command = self.command();
        let most = self.output_bytes;
        let runtime = Handle::current();
        let (sender, started) = oneshot::channel();
        thread::Builder::new().name("exec".to_owned()).spawn(move || {
            let _entered = runtime.enter();
            // When nobody waits any more the program is killed here.
            let _ = sender.send(spawn(command, most, permit));
        })?;
        started.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn name(&self) -> &str {
        self.command.first().map_or("", |program| program)
    }

    fn command(&self) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into());
        let mut command = Command::new(self.name());
        command
            .args(self.command.iter().skip(1))
            .env_clear()
            .env("PATH", path)
            .envs(self.environment.iter().map(|(name, value)| (&**name, &**value)))
            .current_dir(self.directory)
            .stdin(Stdio::null())
            .process_group(0);
        command
    }
}

fn spawn<P: Debug + Send + 'static>(
    mut command: Command,
    most: usize,
    permit: P,
) -> io::Result<Process<P>> {
    // One pipe for both, so that their lines stay in order.
    let (reader, writer) = io::pipe()?;
    let output = Output::new(reader, most)?;
    let child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
    Ok(Process { running: Running::new(child, permit), output })
}

/// What it means that there is no program to judge.
fn not_started(program: &str, directory: &Path, error: &io::Error) -> NotStarted {
    match Errno::from_io_error(error) {
        Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => {
            tracing::warn!(program, %error, "no means to run a program");
            NotStarted::Exhausted(format!("{program}: {error}"))
        }
        Some(Errno::TXTBSY) => NotStarted::BeingWritten(format!("{program} is being written to")),
        number => {
            let directory = directory.display();
            let advice = match number {
                Some(Errno::NOENT | Errno::NOTDIR) => format!(
                    "; see whether it, its interpreter and the directory {directory} are there"
                ),
                Some(Errno::ACCESS | Errno::PERM) => {
                    format!("; see whether our user may execute it and enter {directory}")
                }
                Some(Errno::NOEXEC) => "; a script begins with `#!` and its interpreter".to_owned(),
                _ => String::new(),
            };
            NotStarted::Impossible(format!("{program} cannot be run: {error}{advice}"))
        }
    }
}

impl<P: Debug + Send + 'static> Process<P> {
    /// Waits for the program to end, reading what it writes; then kills what it left behind in its
    /// group. `None`: it runs on beyond `deadline`, until this is dropped.
    ///
    /// # Errors
    /// If its end cannot be seen.
    pub async fn ended(&mut self, deadline: Instant) -> Option<io::Result<ExitStatus>> {
        let ended = timeout_at(deadline, self.running.ended(&mut self.output)).await.ok()?;
        self.output.last_words(deadline).await;
        Some(ended)
    }

    /// The beginning of what it wrote.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        self.output.kept()
    }

    /// The first line of it that says anything, without control characters and not too long.
    #[must_use]
    pub fn first_line(&self) -> String {
        first_line(&String::from_utf8_lossy(self.written()))
    }
}

/// How a program ended, in words.
#[must_use]
pub fn how(status: ExitStatus) -> Cow<'static, str> {
    match status.code() {
        Some(code) => format!("exit code {code}").into(),
        None => {
            format!("killed by {}", status.to_string().replacen("signal: ", "signal ", 1)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_lack_is_no_fault_of_the_program() {
        let why = |number: Errno| not_started("/opt/ping", Path::new("/"), &number.into());
        for number in [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE] {
            assert!(matches!(why(number), NotStarted::Exhausted(_)), "{number}");
        }
        assert!(matches!(why(Errno::TXTBSY), NotStarted::BeingWritten(_)));
        for number in [Errno::NOENT, Errno::ACCESS, Errno::NOEXEC, Errno::TOOBIG] {
            match why(number) {
                NotStarted::Impossible(text) => {
                    assert!(text.starts_with("/opt/ping cannot be run: "), "{text}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let program = Program {
            command: vec!["/opt/ping".to_owned(), "hunter2".to_owned()],
            environment: vec![("LOGIN".into(), "hunter2".into())],
            directory: Path::new("/"),
            output_bytes: 0,
        };
        assert_eq!(format!("{program:?}"), r#"Program { program: "/opt/ping", .. }"#);
    }
}
