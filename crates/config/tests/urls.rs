//! How a backend's URL is told: to the backend itself, and to people.

use std::path::Path;

use config::model::{BackendAddress, BackendUrl, Scheme};

fn unix() -> BackendUrl {
    let path = Path::new("/run/app.sock").into();
    BackendUrl { scheme: Scheme::Http, address: BackendAddress::Unix(path) }
}

#[test]
fn the_authority_has_no_port_that_goes_without_saying() {
    for (scheme, host, port, expected) in [
        (Scheme::Http, "a.example", 80, "a.example"),
        (Scheme::Https, "a.example", 443, "a.example"),
        (Scheme::Http, "a.example", 443, "a.example:443"),
        (Scheme::Https, "a.example", 80, "a.example:80"),
        (Scheme::Https, "10.0.0.1", 10_091, "10.0.0.1:10091"),
        (Scheme::Http, "::1", 80, "[::1]"),
        (Scheme::Http, "::1", 8080, "[::1]:8080"),
    ] {
        assert_eq!(BackendUrl::tcp(scheme, host, port).authority(), expected);
    }
    assert_eq!(unix().authority(), "localhost", "a path is no host");
}

#[test]
fn people_are_told_the_port_or_the_path() {
    for (url, place, shown) in [
        (BackendUrl::tcp(Scheme::Http, "a.example", 80), "a.example:80", "http://a.example:80"),
        (BackendUrl::tcp(Scheme::Https, "::1", 443), "[::1]:443", "https://[::1]:443"),
        (unix(), "unix:/run/app.sock", "unix:/run/app.sock"),
    ] {
        assert_eq!((&*url.place(), &*url.to_string()), (place, shown));
    }
}
