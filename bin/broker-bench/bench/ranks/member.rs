//! One member: what it has been told, and what it makes of it.

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has asked to join.
    Asked,
    /// It is in.
    In,
    /// It has left, or was cut off.
    Gone,
}

/// One member.
#[derive(Debug)]
pub struct Member {
    /// Which one; 0 is the chief, who joins first.
    pub index: u32,
    /// How far it has come.
    pub stage: Stage,
    /// The seq that must come next.
    pub next: u64,
    /// Its rank, folded from the log; unknown after a gap, until it is told.
    pub rank: Option<u32>,
    /// The rank and term that it was told last.
    pub told: (u32, u64),
}

impl Member {
    /// One that is about to ask.
    pub fn new(index: u32) -> Self {
        Member { index, stage: Stage::Asked, next: 0, rank: None, told: (0, 0) }
    }

    /// Whether it is the one that sees everything from the beginning.
    pub fn is_chief(&self) -> bool {
        self.index == 0
    }
}
