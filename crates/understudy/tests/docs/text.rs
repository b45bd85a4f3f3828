//! The documents as text: where they are, and the blocks of code in them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

/// The documents that are not pages of the book.
const OUTSIDE: &[&str] =
    &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "benches/README.md"];

pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

pub(crate) fn read(document: &str) -> String {
    let path = root().join(document);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

/// Every document that a person reads, relative to the root.
pub(crate) fn documents() -> Vec<String> {
    OUTSIDE.iter().map(|name| (*name).to_owned()).chain(pages()).collect()
}

/// The Markdown files of the book, its summary too, relative to the root.
pub(crate) fn pages() -> BTreeSet<String> {
    files_below("docs", "md")
}

/// The files with this extension, relative to the root.
pub(crate) fn files_below(folder: &str, extension: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(&root().join(folder), extension, &mut found);
    found
}

fn collect(folder: &Path, extension: &str, found: &mut BTreeSet<String>) {
    let entries = std::fs::read_dir(folder);
    for entry in entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, extension, found);
        } else if path.extension().is_some_and(|it| it == extension) {
            let relative = path.strip_prefix(root()).expect("below the root");
            found.insert(relative.to_str().expect("UTF-8").to_owned());
        }
    }
}

/// A fenced block of code.
#[derive(Debug)]
pub(crate) struct Block {
    document: String,
    line: usize,
    /// The first word behind the fence.
    pub(crate) language: String,
    /// The comment right above it, `<!-- ... -->`, without its brackets.
    pub(crate) mark: Option<String>,
    pub(crate) text: String,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.document, self.line)
    }
}

/// The blocks of a document in this language.
pub(crate) fn blocks(document: &str, text: &str, language: &str) -> Vec<Block> {
    all_blocks(document, text).into_iter().filter(|block| block.language == language).collect()
}

/// Every block of every document.
pub(crate) fn every_block() -> Vec<Block> {
    documents().iter().flat_map(|document| all_blocks(document, &read(document))).collect()
}

fn all_blocks(document: &str, text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    let mut above = "";
    for (index, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let fence = line.trim_start().strip_prefix("```");
        match (open.take(), fence) {
            (None, Some(info)) => {
                let language = info.split_whitespace().next().unwrap_or("").to_owned();
                let mark = comment(above).map(str::to_owned);
                let document = document.to_owned();
                let block =
                    Block { document, line: index + 1, language, mark, text: String::new() };
                open = Some((block, indent));
            }
            (None, None) => above = line,
            (Some((block, _)), Some("")) => {
                found.push(block);
                above = "";
            }
            (Some((mut block, indent)), None | Some(_)) => {
                block.text.push_str(line.get(indent..).unwrap_or_else(|| line.trim_start()));
                block.text.push('\n');
                open = Some((block, indent));
            }
        }
    }
    assert!(open.is_none(), "{document} ends within a block of code");
    found
}

fn comment(line: &str) -> Option<&str> {
    Some(line.trim().strip_prefix("<!--")?.strip_suffix("-->")?.trim())
}

/// A document without comments and without code, in which a bracket is a bracket.
pub(crate) fn prose(text: &str) -> String {
    let mut plain = String::new();
    let mut inside = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            // Every second piece is between backticks.
            plain.extend(line.split('`').step_by(2));
            plain.push('\n');
        }
    }
    while let Some(begin) = plain.find("<!--") {
        let end = plain[begin..].find("-->").map_or(plain.len(), |end| begin + end + 3);
        plain.replace_range(begin..end, "");
    }
    plain
}

#[test]
fn blocks_have_their_language_their_mark_and_their_text() {
    let text = "a\n<!-- a part -->\n```yaml\nb: 1\n```\n- c\n  ```sh\n  d\n    e\n  ```\n";
    let found = all_blocks("x.md", text);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].language.as_str(), found[0].text.as_str()), ("yaml", "b: 1\n"));
    assert_eq!(found[0].mark.as_deref(), Some("a part"));
    assert_eq!((found[1].language.as_str(), found[1].text.as_str()), ("sh", "d\n  e\n"));
    assert_eq!((found[1].mark.as_deref(), found[1].to_string().as_str()), (None, "x.md:7"));
}

#[test]
fn prose_is_what_is_neither_code_nor_comment() {
    let text = "a `[b](c)` d\n```\n[e](f)\n```\n<!-- [g](h)\ni --> j\n";
    assert_eq!(prose(text), "a  d\n j\n");
}

/// The code between single backticks, outside of blocks.
pub(crate) fn prose_code(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// The words of each command in a line for a shell, without comments and redirections.
pub(crate) fn all_words(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.trim_start_matches("$ ").chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '|' | '&' | ';' | '(' | ')') => {
                commands.last_mut().expect("one").extend(word.take());
                commands.push(Vec::new());
            }
            (None, ' ' | '\t') => commands.last_mut().expect("one").extend(word.take()),
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    commands.last_mut().expect("one").extend(word);
    for command in &mut commands {
        let end = command.iter().position(|word| {
            word.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(['>', '<'])
        });
        command.truncate(end.unwrap_or(command.len()));
    }
    commands.retain(|command| !command.is_empty());
    commands
}
