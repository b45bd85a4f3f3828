//! The file is watched however it is replaced.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use control::Control;
use tokio::time::timeout;

use crate::harness::{Backend, PATIENCE, config, start_on};

const KEYS: [&str; 4] =
    ["", "failback: manual", "hold: { requests: 7 }", "replay: { attempts: 2 }"];

/// Starts with what the file says, and follows it.
pub(crate) async fn follow(file: &Path) -> Control {
    let text = fs::read_to_string(file).expect("a file");
    let control = start_on(&text, "a").await;
    let follow = control::follow(file, text).expect("a watch");
    tokio::spawn(follow.run(control.clone()));
    control
}

/// Waits for the next event after `seen` whose text contains `text`.
pub(crate) async fn wait_for_event(control: &Control, seen: &mut u64, text: &str) {
    let event = async {
        loop {
            for event in control.events(*seen) {
                *seen = event.number;
                if event.to_string().contains(text) {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let met = timeout(PATIENCE, event).await;
    assert!(met.is_ok(), "no event {text:?}: {:#?}", control.events(0));
}

#[tokio::test]
async fn a_file_written_in_place_or_replaced_by_another_is_loaded() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("understudy.yaml");
    let text = |n: usize| config(&[&a, &b], KEYS[n]);
    fs::write(&file, text(0)).unwrap();
    let control = follow(&file).await;
    let mut seen = 0;

    fs::write(&file, text(1)).unwrap();
    wait_for_event(&control, &mut seen, "reloaded: settings").await;

    let other = folder.path().join(".understudy.yaml.new");
    fs::write(&other, text(2)).unwrap();
    fs::rename(&other, &file).unwrap();
    wait_for_event(&control, &mut seen, "reloaded: settings").await;

    fs::write(&file, "listeners: nonsense").unwrap();
    wait_for_event(&control, &mut seen, "reload refused").await;

    fs::remove_file(&file).unwrap();
    wait_for_event(&control, &mut seen, "cannot read").await;
    fs::write(&file, text(3)).unwrap();
    wait_for_event(&control, &mut seen, "reloaded: settings").await;
}

#[tokio::test]
async fn a_file_that_changed_before_it_was_watched_is_loaded() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("understudy.yaml");
    let text = |n: usize| config(&[&a, &b], KEYS[n]);
    let control = start_on(&text(0), "a").await;
    fs::write(&file, text(1)).unwrap();
    let follow = control::follow(&file, text(0)).unwrap();
    tokio::spawn(follow.run(control.clone()));
    wait_for_event(&control, &mut 0, "reloaded: settings").await;
}

#[tokio::test]
async fn a_mounted_config_map_is_loaded_when_its_link_is_swapped() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let version = |name: &str, n: usize| {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("understudy.yaml"), config(&[&a, &b], KEYS[n])).unwrap();
    };
    version("..1", 0);
    symlink("..1", folder.join("..data")).unwrap();
    symlink("..data/understudy.yaml", folder.join("understudy.yaml")).unwrap();
    let control = follow(&folder.join("understudy.yaml")).await;

    version("..2", 1);
    symlink("..2", folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    wait_for_event(&control, &mut 0, "reloaded: settings").await;
}

#[tokio::test]
async fn a_change_where_a_link_leads_is_loaded() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("checkout").join("web.yaml");
    fs::create_dir(folder.path().join("checkout")).unwrap();
    fs::write(&target, config(&[&a, &b], KEYS[0])).unwrap();
    symlink(&target, folder.path().join("understudy.yaml")).unwrap();
    let control = follow(&folder.path().join("understudy.yaml")).await;
    fs::write(&target, config(&[&a, &b], KEYS[1])).unwrap();
    wait_for_event(&control, &mut 0, "reloaded: settings").await;
}
