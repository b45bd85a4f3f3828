//! How long one decision takes.
#![allow(missing_docs)] // criterion_group! makes a public function.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use routing::failover::{
    AllDown, BackendId, Claim, Conditions, Damping, Failback, Failover, GateRules, Input, LockRule,
    Policy, Verdict,
};

fn policy() -> Policy {
    Policy {
        required_role: None,
        rise: 2,
        fall: 3,
        failback: Failback::Auto(Conditions {
            hold_down: Duration::from_secs(30),
            passes: 3,
            in_flight_below: Some(10),
            windowed: true,
        }),
        all_down: AllDown::Reject,
        startup_grace: Duration::from_secs(5),
        damping: Damping { window: Duration::from_secs(300), cap: Duration::from_secs(3600) },
        lock: Some(LockRule { switches: 6, within: Duration::from_secs(3600) }),
        exclusive: None,
        gates: GateRules::default(),
    }
}

fn probe(backend: u32, verdict: Verdict) -> Input {
    Input::Probe { backend: BackendId(backend), verdict, claim: Claim::default() }
}

/// A service of `backends`, all up, the first one active.
fn running(now: Instant, backends: u32) -> Failover {
    let ids: Vec<_> = (0..backends).map(BackendId).collect();
    let mut failover = Failover::new(now, &ids, policy());
    for id in 0..backends {
        let _ = failover.step(now, probe(id, Verdict::Pass));
    }
    failover
}

fn step(c: &mut Criterion) {
    let now = Instant::now();
    let mut group = c.benchmark_group("step");
    for backends in [2, 16] {
        let mut failover = running(now, backends);
        group.bench_function(format!("pass, {backends} backends"), |b| {
            b.iter(|| failover.step(now, black_box(probe(1, Verdict::Pass))));
        });
        let failover = running(now, backends);
        group.bench_function(format!("failover, {backends} backends"), |b| {
            b.iter_batched_ref(
                || failover.clone(),
                |failover| {
                    (0..3)
                        .map(|_| failover.step(now, black_box(probe(0, Verdict::Fail))).len())
                        .sum::<usize>()
                },
                BatchSize::SmallInput,
            );
        });
    }
    let failover = running(now, 2);
    group.bench_function("wake_at", |b| b.iter(|| black_box(&failover).wake_at()));
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
