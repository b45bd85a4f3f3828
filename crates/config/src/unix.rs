//! Paths of Unix sockets, as listeners and backends have them: `unix:/run/app.sock`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::problem::quoted;
use crate::report::Complaint;

/// What a Unix socket begins with, in place of a scheme.
pub(crate) const PREFIX: &str = "unix:";

/// Most bytes of a path: `sun_path` without its final zero (unix(7)).
const PATH_BYTES: usize = 107;

/// The path behind [`PREFIX`]: absolute, short enough for the system, and in only one spelling, so
/// that equal text means the same socket.
pub(crate) fn parse_socket_path(path: &str) -> Result<Arc<Path>, Complaint> {
    parse(path, PREFIX)
}

/// [`parse_socket_path`] where nothing but a path can stand, so that nothing is before it.
pub(crate) fn parse_path(path: &str) -> Result<Arc<Path>, Complaint> {
    parse(path.strip_prefix(PREFIX).unwrap_or(path), "")
}

/// The same, where a relative path starts at `base`. It may have `.` and `..` in it, as `base` may.
pub(crate) fn parse_path_from(path: &str, base: &Path) -> Result<PathBuf, Complaint> {
    let path = path.strip_prefix(PREFIX).unwrap_or(path);
    if path.is_empty() || path.starts_with('@') || path.starts_with("//") {
        return parse(path, "").map(|path| path.to_path_buf());
    }
    let bad = || Complaint::new(format!("{} is not a Unix socket", quoted(path)));
    if matches!(path.rsplit('/').next(), Some("" | "." | "..")) {
        return Err(bad().advice("that is a folder: name a file in it"));
    }
    if path.chars().any(char::is_control) {
        return Err(bad().advice("remove the control characters"));
    }
    let whole = base.join(path);
    fits(whole.as_os_str().len())?;
    Ok(whole)
}

fn parse(path: &str, prefix: &str) -> Result<Arc<Path>, Complaint> {
    let whole = format!("{prefix}{path}");
    let bad = || Complaint::new(format!("{} is not a Unix socket", quoted(&whole)));
    let Some(below) = path.strip_prefix('/') else {
        return Err(
            bad().advice(format!("write the whole path, for example `{prefix}/run/app.sock`"))
        );
    };
    if below.starts_with('/') {
        let one = format!("{prefix}/{}", below.trim_start_matches('/'));
        return Err(bad().advice(format!("write one slash: {}", quoted(&one))));
    }
    if below.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(bad().advice("the path names a file, without empty, `.` or `..` parts"));
    }
    if path.chars().any(char::is_control) {
        return Err(bad().advice("remove the control characters"));
    }
    fits(path.len())?;
    Ok(Arc::from(Path::new(path)))
}

/// Whether the system takes a path of so many bytes.
fn fits(bytes: usize) -> Result<(), Complaint> {
    if bytes <= PATH_BYTES {
        return Ok(());
    }
    let message =
        format!("the path of a Unix socket has at most {PATH_BYTES} bytes, this one has {bytes}");
    Err(Complaint::new(message).advice("choose a shorter one, for example in `/run`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_short_and_plain() {
        let longest = format!("/{}", "x".repeat(106));
        for good in ["/a", "/run/app.sock", "/run/ü b", longest.as_str()] {
            assert_eq!(parse_socket_path(good).as_deref(), Ok(Path::new(good)), "{good}");
        }
        let long = format!("{longest}x");
        for bad in [
            "", "/", "a", "run/a", "@a", "//run/a", "///run/a", "/run/", "/run//a", "/./a",
            "/../a", "/a/..", "/a\0", "/a\n", &long,
        ] {
            assert!(parse_socket_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_relative_path_starts_at_the_folder_of_the_config() {
        let parsed = |path: &str| parse_path_from(path, Path::new("/etc/../srv"));
        for (path, expected) in [
            ("admin.sock", "/etc/../srv/admin.sock"),
            ("run/a.sock", "/etc/../srv/run/a.sock"),
            ("../a", "/etc/../srv/../a"),
            ("/run/a", "/run/a"),
            // As the one above is written back.
            ("/etc/../srv/admin.sock", "/etc/../srv/admin.sock"),
            ("unix:/run/a", "/run/a"),
        ] {
            assert_eq!(parsed(path).as_deref(), Ok(Path::new(expected)), "{path}");
        }
        // With the folder before it this one is too long.
        let long = "x".repeat(100);
        for bad in ["", "@a", "//run/a", "run/", "/", ".", "..", "run/..", "a\n", &long] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_slashes_of_a_url_are_one_too_many() {
        let complaint = parse_socket_path("///run/a").unwrap_err();
        assert_eq!(complaint.advice.as_deref(), Some("write one slash: `unix:/run/a`"));
    }
}
