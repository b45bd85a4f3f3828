//! What is sent: JSON, its signature, the words for Slack and for mails. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use jiff::Timestamp;
use serde_json::json;

use super::news::News;

/// Most characters of a mail's subject.
const SUBJECT: usize = 200;

/// `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`: whoever has the key can tell that it is from
/// us, and is not an old one that somebody sends again.
pub(super) fn signature(key: &[u8], at: SystemTime, body: &[u8]) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let mut signing = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    signing.update(format!("{seconds}.").as_bytes());
    signing.update(body);
    let hex: String = signing.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

/// As Slack and those that follow it take it. It reads `&`, `<` and `>` as its own.
pub(super) fn slack(news: &News) -> String {
    let text = news.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({ "text": text }).to_string()
}

/// One line, whatever others wrote that got into the words.
pub(super) fn subject(news: &News) -> String {
    let line = news.text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let line: String = line.take(SUBJECT).collect();
    format!("[understudy] {}", line.trim_end())
}

/// For people first, then for their filters.
pub(super) fn mail(news: &News) -> String {
    let since = news.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = i64::try_from(since.as_secs()).ok().and_then(|at| Timestamp::from_second(at).ok());
    let at = at.unwrap_or_default();
    let service = news.service.as_deref().unwrap_or("all");
    let News { number, kind, text, json, .. } = news;
    format!("{text}\n\nservice: {service}\nkind: {kind}\ntime: {at}\nevent: {number}\n\n{json}\n")
}

#[cfg(test)]
mod tests {
    use super::super::tests::news;
    use super::*;

    #[test]
    fn a_signature_is_of_the_time_and_the_body() {
        // printf '1767323045.{"a":1}' | openssl dgst -sha256 -hmac 'secret'
        let at = UNIX_EPOCH + Duration::from_millis(1_767_323_045_999);
        assert_eq!(
            signature(b"secret", at, br#"{"a":1}"#),
            "t=1767323045,v1=5801ec7c2609536b21e872dabc58e02401283cba52f83527f288b9a0036a4941"
        );
        // RFC 4231 section 4.3 has this key; the text is ours.
        assert_ne!(signature(b"Jefe", at, b"x"), signature(b"Jefe", at, b"y"));
    }

    #[test]
    fn a_text_for_slack_is_a_text() {
        let mut news = news(1, "locked", json!({}));
        news.text = "web: a -> b \"<!channel>\" & more".into();
        assert_eq!(slack(&news), r#"{"text":"web: a -&gt; b \"&lt;!channel&gt;\" &amp; more"}"#);
    }

    #[test]
    fn a_subject_is_one_short_line() {
        let mut news = news(1, "locked", json!({}));
        news.text = "web: locked\r\nBcc: everybody@example.com\u{85}x".into();
        assert_eq!(subject(&news), "[understudy] web: locked  Bcc: everybody@example.com x");
        news.text = "x".repeat(10_000).into();
        assert_eq!(subject(&news).len(), "[understudy] ".len() + SUBJECT);
    }

    #[test]
    fn a_mail_says_what_when_and_where() {
        let mail = mail(&news(7, "locked", json!({})));
        let head =
            "web: words\n\nservice: web\nkind: locked\ntime: 2026-01-02T03:04:05Z\nevent: 7\n\n{";
        assert!(mail.starts_with(head), "{mail}");
    }
}
