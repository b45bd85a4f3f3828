//! `load` answers whatever it is given: seeded mutations of full.yaml, a few thousand of them.
//! `CONFIG_CASES` sets how many.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::Path;

/// xorshift64*: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap() % limit.max(1)
    }
}

const PIECES: [&str; 30] = [
    ":",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "<<: *a",
    "!tag ",
    "|\n",
    ">\n",
    "\t",
    "\n",
    "  ",
    "\0",
    "\u{feff}",
    "é",
    "999999999999999999999999",
    "-1",
    "1e999",
    ".nan",
    "~",
    "? ",
    "---\n",
    "%",
    "null",
];

/// One change: cut, repeat, replace or insert.
fn mutate(text: &mut Vec<char>, random: &mut Random) {
    let at = random.below(text.len() + 1);
    let end = (at + random.below(12)).min(text.len());
    match random.below(4) {
        0 => drop(text.drain(at..end)),
        1 => {
            let piece: Vec<char> = text[at..end].to_vec();
            let to = random.below(text.len() + 1);
            text.splice(to..to, piece);
        }
        2 => drop(text.splice(at..end, PIECES[random.below(PIECES.len())].chars())),
        _ => drop(text.splice(at..at, PIECES[random.below(PIECES.len())].chars())),
    }
}

#[test]
fn whatever_is_given_gets_an_answer() {
    let cases = std::env::var("CONFIG_CASES").ok().and_then(|text| text.parse().ok());
    let full = include_str!("../../../configs/full.yaml");
    let stripped: String = full
        .lines()
        .filter_map(|line| line.split('#').next())
        .filter(|line| !line.trim().is_empty())
        .flat_map(|line| [line.trim_end(), "\n"])
        .collect();
    let (mut accepted, mut refused) = (0, 0);
    for seed in 1..=cases.unwrap_or(2000) {
        let mut random = Random(seed);
        let mut text: Vec<char> = stripped.chars().collect();
        for _ in 0..=random.below(6) {
            mutate(&mut text, &mut random);
        }
        let text: String = text.into_iter().collect();
        match config::load("mutated", &text, Path::new("")) {
            Ok(loaded) => {
                accepted += 1;
                let written = config::to_yaml(&loaded.config);
                let again = config::load("written", &written, Path::new(""));
                assert_eq!(
                    again.map(|again| again.config).as_ref(),
                    Ok(&loaded.config),
                    "seed {seed}:\n{text}"
                );
                assert!(!config::explain(&loaded.config).is_empty());
            }
            Err(problems) => {
                refused += 1;
                assert!(
                    problems.problems.iter().all(|problem| problem.line > 0 && problem.column > 0)
                );
                assert!(!problems.to_string().is_empty());
            }
        }
    }
    assert!(accepted > 0 && refused > 0, "accepted {accepted}, refused {refused}");
}
