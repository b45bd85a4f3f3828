//! Tests of the rules, with a made-up clock, and of the threads, with made-up look-ups.

use std::sync::mpsc;

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 80))
}

fn use_of(lasts: &[u8]) -> Advice {
    Advice::Use(lasts.iter().map(|last| address(*last)).collect())
}

fn refused() -> io::Error {
    io::Error::other("no such name")
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

// === The rules ===

/// A book that learned two addresses at the time returned.
fn filled() -> (Book, Instant) {
    let mut book = Book::default();
    let start = Instant::now();
    assert_eq!(book.consult(start), (Advice::Wait, true));
    assert_eq!(book.consult(start), (Advice::Wait, false), "one at a time");
    book.note(Ok(vec![address(1), address(2)]), start);
    (book, start)
}

#[test]
fn addresses_are_used_without_a_word_while_fresh() {
    let (mut book, start) = filled();
    for millis in [0, 1_500, 4_999] {
        assert_eq!(book.consult(start + ms(millis)), (use_of(&[1, 2]), false));
    }
}

#[test]
fn older_ones_are_used_while_they_are_looked_up() {
    let (mut book, start) = filled();
    assert_eq!(book.consult(start + ms(5_000)), (use_of(&[1, 2]), true));
    assert_eq!(book.consult(start + ms(59_000)), (use_of(&[1, 2]), false), "it hangs");
    book.note(Ok(vec![address(3)]), start + ms(59_500));
    assert_eq!(book.consult(start + ms(59_500)), (use_of(&[3]), false));
}

#[test]
fn unconfirmed_ones_are_forgotten_after_a_minute() {
    let (mut book, start) = filled();
    assert_eq!(book.consult(start + ms(5_000)), (use_of(&[1, 2]), true));
    assert_eq!(book.consult(start + ms(60_000)), (Advice::Wait, false));
    book.note(Err(refused()), start + ms(61_000));
    assert_eq!(book.consult(start + ms(61_500)), (Advice::Fail(Failure::of(&refused())), false));
}

#[test]
fn one_that_takes_connections_is_kept_for_as_long_as_it_does() {
    let (mut book, start) = filled();
    for seconds in (6..=600).step_by(6) {
        let now = start + Duration::from_secs(seconds);
        assert!(book.consult(now).1, "each time the last look-up has failed");
        book.note(Err(refused()), now);
        book.worked(address(2), now);
        assert_eq!(book.consult(now), (use_of(&[2, 1]), false));
    }
    book.worked(address(9), start + ms(700_000));
    assert_eq!(book.consult(start + ms(700_000)), (Advice::Wait, true), "9 is none of them");
}

#[test]
fn the_one_that_works_stays_first_while_it_is_one_of_them() {
    let (mut book, start) = filled();
    book.worked(address(2), start);
    book.note(Ok(vec![address(3), address(1), address(2)]), start);
    assert_eq!(book.consult(start).0, use_of(&[2, 3, 1]));
    book.note(Ok(vec![address(1), address(3)]), start);
    assert_eq!(book.consult(start).0, use_of(&[1, 3]));
}

#[test]
fn a_failed_look_up_is_not_repeated_at_once() {
    let mut book = Book::default();
    let start = Instant::now();
    assert_eq!(book.consult(start), (Advice::Wait, true));
    book.note(Ok(Vec::new()), start);
    let (told, looks_up) = book.consult(start + ms(999));
    assert!(!looks_up);
    match told {
        Advice::Fail(failure) => assert_eq!(failure.words, "the name has no address"),
        Advice::Use(_) | Advice::Wait => panic!("{told:?}"),
    }
    assert_eq!(book.consult(start + ms(1_000)), (Advice::Wait, true));
}

#[test]
fn doubt_looks_up_sooner_and_forgets_nothing() {
    let (mut book, start) = filled();
    book.in_doubt = true;
    assert_eq!(book.consult(start + ms(500)), (use_of(&[1, 2]), false), "it has just been done");
    assert_eq!(book.consult(start + ms(1_000)), (use_of(&[1, 2]), true));
    book.note(Ok(vec![address(3)]), start + ms(1_100));
    assert_eq!(book.consult(start + ms(4_000)), (use_of(&[3]), false), "the doubt is over");
}

#[test]
fn what_we_lack_is_told_apart() {
    #[cfg(target_os = "linux")]
    {
        let lack = Failure::of(&io::Error::from_raw_os_error(24)).told("web.example");
        assert!(matches!(lack, ConnectError::Exhausted(_)), "{lack}");
    }
    let unknown = Failure::of(&refused()).told("web.example");
    assert_eq!(unknown.to_string(), "cannot resolve the name: web.example: no such name");
}

// === The threads ===

/// Names whose look-ups, each announced on the first channel, end as told on the second.
fn told() -> (Names, mpsc::Receiver<()>, mpsc::Sender<io::Result<Vec<SocketAddr>>>) {
    let (announce, begun) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    let told = Mutex::new(told);
    let look_up = LookUp::by(move |host, port| {
        assert_eq!((host, port), ("web.example", 80));
        announce.send(()).unwrap();
        let told = told.lock().unwrap_or_else(PoisonError::into_inner);
        told.recv().unwrap_or_else(|_| Err(refused()))
    });
    (Names::new("web.example".into(), 80, look_up), begun, tell)
}

#[tokio::test]
async fn cancelled_callers_start_one_look_up_in_all() {
    let (names, begun, tell) = told();
    for _ in 0..20 {
        let cancelled = tokio::time::timeout(ms(2), names.addresses()).await;
        assert!(cancelled.is_err(), "there is no answer yet");
    }
    begun.recv_timeout(DEADLINE).unwrap();
    tell.send(Ok(vec![address(1)])).unwrap();
    let found = tokio::time::timeout(DEADLINE, names.addresses()).await.unwrap().unwrap();
    assert_eq!(found, [address(1)]);
    assert!(begun.try_recv().is_err(), "a second look-up began");
}

#[tokio::test]
async fn everybody_who_waits_is_told() {
    let (names, _begun, tell) = told();
    let waiting = futures_util::future::join_all((0..10).map(|_| names.addresses()));
    tell.send(Err(refused())).unwrap();
    let ended = tokio::time::timeout(DEADLINE, waiting).await.unwrap();
    assert!(ended.iter().all(|ended| matches!(ended, Err(ConnectError::Resolve(_)))), "{ended:?}");
}

#[tokio::test]
async fn a_hanging_look_up_delays_nobody_who_knows_an_address() {
    let (names, begun, tell) = told();
    tell.send(Ok(vec![address(1)])).unwrap();
    assert_eq!(names.addresses().await.unwrap(), [address(1)]);
    begun.recv_timeout(DEADLINE).unwrap();

    // As if a second had passed: then a doubt begins another look-up.
    names.0.book().ended = None;
    names.doubt();
    begun.recv_timeout(DEADLINE).expect("a look-up begins by itself");
    for _ in 0..3 {
        let at_once = futures_util::FutureExt::now_or_never(names.addresses());
        assert_eq!(at_once.expect("nobody waits").unwrap(), [address(1)]);
    }
    tell.send(Ok(vec![address(2)])).unwrap();
    let changed = async {
        while names.addresses().await.unwrap() != [address(2)] {
            tokio::time::sleep(ms(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, changed).await.expect("the new address is used");
}

#[tokio::test]
async fn the_system_knows_localhost() {
    let names = Names::new("localhost".into(), 80, LookUp::system());
    let found = tokio::time::timeout(DEADLINE, names.addresses()).await.unwrap().unwrap();
    assert!(
        !found.is_empty() && found.iter().all(|address| address.ip().is_loopback()),
        "{found:?}"
    );
    assert!(found.iter().all(|address| address.port() == 80));
}
