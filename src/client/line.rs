//! Bytes to lines, and what kind of line each is. Pure: it may be stopped at
//! any byte.

use crate::config::MAX_LINE_LARGEST;
use crate::error::Code;
use crate::jobs;
use crate::request::{Request, find_verb};
use crate::wire::text;
use std::collections::VecDeque;
use std::ops::Range;

/// Bytes of a line that a client takes at most; beyond that whatever is at the other end
/// is no broker. The longest request that any broker takes may come back with each byte
/// written `\xNN`, which is four times as long, behind names and numbers. It costs memory
/// only when it comes.
pub const LINE_BYTES_MAX: usize = 4 * MAX_LINE_LARGEST + 1024 * 1024;

/// Bytes of memory that are kept for the lines to come.
const BYTES_KEPT: usize = 1024 * 1024;

/// Requests that may go unanswered before a `ping` is sent, whose reply says that they
/// have been done.
const UNANSWERED_MAX: usize = 10_000;

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct Splitter {
    bytes: Vec<u8>,
    /// Where the first line that was not yet given out begins.
    start: usize,
    /// Up to where no line end was found.
    searched: usize,
}

impl Splitter {
    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
            // One long line does not cost its memory for ever.
            if self.bytes.capacity() > BYTES_KEPT {
                self.bytes.shrink_to(BYTES_KEPT);
            }
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Where the next whole line is, without its end (LF or CRLF); [`get`]
    /// gives it until the next [`push`]. `None` while there is none yet.
    ///
    /// [`get`]: Splitter::get
    /// [`push`]: Splitter::push
    pub fn advance(&mut self) -> Option<Range<usize>> {
        let Some(at) = memchr::memchr(b'\n', &self.bytes[self.searched..]) else {
            self.searched = self.bytes.len();
            return None;
        };
        let (from, end) = (self.start, self.searched + at);
        self.start = end + 1;
        self.searched = self.start;
        let crlf = self.bytes[from..end].ends_with(b"\r");
        Some(from..end - usize::from(crlf))
    }

    /// The line at this place.
    pub fn get(&self, line: Range<usize>) -> &[u8] {
        &self.bytes[line]
    }

    /// What came after the last line end.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Whether an unfinished line is longer than any may be.
    pub fn is_too_long(&self) -> bool {
        self.rest().len() > LINE_BYTES_MAX
    }
}

/// Whether a line is a request, that is, whether a reply will come: not a blank
/// line, nor a comment, nor the answer to a `ping`.
pub fn is_request(line: &str) -> bool {
    let first = verb_of(line);
    !(first.is_empty() || first.starts_with('#') || first == "pong")
}

/// The first word of a line.
pub fn verb_of(line: &str) -> &str {
    line.trim_matches([' ', '\t']).split([' ', '\t']).next().unwrap_or_default()
}

/// Whether a request may be sent twice and is carried out once: a `pub` or `cmd`
/// that the broker reads as one with a `--key`.
pub fn is_keyed(line: &str) -> bool {
    // Most have none, and need not be read.
    line.contains("--key")
        && match text::decode(line.as_bytes()) {
            Ok(Some(Request::Pub(publish))) => publish.key.is_some(),
            Ok(Some(Request::Cmd { key, .. })) => key.is_some(),
            _ => false,
        }
}

/// Returns the verb that the `ok` to a request of this verb names.
pub fn reply_verb(verb: &str) -> &str {
    match find_verb(verb) {
        Some(verb) => verb,
        None if verb.starts_with('/') => "cmd",
        None if jobs::find(verb).is_some() => "job",
        None => verb,
    }
}

/// The final line of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// The request was done: the verb and what follows it.
    Ok {
        /// The verb that is answered.
        verb: String,
        /// The words after it, `key=value` fields among them.
        words: Vec<String>,
    },
    /// It failed, and nothing has changed.
    Err {
        /// The code; `None` for one that this version does not know.
        code: Option<Code>,
        /// The code and the text for people, as they came.
        text: String,
    },
}

impl Reply {
    /// Reads a reply; `None` if the line is none.
    pub fn parse(line: &str) -> Option<Reply> {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "ok" => {
                let mut words = rest.split(' ').filter(|word| !word.is_empty()).map(str::to_owned);
                let verb = words.next().unwrap_or_default();
                Some(Reply::Ok { verb, words: words.collect() })
            }
            "err" => {
                let code = rest.split(' ').next().and_then(Code::parse);
                Some(Reply::Err { code, text: rest.to_owned() })
            }
            _ => None,
        }
    }

    /// The word at this place after the verb.
    pub fn word(&self, at: usize) -> Option<&str> {
        match self {
            Reply::Ok { words, .. } => words.get(at).map(String::as_str),
            Reply::Err { .. } => None,
        }
    }

    /// The value of a `key=value` field.
    pub fn field(&self, key: &str) -> Option<&str> {
        match self {
            Reply::Ok { words, .. } => field(words.iter().map(String::as_str), key),
            Reply::Err { .. } => None,
        }
    }

    /// A number at this place.
    pub fn number(&self, at: usize) -> Option<u64> {
        self.word(at)?.parse().ok()
    }

    /// A `key=value` field that is a number.
    pub fn number_field(&self, key: &str) -> Option<u64> {
        self.field(key)?.parse().ok()
    }
}

/// The value of the first `key=value` among these words.
pub fn field<'a>(mut words: impl Iterator<Item = &'a str>, key: &str) -> Option<&'a str> {
    words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

/// A request that was sent and waits for its reply.
#[derive(Debug)]
pub struct Asked<T> {
    /// The verb that its `ok` will name.
    pub verb: String,
    /// The request itself, for those verbs whose effect a client remembers and
    /// for what may be sent twice; empty for all others.
    pub line: String,
    /// Whatever the sender wants to know when the reply comes.
    pub tag: T,
    quiet: bool,
}

/// The requests that wait for their reply, oldest first, and how a reply finds
/// its own.
///
/// Each request gets exactly one reply, in order. The exception is
/// `hello --quiet`, after which a `pub` or `ack` that succeeds gets none: then
/// an `ok` passes over what went unanswered until the verb is its own.
#[derive(Debug)]
pub struct Waiting<T> {
    requests: VecDeque<Asked<T>>,
    quiet: bool,
    /// How many of the latest requests may go unanswered.
    unanswered: usize,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Waiting { requests: VecDeque::new(), quiet: false, unanswered: 0 }
    }
}

impl<T> Waiting<T> {
    /// Adds a request that is being sent.
    pub fn push(&mut self, line: &str, tag: T) {
        let verb = reply_verb(verb_of(line)).to_owned();
        let remembered =
            matches!(&*verb, "hello" | "sub" | "unsub" | "use" | "drop") || is_keyed(line);
        let line = if remembered { line.to_owned() } else { String::new() };
        if verb == "hello" && line.split([' ', '\t']).any(|word| word == "--quiet") {
            self.quiet = true;
        }
        let may_go_unanswered = self.quiet && matches!(&*verb, "pub" | "ack");
        self.unanswered = if may_go_unanswered { self.unanswered + 1 } else { 0 };
        self.requests.push_back(Asked { verb, line, tag, quiet: self.quiet });
    }

    /// Whether a request that is always answered must be sent now: only an `ok` removes
    /// the requests that went unanswered, and there may never be one.
    pub fn is_out_of_step(&self) -> bool {
        self.unanswered >= UNANSWERED_MAX
    }

    /// Whether only the `ok` to a `ping` sent after them tells that all are done: one
    /// that succeeds may have no reply, and then an `err` counts for the oldest.
    pub fn wants_ping(&self) -> bool {
        self.quiet && self.requests.back().is_some_and(|asked| asked.verb != "ping")
    }

    /// The oldest request.
    pub fn front(&self) -> Option<&Asked<T>> {
        self.requests.front()
    }

    /// The oldest request of this verb.
    pub fn first(&self, verb: &str) -> Option<&Asked<T>> {
        self.requests.iter().find(|asked| asked.verb == verb)
    }

    /// Whether a request of this verb and tag is among them.
    pub fn has(&self, verb: &str, tag: &T) -> bool
    where
        T: PartialEq,
    {
        self.requests.iter().any(|asked| asked.verb == verb && asked.tag == *tag)
    }

    /// Whether a request of such a tag is among them.
    pub fn any(&self, is: impl Fn(&T) -> bool) -> bool {
        self.requests.iter().any(|asked| is(&asked.tag))
    }

    /// The oldest request, to be changed.
    pub fn front_mut(&mut self) -> Option<&mut Asked<T>> {
        self.requests.front_mut()
    }

    /// The request that this reply answers.
    pub fn answer(&mut self, reply: &Reply) -> Option<Asked<T>> {
        if let (Reply::Ok { verb, .. }, Some(Asked { quiet: true, .. })) = (reply, self.front())
            && let Some(at) = self.requests.iter().position(|asked| asked.verb == *verb)
        {
            self.requests.drain(..at);
        }
        self.requests.pop_front()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Forgets them all: the connection is gone.
    pub fn take(&mut self) -> Vec<Asked<T>> {
        (self.quiet, self.unanswered) = (false, 0);
        self.requests.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(splitter: &mut Splitter) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = splitter.advance() {
            lines.push(String::from_utf8_lossy(splitter.get(line)).into_owned());
        }
        lines
    }

    #[test]
    fn lines_come_whole_whether_fed_at_once_or_byte_by_byte() {
        let stream = b"ok create n\r\nmsg n 1 alice h\xc3\xa4\n\nbye quit\nrest";
        let mut at_once = Splitter::default();
        at_once.push(stream);
        let expected = ["ok create n", "msg n 1 alice hä", "", "bye quit"];
        assert_eq!(all(&mut at_once), expected);
        assert_eq!(at_once.rest(), b"rest");
        let mut bytewise = Splitter::default();
        let mut lines = Vec::new();
        for byte in stream {
            bytewise.push(&[*byte]);
            lines.extend(all(&mut bytewise));
        }
        assert_eq!(lines, expected);
        assert_eq!(bytewise.rest(), b"rest");
    }

    #[test]
    fn a_line_without_an_end_is_noticed_at_the_limit_and_not_before() {
        let mut splitter = Splitter::default();
        splitter.push(&vec![b'x'; LINE_BYTES_MAX]);
        assert!(splitter.advance().is_none() && !splitter.is_too_long());
        splitter.push(b"x");
        assert!(splitter.advance().is_none() && splitter.is_too_long());
    }

    #[test]
    fn blank_lines_comments_and_pongs_are_no_requests() {
        for line in ["", "  ", "\t", "# hi", "  #hi", "pong 7", "pong"] {
            assert!(!is_request(line), "{line:?}");
        }
        for line in ["ping", "pub n #hi", "/go", " sub n", "pongs"] {
            assert!(is_request(line), "{line:?}");
        }
    }

    #[test]
    fn a_reply_has_words_and_fields() {
        let reply = Reply::parse("ok sub ops rank=2 term=18 view=18 seq=18 members=3").unwrap();
        assert_eq!(reply.word(0), Some("ops"));
        assert_eq!(reply.number_field("rank"), Some(2));
        assert_eq!(reply.field("ran"), None);
        let err = Reply::parse("err no-channel no such channel: \"x\"").unwrap();
        assert!(matches!(err, Reply::Err { code: Some(Code::NoChannel), .. }));
        assert_eq!(Reply::parse("okay"), None);
        assert!(matches!(Reply::parse("err odd x"), Some(Reply::Err { code: None, .. })));
    }

    #[test]
    fn what_has_a_key_may_be_sent_twice() {
        for line in [
            "pub --key 7 n hi",
            "pub --raw --key=7 n hi",
            "pub --key '7 8' n hi",
            "pub n --term 4 --key 7 hi",
            "cmd ops --to bob --key 7 restart",
        ] {
            assert!(is_keyed(line), "{line}");
        }
        for line in [
            "pub n hi --key 7",
            "pub --raw n --key 7 is what I say",
            "pub --raw n --key=7",
            "pub --json n \"--key\"",
            "pub n --raw --key 7",
            "pub 'n' 'a --key b' --key 7",
            "cmd n 'a b' --key 7",
            "pub -- n --key 7",
            "pub --term --key n",
            "cmd ops restart --key 7",
            "sub n --key 7",
            "/go --key 7",
        ] {
            assert!(!is_keyed(line), "{line}");
        }
    }

    fn answered(waiting: &mut Waiting<u32>, line: &str) -> Option<u32> {
        waiting.answer(&Reply::parse(line).unwrap()).map(|asked| asked.tag)
    }

    #[test]
    fn replies_find_their_requests_in_order() {
        let mut waiting = Waiting::default();
        for (tag, line) in (1..).zip(["pub n a", "/go", "w", "fib 3"]) {
            waiting.push(line, tag);
        }
        assert_eq!(answered(&mut waiting, "err no-channel n"), Some(1));
        assert_eq!(answered(&mut waiting, "ok cmd n 1 to=2"), Some(2));
        assert_eq!(answered(&mut waiting, "ok who 1"), Some(3));
        assert_eq!(answered(&mut waiting, "ok job 7"), Some(4));
        assert_eq!(answered(&mut waiting, "ok job 7"), None);
    }

    #[test]
    fn when_quiet_an_ok_passes_over_what_went_unanswered() {
        let mut waiting = Waiting::default();
        for (tag, line) in (1..).zip(["hello --quiet", "pub n a", "pub n b", "ping", "sub n"]) {
            waiting.push(line, tag);
        }
        assert_eq!(answered(&mut waiting, "ok hello name=x"), Some(1));
        assert_eq!(answered(&mut waiting, "err no-channel n"), Some(2));
        assert_eq!(answered(&mut waiting, "ok ping lease=1"), Some(4));
        assert_eq!(answered(&mut waiting, "ok sub n"), Some(5));
        assert!(waiting.is_empty());
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_lines(
            stream in "[a\r\n]{0,40}", cuts in prop::collection::vec(0_usize..40, 0..5)
        ) {
            let mut whole = Splitter::default();
            whole.push(stream.as_bytes());
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.push(0);
            cuts.push(stream.len());
            cuts.sort_unstable();
            let mut pieces = Splitter::default();
            let mut lines = Vec::new();
            for pair in cuts.windows(2) {
                pieces.push(&stream.as_bytes()[pair[0]..pair[1]]);
                lines.extend(all(&mut pieces));
            }
            prop_assert_eq!(lines, all(&mut whole));
        }
    }
}
