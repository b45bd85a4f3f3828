//! Every way to begin: what is in the folder, and what becomes of it.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use redb::{Database, TableDefinition};
use tempfile::TempDir;

use super::*;

/// A folder whose file remembers a little, and was closed.
async fn remembered() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).store;
    for number in 1..=20 {
        let rows = vec![service("web", number), event(number, "web"), incident(number)];
        commit(&store, rows).await;
    }
    commit(&store, vec![service("db", 3)]).await;
    store.close().await.unwrap();
    folder
}

fn is_all(opened: &Opened) -> bool {
    let services = [("db".to_owned(), saved(3)), ("web".to_owned(), saved(20))];
    let as_written = |entry: &Entry| match event(entry.number, "web") {
        Write::Event(number, json) => *entry == Entry { number, json },
        Write::Service(..) | Write::Forget(_) | Write::Incident(..) | Write::Told(..) => false,
    };
    let events = opened.store.events_after(0, None, 99);
    let incidents = opened.store.incidents(99);
    opened.services == services.into()
        && numbers(&events).into_iter().eq(1..=20)
        && events.iter().all(as_written)
        && numbers(&incidents).into_iter().eq((1..=20).rev())
        && incidents.iter().all(|it| *it.json == *format!(r#"{{"id":{}}}"#, it.number))
}

fn is_nothing(opened: &Opened) -> bool {
    opened.services.is_empty()
        && opened.store.events_after(0, None, 99).is_empty()
        && opened.store.incidents(99).is_empty()
}

/// The store remembers from now on, however it began.
async fn remembers(opened: Opened, folder: &Path) {
    let Opened { store, notes, .. } = opened;
    assert_eq!(store.health(), None, "{notes:?}");
    commit(&store, vec![service("new", 77)]).await;
    store.close().await.unwrap();
    let again = open(folder);
    assert_eq!(again.services["new"], saved(77));
    assert_eq!(again.notes, [""; 0]);
    again.store.close().await.unwrap();
}

/// The store works, says that it will forget, and names the remedy.
async fn forgets(opened: Opened) {
    let Opened { store, notes, .. } = opened;
    let says = |note: &&String| note.contains("will not survive a restart");
    assert!(notes.iter().any(|note| says(&note)), "{notes:?}");
    let health = store.health().unwrap();
    let number = store.next_event();
    let outcome = store.commit(vec![event(number, "web")]).await;
    assert!(matches!(outcome, Err(StateError::Behind(_))), "{outcome:?}, {health}");
    assert_eq!(numbers(&store.events_after(number - 1, None, 9)), [number], "{health}");
    store.close().await.ok();
}

#[tokio::test]
async fn a_folder_that_is_missing_is_made_for_us_alone() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    let opened = open(&folder);
    assert!(opened.notes[0].ends_with("the folder is new"), "{:?}", opened.notes);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&file(&folder)), 0o600);
    assert_eq!(mode(&folder.join("state.lock")), 0o600);
    remembers(opened, &folder).await;
}

#[tokio::test]
async fn a_file_that_was_begun_and_not_finished_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("state.redb.new"), "half a f").unwrap();
    let opened = open(folder.path());
    assert!(aside(folder.path()).is_empty());
    assert!(!folder.path().join("state.redb.new").exists());
    remembers(opened, folder.path()).await;
}

#[tokio::test]
async fn an_empty_file_is_begun_anew() {
    let folder = remembered().await;
    fs::write(file(folder.path()), "").unwrap();
    let opened = open(folder.path());
    assert!(opened.notes[0].contains("was empty"), "{:?}", opened.notes);
    assert!(is_nothing(&opened) && aside(folder.path()).is_empty());
    remembers(opened, folder.path()).await;
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_set_aside() {
    let texts = ["x", "red", "redb", "# A diary\n", &"lorem ipsum ".repeat(100_000)];
    for text in texts {
        let folder = tempfile::tempdir().unwrap();
        fs::write(file(folder.path()), text).unwrap();
        set_aside(folder.path(), "foreign", text.as_bytes()).await;
    }
}

#[tokio::test]
async fn a_database_that_is_not_ours_is_set_aside() {
    const THEIRS: TableDefinition<u64, u64> = TableDefinition::new("theirs");
    const META: TableDefinition<u64, u64> = TableDefinition::new("meta");
    const WORDS: TableDefinition<&str, &str> = TableDefinition::new("meta");
    let fills: [fn(&Database); 4] = [
        |_| {},
        |theirs| {
            let writing = theirs.begin_write().unwrap();
            writing.open_table(THEIRS).unwrap().insert(1, 2).unwrap();
            writing.commit().unwrap();
        },
        |theirs| {
            let writing = theirs.begin_write().unwrap();
            writing.open_table(META).unwrap().insert(1, 2).unwrap();
            writing.commit().unwrap();
        },
        |theirs| {
            let writing = theirs.begin_write().unwrap();
            writing.open_table(WORDS).unwrap().insert("magic", "theirs").unwrap();
            writing.commit().unwrap();
        },
    ];
    for fill in fills {
        let folder = tempfile::tempdir().unwrap();
        let theirs = Database::create(file(folder.path())).unwrap();
        fill(&theirs);
        drop(theirs);
        let bytes = fs::read(file(folder.path())).unwrap();
        set_aside(folder.path(), "foreign", &bytes).await;
    }
}

async fn set_aside(folder: &Path, kind: &str, bytes: &[u8]) {
    let opened = open(folder);
    let aside = aside(folder);
    assert_eq!(aside.len(), 1, "{:?}", opened.notes);
    let name = aside[0].to_string_lossy().into_owned();
    assert!(name.contains(&format!("state.redb.{kind}-20")) && name.ends_with('Z'), "{name}");
    assert!(fs::read(&aside[0]).unwrap() == bytes, "kept as it was");
    assert!(opened.notes[0].contains(&name), "{:?}", opened.notes);
    assert!(opened.notes[1].contains("Epochs go on from the clock"), "{:?}", opened.notes);
    assert!(is_nothing(&opened));
    remembers(opened, folder).await;
}

#[tokio::test]
async fn what_a_newer_version_wrote_stays_as_it_is() {
    const META: TableDefinition<&str, &str> = TableDefinition::new("meta");
    let newer_rows: fn(&Path) = |path| {
        let database = Database::open(path).unwrap();
        let writing = database.begin_write().unwrap();
        writing.open_table(META).unwrap().insert("format", "2").unwrap();
        writing.commit().unwrap();
    };
    let newer_database: fn(&Path) = |path| {
        let mut bytes = fs::read(path).unwrap();
        // The version of redb's own format, in both headers of transactions.
        assert_eq!((bytes[64], bytes[192]), (3, 3));
        (bytes[64], bytes[192]) = (4, 4);
        fs::write(path, bytes).unwrap();
    };
    for make_newer in [newer_rows, newer_database] {
        let folder = remembered().await;
        make_newer(&file(folder.path()));
        let before = fs::read(file(folder.path())).unwrap();
        let opened = open(folder.path());
        assert!(opened.notes[0].contains("written by a newer version"), "{:?}", opened.notes);
        assert!(is_nothing(&opened));
        forgets(opened).await;
        assert!(fs::read(file(folder.path())).unwrap() == before);
        assert!(aside(folder.path()).is_empty());
    }
}

/// Damages `bytes` at many places: nothing but what was written comes back, what is damaged is
/// kept, and the store works.
async fn survives(bytes: &[u8], what: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    fs::write(file(folder.path()), bytes).unwrap();
    let opened = open(folder.path());
    let aside = aside(folder.path());
    let outcome = if is_all(&opened) {
        Outcome::Unharmed
    } else if is_nothing(&opened) {
        Outcome::SetAside
    } else {
        panic!("{what}: {opened:?}");
    };
    assert_eq!(
        aside.len(),
        usize::from(outcome == Outcome::SetAside),
        "{what}: {:?}",
        opened.notes
    );
    if let Some(aside) = aside.first() {
        assert!(fs::read(aside).unwrap() == bytes, "{what}: kept as it was");
    }
    assert_eq!(opened.store.health(), None, "{what}");
    commit(&opened.store, vec![service("new", 77)]).await;
    opened.store.close().await.unwrap();
    outcome
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Unharmed,
    SetAside,
}

#[tokio::test]
async fn a_file_cut_at_any_length_is_set_aside() {
    let folder = remembered().await;
    let bytes = fs::read(file(folder.path())).unwrap();
    let lengths = (1..400).step_by(13).chain((400..bytes.len()).step_by(1_499)).chain([
        bytes.len() - 1,
        bytes.len() / 2,
        4_096,
    ]);
    for length in lengths {
        let outcome = survives(&bytes[..length], &format!("cut at {length}")).await;
        assert_eq!(outcome, Outcome::SetAside, "cut at {length} of {}", bytes.len());
    }
}

#[tokio::test]
async fn a_file_with_any_byte_damaged_is_whole_or_set_aside() {
    let seed = std::env::var("UNDERSTUDY_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("UNDERSTUDY_SEED={seed}");
    let random = fastrand::Rng::with_seed(seed);
    damaged_at_random(random).await;
}

async fn damaged_at_random(mut random: fastrand::Rng) {
    let folder = remembered().await;
    let bytes = fs::read(file(folder.path())).unwrap();
    // Half of the file is nothing; what is not, and what we wrote, is where it matters.
    let written: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let ours = |at: &usize| bytes[*at..].starts_with(br#""kind""#);
    let ours: Vec<_> = (0..bytes.len()).filter(ours).collect();
    let (mut unharmed, mut set_aside) = (0, 0);
    for round in 0..240 {
        let mut damaged = bytes.clone();
        let at = match round % 4 {
            // What everything hangs on.
            0 => random.usize(..320),
            1 => ours[random.usize(..ours.len())] + random.usize(..6),
            2 => written[random.usize(..written.len())],
            _ => random.usize(..bytes.len()),
        };
        let (was, becomes) = (damaged[at], damaged[at] ^ random.u8(1..));
        damaged[at] = becomes;
        match survives(&damaged, &format!("byte {at}: {was} to {becomes}")).await {
            Outcome::Unharmed => unharmed += 1,
            Outcome::SetAside => set_aside += 1,
        }
    }
    println!("{unharmed} unharmed, {set_aside} set aside");
    assert!(unharmed > 0 && set_aside > 0);
}

#[tokio::test]
async fn a_disk_that_breaks_every_file_is_not_filled_with_them() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=20 {
        fs::write(file(folder.path()), "not ours").unwrap();
        let opened = open(folder.path());
        assert_eq!(aside(folder.path()).len(), round, "also within the same second");
        opened.store.close().await.unwrap();
    }
    fs::write(file(folder.path()), "not ours").unwrap();
    let opened = open(folder.path());
    assert!(opened.notes[0].contains("20 files were set aside before"), "{:?}", opened.notes);
    forgets(opened).await;
    assert_eq!(fs::read(file(folder.path())).unwrap(), b"not ours");
}

#[tokio::test]
async fn a_folder_that_cannot_be_is_no_reason_not_to_run() {
    let parent = tempfile::tempdir().unwrap();
    let regular = parent.path().join("regular");
    fs::write(&regular, "").unwrap();
    for folder in [regular.join("state"), regular.clone(), parent.path().join("no/parent")] {
        let opened = open(&folder);
        assert!(is_nothing(&opened));
        forgets(opened).await;
        assert_eq!(fs::read(&regular).unwrap(), b"");
    }
}

#[tokio::test]
async fn what_is_no_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(file(folder.path())).unwrap();
    let opened = open(folder.path());
    assert!(opened.notes[0].contains("state.redb is not a file"), "{:?}", opened.notes);
    forgets(opened).await;
    assert!(file(folder.path()).is_dir());

    // Opening a pipe would wait for somebody at its other end.
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("mkfifo").arg(file(folder.path())).status().unwrap();
    assert!(made.success());
    forgets(open(folder.path())).await;
}

/// Root may write everywhere: this part runs as a user who may not.
#[tokio::test]
async fn a_folder_that_may_only_be_read() {
    let folder = remembered().await;
    let modes = |folder_mode, file_mode| {
        fs::set_permissions(file(folder.path()), Permissions::from_mode(file_mode)).unwrap();
        let lock = folder.path().join("state.lock");
        fs::set_permissions(lock, Permissions::from_mode(file_mode)).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(folder_mode)).unwrap();
    };
    let before = fs::read(file(folder.path())).unwrap();
    // Whether what was remembered can be read, and whether the disk is tried again.
    for (folder_mode, file_mode, expected) in
        [(0o555, 0o444, "all"), (0o555, 0o000, "nothing"), (0o000, 0o444, "nothing")]
    {
        modes(folder_mode, file_mode);
        let mut child =
            again("places::opens_what_may_not_be_written", "UNDERSTUDY_READ", folder.path());
        child.env("UNDERSTUDY_EXPECTED", expected);
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            child.uid(65_534).gid(65_534);
        }
        let output = child.output().unwrap();
        modes(0o755, 0o644);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}{complained}");
        assert!(said.contains("was here"), "{said}");
        assert!(fs::read(file(folder.path())).unwrap() == before);
    }
}

#[tokio::test]
async fn opens_what_may_not_be_written() {
    let Some(folder) = std::env::var_os("UNDERSTUDY_READ") else { return };
    let opened = open(Path::new(&folder));
    match std::env::var("UNDERSTUDY_EXPECTED").unwrap().as_str() {
        "all" => assert!(is_all(&opened), "{:?}", opened.notes),
        _ => assert!(is_nothing(&opened), "{:?}", opened.notes),
    }
    forgets(opened).await;
    println!("was here");
}

/// Another process that has the folder open until its standard input ends.
fn holder(folder: &Path) -> Child {
    let mut child = again("places::holds_the_folder", "UNDERSTUDY_HOLD", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap() == "holds"));
    child
}

#[test]
fn holds_the_folder() {
    let Some(folder) = std::env::var_os("UNDERSTUDY_HOLD") else { return };
    let _opened = open(Path::new(&folder));
    // In one piece, on a line of its own.
    std::io::stdout().write_all(b"\nholds\n").unwrap();
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[tokio::test]
async fn a_folder_that_another_process_has_open_is_left_alone() {
    let folder = remembered().await;
    let mut other = holder(folder.path());
    let in_use = StateError::InUse(folder.path().to_owned());
    assert_eq!(Store::open(Some(folder.path())).err(), Some(in_use.clone()));
    let within = Duration::from_millis(100);
    let started = Instant::now();
    assert_eq!(Store::open_within(Some(folder.path()), within).err(), Some(in_use));
    assert!(started.elapsed() >= within);

    let path = folder.path().to_owned();
    let waits = thread::spawn(move || Store::open_within(Some(&path), PATIENCE));
    drop(other.stdin.take());
    let opened = waits.join().unwrap().unwrap();
    assert!(is_all(&opened), "{:?}", opened.notes);
    other.wait().unwrap();
    assert!(aside(folder.path()).is_empty());

    // Nor does one process open it twice.
    assert!(matches!(Store::open(Some(folder.path())), Err(StateError::InUse(_))));
    remembers(opened, folder.path()).await;
}

#[tokio::test]
async fn somebody_who_has_only_the_file_open_counts_as_well() {
    let folder = remembered().await;
    let theirs = Database::open(file(folder.path())).unwrap();
    assert!(matches!(Store::open(Some(folder.path())), Err(StateError::InUse(_))));
    drop(theirs);
    assert!(is_all(&open(folder.path())));
}

#[tokio::test]
async fn a_process_that_was_killed_holds_nothing() {
    let folder = remembered().await;
    let mut other = holder(folder.path());
    other.kill().unwrap();
    other.wait().unwrap();
    let opened = open(folder.path());
    assert!(is_all(&opened) && opened.notes.is_empty(), "{:?}", opened.notes);
}

#[test]
fn whether_a_folder_could_be_used_is_said_without_touching_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let (new, file) = (folder.path().join("new"), folder.path().join("file"));
    assert_eq!(could_use(folder.path()), Ok(()));
    assert_eq!(could_use(&new), Ok(()));
    assert!(!new.exists());
    fs::write(&file, "").expect("a file");
    assert_eq!(could_use(&file), Err("it is not a folder".to_owned()));
    let why = could_use(&new.join("deep")).expect_err("it has no parent");
    assert!(why.starts_with("it cannot be made in"), "{why}");
}

#[test]
fn only_what_a_first_start_says_is_of_a_first_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let opened = open(&folder.path().join("new"));
    assert_eq!(opened.notes.len(), 2, "{:?}", opened.notes);
    assert!(opened.notes.iter().all(|note| is_of_first_start(note)));
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    let opened = open(&file);
    assert!(!opened.notes.iter().any(|note| is_of_first_start(note)));
}
