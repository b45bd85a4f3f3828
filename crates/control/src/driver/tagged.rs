//! Drills of a standby by tagged requests: begun, ended in time or with what forbids them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxy::Tag;
use routing::failover::{self, BackendId};

use super::operate::Next;
use super::{Driver, acknowledged};
use crate::command::CommandError;
use crate::events::Kind;

/// A drill of a standby by tagged requests.
pub(super) struct Tagged {
    pub(super) backend: BackendId,
    pub(super) tag: Arc<str>,
    pub(super) until: Instant,
    /// What had been answered to tagged requests before, by class.
    before: [u64; 5],
}

impl Driver {
    pub(super) async fn begin_tagged_drill(
        &mut self,
        tag: Tag,
        length: Duration,
    ) -> Result<Next, CommandError> {
        let status = self.failover.status();
        if status.drill.is_some() || self.tagged.is_some() {
            return Err(CommandError::Refused(failover::Refusal::Drilling));
        }
        if self.settings.is_exclusive {
            return Err(CommandError::Impossible(
                "moves are exclusive: no two backends may have requests at once".to_owned(),
            ));
        }
        let value = tag.value.as_ref().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let shown = match value {
            Some(value) => format!("{}: {value}", tag.header),
            None => tag.header.to_string(),
        };
        let backend = tag.backend;
        let told = self.forwarders.workers().tag(self.id, Some(tag));
        let told = acknowledged(told, &self.board).await;
        if let Err(lost) = told {
            // Those that have it must not keep it.
            let _ = self.forwarders.workers().tag(self.id, None).await;
            return Err(CommandError::CalledOff(lost.to_string()));
        }
        let until = Instant::now() + length;
        let name = self.name(backend);
        let before = self.board.metrics().counted(&self.name).drilled;
        let tag: Arc<str> = shown.as_str().into();
        self.tagged = Some(Tagged { backend, tag: tag.clone(), until, before });
        let began = Kind::DrillBegan { backend: name.clone(), tag: Some(tag) };
        self.board.record(&self.name, began);
        Ok(Next::done(&format!("requests with {shown} go to {name} for {length:?}")))
    }

    pub(super) async fn end_tagged_drill_in_time(&mut self) {
        if self.tagged.as_ref().is_some_and(|tagged| Instant::now() >= tagged.until) {
            self.end_tagged_drill().await;
        }
    }

    pub(super) async fn end_tagged_drill(&mut self) {
        if let Some(tagged) = self.tagged.take() {
            let told = self.forwarders.workers().tag(self.id, None);
            let _ = acknowledged(told, &self.board).await;
            self.record_tagged_end(&tagged);
            self.board.publish_decision(self.id, self.status());
        }
    }

    /// A standby that becomes active is not drilled any more; the workers know.
    pub(super) fn tag_is_over(&mut self, active: Option<BackendId>) {
        if let Some(tagged) = self.tagged.take_if(|tagged| Some(tagged.backend) == active) {
            self.record_tagged_end(&tagged);
        }
    }

    /// A new plan ends it when the standby is not among its backends, or must not have requests.
    pub(super) async fn end_tagged_drill_unless(&mut self, stay: &[BackendId]) {
        let stays = |tagged: &Tagged| stay.contains(&tagged.backend) && !self.settings.is_exclusive;
        if self.tagged.as_ref().is_some_and(|tagged| !stays(tagged)) {
            self.end_tagged_drill().await;
        }
    }

    fn record_tagged_end(&mut self, tagged: &Tagged) {
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let now = self.board.metrics().counted(&self.name).drilled;
        let counts = now.iter().zip(tagged.before).map(|(now, before)| now.saturating_sub(before));
        let answered = classes.into_iter().zip(counts).filter(|(_, count)| *count > 0);
        let answered: BTreeMap<&str, u64> = answered.collect();
        if !answered.is_empty() {
            self.note_served(tagged.backend);
        }
        let (backend, early) = (self.name(tagged.backend), Instant::now() < tagged.until);
        let answered = Some(answered);
        self.board.record(&self.name, Kind::DrillEnded { backend, early, answered });
    }

    /// The standby to drill.
    pub(super) fn standby(&self, name: Option<&str>) -> Result<BackendId, CommandError> {
        let status = self.failover.status();
        let wanted = name.map(|name| self.backend(name)).transpose()?;
        let mut standbys = status
            .backends
            .iter()
            .filter(|b| Some(b.id) != status.active && wanted.is_none_or(|wanted| wanted == b.id));
        let eligible = standbys.find(|b| b.eligible_since.is_some()).map(|b| b.id);
        eligible.ok_or(CommandError::Refused(failover::Refusal::NoStandby))
    }
}
