//! What becomes of the streams that a move leaves behind: which policy holds, and what came of it.
//!
//! Closes nothing: the workers do.

use std::time::{Duration, Instant};

use config::model::{StreamPolicies, StreamPolicy};
use routing::failover::{AdminState, BackendStatus, Claim, Health, Reason, Role, Wish};

use crate::events::Kind;

/// How long a stream may take to end once it has been told to: a WebSocket waits for the end of a
/// frame and for the client's goodbye.
const GOODBYE: Duration = Duration::from_secs(6);

/// From one look at the count to the next while streams say goodbye.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Moves whose streams are still watched. More only when a service flaps; then the oldest is written
/// down early.
const MOST: usize = 16;

/// Whether a move away from `left` for this reason leaves somebody who works. Whoever is only to be
/// drained is not fled from: what runs there shall finish.
pub(crate) fn is_planned(reason: Reason, left: Option<&BackendStatus>) -> bool {
    match reason {
        Reason::Failover => left.is_some_and(is_drained),
        Reason::Startup
        | Reason::Failback
        | Reason::Recovery
        | Reason::Switchover
        | Reason::Reload
        | Reason::Return
        | Reason::Drill => true,
    }
}

/// The policy for such a move.
pub(crate) fn policy(policies: StreamPolicies, is_planned: bool) -> StreamPolicy {
    if is_planned { policies.failback } else { policies.failover }
}

/// Whether it is up, and whoever takes it out lets it finish its work.
fn is_drained(backend: &BackendStatus) -> bool {
    let Claim { role, wish } = backend.claim;
    let is_asked = backend.admin == AdminState::Drain || wish == Some(Wish::Drain);
    let is_needed_away =
        backend.admin == AdminState::Maintenance || wish == Some(Wish::Maintenance);
    let is_active = role.is_none_or(|role| role == Role::Active);
    backend.health == Health::Up && is_asked && is_active && !is_needed_away
}

/// Moves of one service whose streams still have time, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Settlements(Vec<Settling>);

#[derive(Debug)]
struct Settling {
    /// The number of the move.
    epoch: u64,
    /// How many streams it left behind.
    left: usize,
    /// How many of the service had been closed before it.
    before: u64,
    /// When to look next.
    look_at: Instant,
    /// When those that are left are none to be closed any more.
    until: Instant,
}

impl Settlements {
    /// A move at `now` has left `left` streams behind, to end as `policy` says; `before` it, so many
    /// of the service had been closed.
    pub(crate) fn begin(
        &mut self,
        epoch: u64,
        left: usize,
        before: u64,
        policy: StreamPolicy,
        now: Instant,
    ) {
        let (deadline, window) = match policy {
            StreamPolicy::Keep => return,
            StreamPolicy::Close { deadline, window } => (deadline, window),
        };
        if left > 0 {
            let look_at = now + deadline + window;
            self.0.push(Settling { epoch, left, before, look_at, until: look_at + GOODBYE });
        }
    }

    /// When there is something to look at.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.0.iter().map(|settling| settling.look_at).min()
    }

    /// Looks at `now`, when `closed` streams of the service have been closed since the start. Returns
    /// what is settled. Streams that a further move has closed meanwhile count for both.
    pub(crate) fn look(&mut self, now: Instant, closed: u64) -> Vec<Kind> {
        let mut settled = Vec::new();
        let surplus = self.0.len().saturating_sub(MOST);
        let mut place = 0;
        self.0.retain_mut(|settling| {
            place += 1;
            if now < settling.look_at && place > surplus {
                return true;
            }
            let Settling { epoch, left, before, until, .. } = *settling;
            let closed = closed.saturating_sub(before).min(left as u64);
            if closed < left as u64 && now < until && place > surplus {
                settling.look_at = now + LOOK_EVERY;
                return true;
            }
            settled.push(Kind::StreamsSettled { epoch, left, closed });
            false
        });
        settled
    }
}

#[cfg(test)]
mod tests {
    use routing::failover::{BackendId, Standing};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn close(deadline: Duration, window: Duration) -> StreamPolicy {
        StreamPolicy::Close { deadline, window }
    }

    /// Epoch, how many there were, how many were closed.
    fn figures(settled: Vec<Kind>) -> Vec<(u64, usize, u64)> {
        let figures = settled.into_iter().map(|kind| match kind {
            Kind::StreamsSettled { epoch, left, closed } => (epoch, left, closed),
            other => panic!("{other:?}"),
        });
        figures.collect()
    }

    #[test]
    fn leaving_what_is_not_eligible_has_a_policy_and_every_other_move_has_the_other() {
        let policies =
            StreamPolicies { failover: StreamPolicy::Keep, failback: close(SECOND, SECOND) };
        assert_eq!(policy(policies, is_planned(Reason::Failover, None)), policies.failover);
        for reason in [
            Reason::Startup,
            Reason::Failback,
            Reason::Recovery,
            Reason::Switchover,
            Reason::Reload,
            Reason::Return,
            Reason::Drill,
        ] {
            assert_eq!(policy(policies, is_planned(reason, None)), policies.failback, "{reason:?}");
        }
    }

    #[test]
    fn whoever_works_and_is_drained_is_left_as_in_a_planned_move() {
        let left = |health, admin, wish| BackendStatus {
            id: BackendId(0),
            health,
            admin,
            claim: Claim { role: None, wish },
            streak: 0,
            claim_streak: 0,
            needs_word: false,
            passes: 0,
            eligible_since: None,
            standing: Standing::Standby,
            barred: false,
            stale: false,
        };
        let (up, down) = (Health::Up, Health::Down);
        let (ready, drain) = (AdminState::Ready, AdminState::Drain);
        let (asks, hurries) = (Some(Wish::Drain), Some(Wish::Maintenance));
        for (left, is_drained) in [
            (left(up, ready, None), false),
            (left(up, drain, None), true),
            (left(up, ready, asks), true),
            (left(up, drain, Some(Wish::Serve)), true),
            (left(down, drain, None), false),
            (left(down, ready, asks), false),
            (left(up, AdminState::Maintenance, asks), false),
            (left(up, drain, hurries), false),
        ] {
            assert_eq!(is_planned(Reason::Failover, Some(&left)), is_drained, "{left:?}");
        }
        // It works, and says that another is to.
        let mut left = left(up, drain, None);
        left.claim.role = Some(Role::Standby);
        assert!(!is_planned(Reason::Failover, Some(&left)));
    }

    #[test]
    fn streams_are_settled_when_their_time_is_over_and_all_have_said_goodbye() {
        let start = Instant::now();
        let mut settlements = Settlements::default();
        settlements.begin(4, 3, 10, close(30 * SECOND, 5 * SECOND), start);
        assert_eq!(settlements.wake_at(), Some(start + 35 * SECOND));
        // All were closed early, but others may not have been told yet.
        assert_eq!(figures(settlements.look(start + 34 * SECOND, 13)), []);
        assert_eq!(figures(settlements.look(start + 35 * SECOND, 12)), []);
        assert_eq!(settlements.wake_at(), Some(start + 35 * SECOND + LOOK_EVERY));
        assert_eq!(figures(settlements.look(start + 36 * SECOND, 13)), [(4, 3, 3)]);
        assert_eq!(settlements.wake_at(), None);
    }

    #[test]
    fn those_that_ended_by_themselves_are_not_waited_for_forever() {
        let start = Instant::now();
        let mut settlements = Settlements::default();
        settlements.begin(4, 3, 10, close(Duration::ZERO, SECOND), start);
        assert_eq!(figures(settlements.look(start + SECOND, 11)), []);
        assert_eq!(figures(settlements.look(start + SECOND + GOODBYE, 11)), [(4, 3, 1)]);
    }

    #[test]
    fn what_is_kept_and_what_left_nothing_behind_is_not_watched() {
        let mut settlements = Settlements::default();
        settlements.begin(1, 3, 0, StreamPolicy::Keep, Instant::now());
        settlements.begin(2, 0, 0, close(SECOND, SECOND), Instant::now());
        assert_eq!(settlements.wake_at(), None);
    }

    #[test]
    fn of_too_many_moves_the_oldest_is_written_down_early() {
        let start = Instant::now();
        let mut settlements = Settlements::default();
        for epoch in 1..=MOST as u64 + 2 {
            settlements.begin(epoch, 5, 0, close(60 * SECOND, SECOND), start);
        }
        assert_eq!(figures(settlements.look(start, 2)), [(1, 5, 2), (2, 5, 2)]);
        assert_eq!(settlements.wake_at(), Some(start + 61 * SECOND));
    }
}
