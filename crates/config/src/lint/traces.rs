//! Warnings about traces.

use super::Lint;
use crate::model::{ParentTrust, Traces};
use crate::notify::travels_in_the_clear;

/// Every warning; the keys are below `traces`.
pub(crate) fn traces(traces: &Traces) -> Vec<Lint> {
    let mut lints = Vec::new();
    if let Some(otlp) = &traces.otlp
        && !otlp.headers.is_empty()
        && travels_in_the_clear(&otlp.url)
    {
        lints.push(Lint {
            keys: &["otlp.endpoint"],
            message: format!(
                "the fields of these requests travel to {} in the clear, with what is secret in them",
                otlp.url.host()
            ),
            advice: "write `https://`",
        });
    }
    if traces.parent == ParentTrust::Ignore && traces.sample == 0.0 && traces.otlp.is_some() {
        lints.push(Lint {
            keys: &["sample"],
            message: "`sample: 0` with `parent: ignore`: only requests of trusted proxies can leave spans".to_owned(),
            advice: "raise `sample`, or write `parent: trust` where clients are your own",
        });
    }
    lints
}
