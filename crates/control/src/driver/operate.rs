//! What operators order: carried out, answered when it is done, and recorded with who and why.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use proxy::Tag;
use routing::failover::{self, Abort, AdminState, BackendId, Effect, Input, Reason, Settlement};
use tokio::sync::oneshot;

use super::Driver;
use super::gates::leads_to_gate;
use super::keep::mark;
use super::moves::abort_words;
use crate::command::{Command, CommandError, Done, Moved, Operator, ProbeShown};
use crate::events::Kind;
use crate::evidence::{outcome_text, verdict_word};
use crate::status::admin_word;

type Reply = oneshot::Sender<Result<Done, CommandError>>;

/// An operator who waits for a move.
pub(super) struct Asked {
    /// `None`: nobody waits, as for a move that was ordered for later.
    reply: Option<Reply>,
    pub(super) by: Operator,
    /// Who had the traffic; with gates nobody has it right before the move.
    from: Option<BackendId>,
    to: BackendId,
    verify: Duration,
    began: Instant,
    moved: Option<Moved>,
}

impl Driver {
    /// Does what an operator asks.
    pub(super) async fn operate(&mut self, command: Command, by: Operator, reply: Reply) {
        let what = words(&command);
        let result = self.carry_out(command, &by).await;
        let outcome = match &result {
            Ok(Next::Done(done)) => done.text.clone(),
            Ok(Next::Wait) => "begun".to_owned(),
            Err(error) => error.to_string(),
        };
        self.record_order(&what, &by, result.is_ok(), &outcome);
        match result {
            // Whoever asked may be gone; it was carried out all the same.
            Ok(Next::Done(done)) => drop(reply.send(Ok(done))),
            Err(error) => drop(reply.send(Err(error))),
            Ok(Next::Wait) => {
                if let Some(asked) = &mut self.asked {
                    asked.reply = Some(reply);
                }
                // It may be over already.
                self.answer_operator(&[]);
            }
        }
        self.board.publish_decision(self.id, self.status());
    }

    pub(super) fn record_order(&self, command: &str, by: &Operator, done: bool, outcome: &str) {
        let kind = Kind::Ordered {
            command: command.into(),
            by: by.clone(),
            done,
            outcome: outcome.into(),
        };
        self.board.record(&self.name, kind);
    }

    pub(super) async fn carry_out(
        &mut self,
        command: Command,
        by: &Operator,
    ) -> Result<Next, CommandError> {
        if self.aside {
            return Err(CommandError::Impossible(
                "another process has taken over: ask that one".to_owned(),
            ));
        }
        match command {
            Command::Switchover { to, verify } => {
                let to = self.backend(&to)?;
                let verify = verify.unwrap_or(self.settings.verify);
                self.order_move(failover::Command::Switchover { to, verify }, to, verify, by).await
            }
            Command::Failback { verify } => {
                let verify = verify.unwrap_or(self.settings.verify);
                let order = failover::Command::Failback { verify };
                let previewed = self.failover.preview(Instant::now(), &order);
                let moves = previewed.map_err(CommandError::Refused)?.moves;
                let to = moves.and_then(|moves| moves.to).or(self.failover.status().active);
                let to = to.ok_or(CommandError::Refused(failover::Refusal::NotEligible))?;
                self.order_move(order, to, verify, by).await
            }
            Command::SwitchoverAt { to, verify, at } => self.schedule(&to, verify, at, by).await,
            Command::CancelSwitchover => self.cancel_schedule().await,
            Command::Pin => {
                self.check(&failover::Command::Pin)?;
                if !self.failover.status().pinned {
                    self.kept.pin = mark(by, SystemTime::now());
                }
                let active = self.failover.status().active.map(|active| self.name(active));
                let text = format!("stays on {} while that is eligible", named(active.as_deref()));
                self.order(failover::Command::Pin, &text).await
            }
            Command::Unpin => self.order(failover::Command::Unpin, "not pinned any more").await,
            Command::Lock => {
                if !self.failover.status().locked {
                    self.kept.lock = mark(by, SystemTime::now());
                }
                let text = "locked: no automatic move, not even a failover, until unlocked";
                self.order(failover::Command::Lock, text).await
            }
            Command::Unlock => {
                let dual = self.failover.status().dual_active.filter(|dual| !dual.accepted);
                let text = match dual {
                    None => self.unlocked_text(),
                    Some(_) => format!(
                        "automatic moves go on, although {} claim the active role",
                        self.dual_active().join(" and ")
                    ),
                };
                self.order(failover::Command::Unlock, &text).await
            }
            Command::SetAdmin(name, admin) => {
                let backend = self.backend(&name)?;
                self.kept.admin.insert(name.as_str().into(), mark(by, SystemTime::now()));
                let text = admin_text(&name, admin);
                self.order(failover::Command::SetAdmin(backend, admin), &text).await
            }
            Command::Drill { length } => {
                if self.tagged.is_some() {
                    return Err(CommandError::Refused(failover::Refusal::Drilling));
                }
                let text = format!("the active is treated as failed for {length:?}");
                let drill = failover::Command::Drill { length };
                self.check(&drill)?;
                self.drilled_by = Some(by.clone());
                self.order(drill, &text).await
            }
            Command::DrillTagged { backend, header, value, length } => {
                let tag = Tag { header, value, backend: self.standby(backend.as_deref())? };
                self.begin_tagged_drill(tag, length).await
            }
            Command::EndDrill if self.tagged.is_some() => {
                self.end_tagged_drill().await;
                Ok(Next::done("the drill is over"))
            }
            Command::EndDrill => self.order(failover::Command::EndDrill, "the drill is over").await,
            Command::SettleGate(settlement) => {
                let order = failover::Command::SettleGate(settlement);
                self.check(&order)?;
                let text = self.settled_text(settlement);
                self.gate_failed = (settlement == Settlement::Failed).then(|| text.clone());
                let answer = self.order(order, &text).await;
                self.gate_failed = None;
                answer
            }
        }
    }

    /// Whether an order would be carried out.
    fn check(&self, command: &failover::Command) -> Result<(), CommandError> {
        let previewed = self.failover.preview(Instant::now(), command);
        previewed.map(drop).map_err(|why| self.refused(why))
    }

    /// Why the decision refused an order. It calls frozen for two actives what it calls locked; the
    /// operator is told which of both it is.
    fn refused(&self, why: failover::Refusal) -> CommandError {
        if why == failover::Refusal::Locked && !self.failover.status().locked {
            return CommandError::DualActive(self.dual_active().join(" and "));
        }
        CommandError::Refused(why)
    }

    /// An order that is done at once.
    async fn order(
        &mut self,
        command: failover::Command,
        text: &str,
    ) -> Result<Next, CommandError> {
        match self.step(Input::Command(command)).await {
            Some(why) => Err(self.refused(why)),
            None => Ok(self.kept_done(text)),
        }
    }

    /// What was kept is done, and whether a restart may forget it.
    pub(super) fn kept_done(&self, text: &str) -> Next {
        Next::done(&self.with_unkept(text.to_owned()))
    }

    /// An order that moves the traffic, if it is not there already.
    async fn order_move(
        &mut self,
        command: failover::Command,
        to: BackendId,
        verify: Duration,
        by: &Operator,
    ) -> Result<Next, CommandError> {
        // An order that is refused takes nobody's place.
        self.check(&command)?;
        let name = self.name(to);
        self.give_up_on_operator(|| CommandError::CalledOff("another order took its place".into()));
        let is_there = self.failover.status().active == Some(to);
        let pins = matches!(command, failover::Command::Switchover { .. });
        let (by, began) = (by.clone(), Instant::now());
        let before = self.kept.pin.clone();
        if is_there && pins {
            // Else it is pinned once it is there.
            self.kept.pin = mark(&by, SystemTime::now());
        }
        let from = self.failover.status().active;
        self.asked = Some(Asked { reply: None, by, from, to, verify, began, moved: None });
        if let Some(why) = self.step(Input::Command(command)).await {
            self.asked = None;
            self.kept.pin = before;
            return Err(CommandError::Refused(why));
        }
        if is_there {
            self.asked = None;
            let stays = if pins { STAYS } else { "" };
            return Ok(self.kept_done(&format!("{name} has the traffic already{stays}")));
        }
        Ok(Next::Wait)
    }

    /// Tells the operator who waits for a move what became of it.
    pub(super) fn answer_operator(&mut self, effects: &[Effect]) {
        let to_gate = leads_to_gate(effects);
        for effect in effects {
            let Some(asked) = &mut self.asked else { return };
            match *effect {
                Effect::ActiveChanged { from, to, epoch, .. }
                    if to == Some(asked.to) && asked.moved.is_none() =>
                {
                    let name = |id: Option<BackendId>| {
                        id.and_then(|id| self.backends.get(&id)).map(|b| b.plan.name().clone())
                    };
                    let (from, to) = (name(from.or(asked.from)), name(to));
                    asked.moved = Some(Moved { from, to, epoch, verified_after: None });
                    if asked.verify.is_zero() {
                        self.tell_operator();
                    }
                }
                // Only until the gates have ended.
                Effect::ActiveChanged { to: None, .. } if to_gate => {}
                Effect::Barred { backend } if backend == asked.to => {
                    let why = self.failed_gate().unwrap_or("a gate failed").to_owned();
                    self.give_up_on_operator(|| CommandError::CalledOff(why));
                }
                Effect::ActiveChanged { reason, .. } => {
                    let why = match (asked.moved.is_some(), reason) {
                        (true, Reason::Return) => "the new active failed, or gave no good answer",
                        (true, _) => "the new active failed, and so did the old one",
                        (false, _) => "the traffic moved elsewhere before",
                    };
                    let returned = asked.moved.is_some();
                    self.give_up_on_operator(|| match returned {
                        true => CommandError::Returned(why.to_owned()),
                        false => CommandError::CalledOff(why.to_owned()),
                    });
                }
                Effect::Verified { epoch } => {
                    if let Some(moved) = asked.moved.as_mut().filter(|moved| moved.epoch == epoch) {
                        moved.verified_after = Some(asked.began.elapsed());
                        self.tell_operator();
                    }
                }
                Effect::Release { why, .. } => {
                    self.give_up_on_operator(|| CommandError::CalledOff(abort_words(why).into()));
                }
                Effect::Hold { .. }
                | Effect::RunGate { .. }
                | Effect::GateInDoubt { .. }
                | Effect::Barred { .. }
                | Effect::HealthChanged { .. }
                | Effect::ClaimChanged { .. }
                | Effect::DualActive
                | Effect::DualActiveCleared { .. }
                | Effect::AdminChanged { .. }
                | Effect::Locked
                | Effect::Unlocked
                | Effect::DrillBegan { .. }
                | Effect::DrillEnded { .. }
                | Effect::Rejected { .. } => {}
            }
        }
        let is_watched = self.failover.status().verifying.is_some();
        if self.asked.as_ref().is_some_and(|asked| asked.moved.is_some() && !is_watched) {
            self.tell_operator();
        }
    }

    /// The move has been made.
    fn tell_operator(&mut self) {
        let Some(Asked { reply, moved, verify, .. }) = self.asked.take() else { return };
        let Some((reply, moved)) = reply.zip(moved) else { return };
        let (from, to) = (named(moved.from.as_deref()), named(moved.to.as_deref()));
        let mut text = format!("{from} -> {to}, epoch {}", moved.epoch);
        match moved.verified_after {
            Some(after) => text += &format!(", first good answer after {} ms", after.as_millis()),
            None if verify.is_zero() => {}
            None => text += ", no good answer seen yet, and no way back",
        }
        let text = self.with_unkept(text);
        let _ = reply.send(Ok(Done { text, moved: Some(moved) }));
    }

    /// The move has come to nothing.
    fn give_up_on_operator(&mut self, why: impl FnOnce() -> CommandError) {
        if let Some(Asked { reply: Some(reply), .. }) = self.asked.take() {
            let _ = reply.send(Err(why()));
        }
    }

    /// An order ends with its backend, also while it waits for a job or a gate: then nothing is released.
    pub(super) fn look_for_lost_order(&mut self) {
        let Some(asked) = self.asked.as_ref().filter(|asked| asked.moved.is_none()) else { return };
        if !self.failover.is_ordered() {
            let (to, why) = (Some(self.name(asked.to)), abort_words(Abort::HeirLost));
            self.board.record(&self.name, Kind::CalledOff { to, why: why.into(), incident: None });
            self.give_up_on_operator(|| CommandError::CalledOff(why.to_owned()));
        }
    }

    // === A probe to look at ===

    pub(super) fn show_probe(
        &self,
        name: String,
        reply: oneshot::Sender<Result<ProbeShown, CommandError>>,
    ) {
        let watched = self.backend(&name).ok().and_then(|id| self.backends.get(&id));
        let Some(watched) = watched else {
            let _ = reply.send(Err(CommandError::UnknownBackend(name)));
            return;
        };
        let (subject, epoch) = (watched.plan.subject.clone(), self.failover.status().epoch);
        let surroundings = Arc::clone(&self.surroundings);
        // It ends by its own deadline, whoever waits for it.
        tokio::spawn(async move {
            let shown = health::show(subject, epoch, &surroundings).await;
            let _ = reply.send(Ok(ProbeShown {
                verdict: verdict_word(&shown.outcome),
                outcome: outcome_text(&shown.outcome),
                took_ms: (shown.took.as_secs_f64() * 1e6).round() / 1e3,
                exchange: shown.exchange,
            }));
        });
    }

    pub(super) fn backend(&self, name: &str) -> Result<BackendId, CommandError> {
        let status = self.failover.status();
        let mut ids = status.backends.iter().map(|backend| backend.id);
        let found = ids.find(|id| *self.name(*id) == *name);
        found.ok_or_else(|| CommandError::UnknownBackend(name.to_owned()))
    }
}

/// What an order to move to the active comes to.
pub(super) const STAYS: &str = ", and stays there now: pinned until `unpin` or `failback`";

/// What follows from a command.
pub(super) enum Next {
    Done(Done),
    /// A move has begun.
    Wait,
}

impl Next {
    pub(super) fn done(text: &str) -> Self {
        Self::Done(Done { text: text.to_owned(), moved: None })
    }
}

pub(super) fn named(backend: Option<&str>) -> &str {
    backend.unwrap_or("nobody")
}

fn admin_text(name: &str, admin: AdminState) -> String {
    match admin {
        AdminState::Ready => format!("{name} may have the traffic again"),
        AdminState::Drain => format!("{name} gets no new requests; running ones finish"),
        AdminState::Maintenance => format!("{name} is in maintenance"),
    }
}

/// A command, for the record.
fn words(command: &Command) -> String {
    match command {
        Command::Switchover { to, .. } => format!("switchover to {to}"),
        Command::SwitchoverAt { to, at, .. } => {
            let at = jiff::Timestamp::try_from(*at).map(|at| format!("{at:.0}"));
            format!("switchover to {to} at {}", at.unwrap_or_default())
        }
        Command::CancelSwitchover => "cancel the switchover to come".to_owned(),
        Command::Failback { .. } => "failback".to_owned(),
        Command::Pin => "pin".to_owned(),
        Command::Unpin => "unpin".to_owned(),
        Command::Lock => "lock".to_owned(),
        Command::Unlock => "unlock".to_owned(),
        Command::SetAdmin(name, admin) => format!("set {name} to {}", admin_word(*admin)),
        Command::Drill { length } => format!("drill for {length:?}"),
        Command::DrillTagged { header, length, .. } => {
            format!("drill of a standby for {length:?} by {header}")
        }
        Command::EndDrill => "end the drill".to_owned(),
        Command::SettleGate(Settlement::Done) => "the gate in doubt is done".to_owned(),
        Command::SettleGate(Settlement::Failed) => "the gate in doubt has failed".to_owned(),
        Command::SettleGate(Settlement::Again) => "run the gate in doubt again".to_owned(),
    }
}
