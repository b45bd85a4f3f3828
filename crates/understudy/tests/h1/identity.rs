//! Who the client is: what it claims itself counts for nothing (RFC 7239).

use crate::backend::Backend;
use crate::rig::{OK, Peer, Rig};

#[test]
fn item_24_forwarding_fields_say_what_we_know_not_what_the_client_claims() {
    let rig = Rig::new(Backend::answering(OK));
    let answer = rig.ask(
        b"GET /row HTTP/1.1\r\nhost: a.example\r\nx-forwarded-for: 6.6.6.6\r\nx-real-ip: 6.6.6.6\r\n\
          x-forwarded-proto: https\r\nx-forwarded-host: evil.example\r\nx-forwarded-port: 666\r\n\
          x-forwarded-prefix: /evil\r\nforwarded: for=6.6.6.6;host=evil.example\r\n\
          x_forwarded_for: 6.6.6.6\r\nx_real_ip: 6.6.6.6\r\nproxy: http://evil.example\r\n\r\n",
    );
    assert_eq!(answer.status, 200);
    let seen = rig.backend.wait_seen("/row");
    let chain = seen.values("x-forwarded-for").join(",");
    assert_eq!(chain.rsplit(',').next().map(str::trim), Some("127.0.0.1"), "{seen:?}");
    assert_eq!(seen.values("x-forwarded-proto"), ["http"], "{seen:?}");
    assert_eq!(seen.values("x-forwarded-host"), ["a.example"], "{seen:?}");
    for name in ["x_forwarded_for", "x_real_ip", "proxy", "x-forwarded-prefix"] {
        assert_eq!(seen.values(name), Vec::<&str>::new(), "{name}: {seen:?}");
    }
    assert!(!seen.values("x-real-ip").contains(&"6.6.6.6"), "{seen:?}");
    assert!(!seen.values("x-forwarded-port").contains(&"666"), "{seen:?}");
    let forwarded = seen.values("forwarded").join(",");
    assert!(!forwarded.contains("evil"), "{seen:?}");
}

#[test]
fn item_24_the_standard_forwarded_field_is_sent_too() {
    if Peer::chosen() == Peer::Nginx {
        return; // This one has no words for it.
    }
    let rig = Rig::new(Backend::answering(OK));
    assert_eq!(rig.ask(b"GET /row HTTP/1.1\r\nhost: a.example\r\n\r\n").status, 200);
    let seen = rig.backend.wait_seen("/row");
    let forwarded = seen.values("forwarded").join(",").to_ascii_lowercase();
    assert!(forwarded.contains("for=127.0.0.1") && forwarded.contains("proto=http"), "{seen:?}");
}

#[test]
fn item_24_the_host_is_kept() {
    let rig = Rig::new(Backend::answering(OK));
    assert_eq!(rig.ask(b"GET /row HTTP/1.1\r\nhost: a.example\r\n\r\n").status, 200);
    assert_eq!(rig.backend.wait_seen("/row").values("host"), ["a.example"]);
}
