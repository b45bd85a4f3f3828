//! Placeholders in arguments, paths and bodies: `{name}`.

/// Replaces each `{name}` in `text` that is in `values`, not those in what it puts there. What is no
/// placeholder stays as it is.
#[must_use]
pub fn filled(text: &str, values: &[(&'static str, String)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(brace) = rest.find('{') {
        filled.push_str(&rest[..brace]);
        rest = &rest[brace + 1..];
        let named = rest.split_once('}').and_then(|(name, after)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((value, after))
        });
        match named {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => filled.push('{'),
        }
    }
    filled + rest
}

/// For paths and queries of URLs: nothing but what RFC 3986 section 2.3 calls unreserved stays as it
/// is, so that no value is taken for a part of the path or for its end.
pub(crate) fn percent_encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// For bodies: as it is. Names and hosts have nothing in them that could end a text in JSON; the path
/// of a Unix socket may, and a URL has other ways to write that.
pub(crate) fn harmless(value: &str) -> String {
    value.replace('\\', "%5C").replace('"', "%22")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_once() {
        let values = [
            ("host", "10.0.0.1".to_owned()),
            ("port", "80".to_owned()),
            ("service", "{port}".to_owned()),
            ("backend", "b".to_owned()),
            ("url", "http://10.0.0.1:80".to_owned()),
            ("timeout_ms", "900".to_owned()),
        ];
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{host}:{port}", "10.0.0.1:80"),
            ("{url}/{backend}", "http://10.0.0.1:80/b"),
            ("-t{timeout_ms}", "-t900"),
            ("{service}", "{port}"),
            ("{{host}}", "{10.0.0.1}"),
            ("{epoch}{", "{epoch}{"),
            ("{\"to\": \"{backend}\"}", "{\"to\": \"b\"}"),
            ("ü{host}ü", "ü10.0.0.1ü"),
        ] {
            assert_eq!(filled(text, &values), expected, "{text}");
        }
    }

    #[test]
    fn a_value_is_no_part_of_a_path() {
        assert_eq!(percent_encoded("a-b_c.d~1"), "a-b_c.d~1");
        assert_eq!(percent_encoded("../x?y=1&z#ü %"), "..%2Fx%3Fy%3D1%26z%23%C3%BC%20%25");
        assert_eq!(percent_encoded("[::1]:80"), "%5B%3A%3A1%5D%3A80");
    }

    #[test]
    fn a_value_does_not_end_a_text_in_json() {
        assert_eq!(harmless("unix:/run/a\"b\\c"), "unix:/run/a%22b%5Cc");
    }
}
