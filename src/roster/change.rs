//! What one entry does to the ranks.

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
