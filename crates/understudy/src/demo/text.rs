//! How numbers and times are written for people.

use std::time::Duration;

/// 12345 as `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A short time with the digits that matter: `0.42 ms`, `8.3 ms`, `212 ms`, `1.21 s`, `42 s`.
pub(super) fn short(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms < 0.995 {
        format!("{ms:.2} ms")
    } else if ms < 9.95 {
        format!("{ms:.1} ms")
    } else if ms < 999.5 {
        format!("{ms:.0} ms")
    } else if ms < 9_995.0 {
        format!("{:.2} s", ms / 1e3)
    } else {
        format!("{:.0} s", ms / 1e3)
    }
}

/// How long something has been so: `3 s`, `4 min 5 s`, `2 h 7 min`.
pub(super) fn long(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600.. => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A time on the clock that started with the demo: `00:12.3`.
pub(super) fn clock(time: Duration) -> String {
    let tenths = time.as_millis() / 100;
    format!("{:02}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas_between_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn times_have_the_digits_that_matter() {
        for (micros, text) in [
            (420, "0.42 ms"),
            (999, "1.0 ms"),
            (8_340, "8.3 ms"),
            (211_600, "212 ms"),
            (999_400, "999 ms"),
            (999_600, "1.00 s"),
            (12_300_000, "12 s"),
        ] {
            assert_eq!(short(Duration::from_micros(micros)), text, "{micros} us");
        }
        for (seconds, text) in [(3, "3 s"), (245, "4 min 5 s"), (7_620, "2 h 7 min")] {
            assert_eq!(long(Duration::from_secs(seconds)), text);
        }
        assert_eq!(clock(Duration::from_millis(12_345)), "00:12.3");
        assert_eq!(clock(Duration::from_millis(3_723_999)), "62:03.9");
    }
}
