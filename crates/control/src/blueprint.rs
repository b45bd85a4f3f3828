//! From a config to everything that must exist before anything running is touched.
//!
//! Building may fail and changes nothing; putting a blueprint in force is the supervisor's part.

use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::Tracer;
use config::model::{
    Config, DownstreamTls, FailbackWindow, ListenAddress, Readiness, StreamPolicies, TlsPolicy,
};
use connect::Destination;
use health::Subject;
use metrics::Metrics;
use proxy::{BackendSpec, Bound, ListenerSpec, ServiceId, Snapshot};
use routing::failover::{BackendId, Policy};
use routing::table::Table;
use rustls::ServerConfig;

use self::build::{Shared, spec, spread};
pub(crate) use self::hooks::{PlannedAction, PlannedGate, PlannedGates, PlannedJob};
use crate::ids::Ids;
use crate::logs::{self, Logs};
use crate::notify::PlannedNotifier;
use crate::state;
use crate::takeover::Inherited;
use crate::tls::{Certificate, TlsBuilder, TlsProblem, TlsStore};
use crate::traces::{Ways, ways};

mod build;
mod hooks;

/// Why a config, valid as text, cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// TLS settings, all that cannot be built.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Tls(Vec<TlsProblem>),
    /// A log cannot be opened.
    #[error("{}", unwritable(.0))]
    Log(access::OpenError),
    /// A listener cannot be bound.
    #[error("cannot listen on {address}: {why}{}", advice(.why, .address))]
    Bind {
        /// Where.
        address: ListenAddress,
        /// Why.
        why: io::Error,
    },
}

/// A log that cannot be opened, and what an operator can do about it.
fn unwritable(error: &access::OpenError) -> String {
    let advice = match error.why.kind() {
        io::ErrorKind::IsADirectory => ". That is a folder: name a file in it",
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
            ". Its folder must exist, and be ours to write to"
        }
        _ => "",
    };
    format!("{error}{advice}")
}

/// What an operator can do about a listener that cannot be bound.
fn advice(error: &io::Error, address: &ListenAddress) -> String {
    let Some(address) = address.tcp() else {
        return match error.kind() {
            io::ErrorKind::AddrInUse => {
                ". Something is there that is no socket, or somebody listens on it: choose another \
                 path, or remove it"
            }
            io::ErrorKind::NotFound => ". The folder of a socket must exist",
            io::ErrorKind::PermissionDenied => ". The folder of a socket must be ours to write to",
            _ => "",
        }
        .to_owned();
    };
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let port = address.port();
            format!(". Choose another port, or stop who has it: `ss -ltnp 'sport = :{port}'`")
        }
        io::ErrorKind::PermissionDenied => {
            ". Ports below 1024 need root or the capability CAP_NET_BIND_SERVICE".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            ". No network interface of this machine has that address".to_owned()
        }
        _ => String::new(),
    }
}

/// A config with everything built that it asks for.
#[derive(Clone, Debug)]
pub(crate) struct Blueprint {
    pub(crate) config: Config,
    pub(crate) services: Vec<Plan>,
    /// Who is told what happened.
    pub(crate) notifiers: Vec<PlannedNotifier>,
    /// Where the collector of spans and the backends are.
    pub(crate) ways: Arc<Ways>,
    pub(crate) snapshot: Arc<Snapshot>,
    /// What is written of requests and events.
    pub(crate) logs: Logs,
    /// What an operator should know of what was built anew.
    pub(crate) warnings: Vec<String>,
    ids: Ids,
    tls: TlsStore,
}

/// What one driver needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) id: ServiceId,
    pub(crate) name: Arc<str>,
    /// In priority order.
    pub(crate) backends: Vec<BackendPlan>,
    pub(crate) policy: Policy,
    pub(crate) settings: Settings,
}

impl Plan {
    /// Its backends by number and name, in priority order.
    pub(crate) fn names(&self) -> Vec<(BackendId, Arc<str>)> {
        self.backends.iter().map(|backend| (backend.id, backend.name().clone())).collect()
    }
}

/// What a driver needs to know beside the policy of its service.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) streams: StreamPolicies,
    /// When a failback may happen, if not always.
    pub(crate) failback_window: Option<FailbackWindow>,
    /// How long an ordered move is watched.
    pub(crate) verify: Duration,
    /// No two backends may have requests at once.
    pub(crate) is_exclusive: bool,
    /// What a standby must show to be called ready.
    pub(crate) readiness: Readiness,
    pub(crate) gates: PlannedGates,
    pub(crate) jobs: Vec<PlannedJob>,
}

#[derive(Clone, Debug)]
pub(crate) struct BackendPlan {
    pub(crate) id: BackendId,
    pub(crate) url: Arc<str>,
    /// The way of the traffic.
    pub(crate) destination: Destination,
    pub(crate) subject: Subject,
    /// How long the first probe waits for its turn.
    pub(crate) delay: Duration,
}

impl BackendPlan {
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.subject.backend
    }

    fn full_name(&self) -> String {
        format!("{}/{}", self.subject.service, self.subject.backend)
    }

    /// Whether `other` goes by the same name, which does not make it the same one.
    fn named(&self, other: &Self) -> bool {
        self.subject.service == other.subject.service
            && self.subject.backend == other.subject.backend
    }

    /// Whether a prober of `other` would do exactly the same.
    pub(crate) fn probes_like(&self, other: &Self) -> bool {
        let (a, b) = (&self.subject, &other.subject);
        a.destination.same_as(&b.destination) && a.protocol == b.protocol && a.health == b.health
    }
}

/// What [`check`] found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Every certificate in every file that the config names, in the order of the config.
    pub certificates: Vec<Certificate>,
    /// What an operator should know, for example that a certificate has expired.
    pub warnings: Vec<String>,
}

/// The TLS settings of the admin address, if it has any.
///
/// # Errors
/// What is wrong with its certificate.
pub fn admin_tls(config: &Config) -> Result<Option<Arc<ServerConfig>>, BuildError> {
    let Some(files) = &config.admin.tls else { return Ok(None) };
    let tls = DownstreamTls {
        certificates: vec![files.clone()],
        policy: TlsPolicy::Intermediate,
        client_auth: None,
    };
    let nothing = TlsStore::default();
    let mut builder = TlsBuilder::new(&nothing, SystemTime::now());
    let settings = builder.server(&tls, false, "admin.tls");
    builder.finish().map_err(BuildError::Tls)?;
    Ok(settings)
}

/// Builds everything that `config` asks for, except that it binds no socket.
///
/// # Errors
/// Everything that cannot be built, and why.
pub fn check(config: &Config) -> Result<Checked, BuildError> {
    let built = Blueprint::build(config.clone(), None)?;
    admin_tls(config)?;
    let certificates = built.tls.certificates().to_vec();
    let mut warnings = built.warnings;
    warnings.extend(logs::lacking(config));
    if let Some(folder) = &config.state_dir
        && let Err(why) = state::could_use(folder)
    {
        warnings.push(format!(
            "state_dir {}: {why}. Decisions would be in memory, and a restart would forget them",
            folder.display()
        ));
    }
    Ok(Checked { certificates, warnings })
}

impl Blueprint {
    /// Builds what `config` asks for, with what `running` already has. Reads files, so it may take
    /// a while.
    pub(crate) fn build(config: Config, running: Option<&Self>) -> Result<Self, BuildError> {
        let nothing = (Ids::default(), TlsStore::default());
        let (old_ids, old_tls) =
            running.map_or((&nothing.0, &nothing.1), |running| (&running.ids, &running.tls));
        let tls = TlsBuilder::new(old_tls, SystemTime::now());
        let mut shared = Shared { ids: Ids::after(old_ids), old_ids, tls };
        let plans: Vec<_> = config.services.iter().map(|service| shared.plan(service)).collect();
        let listeners = config.listeners.iter().enumerate();
        let listeners: Vec<_> =
            listeners.map(|(index, listener)| shared.listener(index, listener)).collect();
        let notifiers = shared.notifiers(&config);
        let collector = shared.collector(&config);
        let Shared { ids, tls, .. } = shared;
        let (tls, mut warnings) = tls.finish().map_err(BuildError::Tls)?;
        warnings.extend(hooks::lacking(&config));
        // There was no problem, so none is missing.
        let mut services: Vec<Plan> = plans.into_iter().flatten().collect();
        let specs = config.services.iter().zip(&services);
        let specs = specs.map(|(service, plan)| Arc::new(spec(service, plan))).collect();
        spread(&mut services);
        let routes = config.routes.iter();
        let routes = routes.map(|route| (route.host.clone(), route.path.clone(), route.service));
        let snapshot = Arc::new(Snapshot {
            table: Table::new(routes, config.default_service),
            services: specs,
            listeners: listeners.into_iter().flatten().collect(),
            log: None,
            tracer: running.and_then(|running| running.snapshot.tracer.clone()),
            trace: config.traces.as_ref().map(build::trace),
        });
        let notifiers = notifiers.unwrap_or_default();
        let ways = Arc::new(ways(&config, collector.flatten()));
        let logs = Logs::default();
        Ok(Self { config, services, notifiers, ways, snapshot, logs, ids, tls, warnings })
    }

    /// The same with the logs open, on a thread that may wait for files: a probe must not be late because
    /// of a reload.
    pub(crate) async fn build_all(
        config: Config,
        running: Option<Arc<Self>>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, BuildError> {
        let built = tokio::task::spawn_blocking(move || {
            let running = running.as_deref();
            Self::build(config, running)?.open_logs(running, &metrics)
        });
        built.await.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()))
    }

    /// Opens the logs that it asks for, or goes on with those of `running`. May wait for a disk.
    fn open_logs(mut self, running: Option<&Self>, metrics: &Metrics) -> Result<Self, BuildError> {
        let nothing = Logs::default();
        let old = running.map_or(&nothing, |running| &running.logs);
        self.logs = Logs::open(&self.config, old, metrics).map_err(BuildError::Log)?;
        Arc::make_mut(&mut self.snapshot).log = self.logs.access();
        Ok(self)
    }

    /// Binds the listeners that `running` does not have yet, or takes their sockets from `inherited`.
    /// When one fails, those bound before it are closed again.
    pub(crate) fn bind(
        &self,
        workers: usize,
        running: Option<&Self>,
        inherited: &mut Inherited,
    ) -> Result<Vec<Bound>, BuildError> {
        let open = |address: &ListenAddress| {
            running.is_some_and(|running| {
                running.config.listeners.iter().any(|listener| listener.address == *address)
            })
        };
        let addresses = self.config.listeners.iter().map(|listener| listener.address.clone());
        addresses
            .filter(|address| !open(address))
            .map(|address| {
                let bound = match inherited.take_listener(&address) {
                    Some(sockets) => {
                        let bound = Bound::adopt(address.clone(), sockets, workers);
                        bound.and_then(|mut bound| {
                            if inherited.owns_files {
                                bound.own_file()?;
                            }
                            Ok(bound)
                        })
                    }
                    None => proxy::bind(&address, workers),
                };
                bound.map_err(|why| BuildError::Bind { address, why })
            })
            .collect()
    }

    /// The snapshot with the backends that this blueprint leaves out of the services it keeps: their
    /// traffic has to move before they may go. `None` when it leaves none out.
    pub(crate) fn overlap(&self, running: &Self) -> Option<Arc<Snapshot>> {
        let mut overlap = Snapshot::clone(&self.snapshot);
        let mut any = false;
        for spec in &mut overlap.services {
            let Some(old) = running.snapshot.services.iter().find(|old| old.id == spec.id) else {
                continue;
            };
            let stays = |id| spec.backends.iter().any(|backend| backend.id == id);
            let leaving: Vec<BackendSpec> =
                old.backends.iter().filter(|backend| !stays(backend.id)).cloned().collect();
            if !leaving.is_empty() {
                any = true;
                Arc::make_mut(spec).backends.extend(leaving);
            }
        }
        any.then(|| Arc::new(overlap))
    }

    /// Has the records of sampled requests handed to `tracer`.
    pub(crate) fn traced_by(mut self, tracer: Option<Tracer>) -> Self {
        Arc::make_mut(&mut self.snapshot).tracer = tracer;
        self
    }

    /// The same, except for what the workers know.
    pub(crate) fn with_snapshot(&self, snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot, ..self.clone() }
    }

    /// Whether putting this in force would change nothing.
    pub(crate) fn same_as(&self, running: &Self) -> bool {
        let same_listener = |(new, old): (&ListenerSpec, &ListenerSpec)| match (&new.tls, &old.tls)
        {
            (Some(new), Some(old)) => Arc::ptr_eq(new, old),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let same_backend = |(new, old): (&BackendPlan, &BackendPlan)| {
            new.probes_like(old) && new.destination.same_as(&old.destination)
        };
        let same_service =
            |(new, old): (&Plan, &Plan)| hooks::same_hooks(&new.settings, &old.settings);
        let listeners = self.snapshot.listeners.iter().zip(&running.snapshot.listeners);
        self.config == running.config
            && self.backends().zip(running.backends()).all(same_backend)
            && self.services.iter().zip(&running.services).all(same_service)
            && self.notifiers.iter().zip(&running.notifiers).all(|(new, old)| new.same_as(old))
            && self.ways.same_as(&running.ways)
            && listeners.into_iter().all(same_listener)
    }

    pub(crate) fn tls(&self) -> &TlsStore {
        &self.tls
    }

    fn backends(&self) -> impl Iterator<Item = &BackendPlan> {
        self.services.iter().flat_map(|service| &service.backends)
    }

    /// What putting this in force changes, in words.
    pub(crate) fn changes_from(&self, running: &Self) -> String {
        let mut words = Vec::new();
        let known = |list: &Self, new: &BackendPlan| list.backends().any(|old| old.id == new.id);
        let named = |list: &Self, new: &BackendPlan| list.backends().any(|old| old.named(new));
        for backend in self.backends().filter(|backend| !known(running, backend)) {
            let what = if named(running, backend) { "replaced" } else { "added" };
            words.push(format!("backend {} {what}", backend.full_name()));
        }
        let removed = running.backends().filter(|backend| !named(self, backend));
        words.extend(removed.map(|backend| format!("backend {} removed", backend.full_name())));
        let listens = |blueprint: &Self, address: &ListenAddress| {
            blueprint.config.listeners.iter().any(|listener| listener.address == *address)
        };
        let opened = self.config.listeners.iter().filter(|l| !listens(running, &l.address));
        words.extend(opened.map(|listener| format!("listener {} opened", listener.address)));
        let closed = running.config.listeners.iter().filter(|l| !listens(self, &l.address));
        words.extend(closed.map(|listener| format!("listener {} closed", listener.address)));
        let files = self.tls.changed_from(&running.tls);
        words.extend(files.iter().map(|file| format!("{} loaded again", file.display())));
        if words.is_empty() {
            words.push(settings(&config::changed_keys(&running.config, &self.config)));
        }
        words.join(", ")
    }
}

/// Which settings have changed; of many the first.
fn settings(keys: &[String]) -> String {
    match keys {
        [] => "settings".to_owned(),
        [..] if keys.len() <= MOST_KEYS => format!("settings ({})", keys.join(", ")),
        [..] => {
            let (said, more) = keys.split_at(MOST_KEYS);
            format!("settings ({} and {} more)", said.join(", "), more.len())
        }
    }
}

/// How many keys a line of the log names.
const MOST_KEYS: usize = 6;

#[cfg(test)]
mod tests;
