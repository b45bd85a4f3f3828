//! The programs that come with a query server: its ping script, and the scripts that copy metadata.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use benches::fetch::{self, Answer};
use clap::Args;

/// Logs in and runs a query; exit code 0 when that worked in time, else 1.
#[derive(Debug, Args)]
pub(crate) struct Ping {
    /// How long it may take in all.
    #[arg(short = 't', long, default_value_t = 15_000)]
    timeout_ms: u64,
    /// `user:password`.
    #[arg(long)]
    login: Option<String>,
    /// How many seconds the query takes.
    #[arg(short, long, default_value_t = 0.0)]
    query_seconds: f64,
    /// `HOST:PORT`.
    server: SocketAddr,
}

/// Asks a query server for its metadata.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// `http://HOST:PORT`.
    #[arg(long)]
    from: String,
    /// The file.
    #[arg(long)]
    to: PathBuf,
}

/// Gives metadata to a query server.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file.
    #[arg(long)]
    from: PathBuf,
    /// `http://HOST:PORT`.
    #[arg(long)]
    to: String,
}

pub(crate) fn ping(ping: &Ping) -> ExitCode {
    match status(ping) {
        Ok(status) if status.contains(" 200 ") => {
            println!("it answers queries");
            ExitCode::SUCCESS
        }
        Ok(status) => {
            println!("it is alive, and does not answer queries: {status}");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("no answer: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The first line of the answer.
fn status(ping: &Ping) -> io::Result<String> {
    let until = Instant::now() + Duration::from_millis(ping.timeout_ms.max(1));
    let left = || until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let mut stream = TcpStream::connect_timeout(&ping.server, left())?;
    let login = ping.login.as_ref().map_or_else(String::new, |login| {
        format!("authorization: Basic {}\r\n", STANDARD.encode(login))
    });
    let Ping { server, query_seconds, .. } = ping;
    let request = format!(
        "GET /query?id=ping&seconds={query_seconds} HTTP/1.1\r\nhost: {server}\r\n\
         connection: close\r\n{login}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') {
        if Instant::now() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left()))?;
        let mut some = [0; 512];
        match stream.read(&mut some)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => answer.extend_from_slice(&some[..read]),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

pub(crate) fn export(export: &Export) -> io::Result<()> {
    let metadata = ask(&export.from, "GET", b"")?;
    fs::write(&export.to, &metadata.body)?;
    println!("exported {}", metadata.text());
    Ok(())
}

pub(crate) fn import(import: &Import) -> io::Result<()> {
    let metadata = fs::read(&import.from)?;
    ask(&import.to, "POST", &metadata)?;
    println!("imported {}", String::from_utf8_lossy(&metadata));
    Ok(())
}

fn ask(url: &str, method: &str, body: &[u8]) -> io::Result<Answer> {
    let address = url.trim_end_matches('/').trim_start_matches("http://");
    let address = address.parse().map_err(|error| io::Error::other(format!("{url}: {error}")))?;
    let answer = fetch::request(address, method, "/metadata", &[], body)?;
    if answer.status == 200 {
        Ok(answer)
    } else {
        Err(io::Error::other(format!("{url}: {}: {}", answer.status, answer.text())))
    }
}
