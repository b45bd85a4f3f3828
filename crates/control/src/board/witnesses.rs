//! Whether we are cut off, as the witnesses tell: shown, recorded, and a reason not to be ready.
//!
//! Changes no decision: what probes say meanwhile is inconclusive, so everything holds.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::Board;
use crate::events::Kind;
use crate::status::Since;

impl Board {
    /// From now on so many witnesses are asked; nothing is known of what they say.
    pub(crate) fn witnessed_by(&self, witnesses: usize) {
        self.metrics.cut_off(false);
        self.change_process(|process| {
            process.witnesses = witnesses;
            process.cut_off = None;
        });
    }

    /// Notes since when no witness has answered, until nobody says so any more.
    pub(crate) async fn watch_witnesses(
        self: Arc<Self>,
        mut cut_off: watch::Receiver<Option<Instant>>,
    ) {
        loop {
            let since = *cut_off.borrow_and_update();
            self.cut_off(since);
            if cut_off.changed().await.is_err() {
                return;
            }
        }
    }

    fn cut_off(&self, since: Option<Instant>) {
        let process = self.status().process.clone();
        let (before, witnesses) = (process.cut_off, process.witnesses);
        let since = since.map(Since);
        if before == since {
            return;
        }
        self.metrics.cut_off(since.is_some());
        self.change_process(|process| process.cut_off = since);
        let kind = match (before, since) {
            (None, Some(_)) => {
                tracing::error!(witnesses, "cut off: no witness answers, every decision holds");
                Kind::CutOff { witnesses }
            }
            (Some(before), None) => {
                tracing::warn!("a witness answers again");
                Kind::Reconnected { after: Some(before.ago()) }
            }
            (Some(_), Some(_)) | (None, None) => return,
        };
        self.note(None, kind);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics::Metrics;
    use tokio::time::timeout;

    use super::*;
    use crate::state::Store;

    #[tokio::test]
    async fn whoever_is_cut_off_is_not_ready_until_a_witness_answers() {
        let board = Arc::new(Board::new(Metrics::new(), Store::in_memory()));
        board.witnessed_by(3);
        let (say, hear) = watch::channel(None);
        let task = tokio::spawn(board.clone().watch_witnesses(hear));
        let until = |is_cut_off: bool| {
            let mut status = board.subscribe();
            async move {
                let met = status.wait_for(|status| status.process.cut_off.is_some() == is_cut_off);
                timeout(Duration::from_secs(20), met).await.map(drop).expect("it is noted");
            }
        };
        assert_eq!(board.ready(), Ok(()));
        say.send(Some(Instant::now())).expect("it hears");
        until(true).await;
        let why = board.ready().expect_err("cut off");
        assert_eq!(why, "cut off: none of the 3 witnesses answers");
        assert!(board.metrics().encode().contains("\nunderstudy_cut_off 1\n"));
        say.send(None).expect("it hears");
        until(false).await;
        assert_eq!(board.ready(), Ok(()));
        drop(say);
        timeout(Duration::from_secs(20), task).await.expect("it ends").expect("no panic");
        let events: Vec<_> = board.events(0).iter().map(ToString::to_string).collect();
        assert_eq!(events.len(), 2, "{events:?}");
        assert!(events[0].starts_with("cut off: none of the 3 witnesses"), "{events:?}");
        assert!(events[1].starts_with("a witness answers again after"), "{events:?}");
    }
}
