//! Config files: read, judged, shown. What `check`, `explain` and `schema` do.

use std::fmt::{self, Write as _};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use config::model::{AdminSocket, Config};
use config::{Finding, Loaded, Problems};
use control::{BuildError, Certificate, TlsError, TlsProblem};

use crate::cli::ConfigFile;
use crate::run::traces::{MISSING, is_missing};
use crate::socket::default_socket;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The config is wrong, or cannot be read: exit code 2. The text is for the operator as it is.
    Config(String),
    /// The running load balancer would not, or what it did came to nothing: exit code 3.
    Refused(String),
    /// Anything else: exit code 1.
    Other(anyhow::Error),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(2),
            Self::Refused(_) => ExitCode::from(3),
            Self::Other(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(text) => f.write_str(text),
            Self::Refused(why) => write!(f, "understudy: {why}"),
            // With its causes, on one line.
            Self::Other(error) => write!(f, "understudy: {error:#}"),
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Config(problems.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Other(error.into())
    }
}

/// A config as text, and where it is from.
pub(crate) struct Text {
    /// Its name in messages.
    pub(crate) name: String,
    pub(crate) text: String,
    /// What relative paths in it start from; absolute, so that `--print-config` means the same in
    /// another folder.
    pub(crate) base: PathBuf,
    /// The file, unless it is standard input or the flags.
    pub(crate) file: Option<PathBuf>,
}

impl Text {
    /// Reads a file, or standard input for `-`.
    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        let unreadable = |name: &str, error: io::Error| {
            Failure::Config(format!("understudy: cannot read {name}: {error}"))
        };
        if file == Path::new("-") {
            let mut text = String::new();
            let read = io::stdin().read_to_string(&mut text);
            read.map_err(|error| unreadable("the config on standard input", error))?;
            let base = std::env::current_dir()?;
            return Ok(Self { base, ..Self::without_file("standard input", text) });
        }
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(&name, error))?;
        let base = std::path::absolute(file)?.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Self { name, text, base, file: Some(file.to_owned()) })
    }

    /// A config that is in no file, and without relative paths.
    pub(crate) fn without_file(name: &str, text: String) -> Self {
        Self { name: name.to_owned(), text, base: PathBuf::new(), file: None }
    }

    /// Loads it. Warnings go to standard error.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        let Loaded { config, warnings } = config::load(&self.name, &self.text, &self.base)?;
        for warning in warnings {
            eprintln!("{warning}\n");
        }
        Ok(config)
    }
}

/// The Unix socket that a load balancer with this config answers on.
pub(crate) fn admin_socket(file: &Path) -> Result<PathBuf, Failure> {
    let text = Text::read(file)?;
    // Its warnings are for who checks it. A file that is broken must not keep anybody from asking.
    let socket = match config::load(&text.name, &text.text, &text.base) {
        Ok(Loaded { config, warnings: _ }) => config.admin.socket,
        Err(_) => {
            let name = &text.name;
            eprintln!(
                "warning: {name} has errors (see `understudy check -c {name}`): asking all the same"
            );
            config::admin_socket(&text.text, &text.base)
        }
    };
    match socket {
        AdminSocket::Auto => Ok(default_socket()),
        AdminSocket::Path(path) => Ok(path),
        AdminSocket::Off => Err(Failure::Config(format!(
            "understudy: {}: `admin.socket` is off; ask at its `admin.address` with --url",
            text.name
        ))),
    }
}

/// `check`: says everything that is wrong, also what the text alone does not show.
pub(crate) fn check(file: &ConfigFile) -> Result<ExitCode, Failure> {
    let text = Text::read(file.path())?;
    let config = text.load()?;
    let checked = control::check(&config).map_err(|error| unbuildable(&text, &error))?;
    for warning in &checked.warnings {
        eprintln!("warning: {warning}\n");
    }
    if is_missing(config.traces.as_ref()) {
        eprintln!("warning: {MISSING}\n");
    }
    let services = config.services.len();
    let backends: usize = config.services.iter().map(|service| service.backends.len()).sum();
    let (services, backends) = (counted(services, "service"), counted(backends, "backend"));
    let certificates = listed(&checked.certificates, SystemTime::now());
    print(&format!("{}: ok, {services}, {backends}\n{certificates}", text.name))
}

/// `explain`: the policy in words.
pub(crate) fn explain(file: &Path) -> Result<ExitCode, Failure> {
    let config = Text::read(file)?.load()?;
    print(&config::explain(&config))
}

/// `schema`: the JSON Schema.
pub(crate) fn schema() -> Result<ExitCode, Failure> {
    print(&format!("{:#}", config::schema()))
}

/// Writes to standard output. A reader that has seen enough, such as `head`, is no failure.
pub(crate) fn print(text: &str) -> Result<ExitCode, Failure> {
    print_on(text).map(|_| ExitCode::SUCCESS)
}

/// The same for what has no end: says whether somebody still reads.
pub(crate) fn print_on(text: &str) -> Result<bool, Failure> {
    match writeln!(io::stdout(), "{}", text.trim_end()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What a config asks for and cannot have, everything with its place.
fn unbuildable(text: &Text, error: &BuildError) -> Failure {
    match error {
        BuildError::Tls(problems) => {
            let findings = problems.iter().map(|TlsProblem { place, why }| Finding {
                path: place.clone(),
                message: why.to_string(),
                advice: advice(why).map(str::to_owned),
            });
            config::locate(&text.name, &text.text, &text.base, findings.collect()).into()
        }
        BuildError::Bind { .. } | BuildError::Log(_) => {
            Failure::Config(format!("{}: {error}", text.name))
        }
    }
}

/// What to do about TLS settings that cannot be built, where the words do not say it.
fn advice(error: &TlsError) -> Option<&'static str> {
    match error {
        TlsError::Read { why, .. } => match why.kind() {
            io::ErrorKind::NotFound => {
                Some("a path that does not begin with `/` starts at the folder of the config")
            }
            io::ErrorKind::PermissionDenied => {
                Some("whoever runs understudy must be allowed to read it")
            }
            _ => None,
        },
        TlsError::Mismatch(_) => Some("name the key that this certificate was made with"),
        TlsError::Wrong { .. }
        | TlsError::NoSystemRoots { .. }
        | TlsError::Name(_)
        | TlsError::Rustls(_)
        | TlsError::Verifier(_) => None,
    }
}

/// Certificates, one a line, with the time they have left as of `now`.
fn listed(certificates: &[Certificate], now: SystemTime) -> String {
    let mut list = String::new();
    for certificate in certificates {
        let Certificate { usage, file, names, ends, .. } = certificate;
        let date = jiff::Timestamp::try_from(*ends).map(|ends| ends.strftime("%F").to_string());
        let date = date.unwrap_or_else(|_| "beyond all dates".to_owned());
        let left = match certificate.days_left(now) {
            days @ ..0 => format!("expired on {date}, {} ago", counted_days(-days)),
            days => format!("expires on {date}, {} left", counted_days(days)),
        };
        let (usage, names) = (usage.as_str(), names.join(", "));
        // A String takes all.
        let _ = writeln!(list, "  {usage} certificate of {names}: {left} ({})", file.display());
    }
    list
}

fn counted_days(days: i64) -> String {
    counted(usize::try_from(days).unwrap_or(usize::MAX), "day")
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
