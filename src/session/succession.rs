//! In which order a client reads its subscriptions to channels of one name: an
//! earlier one is read to its end before the next one begins.

use ecow::EcoString;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Who comes after whom. Subscriptions are known by their slots, which are free
/// for others only when [`Succession::ended`] was called.
#[derive(Debug, Default)]
pub(super) struct Succession {
    /// The latest subscription to each name that has ended and still has something
    /// to read.
    leaving: HashMap<EcoString, u32>,
    /// Who is next when this one has been read to its end.
    next: HashMap<u32, u32>,
    /// All who wait for that, with the bytes that are kept for those of them that
    /// have ended, too.
    waiting: HashMap<u32, usize>,
    /// How many bytes that is.
    kept: usize,
}

impl Succession {
    /// A subscription has ended: whatever else comes to this name waits for it.
    pub(super) fn leaves(&mut self, name: &EcoString, slot: u32) {
        if let Some(earlier) = self.leaving.insert(name.clone(), slot) {
            self.follow(earlier, slot);
        }
    }

    /// A subscription has begun.
    pub(super) fn comes(&mut self, name: &EcoString, slot: u32) {
        if let Some(earlier) = self.leaving.get(name) {
            self.follow(*earlier, slot);
        }
    }

    fn follow(&mut self, earlier: u32, slot: u32) {
        // It may follow already: it has begun before it ended.
        if earlier != slot
            && let Entry::Vacant(place) = self.waiting.entry(slot)
        {
            place.insert(0);
            self.next.insert(earlier, slot);
        }
    }

    /// Whether this one waits for an earlier one.
    pub(super) fn waits(&self, slot: u32) -> bool {
        self.waiting.contains_key(&slot)
    }

    /// A subscription has been read to its end; who may begin now.
    pub(super) fn ended(&mut self, name: &EcoString, slot: u32) -> Option<u32> {
        if self.leaving.get(name) == Some(&slot) {
            self.leaving.remove(name);
        }
        let next = self.next.remove(&slot)?;
        self.goes(next);
        Some(next)
    }

    /// So many bytes are kept for one that has ended and waits, if there is that
    /// much room.
    pub(super) fn keeps(&mut self, slot: u32, bytes: usize, bytes_max: usize) -> bool {
        let has_room = self.kept + bytes <= bytes_max;
        if has_room && let Some(kept) = self.waiting.get_mut(&slot) {
            self.kept = self.kept + bytes - *kept;
            *kept = bytes;
        }
        has_room
    }

    /// This one does not wait any more.
    pub(super) fn goes(&mut self, slot: u32) {
        self.kept -= self.waiting.remove(&slot).unwrap_or(0);
    }

    /// Whether no subscription that has ended has anything left to read.
    pub(super) fn is_empty(&self) -> bool {
        self.leaving.is_empty()
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
        succession.goes(2);
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
}
