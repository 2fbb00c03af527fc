//! The roster as it must be: the fold of what one reader sees, done the plain
//! way, so that it shares nothing with what it is compared with.

/// The members in rank order, and their terms.
#[derive(Debug, Default)]
pub struct Model {
    /// The members in rank order.
    order: Vec<u32>,
    /// The term of each rank.
    terms: Vec<u64>,
}

impl Model {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Rank, member and term of each.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32, u64)> + '_ {
        (0..).zip(&self.order).zip(&self.terms).map(|((rank, member), term)| (rank, *member, *term))
    }

    /// Records a join; returns whether it was at the bottom.
    #[must_use]
    pub fn join(&mut self, member: u32, rank: usize, seq: u64) -> bool {
        self.order.push(member);
        self.terms.push(seq);
        rank + 1 == self.order.len()
    }

    /// Records a leave; returns whether the member had that rank.
    #[must_use]
    pub fn leave(&mut self, member: u32, rank: usize, seq: u64) -> bool {
        if self.order.get(rank) != Some(&member) {
            return false;
        }
        self.order.remove(rank);
        self.terms.pop();
        self.terms[rank..].fill(seq);
        true
    }

    /// Records a move; returns whether the member had rank `old`, and `new` exists.
    #[must_use]
    pub fn place(&mut self, member: u32, old: usize, new: usize, seq: u64) -> bool {
        if self.order.get(old) != Some(&member) || new >= self.order.len() {
            return false;
        }
        self.order.remove(old);
        self.order.insert(new, member);
        self.terms[old.min(new)..=old.max(new)].fill(seq);
        true
    }
}

/// What becomes of a rank when somebody leaves.
pub fn after_leave(rank: u32, gone: u32) -> u32 {
    if gone < rank { rank - 1 } else { rank }
}

/// What becomes of a rank when somebody moves.
pub fn after_move(rank: u32, old: u32, new: u32) -> u32 {
    if rank == old {
        new
    } else if old < rank && rank <= new {
        rank - 1
    } else if new <= rank && rank < old {
        rank + 1
    } else {
        rank
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(model: &Model) -> Vec<(u32, u64)> {
        model.iter().map(|(_, member, term)| (member, term)).collect()
    }

    #[test]
    fn the_fold_is_as_the_protocol_says() {
        let mut model = Model::default();
        for member in 0..4 {
            assert!(model.join(member, member as usize, u64::from(member) + 1));
        }
        assert!(model.leave(1, 1, 5));
        assert_eq!(order(&model), [(0, 1), (2, 5), (3, 5)]);
        assert!(model.place(3, 2, 1, 6));
        assert_eq!(order(&model), [(0, 1), (3, 6), (2, 6)]);
        assert!(model.place(0, 0, 2, 7));
        assert_eq!(order(&model), [(3, 7), (2, 7), (0, 7)]);
        assert_eq!(model.len(), 3);
    }

    #[test]
    fn what_cannot_be_is_noticed() {
        let mut model = Model::default();
        assert!(model.join(7, 0, 1) && !model.join(8, 5, 2));
        assert!(!model.leave(9, 0, 3) && !model.leave(7, 4, 3));
        assert!(!model.place(7, 1, 0, 4) && !model.place(7, 0, 2, 4));
    }

    #[test]
    fn a_rank_follows_the_same_fold() {
        // Members 0 to 4 stand in order; then one leaves, and one moves.
        let mut model = Model::default();
        (0..5).for_each(|member| assert!(model.join(member, member as usize, 1)));
        let mut ranks: Vec<u32> = (0..5).collect();
        assert!(model.leave(1, 1, 2));
        ranks = ranks.into_iter().map(|rank| after_leave(rank, 1)).collect();
        for (old, new) in [(0, 3), (3, 1), (2, 2)] {
            let member = model.iter().nth(old as usize).unwrap().1;
            assert!(model.place(member, old as usize, new as usize, 3));
            ranks = ranks.into_iter().map(|rank| after_move(rank, old, new)).collect();
            for (rank, member, _) in model.iter() {
                assert_eq!(ranks[member as usize], rank, "member {member}");
            }
        }
    }
}
