//! Server-sent events: bytes to messages, however they are cut (WHATWG HTML 9.2). Pure.

/// A message that takes more is not one of ours.
const MESSAGE_BYTES: usize = 8 * 1024 * 1024;

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// What it is about; empty when it does not say.
    pub(crate) event: String,
    /// The last id so far, where to resume; `None` before the first.
    pub(crate) id: Option<String>,
    /// Its text.
    pub(crate) data: String,
}

/// Puts messages together.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    begun: bool,
    event: String,
    data: Option<String>,
    id: Option<String>,
}

/// A message that is longer than any of ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Parser {
    /// Takes what has come, and gives the messages that it ends.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Vec<Message>, TooLong> {
        let mut messages = Vec::new();
        for &byte in bytes {
            // CR, LF and CRLF each end a line.
            let ends_crlf = byte == b'\n' && std::mem::take(&mut self.after_cr);
            if ends_crlf {
                continue;
            }
            if byte == b'\n' || byte == b'\r' {
                let line = std::mem::take(&mut self.line);
                messages.extend(self.end_line(&String::from_utf8_lossy(&line)));
            } else {
                let so_far = self.line.len() + self.data.as_ref().map_or(0, String::len);
                if so_far >= MESSAGE_BYTES {
                    return Err(TooLong);
                }
                self.line.push(byte);
            }
            self.after_cr = byte == b'\r';
        }
        Ok(messages)
    }

    fn end_line(&mut self, line: &str) -> Option<Message> {
        let first = !std::mem::replace(&mut self.begun, true);
        let line = if first { line.trim_start_matches('\u{feff}') } else { line };
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let data = self.data.take()?;
            return Some(Message { event, id: self.id.clone(), data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // Comments have an empty name; `retry` is decided by us; others are to be ignored.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}: hello\n\nevent: status\ndata: {\"a\":1}\n\n\
        :keep-alive\n\nid: 7\r\nevent: event\r\ndata: one\r\ndata: two ü\r\n\r\n\
        retry: 1\rdata:bare\r\revent: nothing\n\ndata\n\n";

    fn expected() -> Vec<Message> {
        let message = |event: &str, id: Option<&str>, data: &str| Message {
            event: event.to_owned(),
            id: id.map(str::to_owned),
            data: data.to_owned(),
        };
        vec![
            message("status", None, "{\"a\":1}"),
            message("event", Some("7"), "one\ntwo ü"),
            message("", Some("7"), "bare"),
            message("", Some("7"), ""),
        ]
    }

    #[test]
    fn however_a_stream_is_cut_it_says_the_same() {
        let bytes = STREAM.as_bytes();
        for size in 1..=bytes.len() {
            let mut parser = Parser::default();
            let parts = bytes.chunks(size).map(|part| parser.take(part).expect("short"));
            assert_eq!(parts.collect::<Vec<_>>().concat(), expected(), "in parts of {size}");
        }
        for cut in 0..=bytes.len() {
            let (before, after) = bytes.split_at(cut);
            let mut parser = Parser::default();
            let mut messages = parser.take(before).expect("short");
            messages.extend(parser.take(&[]).expect("short"));
            messages.extend(parser.take(after).expect("short"));
            assert_eq!(messages, expected(), "cut at {cut}");
        }
    }

    #[test]
    fn half_a_message_is_none() {
        let mut parser = Parser::default();
        assert_eq!(parser.take(b"data: half\n"), Ok(Vec::new()));
    }

    #[test]
    fn a_message_without_end_is_refused() {
        let mut parser = Parser::default();
        let part = [b'x'; 64 * 1024];
        let endless = (0..1000).find_map(|_| parser.take(&part).err());
        assert_eq!(endless, Some(TooLong));
        let mut parser = Parser::default();
        let line = [b"data: ".as_slice(), &part, b"\n"].concat();
        let endless = (0..1000).find_map(|_| parser.take(&line).err());
        assert_eq!(endless, Some(TooLong));
    }
}
