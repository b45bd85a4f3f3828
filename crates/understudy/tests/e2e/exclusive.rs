//! Five hundred moves of every kind under load: with `exclusive` no two backends ever work at once, and
//! without it no request starts at the old one after one has started at the new one.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use benches::condition::wait_for;
use benches::journal::{Span, now_ns};
use benches::load::{Load, Plan, Requests};
use benches::origin::Origin;
use benches::report::Report;
use benches::understudy::Understudy;
use serde_json::json;

use crate::admin_client::Operator;
use crate::stage::{PATIENCE, alone, binary, origin_binary, yaml_kept};
use crate::twins::{NAMES, Start, Twins};

/// A GET may meet a backend that is killed several times in a row.
const QUICK: &str = "health: { http: { path: /healthz }, interval: 20ms, confirm_interval: 5ms, \
                     rise: 2, fall: 2 }\n\
                     failback: { auto: { hold_down: 100ms, hold_down_cap: 200ms, damping_window: 1s } }\n\
                     replay: { attempts: 10 }";
const MOVES: u64 = 500;
const RATE: u32 = 150;

/// Two backends that can fail.
trait Pair {
    /// The health endpoint of this one says so; it works on all the same.
    fn set_ill(&mut self, backend: usize, ill: bool);
    /// It is gone, in the middle of whatever it does.
    fn kill(&mut self, backend: usize);
    /// It is there again.
    fn revive(&mut self, backend: usize);
}

/// Two processes; when each of their lives ended.
struct Processes {
    origins: [Origin; 2],
    kills: Kills,
    /// Of each process, when it was killed.
    ended: BTreeMap<u32, u64>,
}

impl Pair for Processes {
    fn set_ill(&mut self, backend: usize, ill: bool) {
        self.origins[backend].control(if ill { "health=503" } else { "health=200" });
    }

    fn kill(&mut self, backend: usize) {
        let process = &mut self.origins[backend].process;
        let before = now_ns();
        process.kill();
        self.ended.insert(process.id(), before);
        self.kills.0.push(before..now_ns());
    }

    fn revive(&mut self, backend: usize) {
        self.origins[backend].revive();
    }
}

struct Threads {
    twins: Twins,
    kills: Kills,
}

impl Pair for Threads {
    fn set_ill(&mut self, backend: usize, ill: bool) {
        self.twins.set_ill(backend, ill);
    }

    fn kill(&mut self, backend: usize) {
        let before = now_ns();
        self.twins.set_dead(backend, true);
        self.kills.0.push(before..now_ns());
    }

    fn revive(&mut self, backend: usize) {
        self.twins.set_dead(backend, false);
    }
}

/// When backends were killed.
#[derive(Default)]
struct Kills(Vec<Range<u64>>);

impl Kills {
    /// Only what was at a backend that was killed may have failed, and only if it must not be repeated.
    fn assert_none_else_failed(&self, report: &Report) {
        // A moment for those that were under way to it when it died.
        let margin = 50_000_000;
        for failed in report.failed() {
            let at = |time: Duration| report.begun_ns + time.as_nanos() as u64;
            let sent = at(failed.sent.unwrap_or_else(|| panic!("not sent: {failed:?}")));
            let there =
                |kill: &Range<u64>| sent < kill.end + margin && kill.start < at(failed.finished);
            let is_order = failed.index % 2 == 1;
            assert!(
                is_order && failed.status == Some(502) && self.0.iter().any(there),
                "nothing took it with it: {failed:?}"
            );
        }
    }
}

/// Does random things until the service has moved as often as that.
fn walk(pair: &mut impl Pair, operator: &Operator, moves: u64) -> BTreeMap<&'static str, u32> {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut done = BTreeMap::new();
    let epoch = || operator.service().expect("a status")["epoch"].as_u64().expect("an epoch");
    let goal = epoch() + moves;
    while epoch() < goal {
        let service = operator.wait("somebody is active", |service| !service["active"].is_null());
        let active = NAMES.iter().position(|name| service["active"] == *name).expect("one of both");
        let (this, other) = (NAMES[active], NAMES[1 - active]);
        let is_left = |service: &serde_json::Value| service["active"] == other;
        let what = match random.u32(0..100) {
            0..50 => {
                ordered(operator, "switchover", &json!({ "to": other }));
                "switchover"
            }
            50..65 => {
                ordered(operator, "failback", &json!({}));
                "failback"
            }
            65..75 => {
                ordered(operator, "unpin", &json!({}));
                if ordered(operator, "drill", &json!({ "length_seconds": 60 })) {
                    operator.wait("the drill has moved it", |service| {
                        !service["drill"].is_null() && service["switching"].is_null()
                    });
                    let ended = operator.delete("drill").expect("an answer");
                    assert_eq!(ended.status, 200, "{}", ended.text());
                    operator.wait("the drill is over", |service| service["switching"].is_null());
                }
                "drill"
            }
            75..92 => {
                pair.set_ill(active, true);
                operator.wait(&format!("{this} is left, which is ill"), is_left);
                pair.set_ill(active, false);
                operator.wait_health(this, "up");
                "failover"
            }
            _ => {
                pair.kill(active);
                operator.wait(&format!("{this} is left, which is dead"), is_left);
                pair.revive(active);
                operator.wait_health(this, "up");
                "kill"
            }
        };
        *done.entry(what).or_default() += 1;
    }
    done
}

/// Whether an order was carried out. The rules may have been quicker, and then it is refused.
fn ordered(operator: &Operator, what: &str, body: &serde_json::Value) -> bool {
    let answer = operator.order(what, body).expect("an answer");
    assert!(matches!(answer.status, 200 | 409), "{what} {body}: {}", answer.text());
    answer.status == 200
}

/// Has the balancer before these backends, and a load, while `play` plays; what the load says.
fn under_load(
    folder: &Path,
    backends: &[(&str, String)],
    service: &str,
    play: impl FnOnce(&Operator),
) -> Report {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let config = folder.join("understudy.yaml");
    let service = format!("{QUICK}\n{service}");
    fs::write(&config, yaml_kept(folder, [any; 2], backends, &service)).expect("a config");
    let mut command = Command::new(binary());
    command.args(["run", "--log", "warn", "-c"]).arg(&config);
    let understudy = Understudy::start(command);
    let operator = Operator::new(folder);
    operator.wait_active("a");
    operator.wait_health("b", "up");
    let requests = Requests::Mixed;
    let load = Load::start(Plan { requests, ..Plan::gets(understudy.address(), RATE) });
    wait_for(PATIENCE, "a load", || if load.samples().len() > 20 { Ok(()) } else { Err(()) });
    play(&operator);
    load.finish()
}

/// Spans in the order of their beginnings, each with an end: that of its process, if it has none.
fn ended(mut spans: Vec<Span>, deaths: &BTreeMap<u32, u64>) -> Vec<(u64, u64, Span)> {
    spans.sort_by_key(|span| span.begun_ns);
    let ended = spans.into_iter().map(|span| {
        let end = span.ended_ns.or_else(|| {
            // Whatever began while it was being killed ended at once.
            Some((*deaths.get(&span.process)?).max(span.begun_ns))
        });
        (span.begun_ns, end.unwrap_or_else(|| panic!("never ended: {span:?}")), span)
    });
    ended.collect()
}

/// What two backends did at the same time, if they did.
fn overlap(spans: &[(u64, u64, Span)]) -> Result<(), String> {
    let mut last: Option<&(u64, u64, Span)> = None;
    for span in spans {
        if let Some(before) = last
            && before.2.origin != span.2.origin
            && span.0 < before.1
        {
            return Err(format!("{:?} began before the end of {:?}", span.2, before.2));
        }
        if last.is_none_or(|last| span.1 > last.1 || last.2.origin != span.2.origin) {
            last = Some(span);
        }
    }
    Ok(())
}

/// Each start's backend and epoch: whether epochs only grow, and each belongs to one backend.
fn epochs<'a>(starts: impl Iterator<Item = (&'a str, u64)>) -> Result<usize, String> {
    let mut owners = BTreeMap::new();
    let mut last = None;
    for (backend, epoch) in starts {
        if last.is_some_and(|last| epoch < last) {
            return Err(format!("{backend} with epoch {epoch} after {last:?}"));
        }
        if *owners.entry(epoch).or_insert(backend) != backend {
            return Err(format!("epoch {epoch} at both"));
        }
        last = Some(epoch);
    }
    Ok(owners.len())
}

#[test]
fn exclusive_backends_never_work_at_once_in_500_moves() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let origins = NAMES.map(|name| Origin::start(&origin_binary(), folder.path(), name));
    let backends = origins.each_ref().map(|origin| (origin.name(), origin.url()));
    let backends = backends.map(|(name, url)| (name.to_owned(), url));
    let backends: Vec<_> =
        backends.iter().map(|(name, url)| (name.as_str(), url.clone())).collect();
    let mut pair = Processes { origins, kills: Kills::default(), ended: BTreeMap::new() };
    let begun = Instant::now();
    let exclusive = "exclusive: { drain: 5s }";
    let report = under_load(folder.path(), &backends, exclusive, |operator| {
        eprintln!("{:?} in {:?}", walk(&mut pair, operator, MOVES), begun.elapsed());
    });
    eprintln!("exclusive: {report}");
    pair.kills.assert_none_else_failed(&report);
    let spans = pair.origins.iter().flat_map(Origin::spans).collect();
    let spans = ended(spans, &pair.ended);
    assert!(spans.len() >= report.samples.len() - report.failed().len(), "not all were recorded");
    overlap(&spans).unwrap();
    let seen = |span: &(u64, u64, Span)| span.2.epoch.expect("an epoch");
    let starts = spans.iter().map(|span| (span.2.origin.as_str(), seen(span)));
    let count = epochs(starts).unwrap();
    assert!(count as u64 >= MOVES / 2, "only {count} epochs saw a request");
}

#[test]
fn without_exclusive_no_request_starts_at_the_old_active_in_500_moves() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let twins = Twins::start();
    let backends = twins.backends();
    let mut pair = Threads { twins, kills: Kills::default() };
    let begun = Instant::now();
    let report = under_load(folder.path(), &backends, "", |operator| {
        eprintln!("{:?} in {:?}", walk(&mut pair, operator, MOVES), begun.elapsed());
    });
    eprintln!("default: {report}");
    pair.kills.assert_none_else_failed(&report);
    let starts = pair.twins.starts();
    assert!(starts.len() >= report.samples.len() - report.failed().len(), "not all were recorded");
    let count = epochs(starts.iter().map(|start| (NAMES[start.backend], start.epoch))).unwrap();
    assert!(count as u64 >= MOVES / 2, "only {count} epochs saw a request");
}

fn span(origin: &str, epoch: u64, begun_ns: u64, ended_ns: Option<u64>) -> Span {
    let (origin, path) = (origin.to_owned(), "/".to_owned());
    Span { begun_ns, ended_ns, origin, process: 7, epoch: Some(epoch), path }
}

/// The checks above can fail.
#[test]
fn made_up_overlaps_are_found() {
    let check = |spans: &[Span]| overlap(&ended(spans.to_vec(), &[(7, 50)].into()));
    let (long, short) = (span("a", 1, 10, Some(40)), span("a", 1, 20, Some(30)));
    let after = |begun| span("b", 2, begun, Some(60));
    assert_eq!(check(&[long.clone(), short.clone(), after(40)]), Ok(()));
    // The end of the long one counts, wherever it stands.
    assert!(check(&[long.clone(), short.clone(), after(35)]).is_err());
    assert!(check(&[after(39), short, long.clone()]).is_err());
    // Who was killed has ended with its process.
    assert_eq!(check(&[span("a", 1, 10, None), after(50)]), Ok(()));
    assert!(check(&[span("a", 1, 10, None), after(49)]).is_err());
    // And back again.
    assert!(check(&[long, after(45), span("a", 3, 59, Some(70))]).is_err());

    let start = |backend, epoch| Start { backend, epoch, target: String::new() };
    let check = |starts: &[Start]| epochs(starts.iter().map(|s| (NAMES[s.backend], s.epoch)));
    assert_eq!(check(&[start(0, 1), start(0, 1), start(1, 2), start(0, 4)]), Ok(3));
    assert!(check(&[start(0, 1), start(1, 2), start(0, 1)]).is_err(), "a start at the old one");
    assert!(check(&[start(0, 1), start(1, 1)]).is_err(), "an epoch at both");
}
