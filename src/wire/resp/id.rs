//! Ids of stream entries. An entry's id is its seq and `-0`.

use crate::error::{Fault, quoted};
use crate::wire::rules::bad;

/// A place between entries: a seq, and something after it.
type Id = (u64, u64);

/// The first seq that may come after this id.
///
/// # Errors
/// [`crate::error::Code::BadRequest`] for what is no id.
pub fn after(word: &[u8]) -> Result<u64, Fault> {
    parse(word, 0).map(|(seq, _)| seq.saturating_add(1))
}

/// The first seq of a range that begins here: `-`, an id, or `(` and an id.
///
/// # Errors
/// [`crate::error::Code::BadRequest`] for what is no such place.
pub fn first_at(word: &[u8]) -> Result<u64, Fault> {
    let (seq, rest) = match word {
        b"-" => return Ok(0),
        b"+" => return Ok(u64::MAX),
        [b'(', id @ ..] => parse(id, 0).map(|(seq, rest)| (seq, rest.saturating_add(1)))?,
        id => parse(id, 0)?,
    };
    Ok(if rest == 0 { seq } else { seq.saturating_add(1) })
}

/// The last seq of a range that ends here: `+`, an id, or `(` and an id.
///
/// # Errors
/// [`crate::error::Code::BadRequest`] for what is no such place.
pub fn last_at(word: &[u8]) -> Result<u64, Fault> {
    match word {
        b"+" => Ok(u64::MAX),
        b"-" => Ok(0),
        [b'(', id @ ..] => {
            let (seq, rest) = parse(id, u64::MAX)?;
            Ok(if rest == 0 { seq.saturating_sub(1) } else { seq })
        }
        id => parse(id, u64::MAX).map(|(seq, _)| seq),
    }
}

/// Reads an id; `missing` is the second part of one that is a seq alone.
fn parse(word: &[u8], missing: u64) -> Result<Id, Fault> {
    let refused = || {
        let word = String::from_utf8_lossy(word);
        bad(format!("{} is no id: SEQ, or SEQ-0", quoted(&word)))
    };
    let word = std::str::from_utf8(word).map_err(|_| refused())?;
    let number = |digits: &str| {
        let is_number = digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|_| is_number).ok_or_else(refused)
    };
    match word.split_once('-') {
        Some((seq, rest)) => Ok((number(seq)?, number(rest)?)),
        None => Ok((number(word)?, missing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_ranges_are_where_redis_has_them() {
        for (word, first, last) in [
            ("-", 0, 0),
            ("+", u64::MAX, u64::MAX),
            ("7", 7, 7),
            ("7-0", 7, 7),
            ("7-3", 8, 7),
            ("(7", 8, 7),
            ("(7-0", 8, 6),
            ("(7-3", 8, 7),
            ("0", 0, 0),
            ("(0-0", 1, 0),
        ] {
            let word = word.as_bytes();
            assert_eq!((first_at(word), last_at(word)), (Ok(first), Ok(last)), "{word:?}");
        }
        assert_eq!([after(b"0"), after(b"7-0"), after(b"7-9")], [Ok(1), Ok(8), Ok(8)]);
        for word in ["", "x", "7-", "-7", "7-x", "+7", "7-0-0", "*", "18446744073709551616"] {
            assert!(after(word.as_bytes()).is_err(), "{word}");
        }
    }
}
