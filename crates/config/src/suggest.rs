//! Finds the word a person probably meant, or the place.

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

/// Where a key belongs that is unknown where it stands. Only keys that have one place.
pub(crate) fn belongs(key: &str) -> Option<&'static str> {
    match key {
        "workers" | "listeners" | "routes" | "services" | "state_dir" | "witnesses" | "notify"
        | "event_log" | "traces" | "admin" | "shutdown_timeout" => {
            Some("at the top level, beside `services`")
        }
        "backends" | "health" | "gates" | "failback" | "exclusive" | "all_down"
        | "startup_grace" | "jobs" | "readiness" | "verify" | "epoch_header" | "hold"
        | "replay" => Some("in a service, below its name in `services`"),
        "h2c" | "redirect_https" | "hsts" | "trusted_proxies" | "half_close" | "limits" => {
            Some("in a listener, beside its `address`")
        }
        "rise" | "fall" | "probes" => Some("in the `health` of a service"),
        "hold_down" => Some("below `failback`, in `auto`"),
        _ => None,
    }
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
    fn every_place_that_is_named_knows_the_key() {
        let schema = crate::schema();
        let below = |pointer: &str| {
            let keys = schema.pointer(pointer).and_then(serde_json::Value::as_object);
            keys.unwrap_or_else(|| panic!("{pointer}")).clone()
        };
        let (top, service) =
            (below("/properties"), below("/properties/services/additionalProperties/properties"));
        assert!(top.contains_key("routes") && service.contains_key("backends"));
        for key in top.keys().chain(service.keys()) {
            let place = match belongs(key) {
                Some(place) if place.starts_with("at the top") => &top,
                Some(place) if place.starts_with("in a service") => &service,
                Some(place) => panic!("{key}: {place}"),
                None => continue,
            };
            assert!(place.contains_key(key), "{key}");
            assert!(!(top.contains_key(key) && service.contains_key(key)), "{key} has two places");
        }
        assert_eq!(belongs("routes"), Some("at the top level, beside `services`"));
        assert_eq!(belongs("colour"), None);
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
