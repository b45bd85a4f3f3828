//! Finds the word a person probably meant.

/// The candidate closest to `word`, when it is close enough to be a slip of the finger.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let given: Vec<char> = normal(word).take(64).collect();
    let allowed = (given.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&given, &normal(candidate).collect::<Vec<_>>()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Case and the choice between `-`, `_` and a space are no difference.
fn normal(word: &str) -> impl Iterator<Item = char> {
    word.chars().flat_map(char::to_lowercase).map(|c| if matches!(c, '-' | ' ') { '_' } else { c })
}

/// How many characters must be inserted, removed, replaced or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, &to) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(from != to);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                best = best.min(before_last[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, expected: Option<&str>) {
        let keys = ["interval", "timeout", "confirm_interval", "rise", "fall"];
        assert_eq!(closest(word, keys), expected, "{word}");
    }

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        check("intervall", Some("interval"));
        check("intreval", Some("interval"));
        check("time-out", Some("timeout"));
        check("confirm interval", Some("confirm_interval"));
        check("Rise", Some("rise"));
        check("wait", None);
        check("", None);
    }
}
