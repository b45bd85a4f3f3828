//! Trying again.

use std::fs;
use std::time::Duration;

use config::model::{At, Tries};
use hooks::{About, Outcome};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::{DEADLINE, about, answering, call, party, post, read_request, script};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const NO: &str = "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n";

fn tries(retries: u32) -> Tries {
    Tries { deadline: DEADLINE, retries, back_off: Duration::from_millis(1) }
}

#[tokio::test]
async fn what_says_that_it_failed_is_tried_again_with_the_same_id() {
    let (address, seen) = answering(&[NO, NO, OK]).await;
    let about = About { backend: Some(party("a", address)), ..about() };
    let ended = hooks::run(&call(post()), &about, &tries(5), false).await;
    assert_eq!((ended.outcome, ended.tries), (Outcome::Done, 3), "{ended:?}");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|request| request.contains("idempotency-key: s-41-fence-a\r\n")));
}

#[tokio::test]
async fn it_is_tried_as_often_as_said() {
    let (address, seen) = answering(&[NO]).await;
    let about = About { backend: Some(party("a", address)), ..about() };
    let ended = hooks::run(&call(post()), &about, &tries(2), true).await;
    assert_eq!((ended.outcome, ended.tries), (Outcome::Failed, 3), "{ended:?}");
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn what_may_have_been_done_is_tried_again_only_if_that_does_no_harm() {
    for (idempotent, outcome, tried) in [(false, Outcome::Unknown, 1), (true, Outcome::Done, 2)] {
        let (address, seen) = answering(&["HTTP/1.1 2", OK]).await;
        let about = About { backend: Some(party("a", address)), ..about() };
        let ended = hooks::run(&call(post()), &about, &tries(5), idempotent).await;
        assert_eq!((ended.outcome, ended.tries), (outcome, tried), "{ended:?}");
        assert_eq!(seen.lock().unwrap().len(), tried as usize);
    }
}

#[tokio::test]
async fn what_one_try_may_have_done_is_not_undone_by_one_that_reaches_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(listener);
        read_request(&mut stream).await;
    });
    let about = About { backend: Some(party("a", address)), ..about() };
    let ended = hooks::run(&call(post()), &about, &tries(1), true).await;
    server.await.unwrap();
    assert_eq!((ended.outcome, ended.tries), (Outcome::Unknown, 2), "{ended:?}");
    assert!(ended.words.starts_with("cannot connect"), "{ended:?}");
    assert!(ended.words.ends_with("; an earlier try has reached it"), "{ended:?}");
}

#[tokio::test]
async fn programs_are_tried_again_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tries");
    let path = file.display();
    let text = format!("echo $UNDERSTUDY_ID >>{path}; test $(wc -l <{path}) = 3");
    let ended = hooks::run(&script(&text), &about(), &tries(5), false).await;
    assert_eq!((ended.outcome, ended.tries), (Outcome::Done, 3), "{ended:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "s-41-fence-a\n".repeat(3));
}

#[tokio::test(start_paused = true)]
async fn the_pauses_between_tries_double() {
    let mut request = post();
    request.at = At::From;
    let nobody = About { from: None, ..about() };
    let tries = Tries { back_off: Duration::from_secs(10), ..tries(4) };
    let began = Instant::now();
    let ended = hooks::run(&call(request), &nobody, &tries, false).await;
    assert_eq!((ended.outcome, ended.tries), (Outcome::Unreachable, 5));
    // 10, 20, 40 and 60 seconds, or a tenth less; a paused clock ticks in milliseconds.
    let waited = began.elapsed();
    assert!((117..=131).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(ended.took, waited);
}
