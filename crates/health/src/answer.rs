//! What one probe brought back.

use std::time::SystemTime;

use config::model::{Role, Wish};

use crate::report::{Cause, Doubt, Outcome};

/// What one probe brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The role that the backend reports; `None`: it says nothing on that.
    pub(crate) role: Option<Role>,
    /// What the backend asks for; `None`: it says nothing on that.
    pub(crate) wish: Option<Wish>,
    /// When the certificate that the backend showed stops being valid, whatever the outcome.
    pub(crate) certificate_expires: Option<SystemTime>,
    /// By how many milliseconds the backend's clock is ahead of ours.
    pub(crate) clock_ahead_ms: Option<i64>,
    /// What else could have brought such a failure about.
    pub(crate) excuse: Excuse,
}

/// What a failure could be due to, beside the backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excuse {
    /// Our not getting to run in time.
    pub(crate) delay: bool,
    /// A network that we are cut off from.
    pub(crate) network: bool,
}

impl From<Outcome> for Answer {
    /// An outcome, and nothing else said.
    fn from(outcome: Outcome) -> Self {
        let excuse =
            Excuse { delay: outcome.may_be_our_delay(), network: may_be_the_network(&outcome) };
        Self {
            outcome,
            role: None,
            wish: None,
            certificate_expires: None,
            clock_ahead_ms: None,
            excuse,
        }
    }
}

impl Answer {
    /// A failure, and nothing else said.
    pub(crate) fn failed(cause: Cause) -> Self {
        Outcome::Fail(cause).into()
    }

    /// The outcome, given whether we were late, and whether we were cut off.
    pub(crate) fn excused(&self, late: Late, cut_off: CutOff) -> Outcome {
        match &self.outcome {
            Outcome::Fail(_) if late == Late::Yes && self.excuse.delay => {
                Outcome::Inconclusive(Doubt::Late)
            }
            Outcome::Fail(_) if cut_off == CutOff::Yes && self.excuse.network => {
                Outcome::Inconclusive(Doubt::CutOff)
            }
            outcome @ (Outcome::Pass | Outcome::Fail(_) | Outcome::Inconclusive(_)) => {
                outcome.clone()
            }
        }
    }
}

/// Whether we were late ourselves while a probe ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    Yes,
    No,
}

/// Whether no witness answered while a probe ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutOff {
    Yes,
    No,
}

/// A host that refuses actively is not told apart here: see [`crate::probe`].
fn may_be_the_network(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Fail(Cause::Timeout | Cause::Refused(_) | Cause::Resolve(_)) => true,
        Outcome::Fail(
            Cause::Broken(_)
            | Cause::Tls(_)
            | Cause::Status(_)
            | Cause::Unexpected(_)
            | Cause::Grpc(_)
            | Cause::Program(_)
            | Cause::Agent(_),
        )
        | Outcome::Pass
        | Outcome::Inconclusive(_) => false,
    }
}
