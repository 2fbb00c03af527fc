//! The jobs that wait: those of one client in their order, and the clients in turn,
//! so that a client with many jobs does not keep the others waiting. Pure.

use std::collections::{HashMap, VecDeque};

/// A client's number.
pub type ClientId = u64;
/// A job's number.
pub type JobId = u64;

/// The jobs that wait.
#[derive(Debug, Default)]
pub struct Queue {
    by_client: HashMap<ClientId, VecDeque<JobId>>,
    /// The clients that have jobs here, each once; the first is next.
    turns: VecDeque<ClientId>,
    len: usize,
}

impl Queue {
    /// Queues a job behind those of its client.
    pub fn push(&mut self, client: ClientId, job: JobId) {
        self.of(client).push_back(job);
        self.len += 1;
    }

    /// Queues a job again that was taken out, before all those of its client.
    pub fn push_again(&mut self, client: ClientId, job: JobId) {
        self.of(client).push_front(job);
        self.len += 1;
    }

    fn of(&mut self, client: ClientId) -> &mut VecDeque<JobId> {
        if !self.by_client.contains_key(&client) {
            self.turns.push_back(client);
        }
        self.by_client.entry(client).or_default()
    }

    /// Takes the job whose turn it is.
    pub fn pop(&mut self) -> Option<JobId> {
        let client = self.turns.pop_front()?;
        let jobs = self.by_client.get_mut(&client)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.by_client.remove(&client);
        } else {
            self.turns.push_back(client);
        }
        self.len -= 1;
        job
    }

    /// Takes a job out; returns whether it was there.
    pub fn remove(&mut self, client: ClientId, job: JobId) -> bool {
        let Some(jobs) = self.by_client.get_mut(&client) else { return false };
        let Some(at) = jobs.iter().position(|waiting| *waiting == job) else { return false };
        jobs.remove(at);
        if jobs.is_empty() {
            self.by_client.remove(&client);
            self.turns.retain(|turn| *turn != client);
        }
        self.len -= 1;
        true
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(queue: &mut Queue) -> Vec<JobId> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn clients_take_turns_and_each_keeps_its_order() {
        let mut queue = Queue::default();
        for job in [10, 11, 12, 13] {
            queue.push(1, job);
        }
        queue.push(2, 20);
        queue.push(3, 30);
        assert_eq!(queue.pop(), Some(10));
        queue.push(2, 21);
        queue.push_again(1, 10);
        assert_eq!(queue.len(), 7);
        assert_eq!(all(&mut queue), [20, 30, 10, 21, 11, 12, 13]);
        assert_eq!((queue.pop(), queue.len()), (None, 0));
    }

    #[test]
    fn what_is_removed_is_gone_and_its_client_waits_no_more() {
        let mut queue = Queue::default();
        queue.push(1, 10);
        queue.push(2, 20);
        queue.push(2, 21);
        assert!(queue.remove(1, 10) && queue.remove(2, 20));
        assert!(!queue.remove(1, 10) && !queue.remove(2, 10));
        queue.push(1, 11);
        assert_eq!(all(&mut queue), [21, 11]);
        assert!(queue.by_client.is_empty() && queue.turns.is_empty());
    }

    proptest! {
        /// Whatever the pushes are, no client waits longer than one job of each
        /// other client.
        #[test]
        fn nobody_waits_for_two_jobs_of_another(pushes in prop::collection::vec(0_u64..4, 0..40)) {
            let mut queue = Queue::default();
            for (client, job) in pushes.iter().zip(0..) {
                // The last digit of a job's number is its client.
                queue.push(*client, job * 10 + client);
            }
            let order: Vec<u64> = all(&mut queue).iter().map(|job| job % 10).collect();
            prop_assert_eq!(order.len(), pushes.len());
            for (at, client) in order.iter().enumerate() {
                let waits = order[..at].iter().rev().take_while(|other| *other != client);
                let mut seen: Vec<&u64> = waits.collect();
                let turns = seen.len();
                seen.sort_unstable();
                seen.dedup();
                prop_assert_eq!(seen.len(), turns, "{:?}", order);
            }
        }
    }
}
