//! The questions of `init`: a few, each with an answer that return gives.

use std::io::{BufRead, Write};

use super::recipe::{Filling, RECIPES, Recipe, backend};
use super::{filling, find, judged, load, no_such, wrong};
use crate::cli::Init;
use crate::files::Failure;

/// How often one question is asked again.
const PATIENCE: usize = 5;
/// Most standbys that are asked for.
const STANDBYS: usize = 20;

/// A conversation: answers are read from one side, questions are written to the other.
struct Talk<'a> {
    input: &'a mut dyn BufRead,
    output: &'a mut dyn Write,
}

/// Asks for what no flag says. `None`: the person would rather not have it written.
pub(super) fn ask(
    args: &Init,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
) -> Result<Option<(&'static Recipe, String)>, Failure> {
    let mut talk = Talk { input, output };
    let recipe = recipe(args, &mut talk)?;
    let mut filling = filling(args)?;
    // A recipe's own answers need not be given again.
    let judge = |filling: &Filling| problem(args, recipe, filling);
    if filling.listen.is_none() {
        let question = "Where to accept clients";
        filling.listen = talk.value(question, recipe.listen(), |answer| {
            judge(&Filling { listen: Some(answer.to_owned()), ..Filling::default() })
        })?;
    }
    if filling.backends.is_empty() {
        backends(&mut talk, &mut filling, &judge)?;
    }
    if filling.host.is_none() && recipe.host().is_some() {
        filling.host = talk.value("The name that clients use", recipe.host(), |answer| {
            judge(&Filling { host: Some(answer.to_owned()), ..Filling::default() })
        })?;
    }
    if filling.health_path.is_none() && recipe.health_path().is_some() {
        let question = "The path that probes ask for";
        filling.health_path = talk.value(question, recipe.health_path(), |answer| {
            judge(&Filling { health_path: Some(answer.to_owned()), ..Filling::default() })
        })?;
    }
    let text = recipe.filled(&filling).map_err(wrong)?;
    // What cannot be written is not worth a look.
    judged(&text, &args.output)?;
    let file = args.output.display();
    talk.say(&format!(
        "\n{text}\nThen:\n  understudy check -c {file}\n  understudy run -c {file}\n"
    ))?;
    let sure =
        talk.value(&format!("Write this to {file}? (y/n)"), Some("y".to_owned()), |answer| {
            let known = ["y", "yes", "n", "no"].contains(&answer.to_ascii_lowercase().as_str());
            Ok((!known).then(|| "write `y` or `n`".to_owned()))
        })?;
    let sure = sure.is_some_and(|answer| answer.to_ascii_lowercase().starts_with('y'));
    Ok(sure.then_some((recipe, text)))
}

fn recipe(args: &Init, talk: &mut Talk<'_>) -> Result<&'static Recipe, Failure> {
    if let Some(name) = &args.recipe {
        return find(name).ok_or_else(|| wrong(no_such(name)));
    }
    talk.say(&super::list())?;
    let first = RECIPES.first().map(|recipe| recipe.name.to_owned());
    let name =
        talk.value("Recipe", first, |answer| Ok(find(answer).is_none().then(|| no_such(answer))))?;
    let recipe = name.as_deref().and_then(find);
    recipe.ok_or_else(|| wrong("no recipe was chosen"))
}

/// The primary, and standbys until one is left out.
fn backends(
    talk: &mut Talk<'_>,
    filling: &mut Filling,
    judge: &dyn Fn(&Filling) -> Result<Option<String>, Failure>,
) -> Result<(), Failure> {
    for number in 0..=STANDBYS {
        let question = match number {
            0 => "The primary, [NAME=]URL",
            1 => "The standby, [NAME=]URL (return: none)",
            _ => "One more standby, [NAME=]URL (return: none)",
        };
        let so_far = filling.backends.clone();
        let with = |answer: &str| {
            let mut backends = so_far.clone();
            backend(answer).map(|one| {
                backends.push(one);
                Filling { backends, ..Filling::default() }
            })
        };
        let check = |answer: &str| match with(answer) {
            Ok(filling) => judge(&filling),
            Err(problem) => Ok(Some(problem)),
        };
        let answer = if number == 0 {
            Some(talk.needed(question, check)?)
        } else {
            talk.value(question, None, check)?
        };
        let Some(answer) = answer else { return Ok(()) };
        filling.backends = with(&answer).map_err(wrong)?.backends;
    }
    Ok(())
}

/// What is wrong with the recipe once it has this.
fn problem(args: &Init, recipe: &Recipe, filling: &Filling) -> Result<Option<String>, Failure> {
    let text = match recipe.filled(filling) {
        Ok(text) => text,
        Err(problem) => return Ok(Some(problem)),
    };
    let Err(problems) = load(&text, &args.output)? else { return Ok(None) };
    let first = problems.problems.iter().find(|problem| match problem.severity {
        config::Severity::Error => true,
        config::Severity::Warning => false,
    });
    Ok(first.map(|problem| match &problem.advice {
        Some(advice) => format!("{}: {advice}", problem.message),
        None => problem.message.clone(),
    }))
}

impl Talk<'_> {
    fn say(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.output, "{text}")?;
        Ok(())
    }

    /// An answer that `check` finds nothing wrong with; for none, `usual`.
    fn value(
        &mut self,
        question: &str,
        usual: Option<String>,
        check: impl Fn(&str) -> Result<Option<String>, Failure>,
    ) -> Result<Option<String>, Failure> {
        for _ in 0..PATIENCE {
            match &usual {
                Some(usual) => write!(self.output, "{question} [{usual}]: ")?,
                None => write!(self.output, "{question}: ")?,
            }
            self.output.flush()?;
            let mut line = String::new();
            if self.input.read_line(&mut line)? == 0 {
                return Err(wrong(format!(
                    "no answer to {question:?}: standard input ended, and nothing was written"
                )));
            }
            let answer = line.trim();
            if answer.is_empty() {
                return Ok(usual);
            }
            match check(answer)? {
                None => return Ok(Some(answer.to_owned())),
                Some(problem) => self.say(&format!("  {problem}"))?,
            }
        }
        Err(wrong(format!("no usable answer to {question:?}: nothing was written")))
    }

    /// The same, and there must be one.
    fn needed(
        &mut self,
        question: &str,
        check: impl Fn(&str) -> Result<Option<String>, Failure>,
    ) -> Result<String, Failure> {
        for _ in 0..PATIENCE {
            if let Some(answer) = self.value(question, None, &check)? {
                return Ok(answer);
            }
            self.say("  there must be one")?;
        }
        Err(wrong(format!("no answer to {question:?}: nothing was written")))
    }
}
