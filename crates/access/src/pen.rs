//! What a worker writes its lines with: a buffer of its own, handed over when it is full or old.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use config::model::{AccessLog, LogTo};

use crate::clock::Clock;
use crate::format::write_line;
use crate::record::{End, Record};
use crate::writer::Writer;

/// A batch is handed over at this size: few enough for the disk, small enough for caches.
const BATCH: usize = 32 * 1024;

/// An access log: how lines look, and where they go. Every worker has a pen for it.
#[derive(Debug)]
pub struct Log {
    settings: AccessLog,
    writer: Arc<Writer>,
}

impl Log {
    /// A log that looks as `settings` say and is written by `writer`.
    #[must_use]
    pub fn new(settings: AccessLog, writer: Arc<Writer>) -> Arc<Self> {
        Arc::new(Self { settings, writer })
    }
}

/// One worker's pen.
#[derive(Debug)]
pub struct Pen {
    log: Arc<Log>,
    frame: Frame,
    buffer: Vec<u8>,
    lines: u64,
    clock: Clock,
}

impl Pen {
    /// A pen for `log`.
    #[must_use]
    pub fn new(log: Arc<Log>) -> Self {
        let frame = Frame::new(log.writer.to(), "access");
        Self { log, frame, buffer: Vec::new(), lines: 0, clock: Clock::new() }
    }

    /// Whether it is one for `log`.
    #[must_use]
    pub fn is_for(&self, log: &Arc<Log>) -> bool {
        Arc::ptr_eq(&self.log, log)
    }

    /// Writes the line of `record`, unless it is left out of a sample.
    pub fn write(&mut self, record: &Record) {
        if !is_chosen(record, self.log.settings.sample) {
            return;
        }
        if self.buffer.capacity() == 0 {
            self.buffer.reserve(BATCH + 4 * 1024);
        }
        self.frame.begin(&mut self.buffer, &mut self.clock, record.began);
        write_line(&mut self.buffer, &self.log.settings, &mut self.clock, record);
        self.lines += 1;
        if self.buffer.len() >= BATCH {
            self.hand_over();
        }
    }

    /// Hands over what there is.
    pub fn hand_over(&mut self) {
        if self.lines > 0 {
            self.log
                .writer
                .write(std::mem::take(&mut self.buffer), std::mem::take(&mut self.lines));
        }
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        self.hand_over();
    }
}

/// Whether a request is written: one that says more than others always.
fn is_chosen(record: &Record, sample: f64) -> bool {
    sample >= 1.0
        || record.blame.is_some()
        || record.end != End::Complete
        || record.status.is_none_or(|status| status.is_server_error())
        || record.steps.len() > 1
        || fastrand::f64() < sample
}

/// Writes lines of one kind, such as events, one at a time.
#[derive(Debug)]
pub struct LineWriter {
    frame: Frame,
    writer: Arc<Writer>,
}

impl LineWriter {
    /// Lines of this `kind`, by `writer`.
    #[must_use]
    pub fn new(writer: Arc<Writer>, kind: &'static str) -> Self {
        Self { frame: Frame::new(writer.to(), kind), writer }
    }

    /// Hands over `line`, which has no line breaks, about something that happened `at`.
    pub fn write(&self, line: &str, at: SystemTime) {
        let mut batch = Vec::with_capacity(line.len() + 128);
        self.frame.begin(&mut batch, &mut Clock::new(), at);
        batch.extend_from_slice(line.as_bytes());
        batch.push(b'\n');
        self.writer.write(batch, 1);
    }
}

/// What stands before each line: nothing, or what syslog wants to know (RFC 5424).
#[derive(Debug)]
enum Frame {
    None,
    Syslog {
        /// Behind the time.
        rest: String,
    },
}

/// Facility local0, severity informational.
const PRIORITY: &str = "<134>1 ";

impl Frame {
    fn new(to: &LogTo, kind: &str) -> Self {
        match to {
            LogTo::Stdout | LogTo::File { .. } => Self::None,
            LogTo::SyslogUnix(_) | LogTo::SyslogUdp(_) => {
                let mut rest = format!(" {} understudy", host_name());
                // Cannot fail: the text grows.
                let _ = write!(rest, " {} {kind} - ", std::process::id());
                Self::Syslog { rest }
            }
        }
    }

    fn begin(&self, out: &mut Vec<u8>, clock: &mut Clock, at: SystemTime) {
        if let Self::Syslog { rest } = self {
            out.extend_from_slice(PRIORITY.as_bytes());
            clock.rfc3339(at, out);
            out.extend_from_slice(rest.as_bytes());
        }
    }
}

/// As the kernel has it; `-` when it does not say, or not in characters that syslog allows.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let is_fine =
        !name.is_empty() && name.len() <= 255 && name.bytes().all(|b| b.is_ascii_graphic());
    if is_fine { name.to_owned() } else { "-".to_owned() }
}
