//! What a process serves: a new one must serve all of it before it may take over.

use std::collections::BTreeMap;
use std::path::PathBuf;

use config::model::Config;
use serde::{Deserialize, Serialize};

/// Listeners, services and backends of a config, and where its decisions are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    listeners: Vec<String>,
    /// The URLs of backends by their names, by service.
    services: BTreeMap<String, BTreeMap<String, String>>,
    state_dir: Option<PathBuf>,
}

impl Scope {
    /// What a process with this config serves.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let backends = |service: &config::model::Service| {
            let backends = service.backends.iter();
            backends.map(|backend| (backend.name.to_string(), backend.url.to_string())).collect()
        };
        let services = config.services.iter();
        Self {
            listeners: config.listeners.iter().map(|l| l.address.to_string()).collect(),
            services: services.map(|s| (s.name.to_string(), backends(s))).collect(),
            state_dir: config.state_dir.clone(),
        }
    }

    /// What `new` would not go on with, in words. The two processes move together while the old one
    /// finishes its requests, so a name must mean the same backend to both.
    pub(crate) fn lost_with(&self, new: &Self) -> Vec<String> {
        let listeners = self.listeners.iter().filter(|address| !new.listeners.contains(address));
        let mut lost: Vec<String> =
            listeners.map(|address| format!("listener {address}")).collect();
        for (service, backends) in &self.services {
            let Some(theirs) = new.services.get(service) else {
                lost.push(format!("service {service}"));
                continue;
            };
            for (name, url) in backends.iter().filter(|(name, url)| theirs.get(*name) != Some(url))
            {
                lost.push(format!("backend {service}/{name} at {url}"));
            }
        }
        if let Some(folder) = self.state_dir.as_ref().filter(|_| self.state_dir != new.state_dir) {
            lost.push(format!("state_dir {}", folder.display()));
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        Scope::of(&config::load("test.yaml", text, "/".as_ref()).unwrap().config)
    }

    const OLD: &str = "listeners: [\"127.0.0.1:80\"]\nstate_dir: /var/lib/u\nservices:\n  web:\n    \
         backends: [{ name: a, url: \"http://a\" }, { name: b, url: \"http://b\" }]\n";

    #[test]
    fn who_serves_the_same_and_more_may_take_over() {
        let old = scope(OLD);
        assert_eq!(old.lost_with(&old), Vec::<String>::new());
        let more = OLD.replace("[\"127.0.0.1:80\"]", "[\"127.0.0.1:80\", \"127.0.0.1:81\"]");
        assert_eq!(old.lost_with(&scope(&more)), Vec::<String>::new());
        assert_eq!(scope(&more).lost_with(&old), ["listener 127.0.0.1:81"]);
    }

    #[test]
    fn whatever_would_vanish_or_mean_another_is_named() {
        let old = scope(OLD);
        let lost = |from: &str, to: &str| old.lost_with(&scope(&OLD.replace(from, to)));
        assert_eq!(lost("  web:", "  shop:"), ["service web"]);
        assert_eq!(lost("http://b\"", "http://c\""), ["backend web/b at http://b:80"]);
        assert_eq!(lost("name: b", "name: c"), ["backend web/b at http://b:80"]);
        assert_eq!(lost("state_dir: /var/lib/u\n", ""), ["state_dir /var/lib/u"]);
    }
}
