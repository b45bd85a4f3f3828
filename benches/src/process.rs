//! Child processes that can be killed, stopped and resumed, and never outlive their handle.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::condition::wait_for;

/// How many of the last lines of each output are kept.
const LINES: usize = 5000;
/// How long anything about a process may take before we call it broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running child; killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

impl Process {
    /// Starts `command` and collects what it prints.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(name: &str, command: Command) -> Self {
        Self::start_with(name, command, Stdio::null())
    }

    /// The same with something else than nothing to read.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start_with(name: &str, mut command: Command, stdin: Stdio) -> Self {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("cannot start {name} as {command:?}: {error}"),
        };
        let stdout = Lines::of(child.stdout.take());
        let stderr = Lines::of(child.stderr.take());
        Self { name: name.to_owned(), child, stdout, stderr }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the first line on stdout that begins with `prefix`; returns what follows it.
    ///
    /// # Panics
    ///
    /// When it ends before, or does not print one in time; the message has its stderr.
    #[must_use]
    pub fn wait_line(&mut self, prefix: &str) -> String {
        let what = format!("{} prints a line that begins with {prefix:?}", self.name);
        wait_for(PATIENCE, &what, || {
            let ended = self.child.try_wait().ok().flatten();
            let line = self.stdout.first(prefix);
            if line.is_none() && ended.is_some() {
                panic!("{} ended ({ended:?}) before: {what}\n{}", self.name, self.stderr());
            }
            line.ok_or_else(|| format!("stdout {:?} stderr {}", self.stdout.all(), self.stderr()))
        })
    }

    /// Waits until something accepts connections at `address`.
    ///
    /// # Panics
    ///
    /// When it ends before, or nothing listens in time; the message has its stderr.
    pub fn wait_listening(&mut self, address: SocketAddr) {
        let what = format!("{} listens on {address}", self.name);
        wait_for(PATIENCE, &what, || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended ({status}) before: {what}\n{}", self.name, self.stderr());
            }
            TcpStream::connect(address).map_err(|error| format!("{error}\n{}", self.stderr()))
        });
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Panics
    ///
    /// When the system refuses.
    pub fn kill(&mut self) {
        self.child.kill().unwrap_or_else(|error| panic!("kill {}: {error}", self.name));
        self.child.wait().unwrap_or_else(|error| panic!("wait for {}: {error}", self.name));
    }

    /// SIGSTOP: the process hangs, its sockets stay. Returns when it has stopped.
    ///
    /// # Panics
    ///
    /// When it does not stop.
    pub fn stop(&self) {
        self.signal("STOP");
        let what = format!("{} is stopped", self.name);
        wait_for(PATIENCE, &what, || match self.state() {
            Ok('T') => Ok(()),
            other => Err(other.map_err(|error| error.to_string())),
        });
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// Sends a signal by name, for example `HUP`.
    ///
    /// # Panics
    ///
    /// When the system refuses, for example because the process has ended.
    pub fn signal(&self, signal: &str) {
        // The shell's own `kill`: needs neither unsafe code nor a package that may be missing.
        let sent = Command::new("sh")
            .args(["-c", "kill -\"$1\" \"$2\"", "sh", signal, &self.id().to_string()])
            .output();
        match sent {
            Ok(output) if output.status.success() => {}
            other => panic!("SIG{signal} to {}: {other:?}\n{}", self.name, self.stderr()),
        }
    }

    /// Waits for the end.
    ///
    /// # Panics
    ///
    /// When it is still running at the deadline.
    pub fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        wait_for(deadline, &what, || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(String::from("still running")),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The last lines it printed to stderr.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.all().join("\n")
    }

    /// The CPU time all its threads have used, in user space and in the kernel, to 10 ms.
    ///
    /// # Errors
    ///
    /// When the system does not say, for example because the process has ended.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        // Fields 14 and 15 of the line; the state is field 3.
        let fields = self.stat()?;
        let ticks = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok());
        match (ticks(14), ticks(15)) {
            // Linux counts in hundredths of a second here, on every architecture we run on.
            (Some(user), Some(system)) => Ok(Duration::from_millis((user + system) * 10)),
            _ => Err(io::Error::other(format!("not a stat line: {fields:?}"))),
        }
    }

    /// The scheduler's letter for the process: `R`, `S`, `T` (stopped), `Z`.
    fn state(&self) -> io::Result<char> {
        let fields = self.stat()?;
        let state = fields.first().and_then(|state| state.chars().next());
        state.ok_or_else(|| io::Error::other("empty stat"))
    }

    /// What the system says of the process, from the state on.
    fn stat(&self) -> io::Result<Vec<String>> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        // The name is in parentheses and may itself contain some; the state follows the last.
        let rest = stat.rsplit(')').next().unwrap_or_default();
        Ok(rest.split_whitespace().map(str::to_owned).collect())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of the loopback interface that is free now.
///
/// Another process may take it before it is used; for programs that cannot choose one themselves.
///
/// # Errors
///
/// When the system has none.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Where a program is, if it is installed.
#[must_use]
pub fn installed(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Daemons live where an ordinary user's PATH does not look.
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(OsStr::new(program)))
        .find(|file| file.is_file())
}

/// Lines that a thread reads until the writer closes.
#[derive(Clone, Debug)]
struct Lines(Arc<Mutex<VecDeque<String>>>);

impl Lines {
    fn of(output: Option<impl Read + Send + 'static>) -> Self {
        let lines = Self(Arc::default());
        if let Some(output) = output {
            let lines = lines.clone();
            // Ends with the process: its end of the pipe is closed then.
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    lines.push(line);
                }
            });
        }
        lines
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn first(&self, prefix: &str) -> Option<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().find_map(|line| line.strip_prefix(prefix)).map(str::to_owned)
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start("a shell", command)
    }

    #[test]
    fn a_line_is_found_behind_others() {
        let mut process = shell("echo hello; echo listening on 1.2.3.4:5; exec sleep 60");
        assert_eq!(process.wait_line("listening on "), "1.2.3.4:5");
    }

    #[test]
    #[should_panic(expected = "no such file for me")]
    fn an_early_end_shows_stderr() {
        let mut process = shell("echo no such file for me >&2; sleep 0.2; exit 3");
        let _ = process.wait_line("listening on ");
    }

    #[test]
    fn a_stopped_process_is_stopped_and_dies_with_its_handle() {
        let process = shell("echo up; exec sleep 60");
        process.stop();
        assert_eq!(process.state().expect("a state"), 'T');
        process.resume();
        let id = process.id();
        drop(process);
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn a_busy_process_uses_cpu_time_and_an_idle_one_does_not() {
        let (busy, idle) = (shell("while :; do :; done"), shell("exec sleep 60"));
        wait_for(PATIENCE, "200 ms of work", || {
            let used = busy.cpu_time().expect("a time");
            if used >= Duration::from_millis(200) { Ok(()) } else { Err(used) }
        });
        assert!(idle.cpu_time().expect("a time") < Duration::from_millis(100));
    }

    #[test]
    fn a_signal_reaches_the_process() {
        // Not HUP: started by nohup we ignore it, and then a shell cannot trap it.
        let mut process = shell("trap 'exit 7' USR1; echo ready; while :; do sleep 0.02; done");
        let _ = process.wait_line("ready");
        process.signal("USR1");
        assert_eq!(process.wait_exit(PATIENCE).code(), Some(7));
        assert!(!process.is_running());
    }
}
