//! The exporter of traces, in builds that have one (the cargo feature `otel`).

use config::model::Traces;
use control::Control;

/// What a build without the exporter says of a config that asks for it.
pub(crate) const MISSING: &str = "traces.otlp: this build exports no traces, it was made without the \
    feature `otel`; requests still carry their trace to backends";

/// Whether this build lacks what `traces` asks for.
pub(crate) fn is_missing(traces: Option<&Traces>) -> bool {
    cfg!(not(feature = "otel")) && traces.is_some_and(|traces| traces.otlp.is_some())
}

/// The running exporter, if there is one.
#[derive(Debug)]
pub(super) struct Exporting(#[cfg(feature = "otel")] Option<traces::Exporter>);

impl Exporting {
    /// Starts to export as `traces` says.
    ///
    /// # Errors
    /// When its thread cannot be started.
    #[cfg(feature = "otel")]
    pub(super) fn start(control: &Control, traces: Option<&Traces>) -> std::io::Result<Self> {
        let started = traces.map(|settings| traces::start(control, settings)).transpose()?;
        Ok(Self(started.flatten()))
    }

    /// Says that this build cannot, where that is asked for.
    ///
    /// # Errors
    /// Never: requests are served all the same.
    #[cfg(not(feature = "otel"))]
    pub(super) fn start(control: &Control, traces: Option<&Traces>) -> std::io::Result<Self> {
        if is_missing(traces) {
            tracing::warn!("{MISSING}");
        }
        // Nobody reads them: what is handed over is dropped and counted.
        drop(control.records());
        Ok(Self())
    }

    /// Sends what is still to be sent, for two seconds at most.
    pub(super) async fn stop(self) {
        #[cfg(feature = "otel")]
        if let Some(exporter) = self.0 {
            exporter.stop().await;
        }
    }
}
