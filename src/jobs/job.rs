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

/// The most bytes of a task: a worker takes it in one piece, and it waits in the
/// queue.
pub const TASK_BYTES_MAX: usize = 16 * 1024;

/// A parameter of a job: a word or an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in the dialects that name their fields; in text that of the option,
    /// if it is one.
    pub name: &'static str,
    /// Whether it is a positional word, which must be there. Otherwise it is an
    /// option, which may be missing.
    pub is_word: bool,
}

impl Parameter {
    /// A positional word.
    pub const fn word(name: &'static str) -> Self {
        Parameter { name, is_word: true }
    }

    /// An option.
    pub const fn option(name: &'static str) -> Self {
        Parameter { name, is_word: false }
    }

    /// The form in which `help` shows it.
    pub fn shown(&self) -> String {
        if self.is_word { self.name.to_uppercase() } else { format!("--{}", self.name) }
    }
}

/// What the broker offers to jobs that are being prepared.
pub trait Desk {
    /// Creates a number sequence for a client id of its own, as INIT does.
    ///
    /// # Errors
    /// [`Code::Busy`] if too many sequences are kept.
    fn begin_sequence(&self, count: u16, batch: u64) -> Result<(Uuid, Seed), Fault>;
    /// The networks that may be called although they are not public.
    fn allowed_networks(&self) -> &[IpNet];
    /// How long a job may run.
    fn job_time(&self) -> Duration;
}

/// Reports how far a job is: a `running` frame for its client. It may block for a
/// while if the client does not read.
pub type Say<'s> = &'s mut dyn FnMut(String);

/// One kind of job.
pub trait Job: Sync {
    /// The input for the worker.
    type Task: Serialize + DeserializeOwned;

    /// Its verb, the words that go with it, and what it does. The words begin
    /// with `[--to MEMBER]` if its result may go to another member.
    fn usage(&self) -> Usage;

    /// Its parameters.
    fn parameters(&self) -> &'static [Parameter];

    /// Runs in the broker: checks the arguments and makes a task of them. It must
    /// be quick, and not block.
    ///
    /// # Errors
    /// Why the arguments make no job; nothing has begun then.
    fn prepare(&self, given: Given<'_>, desk: &dyn Desk) -> Result<Self::Task, Fault>;

    /// Runs in a worker process: does the job. It may take its time, all the
    /// memory, and the process with it: that harms this job alone.
    ///
    /// # Errors
    /// Why it failed, in words.
    fn run(&self, task: Self::Task, say: Say<'_>) -> Result<String, String>;
}

/// A job of any kind, as it stands in the list of all.
pub trait Registered: Sync {
    /// As [`Job::usage`].
    fn usage(&self) -> Usage;
    /// As [`Job::parameters`].
    fn parameters(&self) -> &'static [Parameter];
    /// Whether its result may go to another member.
    fn goes_to_others(&self) -> bool;
    /// As [`Job::prepare`], with the task encoded for the worker.
    ///
    /// # Errors
    /// As [`Job::prepare`].
    fn task(&self, given: Given<'_>, desk: &dyn Desk) -> Result<Vec<u8>, Fault>;
    /// As [`Job::run`].
    ///
    /// # Errors
    /// As [`Job::run`].
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
