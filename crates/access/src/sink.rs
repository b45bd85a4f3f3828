//! Where lines end up: a file, standard output, syslog. Used by the writer's thread alone, which may
//! wait for a disk or a socket as long as that takes.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use config::model::{LogTo, Rotate};
use rustix::io::Errno;

/// Readable for the group: logs are shipped by others than those who write them.
const MODE: u32 = 0o640;

/// An open destination.
#[derive(Debug)]
pub(crate) enum Sink {
    Stdout,
    File(LogFile),
    SyslogUnix { socket: Option<UnixDatagram>, path: PathBuf },
    SyslogUdp(UdpSocket),
}

/// How much of a batch was written, and what stopped the rest.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Whole lines.
    pub(crate) lines: u64,
    /// Lines that no datagram can hold: left out.
    pub(crate) too_long: u64,
    pub(crate) error: Option<io::Error>,
    /// How setting the file aside went, if that was due. That costs no lines.
    pub(crate) set_aside: Option<io::Result<()>>,
}

impl Sink {
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open(to: &LogTo) -> io::Result<Self> {
        Ok(match to {
            LogTo::Stdout => Self::Stdout,
            LogTo::File { path, rotate } => Self::File(LogFile::open(path, *rotate)?),
            // Whoever listens there may come later, and go.
            LogTo::SyslogUnix(path) => Self::SyslogUnix { socket: None, path: path.clone() },
            LogTo::SyslogUdp(address) => {
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                Self::SyslogUdp(socket)
            }
        })
    }

    /// Writes `batch`, which consists of whole lines.
    pub(crate) fn write(&mut self, batch: &[u8]) -> Written {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                let (written, error) = write_some(&mut out, batch);
                Written { lines: count_lines(&batch[..written]), error, ..Written::default() }
            }
            Self::File(file) => file.write(batch),
            Self::SyslogUnix { socket, path } => each(batch, |line| send(socket, path, line)),
            Self::SyslogUdp(socket) => each(batch, |line| match socket.send(line) {
                // It tells of the datagram before: this one is worth a try.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    socket.send(line).map(drop)
                }
                sent => sent.map(drop),
            }),
        }
    }

    /// Lets go of a file that was renamed, and opens the one of its name.
    ///
    /// # Errors
    /// When it cannot be opened: then the old one stays in use.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.reopen(),
            Self::Stdout | Self::SyslogUnix { .. } | Self::SyslogUdp(_) => Ok(()),
        }
    }
}

/// Sends one datagram, on a new socket if whoever listens was started anew.
fn send(socket: &mut Option<UnixDatagram>, path: &Path, line: &[u8]) -> io::Result<()> {
    match socket.as_ref().map(|open| open.send(line)) {
        Some(Ok(_)) => return Ok(()),
        Some(Err(error)) if is_too_long(&error) => return Err(error),
        Some(Err(_)) | None => *socket = None,
    }
    let new = UnixDatagram::unbound()?;
    new.connect(path)?;
    let sent = new.send(line);
    *socket = Some(new);
    sent.map(drop)
}

/// The datagram is, not what is wrong with where it goes to.
fn is_too_long(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::MSGSIZE)
}

/// Sends each line, without its end, until that fails. One that is too long keeps no other back.
fn each(batch: &[u8], mut write: impl FnMut(&[u8]) -> io::Result<()>) -> Written {
    let mut all = Written::default();
    for line in batch.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match write(line) {
            Ok(()) => all.lines += 1,
            Err(error) if is_too_long(&error) => all.too_long += 1,
            Err(error) => {
                all.error = Some(error);
                break;
            }
        }
    }
    all
}

/// Writes as much as possible: how much that was.
fn write_some(to: &mut impl io::Write, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Some(error)),
        }
    }
    (written, to.flush().err())
}

pub(crate) fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// A file that is appended to.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    rotate: Option<Rotate>,
    file: File,
    /// Bytes in it, as far as we know: others may write to it, too.
    size: u64,
    /// It ends in the middle of a line, because there was no room for the rest.
    is_torn: bool,
}

impl LogFile {
    fn open(path: &Path, rotate: Option<Rotate>) -> io::Result<Self> {
        let (file, size) = open(path)?;
        // A device or a pipe stays where it is.
        let rotate = rotate.filter(|_| file.metadata().is_ok_and(|file| file.is_file()));
        Ok(Self { path: path.to_owned(), rotate, file, size, is_torn: false })
    }

    fn reopen(&mut self) -> io::Result<()> {
        (self.file, self.size) = open(&self.path)?;
        self.is_torn = false;
        Ok(())
    }

    fn write(&mut self, batch: &[u8]) -> Written {
        let mut set_aside = None;
        if let Some(rotate) = self.rotate
            && self.size > 0
            && self.size + batch.len() as u64 > rotate.size as u64
        {
            // Too large a file is better than a lost line.
            set_aside = Some(self.set_aside(rotate.keep));
        }
        if self.is_torn && self.file.write(b"\n").is_ok_and(|written| written > 0) {
            self.is_torn = false;
            self.size += 1;
        }
        let (written, error) = write_some(&mut self.file, batch);
        self.size += written as u64;
        if written > 0 {
            self.is_torn = batch[written - 1] != b'\n';
        }
        Written { lines: count_lines(&batch[..written]), error, set_aside, too_long: 0 }
    }

    /// `access.log` becomes `access.log.1`, what that was becomes `access.log.2`, and so on.
    fn set_aside(&mut self, keep: u32) -> io::Result<()> {
        if !self.is_in_place()? {
            return self.reopen();
        }
        let numbered = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        // Up to the first that is missing: what is beyond need not move, least of all over the last one
        // when a try before this one came half way.
        let taken = (1..keep).take_while(|number| numbered(*number).symlink_metadata().is_ok());
        for number in (1..=taken.count() as u32).rev() {
            fs::rename(numbered(number), numbered(number + 1))?;
        }
        fs::rename(&self.path, numbered(1))?;
        self.reopen()
    }

    /// Whether the file of this name is the one that is open. It is not when another has set it aside
    /// already: somebody, a second process at a takeover, or we, without then getting a new one.
    fn is_in_place(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let found = fs::metadata(path);
    let is_new = found.as_ref().is_err_and(|why| why.kind() == io::ErrorKind::NotFound);
    let is_fifo = found.is_ok_and(|found| found.file_type().is_fifo());
    let mut options = OpenOptions::new();
    if is_fifo {
        // Also for reading: to open one that nobody reads would wait for somebody who does, and to
        // write when the last has left would fail.
        options.read(true).write(true);
    } else {
        options.append(true).create(true).mode(MODE);
    }
    let file = options.open(path)?;
    if is_new {
        // Whatever the umask: a service's is strict, for its state. What has no modes needs none.
        let _ = file.set_permissions(Permissions::from_mode(MODE));
    }
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, rotate: Option<Rotate>) -> (PathBuf, Sink) {
        let path = folder.join("access.log");
        let sink = Sink::open(&LogTo::File { path: path.clone(), rotate }).expect("it opens");
        (path, sink)
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    }

    #[test]
    fn a_file_is_appended_to_and_ours_to_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, mut sink) = file(folder.path(), None);
        assert_eq!(sink.write(b"one\n").lines, 1);
        let (_, mut again) = file(folder.path(), None);
        assert_eq!(again.write(b"two\nthree\n").lines, 2);
        assert_eq!(read(&path), "one\ntwo\nthree\n");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777 & !MODE, 0, "{mode:o}");
    }

    #[test]
    fn a_renamed_file_is_left_when_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, mut sink) = file(folder.path(), None);
        sink.write(b"one\n");
        let aside = folder.path().join("aside");
        fs::rename(&path, &aside).expect("renamed");
        sink.write(b"two\n");
        sink.reopen().expect("opened anew");
        sink.write(b"three\n");
        assert_eq!((read(&aside).as_str(), read(&path).as_str()), ("one\ntwo\n", "three\n"));
    }

    #[test]
    fn a_full_file_is_set_aside_and_so_many_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, mut sink) = file(folder.path(), Some(Rotate { size: 10, keep: 2 }));
        for number in 1..=4 {
            let written = sink.write(format!("line {number}\n").as_bytes());
            assert!(written.error.is_none() && written.lines == 1, "{written:?}");
        }
        let aside = |number| folder.path().join(format!("access.log.{number}"));
        assert_eq!(read(&path), "line 4\n");
        assert_eq!((read(&aside(1)).as_str(), read(&aside(2)).as_str()), ("line 3\n", "line 2\n"));
        assert!(!aside(3).exists(), "two are kept");
    }

    #[test]
    fn a_pipe_is_never_set_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.is_ok_and(|made| made.success()), "mkfifo");
        let (path, mut sink) = file(folder.path(), Some(Rotate { size: 10, keep: 2 }));
        for _ in 0..4 {
            assert!(sink.write(b"line of 10\n").error.is_none());
        }
        assert!(fs::metadata(&path).expect("it is there").file_type().is_fifo());
        assert!(!folder.path().join("access.log.1").exists(), "set aside");
    }

    #[test]
    fn a_file_that_could_not_be_opened_anew_costs_no_archive() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, mut sink) = file(folder.path(), Some(Rotate { size: 10, keep: 2 }));
        let mut write = |line: &str| {
            let written = sink.write(line.as_bytes());
            assert!(written.error.is_none() && written.lines == 1, "{written:?}");
            written.set_aside
        };
        for line in ["line 1\n", "line 2\n", "line 3\n"] {
            assert!(write(line).is_none_or(|aside| aside.is_ok()));
        }
        let aside = |number| folder.path().join(format!("access.log.{number}"));
        // As if it had been renamed and no other could be made.
        fs::rename(aside(1), aside(2)).expect("renamed");
        fs::rename(&path, aside(1)).expect("renamed");
        std::os::unix::fs::symlink(folder.path().join("missing/file"), &path).expect("a link");
        for line in ["line 4\n", "line 5\n", "line 6\n"] {
            assert!(write(line).is_some_and(|aside| aside.is_err()));
        }
        assert_eq!(read(&aside(2)), "line 2\n");
        assert_eq!(read(&aside(1)), "line 3\nline 4\nline 5\nline 6\n");

        fs::remove_file(&path).expect("removed");
        assert!(write("line 7\n").is_some_and(|aside| aside.is_ok()));
        assert_eq!((read(&aside(2)).as_str(), read(&path).as_str()), ("line 2\n", "line 7\n"));
    }

    #[test]
    fn two_that_write_to_one_file_set_it_aside_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let rotate = Some(Rotate { size: 20, keep: 3 });
        let (path, mut old) = file(folder.path(), rotate);
        let (_, mut new) = file(folder.path(), rotate);
        for line in [b"old 1\n", b"old 2\n", b"old 3\n", b"old 4\n"] {
            assert_eq!(old.write(line).lines, 1);
        }
        // Its file is full by now, too, but no longer the one of this name.
        let Sink::File(log) = &mut new else { panic!("a file") };
        log.size = 20;
        assert_eq!(new.write(b"new 1\n").lines, 1);
        let aside = |number| folder.path().join(format!("access.log.{number}"));
        assert_eq!(read(&path), "old 4\nnew 1\n");
        assert_eq!(read(&aside(1)), "old 1\nold 2\nold 3\n");
        assert!(!aside(2).exists(), "set aside twice");
    }

    #[test]
    fn a_gap_keeps_what_is_beyond_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (_, mut sink) = file(folder.path(), Some(Rotate { size: 10, keep: 3 }));
        let aside = |number| folder.path().join(format!("access.log.{number}"));
        fs::write(aside(3), "the oldest\n").expect("written");
        for line in [b"line 1\n", b"line 2\n", b"line 3\n"] {
            sink.write(line);
        }
        let there = [1, 2, 3].map(|number| read(&aside(number)));
        assert_eq!(there, ["line 2\n", "line 1\n", "the oldest\n"]);
    }

    #[test]
    fn what_does_not_fit_is_counted_and_its_line_ended_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, sink) = file(folder.path(), None);
        let Sink::File(mut log) = sink else { panic!("a file") };
        log.file.write_all(b"half a li").expect("written");
        log.is_torn = true;
        assert_eq!(log.write(b"whole\n").lines, 1);
        assert_eq!(read(&path), "half a li\nwhole\n");

        let full = LogTo::File { path: "/dev/full".into(), rotate: None };
        let written = Sink::open(&full).expect("it opens").write(b"lost\n");
        assert_eq!(written.lines, 0);
        assert_eq!(written.error.map(|why| why.kind()), Some(io::ErrorKind::StorageFull));
    }

    #[test]
    fn a_line_too_long_for_a_datagram_costs_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let unix = UnixDatagram::bind(&path).expect("bound");
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
        let batch = format!("one\n{}\ntwo\n", "x".repeat(8 * 1024 * 1024));
        let address = udp.local_addr().expect("bound");
        for to in [LogTo::SyslogUnix(path), LogTo::SyslogUdp(address)] {
            let is_udp = matches!(to, LogTo::SyslogUdp(_));
            let written = Sink::open(&to).expect("it opens").write(batch.as_bytes());
            assert!(written.error.is_none(), "{to:?}: {written:?}");
            assert_eq!((written.lines, written.too_long), (2, 1), "{to:?}");
            let mut datagram = [0; 64];
            for expected in ["one", "two"] {
                let length =
                    if is_udp { udp.recv(&mut datagram) } else { unix.recv(&mut datagram) };
                assert_eq!(&datagram[..length.expect("received")], expected.as_bytes());
            }
        }
    }

    #[test]
    fn syslog_may_come_later_and_be_started_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut sink = Sink::open(&LogTo::SyslogUnix(path.clone())).expect("it opens");
        assert!(sink.write(b"nobody\n").error.is_some());
        for _ in 0..2 {
            let server = UnixDatagram::bind(&path).expect("bound");
            let written = sink.write(b"one\ntwo\n");
            assert!(written.error.is_none() && written.lines == 2, "{written:?}");
            let mut datagram = [0; 64];
            for expected in ["one", "two"] {
                let length = server.recv(&mut datagram).expect("received");
                assert_eq!(&datagram[..length], expected.as_bytes());
            }
            fs::remove_file(&path).expect("removed");
        }
    }
}
