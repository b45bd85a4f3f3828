//! Killed at any moment, a process loses nothing that it has announced.
//!
//! The test kills the process, not the machine: what the kernel was given survives. That the
//! disk has it, too, is by `fsync` in each commit of redb.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Stdio};

use super::*;

/// What the process says of one commit: `ACK service epoch event incident`.
#[derive(Debug)]
struct Announced {
    service: String,
    epoch: u64,
    event: u64,
    /// 0: none.
    incident: u64,
}

impl Announced {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("ACK ")?.split(' ');
        let service = words.next()?.to_owned();
        let mut number = || words.next()?.parse().ok();
        Some(Self { service, epoch: number()?, event: number()?, incident: number()? })
    }
}

/// The process that is killed: several committers, each with a service of its own, until then.
#[tokio::test]
async fn commits_until_it_is_killed() {
    let Some(folder) = std::env::var_os("UNDERSTUDY_KILLED") else { return };
    let seed: u64 = std::env::var("UNDERSTUDY_SEED").unwrap().parse().unwrap();
    let announces_first = std::env::var_os("UNDERSTUDY_HASTY").is_some();
    let Opened { store, services, notes } = open(Path::new(&folder));
    // In one piece, so that a line is there in full or not at all.
    let say = |line: String| std::io::stdout().write_all(line.as_bytes()).unwrap();
    for note in notes {
        say(format!("NOTE {note}\n"));
    }
    let commit = |i: u64| {
        let (store, name) = (store.clone(), format!("s{i}"));
        let mut epoch = services.get(&name).map_or(0, |saved| saved.epoch);
        let mut random = fastrand::Rng::with_seed(seed ^ i);
        async move {
            loop {
                epoch += 1;
                let (number, incident, mut writes) = writes(&store, &name, epoch, &mut random);
                let line = format!("ACK {name} {epoch} {number} {incident}\n");
                if announces_first {
                    say(line.clone());
                }
                random.shuffle(&mut writes);
                let outcome = store.commit(writes).await;
                if outcome.is_ok() && !announces_first {
                    say(line);
                }
                for _ in 0..random.usize(..4) {
                    tokio::task::yield_now().await;
                }
            }
        }
    };
    tokio::join!(commit(0), commit(1), commit(2), commit(3));
}

/// A decision, its event, and sometimes more, of all sizes.
fn writes(
    store: &Store,
    name: &str,
    epoch: u64,
    random: &mut fastrand::Rng,
) -> (u64, u64, Vec<Write>) {
    let number = store.next_event();
    let longest = if random.u8(..40) == 0 { 20_000 } else { 200 };
    let fill = "x".repeat(random.usize(..longest));
    let json = format!(r#"{{"service":"{name}","epoch":{epoch},"fill":"{fill}"}}"#);
    let mut writes = vec![service(name, epoch), Write::Event(number, json.as_str().into())];
    let mut incident = 0;
    if random.u8(..4) == 0 {
        incident = store.next_incident();
        writes.push(Write::Incident(incident, json.into()));
    }
    (number, incident, writes)
}

/// What must be so after all that was announced until now.
#[derive(Default)]
struct Known {
    epochs: BTreeMap<String, u64>,
    announced: Vec<Announced>,
}

impl Known {
    fn check(&mut self, opened: &Opened) -> Result<(), String> {
        let Opened { store, services, notes } = opened;
        if let Some(note) = notes.iter().find(|note| !note.ends_with("nothing is remembered yet")) {
            return Err(format!("a note: {note}"));
        }
        for (name, epoch) in &self.epochs {
            let now = services.get(name).map_or(0, |saved| saved.epoch);
            if now < *epoch {
                return Err(format!("{name} went back from {epoch} to {now}"));
            }
        }
        // What may be gone is only what is too old to be kept.
        let events = store.events_after(0, None, usize::MAX);
        let oldest = if events.len() == 10_000 { events[0].number } else { 0 };
        let incidents = store.incidents(usize::MAX);
        let oldest_incident = if incidents.len() == 1_000 { incidents[999].number } else { 0 };
        for it in &self.announced {
            let Announced { service, epoch, event, incident } = it;
            let of_it = |entry: &Entry| {
                let json: serde_json::Value = serde_json::from_str(&entry.json).unwrap();
                json["service"] == **service && json["epoch"] == *epoch
            };
            if services.get(service).is_none_or(|saved| saved.epoch < *epoch) {
                return Err(format!("the decision is gone: {it:?}"));
            }
            let found = store.events_after(event - 1, None, 1);
            let gone = found.first().is_none_or(|found| found.number != *event || !of_it(found));
            if gone && *event >= oldest {
                return Err(format!("the event is gone: {it:?}"));
            }
            let gone = !store.incident(*incident).is_some_and(|found| of_it(&found));
            if *incident != 0 && gone && *incident >= oldest_incident {
                return Err(format!("the incident is gone: {it:?}"));
            }
        }
        // A commit is there in full or not at all.
        for (name, saved) in services {
            if *saved != super::saved(saved.epoch) {
                return Err(format!("{name} is a mix: {saved:?}"));
            }
            let last = store.events_before(u64::MAX, Some(name), 1);
            let json: serde_json::Value = serde_json::from_str(&last[0].json).unwrap();
            if json["epoch"] != saved.epoch {
                return Err(format!(
                    "{name} is at {}, its event at {}",
                    saved.epoch, json["epoch"]
                ));
            }
        }
        self.epochs = services.iter().map(|(name, saved)| (name.clone(), saved.epoch)).collect();
        self.announced.clear();
        Ok(())
    }
}

fn start(folder: &Path, seed: u64, hasty: bool) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = again("kill::commits_until_it_is_killed", "UNDERSTUDY_KILLED", folder);
    command.env("UNDERSTUDY_SEED", seed.to_string());
    if hasty {
        command.env("UNDERSTUDY_HASTY", "");
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    (child, said)
}

/// Kills `kills` processes that go on from one another's file; the first thing that is wrong,
/// and the number of commits that were announced.
async fn kill(kills: u32, mut random: fastrand::Rng, hasty: bool) -> (Result<(), String>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut known = Known::default();
    let mut announced = 0;
    for round in 1..=kills {
        let (mut child, mut said) = start(folder.path(), random.u64(..), hasty);
        let mut lines = String::new();
        // Most are killed while they write, some while they start or mend the file.
        if random.u8(..5) > 0 {
            while !lines.contains("ACK ") {
                assert!(said.read_line(&mut lines).unwrap() > 0, "it ended by itself: {lines}");
            }
            thread::sleep(Duration::from_micros(random.u64(1_000..30_000)));
        } else {
            thread::sleep(Duration::from_micros(random.u64(..30_000)));
        }
        child.kill().unwrap();
        std::io::Read::read_to_string(&mut said, &mut lines).unwrap();
        child.wait().unwrap();
        if let Some(note) = lines
            .lines()
            .find(|line| line.starts_with("NOTE ") && !line.ends_with("nothing is remembered yet"))
        {
            return (Err(format!("kill {round}: {note}")), announced);
        }
        let before = known.announced.len();
        known.announced.extend(lines.lines().filter_map(Announced::parse));
        announced += known.announced.len() - before;
        // Sometimes the next process is the one that finds what this one left.
        if random.u8(..4) == 0 && round != kills {
            continue;
        }
        let opened = open(folder.path());
        if let Err(wrong) = known.check(&opened) {
            return (Err(format!("kill {round}: {wrong}")), announced);
        }
        opened.store.close().await.unwrap();
    }
    (Ok(()), announced)
}

fn seed() -> fastrand::Rng {
    let seed = std::env::var("UNDERSTUDY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("UNDERSTUDY_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

#[test]
fn nothing_announced_is_lost_however_often_we_are_killed() {
    let kills = std::env::var("UNDERSTUDY_KILLS").ok().and_then(|kills| kills.parse().ok());
    let kills: u32 = kills.unwrap_or(200);
    let mut random = seed();
    // Several at once, each with a folder of its own: they wait for the disk most of the time.
    let lanes: Vec<_> = (0..4)
        .map(|lane| {
            let random = random.fork();
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                runtime.unwrap().block_on(kill((kills + lane) / 4, random, false))
            })
        })
        .collect();
    let mut all = 0;
    for lane in lanes {
        let (outcome, announced) = lane.join().unwrap();
        assert_eq!(outcome, Ok(()));
        all += announced;
    }
    println!("{all} commits were announced before {kills} kills");
    // Else it is no test.
    assert!(all > kills as usize, "{all}");
}

#[tokio::test]
async fn who_announces_before_it_is_written_is_found_out() {
    let (outcome, _) = kill(40, seed(), true).await;
    let wrong = outcome.unwrap_err();
    assert!(wrong.contains("is gone") || wrong.contains("went back"), "{wrong}");
    println!("{wrong}");
}
