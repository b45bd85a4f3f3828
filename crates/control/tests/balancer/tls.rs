//! TLS through real workers: sessions that go on, files that change under a running balancer.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use control::{Control, ReloadError, Status};
use routing::failover::Health;
use rustls::ClientConfig;
use tokio::time::{sleep, timeout};

use crate::certificates::{Authority, Got, TlsBackend, get_tls, write_key};
use crate::file::{follow, wait_for_event};
use crate::harness::{Backend, PATIENCE, config, get, start_on, wait_for, wait_for_active, web};

/// From one look to the next.
const LITTLE: Duration = Duration::from_millis(5);

/// A config with one listener whose certificate is `pem` and `key` in `folder`.
fn tls_config(backend: &Backend, folder: &Path, pem: &str, key: &str, more: &str) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let (pem, key) = (at(pem), at(key));
    let listener = format!(
        "- {{ address: \"127.0.0.1:0\", tls: {{ certificates: [{{ cert: \"{pem}\", key: \"{key}\" }}]{more} }} }}"
    );
    config(&[backend], "").replace("- address: \"127.0.0.1:0\"", &listener)
}

fn address(control: &Control) -> SocketAddr {
    control.listening()[0].local.tcp().expect("an IP address")
}

/// Asks until a certificate that `client` trusts is shown.
async fn wait_for_trust(control: &Control, client: &Arc<ClientConfig>) {
    let trusted = async {
        while get_tls(client, address(control), "a.test").await.is_err() {
            sleep(LITTLE).await;
        }
    };
    assert!(timeout(PATIENCE, trusted).await.is_ok(), "{:#?}", control.events(0));
}

async fn wait_until(control: &Control, met: impl Fn() -> bool) {
    let met = async {
        while !met() {
            sleep(LITTLE).await;
        }
    };
    assert!(timeout(PATIENCE, met).await.is_ok(), "{}", control.metrics().encode());
}

fn metric(control: &Control, series: &str) -> Option<f64> {
    let scrape = control.metrics().encode();
    let value = scrape.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map(|value| value.parse().expect("a number"))
}

#[tokio::test]
async fn a_session_goes_on_at_every_worker_and_after_a_reload() {
    let a = Backend::start("a").await;
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new("ours");
    ours.write(&folder.path().join("a"), "a.test");
    let text = tls_config(&a, folder.path(), "a.pem", "a.key", "");
    let text = text.replace("workers: 1", "workers: 2");
    let control = start_on(&text, "a").await;
    let client = ours.client();
    let got = async |expected| {
        let got = get_tls(&client, address(&control), "a.test").await;
        assert_eq!(got, Ok(Got { body: "a".to_owned(), resumed: expected }));
    };
    got(false).await;
    // Were there a key for each worker, half of these would not be resumed.
    for _ in 0..16 {
        got(true).await;
    }
    ours.write(&folder.path().join("a"), "a.test");
    let reloaded = control.reload(text.replace("interval: 50ms", "interval: 60ms")).await.unwrap();
    let changes = reloaded.changes.unwrap();
    assert!(changes.contains("a.pem loaded again"), "{changes}");
    got(true).await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_reload_and_a_bad_one_is_not() {
    let a = Backend::start("a").await;
    let folder = tempfile::tempdir().unwrap();
    let stem = folder.path().join("a");
    let [first, second, third] = ["first", "second", "third"].map(Authority::new);
    first.write(&stem, "a.test");
    let file = folder.path().join("understudy.yaml");
    fs::write(&file, tls_config(&a, folder.path(), "a.pem", "a.key", "")).unwrap();
    let control = follow(&file).await;
    assert!(get_tls(&first.client(), address(&control), "a.test").await.is_ok());
    let pem = stem.with_extension("pem").display().to_string();
    let bad = format!("understudy_certificate_reload_failures_total{{file=\"{pem}\"}}");
    let fine = format!("understudy_certificate_reload_successful{{file=\"{pem}\"}}");
    assert_eq!((metric(&control, &bad), metric(&control, &fine)), (Some(0.0), Some(1.0)));

    // In place.
    second.write(&stem, "a.test");
    wait_for_trust(&control, &second.client()).await;
    let before = metric(&control, &bad).unwrap();

    // A new certificate without its key: the old one stays, whatever else happens.
    let (certificate, key) = third.issue("a.test");
    let renamed = |name: &str, text: &str| {
        let new = folder.path().join(".new");
        write_key(&new, text);
        fs::rename(&new, folder.path().join(name)).unwrap();
    };
    renamed("a.pem", &certificate);
    wait_for_event(&control, &mut 0, "a.key is not the private key of").await;
    assert!(get_tls(&second.client(), address(&control), "a.test").await.is_ok());
    assert_eq!(metric(&control, &fine), Some(0.0));
    assert_eq!(metric(&control, &bad), Some(before + 1.0));
    let other = tls_config(&a, folder.path(), "a.pem", "a.key", "").replace("50ms", "60ms");
    let reloaded = control.reload(other).await.unwrap();
    assert!(reloaded.changes.is_some_and(|said| said.starts_with("settings (services.")));
    assert!(get_tls(&second.client(), address(&control), "a.test").await.is_ok());
    assert_eq!(metric(&control, &bad), Some(before + 1.0), "said once");

    renamed("a.key", &key);
    wait_for_trust(&control, &third.client()).await;
    assert_eq!(metric(&control, &fine), Some(1.0));
}

#[tokio::test]
async fn a_mounted_secret_is_loaded_when_its_link_is_swapped() {
    let a = Backend::start("a").await;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::create_dir(&secret).unwrap();
    let version = |name: &str, authority: &Authority| {
        fs::create_dir(secret.join(name)).unwrap();
        let (certificate, key) = authority.issue("a.test");
        fs::write(secret.join(name).join("tls.crt"), certificate).unwrap();
        write_key(&secret.join(name).join("tls.key"), &key);
        symlink(name, secret.join("..data_tmp")).unwrap();
        fs::rename(secret.join("..data_tmp"), secret.join("..data")).unwrap();
    };
    let [first, second, third] = ["first", "second", "third"].map(Authority::new);
    version("..1", &first);
    for file in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(file), secret.join(file)).unwrap();
    }
    let file = folder.path().join("understudy.yaml");
    fs::write(&file, tls_config(&a, &secret, "tls.crt", "tls.key", "")).unwrap();
    let control = follow(&file).await;
    assert!(get_tls(&first.client(), address(&control), "a.test").await.is_ok());
    version("..2", &second);
    fs::remove_dir_all(secret.join("..1")).unwrap();
    wait_for_trust(&control, &second.client()).await;
    version("..3", &third);
    fs::remove_dir_all(secret.join("..2")).unwrap();
    wait_for_trust(&control, &third.client()).await;
}

#[tokio::test]
async fn a_certificate_folder_that_is_replaced_as_a_whole_is_loaded() {
    let a = Backend::start("a").await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let [first, second, third] = ["first", "second", "third"].map(Authority::new);
    let fill = |name: &str, authority: &Authority| {
        fs::create_dir(at(name)).unwrap();
        authority.write(&at(name).join("a"), "a.test");
    };
    fill("certs", &first);
    let file = at("understudy.yaml");
    fs::write(&file, tls_config(&a, &at("certs"), "a.pem", "a.key", "")).unwrap();
    let control = follow(&file).await;
    for (authority, old) in [(&second, "old-1"), (&third, "old-2")] {
        fill("new", authority);
        fs::rename(at("certs"), at(old)).unwrap();
        fs::rename(at("new"), at("certs")).unwrap();
        wait_for_trust(&control, &authority.client()).await;
    }
}

#[tokio::test]
async fn a_pair_that_was_never_loaded_refuses_the_whole_config() {
    let a = Backend::start("a").await;
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new("ours");
    ours.write(&folder.path().join("a"), "a.test");
    let text = tls_config(&a, folder.path(), "a.pem", "a.key", "");
    let control = start_on(&text, "a").await;
    let bad = tls_config(&a, folder.path(), "b.pem", "b.key", "").replace("50ms", "60ms");
    let error = control.reload(bad).await.unwrap_err();
    assert!(matches!(error, ReloadError::Build(_)) && error.is_refusal(), "{error}");
    let said = error.to_string();
    assert!(said.contains("listeners[0].tls.certificates[0].cert: cannot read"), "{said}");
    assert!(get_tls(&ours.client(), address(&control), "a.test").await.is_ok());
    assert_eq!(control.reload(text).await.unwrap().changes, None);
}

#[tokio::test]
async fn an_authority_is_replaced_under_the_same_name_without_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, old.pem()).unwrap();
    let backend = TlsBackend::start("a", &old).await;
    let plain = Backend::start("a").await;
    let text = config(&[&plain], &format!("tls: {{ ca: \"{}\" }}", ca.display()));
    let text =
        text.replace(&format!("http://{}", plain.address), &format!("https://{}", backend.address));
    let file = folder.path().join("understudy.yaml");
    fs::write(&file, text).unwrap();
    let control = follow(&file).await;
    let expires =
        r#"understudy_backend_certificate_expires_timestamp_seconds{service="web",backend="a"}"#;
    // The beginning of 4096, as the certificates of tests have it.
    wait_until(&control, || metric(&control, expires) == Some(67_090_118_400.0)).await;

    backend.show(&new);
    let down = |status: &Arc<Status>| web(status).backends[0].health == Health::Down;
    wait_for(&control, "the new authority is trusted already", down).await;
    fs::write(&ca, new.pem()).unwrap();
    wait_for_active(&control, "a").await;
    assert_eq!(get(&control).await, (200, "a".to_owned()));
    let up = |status: &Arc<Status>| web(status).backends[0].health == Health::Up;
    wait_for(&control, "the new authority is not trusted", up).await;
}
