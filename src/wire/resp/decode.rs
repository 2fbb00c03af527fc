//! Bytes to the words of a request.

use crate::error::{Code, Fault};
use crate::wire::rules::bad;

/// Bytes by which a request may exceed the limit for a line of text, for the
/// lengths that stand between its words.
const FRAMING_BYTES: usize = 1024;
/// The fewest bytes of a word: `$0`, and two line ends.
const WORD_BYTES_MIN: usize = 6;
/// The most bytes of a line that holds a length: a sign, 19 digits and CR LF.
const LENGTH_BYTES_MAX: usize = 22;

/// The most bytes in a request where a line of text may have `line_max`.
pub fn request_max(line_max: usize) -> usize {
    line_max.saturating_add(FRAMING_BYTES)
}

/// What some bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A request of this many bytes.
    Whole(usize),
    /// The beginning of a request.
    More(Begun),
    /// A line that is no array, of this many bytes: what Redis calls an inline
    /// command. The next request can follow it.
    Inline(usize),
}

/// How far the beginning of a request has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Where the first incomplete word begins; 0 until the number of words is
    /// known.
    at: usize,
    /// How many words there are from that one on.
    missing: usize,
}

/// Reads one request; its words go to `words`. There are none in an empty array,
/// which nothing answers. Announced lengths are held against the limits before
/// anything is kept for them.
///
/// # Errors
/// [`Code::TooLong`] for a request that has, or will have, more than
/// [`request_max`] bytes, [`Code::BadRequest`] for what is no request. In both
/// cases nobody knows where the next one begins.
pub fn decode<'a>(
    bytes: &'a [u8],
    line_max: usize,
    words: &mut Vec<&'a [u8]>,
) -> Result<Decoded, Fault> {
    words.clear();
    Begun::default().read_on(bytes, line_max, |word| words.push(word))
}

impl Begun {
    /// Decodes further: `bytes` are those that gave this beginning, and more. The
    /// words read before are not read again, so a request that comes in pieces
    /// costs no more than one that comes whole.
    ///
    /// # Errors
    /// As for [`decode`].
    pub fn go_on(self, bytes: &[u8], line_max: usize) -> Result<Decoded, Fault> {
        self.read_on(bytes, line_max, |_| {})
    }

    /// Whether not even the number of words is known.
    pub fn is_unknown(self) -> bool {
        self.at == 0
    }

    fn read_on<'a>(
        mut self,
        bytes: &'a [u8],
        line_max: usize,
        mut word: impl FnMut(&'a [u8]),
    ) -> Result<Decoded, Fault> {
        let most = request_max(line_max);
        if self.at == 0 {
            match bytes.first() {
                None => return Ok(Decoded::More(self)),
                Some(b'*') => {}
                Some(_) => return inline(bytes, line_max),
            }
            let Some((count, at)) = length(bytes, 1)? else { return Ok(Decoded::More(self)) };
            let Ok(missing) = usize::try_from(count) else { return Ok(Decoded::Whole(at)) };
            if missing > most / WORD_BYTES_MIN {
                return Err(too_long(line_max));
            }
            self = Begun { at, missing };
        }
        while self.missing > 0 {
            match bytes.get(self.at) {
                None => return Ok(Decoded::More(self)),
                Some(b'$') => {}
                Some(_) => {
                    return Err(bad("the words of a request are bulk strings: $LENGTH first"));
                }
            }
            let Some((length, begin)) = length(bytes, self.at + 1)? else {
                return Ok(Decoded::More(self));
            };
            let Ok(length) = usize::try_from(length) else {
                return Err(bad("a word of a request has no length below 0"));
            };
            // Neither addition overflows: this is below any address.
            if length > most || begin + length + 2 > most {
                return Err(too_long(line_max));
            }
            let end = begin + length;
            match bytes.get(end..end + 2) {
                Some(b"\r\n") => word(&bytes[begin..end]),
                Some(_) => {
                    return Err(bad("a word of a request is longer or shorter than it says"));
                }
                None => return Ok(Decoded::More(self)),
            }
            self = Begun { at: end + 2, missing: self.missing - 1 };
        }
        Ok(Decoded::Whole(self.at))
    }
}

/// What bytes are that do not begin with an array.
fn inline(bytes: &[u8], line_max: usize) -> Result<Decoded, Fault> {
    match memchr::memchr(b'\n', bytes) {
        Some(end) => Ok(Decoded::Inline(end + 1)),
        None if bytes.len() > request_max(line_max) => Err(too_long(line_max)),
        None => Ok(Decoded::More(Begun::default())),
    }
}

/// The number at this place and where the next line begins; `None` if the end of
/// its line has yet to come.
fn length(bytes: &[u8], from: usize) -> Result<Option<(i64, usize)>, Fault> {
    #[cfg(test)]
    LENGTHS_READ.set(LENGTHS_READ.get() + 1);
    let rest = bytes.get(from..).unwrap_or_default();
    let line = &rest[..rest.len().min(LENGTH_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', line) else {
        if line.len() < LENGTH_BYTES_MAX {
            return Ok(None);
        }
        return Err(bad("a length is a number and CR LF"));
    };
    let number = line[..end].strip_suffix(b"\r").and_then(number);
    let number = number.ok_or_else(|| bad("a length is a number and CR LF"))?;
    Ok(Some((number, from + end + 1)))
}

fn number(digits: &[u8]) -> Option<i64> {
    let (sign, digits) = match digits.strip_prefix(b"-") {
        Some(digits) => (-1, digits),
        None => (1, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut number = 0_i64;
    for digit in digits {
        let digit = Some(digit.wrapping_sub(b'0')).filter(|digit| *digit < 10)?;
        number = number.checked_mul(10)?.checked_add(i64::from(digit))?;
    }
    Some(sign * number)
}

fn too_long(line_max: usize) -> Fault {
    let text =
        format!("a request has at most {} bytes; see broker --max-line", request_max(line_max));
    Fault::new(Code::TooLong, text)
}

#[cfg(test)]
thread_local! {
    /// How many lengths this thread has read, whole or not: what decoding costs.
    pub static LENGTHS_READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 64;

    fn decoded(bytes: &[u8]) -> Result<(Decoded, Vec<Vec<u8>>), Code> {
        let mut words = Vec::new();
        let decoded = decode(bytes, MAX, &mut words).map_err(|fault| fault.code)?;
        Ok((decoded, words.iter().map(|word| word.to_vec()).collect()))
    }

    fn encoded(words: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend(format!("${}\r\n", word.len()).bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }

    #[test]
    fn what_is_none_is_refused() {
        for bytes in [
            &b"*\r\n"[..],
            b"*x\r\n",
            b"*1\n$1\na\n",
            b"*1 \r\n",
            b"*--1\r\n",
            b"*99999999999999999999\r\n",
            b"*1234567890123456789012",
            b"*1\r\n:1\r\n",
            b"*1\r\n$-1\r\n",
            b"*1\r\n$2\r\nabc\r\n",
            b"*1\r\n$2\r\na\r\n\r\n",
        ] {
            assert_eq!(decoded(bytes), Err(Code::BadRequest), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_goes_off() {
        for bytes in [
            &b"*1000000000\r\n"[..],
            b"*9223372036854775807\r\n",
            b"*1\r\n$1000000000\r\n",
            b"*1\r\n$9223372036854775807\r\n",
        ] {
            let mut words = Vec::new();
            let code = decode(bytes, MAX, &mut words).unwrap_err().code;
            assert_eq!((code, words.capacity()), (Code::TooLong, 0), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn requests_at_the_limit_and_one_past_it() {
        let of = |length: usize| encoded(&[vec![b'x'; length]]);
        let longest = (1..request_max(MAX)).find(|n| of(*n).len() == request_max(MAX)).unwrap();
        assert!(matches!(decoded(&of(longest)), Ok((Decoded::Whole(_), _))));
        assert_eq!(decoded(&of(longest + 1)), Err(Code::TooLong));
        let empty = |count: usize| encoded(&vec![Vec::new(); count]);
        let most = (request_max(MAX) - 6) / WORD_BYTES_MIN;
        assert!(matches!(decoded(&empty(most)), Ok((Decoded::Whole(_), _))));
        assert_eq!(decoded(&empty(most + 2)), Err(Code::TooLong));
        let line = vec![b'x'; request_max(MAX)];
        assert_eq!(decoded(&line), Ok((Decoded::More(Begun::default()), vec![])));
        assert_eq!(decoded(&[line, vec![b'x']].concat()), Err(Code::TooLong));
    }

    #[test]
    fn empty_arrays_and_lines_are_passed_over_or_told() {
        assert_eq!(decoded(b"*0\r\n*1\r\n"), Ok((Decoded::Whole(4), vec![])));
        assert_eq!(decoded(b"*-1\r\n"), Ok((Decoded::Whole(5), vec![])));
        assert_eq!(decoded(b"PING\r\n*1"), Ok((Decoded::Inline(6), vec![])));
        assert_eq!(decoded(b"\r\n"), Ok((Decoded::Inline(2), vec![])));
        assert_eq!(decoded(b"PING"), Ok((Decoded::More(Begun::default()), vec![])));
    }

    proptest! {
        #[test]
        fn words_come_back_and_need_every_byte(
            words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..6),
        ) {
            let bytes = encoded(&words);
            for cut in 0..bytes.len() {
                prop_assert!(matches!(decoded(&bytes[..cut]), Ok((Decoded::More(_), _))));
            }
            let behind = [&bytes[..], b"*1\r\n"].concat();
            prop_assert_eq!(decoded(&behind), Ok((Decoded::Whole(bytes.len()), words)));
        }

        /// Whatever the bytes are, a request that is accepted lies within them.
        #[test]
        fn no_bytes_do_harm(
            bytes in prop::collection::vec(prop::sample::select(b"*$-0123\r\nab".to_vec()), 0..60),
        ) {
            if let Ok((Decoded::Whole(end) | Decoded::Inline(end), _)) = decoded(&bytes) {
                prop_assert!(end <= bytes.len());
            }
        }

        /// Whatever the bytes are, pieces of them decode like the whole, faults included.
        #[test]
        fn pieces_are_as_the_whole(
            bytes in prop::collection::vec(prop::sample::select(b"*$-0123\r\nab".to_vec()), 0..60),
            words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..6),
            piece in 1..9_usize,
        ) {
            for bytes in [[&encoded(&words), &bytes[..]].concat(), [b"*2\r\n", &bytes[..]].concat()] {
                let mut begun = Begun::default();
                for cut in (0..bytes.len()).step_by(piece).chain([bytes.len()]) {
                    let whole = decode(&bytes[..cut], MAX, &mut Vec::new());
                    prop_assert_eq!(&begun.go_on(&bytes[..cut], MAX), &whole);
                    let Ok(Decoded::More(more)) = whole else { break };
                    begun = more;
                }
            }
        }
    }
}
