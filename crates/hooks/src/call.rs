//! One hook: tried, and tried again, within bounds.

use std::time::Duration;

use config::model::{ExecAction, HttpAction, Tries};
use connect::Destination;
use tokio::time::{Instant, sleep};

use crate::about::About;
use crate::ended::{Ended, Outcome, Tried};
use crate::exec::run_program;
use crate::request::send_action;
use crate::told::Told;

/// What is to be done, ready to be done.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are few, and they stay where they are")]
pub enum Call {
    /// Run this program.
    Exec(ExecAction),
    /// Send this request.
    Http {
        /// The request.
        request: HttpAction,
        /// Where it goes when that is no backend: that of [`config::model::At::Elsewhere`].
        elsewhere: Option<Destination>,
    },
}

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Does it, and tries again as `tries` says: what never began or says that it failed always, what
/// may have been done only when it `is_idempotent`. Ends within `tries.deadline` a try, and the
/// pauses. Dropped, it kills the program with its process group, or closes the connection.
///
/// The outcome is that of the last try, but that an earlier one may have done something: nothing was
/// reached only if no try reached anything.
pub async fn run(call: &Call, about: &About, tries: &Tries, is_idempotent: bool) -> Ended {
    let began = Instant::now();
    let told = Told::of(about);
    let mut made = 0;
    let mut before = Outcome::Unreachable;
    loop {
        let tried = once(call, about, &told, Instant::now() + tries.deadline).await;
        made += 1;
        let may_be_repeated = match tried.outcome {
            Outcome::Done => false,
            Outcome::Unreachable | Outcome::Failed => true,
            Outcome::Unknown => is_idempotent,
        };
        if !may_be_repeated || made > tries.retries {
            let outcome = in_all(before, tried.outcome);
            let Tried { mut words, output, .. } = tried;
            if outcome != tried.outcome {
                words.push_str("; an earlier try has reached it");
            }
            return Ended { outcome, words, output, tries: made, took: began.elapsed() };
        }
        before = in_all(before, tried.outcome);
        sleep(pause(tries.back_off, made, LONGEST_PAUSE, fastrand::f64())).await;
    }
}

async fn once(call: &Call, about: &About, told: &Told, deadline: Instant) -> Tried {
    match call {
        Call::Exec(action) => run_program(action, told, deadline).await,
        Call::Http { request, elsewhere } => {
            Box::pin(send_action(request, elsewhere.as_ref(), about, told, deadline)).await
        }
    }
}

/// The outcome of all tries up to one that ended with `last`.
fn in_all(before: Outcome, last: Outcome) -> Outcome {
    match (before, last) {
        (_, Outcome::Done | Outcome::Failed | Outcome::Unknown) => last,
        (Outcome::Failed | Outcome::Unknown, Outcome::Unreachable) => before,
        (Outcome::Done | Outcome::Unreachable, Outcome::Unreachable) => last,
    }
}

/// How long to wait after so many tries: `back_off`, doubled with each, `longest` at most. Up to a tenth less by `chance` (from 0 to 1), so that not all
/// that failed together are tried together.
#[must_use]
pub fn pause(back_off: Duration, made: u32, longest: Duration, chance: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(made.saturating_sub(1));
    let pause = back_off.saturating_mul(doubled).min(longest);
    pause.mul_f64(1.0 - chance / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let ms = Duration::from_millis;
        for (made, expected) in
            [(1, ms(500)), (2, ms(1000)), (5, ms(8000)), (8, ms(60_000)), (100, ms(60_000))]
        {
            assert_eq!(pause(ms(500), made, LONGEST_PAUSE, 0.0), expected);
            assert_eq!(pause(ms(500), made, LONGEST_PAUSE, 1.0), expected.mul_f64(0.9));
        }
        assert_eq!(pause(Duration::ZERO, 100, LONGEST_PAUSE, 0.5), Duration::ZERO);
    }

    #[test]
    fn nothing_was_reached_only_if_no_try_reached_anything() {
        use Outcome::{Done, Failed, Unknown, Unreachable};
        for (tries, outcome) in [
            (&[Unreachable, Unreachable][..], Unreachable),
            (&[Unknown, Unreachable], Unknown),
            (&[Failed, Unreachable, Unreachable], Failed),
            (&[Unknown, Failed], Failed),
            (&[Unknown, Unreachable, Done], Done),
        ] {
            let all = tries.iter().fold(Unreachable, |before, last| in_all(before, *last));
            assert_eq!(all, outcome, "{tries:?}");
        }
    }
}
