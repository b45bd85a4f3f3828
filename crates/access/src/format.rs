//! A record as a line: JSON, combined, or by a template.
//!
//! What clients wrote cannot end a line, nor a value, nor reach a terminal as more than text: JSON
//! escapes as JSON does and all control characters, the others write `\xHH` as nginx does.

use std::io::Write as _;
use std::time::Duration;

use config::model::{AccessLog, LogFormat, LogVariable, TemplatePart};
use http::Version;
use metrics::cells::Blame;

use crate::clock::Clock;
use crate::record::{End, Record, What};

/// The status that stands for none where one must be: as nginx, when the client left before.
const CLIENT_CLOSED: u64 = 499;

/// What a variable says of a record.
enum Value<'a> {
    Text(&'a str),
    Number(u64),
    Flag(bool),
    /// In milliseconds, to the microsecond.
    Took(Duration),
    /// Safe characters only.
    Time,
    Address(std::net::IpAddr),
    Trace([u8; 16]),
    Nothing,
}

/// Appends the line of `record`, with its end.
pub(crate) fn write_line(out: &mut Vec<u8>, log: &AccessLog, clock: &mut Clock, record: &Record) {
    match &log.format {
        LogFormat::Json => json(out, log, clock, record),
        LogFormat::Combined => combined(out, log, clock, record),
        LogFormat::Template(parts) => {
            for part in parts {
                match part {
                    TemplatePart::Text(text) => out.extend_from_slice(text.as_bytes()),
                    TemplatePart::Variable(variable) => plain(out, log, clock, record, *variable),
                }
            }
        }
    }
    out.push(b'\n');
}

fn json(out: &mut Vec<u8>, log: &AccessLog, clock: &mut Clock, record: &Record) {
    for (index, variable) in LogVariable::ALL.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{\"" } else { b",\"" });
        out.extend_from_slice(variable.name().as_bytes());
        out.extend_from_slice(b"\":");
        match value(*variable, log, record) {
            Value::Text(text) => write_json_text(out, text),
            Value::Number(number) => write_number(out, number),
            Value::Flag(true) => out.extend_from_slice(b"true"),
            Value::Flag(false) => out.extend_from_slice(b"false"),
            Value::Took(took) => write_millis(out, took),
            Value::Time => {
                out.push(b'"');
                clock.rfc3339(record.began, out);
                out.push(b'"');
            }
            // Cannot fail: the buffer grows.
            Value::Address(address) => drop(write!(out, "\"{address}\"")),
            Value::Trace(id) => {
                out.push(b'"');
                write_hex(out, &id);
                out.push(b'"');
            }
            Value::Nothing => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
}

/// As Apache and nginx write it by that name.
fn combined(out: &mut Vec<u8>, log: &AccessLog, clock: &mut Clock, record: &Record) {
    plain(out, log, clock, record, LogVariable::Client);
    out.extend_from_slice(b" - - [");
    clock.common(record.began, out);
    out.extend_from_slice(b"] \"");
    for (variable, after) in [
        (LogVariable::Method, &b" "[..]),
        (LogVariable::Target, b" "),
        (LogVariable::Version, b"\" "),
    ] {
        plain(out, log, clock, record, variable);
        out.extend_from_slice(after);
    }
    write_number(out, record.status.map_or(CLIENT_CLOSED, |status| status.as_u16().into()));
    out.push(b' ');
    write_number(out, record.sent);
    for variable in [LogVariable::Referer, LogVariable::UserAgent] {
        out.extend_from_slice(b" \"");
        plain(out, log, clock, record, variable);
        out.push(b'"');
    }
}

fn plain(
    out: &mut Vec<u8>,
    log: &AccessLog,
    clock: &mut Clock,
    record: &Record,
    variable: LogVariable,
) {
    match value(variable, log, record) {
        Value::Text("") | Value::Nothing => out.push(b'-'),
        Value::Text(text) => write_plain_text(out, text),
        Value::Number(number) => write_number(out, number),
        Value::Flag(flag) => out.extend_from_slice(if flag { b"true" } else { b"false" }),
        Value::Took(took) => write_millis(out, took),
        Value::Time => clock.rfc3339(record.began, out),
        // Cannot fail: the buffer grows.
        Value::Address(address) => drop(write!(out, "{address}")),
        Value::Trace(id) => write_hex(out, &id),
    }
}

fn value<'a>(variable: LogVariable, log: &AccessLog, record: &'a Record) -> Value<'a> {
    fn text(text: Option<&str>) -> Value<'_> {
        text.map_or(Value::Nothing, Value::Text)
    }
    let shown = |target: &'a str| if log.query { target } else { without_query(target) };
    match variable {
        LogVariable::Time => Value::Time,
        LogVariable::Client => {
            record.client.map_or(Value::Nothing, |client| Value::Address(client.ip()))
        }
        LogVariable::ClientPort => match record.client.map(|client| client.port()) {
            None | Some(0) => Value::Nothing,
            Some(port) => Value::Number(port.into()),
        },
        LogVariable::Listener => Value::Text(&record.listener),
        LogVariable::Tls => Value::Flag(record.is_tls),
        LogVariable::Version => Value::Text(version(record.version)),
        LogVariable::Method => Value::Text(record.method.as_str()),
        LogVariable::Host => Value::Text(&record.host),
        LogVariable::Target => Value::Text(shown(&record.target)),
        LogVariable::Status => {
            record.status.map_or(Value::Nothing, |status| Value::Number(status.as_u16().into()))
        }
        LogVariable::Received => Value::Number(record.received),
        LogVariable::Sent => Value::Number(record.sent),
        LogVariable::Referer => text(record.referer.as_deref().map(shown)),
        LogVariable::UserAgent => text(record.user_agent.as_deref()),
        LogVariable::Service => text(record.service.as_deref()),
        LogVariable::Backend => text(record.backend().map(|name| &**name)),
        LogVariable::Epoch => record.epoch().map_or(Value::Nothing, Value::Number),
        LogVariable::Attempts => Value::Number(record.attempts() as u64),
        LogVariable::HeldMs => Value::Took(record.held()),
        LogVariable::Replayed => Value::Flag(record.is_replayed()),
        LogVariable::Drill => Value::Flag(record.is_drill),
        LogVariable::Blame => text(record.blame.map(blame)),
        LogVariable::End => Value::Text(end(record.end)),
        LogVariable::ConnectMs => connecting(record).map_or(Value::Nothing, Value::Took),
        LogVariable::HeadMs => record.answered_after.map_or(Value::Nothing, Value::Took),
        LogVariable::TotalMs => Value::Took(record.took),
        LogVariable::TraceId => {
            record.trace.map_or(Value::Nothing, |trace| Value::Trace(trace.trace))
        }
    }
}

/// How long connections that were opened for it took, in all.
fn connecting(record: &Record) -> Option<Duration> {
    record
        .steps
        .iter()
        .filter_map(|step| match step.what {
            What::Attempt { connected_after, .. } => connected_after,
            What::Hold => None,
        })
        .reduce(|sum, one| sum + one)
}

fn without_query(target: &str) -> &str {
    target.split('?').next().unwrap_or(target)
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

fn blame(blame: Blame) -> &'static str {
    match blame {
        Blame::Downstream => "downstream",
        Blame::Upstream => "upstream",
        Blame::Internal => "internal",
    }
}

fn end(end: End) -> &'static str {
    match end {
        End::Complete => "complete",
        End::ClientGone => "client_gone",
        End::BackendGone => "backend_gone",
        End::Cut => "cut",
    }
}

/// A string of JSON.
fn write_json_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' | b'\\' => *byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0..0x20 | 0x7f => b'u',
            // U+0080 to U+009F are 0xc2 and their number: to some terminals they are orders.
            0x80..0xa0 if at > 0 && bytes[at - 1] == 0xc2 => b'u',
            _ => continue,
        };
        let until = if *byte < 0x80 { at } else { at - 1 };
        out.extend_from_slice(&bytes[from..until]);
        from = at + 1;
        out.extend([b'\\', short]);
        if short == b'u' {
            out.extend_from_slice(b"00");
            write_hex(out, &[*byte]);
        }
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

/// As nginx escapes.
fn write_plain_text(out: &mut Vec<u8>, text: &str) {
    for &byte in text.as_bytes() {
        if matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\' {
            out.push(byte);
        } else {
            // Cannot fail: the buffer grows.
            let _ = write!(out, "\\x{byte:02X}");
        }
    }
}

fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Milliseconds with three digits behind the point.
fn write_millis(out: &mut Vec<u8>, took: Duration) {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    write_number(out, micros / 1000);
    let rest = micros % 1000;
    out.push(b'.');
    out.extend([rest / 100, rest / 10 % 10, rest % 10].map(|digit| b'0' + digit as u8));
}

#[cfg(test)]
mod tests;
