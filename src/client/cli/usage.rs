//! What can stand where in a request, read from the usage texts of
//! `jobs::verbs`: what this version does not serve is not offered.

use crate::jobs;

/// What a word of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The name of a channel.
    Channel,
    /// The name of a member.
    Member,
    /// A verb.
    Verb,
    /// Something of which no values are known here.
    Other,
}

/// A verb, its words and its options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grammar {
    /// The positional words.
    pub places: Vec<Word>,
    /// The options, in order, and what their values are, if they take any.
    pub options: Vec<(&'static str, Option<Word>)>,
}

/// Returns every verb that the broker answers, in order, other names of the same
/// included; not `/…`, which stands for any command.
pub fn verbs() -> Vec<&'static str> {
    let usages = jobs::verbs().filter(|usage| !usage.verb.starts_with('/'));
    let names = usages.flat_map(|usage| [Some(usage.verb), usage.also]);
    let mut verbs: Vec<_> = names.flatten().collect();
    verbs.sort_unstable();
    verbs
}

/// How requests of this verb are built.
pub fn grammar(verb: &str) -> Option<Grammar> {
    let mut usages = jobs::verbs();
    let usage = usages.find(|usage| usage.is_called(verb))?;
    Some(parse(usage.words))
}

fn parse(words: &'static str) -> Grammar {
    let mut grammar = Grammar::default();
    let mut words = words.split(' ').filter(|word| !word.is_empty()).peekable();
    let mut first_form = true;
    while let Some(word) = words.next() {
        let bare = word.trim_matches(['[', ']']);
        if word == "|" {
            first_form = false;
        } else if bare.starts_with("--") {
            // `[--flag]`, `[--option VALUE]`; a bare option is a flag if a word
            // follows that has a place of its own, or another option.
            let value = words.peek().filter(|next| {
                let bracketed = word.starts_with('[') && !word.ends_with(']');
                bracketed || (word == bare && kind(next) == Word::Other && !next.starts_with('['))
            });
            let value = value.map(|next| kind(next));
            if value.is_some() {
                words.next();
            }
            grammar.options.push((bare, value));
        } else if first_form {
            grammar.places.push(kind(word));
        }
    }
    grammar.options.sort_unstable_by_key(|(option, _)| *option);
    grammar
}

fn kind(word: &str) -> Word {
    match word.trim_matches(['[', ']']).split('|').next() {
        Some("CH") => Word::Channel,
        Some("MEMBER") => Word::Member,
        Some("VERB") => Word::Verb,
        _ => Word::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_options_and_places_are_told_apart() {
        let options = |verb: &str| {
            let options = grammar(verb).unwrap().options.into_iter();
            let shown = options.map(|(name, value)| match value {
                Some(kind) => format!("{name}={kind:?}"),
                None => name.to_owned(),
            });
            shown.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(options("pub"), "--json --key=Other --raw --term=Other");
        assert_eq!(options("cmd"), "--key=Other --timeout=Other --to=Member");
        assert_eq!(options("clients"), "--history --last=Other");
        assert_eq!(
            options("create"),
            "--durable --history=Other --history-age=Other --history-bytes=Other --hold=Other \
             --if-missing --max=Other --on-close=Other"
        );
        assert_eq!(
            options("sub"),
            "--create --from=Other --last=Other --no-echo --observe --pattern=Other"
        );
        assert_eq!(grammar("kick").unwrap().places[..2], [Word::Channel, Word::Member]);
        assert_eq!(grammar("msg").unwrap().places[0], Word::Member);
        assert_eq!(grammar("sub").unwrap().places, [Word::Channel]);
        assert_eq!(grammar("unsub").unwrap().places, [Word::Channel]);
        assert_eq!(grammar("nonsense"), None);
    }

    #[test]
    fn what_is_offered_is_what_the_broker_serves() {
        // A separate list once offered verbs that were not served.
        let verbs = verbs();
        assert!(verbs.contains(&"who") && verbs.contains(&"w") && verbs.contains(&"msg"));
        for verb in verbs {
            let mut usages = jobs::verbs();
            let usage = usages.find(|usage| usage.is_called(verb));
            let usage = usage.unwrap();
            for (option, _) in grammar(verb).unwrap().options {
                assert!(usage.words.contains(option), "{verb} {option}");
            }
        }
    }
}
