//! Fields of requests that we send ourselves: their names and values.

use http::{HeaderName, HeaderValue};

use crate::kinds::secret_text;
use crate::problem::quoted;
use crate::reader::Value;
use crate::report::{At, Complaint};

/// Fields that frame a message or belong to one connection (RFC 9110 7.6.1, 8.6).
const RESERVED: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields by name, none twice. `ours` says what is wrong with a name beside that it is none or belongs
/// to the connection; `content` reads a value.
pub(crate) fn fields<T>(
    value: &mut Value<'_>,
    sender: &str,
    ours: impl Fn(&HeaderName) -> Option<Complaint>,
    content: impl Fn(&mut Value<'_>) -> Option<T>,
) -> Option<Vec<(HeaderName, T)>> {
    let mut seen: Vec<HeaderName> = Vec::new();
    value.named("header fields by name", 0, |name, value| {
        let content = content(value);
        match field_name(&name, sender).and_then(|name| ours(&name).map_or(Ok(name), Err)) {
            Ok(field) if seen.contains(&field) => {
                let message = format!("{} is given twice", quoted(field.as_str()));
                let complaint = Complaint::new(message).advice("upper and lower case are the same");
                value.report().error(&name.place, complaint);
                None
            }
            Ok(field) => {
                seen.push(field.clone());
                Some((field, content?))
            }
            Err(complaint) => {
                value.report().error(&name.place, complaint);
                None
            }
        }
    })
}

fn field_name(name: &At<&str>, sender: &str) -> Result<HeaderName, Complaint> {
    let field = HeaderName::from_bytes(name.value.as_bytes()).map_err(|_| {
        Complaint::new(format!("{} is not the name of a header field", quoted(name.value)))
    })?;
    if RESERVED.contains(&field.as_str()) {
        let name = quoted(name.value);
        let message = format!("{sender} cannot set {name}, it belongs to the connection");
        return Err(Complaint::new(message));
    }
    Ok(field)
}

/// The value of a field, written in the config.
pub(crate) fn field_value(value: &mut Value<'_>) -> Option<HeaderValue> {
    secret_text("a header value", parse_field_value)(value)
}

/// Does not repeat the text: it may be a secret.
pub(crate) fn parse_field_value(text: &str) -> Result<HeaderValue, Complaint> {
    if text.is_empty() {
        return Err(Complaint::new("expected a header value, found empty text"));
    }
    text.parse().map_err(|_| Complaint::new("this text cannot be sent in a header field"))
}
