//! The order in which a client reads its subscriptions to channels of one name: an
//! earlier one is read to its end before the next one begins.

use ecow::EcoString;
use std::collections::{HashMap, VecDeque};

/// Which subscription waits for which. They are known by their slots, which are
/// free for others only after a call of [`Succession::ended`].
#[derive(Debug, Default)]
pub(super) struct Succession {
    /// The lines of those names that have a subscription which has ended and still has
    /// something to read.
    lines: HashMap<EcoString, Line>,
    /// All subscriptions that wait for another one, each with the bytes that are kept
    /// for it, which are 0 until it has ended.
    waiting: HashMap<u32, usize>,
    /// The sum of these bytes.
    kept: usize,
}

/// The subscriptions to one name, in the order in which they are read, so that no
/// two can wait for each other.
#[derive(Debug, Default)]
struct Line {
    /// Those that have ended. The first of them is read, the others wait.
    ended: VecDeque<u32>,
    /// The one that has not ended; it waits for all of those.
    last: Option<u32>,
}

impl Succession {
    /// Notes that a subscription has ended: later ones to this name wait for it.
    pub(super) fn leaves(&mut self, name: &EcoString, slot: u32) {
        self.comes(name, slot);
        let Some(line) = self.lines.get_mut(name) else {
            let line = Line { ended: VecDeque::from([slot]), last: None };
            self.lines.insert(name.clone(), line);
            return;
        };
        // If it is not the last, it has ended before.
        line.ended.extend(line.last.take_if(|last| *last == slot));
    }

    /// Notes that a subscription has begun. If its name has a line, it goes to the end
    /// of that.
    pub(super) fn comes(&mut self, name: &EcoString, slot: u32) {
        let Some(line) = self.lines.get_mut(name) else { return };
        // It may be there already: some have ended before they were seen to begin.
        if line.ended.front() == Some(&slot) || self.waiting.contains_key(&slot) {
            return;
        }
        self.waiting.insert(slot, 0);
        // A client has one subscription at a time to a name: the one before has ended.
        line.ended.extend(line.last.replace(slot));
    }

    /// Whether this one waits for an earlier one.
    pub(super) fn waits(&self, slot: u32) -> bool {
        self.waiting.contains_key(&slot)
    }

    /// Notes that a subscription has been read to its end, or is not read any more.
    /// Returns the one that may be read now.
    pub(super) fn ended(&mut self, name: &EcoString, slot: u32) -> Option<u32> {
        self.goes(slot);
        let line = self.lines.get_mut(name)?;
        if line.ended.front() != Some(&slot) {
            line.last.take_if(|last| *last == slot);
            line.ended.retain(|ended| *ended != slot);
            return None;
        }
        line.ended.pop_front();
        let next = line.ended.front().copied().or(line.last);
        if line.ended.is_empty() {
            self.lines.remove(name);
        }
        self.goes(next?);
        next
    }

    /// Notes that this many bytes are kept for one that has ended and waits. Returns
    /// `false` if there is not that much room.
    pub(super) fn keeps(&mut self, slot: u32, bytes: usize, bytes_max: usize) -> bool {
        let before = self.waiting.get(&slot).copied().unwrap_or(0);
        let all = self.kept - before + bytes;
        if all <= bytes_max && self.waiting.contains_key(&slot) {
            self.waiting.insert(slot, bytes);
            self.kept = all;
        }
        all <= bytes_max
    }

    /// Notes that this one does not wait any more.
    fn goes(&mut self, slot: u32) {
        self.kept -= self.waiting.remove(&slot).unwrap_or(0);
    }

    /// Whether no subscription that has ended has anything left to read.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_waits_for_the_one_before_it() {
        let (name, other) = (EcoString::from("c"), EcoString::from("d"));
        let mut succession = Succession::default();
        succession.leaves(&name, 0);
        succession.comes(&name, 1);
        succession.comes(&other, 2);
        assert!(succession.waits(1) && !succession.waits(0) && !succession.waits(2));
        // The second ends before the first has been read, and a third one comes.
        succession.leaves(&name, 1);
        succession.comes(&name, 3);
        assert_eq!(succession.ended(&name, 0), Some(1));
        assert!(!succession.waits(1) && succession.waits(3) && !succession.is_empty());
        assert_eq!(succession.ended(&name, 1), Some(3));
        assert!(!succession.waits(3) && succession.is_empty());
        assert_eq!(succession.ended(&name, 3), None);
    }

    #[test]
    fn no_more_is_kept_for_those_that_wait_than_there_is_room() {
        let name = EcoString::from("c");
        let mut succession = Succession::default();
        for slot in 0..3 {
            succession.leaves(&name, slot);
        }
        assert!(succession.keeps(1, 600, 1_000) && !succession.keeps(2, 600, 1_000));
        assert_eq!(succession.ended(&name, 2), None);
        succession.comes(&name, 3);
        assert_eq!(succession.ended(&name, 0), Some(1));
        assert!(succession.keeps(3, 600, 1_000), "the second is read now");
    }

    #[test]
    fn one_that_ends_before_it_was_seen_waits_for_those_before_it() {
        let name = EcoString::from("c");
        let mut succession = Succession::default();
        succession.leaves(&name, 0);
        succession.leaves(&name, 1);
        succession.comes(&name, 1);
        assert!(succession.waits(1));
        assert_eq!(succession.ended(&name, 0), Some(1));
        assert_eq!(succession.ended(&name, 1), None);
    }

    #[test]
    fn nobody_waits_for_ever_in_whatever_order_they_are_told_to_end() {
        let name = EcoString::from("c");
        let mut succession = Succession::default();
        succession.leaves(&name, 0);
        succession.comes(&name, 1);
        succession.leaves(&name, 1);
        succession.comes(&name, 2);
        // `leaves` comes once more for the first, and for one that has not begun.
        succession.leaves(&name, 0);
        succession.leaves(&name, 3);
        assert_eq!([0, 1, 2, 3].map(|slot| succession.waits(slot)), [false, true, true, true]);
        // The second is given up.
        assert_eq!(succession.ended(&name, 1), None);
        assert_eq!(succession.ended(&name, 0), Some(2));
        assert_eq!(succession.ended(&name, 2), Some(3));
        assert_eq!(succession.ended(&name, 3), None);
        assert!(succession.is_empty() && !succession.waits(3));
    }

    #[test]
    fn what_is_kept_already_needs_no_more_room() {
        let name = EcoString::from("c");
        let mut succession = Succession::default();
        (0..2).for_each(|slot| succession.leaves(&name, slot));
        assert!(succession.keeps(1, 600, 1_000) && succession.keeps(1, 700, 1_000));
        assert!(!succession.keeps(1, 1_100, 1_000));
    }
}
