//! Answers that a session remembers, by the keys of the requests.

use super::channel::Channel;
use ecow::EcoString;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

/// What was answered to a request with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The seq of the entry.
    pub seq: u64,
    /// How many recipients a command has; `None` for a message.
    pub to: Option<u32>,
}

/// How many keys of one session are remembered.
const KEYS_MAX: usize = 4_096;

/// The answers to the last keys of a session, so that a request that is
/// repeated after its reply was lost is answered the same and done once.
#[derive(Debug, Default)]
pub struct Keys {
    answers: HashMap<Key, Given>,
    order: VecDeque<Key>,
}

/// An answer, and the channel that gave it: a channel that was dropped and made
/// again is another one.
#[derive(Debug)]
struct Given {
    answer: Answer,
    by: Weak<Channel>,
}

/// What a request's key is remembered under: a message and a command with the same
/// key are two.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The channel that it was used on.
    pub channel: EcoString,
    /// The key itself.
    pub word: Box<str>,
    /// Whether it is for a command, and not for a message.
    pub is_command: bool,
}

impl Keys {
    /// What was answered to this key on this channel.
    pub fn get(&self, key: &Key, channel: &Arc<Channel>) -> Option<Answer> {
        let given = self.answers.get(key)?;
        std::ptr::eq(given.by.as_ptr(), Arc::as_ptr(channel)).then_some(given.answer)
    }

    /// Remembers an answer of this channel. Returns the key that is forgotten for
    /// it, if there are too many.
    pub fn put(&mut self, key: Key, channel: &Arc<Channel>, answer: Answer) -> Option<Key> {
        // The key may have an answer of a channel that was dropped. That goes
        // first: if it were the oldest, this answer would be the one that is
        // forgotten.
        if self.answers.remove(&key).is_some() {
            self.order.retain(|known| *known != key);
        }
        let is_full = self.order.len() >= KEYS_MAX;
        let oldest = is_full.then(|| self.order.pop_front()).flatten();
        if let Some(oldest) = &oldest {
            self.answers.remove(oldest);
        }
        self.order.push_back(key.clone());
        self.answers.insert(key, Given { answer, by: Arc::downgrade(channel) });
        oldest
    }

    /// The answers of channels that are still there, oldest first.
    pub fn answers(&self) -> impl Iterator<Item = (&Key, Arc<Channel>, Answer)> {
        self.order.iter().filter_map(|key| {
            let given = self.answers.get(key)?;
            Some((key, given.by.upgrade()?, given.answer))
        })
    }

    /// All keys, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.order.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::channel::{Charter, Rules};
    use crate::request::Settings;
    use crate::wire::text::TextEncoder;

    fn channel() -> Arc<Channel> {
        let rules = Rules {
            encode: Box::new(TextEncoder),
            members_max: 1,
            log_bytes: 1,
            stall_ms: 1,
            store: None,
            stats: Arc::default(),
        };
        Channel::new("c".into(), Settings::default(), &Charter::plain(Arc::new(rules)))
    }

    fn key(number: usize) -> Key {
        Key { channel: "c".into(), word: number.to_string().into(), is_command: false }
    }

    /// The same key on a channel that was made anew, when it was the oldest of
    /// as many as are remembered.
    #[test]
    fn the_newest_answer_is_never_the_one_that_is_forgotten() {
        let (first, second, mut keys) = (channel(), channel(), Keys::default());
        let answer = |seq| Answer { seq, to: None };
        for number in 0..KEYS_MAX {
            assert_eq!(keys.put(key(number), &first, answer(1)), None);
        }
        assert_eq!(keys.put(key(0), &second, answer(2)), None);
        assert_eq!(keys.get(&key(0), &second), Some(answer(2)));
        assert_eq!(keys.put(key(KEYS_MAX), &second, answer(3)), Some(key(1)));
        assert_eq!((keys.get(&key(1), &first), keys.iter().count()), (None, KEYS_MAX));
    }
}
