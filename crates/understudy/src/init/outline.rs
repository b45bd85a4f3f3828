//! Text of a recipe, with the places of its keys: values are replaced there, everything else stays as
//! it is. Knows as much of YAML as recipes use: keys and items on lines of their own.

/// The lines of a recipe.
#[derive(Clone, Debug)]
pub(crate) struct Outline {
    lines: Vec<String>,
}

/// A key, the line it stands on, and how far that is indented.
#[derive(Debug)]
struct Key {
    /// The names from the top, `-` for an item of a list.
    path: Vec<String>,
    line: usize,
    indent: usize,
}

impl Outline {
    pub(crate) fn new<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        Self { lines: lines.map(str::to_owned).collect() }
    }

    pub(crate) fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// The value behind the first key at `path`; `*` stands for any name.
    pub(crate) fn value(&self, path: &[&str]) -> Option<String> {
        let key = self.find(path).into_iter().next()?;
        let (_, value, _) = parts(self.lines.get(key.line)?)?;
        Some(value.trim_matches('"').to_owned()).filter(|value| !value.is_empty())
    }

    /// The name of the first key at `path`.
    pub(crate) fn first(&self, path: &[&str]) -> Option<String> {
        self.find(path).into_iter().next()?.path.pop()
    }

    /// Puts `value` behind every key at `path`; says whether there is one.
    pub(crate) fn set(&mut self, path: &[&str], value: &str) -> bool {
        let found = self.find(path);
        for key in &found {
            let line = &mut self.lines[key.line];
            let Some((before, _, comment)) = parts(line) else { continue };
            *line = format!("{before} {}{comment}", scalar(value));
        }
        !found.is_empty()
    }

    /// Puts a list of these items behind the first key at `path`, instead of what is there; says
    /// whether there is one.
    pub(crate) fn set_items(&mut self, path: &[&str], items: &[Vec<(&str, &str)>]) -> bool {
        let Some(key) = self.find(path).into_iter().next() else { return false };
        let begin = key.line + 1;
        let below = |line: &&String| indent(line) > key.indent && !line.trim().is_empty();
        let count = self.lines[begin..].iter().take_while(below).count();
        self.lines.splice(begin..begin + count, listed(key.indent + 2, items));
        true
    }

    /// Adds a list under a key of its own before another key, both at the top.
    pub(crate) fn insert_before(&mut self, other: &str, key: &str, items: &[Vec<(&str, &str)>]) {
        let at = self.find(&[other]).first().map_or(self.lines.len(), |key| key.line);
        // Comments that belong to the other key stay with it.
        let comments = self.lines[..at].iter().rev().take_while(|line| line.starts_with('#'));
        let at = at - comments.count();
        let lines = std::iter::once(format!("{key}:"));
        let lines = lines.chain(listed(2, items)).chain([String::new()]);
        self.lines.splice(at..at, lines.collect::<Vec<_>>());
    }

    fn find(&self, path: &[&str]) -> Vec<Key> {
        let fits = |key: &Key| {
            key.path.len() == path.len()
                && key.path.iter().zip(path).all(|(name, wanted)| *wanted == "*" || name == wanted)
        };
        self.keys().into_iter().filter(fits).collect()
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        // How far each level is indented, and its name.
        let mut levels: Vec<(usize, String)> = Vec::new();
        for (line, text) in self.lines.iter().enumerate() {
            let mut indent = indent(text);
            let mut rest = text.trim_start();
            if rest.is_empty() || rest.starts_with('#') {
                continue;
            }
            levels.retain(|(level, _)| *level < indent);
            while let Some(item) = rest.strip_prefix("- ") {
                levels.push((indent, "-".to_owned()));
                indent += 2 + self::indent(item);
                rest = item.trim_start();
            }
            let Some(name) = key_name(rest) else { continue };
            levels.push((indent, name.to_owned()));
            let path = levels.iter().map(|(_, name)| name.clone()).collect();
            keys.push(Key { path, line, indent });
        }
        keys
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// A plain key with its colon, and nothing or a space behind it.
fn key_name(text: &str) -> Option<&str> {
    let (name, rest) = text.split_once(':')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let sound = !name.is_empty() && name.chars().all(plain);
    (sound && (rest.is_empty() || rest.starts_with(' '))).then_some(name)
}

/// A line up to the colon of its key, the value, and what stands behind that: the comment.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let colon = line.find(": ").or_else(|| line.ends_with(':').then(|| line.len() - 1))?;
    let (before, rest) = line.split_at(colon + 1);
    let comment = rest.find(" #").unwrap_or(rest.len());
    let (value, comment) = rest.split_at(comment);
    Some((before, value.trim(), comment))
}

fn listed(indent: usize, items: &[Vec<(&str, &str)>]) -> Vec<String> {
    let item = |pairs: &Vec<(&str, &str)>| {
        let line = |(index, (key, value)): (usize, &(&str, &str))| {
            let dash = if index == 0 { "- " } else { "  " };
            format!("{:indent$}{dash}{key}: {}", "", scalar(value))
        };
        pairs.iter().enumerate().map(line).collect::<Vec<_>>()
    };
    items.iter().flat_map(item).collect()
}

/// Text as YAML: as it is where nobody could take it for something else, else in quotes.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    let words = ["true", "false", "null", "yes", "no", "on", "y", "n"];
    let number =
        text.parse::<f64>().is_ok() || text.split(':').all(|part| part.parse::<u64>().is_ok());
    let safe = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text.chars().all(plain)
        && !text.ends_with(':')
        && !number
        && !words.contains(&text.to_ascii_lowercase().as_str());
    // A JSON string is a YAML one.
    if safe { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# top
listeners:
  - address: 0.0.0.0:80 # here

# the services
services:
  app: # one
    backends:
      - name: a # first
        url: http://a
      # second
      - http://b

    health:
      http:
        path: /x
    path: other
";

    fn outline() -> Outline {
        Outline::new(TEXT.lines())
    }

    #[test]
    fn what_is_not_replaced_stays() {
        assert_eq!(outline().text(), TEXT);
    }

    #[test]
    fn values_are_found_and_replaced_at_their_own_place() {
        let mut text = outline();
        assert_eq!(text.value(&["listeners", "-", "address"]).as_deref(), Some("0.0.0.0:80"));
        assert_eq!(text.first(&["services", "*"]).as_deref(), Some("app"));
        assert!(text.set(&["services", "*", "health", "http", "path"], "/y"));
        assert!(text.set(&["listeners", "-", "address"], ":81"));
        assert!(!text.set(&["services", "*", "health", "path"], "/y"));
        let expected = TEXT.replace("path: /x", "path: /y").replace("0.0.0.0:80", "\":81\"");
        assert_eq!(text.text(), expected);
    }

    #[test]
    fn lists_are_replaced_as_a_whole() {
        let mut text = outline();
        let items = [vec![("name", "x"), ("url", "http://x")], vec![("url", "http://y")]];
        assert!(text.set_items(&["services", "*", "backends"], &items));
        let (before, _) = TEXT.split_once("      - name").unwrap();
        let (_, after) = TEXT.split_once("http://b\n").unwrap();
        let list = "      - name: x\n        url: http://x\n      - url: http://y\n";
        assert_eq!(text.text(), format!("{before}{list}{after}"));
    }

    #[test]
    fn a_key_is_added_before_another_and_its_comment() {
        let mut text = outline();
        text.insert_before("services", "routes", &[vec![("host", "h"), ("service", "app")]]);
        let expected = "routes:\n  - host: h\n    service: app\n\n# the services\nservices:";
        assert_eq!(text.text(), TEXT.replace("# the services\nservices:", expected));
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_quoted() {
        for plain in ["lm1", "http://10.0.0.1:80", "0.0.0.0:80", "/a/b", "a-b_c"] {
            assert_eq!(scalar(plain), plain);
        }
        let doubtful = [
            "", "1", "1e5", "1:30", "true", "No", ":80", "[::]:1", "a: b", "a #b", "a\"b", "é",
            "a\nb", "off:",
        ];
        for text in doubtful {
            assert_eq!(scalar(text), serde_json::Value::from(text).to_string());
        }
    }
}
