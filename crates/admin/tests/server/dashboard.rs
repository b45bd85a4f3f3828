//! The page for browsers, and what it asks beside the status.

use admin::wire::{ConfigShown, Probes, Whoami};

use crate::lab::{Call, Lab, PATIENCE, READER, WRITER, Way, guarded, open};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[tokio::test]
async fn browsers_get_the_page_and_everybody_else_the_index() {
    let lab = open().await;
    let page = lab.send(Way::Tcp, &Call::new("GET", "/").with("Accept", BROWSER)).await;
    assert_eq!(
        (page.status.as_u16(), page.field("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(page.text.starts_with("<!doctype html>"), "{}", page.text);
    assert_eq!(page.field("vary"), "accept");
    for call in [Call::new("GET", "/"), Call::new("GET", "/").with("Accept", "*/*")] {
        let index = lab.send(Way::Tcp, &call).await;
        assert_eq!(index.field("content-type"), "text/plain; charset=utf-8");
        assert!(index.text.contains("/metrics") && index.text.contains("the dashboard"));
        assert_eq!(index.field("vary"), "accept");
    }
}

#[tokio::test]
async fn the_page_may_ask_us_and_nobody_else_and_run_nothing_but_its_files() {
    let lab = open().await;
    let page = lab.send(Way::Tcp, &Call::new("GET", "/").with("Accept", BROWSER)).await;
    let policy = page.field("content-security-policy");
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.split("; ").any(|each| each == rule), "{rule}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.field("cache-control"), "no-store");
    assert_eq!(page.field("x-content-type-options"), "nosniff");
    // Everything else may do nothing at all in a browser.
    let status = lab.get("/status").await;
    let policy = status.field("content-security-policy");
    assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'");
}

#[tokio::test]
async fn the_files_of_the_page_need_no_token_and_what_it_shows_does() {
    let lab = guarded().await;
    let open = |path: &str, accept: &str| Call::new("GET", path).with("Accept", accept);
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/dashboard/app.js", "text/javascript; charset=utf-8"),
        ("/dashboard/style.css", "text/css; charset=utf-8"),
        ("/dashboard/icon.svg", "image/svg+xml"),
    ] {
        let answer = lab.send(Way::Tcp, &open(path, BROWSER)).await;
        assert_eq!((answer.status.as_u16(), answer.field("content-type")), (200, kind), "{path}");
    }
    // A name that is no file is nothing, and what looks like a way out leads nowhere.
    for path in
        ["/dashboard/", "/dashboard/nothing.js", "/dashboard/../status", "/dashboard/%2e%2e/status"]
    {
        let answer = lab.send(Way::Tcp, &open(path, BROWSER)).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text);
    }
    for path in ["/", "/status", "/api/v1/config", "/api/v1/whoami", "/api/v1/services/web/probes"]
    {
        let answer = lab.send(Way::Tcp, &open(path, "application/json")).await;
        assert_eq!(answer.status, 401, "{path}: {}", answer.text);
    }
    let posted = lab.send(Way::Tcp, &Call::json("POST", "/dashboard/app.js", "{}")).await;
    assert_eq!(posted.status, 401);
}

async fn whoami(lab: &Lab, way: Way, token: Option<&str>) -> Whoami {
    let call = Call::new("GET", "/api/v1/whoami");
    let call = match token {
        Some(token) => call.token(token),
        None => call,
    };
    serde_json::from_str(&lab.send(way, &call).await.text).expect("who")
}

#[tokio::test]
async fn everybody_can_ask_who_they_are_and_what_they_may() {
    let lab = guarded().await;
    let reader = whoami(&lab, Way::Tcp, Some(READER)).await;
    assert_eq!((&*reader.who, &*reader.access, reader.by_token), ("watcher", "read", true));
    assert!(reader.how_to_write.is_some_and(|how| how.contains("access: write")));
    let writer = whoami(&lab, Way::Tls, Some(WRITER)).await;
    assert_eq!((&*writer.who, &*writer.access, writer.how_to_write), ("ops", "write", None));
    let local = whoami(&lab, Way::Unix, None).await;
    assert_eq!((&*local.access, local.by_token, local.how_to_write), ("write", false, None));
    let anybody = whoami(&open().await, Way::Tcp, None).await;
    assert_eq!((&*anybody.who, &*anybody.access, anybody.by_token), ("anybody", "read", false));
    assert!(anybody.how_to_write.is_some_and(|how| how.contains("understudy token")));
}

#[tokio::test]
async fn the_latest_rounds_of_probes_are_shown_and_no_more_than_that() {
    let lab = open().await;
    lab.settle().await;
    let probes = async || -> Probes {
        let text = lab.get("/api/v1/services/web/probes").await.text;
        serde_json::from_str(&text).expect("probes")
    };
    let full = async {
        loop {
            let probes = probes().await;
            // Every 50 ms: more than 60 have ended when the oldest is not the first any more.
            if probes.backends.iter().all(|b| b.rounds.first().is_some_and(|r| r.number > 1)) {
                return probes;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let probes = tokio::time::timeout(PATIENCE, full).await.expect("rounds in time");
    assert_eq!(probes.backends.iter().map(|b| &*b.name).collect::<Vec<_>>(), ["a", "b"]);
    for backend in &probes.backends {
        assert_eq!(backend.rounds.len(), 60);
        assert!(backend.rounds.windows(2).all(|two| two[1].number == two[0].number + 1));
        assert!(backend.rounds.windows(2).all(|two| two[1].ago_seconds <= two[0].ago_seconds));
        assert!(backend.rounds.iter().any(|round| round.verdict == "pass" && round.took_ms > 0.0));
    }
    let unknown = lab.get("/api/v1/services/none/probes").await;
    assert_eq!((unknown.status.as_u16(), &*unknown.problem()), (404, "unknown-service"));
    // Where every client looks all the time they are not.
    assert!(!lab.get("/api/v1/status").await.text.contains("rounds"));
}

#[tokio::test]
async fn the_config_in_force_is_shown_with_its_defaults_and_what_an_operator_changed_beside_it() {
    let lab = open().await;
    lab.settle().await;
    let shown = async || -> ConfigShown {
        serde_json::from_str(&lab.get("/api/v1/config").await.text).expect("a config")
    };
    let config = shown().await;
    assert_eq!((config.file, config.drift), (None, Vec::<String>::new()));
    // Not in the file of this test.
    for default in ["hold_down: 30s", "fall: 3", "shutdown_timeout: "] {
        assert!(config.yaml.contains(default), "{default}: {}", config.yaml);
    }
    assert!(config.yaml.contains("interval: 50ms"), "{}", config.yaml);
    // Another config is shown from when it is in force, and one that is refused never is.
    let other = config.yaml.replace("fall: 3", "fall: 7");
    lab.control.reload(other).await.expect("a good config");
    assert!(shown().await.yaml.contains("fall: 7"));
    assert!(lab.control.reload("nonsense".to_owned()).await.is_err());
    let after = shown().await;
    assert!(after.yaml.contains("fall: 7"), "{}", after.yaml);
    assert!(after.drift.iter().any(|drift| drift.contains("refused")), "{:?}", after.drift);
}
