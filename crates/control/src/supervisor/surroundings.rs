//! What all probers share: one set of witnesses per process, and the programs that may run.

use std::sync::Arc;

use config::model::Witness;
use health::{Surroundings, Witnesses};
use tokio::task::JoinHandle;

use crate::board::Board;

/// The surroundings in force, and who watches their witnesses.
pub(super) struct Shared {
    surroundings: Arc<Surroundings>,
    asked: Vec<Witness>,
    watch: JoinHandle<()>,
}

impl Shared {
    /// Begins to ask these witnesses.
    pub(super) fn start(witnesses: &[Witness], board: &Arc<Board>) -> Self {
        Self::with(Surroundings::new(Witnesses::start(witnesses)), witnesses, board)
    }

    fn with(surroundings: Surroundings, witnesses: &[Witness], board: &Arc<Board>) -> Self {
        board.witnessed_by(witnesses.len());
        let cut_off = surroundings.witnesses.cut_off();
        let watch = tokio::spawn(board.clone().watch_witnesses(cut_off));
        Self { surroundings: Arc::new(surroundings), asked: witnesses.to_vec(), watch }
    }

    /// Asks these from now on, if they are not those asked already.
    pub(super) fn ask(&mut self, witnesses: &[Witness], board: &Arc<Board>) {
        if self.asked != witnesses {
            // The old ones have nothing more to say once the new begin.
            self.watch.abort();
            // Programs that run for the old probers still count.
            let programs = self.surroundings.programs.clone();
            let surroundings = Surroundings { witnesses: Witnesses::start(witnesses), programs };
            *self = Self::with(surroundings, witnesses, board);
        }
    }

    /// For drivers: the same `Arc` as long as nothing has changed.
    pub(super) fn handle(&self) -> Arc<Surroundings> {
        self.surroundings.clone()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
