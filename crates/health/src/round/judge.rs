//! The verdict of a round, from how its probes ended. Pure.
//!
//! | of the probes | verdict |
//! |---|---|
//! | one of level alive fails | fail, at once |
//! | one of level alive has not ended | not yet |
//! | one vetoes | fail |
//! | so many of level ready fail that too few are left to pass | fail |
//! | some have not ended | not yet |
//! | enough of level ready pass, all of level alive pass | pass |
//! | else | inconclusive |
//!
//! Enough are all, or the quorum. **Who abstains does not count**, neither for nor against; when all of
//! them do, nothing can be told. Agents abstain or veto: what they say goes on top of what is seen, and
//! takes no place in a quorum. A pass waits for all, though a quorum may be reached: what the others
//! say of the backend must not come and go with who is the fastest.

use config::model::Level;

/// How a probe of a round stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// It has not ended.
    Pending,
    /// An agent that has not ended.
    Unheard,
    Pass,
    Fail,
    /// It fails, and no quorum makes up for that.
    Veto,
    /// We cannot tell.
    Doubt,
    /// It says nothing, which is no fault.
    Abstain,
}

/// What a round comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    NotYet,
    Pass,
    /// The number of the first probe that is to blame.
    Fail(usize),
    /// The number of the first probe that cannot tell; `None` when all abstain.
    Inconclusive(Option<usize>),
}

/// Judges `probes`, in the order of the config.
pub(crate) fn judge(probes: &[(Level, Stand)], quorum: Option<usize>) -> Verdict {
    let first =
        |level: Level, stand: Stand| probes.iter().position(|probe| *probe == (level, stand));
    let either = |level, one, other| first(level, one).into_iter().chain(first(level, other)).min();
    if let Some(number) = either(Level::Alive, Stand::Fail, Stand::Veto) {
        return Verdict::Fail(number);
    }
    if either(Level::Alive, Stand::Pending, Stand::Unheard).is_some() {
        return Verdict::NotYet;
    }
    if let Some(number) = first(Level::Ready, Stand::Veto) {
        return Verdict::Fail(number);
    }
    let count =
        |stand: Stand| probes.iter().filter(|probe| **probe == (Level::Ready, stand)).count();
    let (pending, passed, failed, doubtful) =
        (count(Stand::Pending), count(Stand::Pass), count(Stand::Fail), count(Stand::Doubt));
    let voters = pending + passed + failed + doubtful;
    let needed = quorum.map_or(voters, |quorum| quorum.min(voters));
    if let Some(number) = first(Level::Ready, Stand::Fail)
        && voters - failed < needed
    {
        return Verdict::Fail(number);
    }
    if pending > 0 || first(Level::Ready, Stand::Unheard).is_some() {
        return Verdict::NotYet;
    }
    let all_abstain = probes.iter().all(|(_, stand)| *stand == Stand::Abstain);
    let in_doubt = first(Level::Alive, Stand::Doubt);
    if in_doubt.is_none() && passed >= needed && !all_abstain {
        return Verdict::Pass;
    }
    Verdict::Inconclusive(in_doubt.or(first(Level::Ready, Stand::Doubt)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` is of level alive, `r` of level ready; then `?` pending, `+` pass, `-` fail, `~` doubt,
    /// `.` abstains, `!` vetoes, `u` is an agent that has not ended.
    fn probes(text: &str) -> Vec<(Level, Stand)> {
        let probe = |word: &str| {
            let level = if word.starts_with('a') { Level::Alive } else { Level::Ready };
            let stand = match &word[1..] {
                "?" => Stand::Pending,
                "+" => Stand::Pass,
                "-" => Stand::Fail,
                "~" => Stand::Doubt,
                "." => Stand::Abstain,
                "!" => Stand::Veto,
                "u" => Stand::Unheard,
                other => panic!("{other}"),
            };
            (level, stand)
        };
        text.split_whitespace().map(probe).collect()
    }

    #[test]
    fn the_table_holds() {
        use Verdict::{Fail, Inconclusive, NotYet, Pass};
        for (text, quorum, expected) in [
            ("r+", None, Pass),
            ("r-", None, Fail(0)),
            ("r~", None, Inconclusive(Some(0))),
            ("r?", None, NotYet),
            ("r.", None, Inconclusive(None)),
            // Alive.
            ("a- r?", None, Fail(0)),
            ("r- a-", None, Fail(1)),
            ("a- r+ r+", Some(1), Fail(0)),
            ("a? r-", None, NotYet),
            ("a? a- r?", None, Fail(1)),
            ("a+ r-", None, Fail(1)),
            ("a+ r?", None, NotYet),
            ("a+ r+", None, Pass),
            ("a~ r+", None, Inconclusive(Some(0))),
            ("a~ r-", None, Fail(1)),
            ("a~ r?", None, NotYet),
            ("a. r+", None, Pass),
            ("a+ r.", None, Pass),
            ("a~ r.", None, Inconclusive(Some(0))),
            ("a. r.", None, Inconclusive(None)),
            // All.
            ("r+ r-", None, Fail(1)),
            ("r? r-", None, Fail(1)),
            ("r+ r~", None, Inconclusive(Some(1))),
            ("r~ r-", None, Fail(1)),
            ("r+ r.", None, Pass),
            ("r- r.", None, Fail(0)),
            // Two of three.
            ("r+ r+ r-", Some(2), Pass),
            ("r+ r+ r~", Some(2), Pass),
            ("r+ r+ r?", Some(2), NotYet),
            ("r+ r- r-", Some(2), Fail(1)),
            ("r? r- r-", Some(2), Fail(1)),
            ("r? r? r-", Some(2), NotYet),
            ("r+ r- r~", Some(2), Inconclusive(Some(2))),
            ("r+ r~ r~", Some(2), Inconclusive(Some(1))),
            ("r+ r+ r.", Some(2), Pass),
            ("r+ r- r.", Some(2), Fail(1)),
            ("r+ r. r.", Some(2), Pass),
            ("r- r. r.", Some(2), Fail(0)),
            // Agents.
            ("r+ r- r! r.", Some(1), Fail(2)),
            ("r+ a! r?", None, Fail(1)),
            ("r! a?", None, NotYet),
            ("a+ r? r!", Some(1), Fail(2)),
            ("a+ r+ ru", Some(1), NotYet),
            ("a- ru", None, Fail(0)),
            ("au r-", None, NotYet),
            ("r- ru", Some(1), Fail(0)),
            ("r- r+ ru", Some(2), Fail(0)),
            // One of three.
            ("r- r- r+", Some(1), Pass),
            ("r- r- r-", Some(1), Fail(0)),
            ("r- r- r?", Some(1), NotYet),
            ("r- r- r~", Some(1), Inconclusive(Some(2))),
        ] {
            assert_eq!(judge(&probes(text), quorum), expected, "{text} {quorum:?}");
        }
    }
}
