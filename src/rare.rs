//! What most of a kind do without.

/// State that most of a kind do without, boxed together, so that it costs them no
/// more than a pointer. Its parts are the fields of `T`.
#[derive(Clone, Debug)]
pub struct Rare<T>(Option<Box<T>>);

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Rare(None)
    }
}

impl<T: Default> Rare<T> {
    /// The parts, made if they are missing.
    pub fn parts(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T> Rare<T> {
    /// The parts, if they were made.
    pub fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }

    /// The parts, if they were made.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// Gives the memory back if nothing is in the parts that matters.
    pub fn free_if(&mut self, is_empty: impl FnOnce(&T) -> bool) {
        self.0.take_if(|parts| is_empty(parts));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rare_costs_the_others_a_pointer() {
        assert_eq!(size_of::<Rare<[u64; 9]>>(), size_of::<usize>());
    }

    #[test]
    fn parts_are_made_when_they_are_asked_for_and_go_when_they_are_empty() {
        let mut rare = Rare::<Vec<u8>>::default();
        assert!(rare.get().is_none() && rare.get_mut().is_none());
        rare.parts().push(1);
        rare.free_if(Vec::is_empty);
        assert_eq!(rare.get(), Some(&vec![1]));
        rare.parts().clear();
        rare.free_if(Vec::is_empty);
        assert!(rare.get().is_none());
    }
}
