//! The verbs, as `help` lists them.

use std::borrow::Cow;

/// A verb with the words that go with it and what it does: one line of `help`.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The verb.
    pub verb: &'static str,
    /// Another name of it.
    pub also: Option<&'static str>,
    /// Its options and words.
    pub words: &'static str,
    /// What it does.
    pub does: &'static str,
}

impl Usage {
    /// A verb with one name.
    pub const fn new(verb: &'static str, words: &'static str, does: &'static str) -> Usage {
        Usage { verb, also: None, words, does }
    }

    const fn also(self, name: &'static str) -> Usage {
        Usage { also: Some(name), ..self }
    }

    /// Whether this word is one of its names.
    pub fn is_called(&self, word: &str) -> bool {
        self.verb == word || self.also == Some(word)
    }

    /// What it does, and its other name.
    pub fn told(&self) -> Cow<'static, str> {
        match self.also {
            Some(also) => format!("{} (also: {also})", self.does).into(),
            None => self.does.into(),
        }
    }
}

const fn usage(verb: &'static str, words: &'static str, does: &'static str) -> Usage {
    Usage::new(verb, words, does)
}

/// The verb that has this name, or this other name; not `/…`, which stands for any
/// command, nor a job.
pub fn find_verb(word: &str) -> Option<&'static str> {
    let usage = VERBS.iter().find(|usage| usage.is_called(word))?;
    Some(usage.verb).filter(|verb| !verb.starts_with('/'))
}

/// Every verb that this broker answers except the jobs, in the order of `help`.
pub const VERBS: &[Usage] = &[
    usage(
        "hello",
        "[--name N] [--session UUID [--secret S]] [--seen CH=SEQ]… [--format text|json] [--quiet]",
        "introduces you, or resumes your session; --quiet leaves out the ok of pub and ack",
    ),
    usage("seen", "CH SEQ", "you have everything up to SEQ"),
    usage(
        "create",
        "CH [--max N] [--history N] [--history-age SECS] [--history-bytes N] [--durable] \
         [--hold SECS] [--on-close fast|safe] [--if-missing]",
        "makes a channel",
    ),
    usage("drop", "CH", "removes a channel; rank 0 only"),
    usage(
        "sub",
        "CH [--from SEQ|first|now] [--last N] [--create] [--no-echo] [--observe] | --pattern GLOB",
        "joins at the bottom of the roster, or observes",
    ),
    usage("unsub", "CH|GLOB", "leaves a channel, or stops observing a pattern"),
    usage("use", "CH", "makes CH the current channel"),
    usage(
        "pub",
        "[--term T] [--key K] CH MESSAGE… | --raw CH TEXT | --json CH TEXT",
        "publishes a message",
    ),
    usage(
        "cmd",
        "CH [--to MEMBER] [--timeout SECS] [--key K] NAME ARG…",
        "commands those ranked below you",
    ),
    usage("/NAME", "ARG…", "the same, in the current channel"),
    usage(
        "ack",
        "CH SEQ [--code N] [--escaped] [TEXT…]",
        "reports a command as executed, or as failed",
    ),
    usage("rank", "[CH]", "your rank and term"),
    usage("ranks", "[CH]", "everybody's rank and term"),
    usage("yield", "[CH]", "go to the bottom of the roster"),
    usage("promote", "CH MEMBER [RANK]", "moves a member, by default to rank 0; rank 0 only"),
    usage("check", "CH TERM", "is TERM still rank 0's term?"),
    usage("kick", "CH MEMBER [REASON…]", "removes a member ranked below you"),
    usage("channels", "", "lists the channels"),
    usage("info", "CH", "one channel with every setting"),
    usage("history", "CH [--from SEQ|first] [--last N]", "what the channel still keeps"),
    usage("digest", "CH FROM TO", "a checksum of the messages in that range"),
    usage("who", "[CH]", "who is connected").also("w"),
    usage("clients", "--history [--last N]", "past connections"),
    usage("tell", "MEMBER TEXT…", "a private message").also("msg"),
    usage("broadcast", "TEXT…", "to every connected client but yourself"),
    usage("jobs", "", "your jobs that wait or run"),
    usage("cancel", "JOB", "ends a job"),
    usage("stats", "", "figures of the broker"),
    usage("version", "", "versions of broker and protocol"),
    usage("help", "[VERB]", "this list"),
    usage("ping", "", "a sign of life, and your lease"),
    usage("quit", "", "everything still due to you, then bye"),
];
