use std::time::{Duration, SystemTime};

use super::*;

#[test]
fn a_clock_is_ahead_by_what_the_second_of_its_date_leaves_no_room_for() {
    let second = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let mut headers = HeaderMap::new();
    headers.insert(DATE, httpdate::fmt_http_date(second).parse().unwrap());
    let at = |ms: i64| {
        if ms < 0 {
            second - Duration::from_millis(ms.unsigned_abs())
        } else {
            second + Duration::from_millis(ms.unsigned_abs())
        }
    };
    for (sent, came, ahead) in [
        (0, 0, 0),
        (100, 900, 0),
        (999, 999, 0),
        (-4000, -2000, 3000),
        (1500, 2498, -1000),
        (900, 1100, -1),
        (-86_400_000, -86_400_000, 86_400_000),
    ] {
        assert_eq!(clock_ahead_ms(&headers, at(sent), at(came)), Some(ahead), "{sent} {came}");
    }
    // Ours went back meanwhile.
    assert_eq!(clock_ahead_ms(&headers, at(0), at(-5000)), Some(0));
}

#[test]
fn what_is_no_date_tells_no_time() {
    let now = SystemTime::now();
    assert_eq!(clock_ahead_ms(&HeaderMap::new(), now, now), None);
    for text in ["", "yesterday", "Sun, 06 Nov 99999 08:49:37 GMT", "\u{7f}"] {
        let Ok(value) = HeaderValue::from_str(text) else { continue };
        let headers = HeaderMap::from_iter([(DATE, value)]);
        assert_eq!(clock_ahead_ms(&headers, now, now), None, "{text}");
    }
}
