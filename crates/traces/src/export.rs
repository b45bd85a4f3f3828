//! The thread that makes spans of records and sends them: a bounded queue, batches, a few tries.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use access::Record;
use config::model::{Otlp, Traces};
use control::{Control, Ways};
use metrics::Spans;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use crate::request;
use crate::send::{Sent, send};
use crate::span::Span;
use crate::watch::Watch;
use crate::wire::{Resource, request as message};

/// Spans that wait to be sent: about 16 MB, and a minute of a busy site.
const MOST_WAITING: usize = 16_384;
/// Most spans of one message: collectors take up to 4 MiB.
const MOST_TOGETHER: usize = 512;
/// How long a span waits for company.
const COMPANY: Duration = Duration::from_secs(1);
/// How often spans are sent before they are dropped.
const TRIES: u32 = 4;
/// The pause before the second try; doubled for each further one.
const PAUSE: Duration = Duration::from_millis(500);
/// How often switches that are not over are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long a stop waits for what is still to be sent.
const FLUSH: Duration = Duration::from_secs(2);
/// Records that are taken at a time.
const RECORDS: usize = 256;

/// A message under way.
type Sending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The running exporter. Dropping it ends it without a flush.
#[derive(Debug)]
pub struct Exporter {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

/// Starts exporting as `traces` says, on a thread of its own. `None`: nobody is to be sent any spans.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(control: &Control, traces: &Traces) -> io::Result<Option<Exporter>> {
    let Some((otlp, records)) = traces.otlp.clone().zip(control.records()) else { return Ok(None) };
    let host = host();
    let resource = Resource(vec![
        ("service.name", Arc::clone(&traces.service_name)),
        ("service.version", env!("CARGO_PKG_VERSION").into()),
        ("service.instance.id", format!("{host}:{}", std::process::id()).into()),
        ("host.name", host.as_str().into()),
        ("telemetry.sdk.name", "understudy".into()),
        ("telemetry.sdk.language", "rust".into()),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION").into()),
    ]);
    let export = Export {
        otlp: Arc::new(otlp),
        resource: Arc::new(resource),
        ways: control.ways(),
        spans: control.metrics().spans(),
        watch: Watch::new(control.clone(), host.clone()),
        host,
        waiting: VecDeque::new(),
        oldest: Instant::now(),
        sending: None,
    };
    let events = control.follow();
    let (stop, stopped) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("traces".to_owned()).spawn(move || {
        runtime.block_on(export.run(records, events, stopped));
        // A look-up that hangs in the resolver must not keep the thread.
        runtime.shutdown_background();
        let _ = end.send(());
    })?;
    Ok(Some(Exporter { stop, ended }))
}

/// What this machine calls itself.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

impl Exporter {
    /// Sends what is still to be sent, for a moment at most, and ends.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        // A little longer than the thread itself waits, should it hang.
        if tokio::time::timeout(FLUSH + COMPANY, self.ended).await.is_err() {
            tracing::warn!("the exporter of traces did not end in time: not waiting for it");
        }
    }
}

/// What the thread has.
struct Export {
    otlp: Arc<Otlp>,
    resource: Arc<Resource>,
    ways: watch::Receiver<Arc<Ways>>,
    spans: Arc<Spans>,
    watch: Watch,
    host: String,
    waiting: VecDeque<Span>,
    /// Since when the first of those waits.
    oldest: Instant,
    sending: Option<Sending>,
}

impl Export {
    async fn run(
        mut self,
        mut records: mpsc::Receiver<Box<Record>>,
        mut events: broadcast::Receiver<Arc<control::Event>>,
        mut stopped: oneshot::Receiver<()>,
    ) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken = Vec::with_capacity(RECORDS);
        let (mut are_records, mut are_events) = (true, true);
        self.watch.look();
        loop {
            // In no order: a flood of records must not keep what is under way from going on.
            tokio::select! {
                _ = &mut stopped => break,
                count = records.recv_many(&mut taken, RECORDS), if are_records => {
                    are_records = count > 0;
                    self.take(&mut taken);
                }
                event = events.recv(), if are_events => {
                    are_events = !matches!(event, Err(broadcast::error::RecvError::Closed));
                    self.watch.look();
                }
                () = going_on(&mut self.sending) => {}
                _ = ticks.tick() => {
                    if self.watch.is_busy() {
                        let spans = self.watch.take(false).await;
                        self.put(spans);
                    }
                }
            }
            let waits = self.oldest.elapsed() >= COMPANY && !self.waiting.is_empty();
            if self.sending.is_none() && (waits || self.waiting.len() >= MOST_TOGETHER) {
                self.begin();
            }
        }
        let deadline = Instant::now() + FLUSH;
        while let Ok(record) = records.try_recv() {
            taken.push(record);
        }
        self.take(&mut taken);
        self.watch.look();
        let spans = timeout_at(deadline, self.watch.take(true)).await.unwrap_or_default();
        self.put(spans);
        let _ = timeout_at(deadline, self.flush()).await;
        // A message that is given up counts its own.
        self.sending = None;
        self.drop_waiting();
    }

    async fn flush(&mut self) {
        loop {
            if self.sending.is_none() {
                if self.waiting.is_empty() {
                    return;
                }
                self.begin();
            }
            going_on(&mut self.sending).await;
        }
    }

    fn drop_waiting(&mut self) {
        let left = self.waiting.len() as u64;
        if left > 0 {
            self.spans.dropped(left);
            tracing::warn!(spans = left, "stopped before all spans were sent: they are lost");
        }
    }

    #[expect(clippy::vec_box, reason = "boxed they come out of the queue")]
    fn take(&mut self, records: &mut Vec<Box<Record>>) {
        let ways = self.ways.borrow().clone();
        let backend = |service: &str, backend: &str| ways.backend(service, backend).cloned();
        for record in records.drain(..) {
            let spans = request::spans(&record, &self.host, backend);
            self.put(spans);
        }
    }

    /// Has spans wait, if there is room for them.
    fn put(&mut self, spans: Vec<Span>) {
        if self.waiting.len() + spans.len() > MOST_WAITING {
            self.spans.dropped(spans.len() as u64);
            return;
        }
        if self.waiting.is_empty() {
            self.oldest = Instant::now();
        }
        self.waiting.extend(spans);
    }

    /// Begins to send the first that wait.
    fn begin(&mut self) {
        let count = self.waiting.len().min(MOST_TOGETHER);
        let together: Vec<Span> = self.waiting.drain(..count).collect();
        self.oldest = Instant::now();
        let message = message(&self.resource, &together);
        let (otlp, ways) = (Arc::clone(&self.otlp), self.ways.clone());
        let counted = Counted { spans: Arc::clone(&self.spans), count: count as u64 };
        self.sending = Some(Box::pin(try_to_send(otlp, ways, message, counted)));
    }
}

/// Waits for the message under way, for ever when there is none.
async fn going_on(sending: &mut Option<Sending>) {
    match sending {
        Some(under_way) => under_way.await,
        None => return pending().await,
    }
    *sending = None;
}

/// The spans of one message. Those that nobody has said anything of are lost.
struct Counted {
    spans: Arc<Spans>,
    count: u64,
}

impl Counted {
    fn exported(mut self, rejected: u64) {
        let rejected = rejected.min(self.count);
        self.spans.exported(self.count - rejected);
        self.count = rejected;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.spans.dropped(self.count);
    }
}

async fn try_to_send(
    otlp: Arc<Otlp>,
    ways: watch::Receiver<Arc<Ways>>,
    message: Vec<u8>,
    counted: Counted,
) {
    let mut pause = PAUSE;
    for tries in 1..=TRIES {
        // Anew each time: its certificate authority may have been exchanged.
        let Some(collector) = ways.borrow().collector.clone() else { return };
        let (why, after) = match send(&otlp, &collector, &message).await {
            Sent::Taken { rejected } => {
                if rejected > 0 {
                    tracing::warn!(rejected, "the collector did not take all spans");
                }
                return counted.exported(rejected);
            }
            Sent::Refused(why) => (why, None),
            Sent::NotNow(why, after) => (why, Some(after.unwrap_or(pause))),
        };
        counted.spans.failed();
        let (spans, url) = (counted.count, &otlp.url);
        let Some(after) = after.filter(|_| tries < TRIES) else {
            tracing::warn!(collector = %url, spans, tries, %why, "spans are lost: the collector did not take them");
            return;
        };
        tracing::debug!(collector = %url, spans, %why, "sending spans again later");
        sleep(after).await;
        pause *= 2;
    }
}
