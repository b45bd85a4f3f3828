//! One backend as a worker sees it: its idle connections and what is suspected of it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::model::UpstreamConnections;
use metrics::cells::BackendCells;
use routing::failover::BackendId;

use crate::connect::Names;
use crate::exchange::Connection;
use crate::spec::{BackendSpec, Symptom};

/// One backend of a service, with this worker's connections to it.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) id: BackendId,
    spec: RefCell<Rc<BackendSpec>>,
    pub(crate) cells: Arc<BackendCells>,
    /// It was left because it does not answer: what waits for it should not.
    pub(crate) abandoned: Cell<bool>,
    /// A suspicion is on its way and has not been settled.
    pub(crate) suspected: Cell<bool>,
    /// What live traffic last met, and when control was last told.
    pub(crate) symptom: Cell<Option<Symptom>>,
    pub(crate) told_at: Cell<Option<Instant>>,
    /// When a stall was last reported.
    pub(crate) stall_suspected_at: Cell<Option<Instant>>,
    pub(crate) names: Names,
    idle: RefCell<VecDeque<Idle>>,
}

/// A connection that waits for its next request.
#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

impl Backend {
    pub(crate) fn new(spec: BackendSpec, cells: Arc<BackendCells>) -> Rc<Self> {
        Rc::new(Self {
            id: spec.id,
            spec: RefCell::new(Rc::new(spec)),
            cells,
            abandoned: Cell::new(false),
            suspected: Cell::new(false),
            symptom: Cell::new(None),
            told_at: Cell::new(None),
            stall_suspected_at: Cell::new(None),
            names: Names::default(),
            idle: RefCell::new(VecDeque::new()),
        })
    }

    pub(crate) fn spec(&self) -> Rc<BackendSpec> {
        Rc::clone(&self.spec.borrow())
    }

    /// Takes over a new specification of the same backend. Idle connections made by other TLS
    /// settings are not trusted any more.
    pub(crate) fn configure(&self, spec: &BackendSpec) {
        let old = self.spec.replace(Rc::new(spec.clone()));
        let is_same = match (&old.tls, &spec.tls) {
            (Some(old), Some(new)) => Arc::ptr_eq(&old.config, &new.config),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !is_same {
            self.purge();
        }
    }

    /// The idle connection used last: it is the least likely to have been closed by the backend.
    /// Whether it was shows when it is used; nothing is sent on a closed one.
    pub(crate) fn take_idle(&self) -> Option<Box<Connection>> {
        let idle = self.idle.borrow_mut().pop_back()?;
        self.cells.idle.dec();
        Some(idle.connection)
    }

    /// Keeps a connection whose exchange is complete.
    pub(crate) fn keep(
        &self,
        connection: Box<Connection>,
        now: Instant,
        limits: &UpstreamConnections,
    ) {
        // A backend that has been left keeps nothing: its connections may be half dead.
        if self.abandoned.get() || limits.idle == 0 {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= limits.idle {
            idle.pop_front();
            self.cells.idle.dec();
        }
        idle.push_back(Idle { connection, since: now });
        self.cells.idle.inc();
    }

    /// Drops every idle connection.
    pub(crate) fn purge(&self) {
        for _ in self.idle.borrow_mut().drain(..) {
            self.cells.idle.dec();
        }
    }

    /// Drops idle connections that are too old.
    pub(crate) fn sweep(&self, now: Instant, idle_timeout: Duration) {
        let mut idle = self.idle.borrow_mut();
        while idle
            .front()
            .is_some_and(|oldest| now.saturating_duration_since(oldest.since) > idle_timeout)
        {
            idle.pop_front();
            self.cells.idle.dec();
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.purge();
    }
}
