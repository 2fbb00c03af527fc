//! The ordered members of a channel: who holds which rank, and since when.
//!
//! A plain struct with no lock, clock or I/O, which depends on nothing else of the
//! crate. It is what you get by folding a channel's log: [`Roster::join`],
//! [`Roster::leave`] and [`Roster::place`] are the fold's steps, each with the seq
//! of the entry that causes it. Whoever folds the same log has the same ranks, view
//! and terms.
//!
//! Joining, leaving, yielding and every look-up are O(log n); a promotion into the
//! middle is O(n log n). How: `tree.rs`.

mod change;
mod tree;

pub use change::Change;
use tree::Tree;

/// A member's handle in its roster. Small numbers, reused after a member left.
pub type Key = u32;

/// The ordered members of one channel.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    view: u64,
    members: Members,
}

/// Most channels have one member, which needs neither a tree nor an allocation:
/// a roster takes 24 bytes then, and not 200.
#[derive(Clone, Debug, Default)]
enum Members {
    #[default]
    None,
    One {
        key: Key,
        term: u64,
    },
    /// Two or more.
    Many(Box<Tree>),
}

impl Members {
    /// Holds these members, highest rank first, each with its term.
    fn new(order: &[(Key, u64)]) -> Self {
        match *order {
            [] => Members::None,
            [(key, term)] => Members::One { key, term },
            _ => Members::Many(Box::new(Tree::new(order))),
        }
    }

    /// The only member, with its term, if there is exactly one.
    fn only(&self) -> Option<(Key, u64)> {
        match *self {
            Members::One { key, term } => Some((key, term)),
            _ => None,
        }
    }

    fn tree(&self) -> Option<&Tree> {
        match self {
            Members::Many(tree) => Some(tree),
            _ => None,
        }
    }
}

impl Roster {
    /// Rebuilds a roster of these members, highest rank first, each with its term,
    /// as of this view.
    pub fn restore(members: &[(Key, u64)], view: u64) -> Self {
        Roster { view, members: Members::new(members) }
    }

    /// How many members there are.
    pub fn len(&self) -> u32 {
        match &self.members {
            Members::None => 0,
            Members::One { .. } => 1,
            Members::Many(tree) => tree.len(),
        }
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The seq of the entry that last changed this roster.
    pub fn view(&self) -> u64 {
        self.view
    }

    /// A member's rank; `None` for a stranger.
    pub fn rank(&self, key: Key) -> Option<u32> {
        match &self.members {
            Members::One { key: only, .. } if *only == key => Some(0),
            members => members.tree()?.rank(key),
        }
    }

    /// A member's term: the seq at which it got its present rank.
    pub fn term(&self, key: Key) -> Option<u64> {
        match &self.members {
            Members::One { key: only, term } if *only == key => Some(*term),
            members => members.tree()?.term(key),
        }
    }

    /// The term of rank 0: the fencing token. `None` in an empty roster.
    pub fn top_term(&self) -> Option<u64> {
        self.term(self.at(0)?)
    }

    /// Who holds this rank.
    pub fn at(&self, rank: u32) -> Option<Key> {
        match &self.members {
            Members::One { key, .. } if rank == 0 => Some(*key),
            members => members.tree()?.at(rank),
        }
    }

    /// The members with their terms, highest rank first. Going through all of them
    /// is O(n log n).
    pub fn iter(&self) -> impl Iterator<Item = (Key, u64)> + '_ {
        let many = self.members.tree().into_iter().flat_map(Tree::iter);
        self.members.only().into_iter().chain(many)
    }

    /// The holders of this rank and of every lower one, in rank order.
    pub fn keys_from(&self, rank: u32) -> impl Iterator<Item = Key> + '_ {
        let only = self.members.only().filter(|_| rank == 0).map(|(key, _)| key);
        let many = self.members.tree().into_iter().flat_map(move |tree| tree.keys_from(rank));
        only.into_iter().chain(many)
    }

    /// Adds a member at the bottom, and returns its rank. The key must be free.
    pub fn join(&mut self, key: Key, seq: u64) -> Change {
        debug_assert!(self.rank(key).is_none() && seq > self.view);
        match &mut self.members {
            Members::Many(tree) => tree.push(key, seq),
            members => {
                let order: Vec<_> = members.only().into_iter().chain([(key, seq)]).collect();
                *members = Members::new(&order);
            }
        }
        self.view = seq;
        self.check();
        Change::Join { rank: self.len() - 1 }
    }

    /// Removes a member. Returns `None`, and changes nothing, for a stranger.
    pub fn leave(&mut self, key: Key, seq: u64) -> Option<Change> {
        let rank = self.rank(key)?;
        match &mut self.members {
            Members::Many(tree) => {
                tree.leave(key, seq);
                if tree.len() == 1 {
                    let order: Vec<_> = tree.iter().collect();
                    self.members = Members::new(&order);
                }
            }
            members => *members = Members::None,
        }
        self.view = seq;
        self.check();
        Some(Change::Left { rank })
    }

    /// Moves a member to another rank. Returns `None`, and changes nothing, for a
    /// stranger, a rank that nobody has, or the rank that it has already.
    pub fn place(&mut self, key: Key, new: u32, seq: u64) -> Option<Change> {
        let old = self.rank(key)?;
        let Members::Many(tree) = &mut self.members else { return None };
        if new >= tree.len() || new == old {
            return None;
        }
        if new == tree.len() - 1 {
            tree.yield_rank(key, seq);
        } else {
            tree.reorder(old, new, seq);
        }
        self.view = seq;
        self.check();
        Some(Change::Move { old, new })
    }

    /// Verifies the roster after each step in debug builds. Large rosters are left
    /// to the tests, which call [`Roster::verify`] themselves.
    fn check(&self) {
        if cfg!(debug_assertions) && self.len() < 64 {
            self.verify();
        }
    }

    /// Panics unless every invariant of this structure holds.
    pub fn verify(&self) {
        assert_eq!(self.iter().count(), self.len() as usize);
        assert_eq!(self.members.tree().is_some(), self.len() > 1);
        for (rank, (key, term)) in (0..).zip(self.iter()) {
            assert_eq!((self.rank(key), self.at(rank)), (Some(rank), Some(key)));
            assert!(term <= self.view, "a term is the seq of some change up to the view");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The simplest roster there is: a list of members with their terms.
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
                agree(&Roster::restore(&model.0, seq), &model);
                prop_assert_eq!(roster.view(), seq);
                // A member that was there before and after can follow its rank from
                // the change alone.
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
    fn whoever_is_left_alone_needs_no_tree() {
        let mut roster = Roster::default();
        roster.join(0, 1);
        roster.join(7, 2);
        assert!(roster.members.tree().is_some());
        roster.leave(0, 3);
        // It has moved up.
        assert_eq!(roster.members.only(), Some((7, 3)));
        roster.leave(7, 4);
        assert!(matches!(roster.members, Members::None));
    }
}
