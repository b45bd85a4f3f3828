//! A line of text from an agent beside the backend, as HAProxy's `agent-check` reads it.
//!
//! | word | what it means here |
//! |---|---|
//! | `up` | pass |
//! | `down`, `fail`, `failed`, `stopped` | fail |
//! | `ready`, `drain`, `maint` | serve, drain, maintenance |
//! | `0%`, another percentage | drain; no longer that |
//! | `maxconn:N`, anything else | nothing |
//!
//! What follows a `#` is a reason. Words are separated by spaces, tabs and commas, and their case does
//! not matter. **An agent takes back what it said, nobody else does**: a word holds until a later line
//! has another one of the same row or its opposite. So a line without `up` or `down` leaves it at what
//! was said before, and so does silence: an agent that dies lifts neither a drain nor a `down`.

use config::model::{AgentProbe, Wish};
use connect::Connector;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::answer::Answer;
use crate::report::{Cause, Doubt, Outcome};
use crate::transcript::Transcript;
use crate::words::excerpt;

/// A longer line is cut.
const MOST_BYTES: u64 = 1024;

/// What an agent has said so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Why the backend is down, if the last word on that is that it is.
    down: Option<String>,
    /// The last of `ready`, `drain`, `maint`.
    admin: Option<Wish>,
    /// Whether the last percentage was above zero.
    has_weight: Option<bool>,
}

impl Heard {
    /// Takes in a line.
    pub(crate) fn hear(&mut self, line: &str) {
        let (words, reason) = match line.split_once('#') {
            Some((words, reason)) => (words, reason.trim()),
            None => (line, ""),
        };
        for word in words.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
            let word = word.to_ascii_lowercase();
            match &*word {
                "up" => self.down = None,
                "down" | "fail" | "failed" | "stopped" => {
                    let why = if reason.is_empty() { word } else { format!("{word}: {reason}") };
                    self.down = Some(why);
                }
                "ready" => self.admin = Some(Wish::Serve),
                "drain" => self.admin = Some(Wish::Drain),
                "maint" => self.admin = Some(Wish::Maintenance),
                _ => self.hear_weight(&word),
            }
        }
    }

    fn hear_weight(&mut self, word: &str) {
        let percent = word.strip_suffix('%').and_then(|number| number.parse::<u32>().ok());
        if let Some(percent) = percent {
            self.has_weight = Some(percent > 0);
        }
    }

    /// What the backend asks for.
    fn wish(&self) -> Option<Wish> {
        let weight = self.has_weight.map(|some| if some { Wish::Serve } else { Wish::Drain });
        self.admin.max(weight)
    }

    /// What all that comes to after another line.
    pub(crate) fn answer(&self) -> Answer {
        self.or(Outcome::Pass)
    }

    /// What it comes to when no other line came.
    pub(crate) fn answer_to_silence(&self) -> Answer {
        self.or(Outcome::Inconclusive(Doubt::Silent))
    }

    fn or(&self, not_down: Outcome) -> Answer {
        let outcome = match &self.down {
            Some(why) => Outcome::Fail(Cause::Agent(why.clone())),
            None => not_down,
        };
        Answer { wish: self.wish(), ..outcome.into() }
    }
}

/// Asks once. What it said is added to `heard`. One that cannot be reached or says nothing leaves it
/// at that: unless it said `down` the answer is the doubt [`Doubt::Silent`], with what it asked for.
pub(crate) async fn run(
    probe: &AgentProbe,
    connector: &Connector,
    heard: &mut Heard,
    deadline: Instant,
    transcript: &mut Transcript,
) -> Answer {
    let asked = tokio::time::timeout_at(deadline, line(probe, connector, deadline)).await;
    let said = match asked {
        Ok(Ok(line)) => String::from_utf8_lossy(&line).trim().to_owned(),
        Ok(Err(error)) => {
            transcript.note(|| format!("the agent cannot be asked: {error}"));
            String::new()
        }
        Err(_) => String::new(),
    };
    if said.is_empty() {
        transcript.note(|| "the agent says nothing".to_owned());
        return heard.answer_to_silence();
    }
    transcript.note(|| format!("of the agent {}", excerpt(said.as_bytes())));
    heard.hear(&clean(&said));
    heard.answer()
}

/// Up to the end of the first line, or of all.
async fn line(
    probe: &AgentProbe,
    connector: &Connector,
    deadline: Instant,
) -> std::io::Result<Vec<u8>> {
    let left = deadline.saturating_duration_since(Instant::now());
    let mut socket = connector.reach(left).await.map_err(std::io::Error::other)?;
    socket.write_all(probe.send.as_bytes()).await?;
    let mut line = Vec::new();
    let mut socket = socket.take(MOST_BYTES);
    let mut some = [0; 256];
    loop {
        let count = socket.read(&mut some).await?;
        line.extend_from_slice(&some[..count]);
        let end = line.iter().position(|byte| *byte == b'\n');
        if count == 0 || end.is_some() {
            line.truncate(end.unwrap_or(line.len()));
            return Ok(line);
        }
    }
}

fn clean(line: &str) -> String {
    line.replace(|c: char| c.is_control() && c != '\t', " ")
}

#[cfg(test)]
mod tests;
