//! Permits, to bound how many of something there are at once. Each is given back
//! when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the permits that are taken. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Permits(Arc<AtomicUsize>);

/// A permit.
#[derive(Debug)]
pub struct Permit(Permits);

impl Permits {
    /// Takes a permit, unless `max` are taken already.
    pub fn take(&self, max: usize) -> Option<Permit> {
        let is_free = self.0.fetch_add(1, Ordering::SeqCst) < max;
        // A permit beyond `max` is dropped, and so given back, right here.
        let permit = Permit(self.clone());
        is_free.then_some(permit)
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_may_be_and_each_comes_back_once() {
        let permits = Permits::default();
        let held: Vec<_> = (0..3).map(|_| permits.take(3).unwrap()).collect();
        assert!(permits.take(3).is_none());
        assert_eq!(permits.taken(), 3, "the one that was refused is back");
        drop(held);
        assert_eq!(permits.taken(), 0);
    }
}
