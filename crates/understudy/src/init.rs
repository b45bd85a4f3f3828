//! `init`: writes a config, a recipe with the addresses that a person gives. What it writes loads; when
//! it would not, nothing is written.

mod ask;
mod outline;
mod recipe;

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use config::Loaded;

use crate::cli::Init;
use crate::files::{Failure, print};
use crate::init::recipe::{Filling, RECIPES, Recipe};

pub(crate) fn init(args: &Init) -> Result<ExitCode, Failure> {
    if args.list {
        return print(&list());
    }
    // Said before anybody has answered six questions.
    if args.output != Path::new("-") && args.output.exists() && !args.force {
        return Err(there_already(&args.output));
    }
    let asks = args.ask || (args.says_nothing() && io::stdin().is_terminal());
    let (recipe, text) = if asks {
        let answered = ask::ask(args, &mut io::stdin().lock(), &mut io::stderr())?;
        let Some(answered) = answered else {
            eprintln!("Nothing was written.");
            return Ok(ExitCode::FAILURE);
        };
        answered
    } else {
        let recipe = named(args)?;
        (recipe, recipe.filled(&filling(args)?).map_err(wrong)?)
    };
    let loaded = judged(&text, &args.output)?;
    for warning in &loaded.warnings {
        eprintln!("{warning}\n");
    }
    if args.output == Path::new("-") {
        return print(&text);
    }
    write(&args.output, &text, args.force)?;
    print(&written(recipe, &args.output))
}

/// A wrong use.
fn wrong(text: impl Into<String>) -> Failure {
    Failure::Config(format!("understudy: {}", text.into()))
}

fn list() -> String {
    let width = RECIPES.iter().map(|recipe| recipe.name.len()).max().unwrap_or_default();
    let line = |recipe: &Recipe| format!("{:width$}  {}\n", recipe.name, recipe.about);
    RECIPES.iter().map(line).collect()
}

fn names() -> String {
    RECIPES.iter().map(|recipe| recipe.name).collect::<Vec<_>>().join(", ")
}

/// The recipe of the flag.
fn named(args: &Init) -> Result<&'static Recipe, Failure> {
    let needed = "give --recipe NAME and --backend [NAME=]URL, once for the primary and once for each standby";
    let Some(name) = args.recipe.as_deref() else {
        return Err(wrong(format!(
            "nothing says what to write: {needed}; or --ask, to be asked (recipes: {})",
            names()
        )));
    };
    if args.backends.is_empty() {
        return Err(wrong(format!("there is no backend: {needed}")));
    }
    find(name).ok_or_else(|| wrong(no_such(name)))
}

fn find(name: &str) -> Option<&'static Recipe> {
    RECIPES.iter().find(|recipe| recipe.name == name)
}

fn no_such(name: &str) -> String {
    format!("there is no recipe {name:?}; the recipes are: {}", names())
}

/// What the flags say.
fn filling(args: &Init) -> Result<Filling, Failure> {
    let backends = args.backends.iter().map(|text| recipe::backend(text));
    Ok(Filling {
        backends: backends.collect::<Result<_, _>>().map_err(wrong)?,
        listen: args.listen.clone(),
        host: args.host.clone(),
        health_path: args.health_path.clone(),
        state_dir: args.state_dir.clone(),
    })
}

/// What it is once it stands in its file.
fn judged(text: &str, output: &Path) -> Result<Loaded, Failure> {
    let loaded = load(text, output)?;
    loaded.map_err(|problems| {
        Failure::Config(format!("{problems}\n\nunderstudy: nothing was written: see above"))
    })
}

fn load(text: &str, output: &Path) -> Result<Result<Loaded, config::Problems>, Failure> {
    let (name, base) = if output == Path::new("-") {
        ("the config".to_owned(), std::env::current_dir()?)
    } else {
        let folder = std::path::absolute(output)?;
        let folder = folder.parent().unwrap_or(Path::new("/")).to_owned();
        (output.display().to_string(), folder)
    };
    Ok(config::load(&name, text, &base))
}

fn there_already(output: &Path) -> Failure {
    wrong(format!(
        "{} is there already: give another file with -o, or --force to replace it",
        output.display()
    ))
}

fn write(output: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true);
    // A file that came about meanwhile is not ours to replace.
    let opened = if force {
        options.create(true).truncate(true).open(output)
    } else {
        options.create_new(true).open(output)
    };
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => there_already(output),
        _ => Failure::Other(
            anyhow::Error::new(error).context(format!("cannot write {}", output.display())),
        ),
    })
}

fn written(recipe: &Recipe, output: &Path) -> String {
    let (name, file) = (recipe.name, output.display());
    format!(
        "Wrote {file}, the recipe {name} with your addresses. Read it; what it leaves to you is in its comments.\nNext:\n  understudy check -c {file}\n  understudy run -c {file}"
    )
}
