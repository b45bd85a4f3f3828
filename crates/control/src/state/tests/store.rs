//! What a store promises, on the disk and in memory alike.

use super::*;

/// The same questions to both kinds. `reopen` forgets what only the memory of a process has.
async fn both(kept_events: usize, kept_incidents: usize, folder: Option<&Path>) {
    let Opened { store, services, .. } = Store::open(folder).unwrap();
    assert!(services.is_empty());
    assert_eq!((store.next_event(), store.next_incident()), (1, 1));
    assert_eq!((store.next_event(), store.next_incident()), (2, 2));

    // One commit for each kind, and everything in one.
    // Also who has nothing to write, or nothing worth it, is answered.
    store.commit(vec![]).await.unwrap();
    commit(&store, vec![service("web", 1), event(1, "web"), incident(1)]).await;
    commit(&store, vec![event(2, "db"), event(3, "web")]).await;
    let global = Write::Event(4, r#"{"number":4,"service":null,"kind":"reloaded"}"#.into());
    commit(&store, vec![global, event(5, "web"), incident(2)]).await;

    assert_eq!(numbers(&store.events_after(0, None, 100)), [1, 2, 3, 4, 5]);
    assert_eq!(numbers(&store.events_after(2, None, 2)), [3, 4]);
    assert_eq!(numbers(&store.events_after(5, None, 9)), [0; 0]);
    assert_eq!(numbers(&store.events_after(u64::MAX, None, 9)), [0; 0]);
    assert_eq!(numbers(&store.events_after(0, Some("web"), 2)), [1, 3]);
    assert_eq!(numbers(&store.events_after(0, Some("mail"), 2)), [0; 0]);
    assert_eq!(numbers(&store.events_before(5, None, 2)), [3, 4]);
    assert_eq!(numbers(&store.events_before(u64::MAX, Some("web"), 2)), [3, 5]);
    assert_eq!(numbers(&store.events_before(0, None, 2)), [0; 0]);
    assert_eq!(numbers(&store.incidents(10)), [2, 1]);
    assert_eq!(numbers(&store.incidents(1)), [2]);
    assert_eq!(&*store.incident(1).unwrap().json, r#"{"id":1}"#);
    assert_eq!(store.incident(3), None);
    assert_eq!(&*store.events_after(1, None, 1)[0].json, {
        r#"{"number":2,"service":"db","kind":"locked"}"#
    });

    // What is written again is replaced.
    commit(&store, vec![Write::Incident(1, r#"{"id":1,"end":2}"#.into())]).await;
    assert_eq!(&*store.incident(1).unwrap().json, r#"{"id":1,"end":2}"#);
    assert_eq!(numbers(&store.incidents(10)), [2, 1]);

    // Only the newest are kept, whatever the order in which they come.
    let last = 5 + kept_events as u64;
    let (odd, even): (Vec<u64>, Vec<u64>) = (6..=last).partition(|number| number % 2 == 1);
    commit(&store, odd.into_iter().map(|number| event(number, "web")).collect()).await;
    commit(&store, even.into_iter().map(|number| event(number, "db")).collect()).await;
    commit(&store, (3..=2 + kept_incidents as u64).map(incident).collect()).await;
    let store = match folder {
        Some(_) => {
            store.close().await.unwrap();
            Store::open(folder).unwrap().store
        }
        None => store,
    };
    let events = numbers(&store.events_after(0, None, usize::MAX));
    assert!(events.into_iter().eq(6..=last));
    let incidents = numbers(&store.incidents(usize::MAX));
    assert!(incidents.into_iter().eq((3..=2 + kept_incidents as u64).rev()));
    assert_eq!(store.health(), None);

    // And what is older than all that is kept does not come back.
    store.commit(vec![event(2, "web"), incident(1)]).await.unwrap();
    assert_eq!(numbers(&store.events_after(0, None, 1)), [6]);
    assert_eq!(store.incident(1), None);
}

#[tokio::test]
async fn on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    both(10_000, 1_000, Some(folder.path())).await;

    // In the file, too, nothing is left of what is too old.
    drop(Store::open_within(Some(folder.path()), PATIENCE).unwrap().store.close().await);
    let file = redb::Database::open(file(folder.path())).unwrap();
    let reading = redb::ReadableDatabase::begin_read(&file).unwrap();
    for (name, kept) in [("events", 10_000), ("incidents", 1_000)] {
        let table = redb::TableDefinition::<u64, &str>::new(name);
        let rows = redb::ReadableTableMetadata::len(&reading.open_table(table).unwrap());
        assert_eq!(rows.unwrap(), kept, "{name}");
    }
}

#[tokio::test]
async fn in_memory() {
    both(1_000, 100, None).await;
}

#[tokio::test]
async fn the_next_process_finds_what_was_committed_and_counts_on() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { store, notes, .. } = open(folder.path());
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].ends_with("nothing is remembered yet"), "{notes:?}");
    commit(&store, vec![service("web", 7), service("db", 8), service("old", 9)]).await;
    commit(&store, vec![event(41, "web"), event(40, "db"), incident(12)]).await;
    commit(&store, vec![service("web", 10), Write::Forget("old".into())]).await;
    commit(&store, vec![Write::Forget("never".into())]).await;
    store.close().await.unwrap();

    let Opened { store, services, notes } = open(folder.path());
    assert_eq!(notes, [""; 0]);
    let expected = [("db".to_owned(), saved(8)), ("web".to_owned(), saved(10))];
    assert_eq!(services, expected.into());
    assert_eq!((store.next_event(), store.next_incident()), (42, 13));
    assert_eq!(numbers(&store.events_after(0, None, 9)), [40, 41]);
}

#[tokio::test]
async fn how_far_notifiers_have_come_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let told = |name: &str, number| Write::Told(name.into(), number);
    let store = open(folder.path()).store;
    assert_eq!((store.last_event(), store.told().len()), (0, 0));
    commit(&store, vec![told("ops", Some(1)), told("chat", Some(2)), told("gone", Some(3))]).await;
    commit(&store, vec![told("ops", Some(4)), told("gone", None), told("never", None)]).await;
    commit(&store, vec![event(7, "web")]).await;
    assert_eq!(&*store.event(7).unwrap().json, &*event_json(7));
    assert_eq!(store.event(6), None);
    store.close().await.unwrap();

    let store = open(folder.path()).store;
    let expected = [("chat".into(), 2), ("ops".into(), 4)];
    assert_eq!((store.last_event(), store.told()), (7, expected.clone().into()));
    // A fresh file gets all of it.
    std::fs::remove_file(file(folder.path())).unwrap();
    commit(&store, vec![event(8, "web")]).await;
    store.close().await.unwrap();
    let store = open(folder.path()).store;
    assert_eq!(store.told(), expected.into());
    store.close().await.unwrap();

    // Older versions have no such table.
    let old = redb::Database::open(file(folder.path())).unwrap();
    let writing = old.begin_write().unwrap();
    assert!(writing.delete_table(redb::TableDefinition::<&str, u64>::new("told")).unwrap());
    writing.commit().unwrap();
    drop(old);
    let Opened { store, notes, .. } = open(folder.path());
    assert_eq!((notes, store.told().len()), (Vec::new(), 0));
    commit(&store, vec![told("ops", Some(9))]).await;
    store.close().await.unwrap();
    assert_eq!(open(folder.path()).store.told(), [("ops".into(), 9)].into());
}

fn event_json(number: u64) -> Arc<str> {
    match event(number, "web") {
        Write::Event(_, json) => json,
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn after_close_nothing_is_written_and_the_folder_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { store, .. } = open(folder.path());
    commit(&store, vec![event(1, "web")]).await;
    let clone = store.clone();
    store.close().await.unwrap();
    assert_eq!(clone.commit(vec![event(2, "web")]).await, Err(StateError::Closed));
    clone.close().await.unwrap();
    assert_eq!(numbers(&clone.events_after(0, None, 9)), [1], "reading goes on");

    let next = open(folder.path()).store;
    assert_eq!(numbers(&next.events_after(0, None, 9)), [1]);

    let memory = Store::open(None).unwrap().store;
    memory.close().await.unwrap();
    assert_eq!(memory.commit(vec![event(1, "web")]).await, Err(StateError::Closed));
}

#[tokio::test]
async fn closing_writes_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).store;
    let commits: Vec<_> = (1..=50)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(vec![event(number, "web")]).await })
        })
        .collect();
    // Lets all of them get as far as waiting for the disk.
    tokio::task::yield_now().await;
    store.close().await.unwrap();
    for commit in commits {
        commit.await.unwrap().unwrap();
    }
    let found = open(folder.path()).store.events_after(0, None, 99);
    assert!(numbers(&found).into_iter().eq(1..=50));
}

#[tokio::test]
async fn a_dropped_store_writes_what_waits_and_lets_go_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).store;
    let mut commit = Box::pin(store.commit(vec![event(1, "web")]));
    let waits = futures_util::poll!(&mut commit);
    assert!(waits.is_pending());
    drop(commit);
    drop(store);
    let next = Store::open_within(Some(folder.path()), PATIENCE).unwrap().store;
    assert_eq!(numbers(&next.events_after(0, None, 9)), [1]);
}

#[tokio::test]
async fn the_latest_of_many_committers_is_what_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).store;
    let committers: Vec<_> = (0..8)
        .map(|i| {
            let store = store.clone();
            tokio::spawn(async move {
                for epoch in 1..=40 {
                    commit(&store, vec![service(&format!("s{i}"), epoch)]).await;
                }
            })
        })
        .collect();
    for committer in committers {
        committer.await.unwrap();
    }
    store.close().await.unwrap();
    let services = open(folder.path()).services;
    assert_eq!(services.len(), 8);
    assert!(services.values().all(|service| *service == saved(40)), "{services:?}");
}
