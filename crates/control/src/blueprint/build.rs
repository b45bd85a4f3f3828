//! The parts of a blueprint: plans for drivers, specifications for workers, TLS for both.

use std::time::Duration;

use config::model::{
    Backend, BackendUrl, Hsts, Listener, ParentTrust, ProbeKind, Scheme, Service, Traces,
    UpstreamTls,
};
use connect::{Destination, KnownNames};
use health::Subject;
use http::{HeaderName, HeaderValue};
use proxy::{BackendSpec, ListenerSpec, ServiceId, ServiceSpec, TraceSpec};
use rustls::pki_types::ServerName;

use super::{BackendPlan, Plan, Settings};
use crate::ids::{Identity, Ids};
use crate::tls::{TlsBuilder, TlsError};

/// First probes of more backends than this do not all go out at once.
pub(super) const PROBED_AT_ONCE: usize = 16;

/// What the parts of one config share while they are built.
pub(super) struct Shared<'a> {
    pub(super) ids: Ids,
    pub(super) old_ids: &'a Ids,
    pub(super) tls: TlsBuilder<'a>,
}

impl Shared<'_> {
    /// `None`: there is a problem with its TLS settings.
    pub(super) fn plan(&mut self, service: &Service) -> Option<Plan> {
        let id = self.ids.service(&service.name, self.old_ids);
        let plans: Vec<_> =
            service.backends.iter().map(|backend| self.backend(id, service, backend)).collect();
        let backends = plans.into_iter().collect::<Option<Vec<_>>>()?;
        let (gates, jobs) = (self.gates(service), self.jobs(service));
        let settings = Settings {
            streams: service.streams,
            failback_window: service.failback_window.clone(),
            verify: service.verify,
            is_exclusive: service.policy.exclusive.is_some(),
            readiness: service.readiness.clone(),
            gates: gates?,
            jobs: jobs?,
        };
        let (name, policy) = (service.name.clone(), service.policy.clone());
        Some(Plan { id, name, backends, policy, settings })
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
        let (url, names) = (&backend.url, KnownNames::default());
        let to = |tls| Destination { url: url.clone(), tls, proxy_protocol, names: names.clone() };
        let subject = Subject {
            id: number.0,
            service: service.name.clone(),
            backend: backend.name.clone(),
            destination: to(probe_tls?),
            protocol: service.protocol,
            health: service.health.clone(),
            epoch_header: service.epoch_header.clone(),
        };
        let url = backend.url.to_string().into();
        let destination = to(tls?);
        Some(BackendPlan { id: number, url, destination, subject, delay: Duration::ZERO })
    }

    /// The settings for one backend, none in the clear; the outer `None`: there is a problem.
    pub(super) fn tls(
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
    pub(super) fn listener(&mut self, index: usize, listener: &Listener) -> Option<ListenerSpec> {
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
pub(super) fn hsts(hsts: Hsts) -> HeaderValue {
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
pub(super) fn spec(service: &Service, plan: &Plan) -> ServiceSpec {
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
        errors: service.health.errors.clone(),
        drain_header: drain_header(service),
        epoch_header: service.epoch_header.clone(),
        is_logged: service.access_log,
    }
}

/// The field that the first probe over HTTP looks for, if it does.
fn drain_header(service: &Service) -> Option<HeaderName> {
    service.health.probes.iter().find_map(|probe| match &probe.kind {
        ProbeKind::Http(http) => http.drain.header.clone(),
        ProbeKind::Tcp(_) | ProbeKind::Grpc(_) | ProbeKind::Exec(_) | ProbeKind::Agent(_) => None,
    })
}

/// A few backends are all probed at once; the first probes of many are spread over one interval.
pub(super) fn spread(services: &mut [Plan]) {
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

/// How requests take part in distributed traces.
pub(super) fn trace(traces: &Traces) -> TraceSpec {
    let trusts_clients = match traces.parent {
        ParentTrust::Trust => true,
        ParentTrust::Ignore => false,
    };
    TraceSpec { sample: traces.sample, trusts_clients }
}
