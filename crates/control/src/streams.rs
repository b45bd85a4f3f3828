//! What becomes of the streams that a move leaves behind: which policy holds, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use config::model::{StreamPolicies, StreamPolicy};
use routing::failover::Reason;

use crate::board::Board;
use crate::events::Kind;

/// Workers look every 100 ms; goodbyes take a little longer.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// The policy for a move for this reason.
pub(crate) fn policy(policies: StreamPolicies, reason: Reason) -> StreamPolicy {
    match reason {
        Reason::Failover => policies.failover,
        Reason::Startup
        | Reason::Failback
        | Reason::Recovery
        | Reason::Switchover
        | Reason::Reload => policies.failback,
    }
}

/// Writes down, once their time is over, how many of `left` streams had to be closed. Streams that a
/// further move closes meanwhile count here, too.
pub(crate) fn watch(
    board: &Arc<Board>,
    service: &Arc<str>,
    epoch: u64,
    left: usize,
    policy: StreamPolicy,
) {
    let StreamPolicy::Close { deadline, window } = policy else { return };
    let (board, service) = (Arc::clone(board), Arc::clone(service));
    let before = board.metrics().streams_closed(&service);
    tokio::spawn(async move {
        tokio::time::sleep(deadline + window + AFTERWARDS).await;
        let closed = board.metrics().streams_closed(&service).saturating_sub(before);
        board.record(&service, Kind::StreamsSettled { epoch, left, closed });
    });
}
