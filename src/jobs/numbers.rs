//! The job `numbers COUNT`: a number sequence like that of the `numseq` dialect,
//! batch by batch. It is kept under a client id of its own, so that a client that
//! has lost a batch can fetch it there with CONT.

use super::{Desk, Given, Job, Parameter, Say};
use crate::error::Fault;
use crate::request::Usage;
use crate::sequence::{self, Seed};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Numbers in a batch, unless the client says otherwise.
const BATCH: u64 = 100;

const PARAMETERS: &[Parameter] = &[Parameter::word("count"), Parameter::option("batch")];

/// The job.
pub struct Numbers;

/// The input for its worker.
#[derive(Debug, Serialize, Deserialize)]
pub struct Task {
    id: Uuid,
    seed: Seed,
    count: u16,
    batch: u64,
}

impl Job for Numbers {
    type Task = Task;

    fn usage(&self) -> Usage {
        let does = "a job: a sequence of numbers from 0 to 100, batch by batch";
        Usage::new("numbers", "COUNT [--batch N]", does)
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn prepare(&self, given: Given<'_>, desk: &dyn Desk) -> Result<Task, Fault> {
        // The range is that of `u16`.
        let count = given.number("count", 0..=u16::MAX.into())?.try_into().unwrap_or(u16::MAX);
        let batch = given.optional_number("batch", 1..=u64::MAX)?.unwrap_or(BATCH);
        let (id, seed) = desk.begin_sequence(count, batch)?;
        Ok(Task { id, seed, count, batch })
    }

    fn run(&self, task: Task, say: Say<'_>) -> Result<String, String> {
        let Task { id, seed, count, batch } = task;
        let batches = sequence::batches(count, batch);
        say(format!("client-id={id} count={count} batches={batches}"));
        let numbers = seed.numbers(count);
        for index in 0..batches {
            let numbers = sequence::batch(&numbers, batch, index).unwrap_or_default();
            let mut text = format!("batch={index} ");
            sequence::join(numbers, ":", &mut text);
            say(text);
        }
        let sum: u64 = numbers.iter().map(|number| u64::from(*number)).sum();
        let checksum = sequence::checksum(&numbers);
        Ok(format!("checksum={checksum} sum={sum} client-id={id}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_batch_comes_and_then_the_checksum() {
        let id = Uuid::from_u128(0x123e_4567_e89b_12d3_a456_4266_1417_4000);
        let run = |count, batch| {
            let mut said = Vec::new();
            let task = Task { id, seed: Seed::name(id), count, batch };
            let done = Numbers.run(task, &mut |text| said.push(text)).unwrap();
            (said, done)
        };
        let (said, done) = run(10, 5);
        assert_eq!(
            said,
            [
                &format!("client-id={id} count=10 batches=2")[..],
                "batch=0 6:41:81:68:68",
                "batch=1 41:10:40:78:98"
            ]
        );
        assert_eq!(
            done,
            format!("checksum=9b14501c5359fb4eac96df9e874348b2 sum=531 client-id={id}")
        );
        let (said, done) = run(0, 5);
        assert_eq!(said.len(), 1);
        assert!(done.starts_with("checksum=d751713988987e9331980363e24189ce sum=0 "));
    }
}
