//! The commands that a client may send: those that Redis has as well, and those
//! that are this broker's own.

use crate::error::{Code, Fault, quoted};
use crate::jobs;
use crate::request::Usage;
use crate::wire::rules::{self, bad};

/// A command that is not simply a request of the text dialect.
pub(super) struct Command {
    /// Its name, in capitals.
    pub(super) name: &'static str,
    /// How many words it has, its name among them; if negative, at least as many.
    pub(super) arity: isize,
    /// Whether a client of version 2 may send it while it has subscriptions.
    pub(super) for_subscribers: bool,
    /// What it does.
    pub(super) does: &'static str,
}

const fn command(name: &'static str, arity: isize, does: &'static str) -> Command {
    Command { name, arity, for_subscribers: false, does }
}

const fn always(name: &'static str, arity: isize, does: &'static str) -> Command {
    Command { name, arity, for_subscribers: true, does }
}

/// All of them, in the order of `COMMAND`.
pub(super) const COMMANDS: &[Command] = &[
    command("PUBLISH", 3, "publishes a message; how many clients it goes to"),
    command("SPUBLISH", 3, "the same"),
    always("SUBSCRIBE", -2, "subscribes to channels, which are made if they are missing"),
    always("UNSUBSCRIBE", -1, "leaves channels, or all"),
    always("PSUBSCRIBE", -2, "observes every channel whose name matches a pattern"),
    always("PUNSUBSCRIBE", -1, "observes patterns, or all, no more"),
    always("SSUBSCRIBE", -2, "subscribes to channels, whose messages come as smessage"),
    always("SUNSUBSCRIBE", -1, "ends that"),
    command("PUBSUB", -2, "CHANNELS, NUMSUB, NUMPAT: who has subscribed to what"),
    command("XADD", -5, "publishes a message made of fields; its id"),
    command("XLEN", 2, "how many messages a channel keeps"),
    command("XRANGE", -4, "messages that a channel keeps, oldest first"),
    command("XREVRANGE", -4, "the same, newest first"),
    command("XREAD", -4, "messages after an id, and with BLOCK those to come"),
    always("PING", -1, "a sign of life"),
    command("ECHO", 2, "gives back what it is given"),
    command("HELLO", -1, "the version of the protocol"),
    command("AUTH", -2, "there are no passwords to give"),
    command("SELECT", 2, "there is one database, 0"),
    command("CLIENT", -2, "this connection and others"),
    command("COMMAND", -1, "this list"),
    command("CONFIG", -3, "GET: some settings"),
    command("INFO", -1, "figures of the broker"),
    always("RESET", 1, "as if newly connected"),
    always("QUIT", -1, "everything still due to you, then the end"),
    always("RANKED", 2, "ON: subscriptions get a rank from now on, and you every frame"),
    command(
        "SESSION",
        -1,
        "[--name N] [--session UUID [--secret S]] [--seen CH=SEQ]…: introduces you, or resumes your session",
    ),
    command("LEASE", 1, "a sign of life, and how long you may believe in your ranks"),
    command("DESCRIBE", 2, "one channel with every setting"),
];

/// Requests of the text dialect whose names Redis uses for something else, or
/// that have another name here.
const NOT_OWN: [&str; 5] = ["hello", "info", "ping", "quit", "/NAME"];

/// The command of this name, in capitals or not.
pub(super) fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name.eq_ignore_ascii_case(name))
}

/// Whether this request of the text dialect is a command here.
pub(super) fn is_own(verb: &str) -> bool {
    verb.starts_with('/') || own_verbs().any(|usage| usage.is_called(verb))
}

/// The requests of the text dialect that are commands.
pub(super) fn own_verbs() -> impl Iterator<Item = Usage> {
    jobs::verbs().filter(|usage| !NOT_OWN.contains(&usage.verb))
}

impl Command {
    /// Whether it may have so many words, its name among them.
    pub(super) fn takes(&self, words: usize) -> bool {
        let most = self.arity.unsigned_abs();
        if self.arity < 0 { words >= most } else { words == most }
    }
}

/// The fault for an unknown command.
pub(super) fn unknown(name: &str) -> Fault {
    let text = format!(
        "unknown command {}: this broker keeps channels, not keys; see COMMAND LIST",
        quoted(name)
    );
    Fault::new(Code::UnknownCommand, text)
}

/// A word as text.
///
/// # Errors
/// [`Code::BadRequest`] if it is none.
pub(super) fn text(word: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(word).map_err(|_| {
        let word = String::from_utf8_lossy(word);
        bad(format!("{} is not UTF-8", quoted(&word)))
    })
}

/// A word as a number; `what` names it.
///
/// # Errors
/// [`Code::BadRequest`] if it is none.
pub(super) fn number(what: &str, word: &[u8]) -> Result<u64, Fault> {
    rules::number(what, text(word)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_of_the_text_dialect_has_one_name() {
        for usage in jobs::verbs() {
            let is_redis = find(usage.verb).is_some();
            assert_ne!(is_own(usage.verb), is_redis, "{}", usage.verb);
        }
        for command in COMMANDS {
            assert_eq!(command.name, command.name.to_ascii_uppercase());
            assert!(!is_own(&command.name.to_ascii_lowercase()), "{}", command.name);
        }
    }
}
