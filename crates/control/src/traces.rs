//! What control has for whoever exports traces: the records of requests, and where everybody is.
//!
//! Knows nothing of spans.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use access::{Record, Tracer};
use config::model::{BackendUrl, Config};
use connect::Destination;
use metrics::Metrics;
use tokio::sync::{mpsc, watch};

use crate::handle::Control;

/// Records that wait to become spans; about 2 MB.
const RECORDS: usize = 4096;

/// Where the collector of spans and the backends are, by the config in force.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    /// The way to the collector; `None`: there is none.
    pub collector: Option<Destination>,
    backends: BTreeMap<Arc<str>, BTreeMap<Arc<str>, BackendUrl>>,
}

impl Ways {
    /// Where a backend of a service is.
    #[must_use]
    pub fn backend(&self, service: &str, backend: &str) -> Option<&BackendUrl> {
        self.backends.get(service)?.get(backend)
    }

    /// Whether `other` leads to the same collector in the same way.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        match (&self.collector, &other.collector) {
            (Some(new), Some(old)) => new.same_as(old),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

/// Where everybody is by `config`, with the way to its collector.
pub(crate) fn ways(config: &Config, collector: Option<Destination>) -> Ways {
    let backends = config.services.iter().map(|service| {
        let urls = service.backends.iter();
        let urls = urls.map(|backend| (backend.name.clone(), backend.url.clone()));
        (service.name.clone(), urls.collect())
    });
    Ways { collector, backends: backends.collect() }
}

/// The part of the board that is about traces.
#[derive(Debug, Default)]
pub(crate) struct TraceBoard {
    ways: watch::Sender<Arc<Ways>>,
    /// Until somebody takes them.
    records: Mutex<Option<mpsc::Receiver<Box<Record>>>>,
}

impl TraceBoard {
    /// To be handed to the workers when `config` has traces exported.
    pub(crate) fn tracer(&self, config: &Config, metrics: &Metrics) -> Option<Tracer> {
        config.traces.as_ref()?.otlp.as_ref()?;
        let (sender, records) = mpsc::channel(RECORDS);
        *self.records.lock().unwrap_or_else(PoisonError::into_inner) = Some(records);
        Some(Tracer::new(sender, metrics.spans()))
    }

    pub(crate) fn show(&self, ways: Arc<Ways>) {
        self.ways.send_replace(ways);
    }
}

impl Control {
    /// The records of sampled requests, once; `None` when nobody is to export them.
    #[must_use]
    pub fn records(&self) -> Option<mpsc::Receiver<Box<Record>>> {
        self.board.traces.records.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Where everybody is, as it changes with the config.
    #[must_use]
    pub fn ways(&self) -> watch::Receiver<Arc<Ways>> {
        self.board.traces.ways.subscribe()
    }
}
