//! What the backends have executed: their common database, which would show a POST done twice.

use std::sync::{Mutex, PoisonError};

/// How many of the latest POSTs are told apart. A repeat comes within seconds; this is minutes.
const WINDOW: usize = 65_536;

/// Counts how often each POST was executed. It notices repeats; it does not prevent them.
#[derive(Debug)]
pub(super) struct Ledger(Mutex<Book>);

#[derive(Debug)]
struct Book {
    /// The POST with number `id` is in the slot `id % WINDOW`.
    slots: Vec<Option<Slot>>,
    executed: u64,
    twice: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    id: u64,
    executions: u64,
}

impl Ledger {
    /// Nothing executed yet.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Book { slots: vec![None; WINDOW], executed: 0, twice: 0 }))
    }

    /// Writes down one execution of the POST with this number.
    pub(super) fn execute(&self, id: u64) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = (id % WINDOW as u64) as usize;
        let executions = match book.slots[index] {
            Some(slot) if slot.id == id => slot.executions + 1,
            Some(_) | None => 1,
        };
        book.slots[index] = Some(Slot { id, executions });
        match executions {
            1 => book.executed += 1,
            2 => book.twice += 1,
            _more => {}
        }
    }

    /// Different POSTs executed.
    pub(super) fn executed(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).executed
    }

    /// POSTs executed more than once.
    pub(super) fn twice(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).twice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_noticed_once_and_a_reused_slot_is_none() {
        let ledger = Ledger::new();
        ledger.execute(7);
        ledger.execute(8);
        assert_eq!((ledger.executed(), ledger.twice()), (2, 0));
        ledger.execute(7);
        ledger.execute(7);
        assert_eq!((ledger.executed(), ledger.twice()), (2, 1), "three times is one POST repeated");
        ledger.execute(7 + WINDOW as u64);
        assert_eq!((ledger.executed(), ledger.twice()), (3, 1), "another POST in the same slot");
    }
}
