//! What a hook is told: by placeholders, variables and fields.

use config::model::BackendAddress;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::about::{About, Party};

/// What a hook is told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// What each placeholder stands for.
    pub placeholders: Vec<(&'static str, String)>,
    /// Variables of programs.
    pub variables: Vec<(&'static str, String)>,
    /// Fields of requests.
    pub fields: HeaderMap,
}

impl Told {
    /// All that it is about.
    #[must_use]
    pub fn of(about: &About) -> Self {
        let facts = facts(about);
        let placeholders =
            facts.iter().filter_map(|fact| Some((fact.placeholder?, fact.value.clone())));
        Self {
            placeholders: placeholders.collect(),
            fields: fields(about),
            variables: facts.into_iter().map(|fact| (fact.variable, fact.value)).collect(),
        }
    }
}

struct Fact {
    variable: &'static str,
    placeholder: Option<&'static str>,
    value: String,
}

fn facts(about: &About) -> Vec<Fact> {
    let fact =
        |variable, placeholder, value| Fact { variable, placeholder: Some(placeholder), value };
    let name = |party: &Option<Party>| {
        party.as_ref().map(|party| party.name.to_string()).unwrap_or_default()
    };
    let url = |party: &Option<Party>| {
        party.as_ref().map(|party| party.destination.url.to_string()).unwrap_or_default()
    };
    let its_url = about.backend.as_ref().map(|backend| &backend.destination.url);
    let port = match its_url.map(|url| &url.address) {
        Some(BackendAddress::Tcp { port, .. }) => port.to_string(),
        Some(BackendAddress::Unix(_)) | None => String::new(),
    };
    let host = its_url.map(|url| url.host().to_owned()).unwrap_or_default();
    let mut facts = vec![
        fact("UNDERSTUDY_SERVICE", "service", about.service.to_string()),
        fact("UNDERSTUDY_FROM", "from", name(&about.from)),
        fact("UNDERSTUDY_TO", "to", name(&about.to)),
        fact("UNDERSTUDY_REASON", "reason", about.reason.to_owned()),
        fact("UNDERSTUDY_EPOCH", "epoch", about.epoch.to_string()),
        fact("UNDERSTUDY_BACKEND", "backend", name(&about.backend)),
        fact("UNDERSTUDY_FROM_URL", "from_url", url(&about.from)),
        fact("UNDERSTUDY_TO_URL", "to_url", url(&about.to)),
        fact("UNDERSTUDY_URL", "url", url(&about.backend)),
        fact("UNDERSTUDY_HOST", "host", host),
        fact("UNDERSTUDY_PORT", "port", port),
        Fact { variable: "UNDERSTUDY_ID", placeholder: None, value: about.id.to_string() },
    ];
    match about.kind {
        "gate" => facts.push(fact("UNDERSTUDY_GATE", "gate", about.hook.to_string())),
        "job" => facts.push(fact("UNDERSTUDY_JOB", "job", about.hook.to_string())),
        _ => {}
    }
    facts
}

fn fields(about: &About) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("x-understudy-epoch", HeaderValue::from(about.epoch));
    let name = match about.kind {
        "gate" => Some("x-understudy-gate"),
        "job" => Some("x-understudy-job"),
        _ => None,
    };
    let hook = name.map(|name| (HeaderName::from_static(name), &about.hook));
    let id = (HeaderName::from_static("idempotency-key"), &about.id);
    for (name, value) in hook.into_iter().chain([id]) {
        // Names and ids have no other characters.
        if let Ok(value) = HeaderValue::from_str(value) {
            fields.insert(name, value);
        }
    }
    fields
}
