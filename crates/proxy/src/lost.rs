//! Why an attempt at a backend brought no response head, and how patient we are with each reason.

use std::time::Duration;

use connect::ConnectError;

use crate::answer::Failure;
use crate::spec::Symptom;

/// Why an attempt brought no response head.
#[derive(Debug)]
pub(crate) enum Lost {
    /// Nothing was sent and nothing is wrong: the connection had been closed while idle, or the
    /// traffic has just moved.
    Again,
    /// A connection that others may use, too, has been opened meanwhile.
    Joined,
    /// The backend has refused the request for the moment, and not acted on it.
    Refused,
    /// The backend cannot have seen the request.
    Unsent,
    /// The connection broke after the request, or part of it, was sent.
    Broken,
    /// The backend was left while it was silent.
    Abandoned,
    /// There is no use in asking (again).
    Failed(Failure),
}

/// How long a request that a backend refused for the moment waits before it is sent there again: long
/// enough for another to end, short beside any wait of a client's.
pub(crate) const REFUSED_PAUSE: Duration = Duration::from_millis(20);

/// How many connections in a row may turn out to be closed, or the traffic to have moved, before that
/// is taken for trouble.
pub(crate) const MOST_STALE: u32 = 32;

/// What a failed connection says of the backend, if anything.
pub(crate) fn symptom(error: &ConnectError) -> Option<Symptom> {
    match error {
        ConnectError::Refused(_) | ConnectError::Resolve(_) | ConnectError::Timeout(_) => {
            Some(Symptom::Refused)
        }
        ConnectError::Tls(_) => Some(Symptom::Tls),
        ConnectError::Exhausted(_) => None,
    }
}
