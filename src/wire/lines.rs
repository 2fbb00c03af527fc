//! Bytes to lines, and what is left over.

/// A line is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// The whole lines at the beginning of some bytes, without their ends (LF or CR
/// LF). A line that is too long yields [`TooLong`], and the next one follows.
#[derive(Debug)]
pub struct Lines<'a> {
    rest: &'a [u8],
    line_max: usize,
}

impl<'a> Lines<'a> {
    /// The lines in `bytes`, each of at most `line_max` bytes.
    pub fn new(bytes: &'a [u8], line_max: usize) -> Self {
        Lines { rest: bytes, line_max }
    }

    /// What has not been taken yet, whole lines and all.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The beginning of a line whose end has yet to come: append the next bytes to
    /// it. To be called once there are no whole lines left.
    ///
    /// # Errors
    /// [`TooLong`] if it is too long already, whatever comes next.
    pub fn unfinished(&self) -> Result<&'a [u8], TooLong> {
        // The last byte may be the CR of a line's end.
        if self.rest.len() > self.line_max + 1 { Err(TooLong) } else { Ok(self.rest) }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], TooLong>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = memchr::memchr(b'\n', self.rest)?;
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Some(if line.len() > self.line_max { Err(TooLong) } else { Ok(line) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 8;

    type Owned = Vec<Result<Vec<u8>, TooLong>>;

    /// The lines of pieces that come one after the other, as a connection gets
    /// them; it ends at a line that is too long while unfinished.
    fn lines_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Owned {
        let (mut seen, mut kept): (Owned, Vec<u8>) = (Vec::new(), Vec::new());
        for piece in pieces {
            kept.extend_from_slice(piece);
            let mut lines = Lines::new(&kept, MAX);
            seen.extend(lines.by_ref().map(|line| line.map(<[u8]>::to_vec)));
            match lines.unfinished() {
                Ok(rest) => kept = rest.to_vec(),
                Err(too_long) => {
                    seen.push(Err(too_long));
                    break;
                }
            }
        }
        seen
    }

    #[test]
    fn ends_are_lf_or_crlf() {
        let whole = lines_of([&b"a\nb\r\n\n\r\nc\rd\nrest"[..]]);
        let expected = [&b"a"[..], b"b", b"", b"", b"c\rd"].map(|line| Ok(line.to_vec()));
        assert_eq!(whole, expected);
    }

    #[test]
    fn lines_at_the_limit_and_one_past_it() {
        assert_eq!(lines_of([&b"12345678\r\n"[..]]), [Ok(b"12345678".to_vec())]);
        assert_eq!(lines_of([&b"123456789\nx\n"[..]]), [Err(TooLong), Ok(b"x".to_vec())]);
        assert_eq!(lines_of([&b"12345678\r"[..]]), []);
        assert_eq!(lines_of([&b"123456789"[..]]), []);
        assert_eq!(lines_of([&b"1234567890"[..], b"\nx\n"]), [Err(TooLong)]);
    }

    proptest! {
        /// However the bytes are cut, the lines up to the first that is too long
        /// are the same. (Whether that one ends the connection depends on whether
        /// its end has come with it.)
        #[test]
        fn cuts_change_nothing(
            bytes in prop::collection::vec(prop::sample::select(b"ab\r\n\n ".to_vec()), 0..60),
            cuts in prop::collection::vec(0..60_usize, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let good = |lines: Owned| lines.into_iter().take_while(Result::is_ok).collect::<Vec<_>>();
            let whole = good(lines_of([&bytes[..]]));
            prop_assert_eq!(&good(lines_of(cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]))), &whole);
            prop_assert_eq!(&good(lines_of(bytes.chunks(1))), &whole);
        }
    }
}
