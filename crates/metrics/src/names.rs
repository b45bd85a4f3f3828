//! Every metric's name, type, labels and help, declared once; the book's table is made from it.

use std::fmt::Write as _;

/// One metric, as a scrape declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name; base units, `_total` for counters.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The names of its labels, in the order they are written.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence.
    pub help: &'static str,
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations by buckets, in seconds.
    Histogram,
}

impl Kind {
    /// As the text format and the table write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Makes [`Id`] and [`ALL`] from one list, so that neither can lack what the other has.
macro_rules! declare {
    ($($id:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        /// The position of a metric in [`ALL`].
        #[derive(Clone, Copy, Debug)]
        #[expect(dead_code, reason = "the prometheus crate samples the process; a test wants all sampled")]
        pub(crate) enum Id {
            $(#[doc = $help] $id,)*
        }

        /// Every metric, in the order of a scrape.
        pub const ALL: &[Metric] = &[
            $(Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help },)*
        ];
    };
}

declare! {
    // Decisions.
    BackendActive: Gauge "understudy_backend_active" ["service", "backend"]
        "1 for the backend that has the traffic of its service, 0 for every other.";
    ServiceHasActive: Gauge "understudy_service_has_active" ["service"]
        "1 while any backend has the traffic of the service, 0 while requests are held or rejected.";
    ServiceOnPrimary: Gauge "understudy_service_on_primary" ["service"]
        "1 while the first backend of the service has its traffic, else 0.";
    ServiceLocked: Gauge "understudy_service_locked" ["service"]
        "1 while the service is locked: no automatic move, not even a failover; else 0.";
    ServiceEpoch: Gauge "understudy_service_epoch" ["service"]
        "Number of the latest change of the active; it never repeats.";
    ServiceTransitions: Counter "understudy_service_transitions_total" ["service", "reason"]
        "Changes of the active, by reason: startup, failover, failback, recovery, switchover, reload, return (an ordered move that did not work out), drill.";
    FailoverDuration: Histogram "understudy_failover_duration_seconds" ["service", "phase"]
        "How long a failover took, by phase: detect (first sign to decision), switch (decision to the last worker's acknowledgement), total (first sign to that), answer (first sign to the first good answer).";
    GateRuns: Counter "understudy_gate_runs_total" ["service", "gate", "outcome"]
        "Gates that have ended, by gate (fence, demote, sync, promote, verify) and outcome: done, unreachable, failed, unknown.";
    GateDuration: Histogram "understudy_gate_duration_seconds" ["service", "gate"]
        "How long gates took, retries included.";
    GateInDoubt: Gauge "understudy_gate_in_doubt" ["service"]
        "1 while nobody knows how a gate ended and the service waits for an operator to say, else 0.";
    BackendBarred: Gauge "understudy_backend_barred" ["service", "backend"]
        "1 while the backend may not become active because a gate of a move to it failed, else 0.";
    BackendHealth: Gauge "understudy_backend_health" ["service", "backend", "state"]
        "1 for the current health of the backend, 0 for the others: unknown, up, down.";
    BackendAdmin: Gauge "understudy_backend_admin_state" ["service", "backend", "state"]
        "1 for the current admin state of the backend, 0 for the others: ready, drain, maintenance.";
    BackendRole: Gauge "understudy_backend_role" ["service", "backend", "role"]
        "1 for the role that the backend claims, 0 for the others: active, standby, promoting, fenced. Only of a backend that has claimed any.";
    BackendUndecided: Gauge "understudy_backend_undecided" ["service", "backend"]
        "1 while the probes of the backend have told nothing for long (10 s or five intervals), so that nothing is decided because of it, else 0.";
    LastVerdict: Gauge "understudy_backend_last_verdict_timestamp_seconds" ["service", "backend"]
        "When the last probe of the backend ended that told anything, in seconds since the Unix epoch.";
    DualActive: Gauge "understudy_dual_active" ["service"]
        "1 while automatic moves are frozen because two backends or more claim the active role, else 0.";
    StandbyReady: Gauge "understudy_standby_ready" ["service", "backend"]
        "1 if a failover to this standby would work now, 0 if something speaks against it; none of the active.";
    CutOff: Gauge "understudy_cut_off" []
        "1 while no witness answers, so that it is we who are cut off, else 0.";

    // Jobs.
    JobRuns: Counter "understudy_job_runs_total" ["service", "job_name", "outcome"]
        "Runs of a job, one for each standby that it was about, by outcome: done, unreachable (nothing of it began), failed, unknown (nobody knows whether it was done), cancelled (for a move).";
    JobLastSuccess: Gauge "understudy_job_last_success_timestamp_seconds" ["service", "job_name", "backend"]
        "When the last run of the job for the backend began that succeeded, in seconds since the Unix epoch.";
    JobDuration: Gauge "understudy_job_duration_seconds" ["service", "job_name"]
        "How long the last run of the job took, over all standbys.";
    JobFailures: Gauge "understudy_job_failures_in_a_row" ["service", "job_name"]
        "How often in a row the job has failed; one that was cancelled does not count.";
    JobRunning: Gauge "understudy_job_running" ["service", "job_name"]
        "1 while the job runs, else 0.";
    JobStale: Gauge "understudy_job_stale" ["service", "job_name", "backend"]
        "1 if the last success of the job for the standby is older than its max_age, 0 if not; only of jobs that have one, none of the active.";

    // Probes.
    Probes: Counter "understudy_probes_total" ["service", "backend", "verdict"]
        "Probes that ended, by verdict: pass, fail, inconclusive.";
    ProbeDuration: Histogram "understudy_probe_duration_seconds" ["service", "backend"]
        "How long a probe took, from its start to its verdict.";
    ProbeLateness: Histogram "understudy_probe_lateness_seconds" []
        "How long after they were due probes began, over all backends.";
    ProbesInconclusive: Counter "understudy_probes_inconclusive_total" ["reason"]
        "Probes that say nothing of their backend, by reason: late (we were), exhausted (we have no descriptors, ports, memory or processes left), cut_off (no witness answers), busy (too many programs run), silent (only agents were asked, and none said anything), program (it says so).";
    ClockSkew: Gauge "understudy_backend_clock_skew_seconds" ["service", "backend"]
        "By how much the clock of the backend is ahead of ours, by the Date of its last answer; negative: behind.";
    Suspicions: Counter "understudy_suspicions_total" ["service", "backend", "symptom"]
        "Signs of trouble seen by live traffic, by symptom: refused, reset, tls, stalled, errors, drain.";

    // Requests.
    Requests: Counter "understudy_requests_total" ["service", "class"]
        "Responses sent, by class of their status: 1xx, 2xx, 3xx, 4xx, 5xx.";
    RequestDuration: Histogram "understudy_request_duration_seconds" ["service"]
        "From the request head read to the response head handed to the client.";
    RequestsInFlight: Gauge "understudy_requests_in_flight" ["service"]
        "Requests begun and not ended.";
    RequestsFailed: Counter "understudy_requests_failed_total" ["service", "blame"]
        "Requests that failed, by who is to blame: downstream (the client), upstream (the backend), internal (a limit or a bug of ours).";
    RequestsHeld: Gauge "understudy_requests_waiting" ["service"]
        "Requests waiting for an active now.";
    RequestsHeldTotal: Counter "understudy_requests_held_total" ["service"]
        "Requests that had to wait for an active.";
    HeldBytes: Gauge "understudy_requests_held_bytes" ["service"]
        "Bytes of bodies kept by waiting requests now.";
    RequestsRejected: Counter "understudy_requests_rejected_total" ["service", "why"]
        "Requests turned away for want of an active, by why: overflow (too many or too large to wait), timeout (waited for the longest time allowed).";
    RequestsReplayed: Counter "understudy_requests_replayed_total" ["service"]
        "Requests sent again after an attempt that failed.";
    DrillRequests: Counter "understudy_drill_requests_total" ["service", "class"]
        "Responses sent to requests that were tagged for a drill of a standby, by class of their status; they are not among the others.";
    RequestsCut: Counter "understudy_requests_cut_total" ["service"]
        "Requests, responses and tunnels that were taken from their backend when the time of a drain before a move was over.";
    StreamsOpen: Gauge "understudy_streams_open" ["service"]
        "Connections that switched protocols, such as WebSocket, and are open.";
    StreamsLeft: Counter "understudy_streams_left_total" ["service"]
        "WebSockets, server-sent events, gRPC streams and bodies under way that were at a backend when the traffic left it.";
    StreamsClosed: Counter "understudy_streams_closed_total" ["service"]
        "Those of them that we closed, as the stream policy says; the others ended by themselves or go on.";

    // Connections to backends.
    Attempts: Counter "understudy_upstream_attempts_total" ["service", "backend"]
        "Requests sent to the backend; a replayed request counts once per attempt.";
    Connects: Counter "understudy_upstream_connections_opened_total" ["service", "backend"]
        "Connections to the backend that were opened.";
    ConnectFailures: Counter "understudy_upstream_connections_failed_total" ["service", "backend"]
        "Connections to the backend that could not be opened.";
    Reuses: Counter "understudy_upstream_connections_reused_total" ["service", "backend"]
        "Attempts that used an idle connection.";
    BackendInFlight: Gauge "understudy_backend_requests_in_flight" ["service", "backend"]
        "Requests, responses and tunnels at the backend now.";
    IdleConnections: Gauge "understudy_upstream_connections_idle" ["service", "backend"]
        "Idle connections kept for reuse.";

    // Connections of clients.
    Connections: Gauge "understudy_listener_connections" ["listener"]
        "Client connections open.";
    Accepted: Counter "understudy_listener_connections_accepted_total" ["listener"]
        "Client connections accepted.";
    OverLimit: Counter "understudy_listener_connections_over_limit_total" ["listener"]
        "Times the limit on client connections was reached; further clients wait until one leaves.";
    OverClientLimit: Counter "understudy_listener_connections_over_client_limit_total" ["listener"]
        "Client connections refused because their client had too many.";
    HandshakeFailures: Counter "understudy_listener_handshake_failures_total" ["listener"]
        "Client connections that ended within the PROXY header or the TLS handshake, or took too long for them.";
    Http2Connections: Counter "understudy_listener_http2_connections_total" ["listener"]
        "Client connections that spoke HTTP/2.";
    Floods: Counter "understudy_listener_floods_total" ["listener"]
        "HTTP/2 connections ended because their client reset too many requests.";
    AcceptErrors: Counter "understudy_listener_accept_errors_total" ["listener"]
        "Failures to accept a connection, for example for want of file descriptors.";
    BadRequests: Counter "understudy_listener_bad_requests_total" ["listener"]
        "Requests that could not be understood (400, 414, 431).";
    HeaderTimeouts: Counter "understudy_listener_header_timeouts_total" ["listener"]
        "Request heads that did not arrive in time (408).";
    HandedOver: Counter "understudy_listener_connections_handed_over_total" ["listener"]
        "Client connections handed to a worker that had fewer.";
    Unrouted: Counter "understudy_listener_unrouted_requests_total" ["listener"]
        "Requests that no route matches (404), or refused before a service was chosen.";
    WorkerConnections: Gauge "understudy_worker_connections" ["worker"]
        "Client connections open, by the worker that serves them.";

    // Certificates.
    CertificateExpires: Gauge "understudy_certificate_expires_timestamp_seconds" ["use", "file", "name"]
        "When a certificate in a file expires, in seconds since the Unix epoch, by use: listener (shown to clients), upstream (shown to backends), ca (issues certificates that we trust).";
    BackendCertificateExpires: Gauge "understudy_backend_certificate_expires_timestamp_seconds" ["service", "backend"]
        "When the certificate that the backend showed to the last probe expires, in seconds since the Unix epoch.";
    CertificateRefusals: Counter "understudy_certificate_reload_failures_total" ["file"]
        "Times that a certificate with its key, an authority or a revocation list changed into something bad, so that what was there before stayed in use.";
    CertificateInUse: Gauge "understudy_certificate_reload_successful" ["file"]
        "1 if what the file says now is in use, 0 if that is bad and what it said before is.";

    // Notifications.
    Notifications: Counter "understudy_notifications_total" ["notifier", "outcome"]
        "Tries to tell a notifier of an event, by outcome: sent, failed (it is tried again), and events dropped without being sent.";
    NotificationsBehind: Gauge "understudy_notifications_behind" ["notifier"]
        "Events that a notifier has still to be told.";

    // Logs.
    AccessLogWritten: Counter "understudy_access_log_written_total" []
        "Lines of the access log that were written.";
    AccessLogDropped: Counter "understudy_access_log_dropped_total" []
        "Lines of the access log that were dropped, because they could not be written, or not fast enough.";
    EventLogWritten: Counter "understudy_event_log_written_total" []
        "Lines of the event log that were written.";
    EventLogDropped: Counter "understudy_event_log_dropped_total" []
        "Lines of the event log that were dropped, because they could not be written, or not fast enough.";

    // Traces.
    SpansExported: Counter "understudy_spans_exported_total" []
        "Spans that the collector took.";
    SpansDropped: Counter "understudy_spans_dropped_total" []
        "Spans that were lost: there was no room for them, or the collector did not take them.";
    SpanExportFailures: Counter "understudy_span_export_failures_total" []
        "Tries to send spans to the collector that failed.";

    // The process.
    Reloads: Counter "understudy_reloads_total" ["result"]
        "Configurations loaded, the one at start included, by result: success, failure.";
    ReloadSuccessful: Gauge "understudy_config_last_reload_successful" []
        "1 if the latest configuration is in force, 0 if it was refused or is not in force everywhere.";
    ReloadTimestamp: Gauge "understudy_config_last_reload_success_timestamp_seconds" []
        "When the configuration in force was taken, in seconds since the Unix epoch.";
    StateKept: Gauge "understudy_state_kept" []
        "1 while decisions are kept as the config asks, 0 while they are in memory only because the disk is behind or cannot be written, so that a restart would forget them.";
    BuildInfo: Gauge "understudy_build_info" ["version"]
        "Always 1; the label says which version runs.";

    // Collected by the `prometheus` crate. Names and help are its own; a test compares them.
    ProcessCpu: Counter "process_cpu_seconds_total" []
        "Total user and system CPU time spent in seconds.";
    ProcessOpenFds: Gauge "process_open_fds" []
        "Number of open file descriptors.";
    ProcessMaxFds: Gauge "process_max_fds" []
        "Maximum number of open file descriptors.";
    ProcessVirtualMemory: Gauge "process_virtual_memory_bytes" []
        "Virtual memory size in bytes.";
    ProcessResidentMemory: Gauge "process_resident_memory_bytes" []
        "Resident memory size in bytes.";
    ProcessStartTime: Gauge "process_start_time_seconds" []
        "Start time of the process since unix epoch in seconds.";
    ProcessThreads: Gauge "process_threads" []
        "Number of OS threads in the process.";
}

/// The table of all metrics in Markdown, as the book shows it.
#[must_use]
pub fn table() -> String {
    let mut table = String::from("| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n");
    for Metric { name, kind, labels, help } in ALL {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (kind.as_str(), labels.join(", "));
        writeln!(table, "| `{name}` | {kind} | {labels} | {help} |").expect("a String takes all");
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// What `promtool check metrics` and Prometheus' guide to naming ask for.
    fn complaint(metric: &Metric) -> Option<&'static str> {
        let Metric { name, kind, labels, help } = metric;
        let snake = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && !word.ends_with('_')
                && !word.contains("__")
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        let ends_with = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
        let has_word = |words: &[&str]| name.split('_').any(|word| words.contains(&word));
        let counter = *kind == Kind::Counter;

        if !snake(name) || !labels.iter().all(|label| snake(label)) {
            return Some("names are snake_case");
        }
        if !name.starts_with("understudy_") && !name.starts_with("process_") {
            return Some("names begin with understudy_ or process_");
        }
        if counter != name.ends_with("_total") {
            return Some("counters, and only counters, end in _total");
        }
        if *kind == Kind::Histogram && !name.ends_with("_seconds") {
            return Some("histograms hold durations in seconds");
        }
        if ends_with(&["_count", "_sum", "_bucket"]) {
            return Some("the suffix belongs to histograms' own series");
        }
        if has_word(&["ms", "milliseconds", "us", "ns", "minutes", "kb", "kilobytes", "mb"]) {
            return Some("units are base units");
        }
        if has_word(&["counter", "gauge", "histogram"]) {
            return Some("the type is no part of the name");
        }
        if labels.contains(&"le") || labels.contains(&"quantile") {
            return Some("the label is reserved");
        }
        if labels.contains(&"job") || labels.contains(&"instance") {
            return Some("Prometheus says with it whom it asked, and would call ours exported_");
        }
        if !help.ends_with('.') || help.len() < 10 || help.contains('|') {
            return Some("help is a sentence that fits a Markdown table");
        }
        None
    }

    /// OpenMetrics calls a counter by its name without `_total`: nothing else may be called so.
    fn clashes(metrics: &[Metric]) -> Vec<&'static str> {
        let families = metrics.iter().filter_map(|metric| metric.name.strip_suffix("_total"));
        families.filter(|family| metrics.iter().any(|metric| metric.name == *family)).collect()
    }

    #[test]
    fn names_follow_the_conventions() {
        for metric in ALL {
            assert_eq!(complaint(metric), None, "{}", metric.name);
        }
        let names: HashSet<_> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len(), "a name is declared twice");
        assert_eq!(clashes(ALL), Vec::<&str>::new());
    }

    #[test]
    fn the_conventions_are_checked() {
        let good = Metric {
            name: "understudy_x_seconds",
            kind: Kind::Gauge,
            labels: &["service"],
            help: "Something.",
        };
        assert_eq!(complaint(&good), None);
        let bad = [
            Metric { name: "understudy_X_seconds", ..good },
            Metric { name: "x_seconds", ..good },
            Metric { name: "understudy_x_total", ..good },
            Metric { kind: Kind::Counter, ..good },
            Metric { name: "understudy_x", kind: Kind::Histogram, ..good },
            Metric { name: "understudy_x_count", ..good },
            Metric { name: "understudy_x_ms", ..good },
            Metric { name: "understudy_gauge_seconds", ..good },
            Metric { labels: &["le"], ..good },
            Metric { labels: &["job"], ..good },
            Metric { labels: &["Service"], ..good },
            Metric { help: "", ..good },
        ];
        for metric in bad {
            assert!(complaint(&metric).is_some(), "{metric:?}");
        }
        let counter = Metric { kind: Kind::Counter, name: "understudy_x_seconds_total", ..good };
        assert_eq!(clashes(&[good, counter]), ["understudy_x_seconds"]);
    }

    #[test]
    fn the_table_has_one_row_per_metric() {
        let table = table();
        let rows: Vec<_> = table.lines().collect();
        assert_eq!(rows.len(), ALL.len() + 2);
        assert!(rows.iter().all(|row| row.matches('|').count() == 5), "{table}");
        assert_eq!(
            rows[2],
            "| `understudy_backend_active` | gauge | `service`, `backend` | \
             1 for the backend that has the traffic of its service, 0 for every other. |"
        );
    }
}
