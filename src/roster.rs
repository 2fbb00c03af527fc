//! The ordered members of a channel: who holds which rank, and since when.
//!
//! A plain struct with no lock, clock or I/O, and nothing of the crate but
//! itself. It is what you get by folding a channel's log: [`Roster::join`],
//! [`Roster::leave`] and [`Roster::place`] are the fold's steps, each with the
//! seq of the entry that causes it. Whoever folds the same log has the same
//! ranks, view and terms.
//!
//! # How it works
//! Members stand in slots, in rank order; one who leaves vacates the slot, and
//! a newcomer takes a new one at the end. A rank is therefore the number of
//! occupied slots before one's own. Two Fenwick trees over the slots (P. M.
//! Fenwick, "A new data structure for cumulative frequency tables", 1994) share
//! their storage:
//!
//! - *occupied*, a sum: the rank of a slot, and the slot of a rank;
//! - *vacated*, a maximum: the seq at which each slot was vacated. Everyone
//!   behind it moved up then, so a member's term is the later of its own
//!   arrival and the last time a slot before its own was vacated.
//!
//! Joining, leaving, yielding and every look-up are O(log n); a promotion into
//! the middle is O(n). Vacant slots are swept out when they outnumber the rest.

/// A member's handle in its roster. Small numbers, reused after a member left.
pub type Key = u32;

/// What one step of the fold did to the ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Change {
    /// Someone came in, at the bottom.
    Join {
        /// The newcomer's rank.
        rank: u32,
    },
    /// Someone left; everyone below moved up by one.
    Left {
        /// The rank that was given up.
        rank: u32,
    },
    /// Someone yielded or was promoted; those between moved by one.
    Move {
        /// The rank before.
        old: u32,
        /// The rank after.
        new: u32,
    },
}

impl Change {
    /// The rank after this change of a member that had `rank` before it and is
    /// still there.
    pub fn after(self, rank: u32) -> u32 {
        match self {
            Change::Left { rank: gone } => rank - u32::from(gone < rank),
            Change::Move { old, new } if rank == old => new,
            Change::Move { old, new } if old < rank && rank <= new => rank - 1,
            Change::Move { old, new } if new <= rank && rank < old => rank + 1,
            Change::Join { .. } | Change::Move { .. } => rank,
        }
    }

    /// The rank before this change of a member that has `rank` after it and was
    /// already there.
    pub fn before(self, rank: u32) -> u32 {
        match self {
            Change::Join { .. } => rank,
            Change::Left { rank: gone } => rank + u32::from(gone <= rank),
            Change::Move { old, new } => Change::Move { old: new, new: old }.after(rank),
        }
    }
}

#[derive(Clone, Debug)]
struct Slot {
    /// Whose it is, or [`VACANT`].
    key: Key,
    /// Fenwick node: how many slots of its range are occupied.
    occupied: u32,
    /// The seq at which its member got it.
    since: u64,
    /// Fenwick node: when last a slot of its range was vacated.
    vacated: u64,
}

const VACANT: Key = Key::MAX;
/// No slot: the member of this key is not here.
const NOWHERE: u32 = u32::MAX;
/// Vacant slots that are not worth sweeping.
const SLACK: usize = 16;

/// The ordered members of one channel.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    slots: Vec<Slot>,
    /// The slot of each key.
    slot_of: Vec<u32>,
    len: u32,
    view: u64,
}

impl Roster {
    /// The roster that had these members, highest rank first, each with its
    /// term, as of this view.
    pub fn restore(members: Vec<(Key, u64)>, view: u64) -> Self {
        let mut roster = Roster { view, ..Roster::default() };
        roster.rebuild(members);
        roster
    }

    /// How many members there are.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The seq of the entry that last changed this roster.
    pub fn view(&self) -> u64 {
        self.view
    }

    /// A member's rank; `None` for a stranger.
    pub fn rank(&self, key: Key) -> Option<u32> {
        Some(self.occupied_before(self.slot(key)?))
    }

    /// A member's term: the seq at which it got its present rank.
    pub fn term(&self, key: Key) -> Option<u64> {
        Some(self.term_of_slot(self.slot(key)?))
    }

    /// The term of rank 0: the fencing token. `None` in an empty roster.
    pub fn top_term(&self) -> Option<u64> {
        self.term(self.at(0)?)
    }

    /// Who holds this rank.
    pub fn at(&self, rank: u32) -> Option<Key> {
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

    /// The members with their terms, highest rank first. The terms of all of
    /// them together are O(n).
    pub fn iter(&self) -> impl Iterator<Item = (Key, u64)> + '_ {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.key != VACANT)
            .map(|(at, slot)| (slot.key, self.term_of_slot(at)))
    }

    /// Who holds this rank and every lower one, in rank order.
    pub fn keys_from(&self, rank: u32) -> impl Iterator<Item = Key> + '_ {
        let first = self.slot_at(rank).unwrap_or(self.slots.len());
        self.slots[first..].iter().map(|slot| slot.key).filter(|key| *key != VACANT)
    }

    /// Someone comes in at the bottom; the rank. The key must be free.
    pub fn join(&mut self, key: Key, seq: u64) -> Change {
        debug_assert!(self.slot(key).is_none() && seq > self.view);
        self.push(key, seq);
        self.view = seq;
        self.check();
        Change::Join { rank: self.len - 1 }
    }

    /// A member leaves. `None`, and nothing has changed, for a stranger.
    pub fn leave(&mut self, key: Key, seq: u64) -> Option<Change> {
        let rank = self.rank(key)?;
        self.vacate(key, seq);
        self.view = seq;
        self.sweep();
        self.check();
        Some(Change::Left { rank })
    }

    /// Moves a member to another rank. `None`, and nothing has changed, for a
    /// stranger, a rank that nobody has, or the rank that it has already.
    pub fn place(&mut self, key: Key, new: u32, seq: u64) -> Option<Change> {
        let old = self.rank(key)?;
        if new >= self.len || new == old {
            return None;
        }
        if new == self.len - 1 {
            self.vacate(key, seq);
            self.push(key, seq);
            self.sweep();
        } else {
            self.reorder(old, new, seq);
        }
        self.view = seq;
        self.check();
        Some(Change::Move { old, new })
    }

    fn reorder(&mut self, old: u32, new: u32, seq: u64) {
        let mut order: Vec<(Key, u64)> = self.iter().collect();
        let (old, new) = (old as usize, new as usize);
        let member = order.remove(old);
        order.insert(new, member);
        for moved in &mut order[old.min(new)..=old.max(new)] {
            moved.1 = seq;
        }
        self.rebuild(order);
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

    fn push(&mut self, key: Key, since: u64) {
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
        if self.slots.capacity() == 0 {
            // Most rosters have one member.
            self.slots.reserve_exact(1);
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

    /// Drops the vacant slots when they are most of them: O(1) for each leave.
    fn sweep(&mut self) {
        if self.slots.len() > 2 * self.len as usize + SLACK {
            let order = self.iter().collect();
            self.rebuild(order);
        }
    }

    fn rebuild(&mut self, order: Vec<(Key, u64)>) {
        self.slots = Vec::with_capacity(order.len());
        self.len = 0;
        let highest = order.iter().map(|(key, _)| *key as usize + 1).max().unwrap_or(0);
        self.slot_of.truncate(highest);
        self.slot_of.shrink_to_fit();
        for (key, term) in order {
            self.push(key, term);
        }
    }

    /// Holds after each step. Large rosters are left to the tests, which call
    /// [`Roster::verify`] themselves.
    fn check(&self) {
        if cfg!(debug_assertions) && self.slots.len() < 64 {
            self.verify();
        }
    }

    /// Panics unless every invariant of this structure holds.
    pub fn verify(&self) {
        assert_eq!(self.slots.iter().filter(|s| s.key != VACANT).count(), self.len as usize);
        for (rank, (key, term)) in (0..).zip(self.iter()) {
            assert_eq!((self.rank(key), self.at(rank)), (Some(rank), Some(key)));
            assert!(term <= self.view, "a term is the seq of some change up to the view");
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
    use proptest::prelude::*;

    /// The roster as one would explain it: a list, and each one's term.
    #[derive(Default)]
    struct Model(Vec<(Key, u64)>);

    impl Model {
        fn remove(&mut self, at: usize, seq: u64) -> Key {
            let (key, _) = self.0.remove(at);
            self.0[at..].iter_mut().for_each(|m| m.1 = seq);
            key
        }

        fn place(&mut self, old: usize, new: usize, seq: u64) {
            let member = self.0.remove(old);
            self.0.insert(new, member);
            self.0[old.min(new)..=old.max(new)].iter_mut().for_each(|m| m.1 = seq);
        }
    }

    fn agree(roster: &Roster, model: &Model) {
        roster.verify();
        for rank in 0..=roster.len() {
            let below = model.0[rank as usize..].iter().map(|m| m.0);
            assert!(roster.keys_from(rank).eq(below));
        }
        assert_eq!(roster.iter().collect::<Vec<_>>(), model.0);
        assert_eq!(roster.top_term(), model.0.first().map(|m| m.1));
    }

    proptest! {
        #[test]
        fn is_the_list_one_would_expect(steps in prop::collection::vec((0..10_u8, any::<u16>(), any::<u16>()), 1..300)) {
            let (mut roster, mut model) = (Roster::default(), Model::default());
            let mut free: Vec<Key> = (0..300).rev().collect();
            for (seq, (kind, a, b)) in (1..).zip(steps) {
                let ranks: Vec<Key> = model.0.iter().map(|m| m.0).collect();
                let n = ranks.len();
                let change = match kind {
                    _ if n == 0 => None,
                    0..=2 => {
                        let key = model.remove(a as usize % n, seq);
                        free.push(key);
                        roster.leave(key, seq)
                    }
                    3..=5 => {
                        let (old, new) = (a as usize % n, if kind == 3 { n - 1 } else { b as usize % n });
                        if old != new {
                            model.place(old, new, seq);
                        }
                        let change = roster.place(ranks[old], u32::try_from(new).unwrap(), seq);
                        prop_assert_eq!(change.is_some(), old != new);
                        if change.is_none() {
                            continue;
                        }
                        change
                    }
                    _ => None,
                };
                let change = change.unwrap_or_else(|| {
                    let key = free.pop().unwrap();
                    model.0.push((key, seq));
                    roster.join(key, seq)
                });
                agree(&roster, &model);
                agree(&Roster::restore(model.0.clone(), seq), &model);
                prop_assert_eq!(roster.view(), seq);
                // Everyone who was there before and after can follow it alone.
                for (rank, key) in (0..).zip(ranks) {
                    if let Some(now) = roster.rank(key) {
                        prop_assert_eq!(change.after(rank), now);
                        prop_assert_eq!(change.before(now), rank);
                    }
                }
            }
        }
    }

    #[test]
    fn a_hundred_thousand_members_leave_in_every_order() {
        let mut roster = Roster::default();
        for key in 0..100_000 {
            roster.join(key, u64::from(key) + 1);
        }
        roster.verify();
        let mut seq = 100_000;
        for key in (0..100_000).step_by(3) {
            seq += 1;
            assert_eq!(roster.leave(key, seq), Some(Change::Left { rank: key - key / 3 }));
        }
        roster.verify();
        assert_eq!(roster.at(0), Some(1));
        assert_eq!(roster.term(1), Some(100_001));
        assert_eq!(roster.leave(0, seq + 1), None);
    }

    #[test]
    fn what_has_left_is_freed() {
        let mut roster = Roster::default();
        for seq in 0..10_000_u64 {
            roster.join(u32::try_from(seq % 7).unwrap(), 2 * seq + 1);
            roster.leave(u32::try_from(seq % 7).unwrap(), 2 * seq + 2);
        }
        assert!(roster.slots.len() <= SLACK && roster.slot_of.len() <= 7);
    }
}
