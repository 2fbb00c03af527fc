//! The roster at 10 to 10⁶ members: all of it must be O(log n), but for a
//! promotion into the middle.
#![allow(clippy::unwrap_used)] // a benchmark that cannot begin has to end

use divan::{Bencher, black_box};
use ranked_broker::roster::{Change, Key, Roster};

const SIZES: [u32; 6] = [10, 100, 1_000, 10_000, 100_000, 1_000_000];
/// Changes in the log that a member folds.
const STEPS: u32 = 1_000;

fn main() {
    divan::main();
}

/// A roster of this size, and the seq of its last change.
fn full(size: u32) -> (Roster, u64) {
    let mut roster = Roster::default();
    for key in 0..size {
        roster.join(key, u64::from(key) + 1);
    }
    (roster, u64::from(size))
}

/// Numbers that look random, the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u32) -> u32 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 >> 33).unwrap() % below
    }
}

#[divan::bench(args = SIZES)]
fn find_a_rank(bencher: Bencher<'_, '_>, size: u32) {
    let (roster, _) = full(size);
    let mut dice = Dice(1);
    bencher.bench_local(|| roster.rank(black_box(dice.roll(size))));
}

#[divan::bench(args = SIZES)]
fn find_a_term(bencher: Bencher<'_, '_>, size: u32) {
    let (roster, _) = full(size);
    let mut dice = Dice(1);
    bencher.bench_local(|| roster.term(black_box(dice.roll(size))));
}

#[divan::bench(args = SIZES)]
fn find_who_holds_a_rank(bencher: Bencher<'_, '_>, size: u32) {
    let (roster, _) = full(size);
    let mut dice = Dice(1);
    bencher.bench_local(|| roster.at(black_box(dice.roll(size))));
}

/// A member leaves, and comes back at the bottom; this includes the sweeping of vacant
/// slots.
#[divan::bench(args = SIZES)]
fn leave_and_join(bencher: Bencher<'_, '_>, size: u32) {
    let ((mut roster, mut seq), mut dice) = (full(size), Dice(1));
    bencher.bench_local(|| {
        let key: Key = dice.roll(size);
        seq += 2;
        (roster.leave(key, seq - 1), roster.join(key, seq))
    });
}

/// Moves a member to the bottom.
#[divan::bench(args = SIZES)]
fn give_way(bencher: Bencher<'_, '_>, size: u32) {
    let ((mut roster, mut seq), mut dice) = (full(size), Dice(1));
    bencher.bench_local(|| {
        seq += 1;
        roster.place(dice.roll(size), size - 1, seq)
    });
}

/// Moves a member to the top.
#[divan::bench(args = SIZES)]
fn promote(bencher: Bencher<'_, '_>, size: u32) {
    let ((mut roster, mut seq), mut dice) = (full(size), Dice(1));
    bencher.bench_local(|| {
        seq += 1;
        roster.place(dice.roll(size), 0, seq)
    });
}

/// What a member does with the joins and leaves of others that it reads.
#[divan::bench]
fn fold_1000_changes(bencher: Bencher<'_, '_>) {
    let mut dice = Dice(1);
    let mut change = |step| match step % 3 {
        0 => Change::Join { rank: 1_000 },
        1 => Change::Left { rank: dice.roll(1_000) },
        _ => Change::Move { old: dice.roll(1_000), new: dice.roll(1_000) },
    };
    let changes: Vec<Change> = (0..STEPS).map(&mut change).collect();
    bencher.bench(|| {
        let fold = |rank: u32, change: &Change| change.after(rank);
        black_box(&changes).iter().fold(500, fold)
    });
}
