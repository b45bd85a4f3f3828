//! A probe written down line by line, for an operator who wants to see it.
//!
//! Empty and free of cost unless somebody asked for it. Shows no secrets.

use http::{HeaderMap, HeaderName, Request, Response};

/// Most bytes of a body that are shown.
const MOST_BODY_BYTES: usize = 1024;

/// What was sent (`> `), received (`< `), and what happened (`* `).
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    lines: Option<Vec<String>>,
    body: Vec<u8>,
}

impl Transcript {
    /// One that is kept.
    pub(crate) fn kept() -> Self {
        Self { lines: Some(Vec::new()), body: Vec::new() }
    }

    /// Notes what happened.
    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("* {}", what()));
        }
    }

    /// Of the fields that were `configured` only the names are shown: any of them may be a secret. Nor
    /// is the body.
    pub(crate) fn sent<B>(&mut self, request: &Request<B>, configured: &HeaderMap, version: &str) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("> {} {} {version}", request.method(), request.uri()));
            let hidden = |name: &HeaderName| is_secret(name) || configured.contains_key(name);
            fields(lines, "> ", request.headers(), hidden);
        }
    }

    pub(crate) fn received<B>(&mut self, response: &Response<B>) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("< {:?} {}", response.version(), response.status()));
            fields(lines, "< ", response.headers(), is_secret);
        }
    }

    /// Keeps the beginning of a body.
    pub(crate) fn body(&mut self, bytes: &[u8]) {
        if self.lines.is_some() {
            let room = MOST_BODY_BYTES - self.body.len();
            self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        let mut lines = self.lines.unwrap_or_default();
        if !self.body.is_empty() {
            lines.push("<".to_owned());
            let body = String::from_utf8_lossy(&self.body);
            // No control character of a backend reaches an operator's terminal.
            let shown =
                |line: &str| line.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}");
            lines.extend(body.lines().map(|line| format!("< {}", shown(line))));
        }
        lines
    }
}

fn fields(
    lines: &mut Vec<String>,
    prefix: &str,
    headers: &HeaderMap,
    is_hidden: impl Fn(&HeaderName) -> bool,
) {
    for (name, value) in headers {
        let value = if is_hidden(name) {
            "(not shown)".into()
        } else {
            String::from_utf8_lossy(value.as_bytes())
        };
        lines.push(format!("{prefix}{name}: {value}"));
    }
}

/// Whether nobody is to see the values of this field.
pub(crate) fn is_secret(name: &HeaderName) -> bool {
    hooks::sounds_secret(name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_control_characters_are_not_shown() {
        let mut transcript = Transcript::kept();
        let request = Request::builder()
            .uri("/ping")
            .header("Authorization", "Basic c2VjcmV0")
            .header("X-Api-Key", "hunter2")
            .header("X-Login", "hunter2")
            .header("Accept", "text/plain");
        let mut configured = HeaderMap::new();
        configured.insert("x-login", http::HeaderValue::from_static("hunter2"));
        transcript.sent(&request.body(()).unwrap(), &configured, "HTTP/1.1");
        transcript.body(b"\x1b[2Jwell\nmore");
        assert_eq!(
            transcript.into_lines(),
            [
                "> GET /ping HTTP/1.1",
                "> authorization: (not shown)",
                "> x-api-key: (not shown)",
                "> x-login: (not shown)",
                "> accept: text/plain",
                "<",
                "< \u{fffd}[2Jwell",
                "< more",
            ]
        );
    }

    #[test]
    fn a_body_is_shown_up_to_its_limit() {
        let mut transcript = Transcript::kept();
        transcript.body(&[b'x'; 1000]);
        transcript.body(&[b'y'; 1000]);
        let lines = transcript.into_lines();
        assert_eq!(lines[1].len(), 2 + MOST_BODY_BYTES);
    }

    #[test]
    fn what_nobody_asked_for_is_not_kept() {
        let mut transcript = Transcript::default();
        transcript.note(|| panic!("not even written"));
        transcript.body(b"x");
        assert!(transcript.into_lines().is_empty());
    }
}
