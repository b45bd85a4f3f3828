//! Which keys two configs differ in. Names keys only: a value may be a secret.

use crate::model::Config;
use crate::write::to_yaml;
use crate::yaml::{Entry, Node, Shape, join, parse};

/// The keys that say something else in `new` than in `old`, defaults included: for example
/// `services.web.health.interval`. A list that differs in more than one place is one key.
#[must_use]
pub fn changed_keys(old: &Config, new: &Config) -> Vec<String> {
    let mut keys = Vec::new();
    let (old, new) = (parse(&to_yaml(old)).0, parse(&to_yaml(new)).0);
    compare("", old.as_ref(), new.as_ref(), &mut keys);
    keys
}

fn compare(path: &str, old: Option<&Node>, new: Option<&Node>, keys: &mut Vec<String>) {
    let (old, new) = (old.map(|node| &node.shape), new.map(|node| &node.shape));
    match (old, new) {
        (Some(Shape::Map(old)), Some(Shape::Map(new))) => {
            let gone = old.iter().filter(|entry| value_of(new, &entry.key).is_none());
            for Entry { key, .. } in new.iter().chain(gone) {
                compare(&join(path, key), value_of(old, key), value_of(new, key), keys);
            }
        }
        (Some(Shape::List(old)), Some(Shape::List(new))) if old.len() == new.len() => {
            let mut below = Vec::new();
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&format!("{path}[{index}]"), Some(old), Some(new), &mut below);
            }
            if below.len() > 1 {
                below = vec![path.to_owned()];
            }
            keys.extend(below);
        }
        (Some(Shape::Scalar(old)), Some(Shape::Scalar(new))) if old == new => {}
        (Some(Shape::Null), Some(Shape::Null)) | (None, None) => {}
        (
            None | Some(Shape::Null | Shape::Scalar(_) | Shape::List(_) | Shape::Map(_)),
            None | Some(Shape::Null | Shape::Scalar(_) | Shape::List(_) | Shape::Map(_)),
        ) => keys.push(path.to_owned()),
    }
}

fn value_of<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Node> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn keys_are_named_and_values_are_not() {
        const TEXT: &str = "listeners: [ ':1' ]
services: { web: { backends: [ http://a, http://b ], health: { interval: 1s } } }
";
        let config = |text: &str| crate::load("u.yaml", text, Path::new("/")).unwrap().config;
        let changed =
            |from: &str, to: &str| changed_keys(&config(TEXT), &config(&TEXT.replace(from, to)));
        assert_eq!(changed("1s", "1s"), Vec::<String>::new());
        assert_eq!(changed("1s", "1000ms"), Vec::<String>::new());
        assert_eq!(changed("1s", "2s"), ["services.web.health.interval"]);
        assert_eq!(
            changed("':1'", "{ address: ':1', limits: { connections: 77 } }"),
            ["listeners[0].limits.connections"]
        );
        let order = changed("http://a, http://b", "http://b, http://a");
        assert_eq!(order, ["services.web.backends"]);
        assert_eq!(changed(", http://b", ""), ["services.web.backends"]);
        assert_eq!(changed("services:", "shutdown_timeout: 7s\nservices:"), ["shutdown_timeout"]);
    }
}
