//! A client of the Redis protocol that blocks, and writes what it hears in one
//! line: `[message news hi]` is a push or an array, `{a 1}` a map, `:1` a number,
//! `_` nothing, `#t` yes, `+OK` and `-ERR …` are what they are.

use super::{Client, matches};
use std::fmt;

pub struct Redis {
    pub client: Client,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A number, an error, or another short one, as it came.
    Line(String),
    Bulk(String),
    Nil,
    /// An array, or a push.
    Array(Vec<Said>),
    /// Keys, and a value behind each.
    Map(Vec<Said>),
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all =
            |values: &[Said]| values.iter().map(Said::to_string).collect::<Vec<_>>().join(" ");
        match self {
            Said::Line(text) | Said::Bulk(text) => f.write_str(text),
            Said::Nil => f.write_str("nil"),
            Said::Array(values) => write!(f, "[{}]", all(values)),
            Said::Map(values) => write!(f, "{{{}}}", all(values)),
        }
    }
}

impl Redis {
    pub fn new(client: Client) -> Redis {
        Redis { client }
    }

    /// Sends a request: its words, told apart by blanks.
    pub fn send(&mut self, request: &str) {
        self.send_words(&request.split(' ').map(str::as_bytes).collect::<Vec<_>>());
    }

    /// Sends a request with these words.
    pub fn send_words(&mut self, words: &[&[u8]]) {
        self.client.send_bytes(&encoded(words));
    }

    /// The next value, written in one line. Fails at the end of the connection.
    #[track_caller]
    pub fn value(&mut self) -> String {
        self.read().to_string()
    }

    /// The next value. Fails at the end of the connection.
    #[track_caller]
    pub fn read(&mut self) -> Said {
        let line = self.client.line().expect("the connection goes on");
        let line = line.trim_end_matches('\r');
        let (kind, rest) = line.split_at(1);
        let many = |count: &str| count.parse::<i64>().expect("a length");
        match kind {
            "+" | "-" | ":" | "#" | "_" => Said::Line(line.to_owned()),
            "$" | "*" if rest == "-1" => Said::Nil,
            "$" => {
                let length = usize::try_from(many(rest)).unwrap();
                let mut text = self.client.line().expect("a bulk string");
                while text.len() < length + 1 {
                    text = text + "\n" + &self.client.line().expect("the rest of it");
                }
                text.truncate(length);
                Said::Bulk(text)
            }
            "*" | ">" => Said::Array((0..many(rest)).map(|_| self.read()).collect()),
            "%" => Said::Map((0..2 * many(rest)).map(|_| self.read()).collect()),
            _ => panic!("no value: {line:?}"),
        }
    }

    /// The next value must be as the pattern says.
    #[track_caller]
    pub fn expect(&mut self, pattern: &str) -> String {
        let value = self.value();
        assert!(matches(pattern, &value), "expects\n  {pattern}\nand hears\n  {value}");
        value
    }

    /// Sends a request and expects its reply next.
    #[track_caller]
    pub fn ask(&mut self, request: &str, reply: &str) -> String {
        self.send(request);
        self.expect(reply)
    }

    /// Nothing is due to this client: a marker's reply comes next, and another's
    /// after it.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        for _ in 0..2 {
            self.send("PING");
            let value = self.value();
            assert!(["+PONG", "[pong ]"].contains(&&*value), "hears {value}");
        }
    }
}

/// A request as it goes over the wire.
pub fn encoded(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
