//! Numbers, sizes and times as people write them, and back.

use std::time::Duration;

/// What [`count`] reads, for error messages.
pub(super) const COUNT: &str = "a whole number such as 5000 or 5_000";
/// What [`size`] reads, for error messages.
pub(super) const SIZE: &str =
    "bytes such as 65536, or with a unit: k, M, G, KiB, MiB, GiB (1024), kB, MB, GB (1000)";
/// What [`time`] reads, for error messages.
pub const TIME: &str =
    "a time such as 250ms, 5s, 2m, 1h or 7d, or a plain number of seconds such as 1.5";

const KIB: usize = 1024;
/// The units of a size, in lower case. `k` and `KiB` are 1024 and `kB` 1000, as
/// in GNU's tools.
const SIZE_UNITS: &[(&str, usize)] = &[
    ("", 1),
    ("b", 1),
    ("k", KIB),
    ("kib", KIB),
    ("kb", 1000),
    ("m", KIB * KIB),
    ("mib", KIB * KIB),
    ("mb", 1_000_000),
    ("g", KIB * KIB * KIB),
    ("gib", KIB * KIB * KIB),
    ("gb", 1_000_000_000),
];
const TIME_UNITS: &[(&str, f64)] =
    &[("", 1.0), ("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];

/// A whole number; `_` may stand between digits.
pub(super) fn count(text: &str) -> Option<usize> {
    let between_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !text.split('_').all(between_digits) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// A number of bytes: a whole number and perhaps a unit.
pub(super) fn size(text: &str) -> Option<usize> {
    let (number, unit) = split_unit(text);
    count(number)?.checked_mul(unit_in(SIZE_UNITS, unit)?)
}

/// A time: a number, which may have a fraction, and perhaps a unit.
pub fn time(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text);
    // Only digits and a point: Rust's own parser would take `inf`, `1e9` and `+1`.
    if !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let seconds = number.parse::<f64>().ok()? * unit_in(TIME_UNITS, unit)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A size in the largest unit that divides it.
pub(super) fn show_size(bytes: usize) -> String {
    for (unit, factor) in [("GiB", KIB * KIB * KIB), ("MiB", KIB * KIB), ("KiB", KIB)] {
        if bytes > 0 && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// A time in the largest unit that says it exactly.
pub(super) fn show_time(time: Duration) -> String {
    let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
    if nanos.is_multiple_of(1_000_000) && nanos > 0 {
        return format!("{}ms", time.as_millis());
    }
    if nanos > 0 {
        return format!("{seconds}.{nanos:09}s");
    }
    for (unit, factor) in [("d", 86_400), ("h", 3600), ("m", 60)] {
        if seconds > 0 && seconds.is_multiple_of(factor) {
            return format!("{}{unit}", seconds / factor);
        }
    }
    format!("{seconds}s")
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    (text[..end].trim_end(), &text[end..])
}

fn unit_in<T: Copy>(units: &[(&str, T)], unit: &str) -> Option<T> {
    units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        assert_eq!(count("0"), Some(0));
        assert_eq!(count("65_536"), Some(65_536));
        for bad in ["", "_", "1_", "_1", "1__0", "-1", "+1", "1.0", "1e3", " 1", "ten", "1k"] {
            assert_eq!(count(bad), None, "{bad:?}");
        }
        assert_eq!(count("99999999999999999999999"), None);
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("65536", 65_536),
            ("64KiB", 65_536),
            ("64 KiB", 65_536),
            ("64kib", 65_536),
            ("1k", 1024),
            ("1K", 1024),
            ("1kB", 1000),
            ("4MiB", 4 << 20),
            ("4M", 4 << 20),
            ("4MB", 4_000_000),
            ("1G", 1 << 30),
            ("1gb", 1_000_000_000),
            ("12B", 12),
        ] {
            assert_eq!(size(text), Some(bytes), "{text:?}");
        }
        for bad in ["", "k", "1.5k", "-1k", "1x", "1kk", "1 k 2", "99999999999GiB", "1ki"] {
            assert_eq!(size(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn times() {
        for (text, millis) in [
            ("250ms", 250),
            ("5s", 5000),
            ("5", 5000),
            ("0.25", 250),
            (".5s", 500),
            ("2m", 120_000),
            ("1.5m", 90_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("2 M", 120_000),
            ("0", 0),
        ] {
            assert_eq!(time(text), Some(Duration::from_millis(millis)), "{text:?}");
        }
        for bad in
            ["", "s", ".", "-1", "+1", "1e3", "inf", "nan", "1.2.3", "5 5", "1x", "5sec", "1_0"]
        {
            assert_eq!(time(bad), None, "{bad:?}");
        }
        assert_eq!(time(&"9".repeat(400)), None);
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for bytes in [0, 1, 1000, 1024, 1536, 4 << 20, 3 << 30, (4 << 20) + 1] {
            assert_eq!(size(&show_size(bytes)), Some(bytes));
        }
        assert_eq!(show_size(65_536), "64KiB");
        for millis in [0, 1, 250, 1000, 1500, 60_000, 90_000, 7_200_000, 172_800_000] {
            let shown = Duration::from_millis(millis);
            assert_eq!(time(&show_time(shown)), Some(shown));
        }
        let odd = Duration::from_nanos(1_000_000_001);
        assert_eq!(show_time(odd), "1.000000001s");
        assert_eq!(time(&show_time(odd)), Some(odd));
        assert_eq!(show_time(Duration::from_secs(120)), "2m");
    }
}
