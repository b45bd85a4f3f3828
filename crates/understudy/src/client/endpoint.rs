//! Which load balancer to ask: from flags, from the environment, or where one usually is.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use http::uri::Scheme;
use http::{HeaderValue, Uri};

use crate::cli::Place;
use crate::files::{Failure, admin_socket};
use crate::socket::default_socket;

/// Where it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// A host and port.
    Tcp { https: bool, host: String, port: u16 },
}

/// Where to ask, and what to show there.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) endpoint: Endpoint,
    /// `Bearer TOKEN`, marked as sensitive; never for a Unix socket.
    pub(super) authorization: Option<HeaderValue>,
    /// The authorities that vouch for it; `None`: the system's.
    pub(super) ca: Option<PathBuf>,
}

/// As people write it.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix socket {}", path.display()),
            Self::Tcp { https, .. } => {
                let scheme = if *https { "https" } else { "http" };
                write!(f, "{scheme}://{}", self.authority())
            }
        }
    }
}

impl Endpoint {
    /// What the `Host` field says.
    pub(super) fn authority(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
        }
    }

    /// What to try when what answers there does not speak as expected.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::Unix(_) => "",
            Self::Tcp { https: true, .. } => "; is this the admin address of Understudy?",
            Self::Tcp { https: false, .. } => {
                "; is this the admin address of Understudy? If it has TLS, try https://"
            }
        }
    }

    /// Whether others could read along on the way there.
    fn is_in_the_clear(&self) -> bool {
        match self {
            Self::Unix(_) => false,
            Self::Tcp { https, host, .. } => !https && !is_loopback(host),
        }
    }
}

/// Where the flags say, else the environment, else where `run` opens its socket.
///
/// # Errors
/// When flags or variables make no sense, a file cannot be read, or a token would go in the clear.
pub(super) fn find(
    place: &Place,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Found, Failure> {
    let variable = |name| env(name).filter(|value| !value.is_empty());
    let (socket, url) = match (&place.socket, &place.config, &place.url) {
        (Some(socket), _, _) => (Some(socket.clone()), None),
        (None, Some(config), _) => (Some(admin_socket(config)?), None),
        (None, None, Some(url)) => (None, Some(url.clone())),
        (None, None, None) => {
            let url = variable("UNDERSTUDY_URL").map(|url| url.to_string_lossy().into_owned());
            (variable("UNDERSTUDY_SOCKET").map(PathBuf::from), url)
        }
    };
    let endpoint = match (socket, url) {
        (Some(_), Some(_)) => {
            let both = "UNDERSTUDY_SOCKET and UNDERSTUDY_URL are both set: which one? Say --socket or --url";
            return Err(usage(both));
        }
        (Some(socket), None) => Endpoint::Unix(socket),
        (None, Some(url)) => parse(&url)?,
        (None, None) => {
            Endpoint::Unix(trusted(default_socket(), rustix::process::geteuid().as_raw())?)
        }
    };
    if matches!(endpoint, Endpoint::Unix(_)) && (place.token_file.is_some() || place.ca.is_some()) {
        return Err(usage("--token-file and --ca are for --url: a Unix socket needs neither"));
    }
    let token = match (&endpoint, &place.token_file) {
        (Endpoint::Unix(_), _) => None,
        (Endpoint::Tcp { .. }, Some(file)) => Some(read_token(file)?),
        (Endpoint::Tcp { .. }, None) => {
            variable("UNDERSTUDY_TOKEN").map(|token| token.to_string_lossy().into_owned())
        }
    };
    if token.is_some() && endpoint.is_in_the_clear() {
        return Err(usage(&format!(
            "a token is not sent to {endpoint}: others could read it on the way; use https"
        )));
    }
    let authorization = token.as_deref().map(bearer).transpose()?;
    Ok(Found { endpoint, authorization, ca: place.ca.clone() })
}

fn parse(url: &str) -> Result<Endpoint, Failure> {
    let wrong = |why: &str| usage(&format!("bad URL {url:?}: {why}"));
    let form = "write http://host:port or https://host:port";
    let uri = url.parse::<Uri>().map_err(|_| wrong(form))?;
    let https = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => false,
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(_) | None => return Err(wrong(form)),
    };
    let Some(authority) = uri.authority() else { return Err(wrong(form)) };
    if authority.as_str().contains('@') {
        return Err(wrong("no user name and password; a token comes from --token-file"));
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(wrong("no path; the commands know theirs"));
    }
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    if host.is_empty() || (authority.as_str().contains(':') && authority.as_str().ends_with(':')) {
        return Err(wrong(form));
    }
    let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
    Ok(Endpoint::Tcp { https, host, port })
}

/// Whether this host is this machine. Of names only the one that always is (RFC 6761 6.3).
pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    address.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

/// Refuses a socket in a folder of somebody else: in /tmp anybody can make one with our name, and
/// answer there whatever they like. Below /run only root can: that folder is of whomever root has
/// given it to, for example of the user of a service.
fn trusted(socket: PathBuf, ours: u32) -> Result<PathBuf, Failure> {
    if socket.ancestors().nth(2).is_some_and(is_of_root_alone) {
        return Ok(socket);
    }
    let owner = socket.parent().and_then(|folder| folder.symlink_metadata().ok());
    match owner.map(|owner| owner.uid()) {
        Some(owner) if owner != ours && owner != 0 => Err(usage(&format!(
            "the folder of {} belongs to another user (uid {owner}): not asked there; \
             say --socket if it is the right one",
            socket.display()
        ))),
        Some(_) | None => Ok(socket),
    }
}

/// Whether nobody but root can make anything in a folder.
fn is_of_root_alone(folder: &Path) -> bool {
    let others_may_write = |mode: u32| mode & 0o022 != 0;
    folder.symlink_metadata().is_ok_and(|folder| {
        folder.is_dir() && folder.uid() == 0 && !others_may_write(folder.mode())
    })
}

fn read_token(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| usage(&format!("cannot read the token in {}: {error}", file.display())))?;
    if text.trim().is_empty() {
        return Err(usage(&format!("there is no token in {}", file.display())));
    }
    // The token alone is expected; what follows on further lines is not part of it.
    Ok(text.trim_start().lines().next().unwrap_or_default().to_owned())
}

fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    let token = token.trim();
    // Says nothing of the token itself.
    let bad =
        || usage("the token has characters that no token has; a token file holds the token alone");
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad());
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| bad())?;
    value.set_sensitive(true);
    Ok(value)
}

fn usage(words: &str) -> Failure {
    Failure::Config(format!("understudy: {words}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn place(url: &str) -> Place {
        Place { url: Some(url.to_owned()), ..Place::default() }
    }

    fn with(place: &Place, variables: &[(&str, &str)]) -> Result<Found, String> {
        let env = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        find(place, env).map_err(|failure| failure.to_string())
    }

    #[test]
    fn flags_come_before_the_environment_and_that_before_the_usual_place() {
        let socket = Place { socket: Some("/flag".into()), ..Place::default() };
        let variable = ("UNDERSTUDY_SOCKET", "/variable");
        let url = ("UNDERSTUDY_URL", "http://127.0.0.1:9900");
        let endpoint = |place: &Place, variables: &[(&str, &str)]| {
            with(place, variables).map(|found| found.endpoint.to_string())
        };
        let none = Place::default();
        assert_eq!(endpoint(&socket, &[variable, url]).as_deref(), Ok("unix socket /flag"));
        assert_eq!(endpoint(&place("https://a"), &[variable]).as_deref(), Ok("https://a:443"));
        assert_eq!(endpoint(&none, &[variable]).as_deref(), Ok("unix socket /variable"));
        assert_eq!(endpoint(&none, &[url]).as_deref(), Ok("http://127.0.0.1:9900"));
        let usual = Ok(format!("unix socket {}", default_socket().display()));
        assert_eq!(endpoint(&none, &[]), usual);
        assert_eq!(endpoint(&none, &[("UNDERSTUDY_SOCKET", "")]), usual, "empty says nothing");
        let both = endpoint(&none, &[variable, url]).expect_err("both");
        assert!(both.contains("both set"), "{both}");
    }

    #[test]
    fn a_folder_of_somebody_else_is_not_asked() {
        // In one that anybody may write to.
        let shared = tempfile::tempdir().expect("a folder");
        let mode = std::fs::Permissions::from_mode(0o1777);
        std::fs::set_permissions(shared.path(), mode).expect("set");
        let folder = tempfile::tempdir_in(&shared).expect("a folder");
        let owner = folder.path().metadata().expect("it is there").uid();
        // What is root's is trusted by all; root can give it away.
        let owner = if owner == 0 { 12_345 } else { owner };
        std::os::unix::fs::chown(folder.path(), Some(owner), None).expect("it is given");
        let socket = folder.path().join("admin.sock");
        assert!(trusted(socket.clone(), owner).is_ok());
        let refused = trusted(socket, owner + 1).expect_err("another user's").to_string();
        assert!(refused.contains(&format!("(uid {owner})")), "{refused}");
        assert!(trusted("/nowhere/at/all/admin.sock".into(), owner).is_ok(), "that is said later");
    }

    #[test]
    fn what_only_root_can_make_is_asked_whomever_it_was_given_to() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can give folders away");
            return;
        }
        let run = tempfile::tempdir().expect("a folder");
        let folder = run.path().join("understudy");
        std::fs::create_dir(&folder).expect("a folder");
        std::os::unix::fs::chown(&folder, Some(12_345), None).expect("it is given");
        let socket = folder.join("admin.sock");
        let mode = |mode| std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(run.path(), mode(0o755)).expect("set");
        assert!(trusted(socket.clone(), 0).is_ok());
        for open in [0o1777, 0o775] {
            std::fs::set_permissions(run.path(), mode(open)).expect("set");
            assert!(trusted(socket.clone(), 0).is_err(), "{open:o}");
        }
    }

    #[test]
    fn a_url_is_scheme_host_and_port() {
        for (url, expected) in [
            ("http://[::1]:9900", "http://[::1]:9900"),
            ("https://a.example/", "https://a.example:443"),
            ("HTTP://a:81", "http://a:81"),
        ] {
            let found = parse(url).map(|endpoint| endpoint.to_string());
            assert_eq!(found.expect(url), expected);
        }
        for bad in [
            "",
            "a:9900",
            "ftp://a",
            "http://",
            "http://a/x",
            "http://a?x",
            "http://u:p@a",
            "http://a:",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_never_sent_in_the_clear_past_this_machine() {
        let token = [("UNDERSTUDY_TOKEN", "understudy_secret")];
        for bad in [
            "http://192.0.2.1:9900",
            "http://a.example",
            "http://localhost.a.example",
            "http://[2001:db8::1]:1",
        ] {
            let refused = with(&place(bad), &token).expect_err(bad);
            assert!(refused.contains("not sent") && refused.contains("https"), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
            assert!(with(&place(bad), &[]).expect("no token, no secret").authorization.is_none());
        }
        for good in
            ["http://127.0.0.1:9900", "http://[::1]", "http://localhost:1", "https://a.example"]
        {
            let found = with(&place(good), &token).expect(good);
            let value = found.authorization.expect("a token");
            assert_eq!(value.as_bytes(), b"Bearer understudy_secret");
            assert!(value.is_sensitive(), "it shows in a debug print");
        }
    }

    #[test]
    fn a_token_comes_from_a_file_and_never_goes_to_a_socket() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        std::fs::write(&file, "understudy_file\n").expect("a file");
        let url = Place { token_file: Some(file.clone()), ..place("https://a") };
        let found = with(&url, &[("UNDERSTUDY_TOKEN", "understudy_variable")]).expect("found");
        assert_eq!(found.authorization.expect("a token").as_bytes(), b"Bearer understudy_file");

        let socket = Place { socket: Some("/s".into()), ..Place::default() };
        let found = with(&socket, &[("UNDERSTUDY_TOKEN", "understudy_variable")]).expect("found");
        assert_eq!(found.authorization, None);
        let useless = Place { token_file: Some(file.clone()), ..socket };
        assert!(with(&useless, &[]).is_err());

        std::fs::write(&file, "understudy_file\nfor alice\n").expect("a file");
        let found = with(&url, &[]).expect("found");
        assert_eq!(found.authorization.expect("a token").as_bytes(), b"Bearer understudy_file");
        std::fs::write(&file, "two words").expect("a file");
        let error = with(&url, &[]).expect_err("no token has a space");
        assert!(!error.contains("two words"), "{error}");
        std::fs::write(&file, "\n").expect("a file");
        assert!(with(&url, &[]).expect_err("empty").contains("no token in"));
        std::fs::remove_file(&file).expect("gone");
        assert!(with(&url, &[]).expect_err("gone").contains("cannot read the token"));
    }
}
