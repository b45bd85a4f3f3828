//! A disk that hangs, fails, is full, or whose file goes away.

use std::fs;
use std::sync::atomic::AtomicBool;
use std::sync::{Condvar, Mutex};

use super::*;

/// What a test does to the disk.
#[derive(Default)]
struct Disk {
    hangs: Mutex<bool>,
    changed: Condvar,
    fails: AtomicBool,
    panics: AtomicBool,
}

impl Disk {
    fn set_hanging(&self, hangs: bool) {
        *self.hangs.lock().unwrap() = hangs;
        self.changed.notify_all();
    }

    fn touched(&self) -> Result<(), String> {
        let hangs = self.hangs.lock().unwrap();
        drop(self.changed.wait_while(hangs, |hangs| *hangs).unwrap());
        assert!(!self.panics.load(Ordering::Relaxed), "the database panics");
        match self.fails.load(Ordering::Relaxed) {
            true => Err("No space left on device".to_owned()),
            false => Ok(()),
        }
    }
}

fn open_on(folder: &Path, within: Duration) -> (Opened, Arc<Disk>) {
    let disk = Arc::new(Disk::default());
    let opened = open_over(folder, within, disk.clone());
    (opened, disk)
}

fn open_over(folder: &Path, within: Duration, disk: Arc<Disk>) -> Opened {
    Store::open_with(Some(folder), within, Box::new(move || disk.touched())).unwrap()
}

#[tokio::test]
async fn a_disk_that_hangs_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let (Opened { store, .. }, disk) = open_on(folder.path(), PATIENCE);
    commit(&store, vec![service("web", 1), event(1, "web")]).await;

    disk.set_hanging(true);
    let started = Instant::now();
    let mut first = Box::pin(store.commit(vec![service("web", 2), event(2, "web"), incident(1)]));
    assert!(futures_util::poll!(&mut first).is_pending());
    assert_eq!(numbers(&store.events_after(0, None, 9)), [1, 2], "followers know it already");
    assert_eq!((numbers(&store.incidents(9)), store.incident(1)), (vec![], None), "not yet said");
    assert_eq!(store.health(), None);
    let outcome = first.await;
    assert_eq!(outcome, Err(StateError::Behind("the disk has not answered for 1 s".into())));
    let waited = started.elapsed();
    assert!(waited >= WRITE_WITHIN && waited < 3 * WRITE_WITHIN, "{waited:?}");

    // Everybody else is told at once, and may read.
    let started = Instant::now();
    for epoch in 3..=50 {
        let outcome = store.commit(vec![service("web", epoch), event(epoch, "web")]).await;
        assert!(matches!(outcome, Err(StateError::Behind(_))), "{outcome:?}");
    }
    assert!(started.elapsed() < WRITE_WITHIN, "{:?}", started.elapsed());
    assert_eq!(store.events_after(0, None, 99).len(), 50);
    assert_eq!(numbers(&store.incidents(9)), [1]);
    assert!(store.health().unwrap().contains("has not answered"), "{:?}", store.health());

    // The disk catches up by itself, with the latest.
    disk.set_hanging(false);
    well(&store).await;
    commit(&store, vec![event(51, "web")]).await;
    store.close().await.unwrap();
    let found = open(folder.path());
    assert_eq!(found.services["web"], saved(50));
    assert_eq!(found.store.events_after(0, None, 99).len(), 51);
}

#[tokio::test]
async fn all_who_wait_for_a_disk_that_hangs_are_told_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let (Opened { store, .. }, disk) = open_on(folder.path(), PATIENCE);
    disk.set_hanging(true);
    let started = Instant::now();
    let many = WAITING as u64 + 200;
    let commits: Vec<_> = (1..=many)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(vec![event(number, "web")]).await })
        })
        .collect();
    for commit in commits {
        assert!(matches!(commit.await.unwrap(), Err(StateError::Behind(_))));
    }
    assert!(started.elapsed() < 3 * WRITE_WITHIN, "{:?}", started.elapsed());
    disk.set_hanging(false);
    well(&store).await;
    store.close().await.unwrap();
    let found = open(folder.path()).store.events_after(0, None, usize::MAX);
    assert!(numbers(&found).into_iter().eq(1..=many));
}

#[tokio::test]
async fn a_disk_that_hangs_does_not_keep_a_process_from_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let (Opened { store, .. }, disk) = open_on(folder.path(), PATIENCE);
    disk.set_hanging(true);
    let commit = store.commit(vec![event(1, "web")]);
    assert!(matches!(commit.await, Err(StateError::Behind(_))));
    let started = Instant::now();
    assert!(matches!(store.close().await, Err(StateError::Behind(_))));
    assert!(started.elapsed() < 2 * CLOSE_WITHIN, "{:?}", started.elapsed());
    assert_eq!(store.commit(vec![event(2, "web")]).await, Err(StateError::Closed));
    disk.set_hanging(false);
    let found = Store::open_within(Some(folder.path()), PATIENCE).unwrap();
    assert_eq!(numbers(&found.store.events_after(0, None, 9)), [1]);
}

#[tokio::test]
async fn a_disk_that_hangs_does_not_keep_a_process_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).store;
    commit(&store, vec![service("web", 1)]).await;
    store.close().await.unwrap();

    let disk = Arc::new(Disk::default());
    disk.set_hanging(true);
    let within = Duration::from_millis(50);
    let Opened { store, services, notes } = open_over(folder.path(), within, disk.clone());
    assert!(services.is_empty());
    assert!(notes[0].contains("has not answered"), "{notes:?}");
    assert!(store.health().unwrap().contains("will not survive a restart"));
    assert!(matches!(store.commit(vec![event(1, "web")]).await, Err(StateError::Behind(_))));
    assert_eq!(numbers(&store.events_after(0, None, 9)), [1]);

    // Whoever opened it too late lets go of it.
    disk.set_hanging(false);
    let found = Store::open_within(Some(folder.path()), PATIENCE).unwrap();
    assert_eq!(found.services["web"], saved(1));
}

#[tokio::test]
async fn a_disk_that_fails_is_tried_again_until_it_has_the_latest() {
    for panics in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (Opened { store, .. }, disk) = open_on(folder.path(), PATIENCE);
        commit(&store, vec![service("web", 1), service("db", 1), event(1, "web")]).await;
        let (flag, words) = match panics {
            true => (&disk.panics, "the database gave up: the database panics"),
            false => (&disk.fails, "No space left on device"),
        };
        flag.store(true, Ordering::Relaxed);
        let started = Instant::now();
        let outcome = store.commit(vec![service("web", 2), event(2, "web")]).await;
        assert_eq!(outcome, Err(StateError::Behind(words.into())));
        let outcome = store.commit(vec![service("web", 3), Write::Forget("db".into())]).await;
        assert_eq!(outcome, Err(StateError::Behind(words.into())));
        assert!(started.elapsed() < WRITE_WITHIN, "{:?}", started.elapsed());
        assert!(store.health().unwrap().contains(words), "{:?}", store.health());
        assert_eq!(numbers(&store.events_after(0, None, 9)), [1, 2]);

        flag.store(false, Ordering::Relaxed);
        well(&store).await;
        store.close().await.unwrap();
        let found = open(folder.path());
        assert_eq!(found.services, [("web".to_owned(), saved(3))].into());
        assert_eq!(numbers(&found.store.events_after(0, None, 9)), [1, 2]);
    }
}

#[tokio::test]
async fn a_close_that_cannot_write_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (Opened { store, .. }, disk) = open_on(folder.path(), PATIENCE);
    disk.fails.store(true, Ordering::Relaxed);
    store.commit(vec![event(1, "web")]).await.unwrap_err();
    let outcome = store.close().await;
    assert_eq!(outcome, Err(StateError::Behind("No space left on device".into())));
    assert!(open(folder.path()).store.events_after(0, None, 9).is_empty());
}

/// No trick: the kernel lets files grow no more, and later lets them again.
#[test]
fn a_disk_without_room() {
    let folder = tempfile::tempdir().unwrap();
    // The signal that comes with it is ignored by who starts the program, as a service manager
    // would: here there is no way to.
    let output = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "state::tests::faults::runs_out_of_room", "--nocapture"])
        .env("UNDERSTUDY_FULL", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.contains("was here"), "{said}");
}

#[tokio::test]
async fn runs_out_of_room() {
    let Some(folder) = std::env::var_os("UNDERSTUDY_FULL") else { return };
    let folder = Path::new(&folder);
    let Opened { store, .. } = open(folder);
    let large = |number: u64| {
        let json = format!(r#"{{"service":"web","fill":"{}"}}"#, "x".repeat(100_000));
        Write::Event(number, json.into())
    };
    commit(&store, vec![service("web", 1), large(1)]).await;
    let (soft, hard) = rlimit::Resource::FSIZE.get().unwrap();
    rlimit::setrlimit(rlimit::Resource::FSIZE, 1 << 20, hard).unwrap();
    let mut number = 1;
    while !store.health().is_some_and(|words| words.contains("File too large")) {
        number += 1;
        assert!(number < 100, "there is room yet");
        let _ = store.commit(vec![service("web", number), large(number)]).await;
    }
    // It is tried again, to no avail, and nothing is set aside for it.
    tokio::time::sleep(2 * writer::RETRY_AFTER).await;
    assert!(store.health().is_some());
    number += 1;
    store.commit(vec![service("web", number), large(number)]).await.unwrap_err();

    // A successor that starts meanwhile reads all that is there, and waits for room as well.
    store.close().await.unwrap_err();
    let Opened { store, services, notes } = open(folder);
    assert!(services["web"].epoch >= 1 && services["web"].epoch < number, "{services:?}");
    assert!(aside(folder).is_empty(), "{notes:?}");
    let _ = store.commit(vec![service("web", number), large(number)]).await;

    rlimit::setrlimit(rlimit::Resource::FSIZE, soft, hard).unwrap();
    well(&store).await;
    store.close().await.unwrap();
    let Opened { store, services, notes } = open(folder);
    assert_eq!(notes, [""; 0]);
    assert_eq!(services["web"], saved(number));
    assert_eq!(numbers(&store.events_before(u64::MAX, None, 1)), [number]);
    println!("was here");
}

#[tokio::test]
async fn a_file_that_goes_away_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path());
    let Opened { store, .. } = open(folder.path());
    commit(&store, vec![service("web", 1), event(1, "web"), incident(1)]).await;
    commit(&store, vec![service("db", 1)]).await;

    // Somebody tidies up.
    fs::remove_file(&path).unwrap();
    commit(&store, vec![event(2, "web")]).await;
    let backup = folder.path().join("backup");
    fs::copy(&path, &backup).unwrap();

    // Somebody brings back a backup.
    commit(&store, vec![service("web", 2), Write::Forget("db".into())]).await;
    fs::rename(&backup, &path).unwrap();
    commit(&store, vec![event(3, "web")]).await;

    // Somebody puts something else there.
    let text = folder.path().join("text");
    fs::write(&text, "not ours").unwrap();
    fs::rename(&text, &path).unwrap();
    commit(&store, vec![event(4, "web")]).await;
    assert_eq!(fs::read(&aside(folder.path())[0]).unwrap(), b"not ours");

    store.close().await.unwrap();
    let Opened { store, services, notes } = open(folder.path());
    assert_eq!(notes, [""; 0]);
    assert_eq!(services, [("web".to_owned(), saved(2))].into());
    assert_eq!(numbers(&store.events_after(0, None, 9)), [1, 2, 3, 4]);
    assert_eq!(numbers(&store.incidents(9)), [1]);
}

#[tokio::test]
async fn a_file_that_goes_away_from_a_disk_that_fails_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (Opened { store, .. }, disk) = open_on(folder.path(), PATIENCE);
    commit(&store, vec![service("web", 1), event(1, "web"), incident(1)]).await;
    disk.fails.store(true, Ordering::Relaxed);
    store.commit(vec![event(2, "web")]).await.unwrap_err();
    fs::remove_file(file(folder.path())).unwrap();
    disk.fails.store(false, Ordering::Relaxed);
    well(&store).await;
    store.close().await.unwrap();
    let Opened { store, services, .. } = open(folder.path());
    assert_eq!(services["web"], saved(1));
    assert_eq!(numbers(&store.events_after(0, None, 9)), [1, 2]);
    assert_eq!(numbers(&store.incidents(9)), [1]);
}

#[tokio::test]
async fn a_folder_that_goes_away_is_made_again() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    let Opened { store, .. } = open(&folder);
    commit(&store, vec![service("web", 1)]).await;
    fs::remove_dir_all(&folder).unwrap();
    commit(&store, vec![service("web", 2)]).await;
    well(&store).await;
    // It is ours alone again.
    assert!(matches!(Store::open(Some(&folder)), Err(StateError::InUse(_))));
    store.close().await.unwrap();
    assert_eq!(open(&folder).services["web"], saved(2));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_again_until_its_parent_is_back() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data/state");
    fs::create_dir(parent.path().join("data")).unwrap();
    let Opened { store, .. } = open(&folder);
    commit(&store, vec![service("web", 1)]).await;
    fs::remove_dir_all(parent.path().join("data")).unwrap();
    store.commit(vec![service("web", 2)]).await.unwrap_err();
    fs::create_dir(parent.path().join("data")).unwrap();
    well(&store).await;
    store.close().await.unwrap();
    assert_eq!(open(&folder).services["web"], saved(2));
}
