//! A program in the shell's words, written so that it can be run at once.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes `text` to `path` as an executable, by a process of its own.
///
/// If we wrote it ourselves, a child that another thread forks in that instant would have the file open
/// for writing until it executes, and whoever runs the script would be told `Text file busy`.
///
/// # Panics
///
/// When it cannot be written.
pub fn write(path: &Path, text: &str) {
    let mut install = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("install, of coreutils");
    // If it ends before it has read all, its status says so.
    let _ = install.stdin.take().expect("a pipe").write_all(text.as_bytes());
    let status = install.wait().expect("it ends");
    assert!(status.success(), "{} cannot be written: {status}", path.display());
}
