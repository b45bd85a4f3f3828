//! Where the Unix socket of the admin API is when nobody says so: the same for `run`, which opens it,
//! and for the commands that ask there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where it is for the user that this process runs as.
pub(crate) fn default_socket() -> PathBuf {
    socket_of(rustix::process::geteuid().as_raw(), std::env::var_os("XDG_RUNTIME_DIR"))
}

/// Only root may write below /run; everybody else has a folder of their own, or makes one in /tmp.
fn socket_of(uid: u32, runtime_dir: Option<OsString>) -> PathBuf {
    let runtime_dir = runtime_dir.map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder = match (uid, runtime_dir) {
        (0, _) => PathBuf::from("/run/understudy"),
        (_, Some(folder)) => folder.join("understudy"),
        (uid, None) => Path::new("/tmp").join(format!("understudy-{uid}")),
    };
    folder.join("admin.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_run_and_others_have_a_folder_of_their_own() {
        let of = |uid, dir: Option<&str>| socket_of(uid, dir.map(OsString::from));
        let is = |path: PathBuf, expected| assert_eq!(path, Path::new(expected));
        is(of(0, None), "/run/understudy/admin.sock");
        is(of(0, Some("/run/user/0")), "/run/understudy/admin.sock");
        is(of(1000, Some("/run/user/1000")), "/run/user/1000/understudy/admin.sock");
        is(of(1000, None), "/tmp/understudy-1000/admin.sock");
        // An empty variable, or a path that depends on where one stands, says nothing.
        is(of(1000, Some("")), "/tmp/understudy-1000/admin.sock");
        is(of(1000, Some("run")), "/tmp/understudy-1000/admin.sock");
    }
}
