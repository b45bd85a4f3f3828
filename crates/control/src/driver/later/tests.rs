//! A move that was ordered for a time at which nobody ran.

use std::path::Path;

use tokio::time::timeout;

use std::sync::Arc;

use super::*;
use crate::events::Kind;
use crate::handle::{Control, Source};
use crate::state::{SavedMark, SavedService, Store, Write};
use crate::takeover::Inherited;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A state in which a move to `b` was ordered for so long ago.
async fn ordered(folder: &Path, ago: Duration) {
    let mark = SavedMark { who: "alice".into(), why: "at night".into(), ..SavedMark::default() };
    let at_ms = to_ms(SystemTime::now() - ago);
    let scheduled = SavedSwitchover { to: "b".into(), at_ms, verify_ms: 0, mark };
    let saved = SavedService { scheduled: Some(scheduled), ..SavedService::default() };
    let store = Store::open(Some(folder)).unwrap().store;
    store.commit(vec![Write::Service("web".into(), saved.into())]).await.unwrap();
    store.close().await.unwrap();
}

/// Runs from this state, before backends where nobody listens, until something is on record of the
/// order: whether it was carried out, and what came of it.
async fn outcome(folder: &Path) -> (bool, Arc<str>) {
    outcome_with(folder, "127.0.0.1:2").await
}

/// The same, with `b` at this address.
async fn outcome_with(folder: &Path, b: &str) -> (bool, Arc<str>) {
    let text = format!(
        "workers: 1\nstate_dir: \"{}\"\nlisteners: [{{ address: \"127.0.0.1:0\" }}]\nservices:\n  web:\n    \
         health: {{ interval: 50ms, timeout: 20s, confirm_interval: 10ms }}\n    backends:\n      \
         - {{ name: a, url: \"http://127.0.0.1:1\" }}\n      - {{ name: b, url: \"http://{b}\" }}\n",
        folder.display()
    );
    let config = config::load("test.yaml", &text, "".as_ref()).unwrap().config;
    let control = Control::start(config, Source::default(), Inherited::default()).await.unwrap();
    let record = async {
        loop {
            let order = control.events(0).into_iter().find_map(|event| match event.kind {
                Kind::Ordered { command, by, done, outcome } => {
                    assert_eq!(&*command, "switchover to b, ordered before");
                    assert_eq!((&*by.who, &*by.why), ("alice", "at night"));
                    Some((done, outcome))
                }
                _ => None,
            });
            match order {
                Some(order) => return order,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let record = timeout(PATIENCE, record).await.expect("a record");
    assert_eq!(control.status().services[0].scheduled, None);
    record
}

#[tokio::test]
async fn a_move_that_was_missed_is_not_made_late_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    ordered(folder.path(), LATE + Duration::from_secs(60)).await;
    let (done, outcome) = outcome(folder.path()).await;
    assert!(!done && outcome.contains("nobody was running at its time"), "{outcome}");
}

/// Not before something is known of its backend; here that it is down.
#[tokio::test]
async fn a_move_whose_time_has_just_passed_is_tried_once_its_backend_is_known() {
    let folder = tempfile::tempdir().unwrap();
    ordered(folder.path(), Duration::from_secs(1)).await;
    let (done, outcome) = outcome(folder.path()).await;
    assert!(!done && outcome.contains("not eligible"), "{outcome}");
}

/// It was looked at in time, and all the time nothing was known of its backend.
#[tokio::test]
async fn a_move_to_a_backend_that_stays_unknown_says_that_instead() {
    let folder = tempfile::tempdir().unwrap();
    // It takes connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    ordered(folder.path(), LATE - Duration::from_secs(3)).await;
    let b = silent.local_addr().unwrap().to_string();
    let (done, outcome) = outcome_with(folder.path(), &b).await;
    assert!(!done && outcome.contains("nothing was known of b"), "{outcome}");
}

/// What is not on the disk is done, and whoever ordered it knows.
#[tokio::test]
async fn an_order_that_is_not_on_the_disk_says_so() {
    let parent = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "workers: 1\nstate_dir: \"{}/state\"\nlisteners: [{{ address: \"127.0.0.1:0\" }}]\nservices:\n  \
         web:\n    backends: [{{ name: a, url: \"http://127.0.0.1:1\" }}]\n",
        parent.path().display()
    );
    let config = config::load("test.yaml", &text, "".as_ref()).unwrap().config;
    let control = Control::start(config, Source::default(), Inherited::default()).await.unwrap();
    let order = control.command("web", Command::Lock, Operator::local("test"));
    let done = timeout(PATIENCE, order).await.expect("in time").unwrap();
    let unkept = ", but not on the disk yet: a restart may forget it: ";
    assert!(done.text.contains(unkept), "{}", done.text);
}
