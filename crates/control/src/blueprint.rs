//! From a config to everything that must exist before anything running is touched.
//!
//! Building may fail and changes nothing; putting a blueprint in force is the supervisor's part.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::model::{
    Backend, BackendUrl, Config, Hsts, ListenAddress, Listener, Scheme, Service, StreamPolicies,
    UpstreamTls,
};
use connect::Destination;
use health::Subject;
use http::HeaderValue;
use proxy::{BackendSpec, Bound, ListenerSpec, ServiceId, ServiceSpec, Snapshot};
use routing::failover::{BackendId, Policy};
use routing::table::Table;
use rustls::pki_types::ServerName;

use crate::ids::{Identity, Ids};
use crate::tls::{Certificate, TlsBuilder, TlsError, TlsProblem, TlsStore};

/// First probes of more backends than this do not all go out at once.
const PROBED_AT_ONCE: usize = 16;

/// Why a config, valid as text, cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// TLS settings, all that cannot be built.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Tls(Vec<TlsProblem>),
    /// A listener cannot be bound.
    #[error("cannot listen on {address}: {why}{}", advice(.why, .address))]
    Bind {
        /// Where.
        address: ListenAddress,
        /// Why.
        why: io::Error,
    },
}

/// What an operator can do about a listener that cannot be bound.
fn advice(error: &io::Error, address: &ListenAddress) -> String {
    let Some(address) = address.tcp() else { return String::new() };
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
    pub(crate) snapshot: Arc<Snapshot>,
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
    pub(crate) streams: StreamPolicies,
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

/// Builds everything that `config` asks for, except that it binds no socket.
///
/// # Errors
/// Everything that cannot be built, and why.
pub fn check(config: &Config) -> Result<Checked, BuildError> {
    let built = Blueprint::build(config.clone(), None)?;
    let certificates = built.tls.certificates().to_vec();
    Ok(Checked { certificates, warnings: built.warnings })
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
        let Shared { ids, tls, .. } = shared;
        let (tls, warnings) = tls.finish().map_err(BuildError::Tls)?;
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
        });
        Ok(Self { config, services, snapshot, ids, tls, warnings })
    }

    /// Binds the listeners that `running` does not have yet. When one fails, those bound before it
    /// are closed again.
    pub(crate) fn bind(
        &self,
        workers: usize,
        running: Option<&Self>,
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
                proxy::bind(&address, workers).map_err(|why| BuildError::Bind { address, why })
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
        let listeners = self.snapshot.listeners.iter().zip(&running.snapshot.listeners);
        self.config == running.config
            && self.backends().zip(running.backends()).all(same_backend)
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
            words.push("settings".to_owned());
        }
        words.join(", ")
    }
}

/// What the parts of one config share while they are built.
struct Shared<'a> {
    ids: Ids,
    old_ids: &'a Ids,
    tls: TlsBuilder<'a>,
}

impl Shared<'_> {
    /// `None`: there is a problem with its TLS settings.
    fn plan(&mut self, service: &Service) -> Option<Plan> {
        let id = self.ids.service(&service.name, self.old_ids);
        let plans: Vec<_> =
            service.backends.iter().map(|backend| self.backend(id, service, backend)).collect();
        let backends = plans.into_iter().collect::<Option<Vec<_>>>()?;
        let (name, policy, streams) =
            (service.name.clone(), service.policy.clone(), service.streams);
        Some(Plan { id, name, backends, policy, streams })
    }

    fn backend(
        &mut self,
        id: ServiceId,
        service: &Service,
        backend: &Backend,
    ) -> Option<BackendPlan> {
        let number = self.ids.backend(id, Identity::of(service, backend), self.old_ids);
        let place = format!("services.{}", service.name);
        let tls = self.tls(&service.tls, &backend.url, &format!("{place}.tls"));
        let probe_tls = match &service.health.tls {
            Some(own) => self.tls(own, &backend.url, &format!("{place}.health.tls")),
            None => tls.clone(),
        };
        let proxy_protocol = service.proxy_protocol;
        let to = |tls| Destination { url: backend.url.clone(), tls, proxy_protocol };
        let subject = Subject {
            id: number.0,
            service: service.name.clone(),
            backend: backend.name.clone(),
            destination: to(probe_tls?),
            protocol: service.protocol,
            health: service.health.clone(),
        };
        let url = backend.url.to_string().into();
        let destination = to(tls?);
        Some(BackendPlan { id: number, url, destination, subject, delay: Duration::ZERO })
    }

    /// The settings for one backend, none in the clear; the outer `None`: there is a problem.
    fn tls(
        &mut self,
        tls: &UpstreamTls,
        url: &BackendUrl,
        place: &str,
    ) -> Option<Option<connect::Tls>> {
        match url.scheme {
            Scheme::Http => return Some(None),
            Scheme::Https => {}
        }
        let config = self.tls.client(tls, place);
        let name = tls.server_name.as_deref().unwrap_or(url.host());
        let Ok(server_name) = ServerName::try_from(name.to_owned()) else {
            self.tls.problem(place.to_owned(), TlsError::Name(name.into()));
            return None;
        };
        Some(Some(connect::Tls { config: config?, server_name }))
    }

    /// What the workers need to know of a listener. `None`: there is a problem with its TLS settings.
    fn listener(&mut self, index: usize, listener: &Listener) -> Option<ListenerSpec> {
        let place = format!("listeners[{index}].tls");
        let tls = match &listener.tls {
            Some(tls) => Some(self.tls.server(tls, listener.http2, &place)?),
            None => None,
        };
        Some(ListenerSpec {
            address: listener.address.clone(),
            tls,
            h2c: listener.h2c,
            redirect_https: listener.redirect_https,
            hsts: listener.hsts.map(hsts),
            trusted_proxies: listener.trusted_proxies.clone().into(),
            proxy_protocol: listener.proxy_protocol.clone().into(),
            limits: listener.limits.clone(),
        })
    }
}

/// `Strict-Transport-Security` (RFC 6797 6.1).
fn hsts(hsts: Hsts) -> HeaderValue {
    let mut text = format!("max-age={}", hsts.max_age.as_secs());
    if hsts.subdomains {
        text.push_str("; includeSubDomains");
    }
    if hsts.preload {
        text.push_str("; preload");
    }
    HeaderValue::try_from(text).expect("digits and letters")
}

/// What the workers need to know of a service.
fn spec(service: &Service, plan: &Plan) -> ServiceSpec {
    let backends = plan.backends.iter().map(|backend| BackendSpec {
        id: backend.id,
        name: backend.name().clone(),
        destination: backend.destination.clone(),
    });
    ServiceSpec {
        id: plan.id,
        name: plan.name.clone(),
        backends: backends.collect(),
        hold: service.hold.clone(),
        replay: service.replay.clone(),
        timeouts: service.timeouts.clone(),
        connections: service.connections.clone(),
        protocol: service.protocol,
        stall_after: service.health.stall_after,
    }
}

/// A few backends are all probed at once; the first probes of many are spread over one interval.
fn spread(services: &mut [Plan]) {
    let count = services.iter().map(|service| service.backends.len()).sum::<usize>();
    if count <= PROBED_AT_ONCE {
        return;
    }
    let backends = services.iter_mut().flat_map(|service| &mut service.backends);
    for (place, backend) in backends.enumerate() {
        let interval = backend.subject.health.interval.min(Duration::from_secs(1));
        backend.delay = interval.mul_f64(place as f64 / count as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let loaded = config::load("test.yaml", text, std::path::Path::new(""));
        loaded.unwrap_or_else(|problems| panic!("{problems}")).config
    }

    const TWO: &str = r#"
listeners: [{ address: "127.0.0.1:0" }]
services:
  web:
    backends:
      - { name: a, url: "http://127.0.0.1:9001" }
      - { name: b, url: "http://127.0.0.1:9002" }
    health: { http: { path: /ok }, interval: 1s }
"#;

    /// The ids of the first service's backends when `text` follows on [`TWO`].
    fn ids_after(text: &str) -> [Vec<u32>; 2] {
        let before = Blueprint::build(config(TWO), None).unwrap();
        let after = Blueprint::build(config(text), Some(&before)).unwrap();
        [before, after].map(|blueprint| blueprint.backends().map(|b| b.id.0).collect())
    }

    #[test]
    fn what_is_asked_of_whom_makes_a_backend_the_same_one() {
        assert_eq!(ids_after(TWO), [[1, 2], [1, 2]]);
        for (same, text) in [
            (vec![1, 2], TWO.replace("interval: 1s", "interval: 2s, fall: 5")),
            (vec![1, 2], TWO.replace("health:", "failback: manual\n    health:")),
            (vec![3, 2], TWO.replace("9001", "9003")),
            (vec![3, 2], TWO.replace("name: a", "name: c")),
            (vec![3, 4], TWO.replace("/ok", "/healthz")),
            // How a probe gets there and talks; in the clear `auto` is HTTP/1.1 already.
            (vec![1, 2], TWO.replace("health:", "protocol: http1\n    health:")),
            (vec![3, 4], TWO.replace("health:", "protocol: http2\n    health:")),
            (vec![3, 4], TWO.replace("health:", "proxy_protocol: v2\n    health:")),
            (vec![1, 2], TWO.replace("health:", "tls: { insecure: true }\n    health:")),
            (vec![3, 4], TWO.replace("web:", "shop:")),
        ] {
            assert_eq!(ids_after(&text)[1], same, "{text}");
        }
    }

    #[test]
    fn what_only_the_traffic_notices_does_not_make_another_backend() {
        let of = |text: &str, after: &str| {
            let before = Blueprint::build(config(text), None).unwrap();
            let after = Blueprint::build(config(after), Some(&before)).unwrap();
            let ids: Vec<u32> = after.backends().map(|backend| backend.id.0).collect();
            let probes_alike =
                after.backends().zip(before.backends()).all(|(a, b)| a.probes_like(b));
            (ids, probes_alike, after.same_as(&before))
        };
        let https = TWO
            .replace("http://", "https://")
            .replace("health: {", "tls: { insecure: true }\n    health: {");
        let other =
            |text: &str| text.replace("insecure: true", "insecure: true, server_name: x.test");
        assert_eq!(of(&https, &other(&https)), (vec![3, 4], false, false));
        // Probes have settings of their own.
        let own = https.replace("http: {", "tls: { server_name: probe.test }, http: {");
        assert_eq!(of(&own, &other(&own)), (vec![1, 2], true, false));
        let other_own = own.replace("probe.test", "other.test");
        assert_eq!(of(&own, &other_own), (vec![3, 4], false, false));

        let tcp = https.replace("http: { path: /ok }", "tcp: {}");
        let http2 =
            other(&tcp).replace("health:", "protocol: http2\n    proxy_protocol: v1\n    health:");
        assert_eq!(of(&tcp, &http2).0, [1, 2], "a probe that only connects says nothing");
    }

    #[test]
    fn probes_may_have_tls_settings_of_their_own() {
        let text = TWO
            .replace("http://", "https://")
            .replace("health: {", "tls: { insecure: true, server_name: web.test }\n    health: { tls: { server_name: probe.test },");
        let blueprint = Blueprint::build(config(&text), None).unwrap();
        let backend = &blueprint.services[0].backends[0];
        let name = |destination: &Destination| {
            destination.tls.as_ref().map(|tls| tls.server_name.to_str().into_owned())
        };
        assert_eq!(name(&backend.destination).as_deref(), Some("web.test"));
        assert_eq!(name(&backend.subject.destination).as_deref(), Some("probe.test"));
        let in_the_clear = Blueprint::build(config(TWO), None).unwrap();
        assert!(in_the_clear.services[0].backends[0].subject.destination.tls.is_none());
    }

    #[test]
    fn browsers_are_told_what_the_config_says() {
        let hsts = |subdomains, preload| {
            let max_age = Duration::from_secs(8760 * 3600);
            hsts(Hsts { max_age, subdomains, preload }).to_str().unwrap().to_owned()
        };
        assert_eq!(hsts(false, false), "max-age=31536000");
        assert_eq!(hsts(true, true), "max-age=31536000; includeSubDomains; preload");
    }

    #[test]
    fn a_number_is_never_given_out_twice() {
        let without_b: String = TWO
            .lines()
            .filter(|l| !l.contains("name: b"))
            .fold(String::new(), |text, line| text + line + "\n");
        let first = Blueprint::build(config(TWO), None).unwrap();
        let second = Blueprint::build(config(&without_b), Some(&first)).unwrap();
        let third = Blueprint::build(config(TWO), Some(&second)).unwrap();
        let ids = |blueprint: &Blueprint| blueprint.backends().map(|b| b.id.0).collect::<Vec<_>>();
        assert_eq!([ids(&first), ids(&second), ids(&third)], [vec![1, 2], vec![1], vec![1, 3]]);
        assert_eq!(first.services[0].id, third.services[0].id);
    }

    #[test]
    fn a_leaving_backend_stays_known_until_its_traffic_has_moved() {
        let before = Blueprint::build(config(TWO), None).unwrap();
        let after = Blueprint::build(config(&TWO.replace("9001", "9003")), Some(&before)).unwrap();
        let overlap = after.overlap(&before).unwrap();
        let ids: Vec<u32> = overlap.services[0].backends.iter().map(|b| b.id.0).collect();
        assert_eq!(ids, [3, 2, 1]);
        let slower = Blueprint::build(config(&TWO.replace("1s", "2s")), Some(&before)).unwrap();
        assert!(slower.overlap(&before).is_none());
    }

    #[test]
    fn changes_are_said_in_words() {
        let before = Blueprint::build(config(TWO), None).unwrap();
        let changes = |text: &str| {
            let after = Blueprint::build(config(text), Some(&before)).unwrap();
            (after.same_as(&before), after.changes_from(&before))
        };
        assert!(changes(TWO).0);
        assert!(changes(&format!("{TWO}# a comment\n")).0);
        let said = |text: &str| {
            let (same, words) = changes(text);
            assert!(!same, "{text}");
            words
        };
        assert_eq!(said(&TWO.replace("1s", "2s")), "settings");
        assert_eq!(said(&TWO.replace("9001", "9003")), "backend web/a replaced");
        assert_eq!(
            said(&TWO.replace("name: a", "name: c")),
            "backend web/c added, backend web/a removed"
        );
        assert_eq!(
            said(&TWO.replace("127.0.0.1:0", "127.0.0.1:8088")),
            "listener 127.0.0.1:8088 opened, listener 127.0.0.1:0 closed"
        );
    }

    #[test]
    fn a_few_are_probed_at_once_and_many_are_spread_over_an_interval() {
        let with = |count: usize| {
            let backend = |n| format!("      - {{ name: b{n}, url: \"http://127.0.0.1:{n}\" }}\n");
            let backends: String = (1000..1000 + count).map(backend).collect();
            let text = format!(
                "listeners: [{{ address: \"127.0.0.1:0\" }}]\nservices:\n  web:\n    backends:\n{backends}"
            );
            let blueprint = Blueprint::build(config(&text), None).unwrap();
            blueprint.backends().map(|b| b.delay).collect::<Vec<_>>()
        };
        assert!(with(PROBED_AT_ONCE).iter().all(Duration::is_zero));
        let many = with(PROBED_AT_ONCE + 4);
        assert!(many.is_sorted_by(|a, b| a < b), "{many:?}");
        assert!(*many.last().unwrap() < Duration::from_secs(1));
    }

    #[test]
    fn what_cannot_be_bound_leaves_nothing_bound() {
        let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = holder.local_addr().unwrap();
        // Found free, and let go again.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listeners = format!(r#"{{ address: "{free}" }}, {{ address: "{taken}" }}"#);
        let text = TWO.replace(r#"{ address: "127.0.0.1:0" }"#, &listeners);
        let error = Blueprint::build(config(&text), None).unwrap().bind(1, None).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with(&format!("cannot listen on {taken}: ")), "{said}");
        assert!(said.contains("ss -ltnp"), "{said}");
        assert!(std::net::TcpListener::bind(free).is_ok());
    }
}
