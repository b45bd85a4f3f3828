//! A week of a primary that goes up and down: no more moves than the policy allows.
//!
//! The bounds are computed from the figures of the policy alone. Uses nothing but `std` and
//! `routing`, because `mutations.rs` compiles it again for every deliberate break of a rule.

use std::time::{Duration, Instant};

use routing::failover::{
    AllDown, BackendId, Claim, Command, Conditions, Damping, Effect, Failback, Failover, GateRules,
    Input, LockRule, Policy, Reason, Role, Verdict, Wish,
};

const PRIMARY: BackendId = BackendId(0);
const STANDBY: BackendId = BackendId(1);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const HOLD_DOWN: Duration = Duration::from_secs(30);
const WINDOW: Duration = Duration::from_secs(600);
const FIT: Claim = Claim { role: Some(Role::Active), wish: Some(Wish::Serve) };
const FENCED: Claim = Claim { role: Some(Role::Fenced), wish: Some(Wish::Serve) };
const DRAINS: Claim = Claim { role: Some(Role::Active), wish: Some(Wish::Drain) };
const CAP: Duration = Duration::from_secs(3600);

#[test]
fn short_cycles_soon_move_nothing_any_more() {
    // Whatever hold-down lies above the longest time up is never reached again.
    let longest = Duration::from_secs(300);
    let reachable = (0..).take_while(|flaps| HOLD_DOWN * 2_u32.pow(*flaps) <= longest).count();
    for seed in 0..16 {
        let moves = Week { seed, longest_up: longest, lock: None }.play();
        let most = 1 + 2 * reachable;
        println!("short cycles, seed {seed}: {} moves, at most {most}", moves.len());
        assert!(moves.len() <= most, "seed {seed}: {} moves, not {most}", moves.len());
        assert!(moves.len() >= 3, "seed {seed}: the service fails back at first");
    }
}

#[test]
fn cycles_of_all_lengths_move_no_more_than_the_damping_allows() {
    let most = 1 + 2 * worst_row(WEEK).1;
    for seed in 0..16 {
        let longest_up = Duration::from_secs(2 * 3600);
        let moves = Week { seed, longest_up, lock: None }.play();
        println!("long cycles, seed {seed}: {} moves, at most {most}", moves.len());
        assert!(moves.len() <= most, "seed {seed}: {} moves, not {most}", moves.len());
        assert!(moves.len() > 20, "seed {seed}: the service moves");
    }
}

/// So that bound is no empty word: this primary reaches it, nearly.
#[test]
fn the_worst_primary_moves_as_much_as_the_damping_allows() {
    let start = Instant::now();
    let mut now = Duration::ZERO;
    let mut failover = Failover::new(start, &[PRIMARY, STANDBY], policy(None));
    let mut moves = 0;
    let (length, most) = worst_row(WEEK);
    let mut tell = |now: Duration, input: Input| {
        let effects = failover.step(start + now, input);
        let held = effects.iter().find_map(|effect| match *effect {
            Effect::Hold { switch, .. } => Some(Input::Held { switch, all: true }),
            _ => None,
        });
        let effects = [effects, held.map_or(vec![], |held| failover.step(start + now, held))];
        moves +=
            effects.iter().flatten().filter(|e| matches!(e, Effect::ActiveChanged { .. })).count();
        failover.wake_at().map(|at| at - start)
    };
    tell(now, probe(PRIMARY, Verdict::Pass));
    tell(now, probe(STANDBY, Verdict::Pass));
    for failback in 0..=most {
        tell(now, probe(PRIMARY, Verdict::Fail));
        let due = tell(now, probe(PRIMARY, Verdict::Pass)).expect("a failback is due");
        if due > WEEK {
            break;
        }
        now = due;
        tell(now, Input::Tick);
        if failback % length == length - 1 {
            now += WINDOW;
        }
    }
    // The start, the first failover, and each failback with the failover after it.
    let most = 2 + 2 * most;
    println!("the worst primary: {moves} moves, at most {most}");
    assert!(moves <= most, "{moves} moves, not {most}");
    assert!(moves * 100 >= most * 99, "only {moves} of {most} moves");
}

#[test]
fn the_lock_rule_allows_so_many_moves_in_its_time() {
    for (switches, within) in [(2, 3600), (4, 3600), (6, 24 * 3600)] {
        let rule = LockRule { switches, within: Duration::from_secs(within) };
        for seed in 0..8 {
            let longest_up = Duration::from_secs(7200);
            let moves = Week { seed, longest_up, lock: Some(rule) }.play();
            let mut most = 0;
            for (at, first) in moves.iter().enumerate() {
                let same = |m: &&Move| m.unlocks == first.unlocks && m.at - first.at < rule.within;
                most = most.max(moves[at..].iter().take_while(same).count());
            }
            println!(
                "{switches} within {within} s, seed {seed}: {} moves, {} unlocks, {most} at once",
                moves.len(),
                moves.last().map_or(0, |last| last.unlocks)
            );
            assert!(most <= switches as usize, "seed {seed}: {most} moves within {within} s");
            assert_eq!(most, switches as usize, "seed {seed}: so many are allowed");
        }
    }
}

/// A primary that asks for a drain and takes it back, or loses its role and has it again: that is no
/// flap, but each time it must have been eligible for the whole hold-down before it is returned to.
#[test]
fn a_primary_that_changes_its_claim_moves_no_more_than_the_hold_down_allows() {
    let start = Instant::now();
    for (seed, unfit) in (0..).zip([FENCED, DRAINS]) {
        let (mut random, mut now, mut moves) = (seed, Duration::ZERO, 0);
        let mut failover = Failover::new(start, &[PRIMARY, STANDBY], policy(None));
        let mut tell = |now: Duration, input: Input| {
            let mut next = Some(input);
            while let Some(input) = next.take() {
                for effect in failover.step(start + now, input) {
                    if let Effect::Hold { switch, .. } = effect {
                        next = Some(Input::Held { switch, all: true });
                    }
                    moves += usize::from(matches!(effect, Effect::ActiveChanged { .. }));
                }
            }
            failover.wake_at().map(|at| at - start)
        };
        tell(now, passes(PRIMARY, FIT));
        tell(now, passes(STANDBY, Claim::default()));
        while now < WEEK {
            let until = now + Duration::from_millis(1 + next(&mut random) % 120_000);
            let mut wake = tell(now, passes(PRIMARY, FIT));
            while let Some(at) = wake.filter(|at| *at < until) {
                wake = tell(at, Input::Tick);
            }
            now = until;
            tell(now, passes(PRIMARY, unfit));
            now += Duration::from_millis(1 + next(&mut random) % 2000);
        }
        let most = 1 + 2 * WEEK.as_secs().div_ceil(HOLD_DOWN.as_secs()) as usize;
        println!("{unfit:?}: {moves} moves, at most {most}");
        assert!(moves <= most, "{moves} moves, not {most}");
        assert!(moves > 1000, "only {moves} moves: a change of claim moves the service");
    }
}

/// How many failbacks fit into a time at most, and in rows of which length: a row costs its
/// hold-downs, and the last one must outlive the damping window before the next row begins.
fn worst_row(time: Duration) -> (usize, usize) {
    let row = |length: u32| -> Duration {
        let hold_downs = (0..length).map(|flaps| HOLD_DOWN * 2_u32.pow(flaps.min(20)));
        hold_downs.map(|hold_down| hold_down.min(CAP)).sum::<Duration>() + WINDOW
    };
    let rows = |length: u32| time.as_secs().div_ceil(row(length).as_secs()) as usize;
    let most = (1..64).map(|length| (length as usize * rows(length), length as usize)).max();
    most.map_or((1, 0), |(most, length)| (length, most))
}

/// An automatic move to somebody.
struct Move {
    at: Duration,
    /// How often the operator had unlocked before.
    unlocks: usize,
}

struct Week {
    seed: u64,
    longest_up: Duration,
    lock: Option<LockRule>,
}

impl Week {
    /// The automatic moves of a week.
    fn play(&self) -> Vec<Move> {
        let start = Instant::now();
        let mut random = self.seed;
        let mut now = Duration::ZERO;
        let mut failover = Failover::new(start, &[PRIMARY, STANDBY], policy(self.lock));
        let mut moves = vec![];
        let mut unlocks = 0;
        let mut tell = |failover: &mut Failover, now: Duration, unlocks: usize, input: Input| {
            let mut next = Some(input);
            let mut rounds = 0;
            while let Some(input) = next.take() {
                rounds += 1;
                assert!(rounds < 10, "moves follow moves without end");
                for effect in failover.step(start + now, input) {
                    if let Effect::Hold { switch, .. } = effect {
                        next = Some(Input::Held { switch, all: true });
                    }
                    if let Effect::ActiveChanged { reason, to: Some(_), .. } = effect
                        && matches!(reason, Reason::Failover | Reason::Failback)
                    {
                        moves.push(Move { at: now, unlocks });
                    }
                }
            }
        };
        tell(&mut failover, now, 0, probe(PRIMARY, Verdict::Pass));
        tell(&mut failover, now, 0, probe(STANDBY, Verdict::Pass));
        let mut up = true;
        while now < WEEK {
            // Mostly short, sometimes long.
            let longest = if up { self.longest_up.as_millis() as u64 } else { 60_000 };
            let scale = next(&mut random) % longest + 1;
            let until = now + Duration::from_millis(1 + next(&mut random) % scale);
            while let Some(wake) = failover.wake_at().map(|at| at - start).filter(|at| *at < until)
            {
                assert!(wake > now || now.is_zero(), "woken for the past");
                now = wake;
                tell(&mut failover, now, unlocks, Input::Tick);
            }
            now = until;
            up = !up;
            let verdict = if up { Verdict::Pass } else { Verdict::Fail };
            tell(&mut failover, now, unlocks, probe(PRIMARY, verdict));
            if failover.status().locked && next(&mut random).is_multiple_of(50) {
                unlocks += 1;
                tell(&mut failover, now, unlocks, Input::Command(Command::Unlock));
            }
        }
        moves
    }
}

fn policy(lock: Option<LockRule>) -> Policy {
    Policy {
        required_role: None,
        rise: 1,
        fall: 1,
        failback: Failback::Auto(Conditions {
            hold_down: HOLD_DOWN,
            passes: 0,
            in_flight_below: None,
            windowed: false,
        }),
        all_down: AllDown::Reject,
        startup_grace: Duration::from_secs(2),
        damping: Damping { window: WINDOW, cap: CAP },
        lock,
        exclusive: None,
        gates: GateRules::default(),
    }
}

fn probe(backend: BackendId, verdict: Verdict) -> Input {
    Input::Probe { backend, verdict, claim: Claim::default() }
}

fn passes(backend: BackendId, claim: Claim) -> Input {
    Input::Probe { backend, verdict: Verdict::Pass, claim }
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
