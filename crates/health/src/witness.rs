//! Addresses that should answer from here: when none of them does it is we who are cut off.
//!
//! One task asks them all at once, every second and when somebody wants to know, never twice at a
//! time: a round of asking ends with the first answer. What is refused is an answer, too.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::model::{BackendUrl, Scheme, Witness};
use connect::{ConnectError, Connector, Destination};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

/// From one round of asking to the next when nobody wants to know.
const INTERVAL: Duration = Duration::from_secs(1);
/// However many want to know.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
/// No answer within this is none, and nobody waits longer to be told.
const DEADLINE: Duration = Duration::from_secs(1);
/// A round that took longer met a stall of ours, and shows nothing.
const STALLED: Duration = Duration::from_millis(1250);

/// Asks the witnesses, for all probers together. Clones share one.
#[derive(Clone, Debug)]
pub struct Witnesses {
    /// Without it there are no witnesses. The task ends when the last clone is gone.
    asker: Option<Arc<watch::Sender<Option<Instant>>>>,
    known: watch::Receiver<Known>,
    cut_off: watch::Receiver<Option<Instant>>,
}

/// What is known.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// When the last round began that a witness answered.
    answered: Option<Instant>,
    /// When the last round began that none answered.
    silent: Option<Instant>,
    /// When we last ceased to be cut off.
    reconnected: Option<Instant>,
}

impl Witnesses {
    /// Asks `addresses` from now on, on the current tokio runtime, until the last clone is gone; with
    /// none, nobody is asked and we are never cut off.
    #[must_use]
    pub fn start(addresses: &[Witness]) -> Self {
        let (tell, known) = watch::channel(Known::default());
        let (tell_cut_off, cut_off) = watch::channel(None);
        if addresses.is_empty() {
            return Self { asker: None, known, cut_off };
        }
        let (asker, wanted) = watch::channel(None);
        let ways = addresses.iter().map(way_to).collect();
        let task = Task { ways, wanted, tell, tell_cut_off };
        tokio::spawn(task.run());
        Self { asker: Some(Arc::new(asker)), known, cut_off }
    }

    /// Since when no witness has answered, if that is so; changes as it does.
    #[must_use]
    pub fn cut_off(&self) -> watch::Receiver<Option<Instant>> {
        self.cut_off.clone()
    }

    /// Whether we were cut off at any time from `since` on: what was lost then is lost, although a
    /// witness may answer again by now.
    pub(crate) fn cut_off_since(&self, since: Instant) -> bool {
        self.cut_off.borrow().is_some() || self.known.borrow().reconnected >= Some(since)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.asker.is_none()
    }

    /// Whether any witness has answered a try that began at `since` or later; asks them if need be, and
    /// waits for that for a second at most. Without witnesses: yes.
    pub async fn answered_since(&self, since: Instant) -> bool {
        let Some(asker) = &self.asker else { return true };
        let mut known = self.known.clone();
        let is_known = |known: &Known| known.answered >= Some(since) || known.silent >= Some(since);
        if !is_known(&known.borrow_and_update()) {
            asker.send_if_modified(|wanted| {
                let is_newer = *wanted < Some(since);
                *wanted = (*wanted).max(Some(since));
                is_newer
            });
        }
        match timeout(DEADLINE, known.wait_for(is_known)).await {
            Ok(Ok(known)) => known.answered >= Some(since),
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

fn way_to(witness: &Witness) -> Connector {
    let url = BackendUrl::tcp(Scheme::Http, &witness.host, witness.port);
    Connector::new(Destination {
        url,
        tls: None,
        proxy_protocol: None,
        names: connect::KnownNames::default(),
    })
}

struct Task {
    ways: Vec<Connector>,
    wanted: watch::Receiver<Option<Instant>>,
    tell: watch::Sender<Known>,
    tell_cut_off: watch::Sender<Option<Instant>>,
}

/// What a round of asking comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Answer,
    Silence,
    /// We had no means to ask.
    Nothing,
}

impl Task {
    async fn run(mut self) {
        loop {
            let began = Instant::now();
            let mut wanted = self.wanted.clone();
            let heard = tokio::select! {
                heard = ask(&self.ways) => heard,
                () = ended(&mut wanted) => return,
            };
            self.note(began, heard);
            sleep_until((began + SHORTEST_INTERVAL).into()).await;
            let is_wanted = |wanted: &Option<Instant>| *wanted > Some(began);
            let next = sleep_until((began + INTERVAL).into());
            tokio::select! {
                () = next => {}
                wanted = self.wanted.wait_for(is_wanted) => if wanted.is_err() { return },
            }
        }
    }

    fn note(&self, began: Instant, heard: Heard) {
        let heard = if began.elapsed() > STALLED { Heard::Nothing } else { heard };
        match heard {
            Heard::Answer => {
                let reconnected = self.tell_cut_off.borrow().is_some().then(Instant::now);
                self.tell.send_modify(|known| {
                    known.answered = Some(began);
                    known.reconnected = reconnected.or(known.reconnected);
                });
                self.tell_cut_off.send_if_modified(|cut_off| cut_off.take().is_some());
            }
            Heard::Silence => {
                self.tell.send_modify(|known| known.silent = Some(began));
                self.tell_cut_off.send_if_modified(|cut_off| match cut_off {
                    Some(_) => false,
                    None => {
                        *cut_off = Some(began);
                        true
                    }
                });
            }
            // Nobody learns anything, and a failure that may be due to it does not count.
            Heard::Nothing => self.tell.send_modify(|known| known.silent = Some(began)),
        }
    }
}

/// When all that could want to know are gone.
async fn ended(wanted: &mut watch::Receiver<Option<Instant>>) {
    while wanted.changed().await.is_ok() {}
}

/// Asks all at once; the first answer will do.
async fn ask(ways: &[Connector]) -> Heard {
    let mut running: FuturesUnordered<_> = ways.iter().map(ask_one).collect();
    let mut heard = Heard::Silence;
    while let Some(one) = running.next().await {
        match one {
            Heard::Answer => return one,
            Heard::Silence => {}
            Heard::Nothing => heard = one,
        }
    }
    heard
}

async fn ask_one(way: &Connector) -> Heard {
    match way.reach(DEADLINE).await {
        Ok(_) => Heard::Answer,
        Err(ConnectError::Refused(error)) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Heard::Answer,
            _ => Heard::Silence,
        },
        Err(ConnectError::Resolve(_) | ConnectError::Timeout(_) | ConnectError::Tls(_)) => {
            Heard::Silence
        }
        Err(ConnectError::Exhausted(_)) => Heard::Nothing,
    }
}
