//! What happens when a driver does not do as it is told.

use metrics::Metrics;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::command::{Command, Operator};
use crate::state::{SavedService, Store};
use crate::takeover::Scope;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A backend that answers every request with `name`; its line in the config.
async fn backend(name: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // One request comes in one piece; what it says does not matter.
                let _ = stream.read(&mut [0; 1024]).await;
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n";
                let _ = stream.write_all(format!("{head}{name}").as_bytes()).await;
            });
        }
    });
    format!("      - {{ name: {name}, url: \"http://{address}\" }}\n")
}

fn config(backends: &str) -> String {
    format!(
        "workers: 1\nlisteners: [{{ address: \"127.0.0.1:0\" }}]\nservices:\n  web:\n    \
         health: {{ interval: 50ms, confirm_interval: 10ms }}\n    backends:\n{backends}"
    )
}

async fn start(text: &str) -> Supervisor {
    start_from(text, BTreeMap::new()).await
}

async fn start_from(text: &str, saved: BTreeMap<String, SavedService>) -> Supervisor {
    let config = config::load("test.yaml", text, "".as_ref()).unwrap().config;
    let board = Arc::new(Board::new(Metrics::new(), Store::in_memory()));
    let inherited = Inherited::default();
    let started = Supervisor::start(config, Source::default(), board, saved, inherited);
    let mut supervisor = started.await.unwrap();
    // Longer than a driver that does what it is told takes, with all its probes.
    supervisor.driven_within = Duration::from_secs(3);
    supervisor
}

/// The last letter of the answer.
async fn get(supervisor: &Supervisor) -> Option<char> {
    let address = supervisor.listening.load()[0].local.clone();
    let answer = async {
        let mut stream = TcpStream::connect(address.tcp().unwrap()).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    timeout(PATIENCE, answer).await.unwrap().chars().last()
}

#[tokio::test]
async fn what_a_driver_has_not_left_stays_until_it_has() {
    let (a, b) = (backend("a").await, backend("b").await);
    let mut supervisor = start(&config(&format!("{a}{b}"))).await;
    assert_eq!(get(&supervisor).await, Some('a'));

    // From now on the orders for the driver go nowhere.
    let obedient = supervisor.drivers.load_full();
    let (orders, _unread) = mpsc::channel(16);
    let deaf = obedient.iter().map(|(id, driver)| {
        (*id, DriverHandle { name: driver.name.clone(), orders: orders.clone() })
    });
    supervisor.drivers.store(Arc::new(deaf.collect()));
    let only_a = config(&a);
    for _ in 0..2 {
        let error = supervisor.reload(&only_a).await.unwrap_err();
        assert!(matches!(&error, ReloadError::Unfinished { service } if &**service == "web"));
        assert!(!error.is_refusal());
    }
    // The driver knows nothing of the new plan: it may well move to a backend of the old one.
    let driver = &obedient.values().next().unwrap().orders;
    timeout(PATIENCE, switch_over(driver, "b")).await.unwrap();
    assert_eq!(get(&supervisor).await, Some('b'));

    supervisor.drivers.store(obedient);
    supervisor.reload(&only_a).await.unwrap();
    assert_eq!(get(&supervisor).await, Some('a'));
    assert_eq!(supervisor.reload(&only_a).await.unwrap().changes, None);
}

/// Asks until it is done: until the backend is up it is refused.
async fn switch_over(driver: &mpsc::Sender<Order>, backend: &str) {
    loop {
        let (reply, answer) = oneshot::channel();
        let command = Command::Switchover { to: backend.to_owned(), verify: None };
        let by = Operator::local("test");
        driver.send(Order::Command { command, by, reply }).await.unwrap();
        if answer.await.unwrap().is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_driver_that_does_not_end_lets_go_of_the_workers_all_the_same() {
    let mut supervisor = start(&config(&backend("a").await)).await;
    supervisor.driven_within = Duration::from_millis(50);
    let id = *supervisor.tasks.keys().next().unwrap();
    let workers = supervisor.forwarders.clone();
    let stuck = tokio::spawn(async move {
        let _workers = workers;
        std::future::pending::<()>().await;
    });
    let obedient = supervisor.tasks.insert(id, stuck).unwrap();
    supervisor.drivers.store(Arc::default());
    timeout(PATIENCE, obedient).await.unwrap().unwrap();
    supervisor.retire(vec![id]).await;
    assert_eq!(Arc::strong_count(&supervisor.forwarders), 1);
}

#[tokio::test]
async fn a_gate_in_doubt_is_handed_over() {
    let text = config(&(backend("a").await + &backend("b").await));
    let text =
        format!("{text}    gates: {{ failover: {{ promote: {{ http: {{ url: / }} }} }} }}\n");
    let saved: SavedService = serde_json::from_value(serde_json::json!({
        "active": "a", "epoch": 7, "standings": { "a": "standby", "b": "standby" },
        "gate": {
            "epoch": 7, "gate": "promote", "direction": "failover", "backend": "b", "from": "a",
            "to": "b", "reason": "failover",
        },
    }))
    .unwrap();
    let mut supervisor = start_from(&text, [("web".to_owned(), saved.clone())].into()).await;
    let scope = Scope::of(&supervisor.running.config);
    let aside = timeout(PATIENCE, supervisor.stand_aside(&scope)).await.unwrap();
    let handed_over = aside.unwrap_or_else(|why| panic!("{why}")).services.remove("web").unwrap();
    assert!(saved.gate.is_some());
    assert_eq!(handed_over.gate, saved.gate);
}
