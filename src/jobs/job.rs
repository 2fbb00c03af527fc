//! What a job is.

use super::Given;
use crate::error::{Code, Fault};
use crate::request::Usage;
use crate::sequence::Seed;
use ipnet::IpNet;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use uuid::Uuid;

/// Bytes of a task at most: a worker takes it in one piece, and it waits in
/// the queue.
pub const TASK_BYTES_MAX: usize = 16 * 1024;

/// A word or an option that a job is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in the dialects that have names; in text the option's, if it is
    /// one.
    pub name: &'static str,
    /// Whether it is a word that stands by its place, and must be there. It is
    /// an option that may be missing otherwise.
    pub is_word: bool,
}

impl Parameter {
    /// A word that stands by its place.
    pub const fn word(name: &'static str) -> Self {
        Parameter { name, is_word: true }
    }

    /// An option.
    pub const fn option(name: &'static str) -> Self {
        Parameter { name, is_word: false }
    }

    /// As `help` shows it.
    pub fn shown(&self) -> String {
        if self.is_word { self.name.to_uppercase() } else { format!("--{}", self.name) }
    }
}

/// What the broker has for jobs that are being prepared.
pub trait Desk {
    /// Makes a number sequence for a client id of its own, as INIT does.
    ///
    /// # Errors
    /// [`Code::Busy`] if too many are kept.
    fn begin_sequence(&self, count: u16, batch: u64) -> Result<(Uuid, Seed), Fault>;
    /// Networks that may be called though they are not public.
    fn allowed_networks(&self) -> &[IpNet];
    /// How long a job may run.
    fn job_time(&self) -> Duration;
}

/// Says how far a job is: a `running` frame for its client. It may take a while
/// if that one does not read.
pub type Say<'s> = &'s mut dyn FnMut(String);

/// One kind of job.
pub trait Job: Sync {
    /// What the worker is given.
    type Task: Serialize + DeserializeOwned;

    /// Its verb, the words that go with it, and what it does. The words begin
    /// with `[--to MEMBER]` if its result may go to another member.
    fn usage(&self) -> Usage;

    /// What it is given.
    fn parameters(&self) -> &'static [Parameter];

    /// In the broker: checks what a client gave and makes a task of it. To be
    /// quick, and to wait for nothing.
    ///
    /// # Errors
    /// Why there is no such job; nothing has begun then.
    fn prepare(&self, given: Given<'_>, desk: &dyn Desk) -> Result<Self::Task, Fault>;

    /// In a worker process: does it. It may take its time, all the memory there
    /// is, and the process with it: that costs this job alone.
    ///
    /// # Errors
    /// Why it came to nothing, in words.
    fn run(&self, task: Self::Task, say: Say<'_>) -> Result<String, String>;
}

/// A job of whatever kind, as the list of all has it.
pub trait Registered: Sync {
    /// As [`Job::usage`].
    fn usage(&self) -> Usage;
    /// As [`Job::parameters`].
    fn parameters(&self) -> &'static [Parameter];
    /// Whether its result may go to another member.
    fn goes_to_others(&self) -> bool;
    /// As [`Job::prepare`]; the task as the worker takes it.
    ///
    /// # Errors
    /// The same.
    fn task(&self, given: Given<'_>, desk: &dyn Desk) -> Result<Vec<u8>, Fault>;
    /// As [`Job::run`].
    ///
    /// # Errors
    /// The same.
    fn carry_out(&self, task: &[u8], say: Say<'_>) -> Result<String, String>;
}

impl<J: Job> Registered for J {
    fn usage(&self) -> Usage {
        Job::usage(self)
    }

    fn parameters(&self) -> &'static [Parameter] {
        Job::parameters(self)
    }

    fn goes_to_others(&self) -> bool {
        Job::usage(self).words.starts_with("[--to MEMBER]")
    }

    fn task(&self, given: Given<'_>, desk: &dyn Desk) -> Result<Vec<u8>, Fault> {
        let task = self.prepare(given, desk)?;
        let task = postcard::to_stdvec(&task).map_err(|e| {
            let verb = Job::usage(self).verb;
            Fault::new(Code::Internal, format!("the task of {verb} cannot be written: {e}"))
        })?;
        if task.len() > TASK_BYTES_MAX {
            let text = format!("a job is given at most {TASK_BYTES_MAX} bytes");
            return Err(Fault::new(Code::TooLong, text));
        }
        Ok(task)
    }

    fn carry_out(&self, task: &[u8], say: Say<'_>) -> Result<String, String> {
        let task =
            postcard::from_bytes(task).map_err(|e| format!("its task is unreadable: {e}"))?;
        self.run(task, say)
    }
}
