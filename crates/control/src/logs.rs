//! The logs of requests and events: opened before a config is in force, kept while it says the same.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::{LineWriter, Log, OpenError, Writer};
use config::model::{AccessLog, Config, LogTo};
use jiff::Timestamp;
use metrics::{LogCounts, Metrics};
use serde_json::Value;

/// How long the end waits for lines to be written. Disks that hang do not keep a process.
const FLUSHED_WITHIN: Duration = Duration::from_secs(2);

/// What is written of requests and events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logs {
    access: Option<Access>,
    events: Option<Events>,
}

#[derive(Clone, Debug)]
struct Access {
    settings: AccessLog,
    writer: Arc<Writer>,
    log: Arc<Log>,
}

#[derive(Clone, Debug)]
struct Events {
    writer: Arc<Writer>,
    lines: Arc<LineWriter>,
}

impl Logs {
    /// Opens the logs that `config` asks for. Those of `running` that write to the same go on.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub(crate) fn open(
        config: &Config,
        running: &Self,
        metrics: &Metrics,
    ) -> Result<Self, OpenError> {
        let access = match (&config.access_log, &running.access) {
            (None, _) => None,
            (Some(wanted), Some(old)) if *wanted == old.settings => Some(old.clone()),
            (Some(wanted), old) => {
                let writer = old.as_ref().map(|old| &old.writer);
                let writer = same_or_new(&wanted.to, writer, || metrics.access_log())?;
                let log = Log::new(wanted.clone(), writer.clone());
                Some(Access { settings: wanted.clone(), writer, log })
            }
        };
        let events = match (&config.event_log, &running.events) {
            (None, _) => None,
            (Some(wanted), Some(old)) if wanted.to == *old.writer.to() => Some(old.clone()),
            (Some(wanted), _) => {
                let writer = same_or_new(&wanted.to, None, || metrics.event_log())?;
                let lines = Arc::new(LineWriter::new(writer.clone(), "event"));
                Some(Events { writer, lines })
            }
        };
        Ok(Self { access, events })
    }

    /// The access log, for the workers.
    pub(crate) fn access(&self) -> Option<Arc<Log>> {
        self.access.as_ref().map(|access| access.log.clone())
    }

    /// Writes an event that happened `at`, as the API tells it.
    pub(crate) fn tell(&self, mut event: Value, at: SystemTime) {
        let Some(Events { lines, .. }) = &self.events else { return };
        if let Some(fields) = event.as_object_mut() {
            let seconds = fields.get("at_seconds").and_then(Value::as_f64);
            fields.insert("at".to_owned(), seconds.map(timestamp).into());
        }
        lines.write(&event.to_string(), at);
    }

    /// Files that were renamed are left, and opened anew by their names.
    pub(crate) fn reopen(&self) {
        self.writers().for_each(Writer::reopen);
    }

    /// Waits until everything is written: whether it is.
    pub(crate) fn flush(&self) -> bool {
        // Each of them, also after one that did not manage.
        let late = self.writers().filter(|writer| !writer.flush(FLUSHED_WITHIN)).count();
        late == 0
    }

    fn writers(&self) -> impl Iterator<Item = &Writer> {
        let access = self.access.as_ref().map(|access| &*access.writer);
        access.into_iter().chain(self.events.as_ref().map(|events| &*events.writer))
    }
}

fn same_or_new(
    to: &LogTo,
    old: Option<&Arc<Writer>>,
    counts: impl FnOnce() -> Arc<LogCounts>,
) -> Result<Arc<Writer>, OpenError> {
    match old.filter(|old| old.to() == to) {
        Some(old) => Ok(old.clone()),
        None => Writer::open(to, counts()),
    }
}

/// Seconds since 1970 as the API has them in words: to the millisecond.
fn timestamp(seconds: f64) -> String {
    Timestamp::from_millisecond((seconds * 1e3).round() as i64)
        .unwrap_or(Timestamp::MAX)
        .to_string()
}

/// Logs that cannot be written here, in words.
pub(crate) fn lacking(config: &Config) -> Vec<String> {
    let access = config.access_log.as_ref().map(|log| ("access_log", &log.to));
    let events = config.event_log.as_ref().map(|log| ("event_log", &log.to));
    let lacks = |(key, to): (&str, &LogTo)| match to {
        LogTo::File { path, .. } if path.is_dir() => {
            Some(format!("{key}: {} is a folder. Name a file in it", path.display()))
        }
        LogTo::File { path, .. } => {
            let folder = path.parent().filter(|folder| *folder != Path::new(""))?;
            let why =
                format!("{key}: there is no folder {}. Make it before the start", folder.display());
            (!folder.is_dir()).then_some(why)
        }
        LogTo::Stdout | LogTo::SyslogUnix(_) | LogTo::SyslogUdp(_) => None,
    };
    access.into_iter().chain(events).filter_map(lacks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_no_file_to_write_to() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let said = |access: &str, events: &str| {
            let text = format!(
                "listeners: [\"127.0.0.1:0\"]\nservices: {{ web: {{ backends: [\"http://127.0.0.1:1\"] }} }}\n\
                 access_log: {{ to: {access} }}\nevent_log: {{ to: {events} }}\n"
            );
            lacking(&config::load("u.yaml", &text, Path::new("/")).unwrap().config)
        };
        assert_eq!(said(&at("a.log"), &at("b.log")), Vec::<String>::new());
        let (here, gone) = (at(""), at("gone"));
        let here = here.trim_end_matches('/');
        assert_eq!(
            said(here, &format!("{gone}/b.log")),
            [
                format!("access_log: {here} is a folder. Name a file in it"),
                format!("event_log: there is no folder {gone}. Make it before the start"),
            ]
        );
    }
}
