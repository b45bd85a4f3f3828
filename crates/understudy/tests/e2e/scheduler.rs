//! Two schedulers of which one has its jobs enabled. Whatever breaks, and in the middle of whatever: the
//! balancer's gates never enable the jobs of both, each gate is asked for once, and in the end one of the
//! two is at work, or an operator is told what to look at.

mod check;
mod plan;
mod play;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use self::plan::{Fault, Plan};
use self::play::Play;
use crate::island::Island;
use crate::stage::{alone, standins_binary};

const SCHEDULES: u64 = 300;
/// How many are played at a time: they mostly wait.
const LANES: u64 = 10;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Plays the schedule of this seed; what happened in it, or what must not.
fn played(seed: u64, islands: Option<&[Island; 2]>) -> Result<(Fault, Vec<String>), String> {
    let plan = Plan::new(seed, islands.is_some());
    let mut story = String::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut play = Play::new(&plan, islands);
        let ended = play.run();
        story = play.story();
        let helped = std::mem::take(&mut play.helped);
        play.record().judge(&plan).and(ended).map(|()| helped)
    }));
    match result {
        Ok(Ok(helped)) => Ok((plan.fault, helped)),
        Ok(Err(why)) => Err(format!("{why}\n{story}")),
        Err(_) => Err(format!("a panic, see above\n{plan:#?}\n{story}")),
    }
}

#[test]
fn jobs_are_never_enabled_at_both_whatever_breaks() {
    let _alone = alone();
    // Before the lanes ask for it at the same time.
    let _ = standins_binary();
    let (first, count) = match number("UNDERSTUDY_SEED") {
        Some(seed) => (seed, 1),
        // Always the same ones, as in the simulations; more of them are others.
        None => (1, number("UNDERSTUDY_SCHEDULES").unwrap_or(SCHEDULES)),
    };
    eprintln!("seeds from {first}");
    let (begun, next) = (Instant::now(), AtomicU64::new(0));
    let (failed, done) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::<String, u32>::new()));
    thread::scope(|scope| {
        for _ in 0..LANES.min(count) {
            scope.spawn(|| {
                let islands = Island::new().and_then(|one| Some([one, Island::new()?]));
                loop {
                    let place = next.fetch_add(1, Relaxed);
                    if place >= count || !failed.lock().expect("no panic").is_empty() {
                        return;
                    }
                    match played(first + place, islands.as_ref()) {
                        Ok((fault, helped)) => {
                            let mut done = done.lock().expect("no panic");
                            *done.entry(format!("{fault:?}")).or_default() += 1;
                            for help in helped {
                                *done.entry(help).or_default() += 1;
                            }
                        }
                        Err(why) => failed.lock().expect("no panic").push((first + place, why)),
                    }
                }
            });
        }
    });
    eprintln!("{:?} in {:?}", done.into_inner().expect("no panic"), begun.elapsed());
    let failed = failed.into_inner().expect("no panic");
    if let Some((seed, why)) = failed.first() {
        panic!(
            "again: UNDERSTUDY_SEED={seed} cargo test -p understudy --test e2e scheduler\n{why}"
        );
    }
}
