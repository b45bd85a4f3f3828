//! Notifiers and those they tell.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use config::model::{
    At, BackendUrl, Channel, ExecAction, HttpAction, Notifier, Scheme, Secret, SecretUrl,
    StatusSet, UpstreamTls,
};
use connect::{Destination, KnownNames};
use http::Method;
use metrics::Metrics;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::super::backlog::{Backlog, MOST_WAITING, Skipped};
use super::super::news::DEFAULT;
use super::super::{Notifiers, PlannedNotifier, Times, Way, bodies};
use super::{PATIENCE, news};
use crate::board::Board;
use crate::events::Kind;
use crate::state::{Store, Write};

/// Tries again soon.
const SOON: Times = Times { first: Duration::from_millis(5), longest: Duration::from_millis(20) };

fn board(store: Store) -> Arc<Board> {
    Arc::new(Board::new(Metrics::new(), store))
}

fn notifiers() -> Notifiers {
    Notifiers { times: SOON, ..Notifiers::default() }
}

/// Something to tell, by its words.
fn happens(board: &Board, why: &str) {
    board.record(&"web".into(), Kind::Locked { why: why.into() });
}

pub(super) fn by(name: &str, channel: Channel) -> Notifier {
    Notifier {
        name: name.into(),
        events: Vec::new(),
        services: Vec::new(),
        channel,
        deadline: PATIENCE,
        give_up_after: Duration::from_secs(24 * 60 * 60),
    }
}

pub(super) fn planned(notifier: Notifier, way: Way) -> PlannedNotifier {
    PlannedNotifier { notifier, way, primaries: Arc::default() }
}

pub(super) fn request(address: std::net::SocketAddr) -> (HttpAction, Way) {
    let url = BackendUrl::tcp(Scheme::Http, &address.ip().to_string(), address.port());
    let names = KnownNames::default();
    let way = Destination { url: url.clone(), tls: None, proxy_protocol: None, names };
    let request = HttpAction {
        method: Method::POST,
        at: At::Elsewhere { url, tls: UpstreamTls::default() },
        path: "/".into(),
        headers: Vec::new(),
        body: "".into(),
        status: StatusSet(vec![200..=299]),
        output_bytes: 4096,
    };
    (request, Way::To(Box::new(way)))
}

/// A webhook without a key.
fn hook(name: &str, address: std::net::SocketAddr) -> PlannedNotifier {
    let (request, way) = request(address);
    planned(by(name, Channel::Webhook { request, key: None }), way)
}

/// What a server has been sent: head and body of each request, in order.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<(String, String)>>>);

impl Heard {
    pub(super) fn all(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap().clone()
    }

    /// The words of each event, without what is around them.
    fn words(&self) -> Vec<String> {
        let words = self.all().into_iter().map(|(_, body)| {
            let event: Value = serde_json::from_str(&body).unwrap();
            event["why"].as_str().unwrap_or_default().to_owned()
        });
        words.collect()
    }
}

/// Answers the requests in turn with these, and the last for ever; 0: not at all.
pub(super) async fn server(statuses: &'static [u16]) -> (std::net::SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Heard::default();
    let hears = heard.clone();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let status = statuses[usize::min(number, statuses.len() - 1)];
            tokio::spawn(answer(stream, status, hears.clone()));
        }
    });
    (address, heard)
}

async fn answer(mut stream: TcpStream, status: u16, heard: Heard) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    heard.0.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
    if status == 0 {
        // Until the other side goes.
        let _ = stream.read_u8().await;
        return;
    }
    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 4\r\n\r\nwhy\n");
    let _ = stream.write_all(answer.as_bytes()).await;
}

pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let held = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, held).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// One sample of a scrape.
fn sample(board: &Board, name: &str) -> Option<u64> {
    let scrape = board.metrics().encode();
    let line = scrape.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

fn counted(board: &Board, notifier: &str, outcome: &str) -> Option<u64> {
    let labels = format!(r#"{{notifier="{notifier}",outcome="{outcome}"}}"#);
    sample(board, &format!("understudy_notifications_total{labels}"))
}

/// Who was not told of how much.
fn not_told(board: &Board) -> Vec<(String, u64)> {
    let events = board.events(0).into_iter().filter_map(|event| match event.kind {
        Kind::NotToldOf { notifier, events, .. } => Some((notifier.to_string(), events)),
        _ => None,
    });
    events.collect()
}

#[tokio::test]
async fn events_are_told_in_order_and_again_until_they_are_heard() {
    let board = board(Store::in_memory());
    let (address, heard) = server(&[503, 429, 200]).await;
    let mut plan = hook("ops", address);
    let Channel::Webhook { key, .. } = &mut plan.notifier.channel else { unreachable!() };
    *key = Some(Secret::Plain("secret".into()));
    let mut notifiers = notifiers();
    happens(&board, "before there was a notifier");
    notifiers.follow(&[plan], &board).await;
    for why in ["one", "two", "three"] {
        happens(&board, why);
    }
    until("all are told", || counted(&board, "ops", "sent") == Some(3)).await;
    assert_eq!(heard.words(), ["one", "one", "one", "two", "three"]);
    assert_eq!(counted(&board, "ops", "failed"), Some(2));
    assert_eq!(counted(&board, "ops", "dropped"), Some(0));
    until("nothing waits", || {
        sample(&board, r#"understudy_notifications_behind{notifier="ops"}"#) == Some(0)
    })
    .await;

    let field = |head: &str, name: &str| {
        let value = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.map(str::to_owned)
    };
    let all = heard.all();
    for (head, body) in &all {
        assert!(head.starts_with("POST / HTTP/1.1\r\n"), "{head}");
        assert_eq!(field(head, "content-type").unwrap(), "application/json");
        assert_eq!(field(head, "x-understudy-event").unwrap(), "locked");
        let signature = field(head, "x-understudy-signature").unwrap();
        let seconds = signature.strip_prefix("t=").and_then(|rest| rest.split(',').next()).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.parse().unwrap());
        assert_eq!(signature, bodies::signature(b"secret", at, body.as_bytes()));
    }
    let ids: Vec<_> = all.iter().map(|(head, _)| field(head, "idempotency-key").unwrap()).collect();
    assert_eq!((&ids[0], &ids[0]), (&ids[1], &ids[2]), "the same event");
    assert!(ids[2] != ids[3] && ids[3] != ids[4], "{ids:?}");
    let event: Value = serde_json::from_str(&all[3].1).unwrap();
    assert_eq!(event["text"], "web: locked, no automatic moves until unlocked: two");
}

#[tokio::test]
async fn what_is_refused_is_dropped_and_said_and_the_next_is_told() {
    let board = board(Store::in_memory());
    let (address, heard) = server(&[404, 200]).await;
    let mut notifiers = notifiers();
    notifiers.follow(&[hook("ops", address)], &board).await;
    happens(&board, "one");
    happens(&board, "two");
    until("the second is told", || counted(&board, "ops", "sent") == Some(1)).await;
    assert_eq!(heard.words(), ["one", "two"]);
    assert_eq!(counted(&board, "ops", "dropped"), Some(1));
    assert_eq!(not_told(&board), [("ops".to_owned(), 1)]);
}

#[tokio::test]
async fn notifiers_that_fail_do_not_tell_each_other_for_ever() {
    let board = board(Store::in_memory());
    let (address, _) = server(&[404]).await;
    let mut notifiers = notifiers();
    notifiers.follow(&[hook("a", address), hook("b", address)], &board).await;
    happens(&board, "one");
    for name in ["a", "b"] {
        until("both have dropped", || counted(&board, name, "dropped") == Some(2)).await;
    }
    notifiers.stop().await;
    let mut said = not_told(&board);
    said.sort();
    assert_eq!(said, [("a".to_owned(), 1), ("b".to_owned(), 1)]);
}

#[tokio::test]
async fn what_is_too_old_is_not_told_any_more() {
    let board = board(Store::in_memory());
    let (address, heard) = server(&[200]).await;
    let mut plan = hook("ops", address);
    plan.notifier.give_up_after = Duration::ZERO;
    let mut notifiers = notifiers();
    notifiers.follow(&[plan], &board).await;
    happens(&board, "one");
    until("it is said", || not_told(&board) == [("ops".to_owned(), 1)]).await;
    assert_eq!(counted(&board, "ops", "dropped"), Some(1));
    assert!(heard.all().is_empty());
}

#[tokio::test]
async fn who_cannot_be_reached_gets_it_when_that_is_over() {
    let board = board(Store::in_memory());
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let mut notifiers = notifiers();
    notifiers.follow(&[hook("ops", address)], &board).await;
    happens(&board, "one");
    until("it has failed", || counted(&board, "ops", "failed") >= Some(2)).await;
    let behind = sample(&board, r#"understudy_notifications_behind{notifier="ops"}"#);
    assert_eq!(behind, Some(1));
    assert_eq!(not_told(&board), []);
}

/// A board on a folder.
async fn at(folder: &Path) -> Arc<Board> {
    board(Store::open_within(Some(folder), PATIENCE).unwrap().store)
}

#[tokio::test]
async fn after_a_restart_it_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let before = at(folder.path()).await;
    let (address, heard) = server(&[200, 200, 0]).await;
    let mut notifiers = notifiers();
    notifiers.follow(&[hook("ops", address)], &before).await;
    for why in ["one", "two", "three", "four"] {
        happens(&before, why);
    }
    until("the third is under way", || heard.words().len() == 3).await;
    notifiers.stop().await;
    happens(&before, "five");
    before.close_state().await;
    drop(before);

    let after = at(folder.path()).await;
    let (address, heard) = server(&[200]).await;
    notifiers.follow(&[hook("ops", address)], &after).await;
    happens(&after, "six");
    until("all are told", || counted(&after, "ops", "sent") == Some(4)).await;
    assert_eq!(heard.words(), ["three", "four", "five", "six"]);
}

#[tokio::test]
async fn a_notifier_that_dies_has_kept_what_it_has_told() {
    let folder = tempfile::tempdir().unwrap();
    let before = at(folder.path()).await;
    let (address, heard) = server(&[200, 200, 0]).await;
    let mut dies = notifiers();
    dies.follow(&[hook("ops", address)], &before).await;
    for why in ["one", "two", "three"] {
        happens(&before, why);
    }
    until("the third is under way", || heard.words().len() == 3).await;
    drop(dies);
    before.close_state().await;

    let after = at(folder.path()).await;
    let (address, heard) = server(&[200]).await;
    let mut notifiers = notifiers();
    notifiers.follow(&[hook("ops", address)], &after).await;
    until("the third is told", || counted(&after, "ops", "sent") == Some(1)).await;
    assert_eq!(heard.words(), ["three"]);
}

#[tokio::test]
async fn a_reload_leaves_alone_who_stays_the_same() {
    let board = board(Store::in_memory());
    let (address, heard) = server(&[0, 200]).await;
    let (ops, gone) = (hook("ops", address), hook("gone", address));
    let mut notifiers = notifiers();
    let mut only = gone.clone();
    only.notifier.events = vec!["reloaded".into()];
    notifiers.follow(&[ops.clone(), only], &board).await;
    happens(&board, "one");
    until("it is under way", || heard.words().len() == 1).await;
    assert!(board.store().told().contains_key("gone"));

    let (elsewhere, _) = server(&[200]).await;
    notifiers.follow(&[ops.clone(), hook("new", elsewhere)], &board).await;
    assert!(!board.store().told().contains_key("gone"), "it is forgotten");
    assert!(!board.metrics().encode().contains(r#"notifier="gone""#));
    happens(&board, "two");
    until("the new one tells", || counted(&board, "new", "sent") == Some(1)).await;
    assert_eq!(heard.words(), ["one"], "what was under way goes on");

    // Another one of the same name goes on where that was.
    let mut other = ops.clone();
    other.notifier.deadline *= 2;
    notifiers.follow(&[other], &board).await;
    until("it is told", || counted(&board, "ops", "sent") == Some(2)).await;
    assert_eq!(heard.words(), ["one", "one", "two"]);

    // One that was away begins anew.
    notifiers.follow(&[], &board).await;
    happens(&board, "three");
    notifiers.follow(&[ops], &board).await;
    happens(&board, "four");
    until("the fourth is told", || counted(&board, "ops", "sent") == Some(1)).await;
    assert_eq!(heard.words(), ["one", "one", "two", "four"]);
}

#[tokio::test]
async fn of_too_many_the_oldest_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let board = at(folder.path()).await;
    let (address, _) = server(&[200]).await;
    let notifier = hook("ops", address).notifier;
    for number in 0..MOST_WAITING + 5 {
        happens(&board, &number.to_string());
        // Not for this notifier.
        board.record(&"web".into(), Kind::Verified { epoch: 1 });
    }
    let store = board.store();
    let mut backlog = Backlog::after(0);
    while backlog.read(&store, &notifier) {}
    assert_eq!((backlog.len(), backlog.told()), (MOST_WAITING + 5, 0));
    let next = |backlog: &mut Backlog| {
        let give_up_after = Duration::from_secs(3600);
        let (news, skipped) = backlog.next(&store, give_up_after, SystemTime::now());
        (news.map(|news| news.field("why").to_owned()), skipped)
    };
    let skipped = |events, only_of_notifiers| Skipped { events, only_of_notifiers };
    assert_eq!(next(&mut backlog), (Some("5".into()), skipped(5, false)));
    assert_eq!(next(&mut backlog), (Some("5".into()), skipped(0, true)), "it waits");
    assert_eq!(backlog.told(), 10);
    backlog.done();
    assert_eq!(next(&mut backlog).0.as_deref(), Some("6"));
}

#[tokio::test]
async fn what_is_not_kept_any_more_is_skipped() {
    let board = board(Store::in_memory());
    let (address, _) = server(&[200]).await;
    let notifier = hook("ops", address).notifier;
    let mut backlog = Backlog::after(0);
    happens(&board, "one");
    while backlog.read(&board.store(), &notifier) {}
    // Without a folder only so many are kept.
    for _ in 0..1_000 {
        board.record(&"web".into(), Kind::Verified { epoch: 1 });
    }
    let (news, skipped) = backlog.next(&board.store(), PATIENCE, SystemTime::now());
    assert!(news.is_none());
    assert_eq!(skipped.events, 1);
}

#[test]
fn who_is_told_what() {
    let concerns =
        |notifier: &Notifier, kind, fields| news(1, kind, fields).concerns(notifier, |_| false);
    let mut all = by("ops", Channel::Exec(exec(&[])));
    for (kind, fields, is_told) in [
        ("locked", json!({}), true),
        ("verified", json!({}), false),
        ("reloaded", json!({}), false),
        ("gate_ended", json!({ "outcome": "done" }), false),
        ("gate_ended", json!({ "outcome": "failed" }), true),
        ("job_ended", json!({ "outcome": "cancelled" }), false),
        ("job_ended", json!({ "outcome": "unknown" }), true),
        ("health_changed", json!({ "health": "unknown" }), false),
        ("health_changed", json!({ "health": "down" }), true),
        ("not_told_of", json!({ "notifier": "ops" }), false),
        ("not_told_of", json!({ "notifier": "other" }), true),
    ] {
        assert_eq!(concerns(&all, kind, fields.clone()), is_told, "{kind} {fields}");
    }
    all.services = vec!["db".into()];
    assert!(!concerns(&all, "locked", json!({})));
    assert!(!concerns(&all, "cut_off", json!({ "service": null })), "no service of its own");
    all.services.push("web".into());
    assert!(concerns(&all, "locked", json!({})));
    all.events = vec!["verified".into(), "gate_ended".into()];
    assert!(!concerns(&all, "locked", json!({})));
    assert!(concerns(&all, "verified", json!({})));
    assert!(concerns(&all, "gate_ended", json!({ "outcome": "done" })), "asked for by name");
}

/// The kinds that are told by default are kinds of events.
#[test]
fn what_is_told_by_default_can_happen() {
    let text = include_str!("../../events.rs");
    let (_, kinds) = text.split_once("pub enum Kind {").unwrap();
    let (kinds, _) = kinds.split_once("\n}").unwrap();
    let variants = kinds.lines().filter_map(|line| {
        let name = line.strip_prefix("    ")?.trim_end_matches([' ', '{', ',']);
        name.starts_with(char::is_uppercase).then_some(name)
    });
    let snake = |name: &str| {
        let parts = name.chars().flat_map(|c| {
            let border = c.is_uppercase().then_some('_');
            border.into_iter().chain([c.to_ascii_lowercase()])
        });
        parts.collect::<String>().trim_start_matches('_').to_owned()
    };
    let kinds: Vec<_> = variants.map(snake).collect();
    assert!(kinds.contains(&"dual_active_cleared".to_owned()), "{kinds:?}");
    for kind in DEFAULT {
        assert!(kinds.contains(&kind.to_owned()), "{kind}");
    }
}

/// The page for users lists them, and no others.
#[test]
fn what_is_told_by_default_is_documented() {
    let page = include_str!("../../../../../docs/notifications.md");
    let (_, table) = page.split_once("| kinds | |\n|---|---|\n").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let cells = table.lines().map(|row| row.split('|').nth(1).unwrap());
    let mut listed: Vec<_> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    listed.sort_unstable();
    let mut told = DEFAULT.to_vec();
    told.sort_unstable();
    assert_eq!(listed, told);
}

fn exec(command: &[&str]) -> ExecAction {
    ExecAction {
        command: command.iter().map(|&argument| argument.into()).collect(),
        environment: Vec::new(),
        directory: None,
        output_bytes: 4096,
    }
}

#[tokio::test]
async fn a_program_is_told_by_its_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told");
    let path = file.display();
    let script = format!(
        "printf '%s|%s|%s|' \"$UNDERSTUDY_KIND\" \"$UNDERSTUDY_SERVICE\" \"$1\" >{path}.new; \
         printf '%s\\n%s' \"$UNDERSTUDY_TEXT\" \"$UNDERSTUDY_EVENT\" >>{path}.new; mv {path}.new {path}"
    );
    let action = exec(&["/bin/sh", "-c", &script, "sh", "{service}"]);
    let board = board(Store::in_memory());
    let mut notifiers = notifiers();
    notifiers.follow(&[planned(by("run", Channel::Exec(action)), Way::Other)], &board).await;
    happens(&board, "one");
    until("it is told", || counted(&board, "run", "sent") == Some(1)).await;
    let told = std::fs::read_to_string(&file).unwrap();
    let (head, event) = told.split_once('\n').unwrap();
    assert_eq!(head, "locked|web|web|web: locked, no automatic moves until unlocked: one");
    let event: Value = serde_json::from_str(event).unwrap();
    assert_eq!((&event["kind"], &event["why"]), (&json!("locked"), &json!("one")));
}

#[tokio::test]
async fn slack_is_told_at_a_secret_place() {
    let (address, heard) = server(&[200]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    std::fs::write(&file, format!("http://{address}/T0/hunter2?x\n")).unwrap();
    let to = SecretUrl { url: Secret::File(file), tls: UpstreamTls::default() };
    let board = board(Store::in_memory());
    let mut notifiers = notifiers();
    notifiers.follow(&[planned(by("chat", Channel::Slack(to)), Way::InTheClear)], &board).await;
    happens(&board, "one > two");
    until("it is told", || counted(&board, "chat", "sent") == Some(1)).await;
    let (head, body) = heard.all().remove(0);
    assert!(head.starts_with("POST /T0/hunter2?x HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    let text = r#"{"text":"web: locked, no automatic moves until unlocked: one &gt; two"}"#;
    assert_eq!(body, text);
}

#[tokio::test]
async fn what_slack_says_does_not_tell_its_place() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Says which path it does not know.
        let mut asked = [0; 1024];
        let length = stream.read(&mut asked).await.unwrap();
        let line = String::from_utf8_lossy(&asked[..length]);
        let body = line.lines().next().unwrap();
        let length = body.len();
        let answer = format!("HTTP/1.1 404 Not Found\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let url = Secret::Plain(format!("http://{address}/T0/hunter2?x").into());
    let to = SecretUrl { url, tls: UpstreamTls::default() };
    let plan = planned(by("chat", Channel::Slack(to)), Way::InTheClear);
    let tried = super::super::test(&plan, "me").await;
    assert!(!tried.told);
    assert_eq!(tried.answer, "answered 404: POST (not shown) HTTP/1.1");
}

#[test]
fn what_fails_is_tried_again_soon_and_then_seldom() {
    for (failed, seconds) in [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (1_000, 300)] {
        let pause = Times::default().pause(failed);
        let longest = Duration::from_secs(seconds);
        assert!(pause <= longest && pause >= longest.mul_f64(0.9), "{failed}: {pause:?}");
    }
}

#[tokio::test]
async fn a_new_notifier_is_kept_where_it_begins() {
    let board = board(Store::in_memory());
    happens(&board, "one");
    let (address, _) = server(&[200]).await;
    let mut notifiers = notifiers();
    notifiers.follow(&[hook("ops", address)], &board).await;
    assert_eq!(board.store().told(), [("ops".into(), 1)].into());
    // A state that was set aside begins to count anew.
    board.store().post(Write::Told("ops".into(), Some(99)));
    notifiers.stop().await;
    notifiers.follow(&[hook("ops", address)], &board).await;
    assert_eq!(board.store().told(), [("ops".into(), 1)].into());
}
