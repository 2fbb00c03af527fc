//! Many members in rank order.
//!
//! They stand in slots; one who leaves vacates the slot, and a newcomer takes a
//! new one at the end. A rank is therefore the number of occupied slots before
//! one's own. Two Fenwick trees over the slots (P. M. Fenwick, "A new data
//! structure for cumulative frequency tables", 1994) share their storage:
//!
//! - *occupied*, a sum: the rank of a slot, and the slot of a rank;
//! - *vacated*, a maximum: the seq at which each slot was vacated. Everyone
//!   behind it moved up then, so a member's term is the later of its own
//!   arrival and the last time a slot before its own was vacated.
//!
//! Joining, leaving, yielding and every look-up are O(log n); a promotion into the
//! middle is O(n log n). Vacant slots are swept out when they outnumber the rest.

use super::Key;

#[derive(Clone, Debug)]
struct Slot {
    /// The key of its member, or [`VACANT`].
    key: Key,
    /// Fenwick node: how many slots of its range are occupied.
    occupied: u32,
    /// The seq at which its member got it.
    since: u64,
    /// Fenwick node: the seq at which a slot of its range was last vacated.
    vacated: u64,
}

const VACANT: Key = Key::MAX;
/// No slot: there is no member with this key.
const NOWHERE: u32 = u32::MAX;
/// How many vacant slots are not worth sweeping.
const SLACK: usize = 16;

/// Members in rank order.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    slots: Vec<Slot>,
    /// The slot of each key.
    slot_of: Vec<u32>,
    len: u32,
}

impl Tree {
    /// A tree of these members, highest rank first, each with its term.
    pub(super) fn new(order: &[(Key, u64)]) -> Self {
        let mut tree = Tree { slots: Vec::with_capacity(order.len()), ..Tree::default() };
        for (key, term) in order {
            tree.push(*key, *term);
        }
        tree
    }

    /// How many members there are.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// A member's rank; `None` for a stranger.
    pub(super) fn rank(&self, key: Key) -> Option<u32> {
        Some(self.occupied_before(self.slot(key)?))
    }

    /// A member's term: the seq at which it got its present rank.
    pub(super) fn term(&self, key: Key) -> Option<u64> {
        Some(self.term_of_slot(self.slot(key)?))
    }

    /// Who holds this rank.
    pub(super) fn at(&self, rank: u32) -> Option<Key> {
        Some(self.slots[self.slot_at(rank)?].key)
    }

    fn slot_at(&self, rank: u32) -> Option<usize> {
        if rank >= self.len {
            return None;
        }
        // Walk down the tree: skip every range that ends before the rank.
        let (mut slot, mut before) = (0, 0);
        let mut step = (self.slots.len() + 1).next_power_of_two();
        while step > 0 {
            let next = slot + step;
            if next <= self.slots.len() && before + self.slots[next - 1].occupied <= rank {
                slot = next;
                before += self.slots[next - 1].occupied;
            }
            step /= 2;
        }
        Some(slot)
    }

    /// The members with their terms, highest rank first. Going through all of them
    /// is O(n log n).
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, u64)> + '_ {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.key != VACANT)
            .map(|(at, slot)| (slot.key, self.term_of_slot(at)))
    }

    /// The holders of this rank and of every lower one, in rank order.
    pub(super) fn keys_from(&self, rank: u32) -> impl Iterator<Item = Key> + '_ {
        let first = self.slot_at(rank).unwrap_or(self.slots.len());
        self.slots[first..].iter().map(|slot| slot.key).filter(|key| *key != VACANT)
    }

    /// A member leaves.
    pub(super) fn leave(&mut self, key: Key, seq: u64) {
        self.vacate(key, seq);
        self.sweep();
    }

    /// A member goes to the bottom.
    pub(super) fn yield_rank(&mut self, key: Key, seq: u64) {
        self.vacate(key, seq);
        self.push(key, seq);
        self.sweep();
    }

    /// Moves the member at rank `old` to rank `new`; those between move by one.
    pub(super) fn reorder(&mut self, old: u32, new: u32, seq: u64) {
        let mut order: Vec<(Key, u64)> = self.iter().collect();
        let (old, new) = (old as usize, new as usize);
        let member = order.remove(old);
        order.insert(new, member);
        for moved in &mut order[old.min(new)..=old.max(new)] {
            moved.1 = seq;
        }
        *self = Tree::new(&order);
    }

    fn slot(&self, key: Key) -> Option<usize> {
        let slot = *self.slot_of.get(key as usize)?;
        (slot != NOWHERE).then_some(slot as usize)
    }

    fn term_of_slot(&self, slot: usize) -> u64 {
        self.slots[slot].since.max(self.last_vacated_before(slot))
    }

    fn occupied_before(&self, slot: usize) -> u32 {
        nodes_before(slot).map(|node| self.slots[node].occupied).sum()
    }

    fn last_vacated_before(&self, slot: usize) -> u64 {
        nodes_before(slot).map(|node| self.slots[node].vacated).max().unwrap_or(0)
    }

    /// Adds a member at the bottom. The key must be free.
    pub(super) fn push(&mut self, key: Key, since: u64) {
        let at = self.slots.len();
        let mut slot = Slot { key, occupied: 1, since, vacated: 0 };
        // The new node covers itself and the ranges that end right before it.
        let first = at & (at + 1);
        let mut node = at;
        while node > first {
            let covered = &self.slots[node - 1];
            slot.occupied += covered.occupied;
            slot.vacated = slot.vacated.max(covered.vacated);
            node &= node - 1;
        }
        self.slots.push(slot);
        let key = key as usize;
        if self.slot_of.len() <= key {
            self.slot_of.resize(key + 1, NOWHERE);
        }
        self.slot_of[key] = u32::try_from(at).unwrap_or(NOWHERE);
        self.len += 1;
    }

    fn vacate(&mut self, key: Key, seq: u64) {
        let at = self.slot_of[key as usize] as usize;
        self.slot_of[key as usize] = NOWHERE;
        self.slots[at].key = VACANT;
        self.len -= 1;
        let mut node = at;
        while node < self.slots.len() {
            self.slots[node].occupied -= 1;
            self.slots[node].vacated = seq;
            node |= node + 1;
        }
    }

    /// Drops the vacant slots when they are most of them: amortized O(log n) for
    /// each leave.
    fn sweep(&mut self) {
        if self.slots.len() > 2 * self.len as usize + SLACK {
            let order: Vec<_> = self.iter().collect();
            *self = Tree::new(&order);
        }
    }
}

/// The Fenwick nodes that together cover all slots before this one.
fn nodes_before(slot: usize) -> impl Iterator<Item = usize> {
    let clear_lowest_bit = |rest: &usize| rest.checked_sub(1).map(|below| rest & below);
    std::iter::successors(Some(slot), clear_lowest_bit)
        .take_while(|rest| *rest > 0)
        .map(|rest| rest - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_left_is_freed() {
        let mut tree = Tree::new(&[(0, 1), (1, 2)]);
        for seq in 0..10_000_u64 {
            let key = 2 + u32::try_from(seq % 7).unwrap();
            tree.push(key, 2 * seq + 3);
            tree.leave(key, 2 * seq + 4);
        }
        assert!(tree.slots.len() <= 2 * 2 + SLACK && tree.slot_of.len() <= 9);
    }
}
