//! Sets the stage: two origins, the balancer before them, and what all tests ask of a load.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use benches::condition::wait_for;
use benches::load::Load;
use benches::origin::{self, Origin};
use benches::report::Report;
use benches::understudy::Understudy;
use serde_json::Value;
use tempfile::TempDir;

use crate::admin_client::Operator;

/// How long anything may take that is not itself measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A primary `a`, a standby `b`, and the balancer with the service `web`.
pub(crate) struct Stage {
    pub(crate) understudy: Understudy,
    pub(crate) a: Origin,
    pub(crate) b: Origin,
    pub(crate) config: PathBuf,
    pub(crate) folder: TempDir,
    // Last: the next test begins when all the others are gone.
    _alone: File,
}

impl Stage {
    /// With the default settings, but for the path of the probe.
    pub(crate) fn with_defaults() -> Self {
        Self::new("health: { http: { path: /healthz } }")
    }

    /// With these lines for the service, and `a` active.
    pub(crate) fn new(service: &str) -> Self {
        let plain = |folder: &Path, name: &str| Origin::start(&origin_binary(), folder, name);
        Self::built(service, plain, |config| {
            let mut command = Command::new(binary());
            command.args(["run", "-c"]).arg(config);
            command
        })
    }

    /// The same with origins of another kind, and with another command than `run -c <config>`.
    pub(crate) fn built(
        service: &str,
        origin: impl Fn(&Path, &str) -> Origin,
        command: impl FnOnce(&Path) -> Command,
    ) -> Self {
        let alone = alone();
        let folder = tempfile::tempdir().expect("a folder");
        let (a, b) = (origin(folder.path(), "a"), origin(folder.path(), "b"));
        let config = folder.path().join("understudy.yaml");
        fs::write(&config, yaml(&[&a, &b], service)).expect("a config");
        let understudy = Understudy::start(command(&config));
        understudy.wait_active("a");
        understudy.wait_health("b", "up");
        Self { understudy, a, b, config, folder, _alone: alone }
    }

    /// What the balancer has counted.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.understudy.metrics().sum(name, labels) as u64
    }

    /// No request has reached the standby, and the first change of the active was the start.
    pub(crate) fn assert_primary_only(&self) {
        assert_eq!(self.b.journal(), [], "the standby got traffic before the switch");
    }

    /// Waits until `count` more probes of this backend have passed.
    pub(crate) fn wait_passes(&self, backend: &str, count: u64) {
        wait_verdicts(&self.understudy, backend, "pass", count);
    }

    /// The first active is still the active, and was never left for a moment.
    pub(crate) fn assert_never_moved(&self) {
        assert_eq!(self.understudy.active().as_deref(), Some("a"));
        assert_eq!(self.metric("understudy_service_transitions_total", &[]), 1, "only the start");
        self.assert_primary_only();
    }

    /// What the metrics say of the answers is what the clients saw, and nothing is in flight.
    pub(crate) fn assert_metrics_agree(&self, report: &Report) {
        self.understudy.wait_metric("understudy_requests_in_flight", &[], |sum| sum == 0.0);
        for (class, first) in [("2xx", 200), ("5xx", 500)] {
            let seen = report
                .samples
                .iter()
                .filter(|sample| sample.status.is_some_and(|s| (first..first + 100).contains(&s)));
            let counted = self.metric("understudy_requests_total", &[("class", class)]);
            assert_eq!(counted, seen.count() as u64, "{class}: {report}");
        }
        let failed = self.metric("understudy_requests_failed_total", &[]);
        assert_eq!(failed, report.failed().len() as u64, "{report}");
        assert_eq!(self.metric("understudy_requests_waiting", &[]), 0);
        assert_eq!(self.metric("understudy_requests_held_bytes", &[]), 0);
        assert_eq!(self.metric("understudy_backend_active", &[]), 1, "one active");
        let active = self.understudy.active().expect("an active");
        assert_eq!(self.metric("understudy_backend_active", &[("backend", &active)]), 1);
        assert_eq!(self.metric("understudy_service_epoch", &[]), self.understudy.epoch());
    }
}

/// The balancer alone, before whatever the test has made.
pub(crate) struct Scene {
    pub(crate) understudy: Understudy,
    _folder: TempDir,
    // Last, as above.
    _alone: File,
}

impl Scene {
    /// Before backends with these names and URLs; nobody needs to be up.
    pub(crate) fn new(backends: &[(&str, String)], service: &str) -> Self {
        Self::with_log(backends, service, "info")
    }

    /// The same with this filter for the log.
    pub(crate) fn with_log(backends: &[(&str, String)], service: &str, log: &str) -> Self {
        let alone = alone();
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("understudy.yaml");
        fs::write(&config, yaml_of(backends, service)).expect("a config");
        let mut command = Command::new(binary());
        command.args(["run", "--log", log, "-c"]).arg(&config);
        Self { understudy: Understudy::start(command), _folder: folder, _alone: alone }
    }

    /// What the balancer has counted.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.understudy.metrics().sum(name, labels) as u64
    }
}

/// A configuration of one service with these backends; `service` is lines of the service.
pub(crate) fn yaml(backends: &[&Origin], service: &str) -> String {
    let backends: Vec<_> = backends.iter().map(|origin| (origin.name(), origin.url())).collect();
    yaml_of(&backends, service)
}

/// The same with names and URLs.
pub(crate) fn yaml_of(backends: &[(&str, String)], service: &str) -> String {
    let backends: String = backends
        .iter()
        .map(|(name, url)| format!("      - {{ name: {name}, url: \"{url}\" }}\n"))
        .collect();
    let service: String = service.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "workers: 2\nlisteners:\n  - address: \"127.0.0.1:0\"\nadmin: {{ address: \"127.0.0.1:0\" }}\n\
         services:\n  web:\n    backends:\n{backends}{service}"
    )
}

/// The same with decisions kept in `folder`, which has the Unix socket as well.
pub(crate) fn yaml_kept(
    folder: &Path,
    addresses: [SocketAddr; 2],
    backends: &[(&str, String)],
    service: &str,
) -> String {
    let [listen, admin] = addresses.map(|address| address.to_string());
    let yaml = yaml_of(backends, service);
    let (_, services) = yaml.split_once("services:").expect("services");
    let (state, socket) = (folder.join("state"), Operator::socket_in(folder));
    format!(
        "workers: 2\nlisteners:\n  - address: \"{listen}\"\nstate_dir: {}\nadmin: {{ address: \"{admin}\", \
         socket: {} }}\nservices:{services}",
        state.display(),
        socket.display()
    )
}

/// The program under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_understudy"))
}

/// The origin beside it.
pub(crate) fn origin_binary() -> PathBuf {
    let folder = binary().parent().expect("a folder");
    origin::binary(folder, env!("CARGO")).expect("the origin")
}

/// The stand-ins beside it.
pub(crate) fn standins_binary() -> PathBuf {
    let folder = binary().parent().expect("a folder");
    standins::binary(folder, env!("CARGO")).expect("the stand-ins")
}

/// Waits for its turn; also behind tests in other processes, as some test runners have them.
pub(crate) fn alone() -> File {
    let lock = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e.lock");
    let lock = File::options().create(true).append(true).open(lock).expect("a lock file");
    // All the tests before it may take minutes; a test that waits for itself would wait for ever.
    wait_for(Duration::from_secs(600), "the turn of this test", || lock.try_lock());
    lock
}

/// Waits until `count` more probes of this backend have ended with this verdict.
pub(crate) fn wait_verdicts(understudy: &Understudy, backend: &str, verdict: &str, count: u64) {
    let labels = [("backend", backend), ("verdict", verdict)];
    let goal = understudy.metrics().sum("understudy_probes_total", &labels) + count as f64;
    understudy.wait_metric("understudy_probes_total", &labels, |sum| sum >= goal);
}

/// What a service's status says of one of its backends.
pub(crate) fn backend_in<'a>(service: &'a Value, name: &str) -> &'a Value {
    let mut backends = service["backends"].as_array().into_iter().flatten();
    backends.find(|backend| backend["name"] == name).unwrap_or(&Value::Null)
}

/// Waits until a backend is said to claim this role.
pub(crate) fn wait_role(understudy: &Understudy, backend: &str, role: &str) {
    understudy.wait_service(&format!("{backend} claims to be {role}"), |service| {
        backend_in(service, backend)["role"] == role
    });
}

/// Waits until a backend is said to ask for this.
pub(crate) fn wait_wish(understudy: &Understudy, backend: &str, wish: &str) {
    understudy.wait_service(&format!("{backend} asks for {wish}"), |service| {
        backend_in(service, backend)["wish"] == wish
    });
}

/// Whether a test that lacks something goes on: no, with a word, and with `UNDERSTUDY_NO_SKIP=1` in the
/// environment it fails.
pub(crate) fn may_run(has: bool, needs: &str) -> bool {
    if !has {
        let must_run = std::env::var("UNDERSTUDY_NO_SKIP").is_ok_and(|value| value == "1");
        assert!(!must_run, "this test needs {needs}");
        // Not `eprintln!`, which is not shown when the test passes.
        let _ = writeln!(io::stderr(), "SKIPPED: this test needs {needs}");
    }
    has
}

/// Waits until `count` requests more have succeeded, answered by `origin`.
pub(crate) fn wait_served(load: &Load, origin: &str, count: usize) {
    let served = || {
        let samples = load.samples();
        let by_it = |sample: &&_| succeeded_at(sample, origin);
        (samples.iter().filter(by_it).count(), samples.len())
    };
    let goal = served().0 + count;
    wait_for(PATIENCE, &format!("{origin} serves {count} more"), || {
        let now = served();
        if now.0 >= goal { Ok(()) } else { Err(now) }
    });
}

fn succeeded_at(sample: &benches::report::Sample, origin: &str) -> bool {
    sample.succeeded() && sample.origin.as_deref() == Some(origin)
}

/// Nothing failed, and if something did, what.
pub(crate) fn assert_none_failed(report: &Report) {
    assert!(report.samples.len() > 100, "that was no load: {report}");
    assert!(report.failed().is_empty(), "{report}");
}

/// First `a` answered, then `b`, and never `a` again.
pub(crate) fn assert_one_switch(report: &Report) {
    let names: Vec<_> = report.origins().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b"], "{report}");
}
