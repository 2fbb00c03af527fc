//! Pieces of the protocol.

use crate::request::Resp;
use crate::wire::escape::escape;

/// Appends values to a buffer, in the form of a version of the protocol.
#[derive(Debug)]
pub struct Writer<'o> {
    is_3: bool,
    out: &'o mut Vec<u8>,
}

impl<'o> Writer<'o> {
    /// A writer for this version.
    pub fn new(version: Resp, out: &'o mut Vec<u8>) -> Self {
        Writer { is_3: version == Resp::Three, out }
    }

    fn length(&mut self, sign: u8, number: impl itoa::Integer) -> &mut Self {
        self.out.push(sign);
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Writes a bulk string: any bytes.
    pub fn bulk(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.length(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Writes a whole number.
    pub fn number(&mut self, number: impl itoa::Integer) -> &mut Self {
        self.length(b':', number)
    }

    /// Writes a simple string: a word of the protocol's own.
    pub fn word(&mut self, word: &str) -> &mut Self {
        self.out.push(b'+');
        self.out.extend_from_slice(word.as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Writes an error; its text begins with a code.
    pub fn error(&mut self, text: &str) -> &mut Self {
        self.out.push(b'-');
        escape(text, self.out);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Begins an array of `count` values.
    pub fn array(&mut self, count: usize) -> &mut Self {
        self.length(b'*', count)
    }

    /// Begins an array of `count` values that nobody asked for.
    pub fn push(&mut self, count: usize) -> &mut Self {
        self.length(if self.is_3 { b'>' } else { b'*' }, count)
    }

    /// Begins a map of `count` pairs.
    pub fn map(&mut self, count: usize) -> &mut Self {
        if self.is_3 { self.length(b'%', count) } else { self.array(2 * count) }
    }

    /// Writes a null.
    pub fn null(&mut self) -> &mut Self {
        self.out.extend_from_slice(if self.is_3 { b"_\r\n" } else { b"$-1\r\n" });
        self
    }

    /// Writes a null where an array could be.
    pub fn null_array(&mut self) -> &mut Self {
        self.out.extend_from_slice(if self.is_3 { b"_\r\n" } else { b"*-1\r\n" });
        self
    }

    /// Writes a boolean.
    pub fn flag(&mut self, flag: bool) -> &mut Self {
        self.out.extend_from_slice(match (self.is_3, flag) {
            (true, true) => b"#t\r\n",
            (true, false) => b"#f\r\n",
            (false, true) => b":1\r\n",
            (false, false) => b":0\r\n",
        });
        self
    }

    /// Appends values that are encoded already.
    pub fn raw(&mut self, values: &[u8]) -> &mut Self {
        self.out.extend_from_slice(values);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_in_each_version() {
        let written = |version| {
            let mut out = Vec::new();
            let mut to = Writer::new(version, &mut out);
            to.array(1).push(2).map(3).bulk("a\r\n").number(-4_i32).word("OK");
            to.error("ERR a\r\nb").null().null_array().flag(true).flag(false);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            written(Resp::Two),
            "*1\r\n*2\r\n*6\r\n$3\r\na\r\n\r\n:-4\r\n+OK\r\n-ERR a\\r\\nb\r\n$-1\r\n*-1\r\n:1\r\n:0\r\n"
        );
        assert_eq!(
            written(Resp::Three),
            "*1\r\n>2\r\n%3\r\n$3\r\na\r\n\r\n:-4\r\n+OK\r\n-ERR a\\r\\nb\r\n_\r\n_\r\n#t\r\n#f\r\n"
        );
    }
}
