//! What a service manager is told, by a socket of the test in the place of systemd's.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use benches::condition::wait_for;
use benches::fetch::get;
use benches::process::{Process, free_address, installed};
use benches::understudy::Understudy;
use tempfile::TempDir;

use crate::stage::{PATIENCE, alone, binary, may_run, yaml_kept};

/// How long the watchdog is patient here; it is told every quarter of it.
const WATCHDOG: Duration = Duration::from_secs(4);

/// The manager, and the balancer under it.
struct Manager {
    socket: UnixDatagram,
    /// Lines that have come and that nobody has asked for yet.
    heard: VecDeque<String>,
    understudy: Understudy,
    folder: TempDir,
    // Last: the next test begins when all the others are gone.
    _alone: std::fs::File,
}

impl Manager {
    fn start() -> Self {
        let alone = alone();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let config = folder.path().join("understudy.yaml");
        let addresses = [(); 2].map(|()| free_address().expect("a port"));
        // Nobody is there; how backends are does not matter to a manager.
        let backends =
            [("a", 1), ("b", 2)].map(|(name, port)| (name, format!("http://127.0.0.1:{port}")));
        let yaml = yaml_kept(folder.path(), addresses, &backends, "");
        std::fs::write(&config, yaml).expect("a config");
        // As a manager does, it names the process that it watches.
        let mut command = Command::new("sh");
        command.args(["-c", "WATCHDOG_PID=$$ exec \"$0\" \"$@\""]);
        command.arg(binary()).args(["run", "-c"]).arg(&config);
        command.env("NOTIFY_SOCKET", &path);
        command.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
        let process = Process::start("understudy", command);
        let understudy = Understudy::of(process);
        Self { socket, heard: VecDeque::new(), understudy, folder, _alone: alone }
    }

    /// The next line, if one comes `within` that time.
    fn line(&mut self, within: Duration) -> Option<String> {
        if self.heard.is_empty() {
            self.socket.set_read_timeout(Some(within)).expect("set");
            let mut bytes = [0; 4096];
            let length = self.socket.recv(&mut bytes).ok()?;
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            self.heard.extend(text.lines().map(str::to_owned));
        }
        self.heard.pop_front()
    }

    /// Waits for a line that begins so; what comes before it is returned with it.
    fn wait(&mut self, prefix: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let Some(line) = self.line(Duration::from_secs(1)) else { continue };
            let is_it = line.starts_with(prefix);
            lines.push(line);
            if is_it {
                return lines;
            }
        }
        panic!("no {prefix} but {lines:?}; {}", self.understudy.process.stderr());
    }

    /// Nothing that is on its way counts.
    fn forget(&mut self) {
        while self.line(Duration::from_millis(1)).is_some() {}
    }

    /// What comes in as long a time as the watchdog is patient.
    fn listen_for_its_patience(&mut self) -> Vec<String> {
        let until = Instant::now() + WATCHDOG;
        let mut lines = Vec::new();
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            lines.extend(self.line(left.max(Duration::from_millis(1))));
        }
        lines
    }
}

#[test]
fn a_manager_hears_of_the_start_of_reloads_and_of_the_end() {
    let mut manager = Manager::start();
    let started = manager.wait("READY=1");
    let pid = format!("MAINPID={}", manager.understudy.process.id());
    assert!(started.contains(&pid), "{started:?}");
    manager.wait("WATCHDOG=1");

    // A good reload, and one of a file that is refused: in both it is told when it is over.
    let config = manager.folder.path().join("understudy.yaml");
    let good = std::fs::read_to_string(&config).expect("the config");
    for text in [format!("{good}shutdown_timeout: 7s\n"), format!("{good}nonsense: 1\n")] {
        let aside = manager.folder.path().join("understudy.new");
        std::fs::write(&aside, text).expect("a config");
        std::fs::rename(&aside, &config).expect("a config");
        manager.wait("RELOADING=1");
        let next = manager.line(PATIENCE).expect("a time");
        let time = next.strip_prefix("MONOTONIC_USEC=").and_then(|time| time.parse::<u64>().ok());
        assert!(time.is_some_and(|time| time > 0), "{next}");
        manager.wait("READY=1");
    }
    // By a signal, too. The file is the same as before, and still refused.
    manager.forget();
    manager.understudy.process.signal("HUP");
    manager.wait("RELOADING=1");
    manager.wait("READY=1");

    manager.understudy.process.signal("TERM");
    manager.wait("STOPPING=1");
    assert_eq!(manager.understudy.process.wait_exit(PATIENCE).code(), Some(0));
    assert_eq!(manager.listen_for_its_patience(), Vec::<String>::new(), "nothing after the end");
}

#[test]
fn a_watchdog_hears_nothing_while_a_worker_hangs() {
    if !may_run(installed("python3").is_some(), "python3, to stop a thread") {
        return;
    }
    let mut manager = Manager::start();
    manager.wait("WATCHDOG=1");
    let admin = manager.understudy.admin();
    assert_eq!(get(admin, "/livez").expect("an answer").status, 200);
    let stopped = Stopped::thread(manager.understudy.process.id(), "worker-0");
    if !may_run(stopped.is_some(), "the right to trace processes, to stop a thread") {
        return;
    }
    // What was asked before it stopped may still be told.
    manager.line(WATCHDOG / 4 + Duration::from_secs(1));
    manager.forget();
    let told = manager.listen_for_its_patience();
    assert!(!told.iter().any(|line| line == "WATCHDOG=1"), "{told:?}");
    let answer = get(admin, "/livez").expect("an answer");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("worker 0 does not answer"), "{}", answer.text());
    wait_for(PATIENCE, "the log says so, too", || {
        let log = manager.understudy.process.stderr();
        if log.contains("worker 0 does not answer") { Ok(()) } else { Err(log) }
    });

    drop(stopped);
    manager.wait("WATCHDOG=1");
    wait_for(PATIENCE, "it works again", || match get(admin, "/livez") {
        Ok(answer) if answer.status == 200 => Ok(()),
        other => Err(other),
    });
}

#[test]
fn a_watchdog_hears_nothing_while_the_control_thread_hangs() {
    if !may_run(installed("python3").is_some(), "python3, to stop a thread") {
        return;
    }
    let mut manager = Manager::start();
    manager.wait("WATCHDOG=1");
    // All the others go on, whoever of them might tell.
    let stopped = Stopped::thread(manager.understudy.process.id(), "understudy");
    if !may_run(stopped.is_some(), "the right to trace processes, to stop a thread") {
        return;
    }
    manager.forget();
    assert_eq!(manager.listen_for_its_patience(), Vec::<String>::new());
    drop(stopped);
    manager.wait("WATCHDOG=1");
}

#[test]
fn after_a_takeover_the_watchdog_is_for_the_successor() {
    let mut manager = Manager::start();
    manager.wait("WATCHDOG=1");
    let old = manager.understudy.process.id();
    manager.understudy.process.signal("USR2");
    let told = manager.wait("MAINPID=");
    let pid = told.last().and_then(|line| line.strip_prefix("MAINPID=")).expect("a number");
    let pid: u32 = pid.parse().expect("a number");
    assert_ne!(pid, old);
    let successor = Successor(pid);
    assert_eq!(manager.understudy.process.wait_exit(PATIENCE).code(), Some(0));
    manager.forget();
    let told = manager.listen_for_its_patience();
    assert!(told.iter().any(|line| line == "WATCHDOG=1"), "{told:?}");
    drop(successor);
}

/// A process that is no child of ours; ended when this is dropped.
struct Successor(u32);

impl Drop for Successor {
    fn drop(&mut self) {
        let pid = self.0.to_string();
        let _ = Command::new("kill").args(["-KILL", &pid]).status();
        wait_for(PATIENCE, "it is gone", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            // Nobody may wait for it; then it stays a zombie.
            match stat {
                Ok(stat) if !stat.contains(") Z ") => Err(stat),
                Ok(_) | Err(_) => Ok(()),
            }
        });
    }
}

/// One thread of a process that is stopped while this lives.
struct Stopped(Child);

/// Stops a thread, says so, and waits for the end of its input: then, with this process, it goes on.
const STOP: &str = "
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
SEIZE, INTERRUPT = 0x4206, 0x4207
thread = int(sys.argv[1])
for request in (SEIZE, INTERRUPT):
    if libc.ptrace(request, thread, None, None) != 0:
        sys.exit(f'ptrace: error {ctypes.get_errno()}')
print('stopped', flush=True)
sys.stdin.read()
";

impl Stopped {
    /// The first thread of this name; `None`: it may not be stopped.
    fn thread(pid: u32, name: &str) -> Option<Self> {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
        let is_it = |folder: &Path| {
            let comm = std::fs::read_to_string(folder.join("comm"));
            comm.is_ok_and(|comm| comm.trim() == name)
        };
        let mut threads = threads.map(|thread| thread.expect("a thread").path());
        let thread = threads.find(|thread| is_it(thread)).expect("a thread of this name");
        let mut child = Command::new("python3")
            .args(["-c", STOP])
            .arg(thread.file_name().expect("a number"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut line = String::new();
        let out = child.stdout.as_mut().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("it says something");
        let stopped = Self(child);
        (line == "stopped\n").then_some(stopped)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
