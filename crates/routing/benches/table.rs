//! How long it takes to find the service of a request.
#![allow(missing_docs)] // criterion_group! makes a public function.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use routing::table::{HostPattern, Table};

fn find(c: &mut Criterion) {
    let mut group = c.benchmark_group("table/find");

    let single = Table::new([], Some(1_u32));
    group.bench_function("default only", |b| {
        b.iter(|| single.find(black_box("app.example.com:8443"), black_box("/api/v1/items/7")));
    });

    let any = ["/", "/api", "/api/v1", "/static"];
    let any = Table::new(any.map(|path| (HostPattern::Any, path.to_owned(), path.len())), None);
    group.bench_function("any host, 4 paths", |b| {
        b.iter(|| any.find(black_box("app.example.com:8443"), black_box("/api/v1/items/7")));
    });

    let exact = (0..1000).map(|n| HostPattern::Exact(format!("app{n}.example.com")));
    let wildcard = (0..100).map(|n| HostPattern::Wildcard(format!("tenant{n}.example.com")));
    let routes = exact.chain(wildcard).enumerate().map(|(n, host)| (host, "/".to_owned(), n));
    let many = Table::new(routes, None);
    for (name, host) in [
        ("1000 hosts, exact", "app700.example.com:8443"),
        ("1000 hosts, upper case", "APP700.EXAMPLE.COM:8443"),
        ("100 wildcards, second label", "a.b.tenant70.example.com"),
        ("nothing matches", "www.nowhere.example.org"),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| many.find(black_box(host), black_box("/api/v1/items/7")));
        });
    }
    group.finish();
}

criterion_group!(benches, find);
criterion_main!(benches);
