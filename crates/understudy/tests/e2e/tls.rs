//! Backends behind TLS: the same trust for probes and for traffic, and the same failover.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use benches::fetch::get;
use benches::load::{Load, Plan};
use benches::origin::Origin;
use jiff::civil::Date;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

use crate::stage::{
    Scene, Stage, assert_none_failed, assert_one_switch, binary, origin_binary, wait_served,
};

const QUICK: &str = "health: { http: { path: /healthz }, interval: 200ms, confirm_interval: 50ms }";

/// A private certificate authority; its certificate and all it issues are in a folder of its own.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("a file");
        Self { issuer: Issuer::new(params, key), folder }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// An origin that calls itself `name`, with a certificate for `host`.
    fn origin(&self, folder: &Path, name: &str, host: &str) -> Origin {
        let params = CertificateParams::new([host.to_owned()]).expect("parameters");
        self.origin_with(folder, name, &params)
    }

    /// The same with a certificate that is valid until the beginning of this day.
    pub(crate) fn origin_until(&self, folder: &Path, name: &str, host: &str, day: Date) -> Origin {
        let mut params = CertificateParams::new([host.to_owned()]).expect("parameters");
        let (year, month, day) = (day.year(), day.month(), day.day());
        params.not_after = date_time_ymd(year.into(), month.unsigned_abs(), day.unsigned_abs());
        self.origin_with(folder, name, &params)
    }

    fn origin_with(&self, folder: &Path, name: &str, params: &CertificateParams) -> Origin {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let file = |kind: &str| self.folder.path().join(format!("{name}-{kind}.pem"));
        fs::write(file("certificate"), certificate.pem()).expect("a file");
        fs::write(file("key"), key.serialize_pem()).expect("a file");
        Origin::start_tls(&origin_binary(), folder, name, &file("certificate"), &file("key"))
    }
}

/// Two origins of this authority, and the balancer with these lines for the service.
fn stage(authority: &Authority, service: &str) -> Stage {
    let origin = |folder: &Path, name: &str| authority.origin(folder, name, "127.0.0.1");
    Stage::built(service, origin, |config| {
        let mut command = Command::new(binary());
        command.args(["run", "-c"]).arg(config);
        command
    })
}

#[test]
fn a_private_authority_is_enough_and_a_killed_primary_loses_no_get() {
    let authority = Authority::new("ours");
    let trusting = format!("{QUICK}\ntls: {{ ca: \"{}\" }}", authority.file().display());
    let mut stage = stage(&authority, &trusting);
    let load = Load::start(Plan::gets(stage.understudy.address(), 300));
    wait_served(&load, "a", 200);
    stage.assert_primary_only();
    stage.a.process.kill();
    wait_served(&load, "b", 200);
    let report = load.finish();
    eprintln!("killed behind TLS: {report}");
    assert_none_failed(&report);
    assert_one_switch(&report);
    // Shorter than any time for which requests may wait.
    assert!(report.longest_gap() < Duration::from_secs(5), "{report}");
    stage.assert_metrics_agree(&report);
    let body = vec![b'x'; 300_000];
    let echo = benches::fetch::request(stage.understudy.address(), "POST", "/echo", &[], &body);
    assert!(echo.expect("an answer").body.ends_with(&body), "a long body in both directions");
}

#[test]
fn nothing_is_sent_to_a_backend_that_nobody_vouches_for() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let folder = tempfile::tempdir().expect("a folder");
    let strangers = [
        ("another authority", theirs.origin(folder.path(), "a", "127.0.0.1")),
        ("another name", ours.origin(folder.path(), "a", "other.example")),
    ];
    for (name, a) in strangers {
        let b = ours.origin(folder.path(), "b", "127.0.0.1");
        let service = format!("{QUICK}\ntls: {{ ca: \"{}\" }}", ours.file().display());
        let scene = Scene::new(&[("a", a.url()), ("b", b.url())], &service);
        scene.understudy.wait_active("b");
        let verdicts = [("backend", "a"), ("verdict", "fail")];
        scene.understudy.wait_metric("understudy_probes_total", &verdicts, |sum| sum >= 5.0);
        let answer = get(scene.understudy.address(), "/").expect("an answer");
        assert_eq!((answer.status, answer.header("x-origin")), (200, Some("b")), "{name}");
        assert_eq!(scene.understudy.health("a"), "down", "{name}");
        let stats = a.stats();
        assert_eq!((&stats["requests"], &stats["probes"]), (&0.into(), &0.into()), "{name}");
        assert!(stats["connections"].as_u64() >= Some(5), "{name}: nobody tried: {stats}");
        assert_eq!(a.journal(), [], "{name}");
    }
}

#[test]
fn the_name_in_the_certificate_can_be_another_one_when_it_is_said() {
    let authority = Authority::new("ours");
    let folder = tempfile::tempdir().expect("a folder");
    let a = authority.origin(folder.path(), "a", "other.example");
    let file = authority.file();
    let tls = format!("tls: {{ ca: \"{}\", server_name: other.example }}", file.display());
    let scene = Scene::new(&[("a", a.url())], &format!("{QUICK}\n{tls}"));
    scene.understudy.wait_active("a");
    assert_eq!(get(scene.understudy.address(), "/").expect("an answer").status, 200);
}

#[test]
fn who_asks_for_no_verification_gets_none() {
    let stage = stage(&Authority::new("unknown"), &format!("{QUICK}\ntls: {{ insecure: true }}"));
    let answer = get(stage.understudy.address(), "/").expect("an answer");
    assert_eq!((answer.status, answer.header("x-origin")), (200, Some("a")));
    assert_eq!(stage.a.journal().len(), 1);
}
