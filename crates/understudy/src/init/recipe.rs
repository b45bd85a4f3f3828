//! The recipes, which are part of the program, and how they are filled with a person's addresses.

use super::outline::Outline;

/// A recipe.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    /// What it is for, in a few words.
    pub(crate) about: &'static str,
    text: &'static str,
}

macro_rules! recipes {
    ($($name:literal: $about:literal,)*) => {
        &[$(Recipe {
            name: $name,
            about: $about,
            text: include_str!(concat!("../../../../configs/recipes/", $name, ".yaml")),
        }),*]
    };
}

/// The plainest first: it is what a person gets who just presses return.
pub(crate) const RECIPES: &[Recipe] = recipes! {
    "generic-http": "any HTTP application with one primary",
    "websocket": "clients that stay connected: WebSockets, server-sent events",
    "grpc": "gRPC servers",
    "grafana": "two Grafana servers with one database",
    "rundeck": "two Rundeck servers, one of them passive",
    "license-manager": "a licence manager pair",
    "virtual-dataport": "query servers with ping programs and copies of metadata",
    "failover-cluster": "a cluster whose standbys promote themselves",
    "scheduler": "a pair of which only one may run jobs",
};

/// What a person gives; the rest stays as the recipe has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filling {
    /// The primary first; none: as the recipe has them.
    pub(crate) backends: Vec<Backend>,
    pub(crate) listen: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) health_path: Option<String>,
    pub(crate) state_dir: Option<String>,
}

/// A backend as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) name: Option<String>,
    pub(crate) url: String,
}

/// `NAME=URL`, or the URL alone. What the config thinks of both is its own business.
pub(crate) fn backend(text: &str) -> Result<Backend, String> {
    // A URL may have `=` behind its scheme only.
    let named = text.split_once('=').filter(|(name, _)| !name.contains(':'));
    let (name, url) = match named {
        Some((name, url)) => (Some(name.to_owned()), url),
        None => (None, text),
    };
    if url.is_empty() || name.as_deref() == Some("") {
        return Err(format!("{text:?} is no backend: write NAME=URL, or the URL alone"));
    }
    Ok(Backend { name, url: url.to_owned() })
}

const BACKENDS: &[&str] = &["services", "*", "backends"];
const ADDRESS: &[&str] = &["listeners", "-", "address"];
const HOST: &[&str] = &["routes", "-", "host"];
const SERVER_NAME: &[&str] = &["services", "*", "tls", "server_name"];
const HEALTH_PATH: &[&str] = &["services", "*", "health", "http", "path"];
const STATE_DIR: &[&str] = &["state_dir"];

impl Recipe {
    /// The first listener's address, to be offered.
    pub(crate) fn listen(&self) -> Option<String> {
        self.outline().value(ADDRESS)
    }

    /// The name that clients use, where it is written out.
    pub(crate) fn host(&self) -> Option<String> {
        self.outline().value(HOST)
    }

    /// The path of its probe, where it has one.
    pub(crate) fn health_path(&self) -> Option<String> {
        self.outline().value(HEALTH_PATH)
    }

    fn outline(&self) -> Outline {
        // Editors find the schema beside the recipe, not beside what is written.
        let lines = self.text.lines().skip_while(|line| {
            line.starts_with("# yaml-language-server:") || line.trim_end() == "#"
        });
        Outline::new(lines)
    }

    /// The recipe with all of this put into the places of its keys.
    ///
    /// # Errors
    /// When it has no place for something.
    pub(crate) fn filled(&self, filling: &Filling) -> Result<String, String> {
        let mut outline = self.outline();
        let Filling { backends, listen, host, health_path, state_dir } = filling;
        let missing = |flag: &str, what: &str| {
            format!("the recipe {} has no {what} that {flag} could set: leave it out", self.name)
        };
        if let Some(address) = listen {
            let set = outline.set(ADDRESS, address);
            set.then_some(()).ok_or_else(|| missing("--listen", "listener"))?;
        }
        if !backends.is_empty() {
            let items = backends.iter().map(|backend| {
                let name = backend.name.as_deref().map(|name| ("name", name));
                name.into_iter().chain([("url", backend.url.as_str())]).collect()
            });
            let set = outline.set_items(BACKENDS, &items.collect::<Vec<_>>());
            set.then_some(()).ok_or_else(|| missing("--backend", "backends"))?;
        }
        if let Some(name) = host {
            if outline.set(HOST, name) {
                // Where certificates are asked for by a name, it is the one that clients use.
                outline.set(SERVER_NAME, name);
            } else {
                let service = outline.first(&["services", "*"]);
                let service = service.ok_or_else(|| missing("--host", "service"))?;
                let route = [vec![("host", name.as_str()), ("service", service.as_str())]];
                outline.insert_before("services", "routes", &route);
            }
        }
        if let Some(path) = health_path {
            let set = outline.set(HEALTH_PATH, path);
            set.then_some(()).ok_or_else(|| missing("--health-path", "path of a probe"))?;
        }
        if let Some(folder) = state_dir {
            let set = outline.set(STATE_DIR, folder);
            set.then_some(()).ok_or_else(|| missing("--state-dir", "state_dir"))?;
        }
        Ok(outline.text())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn backends_have_a_name_or_none() {
        let check = |text: &str, name: Option<&str>, url: &str| {
            let expected = Backend { name: name.map(str::to_owned), url: url.to_owned() };
            assert_eq!(backend(text), Ok(expected), "{text}");
        };
        check("a=http://x", Some("a"), "http://x");
        check("http://x", None, "http://x");
        check("http://x/?a=b", None, "http://x/?a=b");
        check("unix:/run/a=b", None, "unix:/run/a=b");
        check("a=unix:/run/b", Some("a"), "unix:/run/b");
        for bad in ["", "=http://x", "a="] {
            assert!(backend(bad).is_err(), "{bad}");
        }
    }

    /// Whatever a recipe leaves to be filled arrives where it belongs.
    #[test]
    fn every_place_is_found_in_every_recipe() {
        for recipe in RECIPES {
            let filling = Filling {
                backends: ["x-1=https://10.9.9.1:9443", "http://10.9.9.2:81", "3=unix:/run/x"]
                    .map(|text| backend(text).unwrap())
                    .to_vec(),
                listen: Some(":9".to_owned()),
                host: Some("x.example.com".to_owned()),
                health_path: recipe.health_path().map(|_| "/x:%20y".to_owned()),
                state_dir: Some("my state: #1".to_owned()),
            };
            let text = recipe.filled(&filling).unwrap();
            let loaded = config::load(recipe.name, &text, Path::new("/base"));
            let config = loaded.unwrap_or_else(|problems| panic!("{problems}\n{text}")).config;
            assert_eq!(config.listeners[0].address.to_string(), "0.0.0.0:9");
            let [service] = config.services.as_slice() else { panic!("{}", recipe.name) };
            let backends: Vec<String> = service
                .backends
                .iter()
                .map(|backend| format!("{} {}", backend.name, backend.url))
                .collect();
            let expected =
                ["x-1 https://10.9.9.1:9443", "10.9.9.2:81 http://10.9.9.2:81", "3 unix:/run/x"];
            assert_eq!(backends, expected, "{}", recipe.name);
            assert_eq!(config.state_dir.as_deref(), Some(Path::new("/base/my state: #1")));
            assert!(!config.routes.is_empty());
            for route in &config.routes {
                let host = routing::table::HostPattern::Exact("x.example.com".into());
                assert_eq!(route.host, host, "{}", recipe.name);
            }
            let comments = |text: &str| text.lines().filter(|line| line.contains("# ")).count();
            assert!(comments(&text) + 8 >= comments(recipe.text), "{}: comments stay", recipe.name);
            assert!(!text.contains("192.0.2."), "what only stands for an address is gone: {text}");
        }
    }

    #[test]
    fn every_recipe_that_is_shipped_is_here() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/recipes");
        let mut shipped: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| name.trim_end_matches(".yaml").to_owned())
            .collect();
        let mut here: Vec<&str> = RECIPES.iter().map(|recipe| recipe.name).collect();
        shipped.sort_unstable();
        here.sort_unstable();
        assert_eq!(here, shipped);
    }
}
