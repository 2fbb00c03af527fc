//! The members and observers of a channel.

use crate::broker::member::Member;
use crate::roster::Key;
use slab::Slab;
use std::sync::Arc;

/// Who is here, by key. Most channels have one member, which has key 0 and is kept
/// inline: a table for it would be an allocation of its own, of 48 bytes.
#[derive(Debug, Default)]
pub(super) struct Seats {
    first: Option<Arc<Member>>,
    /// Those with the keys from 1 on.
    others: Option<Box<Slab<Arc<Member>>>>,
}

impl Seats {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.as_ref().map_or(0, |others| others.len())
    }

    /// The key that the next member gets.
    pub(super) fn vacant_key(&self) -> Key {
        if self.first.is_none() {
            return 0;
        }
        let place = self.others.as_ref().map_or(0, |others| others.vacant_key());
        // A channel has at most as many members as fit into its limit, a u32.
        Key::try_from(place + 1).unwrap_or(Key::MAX)
    }

    /// Adds a member, whose key must be the vacant one.
    pub(super) fn insert(&mut self, member: Arc<Member>) {
        debug_assert_eq!(member.key, self.vacant_key());
        if self.first.is_none() {
            self.first = Some(member);
        } else {
            self.others.get_or_insert_default().insert(member);
        }
    }

    /// The member with this key.
    pub(super) fn get(&self, key: Key) -> Option<&Arc<Member>> {
        match (key as usize).checked_sub(1) {
            None => self.first.as_ref(),
            Some(place) => self.others.as_ref()?.get(place),
        }
    }

    /// Takes out the member with this key.
    pub(super) fn remove(&mut self, key: Key) -> Option<Arc<Member>> {
        let Some(place) = (key as usize).checked_sub(1) else { return self.first.take() };
        let others = self.others.as_mut()?;
        let removed = others.try_remove(place);
        if others.is_empty() {
            self.others = None;
        }
        removed
    }

    /// All members and observers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Member>> {
        let others = self.others.iter().flat_map(|others| others.iter());
        self.first.iter().chain(others.map(|(_, member)| member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::directory::Directory;

    #[test]
    fn keys_are_small_and_used_again() {
        let nobody = ([127, 0, 0, 1], 0).into();
        let client = Directory::default().enter(nobody, "text", 0);
        let mut seats = Seats::default();
        let come = |seats: &mut Seats| {
            let key = seats.vacant_key();
            seats.insert(Arc::new(Member::new(client.clone(), 0, key, 0)));
            key
        };
        assert_eq!([0; 4].map(|_| come(&mut seats)), [0, 1, 2, 3]);
        for gone in [2, 0] {
            assert_eq!(seats.remove(gone).map(|member| member.key), Some(gone));
            assert!(seats.get(gone).is_none() && seats.remove(gone).is_none());
        }
        let here = |seats: &Seats| seats.iter().map(|member| member.key).collect::<Vec<_>>();
        assert_eq!((here(&seats), seats.len()), (vec![1, 3], 2));
        assert_eq!([0; 3].map(|_| come(&mut seats)), [0, 2, 4]);
        assert_eq!((here(&seats), seats.len()), (vec![0, 1, 2, 3, 4], 5));
        (0..5).for_each(|key| drop(seats.remove(key)));
        assert_eq!((here(&seats), seats.len(), seats.vacant_key()), (vec![], 0, 0));
    }
}
