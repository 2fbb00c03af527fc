//! Completion of verbs, options, channels and names, from what has been seen.

use super::usage::{Grammar, Word, grammar, verbs};
use crate::client::event::Frame;
use crate::client::line::{Reply, field};
use std::collections::BTreeSet;

/// Names remembered of each kind; new ones beyond that are ignored, so that strangers
/// cannot fill this machine's memory.
const NAMES_MAX: usize = 10_000;

/// Candidates that are shown at once.
pub const CANDIDATES_MAX: usize = 100;

/// The names that have been seen.
#[derive(Debug, Default)]
pub struct Vocabulary {
    channels: BTreeSet<String>,
    names: BTreeSet<String>,
    orders: BTreeSet<String>,
}

fn learn(names: &mut BTreeSet<String>, name: &str) {
    if names.len() < NAMES_MAX && !name.is_empty() && !names.contains(name) {
        names.insert(name.to_owned());
    }
}

impl Vocabulary {
    /// Remembers the names in a frame or in a row of a list.
    pub fn hear(&mut self, frame: &Frame) {
        match frame {
            Frame::Message { channel, from, .. } => self.both(channel, from),
            Frame::Joined { channel, member, .. } | Frame::Moved { channel, member, .. } => {
                self.both(channel, member);
            }
            Frame::Command(command) => {
                self.both(&command.channel, &command.from);
                learn(&mut self.orders, &command.name);
            }
            Frame::Left { reason, channel, member, .. } => {
                if reason == "unsub" || reason == "kicked" {
                    self.both(channel, member);
                } else {
                    self.names.remove(member);
                }
            }
            Frame::Tell { from, .. } | Frame::Broadcast { from, .. } => {
                learn(&mut self.names, from);
            }
            Frame::Other { line } => self.row(line),
            _ => {}
        }
    }

    fn both(&mut self, channel: &str, name: &str) {
        learn(&mut self.channels, channel);
        learn(&mut self.names, name);
    }

    fn row(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["member", channel, _, name, ..] => self.both(channel, name),
            ["channel", channel, ..] => learn(&mut self.channels, channel),
            ["client", name, ..] => {
                learn(&mut self.names, name);
                let channels = field(words.iter().copied(), "channels").unwrap_or_default();
                for channel in channels.split(',') {
                    learn(&mut self.channels, channel);
                }
            }
            _ => {}
        }
    }

    /// Remembers the channel that a reply names.
    pub fn replied(&mut self, reply: &Reply) {
        let Reply::Ok { verb, words } = reply else { return };
        let Some(channel) = words.first() else { return };
        match verb.as_str() {
            "drop" => {
                self.channels.remove(channel);
            }
            "create" | "sub" | "use" | "info" if !channel.contains(['*', '?', '[']) => {
                learn(&mut self.channels, channel);
            }
            _ => {}
        }
    }

    /// Remembers the name of a command that was typed.
    pub fn typed(&mut self, line: &str) {
        if let Some(name) = line.trim().split([' ', '\t']).next().and_then(|w| w.strip_prefix('/'))
        {
            learn(&mut self.orders, name);
        }
    }

    /// Returns where the last word of this text begins, and its possible completions in
    /// order.
    pub fn complete(&self, text: &str) -> (usize, Vec<String>) {
        let begin = text.rfind([' ', '\t']).map_or(0, |at| at + 1);
        let word = &text[begin..];
        let before: Vec<&str> = text[..begin].split_whitespace().collect();
        let matching = |from: &BTreeSet<String>| -> Vec<String> {
            let at_word = from.range(word.to_owned()..);
            at_word
                .take_while(|name| name.starts_with(word))
                .take(CANDIDATES_MAX)
                .cloned()
                .collect()
        };
        let Some((verb, rest)) = before.split_first() else {
            if let Some(order) = word.strip_prefix('/') {
                let orders = self.orders.iter().filter(|name| name.starts_with(order));
                return (begin, orders.map(|name| format!("/{name}")).collect());
            }
            return (begin, verbs_like(word));
        };
        let Some(grammar) = grammar(verb) else {
            return (begin, Vec::new());
        };
        let candidates = if word.starts_with('-') {
            let options = grammar.options.iter().map(|(option, _)| *option);
            options.filter(|option| option.starts_with(word)).map(str::to_owned).collect()
        } else {
            match next_word(&grammar, rest) {
                Word::Channel => matching(&self.channels),
                Word::Member => matching(&self.names),
                Word::Verb => verbs_like(word),
                Word::Other => Vec::new(),
            }
        };
        (begin, candidates)
    }
}

fn verbs_like(word: &str) -> Vec<String> {
    verbs().into_iter().filter(|verb| verb.starts_with(word)).map(str::to_owned).collect()
}

/// Returns the kind of the word after these: an option's value, or a positional word.
fn next_word(grammar: &Grammar, words: &[&str]) -> Word {
    let mut place = 0;
    let mut value_due = None;
    for word in words {
        if value_due.take().is_some() {
            continue;
        }
        if word.starts_with("--") {
            let option = grammar.options.iter().find(|(option, _)| option == word);
            value_due = option.and_then(|(_, value)| *value);
        } else {
            place += 1;
        }
    }
    value_due.or_else(|| grammar.places.get(place).copied()).unwrap_or(Word::Other)
}

/// The longest text with which all of these begin.
pub fn common_prefix(words: &[String]) -> &str {
    let Some(first) = words.first() else { return "" };
    let mut end = first.len();
    for word in &words[1..] {
        let same = first.char_indices().zip(word.chars()).find(|((_, a), b)| a != b);
        end = end.min(same.map_or(word.len().min(first.len()), |((at, _), _)| at));
    }
    &first[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(lines: &[&str]) -> Vocabulary {
        let mut vocabulary = Vocabulary::default();
        for line in lines {
            vocabulary.hear(&Frame::parse(line));
        }
        vocabulary
    }

    fn completed(vocabulary: &Vocabulary, text: &str) -> String {
        vocabulary.complete(text).1.join(" ")
    }

    #[test]
    fn verbs_options_channels_and_names_are_completed() {
        let vocabulary = seen(&[
            "join ops 4 bob 2",
            "msg news 1 alice hi",
            "member ops 0 beth term=1 away=no",
            "client carl 1.2.3.4:5 dialect=text channels=open,ops",
            "cmd ops 9 alice 0 4 restart",
        ]);
        for (text, candidates) in [
            ("p", "ping promote pub"),
            ("", &verbs().join(" ")),
            ("sub o", "open ops"),
            ("sub --observe o", "open ops"),
            ("sub --last ", ""),
            ("sub --o", "--observe"),
            ("create x --zz", ""),
            ("ca", "cancel"),
            ("fib --to b", "beth bob"),
            ("numbers 5 --", "--batch"),
            ("zz", ""),
            ("pub ops b", ""),
            ("kick ops b", "beth bob"),
            ("tell ", "alice beth bob carl"),
            ("cmd --to b", "beth bob"),
            ("cmd --to bob o", "open ops"),
            ("help qu", "quit"),
            ("/re", "/restart"),
            ("nonsense o", ""),
        ] {
            assert_eq!(completed(&vocabulary, text), candidates, "{text:?}");
        }
        assert_eq!(vocabulary.complete("sub op").0, 4);
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let vocabulary = seen(&["join ops 4 bob 2", "left ops 5 bob 2 reason=lost"]);
        assert_eq!(completed(&vocabulary, "tell b"), "");
    }

    #[test]
    fn what_candidates_share_is_found() {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(common_prefix(&words(&["opera", "open", "ops"])), "op");
        assert_eq!(common_prefix(&words(&["grün", "grüße"])), "grü");
        assert_eq!(common_prefix(&words(&["op", "open"])), "op");
        assert_eq!(common_prefix(&[]), "");
    }
}
