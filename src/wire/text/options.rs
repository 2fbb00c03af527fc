//! `--name value`, `--name=value`, and the words around them.

use crate::error::{Code, Fault, quoted};
use crate::wire::rules::{self, bad};
use std::str::FromStr;

/// An option that a verb knows.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Flag,
    Value,
    Values,
    NotYet,
}

/// An option without a value.
pub const fn flag(name: &'static str) -> Known {
    Known { name, kind: Kind::Flag }
}

/// An option with a value.
pub const fn value(name: &'static str) -> Known {
    Known { name, kind: Kind::Value }
}

/// An option with a value, which may be given more than once.
pub const fn values(name: &'static str) -> Known {
    Known { name, kind: Kind::Values }
}

/// An option of the protocol that this broker does not serve yet: the fault says so,
/// and not that it is misspelt.
pub const fn not_yet(name: &'static str) -> Known {
    Known { name, kind: Kind::NotYet }
}

/// The words of a request, sorted.
#[derive(Debug, Default)]
pub struct Words {
    options: Vec<(&'static str, String)>,
    /// The words before the free text.
    places: std::collections::VecDeque<String>,
    /// The words of the free text.
    text: Vec<String>,
    verb: String,
}

impl Words {
    /// Sorts the words after `verb`: options may stand anywhere among the first
    /// `places` words, what comes after those is free text. A bare `--` ends
    /// the options.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for an option that is unknown, given twice, or that
    /// lacks a value or has one too many; [`Code::Unavailable`] for one that
    /// this broker does not serve yet.
    pub fn sort(
        verb: &str,
        words: impl IntoIterator<Item = String>,
        known: &[Known],
        places: usize,
    ) -> Result<Words, Fault> {
        let mut sorted = Words { verb: verb.to_owned(), ..Words::default() };
        let mut words = words.into_iter();
        let mut options_ended = false;
        while let Some(word) = words.next() {
            let option = word.strip_prefix("--").filter(|_| !options_ended);
            match option {
                Some("") => options_ended = true,
                Some(option) => sorted.option(option, known, &mut words)?,
                None if sorted.places.len() < places => sorted.places.push_back(word),
                None => {
                    sorted.text.push(word);
                    options_ended = true;
                }
            }
        }
        Ok(sorted)
    }

    fn option(
        &mut self,
        option: &str,
        known: &[Known],
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), Fault> {
        let (name, given) = match option.split_once('=') {
            Some((name, given)) => (name, Some(given.to_owned())),
            None => (option, None),
        };
        let Some(found) = known.iter().find(|k| k.name == name) else {
            return Err(self.unknown(name, known));
        };
        let value = match (found.kind, given) {
            (Kind::Value | Kind::Values, Some(given)) => given,
            (Kind::Value | Kind::Values, None) => {
                words.next().ok_or_else(|| bad(format!("--{name} needs a value")))?
            }
            (Kind::Flag, None) => String::new(),
            (Kind::Flag, Some(_)) => return Err(bad(format!("--{name} takes no value"))),
            (Kind::NotYet, _) => {
                let text = format!("--{name} is not served by this version");
                return Err(Fault::new(Code::Unavailable, text));
            }
        };
        if found.kind != Kind::Values && self.has(found.name) {
            return Err(bad(format!("--{name} is given twice")));
        }
        self.options.push((found.name, value));
        Ok(())
    }

    fn unknown(&self, name: &str, known: &[Known]) -> Fault {
        let served = known.iter().filter(|k| k.kind != Kind::NotYet);
        let list = served.map(|k| format!("--{}", k.name)).collect::<Vec<_>>().join(", ");
        let there_are = match list.as_str() {
            "" => format!("{} has no options", self.verb),
            list => format!("{} has {list}", self.verb),
        };
        bad(format!(
            "unknown option {}; {there_are}; a bare -- ends the options",
            quoted(&format!("--{name}"))
        ))
    }

    /// Whether this option was given.
    pub fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(seen, _)| *seen == name)
    }

    /// The value of this option.
    pub fn value(&mut self, name: &str) -> Option<String> {
        let at = self.options.iter().position(|(seen, _)| *seen == name)?;
        Some(self.options.swap_remove(at).1)
    }

    /// All values of this option, in order.
    pub fn all(&mut self, name: &str) -> Vec<String> {
        self.options.extract_if(.., |(seen, _)| *seen == name).map(|(_, value)| value).collect()
    }

    /// The value of this option as a number.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if it is no number.
    pub fn number<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Fault> {
        self.value(name).map(|text| rules::number(&format!("--{name}"), &text)).transpose()
    }

    /// The next word before the free text.
    pub fn next(&mut self) -> Option<String> {
        self.places.pop_front()
    }

    /// The next word before the free text, which must be there.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if it is not; `what` names it.
    pub fn need(&mut self, what: &str) -> Result<String, Fault> {
        self.next().ok_or_else(|| self.missing(what))
    }

    /// The fault for a missing word; `what` names it.
    pub fn missing(&self, what: &str) -> Fault {
        bad(format!("{what} is missing; see: help {}", self.verb))
    }

    /// The words of the free text.
    pub fn into_text(self) -> Vec<String> {
        self.text
    }

    /// Checks that no word is left over, for verbs without free text.
    ///
    /// # Errors
    /// [`Code::BadRequest`] if one is.
    pub fn done(&self) -> Result<(), Fault> {
        match self.places.front().or(self.text.first()) {
            None => Ok(()),
            Some(word) => {
                Err(bad(format!("{} is too much; see: help {}", quoted(word), self.verb)))
            }
        }
    }
}

/// The value of `--key`.
///
/// # Errors
/// [`Code::BadRequest`] for an empty key, [`Code::TooLong`].
pub fn key(words: &mut Words) -> Result<Option<Box<str>>, Fault> {
    words.value("key").map(|key| rules::key("--key", key)).transpose()
}
