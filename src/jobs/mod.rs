//! The jobs that there are. Each is one file that implements [`Job`], and one
//! line in [`JOBS`]; every dialect then takes it, and `help` tells of it.
//!
//! [`crate::workers`] runs them: a job itself knows neither queues nor processes.

mod fib;
mod given;
mod job;
mod numbers;
mod size;

pub use given::Given;
pub use job::{Desk, Job, Parameter, Registered, Say};

use crate::request::{Usage, VERBS};

/// Every job. A new one is one more line here.
pub static JOBS: &[&dyn Registered] = &[&fib::Fib, &size::Size, &numbers::Numbers];

/// Every verb that the broker answers, jobs included, in the order of `help`.
pub fn verbs() -> impl Iterator<Item = Usage> {
    // Jobs come before the verbs about jobs.
    let at = VERBS.iter().position(|usage| usage.verb == "jobs").unwrap_or(VERBS.len());
    let (before, after) = VERBS.split_at(at);
    let jobs = JOBS.iter().map(|job| job.usage());
    before.iter().copied().chain(jobs).chain(after.iter().copied())
}

/// The job of this verb.
pub fn find(verb: &str) -> Option<&'static dyn Registered> {
    JOBS.iter().copied().find(|job| job.usage().verb == verb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_verbs_are_the_same_and_usages_tell_of_every_parameter() {
        for (at, job) in JOBS.iter().enumerate() {
            let usage = job.usage();
            let others = JOBS.iter().skip(at + 1).map(|job| job.usage());
            let mut others = others.chain(VERBS.iter().copied());
            assert!(others.all(|other| other.verb != usage.verb), "{}", usage.verb);
            for parameter in job.parameters() {
                assert!(usage.words.contains(&parameter.shown()), "{} {parameter:?}", usage.verb);
            }
            assert_eq!(usage.words.contains("--to"), job.goes_to_others(), "{}", usage.verb);
        }
    }
}
