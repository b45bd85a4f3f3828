//! Finds a program of this workspace that tests start, and builds it when it is missing or old.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// The program `name` of `package` in `folder` (a profile's folder in a target directory), built with
/// `cargo` if it is missing or older than what is in `sources` (flat folders).
///
/// # Errors
///
/// When it cannot be built.
pub fn binary(
    folder: &Path,
    cargo: &str,
    package: &str,
    name: &str,
    sources: &[&Path],
) -> io::Result<PathBuf> {
    let binary = folder.join(name);
    let mut changed = SystemTime::UNIX_EPOCH;
    for source in sources {
        changed = changed.max(newest(source)?);
    }
    if fs::metadata(&binary).and_then(|file| file.modified()).is_ok_and(|built| built >= changed) {
        return Ok(binary);
    }
    let mut build = Command::new(cargo);
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    build.args(["build", "--quiet", "-p", package, "--bin", name]);
    // The folder of the `dev` profile is called `debug`; every other has the profile's name.
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(profile) => {
            build.args(["--profile", profile]);
        }
    }
    if let Some(target) = folder.parent() {
        build.arg("--target-dir").arg(target);
    }
    let status = build.status()?;
    if status.success() {
        Ok(binary)
    } else {
        Err(io::Error::other(format!("{build:?}: {status}")))
    }
}

/// When the newest file of a flat folder was changed.
fn newest(folder: &Path) -> io::Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for file in fs::read_dir(folder)? {
        newest = newest.max(file?.metadata()?.modified()?);
    }
    Ok(newest)
}
