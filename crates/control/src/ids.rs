//! Which services and backends are the same ones across reloads.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::model::{
    Backend, Health, Probe, ProbeKind, ProxyVersion, Scheme, Service, UpstreamProtocol, UpstreamTls,
};
use proxy::ServiceId;
use routing::failover::BackendId;

/// What makes a backend the same one: its health means something only as long as the same server is
/// asked the same question in the same way. Thresholds, intervals and deadlines are not part of it, nor
/// is what only the traffic notices.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Identity {
    backend: Backend,
    probes: Vec<Probe>,
    quorum: Option<usize>,
    /// `None` when no probe talks: it does not mind how others do.
    way: Option<Way>,
}

/// How a probe reaches a backend and talks to it.
#[derive(Clone, Debug, PartialEq)]
struct Way {
    /// `None` for plain HTTP, whatever the service's settings are.
    tls: Option<UpstreamTls>,
    protocol: UpstreamProtocol,
    proxy_protocol: Option<ProxyVersion>,
}

impl Identity {
    pub(crate) fn of(service: &Service, backend: &Backend) -> Self {
        let Health { probes, quorum, .. } = service.health.clone();
        let talks = |probe: &Probe| match &probe.kind {
            ProbeKind::Http(_) | ProbeKind::Grpc(_) => true,
            ProbeKind::Tcp(tcp) => !tcp.send.is_empty() || tcp.expect.is_some(),
            ProbeKind::Exec(_) | ProbeKind::Agent(_) => false,
        };
        let way = probes.iter().any(talks).then(|| Way::of(service, backend));
        let timeless = |probe: Probe| Probe { interval: None, timeout: None, ..probe };
        let probes = probes.into_iter().map(timeless).collect();
        Self { backend: backend.clone(), probes, quorum, way }
    }
}

impl Way {
    fn of(service: &Service, backend: &Backend) -> Self {
        let tls = service.health.tls.as_ref().unwrap_or(&service.tls);
        let (tls, protocol) = match (backend.url.scheme, service.protocol) {
            (Scheme::Https, protocol) => (Some(tls.clone()), protocol),
            // In the clear there is nothing to agree on: HTTP/1.1.
            (Scheme::Http, UpstreamProtocol::Auto) => (None, UpstreamProtocol::Http1),
            (Scheme::Http, protocol) => (None, protocol),
        };
        Self { tls, protocol, proxy_protocol: service.proxy_protocol }
    }
}

/// The numbers of one config's services and backends. No number is ever given out twice; what a
/// reload removes is forgotten, and should it come back, it is new.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    last_service: u32,
    last_backend: u32,
    services: BTreeMap<Arc<str>, ServiceId>,
    backends: Vec<(ServiceId, Identity, BackendId)>,
}

impl Ids {
    /// Nothing numbered yet; new numbers follow those of `old`.
    pub(crate) fn after(old: &Self) -> Self {
        let Self { last_service, last_backend, .. } = *old;
        Self { last_service, last_backend, ..Self::default() }
    }

    /// The number of the service of this name: that in `old`, else the next.
    pub(crate) fn service(&mut self, name: &Arc<str>, old: &Self) -> ServiceId {
        let id = old.services.get(name).copied().unwrap_or_else(|| {
            self.last_service += 1;
            ServiceId(self.last_service)
        });
        self.services.insert(name.clone(), id);
        id
    }

    /// The number of a backend: that in `old`, else the next.
    pub(crate) fn backend(
        &mut self,
        service: ServiceId,
        identity: Identity,
        old: &Self,
    ) -> BackendId {
        let known = old.backends.iter().find(|(s, i, _)| *s == service && *i == identity);
        let id = known.map_or_else(
            || {
                self.last_backend += 1;
                BackendId(self.last_backend)
            },
            |(_, _, id)| *id,
        );
        self.backends.push((service, identity, id));
        id
    }
}
