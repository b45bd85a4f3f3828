//! What a scheduler remembers, and what it was told to do badly.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use standins::journal::now_ns;

/// How many keys it remembers.
const KEYS: usize = 100;

/// What it can be ordered to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Enable,
    Disable,
    /// Takes the other one's jobs over, which enables all of them.
    Import,
    /// Changes nothing.
    Export,
}

impl Order {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Import => "import",
            Self::Export => "export",
        }
    }
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    Done,
    /// It came with a key that came before.
    Before,
    TooOld,
    /// It was told to.
    Failed,
}

impl Carried {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Done => "carried out",
            Self::Before => "came again",
            Self::TooOld => "too old",
            Self::Failed => "failed",
        }
    }
}

/// What outlives the process.
pub(crate) struct Saved {
    path: PathBuf,
    enabled_since_ns: Cell<Option<u64>>,
    epoch: Cell<u64>,
    keys: RefCell<Vec<String>>,
}

impl Saved {
    /// What was saved; in the first life `enabled`.
    pub(crate) fn read(path: &Path, enabled: bool, disabled_at_start: bool) -> io::Result<Self> {
        let (saved, enabled): (Value, bool) = match fs::read(path) {
            Err(_) => (Value::Null, enabled),
            Ok(bytes) => {
                let saved: Value = serde_json::from_slice(&bytes)?;
                let enabled = saved["enabled"] == true && !disabled_at_start;
                (saved, enabled)
            }
        };
        let keys = saved["keys"].as_array().into_iter().flatten();
        let saved = Self {
            path: path.to_owned(),
            enabled_since_ns: Cell::new(enabled.then(now_ns)),
            epoch: Cell::new(saved["epoch"].as_u64().unwrap_or_default()),
            keys: RefCell::new(keys.filter_map(|key| key.as_str().map(str::to_owned)).collect()),
        };
        saved.write(enabled)?;
        Ok(saved)
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled_since_ns.get().is_some()
    }

    pub(crate) fn enabled_since_ns(&self) -> Option<u64> {
        self.enabled_since_ns.get()
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.get()
    }

    /// All in one go: nothing else happens meanwhile. Without an epoch it is as new as can be.
    pub(crate) fn carry_out(&self, order: Order, epoch: Option<u64>, key: Option<&str>) -> Carried {
        if epoch.is_some_and(|epoch| epoch < self.epoch.get()) {
            return Carried::TooOld;
        }
        if let Some(key) = key {
            let mut keys = self.keys.borrow_mut();
            if keys.iter().any(|known| known == key) {
                return Carried::Before;
            }
            if keys.len() == KEYS {
                keys.remove(0);
            }
            keys.push(key.to_owned());
        }
        self.epoch.set(epoch.unwrap_or_default().max(self.epoch.get()));
        let enabled = match order {
            Order::Enable | Order::Import => true,
            Order::Disable => false,
            Order::Export => self.is_enabled(),
        };
        if self.write(enabled).is_err() {
            return Carried::Failed;
        }
        let since = self.enabled_since_ns.get().unwrap_or_else(now_ns);
        self.enabled_since_ns.set(enabled.then_some(since));
        Carried::Done
    }

    fn write(&self, enabled: bool) -> io::Result<()> {
        let saved =
            json!({ "enabled": enabled, "epoch": self.epoch.get(), "keys": *self.keys.borrow() });
        let new = self.path.with_extension("new");
        fs::write(&new, saved.to_string())?;
        fs::rename(&new, &self.path)
    }
}

/// What an order meets: `{"enable": {"before_ms": 10, "after_ms": 0, "fails": 2}, …}`; how often it fails
/// is counted down in the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Value);

impl Trouble {
    pub(crate) fn of(file: Option<&Path>, order: Order) -> Self {
        let Some(file) = file else { return Self::default() };
        let Ok(mut all) =
            fs::read(file).map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap_or_default())
        else {
            return Self::default();
        };
        let trouble = Self(all[order.word()].clone());
        if let Some(fails) = trouble.0["fails"].as_u64().filter(|fails| *fails > 0) {
            all[order.word()]["fails"] = (fails - 1).into();
            // If that is lost it fails once more, which nobody is surprised by.
            let _ = fs::write(file, all.to_string());
        }
        trouble
    }

    pub(crate) fn before(&self) -> Duration {
        Duration::from_millis(self.0["before_ms"].as_u64().unwrap_or_default())
    }

    pub(crate) fn after(&self) -> Duration {
        Duration::from_millis(self.0["after_ms"].as_u64().unwrap_or_default())
    }

    pub(crate) fn fails(&self) -> bool {
        self.0["fails"].as_u64().unwrap_or_default() > 0
    }
}
