//! Time in nanoseconds since this program began, and conversions of numbers.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

/// Nanoseconds since this was first called, on a clock that never goes back.
#[inline]
pub fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    nanoseconds(START.get_or_init(Instant::now).elapsed())
}

/// A duration in nanoseconds: 584 years at most.
#[inline]
pub fn nanoseconds(time: Duration) -> u64 {
    time.as_secs() * SECOND + u64::from(time.subsec_nanos())
}

/// A number to calculate with: exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
pub fn float(number: u64) -> f64 {
    number as f64
}

/// The whole part of a number that is not negative; what does not fit is the
/// nearest that does.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn whole(number: f64) -> u64 {
    number as u64
}

/// A number of things in memory, as 64 bits.
pub fn count(number: usize) -> u64 {
    number as u64
}

/// `part` for each one of `of`; `None` if there are none.
pub fn each(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| float(part) / float(of))
}

/// How many a second.
pub fn rate(number: u64, time_ns: u64) -> f64 {
    float(number) * float(SECOND) / float(time_ns.max(1))
}

/// A number with a comma before every third digit.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A figure for people: three digits that matter, or all of a large number.
pub fn figure(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 || number == 0.0 => {
            let sign = if number < 0.0 { "-" } else { "" };
            format!("{sign}{}", grouped(whole(size.round())))
        }
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_as_people_write_them() {
        for (number, text) in [
            (0.0, "0"),
            (0.0123, "0.012"),
            (1.256, "1.26"),
            (36.04, "36.0"),
            (999.6, "1,000"),
            (1_234_567.2, "1,234,567"),
            (-1_500.0, "-1,500"),
        ] {
            assert_eq!(figure(number), text);
        }
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(100), "100");
        assert_eq!(grouped(12_345), "12,345");
    }

    #[test]
    fn nothing_has_no_share() {
        assert_eq!(each(3, 0), None);
        assert_eq!(each(3, 2), Some(1.5));
        assert!((rate(10, SECOND / 2) - 20.0).abs() < f64::EPSILON);
    }
}
