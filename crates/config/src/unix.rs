//! Paths of Unix sockets, as listeners and backends have them: `unix:/run/app.sock`.

use std::path::Path;
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
    if path.len() > PATH_BYTES {
        let bytes = path.len();
        let message = format!(
            "the path of a Unix socket has at most {PATH_BYTES} bytes, this one has {bytes}"
        );
        return Err(Complaint::new(message).advice("choose a shorter one, for example in `/run`"));
    }
    Ok(Arc::from(Path::new(path)))
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
    fn the_slashes_of_a_url_are_one_too_many() {
        let complaint = parse_socket_path("///run/a").unwrap_err();
        assert_eq!(complaint.advice.as_deref(), Some("write one slash: `unix:/run/a`"));
    }
}
