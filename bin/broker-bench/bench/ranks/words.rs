//! The words of a line, one after the other.

use memchr::memchr;

/// What is left of a line.
pub struct Words<'l>(pub &'l [u8]);

impl<'l> Words<'l> {
    /// The next word; an empty one if there is none.
    #[inline]
    pub fn word(&mut self) -> &'l [u8] {
        let end = memchr(b' ', self.0).unwrap_or(self.0.len());
        let word = &self.0[..end];
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        word
    }

    /// The next word as a number; 0 if it is none.
    #[inline]
    pub fn number(&mut self) -> u64 {
        number(self.word())
    }

    /// The next word as a rank.
    #[inline]
    pub fn rank(&mut self) -> u32 {
        u32::try_from(self.number()).unwrap_or(u32::MAX)
    }

    /// The number in `key=NUMBER`, wherever it stands in the rest.
    pub fn field(&self, key: &str) -> Option<u64> {
        let mut rest = Words(self.0);
        while !rest.0.is_empty() {
            let value = rest.word().strip_prefix(key.as_bytes());
            if let Some(value) = value.and_then(|value| value.strip_prefix(b"=")) {
                return Some(number(value));
            }
        }
        None
    }
}

fn number(word: &[u8]) -> u64 {
    let digits = word.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: u64, digit| {
        number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_one_after_the_other() {
        let mut words = Words(b"left jobs 17 bob 3 reason=lost");
        assert_eq!((words.word(), words.word(), words.number()), (&b"left"[..], &b"jobs"[..], 17));
        assert_eq!((words.word(), words.rank(), words.field("reason")), (&b"bob"[..], 3, Some(0)));
        let mut words = Words(b"jobs rank=2 term=18 members=x");
        assert_eq!(
            (words.field("term"), words.field("ter"), words.field("members")),
            (Some(18), None, Some(0))
        );
        assert_eq!((words.word(), words.0), (&b"jobs"[..], &b"rank=2 term=18 members=x"[..]));
        let mut empty = Words(b"");
        assert_eq!((empty.word(), empty.number()), (&b""[..], 0));
    }
}
