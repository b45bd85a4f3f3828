//! What of a new config waits for a restart.

use config::model::{Config, Otlp};

/// What takes effect at a start only stays as it is; says so of each such key.
pub(super) fn keep_until_restart(mut new: Config, running: &Config) -> (Config, Vec<String>) {
    let mut waiting = Vec::new();
    let mut keep = |key: &str| {
        waiting.push(format!("`{key}` has changed: it takes effect after a restart only"));
    };
    if new.workers != running.workers {
        keep("workers");
        new.workers = running.workers;
    }
    if new.state_dir != running.state_dir {
        keep("state_dir");
        new.state_dir.clone_from(&running.state_dir);
    }
    if new.admin != running.admin {
        keep("admin");
        new.admin.clone_from(&running.admin);
    }
    if exported(&new) != exported(running) {
        keep("traces.otlp");
        new.traces.clone_from(&running.traces);
    }
    (new, waiting)
}

/// What of traces is taken over by a thread at the start: where they go, and under which name.
fn exported(config: &Config) -> Option<(&Otlp, &str)> {
    let traces = config.traces.as_ref()?;
    Some((traces.otlp.as_ref()?, &*traces.service_name))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(traces: &str) -> Config {
        let text = format!(
            "listeners: [ ':1' ]\nservices: {{ web: {{ backends: [ http://10.0.0.1 ] }} }}\n{traces}"
        );
        config::load("test", &text, Path::new("")).expect("a config").config
    }

    #[test]
    fn where_spans_go_waits_for_a_restart_and_how_many_does_not() {
        const OTLP: &str = "otlp: { endpoint: 'http://c:4318' }";
        let running = config(&format!("traces: {{ {OTLP} }}"));
        let reloaded = |traces: &str| {
            let (config, waiting) = keep_until_restart(config(traces), &running);
            (config.traces.expect("traces").sample, waiting.len())
        };
        assert_eq!(reloaded(&format!("traces: {{ {OTLP}, sample: 1, parent: trust }}")), (1.0, 0));
        assert_eq!(
            reloaded(&format!("traces: {{ {OTLP}, sample: 1, service_name: x }}")),
            (0.01, 1)
        );
        assert_eq!(
            reloaded("traces: { otlp: { endpoint: 'http://d:4318' }, sample: 1 }"),
            (0.01, 1)
        );
        assert_eq!(reloaded("traces: off"), (0.01, 1));
        // Without anywhere to send to there is nothing to wait for.
        let (kept, waiting) = keep_until_restart(config("traces: {}"), &config("traces: off"));
        assert_eq!((kept.traces.is_some(), waiting.len()), (true, 0));
    }
}
